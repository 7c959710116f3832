/**
 * Retained messages that new subscriptions of one session are still owed: topics, not messages. Each is read when its turn
 * comes, so that nobody gets an older one after a newer, and a large set waits in little memory.
 */
import type { OwedImage, RetainedView } from '../contracts/store.js';
import type { Message } from '../message/message.js';
import type { QoS } from '../protocol/packet.js';

export class OwedRetained {
  readonly #retained: RetainedView;
  #list: OwedImage[] = [];
  #next = 0;
  #taken: OwedImage | undefined;

  constructor(retained: RetainedView) {
    this.#retained = retained;
  }

  /** @param filter that the topics are owed for. */
  add(topics: readonly string[], filter: string, qos: QoS, identifiers: readonly number[] | undefined): void {
    for (const topic of topics) this.#list.push({ topic, filter, qos, identifiers });
  }

  /** Gives up what is owed for the filter. */
  drop(filter: string): void {
    this.#list = this.#list.filter((owed, i) => i >= this.#next && owed.filter !== filter);
    this.#next = 0;
  }

  /** What was not taken yet. */
  get rest(): OwedImage[] {
    return this.#list.slice(this.#next);
  }

  /** From the log: the retained message of this topic was sent with this QoS. It may be owed for several filters. */
  remove(topic: string, qos: QoS): void {
    const messageQoS = this.#retained.get(topic)?.qos ?? qos;
    const isOwed = (owed: OwedImage, i: number): boolean => i >= this.#next && owed.topic === topic;
    const exact = this.#list.findIndex(
      (owed, i) => isOwed(owed, i) && Math.min(owed.qos, messageQoS) === qos,
    );
    const at = exact >= 0 ? exact : this.#list.findIndex(isOwed);
    if (at >= 0) this.#list.splice(at, 1);
  }

  /** One that was taken, and is owed still. */
  addAgain(owed: OwedImage): void {
    this.#list.push(owed);
  }

  /** The next message that is still retained, `taken` until the next call; undefined: that was all. */
  take(now: number): Message | undefined {
    for (;;) {
      const owed = this.#list[this.#next];
      if (owed === undefined) return undefined;
      this.#next++;
      const message = this.#retained.get(owed.topic);
      if (message === undefined || message.expiresAt <= now) continue;
      this.#taken = owed;
      return message;
    }
  }

  /** What the last message was owed as. */
  get taken(): OwedImage | undefined {
    return this.#taken;
  }
}
