/**
 * Makes a data folder from a backup. While it is being made `restoring.json` is in it, and no gateway starts on it:
 *
 *     restoring.json ─▶ segments, snapshot, mesh/ ─▶ database ─▶ identity.json ─▶ restoring.json removed
 */
import { createHash } from 'node:crypto';
import { SprawlError } from '../../lib/contracts/errors.js';
import { type Layout, layoutOf } from '../disk/layout.js';
import { readText, replaceText } from '../files/text-file.js';
import { type BackupFile, type BackupManifest, manifestPath, readManifest } from './backup-manifest.js';
import { areNested, holdsData, openVault, sizeOf, type ToolParts, withFolderLock } from './data-folder.js';
import { rebuildDatabase } from './database-rebuild.js';
import { copyFile, hashFile } from './file-copy.js';
import { placeOf } from './staged-files.js';

const STUCK: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS', 'EBUSY', 'EXDEV']);

export interface RestoreReport {
  readonly manifest: BackupManifest;
  readonly bytes: number;
  /** Of these, what an earlier run had restored. */
  readonly knownBytes: number;
  /** Where the folder is that was there before; undefined: there was none. */
  readonly movedTo: string | undefined;
}

/**
 * @param moveTo where a folder goes that holds data; undefined: it is refused.
 * @throws SprawlError STORAGE_MISSING, BACKUP_UNFINISHED, BACKUP_FOLDER_REFUSED, STORAGE_FORMAT_NEWER, STORAGE_CORRUPT, STORAGE_LOCKED,
 * STORAGE_FULL, STORAGE_IO
 */
export async function restoreFolder(
  parts: ToolParts,
  source: string,
  moveTo: string | undefined,
): Promise<RestoreReport> {
  const manifest = await readManifest(parts.files, source);
  const layout = layoutOf(parts.folder);
  if (await areNested(parts.files, source, parts.folder)) {
    throw new SprawlError(
      'BACKUP_FOLDER_REFUSED',
      `${parts.folder} cannot be restored to: it and the backup ${source} are one within the other; restore to another folder (--data-dir)`,
      { details: { folder: parts.folder } },
    );
  }
  const mark = await markOf(parts, source);
  const movedTo = await makeRoom(parts, layout, mark, moveTo);
  return withFolderLock(parts, layout, () => new Restore(parts, layout, source, manifest).run(mark, movedTo));
}

/** What tells this backup from others. */
async function markOf({ files }: ToolParts, source: string): Promise<string> {
  const text = (await readText(files, manifestPath(source))) ?? '';
  return `${JSON.stringify({ backup: createHash('sha256').update(text).digest('hex') })}\n`;
}

async function makeRoom(
  parts: ToolParts,
  layout: Layout,
  mark: string,
  moveTo: string | undefined,
): Promise<string | undefined> {
  const { files, folder } = parts;
  const known = await readText(files, layout.restoring);
  if (known === mark) return undefined;
  // A gateway that only has its place in a mesh would lose it.
  const isUsed = (await holdsData(files, folder)) || (await files.list(layout.mesh)).length > 0;
  if (known === undefined && !isUsed) return undefined;
  if (moveTo === undefined) {
    throw new SprawlError(
      'BACKUP_FOLDER_REFUSED',
      `${folder} holds data${known === undefined ? '' : ', part of another backup'}: restore to another folder (--data-dir), or with --force, which moves this one aside`,
      { details: { folder } },
    );
  }
  const parent = folder.slice(0, folder.lastIndexOf('/')) || '/';
  await withFolderLock(parts, layout, () => files.rename(folder, moveTo)).catch((error: unknown) => {
    throw isStuck(error) ? stuck(folder, parent, error) : error;
  });
  await files.syncFolder(parent);
  return moveTo;
}

/** The folder belongs to this user and what is above it does not, as below /var/lib; or a disk is mounted there. */
function isStuck(error: unknown): error is SprawlError {
  return error instanceof SprawlError && STUCK.has(String(error.details.reason));
}

function stuck(folder: string, parent: string, cause: SprawlError): SprawlError {
  return new SprawlError(
    'BACKUP_FOLDER_REFUSED',
    `${folder} cannot be moved aside: ${parent} may not be written, or ${folder} is a mount of its own (${String(cause.details.reason)}); move what is in ${folder} elsewhere and run it without --force, or restore to another folder (--data-dir)`,
    { details: { folder }, cause },
  );
}

class Restore {
  readonly #parts: ToolParts;
  readonly #layout: Layout;
  readonly #source: string;
  readonly #manifest: BackupManifest;
  #knownBytes = 0;
  #doneBytes = 0;
  #allBytes = 0;

  constructor(parts: ToolParts, layout: Layout, source: string, manifest: BackupManifest) {
    this.#parts = parts;
    this.#layout = layout;
    this.#source = source;
    this.#manifest = manifest;
  }

  async run(mark: string, movedTo: string | undefined): Promise<RestoreReport> {
    const { files } = this.#parts;
    const { folder, restoring } = this.#layout;
    await replaceText(files, restoring, mark);
    // A gateway knows a folder by it: it comes last.
    const isIdentity = ({ path }: BackupFile): boolean => path === 'identity.json';
    const data = this.#manifest.files.filter((file) => !isIdentity(file));
    this.#allBytes = data.reduce((sum, { bytes }) => sum + bytes, 0);
    await this.#checkSpace(data);
    for (const file of data) await this.#restore(file);
    await this.#makeDatabase();
    for (const file of this.#manifest.files.filter(isIdentity)) await this.#restore(file);
    await files.remove(restoring);
    await files.syncFolder(folder);
    const bytes = this.#manifest.files.reduce((sum, file) => sum + file.bytes, 0);
    return { manifest: this.#manifest, bytes, knownBytes: this.#knownBytes, movedTo };
  }

  /** Without the key of encrypted data the next start does it. */
  async #makeDatabase(): Promise<void> {
    const identity = Buffer.from(this.#manifest.identity, 'hex');
    try {
      const vault = await openVault(this.#parts, this.#layout);
      await rebuildDatabase(this.#parts, this.#layout, identity, vault);
    } catch (error) {
      if (!(error instanceof SprawlError) || error.code !== 'STORAGE_KEY_WRONG') throw error;
    }
  }

  async #checkSpace(data: readonly BackupFile[]): Promise<void> {
    const { files, folder } = this.#parts;
    let needed = 0;
    for (const { path, bytes } of data)
      if ((await sizeOf(files, `${folder}/${path}`)) !== bytes) needed += bytes;
    const free = await files.freeBytes(folder);
    if (needed <= free) return;
    throw new SprawlError(
      'STORAGE_FULL',
      `the backup needs ${needed} bytes more in ${folder}, and ${free} are free there: free some, or restore to another disk (--data-dir)`,
      { details: { needed, free } },
    );
  }

  /** Copies, and reads back what was copied, or was there already. */
  async #restore(file: BackupFile): Promise<void> {
    const { path, bytes, sha256 } = file;
    const { files, folder } = this.#parts;
    const to = `${folder}/${path}`;
    const quiet = (): void => undefined;
    if ((await sizeOf(files, to)) === bytes && (await hashFile(files, to, bytes, quiet)) === sha256) {
      this.#knownBytes += bytes;
      this.#tell(bytes);
      return;
    }
    const from = await placeOf(files, this.#source, file);
    const found = await copyFile(files, from, to, bytes, (read) => this.#tell(read)).catch(
      (error: unknown) => {
        throw isMissing(error) ? damaged(from, 'it is missing') : error;
      },
    );
    if (found.sha256 !== sha256) {
      await files.remove(to);
      throw damaged(from, `its SHA-256 is ${found.sha256}, and was ${sha256} when it was written`);
    }
    if ((await hashFile(files, to, bytes, quiet)) === sha256) return;
    throw new SprawlError('STORAGE_CORRUPT', `${to} does not read back as it was written: use another disk`, {
      details: { path: to },
    });
  }

  #tell(bytes: number): void {
    this.#doneBytes += bytes;
    this.#parts.onProgress({ doing: 'restoring', doneBytes: this.#doneBytes, ofBytes: this.#allBytes });
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof SprawlError && error.code === 'STORAGE_MISSING';
}

function damaged(path: string, why: string): SprawlError {
  return new SprawlError('STORAGE_CORRUPT', `the backup is damaged: ${path}: ${why}; restore an older one`, {
    details: { path },
  });
}
