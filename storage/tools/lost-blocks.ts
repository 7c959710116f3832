import { encodeSession, LOADED_PREFIX, queueBlockKey } from '../disk/session-table.js';
import { TOPIC_PREFIX } from '../disk/topic-index.js';
import { encodePostings } from '../queue/posting-block.js';
import { CheckedStore } from '../state/checked-store.js';
import type { KeyValueStore } from '../state/key-value-store.js';
import type { StateSurvey } from './state-survey.js';

/**
 * Takes out of a database that is whole otherwise what cannot be read of it, so that a queue goes on behind it.
 *
 * @returns what was lost by that, in sentences. @throws SprawlError STORAGE_CORRUPT, STORAGE_FULL, STORAGE_IO
 */
export async function dropLostBlocks(
  database: KeyValueStore,
  { lostBlocks, inspection }: StateSurvey,
): Promise<string[]> {
  const changes = new Map<string, Uint8Array | null>();
  const lost: string[] = [];
  for (const { session, blocks, count, bytes } of lostBlocks) {
    const { number, image, queue } = session;
    for (const block of blocks) changes.set(queueBlockKey(number, block), encodePostings([]));
    const storedCount = queue.storedCount - count;
    const storedBytes = queue.storedBytes - bytes;
    const rest = { ...session, queue: { ...queue, storedCount, storedBytes } };
    for (const [key, value] of encodeSession(rest, false)) changes.set(key, value);
    lost.push(
      `${count} messages that waited for ${JSON.stringify(image.clientId)} are lost with the database`,
    );
  }
  const topicKeys = inspection.damagedKeys.filter((key) => key.startsWith(TOPIC_PREFIX));
  for (const key of topicKeys) changes.set(key, null);
  if (topicKeys.length > 0)
    lost.push(
      `${topicKeys.length} keys of the index of topics are lost: their messages are not found by topic`,
    );
  // Of nobody, and never read.
  for (const key of inspection.damagedKeys) if (!changes.has(key)) changes.set(key, null);
  if (changes.size === 0) return [];
  const store = await CheckedStore.open(database, LOADED_PREFIX, () => undefined);
  try {
    await store.write(store.head.applied, changes);
  } finally {
    await store.close();
  }
  if (lost.length === 0) lost.push('removed damaged entries of the database that nobody reads');
  return lost;
}
