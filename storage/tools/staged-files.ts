/**
 * Files of a backup that are in the one before with other content. Until `backup.json` names them they stand beside it, as `<path>.next`:
 *
 *     copied as .next ─▶ backup.json ─▶ .next takes the place of the old one
 *
 * What is interrupted behind `backup.json` is put in its place by the next run; a restore takes what `backup.json` means.
 */
import type { FileSystem } from '../files/file-system.js';
import type { BackupFile } from './backup-manifest.js';
import { hashFile } from './file-copy.js';

const STAGED = '.next';
const quiet = (): void => undefined;

export function stagedPath(path: string): string {
  return `${path}${STAGED}`;
}

/** The path of what `file` means in the backup in `folder`. @throws SprawlError STORAGE_IO */
export async function placeOf(files: FileSystem, folder: string, file: BackupFile): Promise<string> {
  const place = `${folder}/${file.path}`;
  const staged = stagedPath(place);
  return (await hashFile(files, staged, file.bytes, quiet)) === file.sha256 ? staged : place;
}

export class StagedFiles {
  readonly #files: FileSystem;
  readonly #folder: string;
  /** Of the backup that is there, by path. */
  #before: ReadonlyMap<string, BackupFile> = new Map();
  readonly #staged = new Set<string>();

  /** @param folder of the backup */
  constructor(files: FileSystem, folder: string) {
    this.#files = files;
    this.#folder = folder;
  }

  /** Settles what an earlier run has left. @param before what `backup.json` names @throws SprawlError STORAGE_IO */
  async open(before: readonly BackupFile[], folders: readonly string[]): Promise<void> {
    this.#before = new Map(before.map((file) => [file.path, file]));
    for (const folder of folders)
      for (const name of await this.#files.list(folder)) {
        if (!name.endsWith(STAGED)) continue;
        const place = `${folder}/${name.slice(0, -STAGED.length)}`;
        const file = this.#before.get(place.slice(this.#folder.length + 1));
        const isMeant =
          file !== undefined && (await placeOf(this.#files, this.#folder, file)) === stagedPath(place);
        if (isMeant) await this.#files.rename(stagedPath(place), place);
        else await this.#files.remove(stagedPath(place));
      }
  }

  /** Where a file is to be copied to: its place is taken where the backup that is there has it. */
  targetOf(path: string): string {
    return this.#before.has(path) ? stagedPath(this.pathOf(path, false)) : this.pathOf(path, false);
  }

  /** Where a file of this run is. */
  pathOf(path: string, isStaged = this.#staged.has(path)): string {
    const place = `${this.#folder}/${path}`;
    return isStaged ? stagedPath(place) : place;
  }

  /** Whether a file of this run waits beside its place. */
  has(path: string): boolean {
    return this.#staged.has(path);
  }

  /** It was copied to `targetOf`. Where what was there before is in it, or the beginning of it, it takes its place at once. */
  async copied({ path, bytes }: BackupFile): Promise<void> {
    const old = this.#before.get(path);
    if (old === undefined) return;
    const staged = this.pathOf(path, true);
    const isMore =
      bytes >= old.bytes && (await hashFile(this.#files, staged, old.bytes, quiet)) === old.sha256;
    if (!isMore) {
      this.#staged.add(path);
      return;
    }
    this.#staged.delete(path);
    await this.#rename(path);
  }

  /** `backup.json` names them now. @throws SprawlError STORAGE_IO */
  async settle(): Promise<void> {
    for (const path of this.#staged) await this.#rename(path);
    this.#staged.clear();
  }

  async #rename(path: string): Promise<void> {
    const place = this.pathOf(path, false);
    await this.#files.rename(stagedPath(place), place);
    await this.#files.syncFolder(place.slice(0, place.lastIndexOf('/')));
  }
}
