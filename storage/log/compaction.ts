/**
 * Writes a segment again without the records that nobody needs. What is left out leaves a record that says so, so that positions stay
 * without gaps and the chain goes on:
 *
 *     body of a SKIPPED record:  u48 last of the positions that are left out · u32 chain after it
 *
 * The new file takes the place of the old one in one step; until then the old one stands.
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { FileSystem, StoreFile } from '../files/file-system.js';
import { crc32cOfNumber } from './crc32c.js';
import {
  readU32,
  readU48,
  RECORD_HEADER_BYTES,
  SKIPPED_TYPE,
  writeRecordHeader,
  writeU32,
  writeU48,
} from './record.js';
import type { RecordCipher } from './record-cipher.js';
import { sealChunk } from './sealed-chunk.js';
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, UNFINISHED_SUFFIX } from './segment-header.js';
import { SegmentIndex } from './segment-index.js';
import { type Damage, scanSegment } from './segment-scan.js';
import type { Segment } from './segment.js';

export const SKIPPED_BODY_BYTES = 10;
const SKIPPED_BYTES = RECORD_HEADER_BYTES + SKIPPED_BODY_BYTES;
const BUFFER_BYTES = 262_144;

export interface CompactionOptions {
  readonly files: FileSystem;
  readonly seed: number;
  readonly cipher: RecordCipher | undefined;
  readonly isNeeded: (position: LogPosition) => boolean;
}

export interface CompactedSegment {
  /** Whole and synced; to be renamed to that of the segment. */
  readonly path: string;
  readonly end: number;
  readonly index: SegmentIndex;
}

/** What cannot be read of a segment: to write the rest again would make whole records unreadable, which now are found by their neighbours. */
export interface DamagedSegment {
  readonly damage: readonly Damage[];
}

/** @param segment not the last one; it stands as it was. @throws SprawlError STORAGE_IO, STORAGE_FULL; nothing stays then */
export async function compactSegment(
  segment: Segment,
  options: CompactionOptions,
): Promise<CompactedSegment | DamagedSegment> {
  const { files } = options;
  const unfinished = `${segment.path}${UNFINISHED_SUFFIX}`;
  await files.remove(unfinished);
  const from = await files.open(segment.path, 'read');
  try {
    const to = await files.open(unfinished, 'create');
    try {
      const copied = await copyNeeded(segment, from, to, options);
      if ('damage' in copied) {
        await files.remove(unfinished);
        return copied;
      }
      const { end, index } = copied;
      await to.sync();
      return { path: unfinished, end, index };
    } catch (error) {
      await files.remove(unfinished).catch(() => undefined);
      throw error;
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
}

async function copyNeeded(
  segment: Segment,
  from: StoreFile,
  to: StoreFile,
  { seed, cipher, isNeeded }: CompactionOptions,
): Promise<Omit<CompactedSegment, 'path'> | DamagedSegment> {
  const { header, next } = segment;
  await to.write(encodeSegmentHeader(header), 0);
  const writer = new Writer(to, header.first, seed, cipher);
  let chain = header.chainBefore;
  let skippedFrom: LogPosition | undefined;
  const skip = (until: LogPosition): void => {
    if (skippedFrom !== undefined) writer.skip(skippedFrom, until, chain);
    skippedFrom = undefined;
  };
  // A visitor cannot wait: what it copies is at most the segment, which has a limit.
  const range = {
    offset: SEGMENT_HEADER_BYTES,
    position: header.first,
    end: segment.end,
    isCommitted: true,
    // What was left out before stays so.
    skipped: (first: LogPosition, _last: LogPosition, after: number) => {
      skippedFrom ??= first;
      chain = after;
    },
  };
  const result = await scanSegment(
    from,
    range,
    seed,
    (position, _type, bytes, start, end) => {
      // Written again in the next segment, after a fault of the disk.
      if (position >= next) return;
      if (isNeeded(position)) {
        skip(position - 1);
        writer.copy(bytes.subarray(start - RECORD_HEADER_BYTES, end));
      } else {
        skippedFrom ??= position;
      }
      chain = crc32cOfNumber(readU32(bytes, start - RECORD_HEADER_BYTES), chain);
    },
    cipher,
  );
  const damage = [...result.damage];
  if (result.next < next)
    damage.push({ from: result.end, to: segment.end, first: result.next, last: next - 1 });
  if (damage.length > 0) return { damage };
  skip(next - 1);
  await writer.flush();
  const seal = writer.index.encodeSeal(next, chain, seed);
  await to.write(seal, writer.end);
  return { end: writer.end, index: writer.index };
}

/** Records on their way to the new file. */
class Writer {
  readonly index: SegmentIndex;
  end = SEGMENT_HEADER_BYTES;
  readonly #file: StoreFile;
  readonly #seed: number;
  readonly #cipher: RecordCipher | undefined;
  /** Full buffers, then the one that is being filled. */
  readonly #buffers: Buffer[] = [];
  #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #length = 0;

  constructor(file: StoreFile, first: LogPosition, seed: number, cipher: RecordCipher | undefined) {
    this.#file = file;
    this.#seed = seed;
    this.#cipher = cipher;
    this.index = new SegmentIndex(first);
  }

  copy(record: Uint8Array): void {
    this.#room(record.length);
    this.#buffer.set(record, this.#length);
    this.#length += record.length;
  }

  skip(first: LogPosition, last: LogPosition, chain: number): void {
    this.#room(SKIPPED_BYTES);
    const at = this.#length;
    writeU48(this.#buffer, at + RECORD_HEADER_BYTES, last);
    writeU32(this.#buffer, at + RECORD_HEADER_BYTES + 6, chain);
    writeRecordHeader(this.#buffer, at, SKIPPED_BODY_BYTES, first, SKIPPED_TYPE, this.#seed, true);
    this.#length += SKIPPED_BYTES;
  }

  async flush(): Promise<void> {
    this.#finish();
    for (const bytes of this.#buffers) {
      const { buffer, marks } = this.#encode(bytes);
      await this.#file.write(buffer, this.end);
      for (const [position, offset] of marks) this.index.add(position, this.end + offset);
      this.end += buffer.length;
    }
  }

  #encode(bytes: Buffer): {
    readonly buffer: Uint8Array;
    readonly marks: readonly (readonly [LogPosition, number])[];
  } {
    const marks: [LogPosition, number][] = [];
    if (this.#cipher !== undefined) {
      const sealed = sealChunk({ buffer: bytes, length: bytes.length }, this.#cipher, this.#seed);
      marks.push([readU48(bytes, 8), 0]);
      for (let i = 0; i < sealed.marks.length; i += 2)
        marks.push([sealed.marks[i] as number, sealed.marks[i + 1] as number]);
      return { buffer: sealed.bytes, marks };
    }
    for (let at = 0; at < bytes.length; at += RECORD_HEADER_BYTES + readU32(bytes, at + 4))
      marks.push([readU48(bytes, at + 8), at]);
    return { buffer: bytes, marks };
  }

  #room(size: number): void {
    if (this.#length + size <= this.#buffer.length) return;
    this.#finish();
    this.#buffer = Buffer.allocUnsafe(Math.max(BUFFER_BYTES, size));
  }

  #finish(): void {
    if (this.#length > 0) this.#buffers.push(this.#buffer.subarray(0, this.#length));
    this.#buffer = Buffer.alloc(0);
    this.#length = 0;
  }
}
