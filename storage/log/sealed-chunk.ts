/** A commit whose records are sealed, some tens of kilobytes together: what is looked up does not open a whole commit. */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { Chunk } from './commit-buffer.js';
import {
  readU32,
  readU48,
  RECORD_HEADER_BYTES,
  SEALED_TYPE,
  SKIPPED_TYPE,
  writeRecordHeader,
  writeU48,
} from './record.js';
import type { RecordCipher } from './record-cipher.js';

export const LAST_BYTES = 6;
/** More would make a look-up open more than it needs, less would cost more than it hides. */
const SEALED_GROUP_BYTES = 32_768;

export interface EncodedChunk {
  readonly bytes: Uint8Array;
  /** As Chunk.marks, of `bytes`. */
  readonly marks: readonly number[];
}

/** The last position that the record stands for. */
function lastOf(buffer: Uint8Array, at: number): LogPosition {
  return readU48(buffer, buffer[at + 14] === SKIPPED_TYPE ? at + RECORD_HEADER_BYTES : at + 8);
}

export function sealChunk(
  { buffer, length }: Pick<Chunk, 'buffer' | 'length'>,
  cipher: RecordCipher,
  seed: number,
): EncodedChunk {
  const parts: Uint8Array[] = [];
  const marks: number[] = [];
  let written = 0;
  for (let at = 0; at < length;) {
    const start = at;
    const first = readU48(buffer, at + 8);
    let last: LogPosition = first;
    while (at < length && at - start < SEALED_GROUP_BYTES) {
      last = lastOf(buffer, at);
      at += RECORD_HEADER_BYTES + readU32(buffer, at + 4);
    }
    const sealed = cipher.sealRecords(buffer.subarray(start, at), first, last);
    const part = Buffer.allocUnsafe(RECORD_HEADER_BYTES + LAST_BYTES + sealed.length);
    writeU48(part, RECORD_HEADER_BYTES, last);
    part.set(sealed, RECORD_HEADER_BYTES + LAST_BYTES);
    writeRecordHeader(part, 0, LAST_BYTES + sealed.length, first, SEALED_TYPE, seed, start === 0);
    if (written > 0) marks.push(first, written);
    parts.push(part);
    written += part.length;
  }
  return { bytes: parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts), marks };
}
