/** Reads records that are committed, from whatever segment they are in. */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { FileSystem, StoreFile } from '../files/file-system.js';
import { checkRecord, readU32, readU48, RECORD_HEADER_BYTES, SKIPPED_TYPE } from './record.js';
import type { RecordCipher } from './record-cipher.js';
import type { Segment } from './segment.js';
import { type Damage, type RecordVisitor, scanSegment } from './segment-scan.js';

/** Backlogs are read front to back, by few readers at a time in different places. */
const OPEN_FILES_MAX_COUNT = 16;
/** As many reads as Node.js has threads for. */
const PICKS_AT_A_TIME = 4;
const PART_MAX_BYTES = 262_144;
/** Of the parts that are read with one request: while some are looked through the next are read. */
const PICK_MAX_BYTES = 524_288;

const NONE: readonly LogPosition[] = [];

/** Without the keys what is sealed is not nothing: nobody may go on as if it were. */
const NO_KEYS: RecordCipher = {
  sealRecords: noKeys,
  openRecords: noKeys,
};

function noKeys(): never {
  throw new SprawlError(
    'STORAGE_KEY_WRONG',
    'the log is encrypted, and keys.json is missing; restore that file from a backup, and give the key with storage.encryptionKeyFile',
  );
}

/** Wanted records of a part of a segment. */
interface Part {
  readonly segment: Segment;
  readonly offset: number;
  /** Position at `offset`. */
  readonly first: LogPosition;
  end: number;
  next: LogPosition;
  readonly wanted: LogPosition[];
}

/** Parts of one segment that are read with one request. */
interface PartGroup {
  readonly segment: Segment;
  readonly parts: Part[];
  bytes: number;
}

export interface ReadResult {
  /** The position to go on from. */
  readonly next: LogPosition;
  /** Positions that could not be read. */
  readonly damage: readonly Damage[];
  /** Positions that were left out when the segment was compacted. */
  readonly skipped: readonly Skipped[];
}

export type Skipped = Pick<Damage, 'first' | 'last'>;

export class LogReader {
  readonly #files: FileSystem;
  readonly #segments: readonly Segment[];
  readonly #seed: number;
  readonly #cipher: RecordCipher;
  readonly #committed: () => LogPosition;
  /** Least recently used first. */
  readonly #open = new Map<string, Promise<StoreFile>>();
  /** Reads that are under way: no file is closed under one. */
  #reads = 0;
  #readsEnded: (() => void) | undefined;
  /** What needs the files for itself, one after the other; reads that come later wait for it. */
  #turn: Promise<void> | undefined;

  constructor(
    files: FileSystem,
    segments: readonly Segment[],
    seed: number,
    committed: () => LogPosition,
    cipher?: RecordCipher,
  ) {
    this.#cipher = cipher ?? NO_KEYS;
    this.#files = files;
    this.#segments = segments;
    this.#seed = seed;
    this.#committed = committed;
  }

  /** The oldest position that is stored; one more than the last where nothing is. */
  get first(): LogPosition {
    return this.#segments[0]?.header.first ?? this.#committed() + 1;
  }

  /**
   * Visits the committed records from `from` to `to`, both included, or to the end of the segment that `from` is in.
   * Damaged records are left out and named in the result.
   * @param maxBytes about as many are read, and one record at least @throws SprawlError STORAGE_IO
   */
  read(from: LogPosition, to: LogPosition, visit: RecordVisitor, maxBytes = Infinity): Promise<ReadResult> {
    return this.#shared(() => this.#read(from, to, visit, maxBytes));
  }

  /**
   * Visits the committed records of these positions, which are in order; those that are damaged or gone are left out. For
   * records that lie far apart: nothing between them is checked. @throws SprawlError STORAGE_IO
   */
  pick(positions: readonly LogPosition[], visit: RecordVisitor): Promise<void> {
    return this.#shared(async () => {
      const groups = groupsOf(this.#partsOf(positions));
      const workers = Array.from({ length: Math.min(PICKS_AT_A_TIME, groups.length) }, async () => {
        for (let group = groups.shift(); group !== undefined; group = groups.shift())
          await this.#pickFrom(group, visit);
      });
      await Promise.all(workers);
    });
  }

  /** The segment is about to be removed. */
  forget({ path }: Segment): Promise<void> {
    return this.#alone(() => this.#close(path));
  }

  /** Nobody reads the segment while `change` puts another file in its place. */
  exchange({ path }: Segment, change: () => Promise<void>): Promise<void> {
    return this.#alone(async () => {
      await change();
      await this.#close(path);
    });
  }

  close(): Promise<void> {
    return this.#alone(async () => {
      await Promise.allSettled([...this.#open.keys()].map((path) => this.#close(path)));
    });
  }

  async #shared<T>(task: () => Promise<T>): Promise<T> {
    while (this.#turn !== undefined) await this.#turn;
    this.#reads++;
    try {
      return await task();
    } finally {
      this.#reads--;
      if (this.#reads === 0) {
        this.#closeSpare();
        this.#readsEnded?.();
        this.#readsEnded = undefined;
      }
    }
  }

  async #alone(task: () => Promise<void>): Promise<void> {
    while (this.#turn !== undefined) await this.#turn;
    let ended: () => void = () => undefined;
    this.#turn = new Promise((resolve) => {
      ended = resolve;
    });
    try {
      if (this.#reads > 0)
        await new Promise<void>((resolve) => {
          this.#readsEnded = resolve;
        });
      await task();
    } finally {
      this.#turn = undefined;
      ended();
    }
  }

  /** Wanted positions by the parts of the index that they are in; parts that follow each other are read together. */
  #partsOf(positions: readonly LogPosition[]): Part[] {
    const committed = this.#committed();
    const parts: Part[] = [];
    let last: Part | undefined;
    for (const position of positions) {
      if (position > committed) break;
      if (last !== undefined && position < last.next) {
        last.wanted.push(position);
        continue;
      }
      const segment = this.#segmentOf(position);
      if (segment === undefined) continue;
      const { offset, position: first, next } = segment.index.partOf(position);
      const end = next?.offset ?? segment.end;
      const until = next?.position ?? segment.next;
      if (last?.segment === segment && last.end === offset && end - last.offset <= PART_MAX_BYTES) {
        last.end = end;
        last.next = until;
        last.wanted.push(position);
      } else {
        last = { segment, offset, first, end, next: until, wanted: [position] };
        parts.push(last);
      }
    }
    return parts;
  }

  async #pickFrom(group: PartGroup, visit: RecordVisitor): Promise<void> {
    const file = await this.#fileOf(group.segment);
    const ranges = group.parts.map(({ offset, end }) => ({ offset, length: end - offset }));
    const rests: (readonly LogPosition[])[] = [];
    await file.readParts(ranges, (i, bytes, start, end) => {
      const rest = this.#visitWanted(group.parts[i] as Part, bytes, start, end, visit);
      if (rest.length > 0) rests.push(rest);
    });
    for (const rest of rests) await this.#scanFor(rest, visit);
  }

  /** @returns those of the wanted records that `bytes[start, end)` does not plainly have. */
  #visitWanted(
    { first, wanted }: Part,
    bytes: Uint8Array,
    start: number,
    end: number,
    visit: RecordVisitor,
  ): readonly LogPosition[] {
    let position = first;
    let found = 0;
    for (let at = start; found < wanted.length && at + RECORD_HEADER_BYTES <= end; position++) {
      const next = at + RECORD_HEADER_BYTES + readU32(bytes, at + 4);
      const type = bytes[at + 14] as number;
      // Whatever is not a plain record in its place is a matter for the whole scan.
      if (readU48(bytes, at + 8) !== position || type >= SKIPPED_TYPE || next > end) break;
      if (position === wanted[found]) {
        if (checkRecord(bytes, at, end, position, this.#seed) !== 'whole') break;
        visit(position, type, bytes, at + RECORD_HEADER_BYTES, next);
        found++;
      }
      at = next;
    }
    return found === wanted.length ? NONE : wanted.slice(found);
  }

  async #scanFor(wanted: readonly LogPosition[], visit: RecordVisitor): Promise<void> {
    const rest = new Set(wanted);
    const to = wanted[wanted.length - 1] as LogPosition;
    const pick: RecordVisitor = (at, type, body, start, bodyEnd) => {
      if (rest.has(at)) visit(at, type, body, start, bodyEnd);
    };
    await this.#read(wanted[0] as LogPosition, to, pick, Infinity);
  }

  async #read(
    from: LogPosition,
    to: LogPosition,
    visit: RecordVisitor,
    maxBytes: number,
  ): Promise<ReadResult> {
    const last = Math.min(to, this.#committed());
    if (from > last) return { next: from, damage: [], skipped: [] };
    const segment = this.#segmentOf(from);
    if (segment === undefined) {
      // In front of, or between, the segments that are there.
      const following = this.#segments.find(({ header }) => header.first > from);
      const next = Math.min(following?.header.first ?? last + 1, last + 1);
      const damage = [{ from: 0, to: 0, first: from, last: next - 1 }];
      return { next, damage, skipped: [] };
    }
    const start = segment.index.find(from);
    const cut = segment.index.entryBehind(from, start.offset + maxBytes);
    const until = Math.min(last, segment.next - 1, (cut?.position ?? Infinity) - 1);
    const end = segment.index.endAfter(until) ?? segment.end;
    const file = await this.#fileOf(segment);
    const left: Skipped[] = [];
    const skipped = (first: LogPosition, lastSkipped: LogPosition): void => {
      if (lastSkipped < from || first > until) return;
      left.push({ first: Math.max(first, from), last: Math.min(lastSkipped, until) });
    };
    const range = { offset: start.offset, position: start.position, end, isCommitted: true, skipped };
    const result = await scanSegment(
      file,
      range,
      this.#seed,
      (position, type, bytes, at, bodyEnd) => {
        if (position >= from && position <= until) visit(position, type, bytes, at, bodyEnd);
      },
      this.#cipher,
    );
    const damage = result.damage.filter((one) => one.last >= from && one.first <= until);
    if (result.next <= until)
      damage.push({ from: result.end, to: end, first: Math.max(result.next, from), last: until });
    return { next: until + 1, damage, skipped: left };
  }

  #segmentOf(position: LogPosition): Segment | undefined {
    let low = 0;
    let high = this.#segments.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const segment = this.#segments[middle] as Segment;
      if (position < segment.header.first) high = middle - 1;
      else if (position >= segment.next) low = middle + 1;
      else return segment;
    }
    return undefined;
  }

  async #fileOf({ path }: Segment): Promise<StoreFile> {
    const opening = this.#open.get(path) ?? this.#files.open(path, 'read');
    this.#open.delete(path);
    this.#open.set(path, opening);
    try {
      return await opening;
    } catch (error) {
      if (this.#open.get(path) === opening) this.#open.delete(path);
      throw error;
    }
  }

  /** Nobody reads: those that were used longest ago are closed. */
  #closeSpare(): void {
    for (const path of this.#open.keys()) {
      if (this.#open.size <= OPEN_FILES_MAX_COUNT) return;
      void this.#close(path);
    }
  }

  async #close(path: string): Promise<void> {
    const opening = this.#open.get(path);
    this.#open.delete(path);
    // One that could not be opened was reported to who wanted to read it.
    const file = await opening?.catch(() => undefined);
    await file?.close();
  }
}

function groupsOf(parts: readonly Part[]): PartGroup[] {
  const groups: PartGroup[] = [];
  for (const part of parts) {
    const bytes = part.end - part.offset;
    const last = groups[groups.length - 1];
    if (last?.segment === part.segment && last.bytes + bytes <= PICK_MAX_BYTES) {
      last.parts.push(part);
      last.bytes += bytes;
    } else {
      groups.push({ segment: part.segment, parts: [part], bytes });
    }
  }
  return groups;
}
