import { SprawlError } from '../../lib/contracts/errors.js';
import type { KeyValueStore } from '../state/key-value-store.js';

/**
 * Keeps every other process out of a data folder until `lock` is closed: LevelDB is used for the lock that it takes.
 *
 * @throws SprawlError STORAGE_LOCKED, STORAGE_FULL, STORAGE_IO
 */
export async function takeFolderLock(lock: KeyValueStore): Promise<void> {
  try {
    await lock.open(true);
  } catch (error) {
    if (!(error instanceof SprawlError) || error.code === 'STORAGE_LOCKED' || error.code === 'STORAGE_FULL')
      throw error;
    // It holds nothing: a damaged one keeps nobody out.
    await lock.destroy();
    await lock.open(true);
  }
}
