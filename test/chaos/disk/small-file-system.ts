/** A file system of some MiB, in memory, that can be filled to a page. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export const PAGE_BYTES = 4096;

export class SmallFileSystem {
  readonly folder: string;
  readonly #filler: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.#filler = join(folder, 'filler');
  }

  /** @returns why there is none, where mounting is not possible. */
  static mount(folder: string, mib: number): SmallFileSystem | string {
    mkdirSync(folder, { recursive: true });
    const { status, stderr, error } = spawnSync('mount', [
      '-t',
      'tmpfs',
      '-o',
      `size=${mib}m`,
      'tmpfs',
      folder,
    ]);
    if (status === 0) return new SmallFileSystem(folder);
    return `a small file system cannot be mounted: ${error?.message ?? String(stderr).trim()}`;
  }

  get freePages(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return Math.floor((bavail * bsize) / PAGE_BYTES);
  }

  /** Somebody else takes all but so many pages. */
  fill(pagesLeft: number): void {
    const file = openSync(this.#filler, 'a');
    const page = Buffer.alloc(PAGE_BYTES, 0x5a);
    try {
      while (this.freePages > pagesLeft) writeSync(file, page);
    } catch (error) {
      // The gateway was faster.
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    } finally {
      closeSync(file);
    }
  }

  /** And gives them back. */
  free(): void {
    rmSync(this.#filler, { force: true });
  }

  unmount(): void {
    spawnSync('umount', ['-l', this.folder]);
  }
}
