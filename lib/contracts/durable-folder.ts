/** Folders whose names outlive a loss of power. */
import { constants } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The names in `folder` are on the disk once it resolved. @throws what the system says */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Creates `folder` and those above it that are missing. Not with the `recursive` of Node.js, which never ends where the system has no entry for a
 * name in a folder that is there, as /proc has.
 * @returns whether it was made; false: it was there @throws what the system says
 */
export async function makeFolder(folder: string, mode: number): Promise<boolean> {
  const missing: string[] = [];
  // As it was said: `..` behind a link leads where the system says.
  let at = folder;
  for (let found = await isFolder(at); found !== true; found = await isFolder(at)) {
    // What is there and no folder: the system says so.
    if (found === false) await mkdir(at, { mode });
    missing.unshift(at);
    at = dirname(at);
  }
  for (const path of missing) {
    try {
      await mkdir(path, { mode });
    } catch (error) {
      // Somebody else was faster.
      if (codeOf(error) !== 'EEXIST' || (await isFolder(path)) !== true) throw error;
    }
    // A folder whose name is not synced is lost with everything that was synced in it.
    await syncFolder(dirname(path));
  }
  return missing.length > 0;
}

/** @returns undefined: there is nothing */
async function isFolder(path: string): Promise<boolean | undefined> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
