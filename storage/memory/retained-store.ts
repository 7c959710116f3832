import type { RetainedStore } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import { TopicTree } from '../../lib/routing/topic-tree.js';

const DOUBTFUL_MAX_COUNT = 1000;

export class MemoryRetainedStore implements RetainedStore {
  readonly #tree = new TopicTree<Message>();
  /** The same once more: one topic is asked for several times for each message that is retained. */
  readonly #byTopic = new Map<string, Message>();
  readonly #tombstones = new Map<string, Message>();
  readonly #doubtful = new Map<string, Message>();
  #bytes = 0;

  get count(): number {
    return this.#tree.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(topic: string): Message | undefined {
    return this.#byTopic.get(topic);
  }

  set(message: Message): void {
    const old = this.#byTopic.get(message.topic);
    if (old !== undefined) this.#bytes -= old.weight;
    message.detach();
    this.#tree.set(message.topic, message);
    this.#byTopic.set(message.topic, message);
    this.#bytes += message.weight;
    this.#tombstones.delete(message.topic);
    this.#doubtful.delete(message.topic);
  }

  bury(tombstone: Message): void {
    this.delete(tombstone.topic);
    tombstone.copyBytes();
    this.#tombstones.delete(tombstone.topic);
    this.#tombstones.set(tombstone.topic, tombstone);
    this.#doubtful.delete(tombstone.topic);
  }

  doubtful(topic: string): Message | undefined {
    return this.#doubtful.get(topic);
  }

  doubt(message: Message): void {
    message.detach();
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
    const old = this.#byTopic.get(topic);
    if (old === undefined) return false;
    this.#bytes -= old.weight;
    this.#byTopic.delete(topic);
    return this.#tree.delete(topic);
  }

  forEachMatch(filter: string, visit: (message: Message) => void): void {
    this.#tree.forEachMatch(filter, visit);
  }

  forEach(visit: (message: Message) => void): void {
    this.#tree.forEach(visit);
  }
}
