/**
 * Records on their way to the file: encoded in place, a chunk is what one commit writes. What is appended while a chunk is being
 * written goes to the next one.
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import { crc32cOfNumber } from './crc32c.js';
import { RECORD_HEADER_BYTES, writeRecordHeader } from './record.js';
import { INDEX_EVERY_BYTES } from './segment-index.js';

/** The most that one commit writes, but for a single larger record. */
export const CHUNK_BYTES = 1_048_576;
/** One is filled while another is written. */
const SPARE_MAX_COUNT = 2;

/** Records `first` to `last`, in the first `length` bytes of `buffer`. */
export interface Chunk {
  readonly buffer: Uint8Array;
  length: number;
  first: LogPosition;
  last: LogPosition;
  /** CRC-32C over the CRCs of all records up to `last`. */
  chain: number;
  /** How many of the records nobody waits for. */
  unawaited: number;
  /** Positions and offsets in `buffer`, in turn, at least INDEX_EVERY_BYTES apart: what the index of the segment will know. */
  readonly marks: number[];
  markedAt: number;
}

export class CommitBuffer {
  /** Oldest first; records are added to the last one. */
  #chunks: Chunk[] = [];
  readonly #spare: Uint8Array[] = [];
  readonly #seed: number;
  #position: LogPosition;
  #chain: number;
  #pendingBytes = 0;

  /** @param position the last one that was given out, `chain` as of it. */
  constructor(position: LogPosition, chain: number, seed: number) {
    this.#position = position;
    this.#chain = chain;
    this.#seed = seed;
  }

  /** The last position that was given out. */
  get position(): LogPosition {
    return this.#position;
  }

  /** Bytes of records that were appended and not given to `recycle` yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * A chunk with room for a record of `bodyBytes`: the caller writes the body to `chunk.buffer` at `chunk.length +
   * RECORD_HEADER_BYTES` and calls `add`, in the same turn.
   */
  reserve(bodyBytes: number): Chunk {
    const size = RECORD_HEADER_BYTES + bodyBytes;
    const current = this.#chunks[this.#chunks.length - 1];
    if (current !== undefined && current.length + size <= current.buffer.length) return current;
    const buffer =
      size > CHUNK_BYTES
        ? Buffer.allocUnsafeSlow(size)
        : (this.#spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES));
    const counts = { length: 0, first: 0, last: 0, unawaited: 0 };
    const chunk: Chunk = { buffer, ...counts, chain: 0, marks: [], markedAt: 0 };
    this.#chunks.push(chunk);
    return chunk;
  }

  /** Adds the record whose body was written to the chunk of the last `reserve`. @returns its position. */
  add(chunk: Chunk, type: number, bodyBytes: number): LogPosition {
    const position = ++this.#position;
    const at = chunk.length;
    const isFirst = at === 0;
    const crc = writeRecordHeader(chunk.buffer, at, bodyBytes, position, type, this.#seed, isFirst);
    this.#chain = crc32cOfNumber(crc, this.#chain);
    if (isFirst) chunk.first = position;
    if (at - chunk.markedAt >= INDEX_EVERY_BYTES) {
      chunk.markedAt = at;
      chunk.marks.push(position, at);
    }
    chunk.last = position;
    chunk.chain = this.#chain;
    chunk.length += RECORD_HEADER_BYTES + bodyBytes;
    this.#pendingBytes += RECORD_HEADER_BYTES + bodyBytes;
    return position;
  }

  /** The oldest chunk with records; from now on nothing is added to it. undefined: none. */
  take(): Chunk | undefined {
    const [chunk] = this.#chunks;
    if (chunk === undefined || chunk.length === 0) return undefined;
    this.#chunks.shift();
    return chunk;
  }

  /** The records of a chunk that was taken are on disk. */
  recycle(chunk: Chunk): void {
    this.#pendingBytes -= chunk.length;
    if (chunk.buffer.length === CHUNK_BYTES && this.#spare.length < SPARE_MAX_COUNT)
      this.#spare.push(chunk.buffer);
  }
}
