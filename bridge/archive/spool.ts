/** Where objects are built before they go: files of the gateway's own disk, which nobody needs after a crash. */
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectBody } from './object-store.js';

export interface SpooledObject {
  readonly body: ObjectBody;
  /** 64 hexadecimal digits. */
  readonly sha256: string;
  /** See ArchivedObject. */
  readonly keyId?: string;
}

export interface SpoolFile {
  append(bytes: Uint8Array): void;
  /** Nothing is appended any more. */
  finish(): Promise<SpooledObject>;
  remove(): Promise<void>;
}

export interface Spool {
  create(): SpoolFile;
}

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export class FolderSpool implements Spool {
  readonly #folder: string;

  /** @param folder its own: what an earlier process has left in it goes */
  constructor(folder: string) {
    this.#folder = folder;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
  }

  create(): SpoolFile {
    return new FolderSpoolFile(join(this.#folder, randomBytes(8).toString('hex')));
  }
}

/** No file is open between two calls: a cut may have many partitions. */
class FolderSpoolFile implements SpoolFile {
  readonly #path: string;
  readonly #hash: Hash = createHash('sha256');
  #length = 0;

  constructor(path: string) {
    this.#path = path;
    appendFileSync(path, '', { mode: FILE_MODE });
  }

  append(bytes: Uint8Array): void {
    appendFileSync(this.#path, bytes);
    this.#hash.update(bytes);
    this.#length += bytes.length;
  }

  async finish(): Promise<SpooledObject> {
    const read = (offset: number, length: number): Promise<Uint8Array> => this.#read(offset, length);
    return { body: { length: this.#length, file: this.#path, read }, sha256: this.#hash.digest('hex') };
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
  }

  async #read(offset: number, length: number): Promise<Uint8Array> {
    const handle = await open(this.#path, 'r');
    try {
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length;) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) throw new Error(`${this.#path} ends at ${offset + done}`);
        done += bytesRead;
      }
      return bytes;
    } finally {
      await handle.close();
    }
  }
}
