/**
 * A database that may forget and change what it holds, made to tell the truth or to say that it cannot:
 *
 * - every value carries a CRC-32C over key and value: a changed bit is noticed when it is read
 * - every batch leaves a mark with its number; the newest marks have to be there without a gap: a batch that the database lost from the
 *   middle of its own log is noticed when it is opened
 * - what is loaded at the start has a digest over all its keys: one that vanished, or came back with an older value, because a bit
 *   of a table's structure changed, is noticed then
 *
 * In either case the state is in doubt. Nothing is lost by that: it is made again from a snapshot and the log.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import { crc32c } from '../log/crc32c.js';
import { readU32, writeU32 } from '../log/record.js';
import type { KeyValueStore } from './key-value-store.js';

/** `applied` of a state that is being made: it is in doubt until it is whole. */
export const UNFINISHED = -1;
/** LevelDB's own log holds 4 MiB of batches, each of them synced; older ones are in tables. */
const MARKS_MAX_COUNT = 1024;
const MARK_PREFIX = '!mark/';
const HEAD_KEY = '!head';
const CRC_BYTES = 4;
/** About a millisecond's worth. */
const WRAPPED_PER_TURN = 256;
const NO_BYTES = new Uint8Array(0);

interface Digest {
  readonly count: number;
  readonly sum: number;
}

export interface StateHead {
  /** Number of the batch that wrote it. */
  readonly batch: number;
  /** The state is that after this position of the log. */
  readonly applied: LogPosition;
  /** Of the keys that are loaded at the start: how many, and the sum of their CRCs modulo 2^32. */
  readonly digest: Digest;
  readonly formatVersion: number;
}

export const STATE_FORMAT_VERSION = 1;

/** Is shown every key that is loaded at the start, in order. */
export type EntryVisitor = (key: string, value: Uint8Array) => void;

export class CheckedStore {
  readonly #store: KeyValueStore;
  /** Keys that begin with it are loaded at the start. */
  readonly #loadedPrefix: string;
  /** CRCs of the keys that are loaded. */
  readonly #crcs = new Map<string, number>();
  #head: StateHead;

  private constructor(store: KeyValueStore, loadedPrefix: string, head: StateHead) {
    this.#store = store;
    this.#loadedPrefix = loadedPrefix;
    this.#head = head;
  }

  /**
   * A new, empty one. @param applied UNFINISHED where something is to be put into it before it is to be believed.
   * @throws SprawlError as KeyValueStore.open
   */
  static async create(
    store: KeyValueStore,
    loadedPrefix: string,
    applied: LogPosition = 0,
  ): Promise<CheckedStore> {
    await store.open(true);
    const digest = { count: 0, sum: 0 };
    const head = { batch: 0, applied: 0, digest, formatVersion: STATE_FORMAT_VERSION };
    const checked = new CheckedStore(store, loadedPrefix, head);
    await checked.write(applied, new Map());
    return checked;
  }

  /**
   * @param loadedPrefix as it was created with; `visit` is shown the keys that begin with it.
   * @throws SprawlError STORAGE_CORRUPT where the state is in doubt, STORAGE_FORMAT_NEWER, and as KeyValueStore.open; the store is
   * closed then, and what was shown is not to be used.
   */
  static async open(store: KeyValueStore, loadedPrefix: string, visit: EntryVisitor): Promise<CheckedStore> {
    await store.open(false);
    try {
      const bytes = await store.get(HEAD_KEY);
      if (bytes === undefined) throw doubt('its head is missing');
      const head = parseHead(unwrap(HEAD_KEY, bytes));
      if (head.applied === UNFINISHED) throw doubt('it was not finished when it was made');
      await checkMarks(store, head);
      const checked = new CheckedStore(store, loadedPrefix, head);
      await checked.#load(visit);
      return checked;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  get head(): StateHead {
    return this.#head;
  }

  /** @throws SprawlError STORAGE_CORRUPT */
  async get(key: string): Promise<Uint8Array | undefined> {
    const bytes = await this.#store.get(key);
    return bytes === undefined ? undefined : unwrap(key, bytes);
  }

  /** Keys that begin with `prefix`, in order. @throws SprawlError STORAGE_CORRUPT */
  async *entries(prefix: string): AsyncIterable<readonly [string, Uint8Array]> {
    for await (const [key, bytes] of this.#store.entries(prefix, `${prefix}\u{10ffff}`))
      yield [key, unwrap(key, bytes)];
  }

  /** Of what is not loaded at the start, keys that begin with `prefix`, whatever became of their values. @throws SprawlError */
  removeAll(prefix: string): Promise<void> {
    return this.#store.removeRange(prefix, `${prefix}\u{10ffff}`);
  }

  /**
   * The state after `applied`: all changes or none. After a failure nothing that was written before is certain either, and this is
   * not to be used again: open it anew. @param pause between two parts of the work @throws SprawlError
   */
  async write(
    applied: LogPosition,
    changes: ReadonlyMap<string, Uint8Array | null>,
    pause?: () => Promise<void>,
  ): Promise<void> {
    const wrapped = new Map<string, Uint8Array | null>();
    let { count, sum } = this.#head.digest;
    for (const [key, value] of changes) {
      const bytes = value === null ? null : wrap(key, value);
      wrapped.set(key, bytes);
      if (pause !== undefined && wrapped.size % WRAPPED_PER_TURN === 0) await pause();
      if (!key.startsWith(this.#loadedPrefix)) continue;
      const old = this.#crcs.get(key);
      if (old !== undefined) ({ count, sum } = { count: count - 1, sum: sum - old });
      if (bytes === null) {
        this.#crcs.delete(key);
      } else {
        const crc = readU32(bytes, 0);
        this.#crcs.set(key, crc);
        ({ count, sum } = { count: count + 1, sum: sum + crc });
      }
    }
    const batch = this.#head.batch + 1;
    const digest = { count, sum: sum >>> 0 };
    const head: StateHead = { batch, applied, digest, formatVersion: STATE_FORMAT_VERSION };
    const mark = markKey(batch);
    wrapped.set(mark, wrap(mark, NO_BYTES));
    if (batch > MARKS_MAX_COUNT) wrapped.set(markKey(batch - MARKS_MAX_COUNT), null);
    wrapped.set(HEAD_KEY, wrap(HEAD_KEY, Buffer.from(JSON.stringify(head), 'utf8')));
    await this.#store.write(wrapped);
    this.#head = head;
  }

  async #load(visit: EntryVisitor): Promise<void> {
    const prefix = this.#loadedPrefix;
    let sum = 0;
    for await (const [key, bytes] of this.#store.entries(prefix, `${prefix}\u{10ffff}`)) {
      const value = unwrap(key, bytes);
      const crc = readU32(bytes, 0);
      this.#crcs.set(key, crc);
      sum = (sum + crc) >>> 0;
      visit(key, value);
    }
    const { digest } = this.#head;
    if (this.#crcs.size !== digest.count || sum !== digest.sum)
      throw doubt(digestText(this.#crcs.size, digest.count));
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

/** A database that was looked at, not to be used but to be told about. */
export interface StateInspection {
  /** undefined: it is missing or damaged. */
  readonly head: StateHead | undefined;
  /** Keys whose values are damaged. */
  readonly damagedKeys: readonly string[];
  /** Everything else for which `CheckedStore.open` would doubt it. */
  readonly doubts: readonly string[];
}

/**
 * Reads every entry of an open store and goes on after a fault. @param visit is shown what is whole, in order.
 * @throws SprawlError STORAGE_FORMAT_NEWER
 */
export async function inspectState(
  store: KeyValueStore,
  loadedPrefix: string,
  visit: EntryVisitor,
): Promise<StateInspection> {
  const damagedKeys: string[] = [];
  const doubts: string[] = [];
  let head: StateHead | undefined;
  let count = 0;
  let sum = 0;
  try {
    for await (const [key, bytes] of store.entries('', '\u{10ffff}')) {
      if (!isWhole(key, bytes)) {
        damagedKeys.push(key);
        continue;
      }
      const value = bytes.subarray(CRC_BYTES);
      if (key === HEAD_KEY) head = parseHead(value);
      if (key.startsWith('!')) continue;
      if (key.startsWith(loadedPrefix)) {
        count++;
        sum = (sum + readU32(bytes, 0)) >>> 0;
      }
      visit(key, value);
    }
    if (head === undefined) doubts.push('its head is missing or damaged');
    else if (head.applied === UNFINISHED) doubts.push('it was not finished when it was made');
    else await checkMarks(store, head);
  } catch (error) {
    if (!(error instanceof SprawlError) || error.code === 'STORAGE_FORMAT_NEWER') throw error;
    doubts.push(typeof error.details.why === 'string' ? error.details.why : error.message);
  }
  const isLoadedDamaged = damagedKeys.some((key) => key.startsWith(loadedPrefix));
  if (doubts.length === 0 && !isLoadedDamaged && head !== undefined) {
    const { digest } = head;
    if (count !== digest.count || sum !== digest.sum) doubts.push(digestText(count, digest.count));
  }
  return { head, damagedKeys, doubts };
}

async function checkMarks(store: KeyValueStore, head: StateHead): Promise<void> {
  let expected = Math.max(1, head.batch - MARKS_MAX_COUNT + 1);
  for await (const [key, bytes] of store.entries(MARK_PREFIX, `${MARK_PREFIX}~`)) {
    unwrap(key, bytes);
    if (key !== markKey(expected)) throw doubt(`batch ${expected} is missing`);
    expected++;
  }
  if (expected !== head.batch + 1) throw doubt(`batch ${expected} is missing`);
}

function markKey(batch: number): string {
  return `${MARK_PREFIX}${String(batch).padStart(14, '0')}`;
}

function wrap(key: string, value: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(CRC_BYTES + value.length);
  bytes.set(value, CRC_BYTES);
  writeU32(bytes, 0, crcOf(key, bytes));
  return bytes;
}

function digestText(found: number, written: number): string {
  return `${found} keys are there, ${written} were written, or some are older ones`;
}

function isWhole(key: string, bytes: Uint8Array): boolean {
  return bytes.length >= CRC_BYTES && crcOf(key, bytes) === readU32(bytes, 0);
}

function unwrap(key: string, bytes: Uint8Array): Uint8Array {
  if (!isWhole(key, bytes)) throw doubt(`the value of ${JSON.stringify(key)} is damaged`);
  return bytes.subarray(CRC_BYTES);
}

function crcOf(key: string, bytes: Uint8Array): number {
  const name = Buffer.from(key, 'utf8');
  return crc32c(bytes, CRC_BYTES, bytes.length, crc32c(name, 0, name.length));
}

function doubt(why: string): SprawlError {
  return new SprawlError(
    'STORAGE_CORRUPT',
    `the database of the state cannot be trusted (${why}); it is made again from snapshot and log`,
    { details: { why } },
  );
}

function parseHead(bytes: Uint8Array): StateHead {
  const head = JSON.parse(Buffer.from(bytes).toString('utf8')) as StateHead;
  if (head.formatVersion > STATE_FORMAT_VERSION) {
    throw new SprawlError(
      'STORAGE_FORMAT_NEWER',
      `the state has format ${head.formatVersion}, this version reads up to ${STATE_FORMAT_VERSION}; start the version that wrote it, or restore a backup`,
      { details: { version: head.formatVersion, supported: STATE_FORMAT_VERSION } },
    );
  }
  return head;
}
