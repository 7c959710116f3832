/**
 * Every byte of a log, read and compared with what its format says: records and the chain over them, headers, seals, and whether
 * segments follow each other. Nothing is changed.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { StoreFile } from '../files/file-system.js';
import { crc32c } from '../log/crc32c.js';
import type { RecordCipher } from '../log/record-cipher.js';
import { readU48, RECORD_HEADER_BYTES, SEAL_TYPE } from '../log/record.js';
import { parseSegmentFileName, SEGMENT_HEADER_BYTES, type SegmentHeader } from '../log/segment-header.js';
import { type RecordVisitor, type ScanRange, type ScanResult, scanSegment } from '../log/segment-scan.js';
import { readSeal, readSegmentHeader } from '../log/segment.js';
import { RecordType } from '../records/record-type.js';
import { sizeOf, type ToolParts } from './data-folder.js';
import type { Fault } from './fault.js';

export interface SegmentSurvey {
  readonly path: string;
  readonly bytes: number;
  readonly first: LogPosition;
  /** Less than `first` where it holds no record. */
  readonly last: LogPosition;
  readonly isSealed: boolean;
  /** Milliseconds since 1970 of the oldest and the newest record that has a time. */
  readonly oldestMs: number | undefined;
  readonly newestMs: number | undefined;
  /** Chain after its last record; undefined where damage hides it. */
  readonly chain: number | undefined;
}

export interface TypeCount {
  count: number;
  bytes: number;
}

export interface LogSurvey {
  /** Oldest first. */
  readonly segments: readonly SegmentSurvey[];
  /** By the type of the record. */
  readonly types: ReadonlyMap<number, TypeCount>;
  readonly recordCount: number;
  /** Positions whose records were left out when a segment was written again smaller. */
  readonly skippedCount: number;
  readonly bytes: number;
  /** The oldest position; one more than `last` where there is no record. */
  readonly first: LogPosition;
  /** 0: the log is empty. */
  readonly last: LogPosition;
  readonly faults: readonly Fault[];
  /** What is no fault, and yet somebody may ask about. */
  readonly notes: readonly string[];
}

/**
 * @param identity undefined where nothing tells whose the log is: then only headers are looked at.
 * @param isInUse a gateway appends to the log and drops segments meanwhile: what is committed is looked at.
 * @throws SprawlError STORAGE_FORMAT_NEWER, STORAGE_IO where the folder cannot be read
 */
export async function surveyLog(
  parts: ToolParts,
  folder: string,
  identity: Uint8Array | undefined,
  isInUse: boolean,
  cipher: RecordCipher | undefined,
): Promise<LogSurvey> {
  return new Surveyor(parts, folder, identity, isInUse, cipher).run();
}

class Surveyor {
  readonly #parts: ToolParts;
  readonly #folder: string;
  readonly #identity: Uint8Array | undefined;
  readonly #seed: number;
  readonly #isInUse: boolean;
  readonly #cipher: RecordCipher | undefined;
  readonly #segments: SegmentSurvey[] = [];
  readonly #types = new Map<number, TypeCount>();
  readonly #faults: Fault[] = [];
  readonly #notes: string[] = [];
  #recordCount = 0;
  #skippedCount = 0;
  #bytes = 0;
  #doneBytes = 0;

  constructor(
    parts: ToolParts,
    folder: string,
    identity: Uint8Array | undefined,
    isInUse: boolean,
    cipher: RecordCipher | undefined,
  ) {
    this.#parts = parts;
    this.#cipher = cipher;
    this.#folder = folder;
    this.#identity = identity;
    this.#seed = identity === undefined ? 0 : crc32c(identity, 0, identity.length);
    this.#isInUse = isInUse;
  }

  async run(): Promise<LogSurvey> {
    const names = await this.#parts.files.list(this.#folder);
    const paths = names.filter((name) => parseSegmentFileName(name) !== undefined);
    for (const name of names)
      if (!paths.includes(name)) this.#notes.push(`${this.#folder}/${name} is no part of the log`);
    const sizes = await Promise.all(
      paths.map((name) => sizeOf(this.#parts.files, `${this.#folder}/${name}`)),
    );
    this.#bytes = sizes.reduce((sum, size) => sum + size, 0);
    for (const [i, name] of paths.entries()) {
      const following = paths[i + 1];
      await this.#look(
        `${this.#folder}/${name}`,
        parseSegmentFileName(name) as number,
        following === undefined ? undefined : parseSegmentFileName(following),
      );
      this.#doneBytes += sizes[i] as number;
      this.#tell(0);
    }
    const last = this.#segments[this.#segments.length - 1]?.last ?? 0;
    return {
      segments: this.#segments,
      types: this.#types,
      recordCount: this.#recordCount,
      skippedCount: this.#skippedCount,
      bytes: this.#bytes,
      first: this.#segments[0]?.first ?? last + 1,
      last,
      faults: this.#faults,
      notes: this.#notes,
    };
  }

  #tell(bytes: number): void {
    this.#parts.onProgress({
      doing: 'reading the log',
      doneBytes: this.#doneBytes + bytes,
      ofBytes: this.#bytes,
    });
  }

  async #look(path: string, first: LogPosition, following: LogPosition | undefined): Promise<void> {
    let file: StoreFile;
    try {
      file = await this.#parts.files.open(path, 'read');
    } catch (error) {
      // The gateway dropped it since it was listed.
      if (this.#isInUse && error instanceof SprawlError && error.code === 'STORAGE_MISSING') return;
      throw error;
    }
    try {
      await this.#lookInto(file, path, first, following);
    } catch (error) {
      if (!(error instanceof SprawlError) || error.code !== 'STORAGE_IO') throw error;
      this.#add({ kind: 'unreadable', path, text: error.message, ...upTo(first, following) });
    } finally {
      await file.close();
    }
  }

  async #lookInto(
    file: StoreFile,
    path: string,
    first: LogPosition,
    following: LogPosition | undefined,
  ): Promise<void> {
    const size = await file.size();
    const header = await readSegmentHeader(file, path);
    if (header === undefined || header.first !== first) {
      if (following === undefined && size <= SEGMENT_HEADER_BYTES) {
        this.#notes.push(`${path} was not finished when it was created, and holds nothing`);
        return;
      }
      this.#add({
        kind: 'header',
        path,
        text: 'its header is damaged; where there are records behind it, it is made again',
        bytes: { from: 0, to: Math.min(size, SEGMENT_HEADER_BYTES) },
        ...upTo(first, following),
      });
      return;
    }
    if (this.#identity === undefined) return;
    if (Buffer.compare(header.identity, this.#identity) !== 0) {
      this.#add({ kind: 'foreign', path, text: 'it belongs to the log of another gateway' });
      return;
    }
    await this.#readRecords(file, path, size, header, following);
  }

  async #readRecords(
    file: StoreFile,
    path: string,
    size: number,
    header: SegmentHeader,
    following: LogPosition | undefined,
  ): Promise<void> {
    const { first } = header;
    const limit = following ?? Infinity;
    let oldestMs: number | undefined;
    let newestMs: number | undefined;
    let readBytes = 0;
    const range: ScanRange = {
      offset: SEGMENT_HEADER_BYTES,
      position: first,
      end: size,
      chain: header.chainBefore,
      isCommitted: following !== undefined,
      skipped: (from, to) => {
        this.#skippedCount += to - from + 1;
      },
    };
    const visit: RecordVisitor = (position, type, bytes, start, end) => {
      // What comes beyond the beginning of the next segment was written again there, after a fault of the disk.
      if (position >= limit) return;
      this.#count(type, RECORD_HEADER_BYTES + end - start);
      readBytes += RECORD_HEADER_BYTES + end - start;
      if ((this.#recordCount & 0xfff) === 0) this.#tell(readBytes);
      const wallMs = wallOf(type, bytes, start);
      if (wallMs === undefined) return;
      oldestMs = Math.min(oldestMs ?? wallMs, wallMs);
      newestMs = Math.max(newestMs ?? wallMs, wallMs);
    };
    const result = await scanSegment(file, range, this.#seed, visit, this.#cipher);
    this.#compareWithBefore(path, header, this.#segments[this.#segments.length - 1]);
    const isWhole = this.#lookAtRecords(path, size, result, following);
    // A header that was made again does not know the chain before it.
    const isChained = isWhole && result.next <= limit && (header.chainBefore !== 0 || first === 1);
    await this.#lookAtSeal(file, path, size, header, result, isChained, following);
    this.#segments.push({
      path,
      bytes: size,
      first,
      last: Math.min(result.next, limit) - 1,
      isSealed: result.sealed,
      oldestMs,
      newestMs,
      chain: isChained ? result.chain : undefined,
    });
  }

  #count(type: number, bytes: number): void {
    this.#recordCount++;
    const known = this.#types.get(type);
    if (known === undefined) this.#types.set(type, { count: 1, bytes });
    else {
      known.count++;
      known.bytes += bytes;
    }
  }

  #compareWithBefore(path: string, header: SegmentHeader, before: SegmentSurvey | undefined): void {
    if (before?.chain === undefined || header.chainBefore === 0) return;
    if (before.last + 1 !== header.first || before.chain === header.chainBefore) return;
    this.#add({
      kind: 'seal',
      path,
      text: `its header does not continue the chain of ${before.path}: one of the two has records that were not written with the other`,
    });
  }

  /** @returns whether all records are there. */
  #lookAtRecords(
    path: string,
    size: number,
    result: ScanResult,
    following: LogPosition | undefined,
  ): boolean {
    let isWhole = true;
    for (const { from, to, first, last } of result.damage) {
      if (following !== undefined && first >= following) continue;
      isWhole = false;
      this.#add({
        kind: 'records',
        path,
        text: 'records are damaged',
        bytes: { from, to },
        positions: { first, last: following === undefined ? last : Math.min(last, following - 1) },
      });
    }
    if (following === undefined) {
      if (result.tornBytes > 0 && !this.#isInUse) this.#notes.push(tornText(path, size, result));
      if (!result.sealed || this.#isInUse) return isWhole;
      this.#add({
        kind: 'missing',
        path,
        text: 'the segment that follows it is missing; how much was in it is not known',
        positions: { first: result.next, last: result.next },
      });
      return false;
    }
    if (result.next >= following) return isWhole;
    const positions = { first: result.next, last: following - 1 };
    if (result.tornBytes > 0) {
      this.#add({
        kind: 'records',
        path,
        text: 'records are damaged, and none behind them is whole',
        bytes: { from: result.end, to: size },
        positions,
      });
    } else {
      this.#add({
        kind: 'missing',
        path,
        text: 'between this segment and the next one records are missing',
        positions,
      });
    }
    return false;
  }

  async #lookAtSeal(
    file: StoreFile,
    path: string,
    size: number,
    header: SegmentHeader,
    result: ScanResult,
    isChained: boolean,
    following: LogPosition | undefined,
  ): Promise<void> {
    const bytes = { from: result.end, to: size };
    const seal = await readSeal(file, header, this.#seed);
    if (result.sealed) {
      if (seal === undefined)
        this.#add({
          kind: 'seal',
          path,
          text: 'it does not end with its seal; its records are whole',
          bytes,
        });
      else if (seal.next !== result.next || (isChained && seal.chain !== result.chain))
        this.#add({ kind: 'seal', path, text: 'its seal does not fit its records', bytes });
      return;
    }
    if (result.tornBytes === 0 || following === undefined || result.next < following) return;
    if (await looksLikeSeal(file, size, result))
      this.#add({
        kind: 'seal',
        path,
        text: 'its seal is damaged; its records are whole, and a start reads them instead',
        bytes,
      });
  }

  #add(fault: Fault): void {
    this.#faults.push(fault);
  }
}

function upTo(first: LogPosition, following: LogPosition | undefined): Pick<Fault, 'positions'> {
  // Of the last segment nobody knows how far it went.
  return following === undefined ? {} : { positions: { first, last: following - 1 } };
}

function tornText(path: string, size: number, { end, next }: ScanResult): string {
  return `${path}: bytes ${end} to ${size - 1} are no whole record (position ${next} would be next): a commit that a crash interrupted, of which nobody was told that it is stored, or the very last one, damaged; a start cuts them off`;
}

/** Damage where the seal should be. In a segment that never had one, a commit that was written again elsewhere lies there. */
async function looksLikeSeal(file: StoreFile, size: number, { end, next }: ScanResult): Promise<boolean> {
  const bytes = Buffer.alloc(Math.min(RECORD_HEADER_BYTES, size - end));
  await file.read(bytes, end);
  const trailer = Buffer.alloc(4);
  await file.read(trailer, size - trailer.length);
  if (trailer.readUInt32LE(0) === size - end) return true;
  return bytes.length === RECORD_HEADER_BYTES && bytes[14] === SEAL_TYPE && readU48(bytes, 8) === next;
}

/** When the record was written, where it says so. */
function wallOf(type: number, bytes: Uint8Array, start: number): number | undefined {
  if (type === RecordType.message || type === RecordType.retained || type === RecordType.passed)
    return readU48(bytes, start + 1);
  return type === RecordType.time ? readU48(bytes, start + 6) : undefined;
}
