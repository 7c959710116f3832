import type { RetainedStore } from '../../lib/contracts/store.js';
import { type Message, retainedBytes } from '../../lib/message/message.js';
import { TopicTree } from '../../lib/routing/topic-tree.js';

const DOUBTFUL_MAX_COUNT = 1000;

/** Of a topic: what it retains changes far more often than which topics there are. */
interface Slot {
  message: Message;
}

export class MemoryRetainedStore implements RetainedStore {
  readonly #tree = new TopicTree<Slot>();
  /** The same once more: one topic is asked for several times for each message that is retained. */
  readonly #byTopic = new Map<string, Slot>();
  readonly #tombstones = new Map<string, Message>();
  readonly #doubtful = new Map<string, Message>();
  /** It is on its way to subscribers, perhaps; then it is settled. */
  #newest: Message | undefined;
  #bytes = 0;

  get count(): number {
    return this.#tree.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(topic: string): Message | undefined {
    return this.#byTopic.get(topic)?.message;
  }

  set(message: Message): void {
    const { topic } = message;
    message.detach();
    this.#newest?.settle();
    this.#newest = message;
    const slot = this.#byTopic.get(topic);
    if (slot === undefined) {
      const added = { message };
      this.#tree.set(topic, added);
      this.#byTopic.set(topic, added);
    } else {
      this.#bytes -= retainedBytes(slot.message);
      message.shareTopic(slot.message);
      slot.message = message;
    }
    this.#bytes += retainedBytes(message);
    this.#tombstones.delete(topic);
    this.#doubtful.delete(topic);
  }

  bury(tombstone: Message): void {
    this.delete(tombstone.topic);
    tombstone.copyBytes();
    tombstone.settle();
    this.#tombstones.delete(tombstone.topic);
    this.#tombstones.set(tombstone.topic, tombstone);
    this.#doubtful.delete(tombstone.topic);
  }

  doubtful(topic: string): Message | undefined {
    return this.#doubtful.get(topic);
  }

  doubt(message: Message): void {
    message.settle();
    this.#doubtful.delete(message.topic);
    this.#doubtful.set(message.topic, message);
    if (this.#doubtful.size <= DOUBTFUL_MAX_COUNT) return;
    const [oldest] = this.#doubtful.keys();
    if (oldest !== undefined) this.forgetDoubt(oldest);
  }

  protected forgetDoubt(topic: string): void {
    this.#doubtful.delete(topic);
  }

  tombstone(topic: string): Message | undefined {
    return this.#tombstones.get(topic);
  }

  forgetTombstone(topic: string): boolean {
    return this.#tombstones.delete(topic);
  }

  get tombstoneCount(): number {
    return this.#tombstones.size;
  }

  forEachTombstone(visit: (tombstone: Message) => void): void {
    for (const tombstone of this.#tombstones.values()) visit(tombstone);
  }

  delete(topic: string): boolean {
    const slot = this.#byTopic.get(topic);
    if (slot === undefined) return false;
    this.#bytes -= retainedBytes(slot.message);
    if (slot.message === this.#newest) this.#newest = undefined;
    this.#byTopic.delete(topic);
    return this.#tree.delete(topic);
  }

  forEachMatch(filter: string, visit: (message: Message) => void): void {
    this.#tree.forEachMatch(filter, ({ message }) => visit(message));
  }

  forEach(visit: (message: Message) => void): void {
    this.#tree.forEach(({ message }) => visit(message));
  }
}
