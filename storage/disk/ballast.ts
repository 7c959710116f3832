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
  #missingBytes = 0;

  /** @param bytes 0: none. */
  constructor(files: FileSystem, path: string, bytes: number) {
    this.#files = files;
    this.#path = path;
    this.#bytes = bytes;
  }

  /** What it is to have and has not: room that is free, and not for messages. */
  get missingBytes(): number {
    return this.#missingBytes;
  }

  /** Makes it where it is not. @throws SprawlError STORAGE_FULL, STORAGE_IO; nothing of it stays then. */
  async prepare(): Promise<void> {
    // Looked for each time: another process that found the folder without a gateway may have given it up (folder-lock.ts).
    if (this.#bytes === 0) return;
    if (await this.#isThere()) {
      this.#missingBytes = 0;
      return;
    }
    this.#missingBytes = this.#bytes;
    await this.#files.remove(this.#path);
    const file = await this.#files.open(this.#path, 'create');
    try {
      // Not a hole, and not what a file system packs.
      const chunk = Buffer.alloc(CHUNK_BYTES, 0xa5);
      for (let at = 0; at < this.#bytes; at += chunk.length)
        await file.write(chunk.subarray(0, Math.min(chunk.length, this.#bytes - at)), at);
      await file.sync();
      this.#missingBytes = 0;
    } catch (error) {
      await this.#files.remove(this.#path);
      throw error;
    } finally {
      await file.close();
    }
  }

  /**
   * At the start: LevelDB writes when it opens the database, and what the log has since goes there, too. Less than its size is not to be left
   * beside it: then it is given up, or not made. @param freeBytes of the disk @throws SprawlError STORAGE_FULL, STORAGE_IO
   */
  async prepareToStart(freeBytes: number): Promise<void> {
    const besideIt = (await this.#isThere()) ? freeBytes : freeBytes - this.#bytes;
    await (besideIt < this.#bytes ? this.release() : this.prepare());
  }

  async #isThere(): Promise<boolean> {
    const size = await this.#files.open(this.#path, 'read').then(
      (file) => file.size().finally(() => file.close()),
      () => 0,
    );
    return size === this.#bytes;
  }

  /** Idempotent. @throws SprawlError STORAGE_IO */
  async release(): Promise<void> {
    this.#missingBytes = this.#bytes;
    await this.#files.remove(this.#path);
  }
}
