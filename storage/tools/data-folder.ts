import { isAbsolute, relative, sep } from 'node:path';
import { SprawlError } from '../../lib/contracts/errors.js';
import type { Clock, Timers } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { KeyProvider } from '../../lib/contracts/master-key.js';
import { takeFolderLock } from '../disk/folder-lock.js';
import { type Layout, layoutOf } from '../disk/layout.js';
import type { FileSystem } from '../files/file-system.js';
import { Keyring } from '../crypto/keyring.js';
import { SealedKeyValue, Vault } from '../crypto/vault.js';
import type { KeyValueStore } from '../state/key-value-store.js';

/** How far a tool has come. */
export interface Progress {
  /** Completes "is …": `reading the log`. */
  readonly doing: string;
  readonly doneBytes: number;
  readonly ofBytes: number;
}

/** The world of a tool, and the data folder that it is for. */
export interface ToolParts {
  readonly files: FileSystem;
  readonly folder: string;
  readonly openDatabase: (folder: string) => KeyValueStore;
  /** A copy of a database that nobody writes: looking at it changes nothing of the original. `destroy` removes the copy. */
  readonly copyDatabase: (folder: string) => Promise<KeyValueStore>;
  /** Writes the tables of a database anew, without what was overwritten or removed. */
  readonly compactDatabase: (folder: string) => Promise<void>;
  /** Where the keys come from that the data is encrypted with. */
  readonly keyProvider: KeyProvider;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  /** Calls back after everything that is already in the current turn: setImmediate. */
  readonly schedule: (run: () => void) => void;
  readonly onProgress: (progress: Progress) => void;
}

/** @throws SprawlError STORAGE_MISSING where `folder` is none. */
export async function expectDataFolder({ files, folder }: ToolParts): Promise<Layout> {
  if (!(await holdsData(files, folder))) {
    throw new SprawlError(
      'STORAGE_MISSING',
      `${folder} is no data folder: it has no identity.json, log or snapshots; say where it is with --data-dir`,
      { details: { folder } },
    );
  }
  return layoutOf(folder);
}

/** Whether a gateway has ever written to `folder`. */
export async function holdsData(files: FileSystem, folder: string): Promise<boolean> {
  const names = await files.list(folder);
  return names.some((name) => /^(identity\.json|(log|snapshots|index)(\/.*)?)$/.test(name));
}

/** Whether two folders are the same, or one is within the other, whatever links lead there. */
export async function areNested(files: FileSystem, one: string, other: string): Promise<boolean> {
  const [a, b] = [await files.realPath(one), await files.realPath(other)];
  return isWithin(a, b) || isWithin(b, a);
}

function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/**
 * Runs `task` while no gateway can use the folder. @throws SprawlError STORAGE_LOCKED where one does
 */
export async function withFolderLock<T>(
  { files, openDatabase }: ToolParts,
  layout: Layout,
  task: () => Promise<T>,
): Promise<T> {
  await files.makeFolder(layout.folder);
  const lock = openDatabase(layout.lock);
  const giveUpBallast = (): Promise<void> => files.remove(layout.ballast);
  await takeFolderLock(lock, giveUpBallast);
  try {
    // What makes room needs some first.
    if ((await files.freeBytes(layout.folder)) < (await sizeOf(files, layout.ballast))) await giveUpBallast();
    return await task();
  } finally {
    await lock.close();
  }
}

/** Runs `task`, which changes nothing. @param isInUse whether a gateway uses the folder; where not, none can until the task is done. */
export async function whileLooking<T>(
  { files, openDatabase }: ToolParts,
  layout: Layout,
  task: (isInUse: boolean) => Promise<T>,
): Promise<T> {
  // A folder that no gateway was ever started on, a backup for instance: nothing is added to it.
  if ((await files.list(layout.lock)).length === 0) return task(false);
  const lock = openDatabase(layout.lock);
  try {
    await lock.open(false);
  } catch (error) {
    if (!(error instanceof SprawlError)) throw error;
    // It cannot be written, as on a card that is mounted to be read only: then nobody else writes, either.
    return await task(error.code === 'STORAGE_LOCKED');
  }
  try {
    return await task(false);
  } finally {
    await lock.close();
  }
}

/**
 * What opens the data, where it is encrypted; nothing is written. @throws SprawlError STORAGE_KEY_WRONG, STORAGE_KEY_INVALID,
 * STORAGE_CORRUPT
 */
export async function openVault(
  { files, keyProvider }: ToolParts,
  layout: Layout,
): Promise<Vault | undefined> {
  const keyring = await Keyring.read(files, layout.keys, await keyProvider.masterKeys(), noKeys);
  return keyring === undefined ? undefined : new Vault(keyring);
}

function noKeys(): never {
  throw new Error('a tool makes no keys');
}

export function unsealed(database: KeyValueStore, vault: Vault | undefined): KeyValueStore {
  return vault === undefined ? database : new SealedKeyValue(database, vault);
}

/** @returns 0 where there is no such file. @throws SprawlError STORAGE_IO */
export async function sizeOf(files: FileSystem, path: string): Promise<number> {
  try {
    const file = await files.open(path, 'read');
    try {
      return await file.size();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof SprawlError && error.code === 'STORAGE_MISSING') return 0;
    throw error;
  }
}

export async function sizeOfAll(files: FileSystem, folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await files.list(folder)) bytes += await sizeOf(files, `${folder}/${name}`);
  return bytes;
}
