/** Reads records that are committed, from whatever segment they are in. */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { FileSystem, StoreFile } from '../files/file-system.js';
import type { RecordCipher } from './record-cipher.js';
import type { Segment } from './segment.js';
import { type Damage, type RecordVisitor, scanSegment } from './segment-scan.js';

/** Backlogs are read front to back, by few readers at a time in different places. */
const OPEN_FILES_MAX_COUNT = 16;

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

export interface ReadResult {
  /** The position to go on from. */
  readonly next: LogPosition;
  /** Positions that could not be read. */
  readonly damage: readonly Damage[];
}

export class LogReader {
  readonly #files: FileSystem;
  readonly #segments: readonly Segment[];
  readonly #seed: number;
  readonly #cipher: RecordCipher;
  readonly #committed: () => LogPosition;
  /** Least recently used first. */
  readonly #open = new Map<string, StoreFile>();
  /** One read at a time: a file is not closed under another read, and the disk has one head or one queue anyway. */
  #turn: Promise<unknown> = Promise.resolve();

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
   * Damaged records are left out and named in the result. @throws SprawlError STORAGE_IO
   */
  read(from: LogPosition, to: LogPosition, visit: RecordVisitor): Promise<ReadResult> {
    return this.#inTurn(() => this.#read(from, to, visit));
  }

  /** The segment is about to be removed. */
  forget({ path }: Segment): Promise<void> {
    return this.#inTurn(async () => {
      const file = this.#open.get(path);
      this.#open.delete(path);
      await file?.close();
    });
  }

  /** Nobody reads the segment while `change` puts another file in its place. */
  exchange({ path }: Segment, change: () => Promise<void>): Promise<void> {
    return this.#inTurn(async () => {
      await change();
      const file = this.#open.get(path);
      this.#open.delete(path);
      await file?.close();
    });
  }

  close(): Promise<void> {
    return this.#inTurn(async () => {
      const open = [...this.#open.values()];
      this.#open.clear();
      await Promise.allSettled(open.map((file) => file.close()));
    });
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(task);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #read(from: LogPosition, to: LogPosition, visit: RecordVisitor): Promise<ReadResult> {
    const last = Math.min(to, this.#committed());
    if (from > last) return { next: from, damage: [] };
    const segment = this.#segmentOf(from);
    if (segment === undefined) {
      // In front of, or between, the segments that are there.
      const following = this.#segments.find(({ header }) => header.first > from);
      const next = Math.min(following?.header.first ?? last + 1, last + 1);
      return { next, damage: [{ from: 0, to: 0, first: from, last: next - 1 }] };
    }
    const until = Math.min(last, segment.next - 1);
    const start = segment.index.find(from);
    const end = segment.index.endAfter(until) ?? segment.end;
    const file = await this.#fileOf(segment);
    const range = { offset: start.offset, position: start.position, end };
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
    return { next: until + 1, damage };
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
    const file = this.#open.get(path) ?? (await this.#files.open(path, 'read'));
    this.#open.delete(path);
    this.#open.set(path, file);
    if (this.#open.size > OPEN_FILES_MAX_COUNT) {
      const [oldest] = this.#open;
      if (oldest !== undefined) {
        this.#open.delete(oldest[0]);
        await oldest[1].close();
      }
    }
    return file;
  }
}
