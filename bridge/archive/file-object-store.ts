/**
 * Objects as files below a folder. A file is written beside its place, synced, and then given its name with `link`, which fails where
 * there is one: so it is whole or not there, and of two that create it one comes second. What a crash leaves has a name that begins with a dot.
 * What is a file on the same disk already gets a second name and is not written once more: cards wear out.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import type { MasterKey } from '../../lib/contracts/master-key.js';
import {
  type ByteRange,
  expectKey,
  type ObjectBody,
  ObjectFault,
  type ObjectFaultKind,
  type ObjectStat,
  type ObjectStore,
} from './object-store.js';

/** Of a body, read at once. */
export const FILE_CHUNK_BYTES = 1024 * 1024;
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const KINDS: Readonly<Record<string, ObjectFaultKind>> = {
  ENOSPC: 'full',
  EDQUOT: 'full',
  EFBIG: 'full',
  EACCES: 'denied',
  EPERM: 'denied',
  EROFS: 'denied',
  ESTALE: 'unreachable',
  ENOTCONN: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ETIMEDOUT: 'unknown',
  EMFILE: 'busy',
  ENFILE: 'busy',
  EAGAIN: 'busy',
};
/** Of `link`, where the file system has no second names for files: FAT, some network shares. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);
const OTHER_DISK = 'EXDEV';
const NOT_THERE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR']);

/** Why no archive can be begun, or gone on with, in the folder `root`, with the way out; undefined: it can. Nothing is written. */
export async function rootFault(root: string): Promise<string | undefined> {
  const found = await stat(root).catch(undefinedIfMissing);
  if (found !== undefined && !found.isDirectory()) return `${root} is no folder: name another one`;
  const folder = found === undefined ? dirname(root) : root;
  try {
    await access(folder, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return NOT_THERE.has(codeOf(error))
      ? `${folder} is not there, in which the folder ${basename(root)} would be made: is its disk mounted? Else make it`
      : `this user may not write in ${folder} (${codeOf(error)}): give it to the user that runs the gateway`;
  }
}

export class FileObjectStore implements ObjectStore {
  readonly name: string;
  readonly keys: readonly MasterKey[];
  readonly #root: string;
  /** Folders that are there for good. */
  readonly #made = new Set<string>();

  readonly #link: typeof link;

  /**
   * @param root is made where it does not exist, but not the folders above it: the disk may not be mounted
   * @param giveName default: that of Node.js
   * @param keys see ObjectStore
   */
  constructor(root: string, giveName = link, keys: readonly MasterKey[] = []) {
    this.#link = giveName;
    this.keys = keys;
    this.#root = resolve(root);
    this.name = `file://${this.#root}`;
  }

  async createsOnce(): Promise<boolean> {
    return this.#guarded('try links in', this.#root, async () => {
      await this.#makeFolder(this.#root);
      const one = this.#partIn(this.#root);
      const other = this.#partIn(this.#root);
      try {
        await (await open(one, 'wx', FILE_MODE)).close();
        await this.#link(one, other);
        return true;
      } catch (error) {
        if (NO_LINKS.has(codeOf(error))) return false;
        throw error;
      } finally {
        await rm(one, { force: true });
        await rm(other, { force: true });
      }
    });
  }

  async create(key: string, body: ObjectBody): Promise<boolean> {
    const path = this.#pathOf(key);
    return this.#guarded('create', path, async () => {
      if (await exists(path)) return false;
      const folder = dirname(path);
      await this.#makeFolder(folder);
      const part = this.#partIn(folder);
      try {
        if (!(await this.#takenOver(part, body))) await writeWhole(part, body);
        if (!(await this.#nameIt(part, path))) return false;
      } finally {
        await rm(part, { force: true });
      }
      await sync(folder);
      return true;
    });
  }

  async read(key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    const path = this.#pathOf(key);
    return this.#guarded('read', path, async () => {
      const handle = await openIfThere(path);
      if (handle === undefined) return undefined;
      try {
        const { size } = await handle.stat();
        const offset = Math.min(range?.offset ?? 0, size);
        const bytes = new Uint8Array(Math.min(range?.length ?? size, size - offset));
        let done = 0;
        while (done < bytes.length) {
          const { bytesRead } = await handle.read(bytes, done, bytes.length - done, offset + done);
          if (bytesRead === 0) break;
          done += bytesRead;
        }
        return bytes.subarray(0, done);
      } finally {
        await handle.close();
      }
    });
  }

  async stat(key: string): Promise<ObjectStat | undefined> {
    const length = await this.#lookAt(this.#pathOf(key));
    return length === undefined ? undefined : { key, length };
  }

  async *list(prefix: string, after = ''): AsyncGenerator<ObjectStat> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    if (folder !== '') expectKey(folder.slice(0, -1));
    yield* this.#below(folder, prefix, after);
  }

  async remove(key: string): Promise<void> {
    const path = this.#pathOf(key);
    await this.#guarded('remove', path, async () => {
      await rm(path, { force: true });
    });
  }

  /** Parts of files that nobody is writing any more. */
  async removeParts(olderThanMs: number): Promise<number> {
    return this.#guarded('clean', this.#root, async () => {
      let count = 0;
      for (const entry of await readdir(this.#root, { withFileTypes: true, recursive: true }).catch(
        noneIfMissing,
      )) {
        if (!entry.isFile() || !isPart(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const found = await stat(path).catch(undefinedIfMissing);
        if (found === undefined || found.mtimeMs >= olderThanMs) continue;
        await rm(path, { force: true });
        count++;
      }
      return count;
    });
  }

  /** @returns the length of a file; undefined: there is none */
  #lookAt(path: string): Promise<number | undefined> {
    return this.#guarded('look at', path, async () => {
      const found = await stat(path).catch(undefinedIfMissing);
      return found?.isFile() === true ? found.size : undefined;
    });
  }

  /** @param folder empty, or with a `/` at its end */
  async *#below(folder: string, prefix: string, after: string): AsyncGenerator<ObjectStat> {
    const path = join(this.#root, folder);
    const entries = await this.#guarded('list', path, () =>
      readdir(path, { withFileTypes: true }).catch(noneIfMissing),
    );
    const keys = entries
      .filter(({ name }) => !name.startsWith('.'))
      .map((entry) => `${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`)
      // All names of keys are ASCII: by units is by bytes. What others have put there may have any name.
      .sort((a, b) => (a < b ? -1 : 1));
    for (const key of keys) {
      if (!key.startsWith(prefix) && !prefix.startsWith(key)) continue;
      if (key <= after && !after.startsWith(key)) continue;
      if (key.endsWith('/')) yield* this.#below(key, prefix, after);
      else {
        const found = await this.#lookAt(join(this.#root, key));
        if (found !== undefined && key.startsWith(prefix) && key > after) yield { key, length: found };
      }
    }
  }

  /** @returns false: it is no file, or not on this disk */
  async #takenOver(part: string, { file }: ObjectBody): Promise<boolean> {
    if (file === undefined) return false;
    try {
      await this.#link(file, part);
    } catch (error) {
      if (codeOf(error) === OTHER_DISK || NO_LINKS.has(codeOf(error))) return false;
      throw error;
    }
    await sync(part);
    return true;
  }

  /** @returns false: there is a file with this name */
  async #nameIt(part: string, path: string): Promise<boolean> {
    try {
      await this.#link(part, path);
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      if (!NO_LINKS.has(codeOf(error))) throw error;
    }
    // Two at the same time may both believe that they came first: see createsOnce.
    if (await exists(path)) return false;
    await rename(part, path);
    return true;
  }

  #pathOf(key: string): string {
    expectKey(key);
    return join(this.#root, key.replaceAll('/', sep));
  }

  #partIn(folder: string): string {
    return join(folder, `.${randomBytes(8).toString('hex')}.part`);
  }

  async #makeFolder(folder: string): Promise<void> {
    if (this.#made.has(folder)) return;
    if (folder !== this.#root) await this.#makeFolder(dirname(folder));
    try {
      await mkdir(folder, { mode: FOLDER_MODE });
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
    // A folder whose name is not synced is lost with everything that was synced in it.
    await sync(dirname(folder));
    this.#made.add(folder);
  }

  async #guarded<T>(what: string, path: string, task: () => Promise<T>): Promise<T> {
    try {
      return await task();
    } catch (error) {
      const code = codeOf(error);
      // The folder that is above the archive, or the archive was taken away meanwhile.
      if (code === 'ENOENT' || code === 'ENOTDIR') this.#made.clear();
      const kind = code === 'ENOENT' || code === 'ENOTDIR' ? 'missing' : (KINDS[code] ?? 'other');
      throw new ObjectFault(kind, `cannot ${what} ${path}: ${code}`, { cause: error });
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

function undefinedIfMissing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR') throw error;
  return undefined;
}

function noneIfMissing(error: unknown): [] {
  undefinedIfMissing(error);
  return [];
}

/** Others may have files with such an end, too. */
function isPart(name: string): boolean {
  return /^\.[0-9a-f]{16}\.part$/.test(name);
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(undefinedIfMissing)) !== undefined;
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  return open(path, constants.O_RDONLY).catch(undefinedIfMissing);
}

async function writeWhole(path: string, body: ObjectBody): Promise<void> {
  const handle = await open(path, 'wx', FILE_MODE);
  try {
    for (let offset = 0; offset < body.length; offset += FILE_CHUNK_BYTES) {
      const bytes = await body.read(offset, Math.min(FILE_CHUNK_BYTES, body.length - offset));
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, offset + done);
        done += bytesWritten;
      }
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
