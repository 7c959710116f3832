/** What the mesh needs of a file system: small files that are there whole or not at all. The only module of the mesh that touches one. */
import { constants } from 'node:fs';
import { chmod, lstat, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder, syncFolder } from '../../lib/contracts/durable-folder.js';
import { toMeshFileError } from './mesh-error.js';

/** Keys and addresses are nobody else's. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const OTHERS = 0o077;
/** None of the files is nearly as large: a roster has less than 4 MiB. */
export const FILE_MAX_BYTES = 16 * 1_048_576;

export interface MeshFiles {
  /** With all folders above it, durably. One that is there is made private. @returns whether others could look into it */
  makeFolder(folder: string): Promise<boolean>;
  /** @returns undefined where there is no such file. @throws SprawlError MESH_FILE_FAILED */
  read(path: string): Promise<Uint8Array | undefined>;
  /**
   * The file has the old bytes or the new ones, whatever happens meanwhile, and the new ones survive a loss of power once this
   * resolved. @throws SprawlError MESH_FILE_FAILED
   */
  replace(path: string, bytes: Uint8Array): Promise<void>;
  /** For good; one that does not exist is no error. @throws SprawlError MESH_FILE_FAILED */
  remove(path: string): Promise<void>;
  /** Makes it the owner's alone. @returns whether others could read it; false where it does not exist */
  makePrivate(path: string): Promise<boolean>;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

/** Runs `task`; what it throws becomes an error of the project. */
async function attempt<T>(doing: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    throw toMeshFileError(error, doing);
  }
}

async function tighten(path: string, mode: number): Promise<boolean> {
  const stat = await lstat(path);
  if ((stat.mode & OTHERS) === 0) return false;
  await chmod(path, mode);
  return true;
}

async function readWhole(path: string): Promise<Uint8Array> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    const { size } = await handle.stat();
    if (size > FILE_MAX_BYTES) throw new Error(`it has ${size} bytes`);
    return new Uint8Array(await handle.readFile());
  } finally {
    await handle.close();
  }
}

async function writeNew(path: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, 'wx', FILE_MODE);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Whether other users of the machine could read it; false where it does not exist. Changes nothing. */
export async function isExposed(path: string): Promise<boolean> {
  try {
    return ((await lstat(path)).mode & OTHERS) !== 0;
  } catch (error) {
    if (isMissing(error)) return false;
    throw toMeshFileError(error, `look at ${path}`);
  }
}

export const nodeMeshFiles: MeshFiles = {
  makeFolder: (folder) =>
    attempt(`create the folder ${folder}`, async () => {
      const isNew = await makeFolder(folder, FOLDER_MODE);
      return isNew ? false : tighten(folder, FOLDER_MODE);
    }),

  read: async (path) => {
    try {
      return await readWhole(path);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw toMeshFileError(error, `read ${path}`);
    }
  },

  replace: (path, bytes) =>
    attempt(`write ${path}`, async () => {
      const unfinished = `${path}.new`;
      await rm(unfinished, { force: true });
      await writeNew(unfinished, bytes);
      await rename(unfinished, path);
      await syncFolder(dirname(path));
    }),

  remove: (path) =>
    attempt(`remove ${path}`, async () => {
      try {
        await rm(path, { force: true });
        await syncFolder(dirname(path));
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
    }),

  makePrivate: async (path) => {
    try {
      return await tighten(path, FILE_MODE);
    } catch (error) {
      if (isMissing(error)) return false;
      throw toMeshFileError(error, `make ${path} private`);
    }
  },
};
