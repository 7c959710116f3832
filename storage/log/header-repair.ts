/** The header of a segment, made again: all of it is known, or not needed, as long as the records behind it are whole. */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { FileSystem } from '../files/file-system.js';
import { crc32c } from './crc32c.js';
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from './segment-header.js';
import { scanSegment } from './segment-scan.js';

/**
 * @param first by the name of the file. @param chainBefore 0: not known.
 * @returns whether there are records of `identity` from `first` on; where there are none, nothing is written. @throws SprawlError STORAGE_IO
 */
export async function repairSegmentHeader(
  files: FileSystem,
  path: string,
  first: LogPosition,
  identity: Uint8Array,
  chainBefore: number,
): Promise<boolean> {
  const file = await files.open(path, 'write');
  try {
    const range = { offset: SEGMENT_HEADER_BYTES, position: first, end: await file.size() };
    const seed = crc32c(identity, 0, identity.length);
    const { next, sealed } = await scanSegment(file, range, seed, () => undefined);
    if (next === first && !sealed) return false;
    await file.write(encodeSegmentHeader({ first, identity, chainBefore, floor: 1 }), 0);
    await file.sync();
    return true;
  } finally {
    await file.close();
  }
}
