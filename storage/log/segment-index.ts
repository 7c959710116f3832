/**
 * Where the records of one segment are: every INDEX_EVERY_BYTES or so a position and its offset, found by bisection. It goes into the
 * seal that ends the segment:
 *
 *     body of the seal:  u32 chain after the last record · per entry u32 position less the first, u32 offset · u32 size of the whole seal
 *
 * The size stands at the very end of the file, from where the seal is found.
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import {
  checkRecord,
  readU32,
  readU48,
  RECORD_HEADER_BYTES,
  SEAL_TYPE,
  writeRecordHeader,
  writeU32,
} from './record.js';
import { SEGMENT_HEADER_BYTES } from './segment-header.js';

/** What is read for a single record; an entry costs 8 bytes of the seal and 16 in memory. */
export const INDEX_EVERY_BYTES = 16_384;
const ENTRY_BYTES = 8;
const SEAL_FIXED_BYTES = 8;

export class SegmentIndex {
  readonly #positions: LogPosition[];
  readonly #offsets: number[];

  constructor(first: LogPosition) {
    this.#positions = [first];
    this.#offsets = [SEGMENT_HEADER_BYTES];
  }

  /** Entries come in order; one too close to the last is left out. */
  add(position: LogPosition, offset: number): void {
    if (offset - (this.#offsets[this.#offsets.length - 1] as number) < INDEX_EVERY_BYTES) return;
    this.#positions.push(position);
    this.#offsets.push(offset);
  }

  /** The last entry at or before `position`. */
  find(position: LogPosition): { readonly position: LogPosition; readonly offset: number } {
    const at = this.#find(position);
    return { position: this.#positions[at] as number, offset: this.#offsets[at] as number };
  }

  #find(position: LogPosition): number {
    let low = 0;
    let high = this.#positions.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#positions[middle] as number) <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The part of the segment that `position` is in: where it begins, and where the next one does (undefined: it is the last). */
  partOf(position: LogPosition): {
    readonly position: LogPosition;
    readonly offset: number;
    readonly next: { readonly position: LogPosition; readonly offset: number } | undefined;
  } {
    const at = this.#find(position);
    const isLast = at + 1 === this.#positions.length;
    return {
      position: this.#positions[at] as number,
      offset: this.#offsets[at] as number,
      next: isLast
        ? undefined
        : { position: this.#positions[at + 1] as number, offset: this.#offsets[at + 1] as number },
    };
  }

  /** The offset of the first entry behind `position`: its record ends before it. undefined: there is none. */
  endAfter(position: LogPosition): number | undefined {
    const { length } = this.#positions;
    let low = 0;
    let high = length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#positions[middle] as number) > position) high = middle;
      else low = middle + 1;
    }
    return low < length ? this.#offsets[low] : undefined;
  }

  /** The first entry behind `position` that is not before `offset`. undefined: there is none. */
  entryBehind(
    position: LogPosition,
    offset: number,
  ): { readonly position: LogPosition; readonly offset: number } | undefined {
    const { length } = this.#positions;
    let low = 0;
    let high = length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#offsets[middle] as number) >= offset && (this.#positions[middle] as number) > position)
        high = middle;
      else low = middle + 1;
    }
    if (low === length) return undefined;
    return { position: this.#positions[low] as number, offset: this.#offsets[low] as number };
  }

  /** The seal of a segment whose next record would have had `next`. */
  encodeSeal(next: LogPosition, chain: number, seed: number): Uint8Array {
    const entries = this.#positions.length;
    const length = SEAL_FIXED_BYTES + entries * ENTRY_BYTES;
    const bytes = new Uint8Array(RECORD_HEADER_BYTES + length);
    let at = RECORD_HEADER_BYTES;
    writeU32(bytes, at, chain);
    at += 4;
    const first = this.#positions[0] as number;
    for (let i = 0; i < entries; i++, at += ENTRY_BYTES) {
      writeU32(bytes, at, (this.#positions[i] as number) - first);
      writeU32(bytes, at + 4, this.#offsets[i] as number);
    }
    writeU32(bytes, at, bytes.length);
    writeRecordHeader(bytes, 0, length, next, SEAL_TYPE, seed, true);
    return bytes;
  }

  /**
   * The seal in `bytes`, which are the last of a segment file. @returns undefined where there is none that is whole.
   */
  static parseSeal(
    bytes: Uint8Array,
    first: LogPosition,
    seed: number,
  ):
    | {
        readonly index: SegmentIndex;
        readonly chain: number;
        readonly next: LogPosition;
        readonly size: number;
      }
    | undefined {
    const end = bytes.length;
    if (end < RECORD_HEADER_BYTES + SEAL_FIXED_BYTES) return undefined;
    const size = readU32(bytes, end - 4);
    const start = end - size;
    if (start < 0 || size < RECORD_HEADER_BYTES + SEAL_FIXED_BYTES || bytes[start + 14] !== SEAL_TYPE)
      return undefined;
    const next = readU48(bytes, start + 8);
    if (checkRecord(bytes, start, end, next, seed) !== 'whole') return undefined;
    const index = new SegmentIndex(first);
    let at = start + RECORD_HEADER_BYTES;
    const chain = readU32(bytes, at);
    // The first entry is the one that every index has.
    at += 4 + ENTRY_BYTES;
    for (; at + ENTRY_BYTES <= end - 4; at += ENTRY_BYTES) {
      index.#positions.push(first + readU32(bytes, at));
      index.#offsets.push(readU32(bytes, at + 4));
    }
    return { index, chain, next, size };
  }
}
