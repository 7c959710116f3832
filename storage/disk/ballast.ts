import type { FileSystem } from '../files/file-system.js';

const CHUNK_BYTES = 65_536;

/**
 * A file of no use but its size: on a full disk it is given up, so that what is pending can still be written, and made again when
 * there is room.
 */
export class Ballast {
  readonly #files: FileSystem;
  readonly #path: string;
  readonly #bytes: number;
  #isThere = false;

  /** @param bytes 0: none. */
  constructor(files: FileSystem, path: string, bytes: number) {
    this.#files = files;
    this.#path = path;
    this.#bytes = bytes;
  }

  /** Makes it where it is not. @throws SprawlError STORAGE_FULL, STORAGE_IO; nothing of it stays then. */
  async prepare(): Promise<void> {
    if (this.#isThere || this.#bytes === 0) return;
    if (await this.#wasMade()) {
      this.#isThere = true;
      return;
    }
    await this.#files.remove(this.#path);
    const file = await this.#files.open(this.#path, 'create');
    try {
      // Not a hole, and not what a file system packs.
      const chunk = Buffer.alloc(CHUNK_BYTES, 0xa5);
      for (let at = 0; at < this.#bytes; at += chunk.length)
        await file.write(chunk.subarray(0, Math.min(chunk.length, this.#bytes - at)), at);
      await file.sync();
      this.#isThere = true;
    } catch (error) {
      await this.#files.remove(this.#path);
      throw error;
    } finally {
      await file.close();
    }
  }

  /** By an earlier process. */
  async #wasMade(): Promise<boolean> {
    const size = await this.#files.open(this.#path, 'read').then(
      async (file) => {
        const bytes = await file.size();
        await file.close();
        return bytes;
      },
      () => 0,
    );
    return size === this.#bytes;
  }

  /** Idempotent. @throws SprawlError STORAGE_IO */
  async release(): Promise<void> {
    this.#isThere = false;
    await this.#files.remove(this.#path);
  }
}
