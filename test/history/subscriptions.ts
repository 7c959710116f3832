/** What a recording client wants to be subscribed to, over connections and sessions. */
import type { EventQoS } from './event.js';

export interface SubscriptionChoices {
  readonly qos: EventQoS;
  readonly noLocal?: boolean;
  readonly retainAsPublished?: boolean;
  readonly retainHandling?: 0 | 1 | 2;
}

/** A SUBSCRIBE, or without choices an UNSUBSCRIBE, that must be answered. */
export interface Asking {
  readonly filter: string;
  readonly choices: SubscriptionChoices | undefined;
  readonly done: (reasonCode: number) => void;
}

const NO_SUBSCRIPTION_EXISTED = 0x11;

export class Subscriptions {
  readonly #wanted = new Map<string, SubscriptionChoices>();
  #asking: Asking[] = [];
  readonly #asked = new Map<number, Asking>();

  ask(asking: Asking): void {
    if (asking.choices === undefined) this.#wanted.delete(asking.filter);
    this.#asking.push(asking);
  }

  /** What is to be sent next. */
  next(): Asking | undefined {
    return this.#asking.shift();
  }

  sent(packetId: number, asking: Asking): void {
    this.#asked.set(packetId, asking);
  }

  /** @returns what was asked; undefined where nothing was. */
  answered(packetId: number, reasonCode: number): Asking | undefined {
    const asking = this.#asked.get(packetId);
    if (asking === undefined) return undefined;
    this.#asked.delete(packetId);
    if (asking.choices !== undefined && reasonCode < 0x80) this.#wanted.set(asking.filter, asking.choices);
    return asking;
  }

  /** The connection is over: what was not answered is asked again. @returns packet ids that are free. */
  disconnected(): number[] {
    const ids = [...this.#asked.keys()];
    this.#asking = [...this.#asked.values(), ...this.#asking];
    this.#asked.clear();
    return ids;
  }

  /** The session is new: it has nothing to unsubscribe from, and everything to be subscribed to again. */
  renewed(): void {
    const asking = this.#asking;
    this.#asking = [];
    for (const [filter, choices] of this.#wanted) this.#asking.push({ filter, choices, done: () => {} });
    for (const one of asking) {
      if (one.choices === undefined) one.done(NO_SUBSCRIPTION_EXISTED);
      else this.#asking.push(one);
    }
  }
}
