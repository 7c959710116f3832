/** One segment file of the log. */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { FileSystem, StoreFile } from '../files/file-system.js';
import { RECORD_HEADER_BYTES } from './record.js';
import {
  encodeSegmentHeader,
  parseSegmentHeader,
  SEGMENT_HEADER_BYTES,
  segmentFileName,
  type SegmentHeader,
  UNFINISHED_SUFFIX,
} from './segment-header.js';
import { SegmentIndex } from './segment-index.js';
import type { Damage } from './segment-scan.js';

export interface Segment {
  readonly path: string;
  readonly header: SegmentHeader;
  /** Positions from `header.first` to below `next` are in it, but for its damage. */
  next: LogPosition;
  /** The end of its last record. */
  end: number;
  index: SegmentIndex;
  damage: readonly Damage[];
}

/**
 * Creates the file and makes it and its name durable. It takes the place of a file of the same name, which holds only what was never
 * acknowledged: at no moment there is none, as the one before it may be sealed.
 */
export async function createSegment(
  files: FileSystem,
  folder: string,
  header: SegmentHeader,
): Promise<{ readonly segment: Segment; readonly file: StoreFile }> {
  const path = `${folder}/${segmentFileName(header.first)}`;
  const unfinished = path + UNFINISHED_SUFFIX;
  await files.remove(unfinished);
  const begun = await files.open(unfinished, 'create');
  try {
    await begun.write(encodeSegmentHeader(header), 0);
    await begun.sync();
  } finally {
    await begun.close();
  }
  await files.rename(unfinished, path);
  await files.syncFolder(folder);
  const file = await files.open(path, 'write');
  const segment: Segment = {
    path,
    header,
    next: header.first,
    end: SEGMENT_HEADER_BYTES,
    index: new SegmentIndex(header.first),
    damage: [],
  };
  return { segment, file };
}

/** @returns undefined where the header is no whole one. @throws SprawlError STORAGE_FORMAT_NEWER, STORAGE_IO */
export async function readSegmentHeader(file: StoreFile, path: string): Promise<SegmentHeader | undefined> {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  const length = await file.read(bytes, 0);
  return parseSegmentHeader(bytes.subarray(0, length), path);
}

/** What a segment that was ended in order says of itself, at its end. */
export async function readSeal(
  file: StoreFile,
  header: SegmentHeader,
  seed: number,
): Promise<ReturnType<typeof SegmentIndex.parseSeal>> {
  const size = await file.size();
  const trailer = Buffer.alloc(4);
  if (size < SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES) return undefined;
  await file.read(trailer, size - trailer.length);
  const sealBytes = trailer.readUInt32LE(0);
  if (sealBytes > size - SEGMENT_HEADER_BYTES) return undefined;
  const bytes = Buffer.alloc(sealBytes);
  await file.read(bytes, size - sealBytes);
  return SegmentIndex.parseSeal(bytes, header.first, seed);
}
