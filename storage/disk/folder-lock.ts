import { SprawlError } from '../../lib/contracts/errors.js';
import type { KeyValueStore } from '../state/key-value-store.js';

/**
 * Keeps every other process out of a data folder until `lock` is closed: LevelDB is used for the lock that it takes.
 *
 * LevelDB writes when it opens, which a full disk refuses; then space is released, and it is tried once more. It locks before it writes,
 * so that nobody used the folder when no space was left. A gateway that takes the lock between the two tries loses its ballast, nothing that is
 * stored, and makes it again with its next checkpoint.
 *
 * @param releaseSpace gives up the ballast
 * @throws SprawlError STORAGE_LOCKED, STORAGE_FULL, STORAGE_IO
 */
export async function takeFolderLock(lock: KeyValueStore, releaseSpace: () => Promise<void>): Promise<void> {
  try {
    await openLock(lock);
  } catch (error) {
    if (!isFull(error)) throw error;
    await releaseSpace();
    await openLock(lock);
  }
}

async function openLock(lock: KeyValueStore): Promise<void> {
  try {
    await lock.open(true);
  } catch (error) {
    if (!(error instanceof SprawlError) || error.code === 'STORAGE_LOCKED' || isFull(error)) throw error;
    // It holds nothing: a damaged one keeps nobody out.
    await lock.destroy();
    await lock.open(true);
  }
}

function isFull(error: unknown): boolean {
  return error instanceof SprawlError && error.code === 'STORAGE_FULL';
}
