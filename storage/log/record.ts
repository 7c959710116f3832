/**
 * How a record lies in a segment, numbers least significant byte first:
 *
 *     0  u32  CRC-32C of everything after it, seeded with the seed of the log
 *     4  u32  length of the body
 *     8  u48  log position
 *    14  u8   type
 *    15  u8   1: the first record of a commit, so all records before it were synced; 0: not
 *    16       body
 *
 * The seed comes from the identity of the log, so that bytes of another gateway never look like a record of this one. Positions
 * have no gaps: what is missing is known by its number.
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import { crc32c } from './crc32c.js';

export const RECORD_HEADER_BYTES = 16;
/** Ends a segment; its position is that of the record that comes next, in the next segment. */
export const SEAL_TYPE = 255;
/** Stands for records that were left out when the segment was compacted: see compaction.ts. */
export const SKIPPED_TYPE = 253;
/** Records that are sealed together: u48 position of the last of them, then they; the position of this one is that of the first. */
export const SEALED_TYPE = 254;
/** The largest packet of MQTT, and room for what storage adds to it. */
export const RECORD_BODY_MAX_BYTES = 268_435_455 + 131_072;
const TWO_TO_32 = 0x1_0000_0000;

export function readU32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

export function readU48(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) + ((bytes[at + 4] as number) | ((bytes[at + 5] as number) << 8)) * TWO_TO_32;
}

export function writeU48(bytes: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / TWO_TO_32);
  writeU32(bytes, at, value >>> 0);
  bytes[at + 4] = high;
  bytes[at + 5] = high >>> 8;
}

/** Fills the header of the record at `at`, whose body of `length` bytes is in place. @returns its CRC. */
export function writeRecordHeader(
  bytes: Uint8Array,
  at: number,
  length: number,
  position: LogPosition,
  type: number,
  seed: number,
  beginsCommit: boolean,
): number {
  writeU32(bytes, at + 4, length);
  writeU48(bytes, at + 8, position);
  bytes[at + 14] = type;
  bytes[at + 15] = beginsCommit ? 1 : 0;
  const crc = crc32c(bytes, at + 4, at + RECORD_HEADER_BYTES + length, seed);
  writeU32(bytes, at, crc);
  return crc;
}

/** What is at an offset of a segment. `cut`: the bytes end before the record does. */
export type RecordCheck = 'whole' | 'cut' | 'damaged';

/** Looks at the record at `at`, which should be the one of `position`; `end` is the end of the bytes at hand. */
export function checkRecord(
  bytes: Uint8Array,
  at: number,
  end: number,
  position: LogPosition,
  seed: number,
): RecordCheck {
  if (at + RECORD_HEADER_BYTES > end) return 'cut';
  const length = readU32(bytes, at + 4);
  if (length > RECORD_BODY_MAX_BYTES || readU48(bytes, at + 8) !== position) return 'damaged';
  const recordEnd = at + RECORD_HEADER_BYTES + length;
  if (recordEnd > end) return 'cut';
  return crc32c(bytes, at + 4, recordEnd, seed) === readU32(bytes, at) ? 'whole' : 'damaged';
}
