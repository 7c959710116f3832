import { constants } from 'node:fs';
import { open, readdir, realpath, rename, rm, stat, statfs, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { makeFolder, syncFolder } from '../../lib/contracts/durable-folder.js';
import { SprawlError } from '../../lib/contracts/errors.js';
import type { FilePart, FileSystem, OpenMode, PartVisitor, StoreFile } from './file-system.js';
import { readEach } from './parts.js';
import { ReadThread } from './read-thread.js';
import { toStorageError } from './storage-error.js';

const FLAGS: Readonly<Record<OpenMode, number>> = {
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  write: constants.O_RDWR,
  read: constants.O_RDONLY,
};
/** The data of devices is nobody else's. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
/** Fewer are read without the thread: what is needed soonest does not wait behind a hundred parts. */
const THREAD_MIN_COUNT = 3;

const readThread = new ReadThread();

class NodeFile implements StoreFile {
  readonly #handle: FileHandle;
  readonly #path: string;
  /** Reads of the thread, of which the handle knows nothing. */
  readonly #inThread = new Set<Promise<unknown>>();

  constructor(handle: FileHandle, path: string) {
    this.#handle = handle;
    this.#path = path;
  }

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    try {
      let done = 0;
      while (done < bytes.length) {
        const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, offset + done);
        done += bytesWritten;
      }
    } catch (error) {
      throw toStorageError(error, `write ${this.#path}`);
    }
  }

  async sync(): Promise<void> {
    try {
      await this.#handle.datasync();
    } catch (error) {
      throw toStorageError(error, `sync ${this.#path}`);
    }
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    try {
      let done = 0;
      while (done < into.length) {
        const { bytesRead } = await this.#handle.read(into, done, into.length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    } catch (error) {
      throw toStorageError(error, `read ${this.#path}`);
    }
  }

  async readParts(parts: readonly FilePart[], visit: PartVisitor): Promise<void> {
    if (parts.length < THREAD_MIN_COUNT || !readThread.wake()) return readEach(this, parts, visit);
    const reading = readThread.read(this.#handle.fd, this.#path, parts, visit);
    this.#inThread.add(reading);
    try {
      await reading;
    } finally {
      this.#inThread.delete(reading);
    }
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  async hasName(): Promise<boolean> {
    try {
      // Not by their inodes, which some network file systems make up; and others count no links at all.
      const { nlink } = await stat(this.#path);
      return nlink === 0 || (await this.#handle.stat()).nlink > 0;
    } catch (error) {
      return toStorageError(error, `look at ${this.#path}`).code !== 'STORAGE_MISSING';
    }
  }

  async truncate(size: number): Promise<void> {
    try {
      await this.#handle.truncate(size);
    } catch (error) {
      throw toStorageError(error, `truncate ${this.#path}`);
    }
  }

  async close(): Promise<void> {
    try {
      while (this.#inThread.size > 0) await Promise.allSettled(this.#inThread);
      await this.#handle.close();
    } catch (error) {
      throw toStorageError(error, `close ${this.#path}`);
    }
  }
}

class NodeFileSystem implements FileSystem {
  async open(path: string, mode: OpenMode): Promise<StoreFile> {
    try {
      return new NodeFile(await open(path, FLAGS[mode], FILE_MODE), path);
    } catch (error) {
      throw toStorageError(error, `open ${path}`);
    }
  }

  async list(folder: string): Promise<string[]> {
    try {
      return (await readdir(folder)).sort();
    } catch (error) {
      const failure = toStorageError(error, `list ${folder}`);
      if (failure.code === 'STORAGE_MISSING') return [];
      throw failure;
    }
  }

  async makeFolder(folder: string): Promise<void> {
    try {
      await makeFolder(folder, FOLDER_MODE);
    } catch (error) {
      const failure = toStorageError(error, `create the folder ${folder}`);
      if (failure.code !== 'STORAGE_MISSING') throw failure;
      throw new SprawlError(
        'STORAGE_IO',
        `cannot create the folder ${folder}: its file system takes none (ENOENT); name another data folder`,
        { details: { reason: 'ENOENT' }, cause: error },
      );
    }
  }

  async syncFolder(folder: string): Promise<void> {
    try {
      await syncFolder(folder);
    } catch (error) {
      throw toStorageError(error, `sync the folder ${folder}`);
    }
  }

  async rename(from: string, to: string): Promise<void> {
    try {
      await rename(from, to);
    } catch (error) {
      throw toStorageError(error, `rename ${from} to ${to}`);
    }
  }

  async remove(path: string): Promise<void> {
    try {
      await rm(path, { force: true });
    } catch (error) {
      throw toStorageError(error, `remove ${path}`);
    }
  }

  async realPath(path: string): Promise<string> {
    let at = resolve(path);
    let rest = '';
    for (;;) {
      try {
        return join(await realpath(at), rest);
      } catch {
        // It is not there, or may not be looked at: what is above it.
        if (at === dirname(at)) return resolve(path);
        rest = join(basename(at), rest);
        at = dirname(at);
      }
    }
  }

  async freeBytes(folder: string): Promise<number> {
    try {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    } catch (error) {
      throw toStorageError(error, `ask for the free space of ${folder}`);
    }
  }
}

export const nodeFileSystem: FileSystem = new NodeFileSystem();
