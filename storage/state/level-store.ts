import { existsSync } from 'node:fs';
import { chmod, rm } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Level } from 'level';
import { makeFolder } from '../../lib/contracts/durable-folder.js';
import { SprawlError } from '../../lib/contracts/errors.js';
import { toStorageError } from '../files/storage-error.js';
import type { KeyValueStore } from './key-value-store.js';

/** What is gathered in memory before LevelDB writes a table of it. */
const WRITE_BUFFER_BYTES = 4_194_304;
const CACHE_BYTES = 4_194_304;
/** Fewer where they are large: an answer ends after 16 KiB. */
const ENTRIES_AT_A_TIME = 1000;
/** LevelDB makes its files, and its folder, as the umask of the process says, and they hold what clients say: the folder keeps others out. */
const FOLDER_MODE = 0o700;
/** About a millisecond's worth. */
const WRITES_PER_TURN = 256;

/**
 * LevelDB in a folder. It is not trusted: it acknowledges writes after a failed one that are gone after a restart, and returns
 * changed bytes without an error (google/leveldb#1180, #251). Whoever uses it checks what it reads, and closes it after a failed write.
 */
export class LevelStore implements KeyValueStore {
  readonly #folder: string;
  #db: Level<string, Uint8Array> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async open(create: boolean): Promise<void> {
    // With createIfMissing LevelDB makes an empty database of one whose CURRENT is gone.
    if (!create && !existsSync(`${this.#folder}/CURRENT`)) {
      throw new SprawlError('STORAGE_CORRUPT', `${this.#folder} is not the database that was there before`);
    }
    await this.#closeToOthers(create);
    const db = new Level<string, Uint8Array>(this.#folder, {
      keyEncoding: 'utf8',
      valueEncoding: 'view',
      createIfMissing: create,
      compression: false,
      writeBufferSize: WRITE_BUFFER_BYTES,
      cacheSize: CACHE_BYTES,
    });
    try {
      await db.open();
    } catch (error) {
      throw toLevelError(error, this.#folder);
    }
    this.#db = db;
  }

  /** Also what an earlier version left open to others. A folder that is not ours, or may not be changed, is as somebody else wanted it. */
  async #closeToOthers(create: boolean): Promise<void> {
    try {
      if (create) await makeFolder(this.#folder, FOLDER_MODE);
    } catch (error) {
      throw toStorageError(error, `create the folder ${this.#folder}`);
    }
    await chmod(this.#folder, FOLDER_MODE).catch(() => undefined);
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#opened.get(key);
    } catch (error) {
      throw toLevelError(error, this.#folder);
    }
  }

  /** In many turns where there are many: a batch that is built step by step costs a quarter of one that is handed in as an array, too. */
  async write(changes: ReadonlyMap<string, Uint8Array | null>): Promise<void> {
    const batch = this.#opened.batch();
    try {
      let count = 0;
      for (const [key, value] of changes) {
        if (value === null) batch.del(key);
        else batch.put(key, value);
        if (++count % WRITES_PER_TURN === 0) await nextTurn();
      }
      await batch.write({ sync: true });
    } catch (error) {
      await batch.close();
      throw toLevelError(error, this.#folder);
    }
  }

  async *entries(from: string, to: string): AsyncIterable<readonly [string, Uint8Array]> {
    try {
      const iterator = this.#opened.iterator({ gte: from, lt: to });
      try {
        // By itself the iterator asks for one entry first, which makes two tasks of most look-ups.
        for (let some = await iterator.nextv(ENTRIES_AT_A_TIME); some.length > 0;) {
          yield* some;
          some = await iterator.nextv(ENTRIES_AT_A_TIME);
        }
      } finally {
        await iterator.close();
      }
    } catch (error) {
      throw toLevelError(error, this.#folder);
    }
  }

  async removeRange(from: string, to: string): Promise<void> {
    try {
      await this.#opened.clear({ gte: from, lt: to });
    } catch (error) {
      throw toLevelError(error, this.#folder);
    }
  }

  /** Writes all tables anew, without what was overwritten or removed. @throws SprawlError STORAGE_FULL, STORAGE_IO */
  async compact(): Promise<void> {
    try {
      await parseCompactable(this.#opened).compactRange('', '\u{10ffff}');
    } catch (error) {
      throw toLevelError(error, this.#folder);
    }
  }

  async destroy(): Promise<void> {
    try {
      await rm(this.#folder, { recursive: true, force: true });
    } catch (error) {
      throw toStorageError(error, `remove ${this.#folder}`);
    }
  }

  async close(): Promise<void> {
    const db = this.#db;
    this.#db = undefined;
    await db?.close();
  }

  get #opened(): Level<string, Uint8Array> {
    if (this.#db === undefined) throw new SprawlError('STORAGE_IO', `${this.#folder} is closed`);
    return this.#db;
  }
}

/** What LevelDB in Node has beyond the types of `level`, which are also of browsers. */
interface Compactable {
  compactRange(start: string, end: string): Promise<void>;
}

function parseCompactable(db: object): Compactable {
  if ('compactRange' in db && typeof db.compactRange === 'function') return db as Compactable;
  throw new Error('this LevelDB cannot compact');
}

/** What LevelDB throws, as the errors of storage. */
export function toLevelError(error: unknown, folder: string): SprawlError {
  if (error instanceof SprawlError) return error;
  const { code, text } = innermost(error);
  if (code === 'LEVEL_LOCKED') {
    return new SprawlError(
      'STORAGE_LOCKED',
      `${folder} is in use by another process; stop it, or start this one with another --data-dir`,
      { cause: error },
    );
  }
  if (/no space left/i.test(text)) {
    return toStorageError(Object.assign(new Error(text), { code: 'ENOSPC' }), `write ${folder}`);
  }
  // LevelDB removes an old MANIFEST before it has made sure of the CURRENT that names the new one.
  if (code === 'LEVEL_CORRUPTION' || /corruption|no such file/i.test(text))
    return new SprawlError('STORAGE_CORRUPT', `${folder} is damaged: ${text}`, { cause: error });
  return new SprawlError('STORAGE_IO', `the database in ${folder} failed: ${text}`, {
    cause: error,
    retryable: true,
  });
}

function innermost(error: unknown): { readonly code: string; readonly text: string } {
  let at = error;
  while (at instanceof Error && at.cause instanceof Error) at = at.cause;
  if (!(at instanceof Error)) return { code: '', text: String(at) };
  return { code: 'code' in at ? String(at.code) : '', text: at.message };
}
