/**
 * Reads the records of one segment in order and finds out what is wrong with it.
 *
 * After something that is no record the scan looks on for one. What follows tells what happened: if a later record begins a
 * commit, everything before it had been synced, so acknowledged bytes are damaged; if none does, the last commit was torn by a crash
 * and nobody was told of it.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { StoreFile } from '../files/file-system.js';
import { crc32cOfNumber } from './crc32c.js';
import {
  checkRecord,
  readU32,
  readU48,
  RECORD_HEADER_BYTES,
  SEAL_TYPE,
  SEALED_TYPE,
  SKIPPED_TYPE,
} from './record.js';
import type { RecordCipher } from './record-cipher.js';
import { LAST_BYTES } from './sealed-chunk.js';
import type { SegmentIndex } from './segment-index.js';

const READ_BYTES = 1_048_576;
/** A record that is found again after damage is at most so many positions further on. */
const LOST_MAX_COUNT = 0x1_00_0000;

/** `bytes[start, end)` is the body; it is valid until the visitor returns. */
export type RecordVisitor = (
  position: LogPosition,
  type: number,
  bytes: Uint8Array,
  start: number,
  end: number,
) => void;

/** Bytes `[from, to)` of the file hold no records; `first` to `last` are the positions that were in them. */
export interface Damage {
  readonly from: number;
  readonly to: number;
  readonly first: LogPosition;
  readonly last: LogPosition;
}

export interface ScanResult {
  /** One more than the position of the last record; that of the first where there is none. */
  readonly next: LogPosition;
  /** The end of the last record. */
  readonly end: number;
  /** CRC-32C over the CRCs of the records, from that of the range on. */
  readonly chain: number;
  readonly sealed: boolean;
  readonly damage: readonly Damage[];
  /** Bytes after `end` of a commit that was not finished, or, where only bits of the last commit changed, of that one. */
  readonly tornBytes: number;
}

export interface ScanRange {
  /** Where a record begins, and its position. */
  readonly offset: number;
  readonly position: LogPosition;
  /** Not read beyond: the size of the file, or less. */
  readonly end: number;
  /** Chain before the record at `offset`; 0 where nobody asks for the chain. */
  readonly chain?: number;
  /** Everything in the range was synced: what is no record is damaged, also where no commit begins behind it. */
  readonly isCommitted?: boolean;
  /** Is told where the records are. */
  readonly index?: SegmentIndex;
  /** Is told which positions were left out when the segment was compacted, and the chain after them. */
  readonly skipped?: (first: LogPosition, last: LogPosition, chain: number) => void;
}

/** @param cipher opens what is sealed; without it the records in there are counted and not visited */
export async function scanSegment(
  file: StoreFile,
  range: ScanRange,
  seed: number,
  visit: RecordVisitor,
  cipher?: RecordCipher,
): Promise<ScanResult> {
  const window = new Window(file, range.end);
  const damage: Damage[] = [];
  let { offset, position, chain = 0 } = range;
  while (offset < range.end) {
    if (!window.has(offset, RECORD_HEADER_BYTES)) await window.read(offset, RECORD_HEADER_BYTES);
    const length = window.has(offset, RECORD_HEADER_BYTES) ? readU32(window.bytes, window.at(offset) + 4) : 0;
    const size = RECORD_HEADER_BYTES + length;
    if (offset + size <= range.end && !window.has(offset, size)) await window.read(offset, size);
    const at = window.at(offset);
    if (checkRecord(window.bytes, at, window.length, position, seed) === 'whole') {
      const type = window.bytes[at + 14] as number;
      const bodyEnd = at + RECORD_HEADER_BYTES + length;
      if (type === SEAL_TYPE)
        return { next: position, end: offset, chain, sealed: true, damage, tornBytes: 0 };
      if (type === SEALED_TYPE) {
        const last = readU48(window.bytes, at + RECORD_HEADER_BYTES);
        const records = openSealed(cipher, window.bytes.subarray(at, bodyEnd), position, last);
        range.index?.add(position, offset);
        if (records === 'damaged') {
          const to = offset + RECORD_HEADER_BYTES + length;
          damage.push({ from: offset, to, first: position, last });
        } else if (records !== undefined) {
          chain = visitAll(records, chain, visit, range.skipped);
        }
        offset += RECORD_HEADER_BYTES + length;
        position = last + 1;
        continue;
      }
      if (type === SKIPPED_TYPE) {
        range.index?.add(position, offset);
        const last = readU48(window.bytes, at + RECORD_HEADER_BYTES);
        chain = readU32(window.bytes, at + RECORD_HEADER_BYTES + 6);
        range.skipped?.(position, last, chain);
        position = last + 1;
        offset += RECORD_HEADER_BYTES + length;
        continue;
      }
      chain = crc32cOfNumber(readU32(window.bytes, at), chain);
      range.index?.add(position, offset);
      visit(position, type, window.bytes, at + RECORD_HEADER_BYTES, bodyEnd);
      offset += RECORD_HEADER_BYTES + length;
      position++;
      continue;
    }
    const found = await findRecord(file, offset + 1, range.end, position, seed);
    if (found === undefined || !(found.afterCommit || range.isCommitted === true)) break;
    damage.push({ from: offset, to: found.offset, first: position, last: found.position - 1 });
    ({ offset, position } = found);
  }
  return { next: position, end: offset, chain, sealed: false, damage, tornBytes: range.end - offset };
}

/** Its CRC was right: what does not open all the same was changed by somebody, not by a disk. undefined: nobody has the key. */
function openSealed(
  cipher: RecordCipher | undefined,
  record: Uint8Array,
  first: LogPosition,
  last: LogPosition,
): Uint8Array | 'damaged' | undefined {
  try {
    return cipher?.openRecords(record.subarray(RECORD_HEADER_BYTES + LAST_BYTES), first, last);
  } catch (error) {
    if (error instanceof SprawlError && error.code === 'STORAGE_CORRUPT') return 'damaged';
    throw error;
  }
}

/** @returns the chain after the records. */
function visitAll(
  records: Uint8Array,
  chain: number,
  visit: RecordVisitor,
  skipped: ScanRange['skipped'],
): number {
  for (let at = 0; at < records.length;) {
    const bodyStart = at + RECORD_HEADER_BYTES;
    const end = bodyStart + readU32(records, at + 4);
    const type = records[at + 14] as number;
    if (type === SKIPPED_TYPE) {
      chain = readU32(records, bodyStart + 6);
      skipped?.(readU48(records, at + 8), readU48(records, bodyStart), chain);
    } else {
      chain = crc32cOfNumber(readU32(records, at), chain);
      visit(readU48(records, at + 8), type, records, bodyStart, end);
    }
    at = end;
  }
  return chain;
}

/** The part of the file that is in memory. */
class Window {
  bytes: Uint8Array = new Uint8Array(0);
  length = 0;
  #start = 0;
  readonly #file: StoreFile;
  readonly #end: number;

  constructor(file: StoreFile, end: number) {
    this.#file = file;
    this.#end = end;
  }

  at(offset: number): number {
    return offset - this.#start;
  }

  has(offset: number, size: number): boolean {
    return offset >= this.#start && this.at(offset) + size <= this.length;
  }

  /** Reads on, from `offset`, until `size` bytes from `offset` are there, or the end. */
  async read(offset: number, size: number): Promise<void> {
    const want = Math.min(Math.max(size, READ_BYTES), this.#end - offset);
    if (this.bytes.length < want) this.bytes = Buffer.allocUnsafeSlow(want);
    this.#start = offset;
    this.length = await this.#file.read(this.bytes.subarray(0, want), offset);
  }
}

interface FoundRecord {
  readonly offset: number;
  readonly position: LogPosition;
  /** Whether it, or a record behind it, begins a commit. */
  readonly afterCommit: boolean;
}

/** The next whole record after damage. It reads the rest of the segment: damage is rare, and a segment has a limit. */
async function findRecord(
  file: StoreFile,
  from: number,
  end: number,
  expected: LogPosition,
  seed: number,
): Promise<FoundRecord | undefined> {
  const bytes = Buffer.allocUnsafeSlow(Math.max(0, end - from));
  const length = await file.read(bytes, from);
  const at = nextWhole(bytes, 0, length, expected, seed);
  if (at === undefined) return undefined;
  const position = readU48(bytes, at + 8);
  return { offset: from + at, position, afterCommit: leadsToCommit(bytes, at, length, position, seed) };
}

/** The first offset at or after `at` with a whole record of `expected` or a later position. */
function nextWhole(
  bytes: Uint8Array,
  at: number,
  end: number,
  expected: LogPosition,
  seed: number,
): number | undefined {
  for (; at + RECORD_HEADER_BYTES <= end; at++) {
    if ((bytes[at + 15] as number) > 1) continue;
    const position = readU48(bytes, at + 8);
    if (position < expected || position - expected > LOST_MAX_COUNT) continue;
    if (checkRecord(bytes, at, end, position, seed) === 'whole') return at;
  }
  return undefined;
}

/** Whether any record from the whole one at `at` on begins a commit, beyond further damage too. */
function leadsToCommit(
  bytes: Uint8Array,
  at: number,
  end: number,
  position: LogPosition,
  seed: number,
): boolean {
  let from: number | undefined = at;
  while (from !== undefined) {
    if (bytes[from + 15] === 1) return true;
    position = readU48(bytes, from + 8) + 1;
    const next = from + RECORD_HEADER_BYTES + readU32(bytes, from + 4);
    from = nextWhole(bytes, next, end, position, seed);
  }
  return false;
}
