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
 * Creates the file and makes it and its name durable. A file of the same name is one whose creation failed, or that holds
 * only what was never acknowledged.
 */
export async function createSegment(
  files: FileSystem,
  folder: string,
  header: SegmentHeader,
): Promise<{ readonly segment: Segment; readonly file: StoreFile }> {
  const path = `${folder}/${segmentFileName(header.first)}`;
  await files.remove(path);
  const file = await files.open(path, 'create');
  try {
    await file.write(encodeSegmentHeader(header), 0);
    await file.sync();
    await files.syncFolder(folder);
  } catch (error) {
    await file.close().catch(() => undefined);
    throw error;
  }
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
