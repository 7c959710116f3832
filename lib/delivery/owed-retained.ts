/**
 * Retained messages that new subscriptions of one session are still owed: topics, not messages. Each is read when its turn
 * comes, so that nobody gets an older one after a newer, and a large set waits in little memory.
 */
import type { LogPosition, OwedImage, RetainedView } from '../contracts/store.js';
import type { Message } from '../message/message.js';
import type { QoS } from '../protocol/packet.js';

export class OwedRetained {
  readonly #retained: RetainedView;
  #list: OwedImage[] = [];
  #next = 0;
  #current: OwedImage | undefined;

  constructor(retained: RetainedView) {
    this.#retained = retained;
  }

  add(topics: readonly string[], qos: QoS, identifiers: readonly number[] | undefined): void {
    for (const topic of topics) this.#list.push({ topic, qos, identifiers });
  }

  /** What was not taken yet. */
  get rest(): OwedImage[] {
    return this.#list.slice(this.#next);
  }

  /** From the log: the retained message of this position was sent. @returns its topic; undefined: it is owed to nobody here */
  remove(position: LogPosition): string | undefined {
    const at = this.#list.findIndex(
      ({ topic }, i) => i >= this.#next && this.#retained.get(topic)?.position === position,
    );
    const topic = this.#list[at]?.topic;
    if (topic !== undefined) this.#list.splice(at, 1);
    return topic;
  }

  /** The next message that is still retained, with `maxQoS` and `identifiers` until the next call; undefined: that was all. */
  take(now: number): Message | undefined {
    for (;;) {
      const owed = this.#list[this.#next];
      if (owed === undefined) return undefined;
      this.#next++;
      const message = this.#retained.get(owed.topic);
      if (message === undefined || message.expiresAt <= now) continue;
      this.#current = owed;
      return message;
    }
  }

  get maxQoS(): QoS {
    return this.#current?.qos ?? 0;
  }

  get identifiers(): readonly number[] | undefined {
    return this.#current?.identifiers;
  }
}
