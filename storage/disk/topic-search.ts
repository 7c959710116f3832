/** Looks messages up by topic and time, and makes the index again where it is missing or damaged: the log has everything. */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import { viewMessageRecord } from '../records/message-record.js';
import { RecordType } from '../records/record-type.js';
import { type OpenParts, pause } from './open-parts.js';
import type { Changes } from './state-index.js';
import { DamagedTopicBlock, type Found, TopicIndex } from './topic-index.js';

export class TopicSearch {
  readonly #parts: OpenParts;
  readonly #writeDown: () => Promise<void>;
  #stopped = false;

  /** @param writeDown makes a checkpoint that begins later than now */
  constructor(parts: OpenParts, writeDown: () => Promise<void>) {
    this.#parts = parts;
    this.#writeDown = writeDown;
  }

  /** What is being made again is left unfinished. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Messages of one topic that were published from `fromMs` to `toMs` (milliseconds since 1970, both included), as far as the log
   * has them, oldest first, without those that have expired. @param limit how many at most. @throws SprawlError STORAGE_IO, STORAGE_CORRUPT
   */
  async find(topic: string, fromMs: number, toMs: number, limit: number): Promise<Message[]> {
    const { reader, options } = this.#parts;
    const found = await this.#findPostings(topic, fromMs, toMs, limit);
    const messages = await reader.read(found.map(({ position }) => position));
    const now = options.clock.now();
    return messages.filter((message) => message !== undefined && message.expiresAt > now) as Message[];
  }

  async #findPostings(topic: string, fromMs: number, toMs: number, limit: number): Promise<Found[]> {
    const { topics, index, options } = this.#parts;
    const made = new Set<LogPosition>();
    for (;;) {
      try {
        return await topics.find(index, topic, fromMs, toMs, limit);
      } catch (error) {
        if (!(error instanceof DamagedTopicBlock) || made.has(error.block.first)) throw error;
        const { first, last } = error.block;
        made.add(first);
        options.logger.warn('a part of the index of topics is made again', { reason: error.message });
        await this.#index(TopicIndex.inPlaceOf(error.block), first, last);
      }
    }
  }

  /** A snapshot is without the index of topics: what the log still has is looked up in the background. Never rejects. */
  async indexAgain(upTo: LogPosition): Promise<void> {
    const { log, topics, options } = this.#parts;
    const older = new TopicIndex();
    try {
      await this.#index(older, log.reader.first, upTo);
      older.written();
      topics.putBefore(older);
    } catch (error) {
      if (!this.#stopped)
        options.logger.warn('older messages cannot be found by topic', { reason: String(error) });
    }
  }

  /** Fills `topics` with messages of the log, and writes it down with the next checkpoint. @throws SprawlError STORAGE_IO */
  async #index(topics: TopicIndex, from: LogPosition, to: LogPosition): Promise<void> {
    const { log, index, sizes, texts } = this.#parts;
    const { reader } = log;
    for (let at = Math.max(from, reader.first); at <= to && !this.#stopped;) {
      const { next } = await reader.read(
        at,
        Math.min(to, at + sizes.replayStepCount - 1),
        (position, type, bytes, start, end) => {
          if (type !== RecordType.message && type !== RecordType.retained) return;
          const { message, wallMs } = viewMessageRecord(bytes, start, end, texts);
          topics.add(message.topic, position, wallMs);
        },
      );
      at = next;
      await pause(this.#parts);
    }
    const changes: Changes = new Map();
    topics.beginCheckpoint();
    await topics.encode(changes, () => pause(this.#parts));
    for (const [key, value] of changes) if (value !== null) index.put(key, value);
    await this.#writeDown();
  }
}
