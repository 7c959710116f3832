/**
 * The database of a data folder: made again where it is in doubt, changed in whole checkpoints, copied to snapshots.
 *
 *     open ─▶ trusted ──────────────────────────────────────────▶ open
 *       └───▶ in doubt ─▶ destroyed ─▶ newest whole snapshot ──▶ open      the log has the rest; damaged ones are set aside
 *
 * Blocks of queues are read at any time; those of the checkpoint that is being written, and of the next one, are in memory.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { FileSystem } from '../files/file-system.js';
import { CheckedStore, type EntryVisitor, UNFINISHED } from '../state/checked-store.js';
import type { KeyValueStore } from '../state/key-value-store.js';
import {
  type Entry,
  listSnapshots,
  readSnapshot,
  type SnapshotFile,
  writeSnapshot,
} from '../state/snapshot.js';
import type { Vault } from '../crypto/vault.js';
import { BlockCensus, LOADED_PREFIX, LOG_FLOOR_KEY, QUEUE_PREFIX } from './session-table.js';
import { TOPIC_BLOCK_PREFIX } from './topic-index.js';

/** What is put into a database that is made again at a time. */
const REBUILD_BATCH_BYTES = 1_048_576;
/** An older one stays for the case that the newest is damaged. */
const SNAPSHOTS_KEPT = 2;
/** Marks the entries of a snapshot that are sealed. */
const SEALED_PREFIX = 'x/';

export type Changes = Map<string, Uint8Array | null>;

export interface StateIndexOptions {
  readonly files: FileSystem;
  readonly database: KeyValueStore;
  readonly snapshotFolder: string;
  readonly identity: Uint8Array;
  readonly logger: Logger;
  /** Seals what is written to snapshots; what was written without it stays readable. */
  readonly vault: Vault | undefined;
  /** Why the database was removed: it is made again, and nothing is wrong. */
  readonly removedFor?: string | undefined;
}

/** Why, and from what, the database was made again. */
export interface Rebuild {
  readonly why: string;
  /** Position of the snapshot; 0: there was none. */
  readonly from: LogPosition;
}

export class StateIndex {
  /** undefined: the database was as it should be. */
  rebuild: Rebuild | undefined;
  bytesWritten = 0;
  readonly #options: StateIndexOptions;
  #store: CheckedStore | undefined;
  /** A write has failed, and it was not opened again since. */
  #isInDoubt = false;
  #opening: Promise<CheckedStore> | undefined;
  /** Newest first. */
  #snapshots: SnapshotFile[] = [];
  #lastSnapshotBytes = 0;
  /** Blocks since the last checkpoint. */
  #pending: Changes = new Map();
  #pendingBytes = 0;
  #writing: Changes = new Map();

  constructor(options: StateIndexOptions) {
    this.#options = options;
  }

  /**
   * @param isNew nothing was ever stored: then a missing database is no loss. @param visit is shown what is loaded at the start;
   * what it was shown before `restart` is called does not count. @param census which blocks there have to be, by what was shown.
   */
  async open(
    isNew: boolean,
    visit: EntryVisitor,
    restart: () => void,
    census = (): BlockCensus => new BlockCensus(),
  ): Promise<void> {
    const { files, database, snapshotFolder, logger, removedFor } = this.#options;
    await files.makeFolder(snapshotFolder);
    this.#snapshots = await listSnapshots(files, snapshotFolder);
    if (isNew && this.#snapshots.length === 0) {
      await database.destroy();
      this.#store = await CheckedStore.create(database, LOADED_PREFIX);
      return;
    }
    if (removedFor !== undefined) {
      logger.info('the database is made again from a snapshot and the log', { reason: removedFor });
      await this.#makeAgain(removedFor);
    }
    try {
      this.#store = await CheckedStore.open(database, LOADED_PREFIX, visit);
      await this.#checkBlocks(census());
    } catch (error) {
      if (!(error instanceof SprawlError) || error.code !== 'STORAGE_CORRUPT') throw error;
      logger.warn('the database cannot be trusted and is made again from a snapshot and the log', {
        reason: error.message,
      });
      restart();
      await this.#store?.close();
      await this.#makeAgain(error.message);
      this.#store = await CheckedStore.open(database, LOADED_PREFIX, visit);
    }
  }

  /** The state is that after this position of the log. */
  get applied(): LogPosition {
    return this.#opened.head.applied;
  }

  /** The log has to reach back to it, in case that the database and the newest snapshot are damaged. */
  get floor(): LogPosition {
    return (this.#snapshots[SNAPSHOTS_KEPT - 1]?.position ?? 0) + 1;
  }

  get newestSnapshot(): LogPosition {
    return this.#snapshots[0]?.position ?? 0;
  }

  get lastSnapshotBytes(): number {
    return this.#lastSnapshotBytes;
  }

  /** Of blocks that no checkpoint has taken. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  put(key: string, value: Uint8Array): void {
    this.#pending.set(key, value);
    this.#pendingBytes += key.length + value.length;
  }

  /** A key of `put`, which is never put again. */
  drop(key: string): void {
    const value = this.#pending.get(key);
    if (value instanceof Uint8Array && !this.#writing.has(key)) {
      this.#pending.delete(key);
      this.#pendingBytes -= key.length + value.length;
    } else {
      this.#pending.set(key, null);
    }
  }

  /** @throws SprawlError STORAGE_CORRUPT, STORAGE_IO */
  async get(key: string): Promise<Uint8Array> {
    const value =
      this.#pending.get(key) ?? this.#writing.get(key) ?? (await (await this.#reopened()).get(key));
    if (value === undefined || value === null)
      throw new SprawlError('STORAGE_CORRUPT', `${key} is missing from the database`);
    return value;
  }

  /** Keys that begin with `prefix`, in order; of what the last checkpoint wrote. @throws SprawlError STORAGE_CORRUPT, STORAGE_IO */
  entries(prefix: string): AsyncIterable<readonly [string, Uint8Array]> {
    return this.#opened.entries(prefix);
  }

  /** Keys that are not loaded at the start; they are gone at once. @throws SprawlError STORAGE_CORRUPT, STORAGE_IO */
  async removeAll(prefix: string): Promise<void> {
    await (await this.#reopened()).removeAll(prefix);
  }

  /** From here on blocks belong to the next checkpoint; `write` takes those of this one. */
  beginCheckpoint(): void {
    // After a failed one its blocks are still to be written; newer ones win.
    for (const [key, value] of this.#pending) this.#writing.set(key, value);
    this.#pending = new Map();
    this.#pendingBytes = 0;
  }

  /**
   * Everything that the checkpoint changes, besides its blocks: all or nothing. After a failure it may be tried again.
   * @param pause between two parts of the work
   */
  async write(applied: LogPosition, changes: Changes, pause?: () => Promise<void>): Promise<void> {
    for (const [key, value] of this.#writing) changes.set(key, value);
    let bytes = 0;
    for (const [key, value] of changes) bytes += key.length + (value?.length ?? 0);
    const store = await this.#reopened();
    try {
      await store.write(applied, changes, pause);
    } catch (error) {
      // Nothing that it acknowledged before is certain either: it is looked at anew before it is used again.
      this.#store = undefined;
      this.#isInDoubt = true;
      await store.close().catch(() => undefined);
      throw error;
    }
    this.bytesWritten += bytes;
    this.#writing = new Map();
  }

  /** Copies the state as of the last checkpoint. No checkpoint is written meanwhile. */
  async snapshot(): Promise<void> {
    const { files, snapshotFolder, identity } = this.#options;
    const store = await this.#reopened();
    const position = store.head.applied;
    const entries = this.#forSnapshot(store);
    const size = await writeSnapshot(files, snapshotFolder, position, identity, entries);
    this.#lastSnapshotBytes = size;
    this.bytesWritten += size;
    this.#snapshots = await listSnapshots(files, snapshotFolder);
    for (const { path } of this.#snapshots.splice(SNAPSHOTS_KEPT)) await files.remove(path);
  }

  /** Without the index of topics, which is large and can be made from the log. */
  async *#forSnapshot(store: CheckedStore): AsyncIterable<Entry> {
    // In the order of the keys, as a snapshot has them; of what is left out not even damage is seen.
    for (const prefix of [LOADED_PREFIX, QUEUE_PREFIX])
      for await (const entry of store.entries(prefix))
        // Nor of what is true of the log of today alone.
        if (!entry[0].startsWith(TOPIC_BLOCK_PREFIX) && entry[0] !== LOG_FLOOR_KEY) yield this.#sealed(entry);
  }

  #sealed([key, value]: Entry): Entry {
    const { vault } = this.#options;
    if (vault === undefined) return [key, value];
    const [hidden, sealed] = vault.sealEntry(key, value);
    return [SEALED_PREFIX + hidden, sealed];
  }

  async close(): Promise<void> {
    this.#isInDoubt = false;
    await this.#opening?.catch(() => undefined);
    await this.#store?.close();
    this.#store = undefined;
  }

  get #opened(): CheckedStore {
    if (this.#store === undefined)
      throw new SprawlError('STORAGE_IO', 'the database is closed', { retryable: true });
    return this.#store;
  }

  /** After a failed write it is opened again by whoever needs it first; the others wait for the same attempt. @throws SprawlError */
  #reopened(): Promise<CheckedStore> {
    if (this.#store !== undefined || !this.#isInDoubt) return Promise.resolve(this.#opened);
    this.#opening ??= CheckedStore.open(this.#options.database, LOADED_PREFIX, () => undefined)
      .then((store) => {
        this.#isInDoubt = false;
        this.#store = store;
        return store;
      })
      .finally(() => {
        this.#opening = undefined;
      });
    return this.#opening;
  }

  /** All of them are read: one that is damaged would be noticed only when its client comes, when nothing can be made again. */
  async #checkBlocks(census: BlockCensus): Promise<void> {
    for await (const [key] of this.#opened.entries(QUEUE_PREFIX)) census.see(key);
    if (census.missing > 0)
      throw new SprawlError(
        'STORAGE_CORRUPT',
        `${census.missing} blocks of queues are missing from the database`,
      );
  }

  async #makeAgain(why: string): Promise<void> {
    const { files, database, identity, logger, vault } = this.#options;
    for (const snapshot of [...this.#snapshots]) {
      await database.destroy();
      const store = await CheckedStore.create(database, LOADED_PREFIX, UNFINISHED);
      try {
        await fill(store, snapshot, files, identity, vault);
        this.rebuild = { why, from: snapshot.position };
        return;
      } catch (error) {
        if (!(error instanceof SprawlError) || error.code !== 'STORAGE_CORRUPT') throw error;
        const path = await this.#setAside(snapshot);
        logger.error('a snapshot is damaged and was set aside', { path, reason: error.message });
      } finally {
        await store.close();
      }
    }
    await database.destroy();
    await (await CheckedStore.create(database, LOADED_PREFIX)).close();
    this.rebuild = { why, from: 0 };
  }

  /**
   * It would be counted as the second newest: the whole one would go, and the log behind it. Before the database is believed again, so that
   * after a crash it is found once more. @returns its path from now on
   */
  async #setAside(snapshot: SnapshotFile): Promise<string> {
    const { files, snapshotFolder } = this.#options;
    const path = `${snapshot.path}.bad`;
    await files.rename(snapshot.path, path);
    await files.syncFolder(snapshotFolder);
    this.#snapshots = this.#snapshots.filter((other) => other !== snapshot);
    return path;
  }
}

async function fill(
  store: CheckedStore,
  snapshot: SnapshotFile,
  files: FileSystem,
  identity: Uint8Array,
  vault: Vault | undefined,
): Promise<void> {
  let batch: Changes = new Map();
  let bytes = 0;
  await readSnapshot(files, snapshot, identity, async (entry) => {
    const [key, value] = unsealed(entry, vault);
    batch.set(key, Uint8Array.from(value));
    bytes += key.length + value.length;
    if (bytes < REBUILD_BATCH_BYTES) return;
    await store.write(UNFINISHED, batch);
    batch = new Map();
    bytes = 0;
  });
  await store.write(snapshot.position, batch);
}

function unsealed([key, value]: Entry, vault: Vault | undefined): Entry {
  if (!key.startsWith(SEALED_PREFIX)) return [key, value];
  if (vault === undefined)
    throw new SprawlError(
      'STORAGE_KEY_WRONG',
      'a snapshot is encrypted, and keys.json is missing; restore that file from a backup',
    );
  return vault.openEntry(key.slice(SEALED_PREFIX.length), value);
}
