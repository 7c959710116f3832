import { copyFile, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { toStorageError } from '../files/storage-error.js';
import { LevelStore } from './level-store.js';

/** LevelDB never changes a table that it has written. */
const TABLE = /\.(ldb|sst)$/;
/** Its lock, and what it notes for people. */
const NOT_WANTED = /^LOCK$|^LOG/;

/**
 * A copy of a closed LevelDB in the folder for temporary files, to look at: LevelDB writes when it opens a database. Tables are
 * links to the original, what is copied is some megabytes. `destroy` removes the copy alone. @throws SprawlError STORAGE_IO, STORAGE_FULL
 */
export async function copyLevel(folder: string): Promise<LevelStore> {
  const elsewhere = 'TMPDIR names another folder for temporary files';
  const copy = await mkdtemp(join(tmpdir(), 'sprawl-edge-database-')).catch((error: unknown) => {
    throw toStorageError(error, `copy the database ${folder} below ${tmpdir()} (${elsewhere})`);
  });
  try {
    for (const name of await readdir(folder)) {
      if (NOT_WANTED.test(name)) continue;
      if (TABLE.test(name)) await symlink(resolve(folder, name), join(copy, name));
      else await copyFile(join(folder, name), join(copy, name));
    }
    return new LevelStore(copy);
  } catch (error) {
    await rm(copy, { recursive: true, force: true });
    throw toStorageError(error, `copy the database ${folder} to ${copy} (${elsewhere})`);
  }
}
