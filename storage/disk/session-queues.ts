/** The queues of all sessions: over the database for those that outlive their connection, in memory for the others. */
import type { DeliveryQueue } from '../../lib/contracts/store.js';
import { DiskQueue, type QueueBacking, type QueueState } from '../queue/disk-queue.js';
import type { OpenParts } from './open-parts.js';
import { queueBlockKey, type SessionEntry } from './session-table.js';

/** After a read that failed. */
export const RETRY_MS = 500;

export class SessionQueues {
  /** Those of sessions that end with their connection, as far as something waits in them. */
  readonly passing = new Set<DiskQueue>();
  readonly #parts: OpenParts;
  #stopped = false;

  constructor(parts: OpenParts) {
    this.#parts = parts;
  }

  /** Reads that fail from now on are not tried again. */
  stop(): void {
    this.#stopped = true;
  }

  create(clientId: string): DeliveryQueue {
    const entry = this.#parts.table.get(clientId);
    if (entry !== undefined) return (entry.queue ??= new DiskQueue(this.#backingOf(entry)));
    const blocks = new Map<number, Uint8Array>();
    const queue: DiskQueue = new DiskQueue({
      ...this.#commonBacking(clientId),
      putBlock: (block, bytes) => blocks.set(block, bytes),
      getBlock: async (block) => blocks.get(block) as Uint8Array,
      dropBlock: (block) => blocks.delete(block),
      changed: () => this.passing.add(queue),
    });
    return queue;
  }

  restore(entry: SessionEntry, state: QueueState): DiskQueue {
    return (entry.queue = new DiskQueue(this.#backingOf(entry), state));
  }

  #backingOf(entry: SessionEntry): QueueBacking {
    const { index, table } = this.#parts;
    const keyOf = (block: number): string => queueBlockKey(entry.number, block);
    return {
      ...this.#commonBacking(entry.clientId),
      putBlock: (block, bytes) => index.put(keyOf(block), bytes),
      getBlock: (block) => index.get(keyOf(block)),
      dropBlock: (block) => index.drop(keyOf(block)),
      changed: () => table.changed(entry, 0),
    };
  }

  #commonBacking(
    clientId: string,
  ): Pick<QueueBacking, 'blockMaxCount' | 'readMessages' | 'lost' | 'retryLater'> {
    const { reader, sizes } = this.#parts;
    const { logger, timers } = this.#parts.options;
    return {
      blockMaxCount: sizes.blockMaxCount,
      readMessages: (positions) => reader.read(positions),
      lost: (position) =>
        logger.error('a message that waited for a client is lost', { client: clientId, position }),
      retryLater: (error, again) => {
        if (this.#stopped) return;
        logger.error('what waits for a client cannot be read', { client: clientId, reason: String(error) });
        timers.after(RETRY_MS, again);
      },
    };
  }
}
