import type { Message } from '../../lib/message/message.js';
import { readU48, writeU48 } from '../log/record.js';
import { MemoryRetainedStore } from '../memory/retained-store.js';
import {
  messageRecordBytes,
  type PublisherNames,
  readMessageRecord,
  writeMessageRecord,
} from '../records/message-record.js';
import { RETAINED_PREFIX } from './session-table.js';

const POSITION_BYTES = 6;

/** Retained messages, with which of them changed since they were written down. */
export class DiskRetainedStore extends MemoryRetainedStore {
  #changed = new Set<string>();

  override set(message: Message): void {
    super.set(message);
    this.#note(message.topic);
  }

  override delete(topic: string): boolean {
    if (!super.delete(topic)) return false;
    this.#note(topic);
    return true;
  }

  /** As it was written down. */
  restore(value: Uint8Array): void {
    const { message } = readMessageRecord(value, POSITION_BYTES, value.length);
    message.position = readU48(value, 0);
    super.set(message);
  }

  /** Nothing was restored after all. */
  reset(): void {
    const topics: string[] = [];
    this.forEach(({ topic }) => topics.push(topic));
    for (const topic of topics) super.delete(topic);
    this.#changed = new Set();
  }

  /** Topics that changed since the last call. */
  takeChanged(): ReadonlySet<string> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  giveBack(changed: Iterable<string>): void {
    for (const topic of changed) this.#changed.add(topic);
  }

  /** What is to be written of a topic. */
  change(topic: string, names: PublisherNames): readonly [key: string, value: Uint8Array | null] {
    const message = this.get(topic);
    const key = RETAINED_PREFIX + topic;
    if (message === undefined) return [key, null];
    const publisher = names.bytesOf(message.publisher);
    const value = Buffer.allocUnsafe(POSITION_BYTES + messageRecordBytes(message, publisher, 0));
    writeU48(value, 0, message.position);
    writeMessageRecord(value, POSITION_BYTES, message, publisher, 0, 0);
    return [key, value];
  }

  #note(topic: string): void {
    // What the gateway says of itself is said anew after a restart.
    if (!topic.startsWith('$SYS/')) this.#changed.add(topic);
  }
}
