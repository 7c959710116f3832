/**
 * Retained messages that new subscriptions of one session are still owed: topics, not messages. Each is read when its turn
 * comes, so that nobody gets an older one after a newer, and a large set waits in little memory.
 */
import type { RetainedView } from '../contracts/store.js';
import type { Message } from '../message/message.js';
import type { QoS } from '../protocol/packet.js';

interface Owed {
  readonly topic: string;
  /** What the subscription was granted. */
  readonly qos: QoS;
  readonly identifiers: readonly number[] | undefined;
}

export class OwedRetained {
  readonly #retained: RetainedView;
  readonly #list: Owed[] = [];
  #next = 0;
  #current: Owed | undefined;

  constructor(retained: RetainedView) {
    this.#retained = retained;
  }

  add(topics: readonly string[], qos: QoS, identifiers: readonly number[] | undefined): void {
    for (const topic of topics) this.#list.push({ topic, qos, identifiers });
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
