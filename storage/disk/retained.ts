import type { LogPosition } from '../../lib/contracts/store.js';
import type { MessageSource } from '../../lib/contracts/streams.js';
import type { Message } from '../../lib/message/message.js';
import { readU48, writeU48 } from '../log/record.js';
import { MemoryRetainedStore } from '../memory/retained-store.js';
import {
  messageRecordBytes,
  type PublisherNames,
  readMessageRecord,
  writeMessageRecord,
} from '../records/message-record.js';
import { TextCache } from '../records/text-cache.js';
import { RETAINED_PREFIX } from './session-table.js';

const POSITION_BYTES = 6;

/** Gateways that messages come from, by the positions of the records that name them. */
export interface SourceTable {
  source(number: LogPosition): MessageSource | undefined;
  numberOf(source: MessageSource): LogPosition | undefined;
}

/** Texts that are remembered while messages are restored: few clients publish most of them, and one string is enough for each. */
const TEXTS_MAX_COUNT = 1024;

/** Retained messages, with which of them changed since they were written down. */
export class DiskRetainedStore extends MemoryRetainedStore {
  #changed = new Set<string>();
  #texts: TextCache | undefined;

  override set(message: Message): void {
    super.set(message);
    this.#note(message.topic);
  }

  override bury(tombstone: Message): void {
    super.bury(tombstone);
    this.#note(tombstone.topic);
  }

  override forgetTombstone(topic: string): boolean {
    if (!super.forgetTombstone(topic)) return false;
    this.#note(topic);
    return true;
  }

  override doubt(message: Message): void {
    super.doubt(message);
    this.#note(message.topic);
  }

  protected override forgetDoubt(topic: string): void {
    super.forgetDoubt(topic);
    this.#note(topic);
  }

  override delete(topic: string): boolean {
    if (!super.delete(topic)) return false;
    this.#note(topic);
    return true;
  }

  /** As it was written down. @param sources gateways by their numbers */
  restore(value: Uint8Array, sources: SourceTable): void {
    this.#texts ??= new TextCache(TEXTS_MAX_COUNT);
    const { message, sourceNumber } = readMessageRecord(value, POSITION_BYTES, value.length, this.#texts);
    message.position = readU48(value, 0);
    message.source = sources.source(sourceNumber);
    if (message.mayBeRemoved) super.doubt(message);
    else if (message.payloadLength === 0) super.bury(message);
    else super.set(message);
  }

  restored(): void {
    this.#texts = undefined;
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

  #note(topic: string): void {
    // What the gateway says of itself is said anew after a restart.
    if (!topic.startsWith('$SYS/')) this.#changed.add(topic);
  }
}

/** What is to be written of a topic. @param message that it retains, or its removal; undefined: nothing is known of it */
export function retainedChange(
  topic: string,
  message: Message | undefined,
  names: PublisherNames,
  sources: SourceTable,
): readonly [key: string, value: Uint8Array | null] {
  const key = RETAINED_PREFIX + topic;
  if (message === undefined) return [key, null];
  const publisher = names.bytesOf(message.publisher);
  const value = Buffer.allocUnsafe(POSITION_BYTES + messageRecordBytes(message, publisher, 0));
  writeU48(value, 0, message.position);
  const source = message.source === undefined ? 0 : (sources.numberOf(message.source) ?? 0);
  writeMessageRecord(value, POSITION_BYTES, message, publisher, 0, 0, false, source);
  return [key, value];
}
