/**
 * What a backup consists of: its files with their checksums, in `backup.json`, which is written when everything else is there. While a
 * backup is being made, what was copied so far is in `backup.unfinished.json`.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import { STORE_FORMAT_VERSION } from '../disk/identity.js';
import type { FileSystem } from '../files/file-system.js';
import { readText, replaceText } from '../files/text-file.js';

/** Since 2 with `mesh/`, which a version that knows only 1 would not restore. */
export const BACKUP_FORMAT_VERSION = 2;
/** Nothing else is restored: a path of a manifest never leaves the folder. */
const PATH = /^(identity\.json|keys\.json(\.copy)?|log\/\d{16}\.log|snapshots\/\d{16}\.snapshot)$/;
/** Not what is only being written, which ends otherwise. */
const MESH_PATH = /^mesh\/[a-z-]+(\.copy)?\.(json|key)$/;
const SHA256 = /^[0-9a-f]{64}$/;

export interface BackupFile {
  /** Below the folder. */
  readonly path: string;
  /** Of the file; one that is longer has grown for a newer backup. */
  readonly bytes: number;
  /** In hexadecimal, of these bytes. */
  readonly sha256: string;
}

export interface BackupManifest {
  readonly formatVersion: number;
  /** Of the data. */
  readonly storeFormatVersion: number;
  /** Of the gateway, in hexadecimal. */
  readonly identity: string;
  /** Milliseconds since 1970. */
  readonly madeAtMs: number;
  /** Position of the newest snapshot; 0: there is none. */
  readonly snapshot: LogPosition;
  /** The oldest position, and the newest; 0: the log is empty. */
  readonly first: LogPosition;
  readonly last: LogPosition;
  readonly files: readonly BackupFile[];
}

/** @param path below the data folder */
export function isMeshFile(path: string): boolean {
  return MESH_PATH.test(path);
}

export function manifestPath(folder: string): string {
  return `${folder}/backup.json`;
}

function journalPath(folder: string): string {
  return `${folder}/backup.unfinished.json`;
}

/** @throws SprawlError STORAGE_MISSING, BACKUP_UNFINISHED, STORAGE_FORMAT_NEWER, STORAGE_CORRUPT */
export async function readManifest(files: FileSystem, folder: string): Promise<BackupManifest> {
  const path = manifestPath(folder);
  const text = await readText(files, path);
  if (text !== undefined) return parseManifest(text, path);
  if ((await readText(files, journalPath(folder))) !== undefined) {
    throw new SprawlError(
      'BACKUP_UNFINISHED',
      `the backup in ${folder} was not finished: run "sprawl-edge backup ${folder}" again, it goes on where it was`,
      { details: { folder } },
    );
  }
  throw new SprawlError('STORAGE_MISSING', `${folder} holds no backup: it has no backup.json`, {
    details: { folder },
  });
}

export async function writeManifest(
  files: FileSystem,
  folder: string,
  manifest: BackupManifest,
): Promise<void> {
  await replaceText(files, manifestPath(folder), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

function parseManifest(text: string, path: string): BackupManifest {
  let manifest: Partial<BackupManifest>;
  try {
    manifest = JSON.parse(text) as Partial<BackupManifest>;
  } catch (error) {
    throw damaged(path, 'it is no JSON', error);
  }
  checkVersion(path, 'the backup', manifest.formatVersion, BACKUP_FORMAT_VERSION);
  checkVersion(path, 'its data', manifest.storeFormatVersion, STORE_FORMAT_VERSION);
  const { files, identity, snapshot, first, last, madeAtMs } = manifest;
  const isWhole =
    typeof identity === 'string' &&
    [madeAtMs, snapshot, first, last].every(Number.isSafeInteger) &&
    Array.isArray(files) &&
    files.every(isBackupFile);
  if (!isWhole) throw damaged(path, 'something is missing in it, or is not what it should be');
  return manifest as BackupManifest;
}

function isBackupFile(value: unknown): value is BackupFile {
  if (typeof value !== 'object' || value === null) return false;
  const { path, bytes, sha256 } = value as Partial<BackupFile>;
  return (
    typeof path === 'string' &&
    (PATH.test(path) || isMeshFile(path)) &&
    Number.isSafeInteger(bytes) &&
    typeof sha256 === 'string' &&
    SHA256.test(sha256)
  );
}

function checkVersion(path: string, what: string, version: unknown, supported: number): void {
  if (typeof version !== 'number') throw damaged(path, 'it names no format');
  if (version <= supported) return;
  throw new SprawlError(
    'STORAGE_FORMAT_NEWER',
    `${path}: ${what} has format ${version}, this version reads up to ${supported}; use the version that wrote it`,
    { details: { path, version, supported } },
  );
}

function damaged(path: string, why: string, cause?: unknown): SprawlError {
  return new SprawlError('STORAGE_CORRUPT', `${path} is damaged: ${why}`, { details: { path }, cause });
}

/** Which files of a folder for backups are copied to their end, over several runs. */
export class BackupJournal {
  readonly #files: FileSystem;
  readonly #folder: string;
  readonly #entries = new Map<string, BackupFile>();

  constructor(files: FileSystem, folder: string) {
    this.#files = files;
    this.#folder = folder;
  }

  /** Of the last backup, and of the run that did not finish one since. A damaged one costs a copy, no more. @returns those of the last backup */
  async open(): Promise<readonly BackupFile[]> {
    const last = entriesOf((await readText(this.#files, manifestPath(this.#folder))) ?? '');
    const since = entriesOf((await readText(this.#files, journalPath(this.#folder))) ?? '');
    for (const entry of [...last, ...since]) this.#entries.set(entry.path, entry);
    return last;
  }

  get(path: string): BackupFile | undefined {
    return this.#entries.get(path);
  }

  async add(entry: BackupFile): Promise<void> {
    this.#entries.set(entry.path, entry);
    await this.save();
  }

  /** It has to be copied again. */
  forget(path: string): void {
    this.#entries.delete(path);
  }

  async save(): Promise<void> {
    const text = JSON.stringify({ files: [...this.#entries.values()] });
    await replaceText(this.#files, journalPath(this.#folder), `${text}\n`);
  }

  async remove(): Promise<void> {
    await this.#files.remove(journalPath(this.#folder));
  }
}

function entriesOf(text: string): BackupFile[] {
  try {
    const { files } = JSON.parse(text) as { files?: unknown };
    return Array.isArray(files) ? files.filter(isBackupFile) : [];
  } catch {
    return [];
  }
}
