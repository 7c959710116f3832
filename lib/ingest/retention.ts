/**
 * What is retained, and how much of it one client may hold. A retained message is held by the client that published it, and
 * says so itself (`publisher`): the account is nothing that would have to be stored. It is counted from the retained messages
 * when it is first needed and kept in step from then on, so it is the same after a reconnect, under another session and, where
 * the store gives back its messages, after a restart. It has one number per client that holds anything, never more than
 * there are messages.
 *
 * All changes of the retained messages go through here; the stores know nothing of it.
 */
import type { Clock } from '../contracts/clock.js';
import type { Logger } from '../contracts/logger.js';
import type { RetainedStore } from '../contracts/store.js';
import { type Message, RETAINED_WEIGHT, retainedBytes } from '../message/message.js';

/** The gateway itself is nobody: what it retains ($SYS) counts for no client. */
const NOBODY = '';
/** Holder of what clients without an id of their own retain. No client id holds U+0000 [MQTT-1.5.4-2]. */
const NAMELESS = '\0';
/** Messages that have expired are looked for at most so often: it walks the whole set. */
const SWEEP_INTERVAL_MS = 10_000;
/** Steps in which a message may grow in the place of another where there is no room: values of one kind are seldom of one length. */
const GROWTH_STEP_BYTES = 256;
/** A client at its quota goes on trying; the log names one at most so often. */
const WARN_INTERVAL_MS = 10_000;

export interface RetentionLimits {
  readonly retainedMaxCount: number;
  readonly retainedMaxBytes: number;
  /** Of one client; 0: no limit. */
  readonly retainedPerClientMaxCount: number;
}

export interface RetentionOptions {
  readonly retained: RetainedStore;
  readonly limits: RetentionLimits;
  readonly clock: Clock;
  readonly logger: Logger;
  /**
   * Whether the gateway made the client id. Those change with every connection, so that they share one quota: a device
   * that reconnects under ever new ones would else have as many.
   */
  readonly isAssignedClientId: (clientId: string) => boolean;
}

/** Why a message is not retained: all messages together are at their limit, or those of its publisher are. */
export type RetentionRefusal = 'limit' | 'quota';

export class Retention {
  /** In a mesh others have to learn of a removal: what was removed leaves the message that removed it. */
  keepsTombstones = false;
  /** In a mesh: what is known of a topic has changed. @param newest a message, or its removal; undefined: nothing is known any more */
  onChange: ((topic: string, newest: Message | undefined) => void) | undefined;
  readonly #options: RetentionOptions;
  /** Messages by holder, of those that hold any; undefined until it is needed. */
  #shares: Map<string, number> | undefined;
  #sweepAt = -Infinity;
  #warnAt = -Infinity;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** Messages that count against the quota of this client. */
  heldBy(clientId: string): number {
    return this.#sharesNow.get(this.#holderOf(clientId)) ?? 0;
  }

  /** Why the message cannot be kept; undefined: it can. An empty one deletes, which is always allowed. */
  refusalOf(message: Message): RetentionRefusal | undefined {
    if (message.payloadLength === 0) return undefined;
    const { retained } = this.#options;
    const { topic } = message;
    let refusal = this.#judge(message, retained.get(topic));
    if (refusal !== undefined && this.#sweep()) refusal = this.#judge(message, retained.get(topic));
    if (refusal === 'quota') this.#warn(message.publisher);
    return refusal;
  }

  /** Puts the message in place of what its topic retains, whose holder gets its share back. @returns why it did not */
  keep(message: Message): RetentionRefusal | undefined {
    const { retained } = this.#options;
    const old = retained.get(message.topic);
    if (this.#judge(message, old) === undefined) {
      this.#replace(old, message);
      return undefined;
    }
    const refusal = this.refusalOf(message);
    if (refusal === undefined) this.#replace(retained.get(message.topic), message);
    return refusal;
  }

  /**
   * The same of a message of an earlier life, as that life would have: a version before this one counted less for each message, and what it has
   * acknowledged stays.
   */
  keepAgain(message: Message): void {
    if (!this.#fitsAgain(message) && !(this.#sweep() && this.#fitsAgain(message))) return;
    this.#replace(this.#options.retained.get(message.topic), message);
  }

  #fitsAgain({ topic, weight, publisher }: Message): boolean {
    const { retained, limits } = this.#options;
    const old = retained.get(topic);
    if (this.#isBeyondQuota(publisher, old)) return false;
    const weights = retained.bytes - retained.count * RETAINED_WEIGHT;
    const isRoom = weights + weight <= limits.retainedMaxBytes && retained.count < limits.retainedMaxCount;
    return old !== undefined || isRoom;
  }

  /** After a start: whether there is more than may be. It stays. */
  tellOfExcess(): void {
    const { retained, limits, logger } = this.#options;
    const { bytes, count } = retained;
    if (bytes <= limits.retainedMaxBytes && count <= limits.retainedMaxCount) return;
    logger.warn('more is retained than the limits allow; it stays, and further topics are refused', {
      ...{ bytes, maxBytes: limits.retainedMaxBytes, count, maxCount: limits.retainedMaxCount },
      raise: bytes > limits.retainedMaxBytes ? 'limits.retainedMaxBytes' : 'limits.retainedMaxCount',
    });
  }

  #replace(old: Message | undefined, message: Message): void {
    const shares = this.#sharesNow;
    this.#options.retained.set(message);
    this.onChange?.(message.topic, message);
    if (old?.publisher === message.publisher) return;
    if (old !== undefined) this.#add(shares, old.publisher, -1);
    this.#add(shares, message.publisher, 1);
  }

  /** An empty message takes away what its topic retains. @returns whether anything has changed */
  clear(message: Message): boolean {
    const { topic, retainedCounter } = message;
    // What has a counter is told to all, and stands everywhere, whatever it took away.
    const isBuried =
      this.keepsTombstones && (retainedCounter > 0 || this.#options.retained.get(topic) !== undefined);
    if (!isBuried) return this.delete(topic);
    this.#takeAway(topic);
    this.#options.retained.bury(message);
    this.onChange?.(topic, message);
    return true;
  }

  /** One that subscribers got, and of which nobody said yet whether it stands. */
  doubt(message: Message): void {
    this.#options.retained.doubt(message);
  }

  /** The highest counter that is known of the topic, of a removal too; 0: none. */
  counterOf(topic: string): number {
    return this.newestOf(topic)?.retainedCounter ?? 0;
  }

  /** What is known of the topic last: a message, or its removal. */
  newestOf(topic: string): Message | undefined {
    const { retained } = this.#options;
    return retained.get(topic) ?? retained.tombstone(topic);
  }

  /** @returns whether the topic retained anything. */
  delete(topic: string): boolean {
    if (!this.#takeAway(topic)) return false;
    this.onChange?.(topic, this.#options.retained.tombstone(topic));
    return true;
  }

  /** Every member knows of the removal. */
  forgetTombstone(topic: string): void {
    const { retained } = this.#options;
    if (retained.forgetTombstone(topic)) this.onChange?.(topic, retained.get(topic));
  }

  #takeAway(topic: string): boolean {
    const { retained } = this.#options;
    const shares = this.#sharesNow;
    const old = retained.get(topic);
    if (old === undefined) return false;
    retained.delete(topic);
    this.#add(shares, old.publisher, -1);
    return true;
  }

  /** @param old what the topic retains */
  #judge(message: Message, old: Message | undefined): RetentionRefusal | undefined {
    const { retained, limits } = this.#options;
    // Whoever looks what is full looks there; they are a few dozen.
    if (message.publisher === NOBODY && message.topic.startsWith('$SYS/')) return undefined;
    const bytes = retained.bytes - (old === undefined ? 0 : retainedBytes(old)) + retainedBytes(message);
    if (bytes > limits.retainedMaxBytes && !isOfSizeOf(message, old)) return 'limit';
    if (old === undefined && retained.count >= limits.retainedMaxCount) return 'limit';
    return this.#isBeyondQuota(message.publisher, old) ? 'quota' : undefined;
  }

  /** What is another client's is as new to this one as a topic that retains nothing, or two could hold without end in turn. */
  #isBeyondQuota(publisher: string, old: Message | undefined): boolean {
    const maxCount = this.#options.limits.retainedPerClientMaxCount;
    if (maxCount === 0 || publisher === NOBODY || old?.publisher === publisher) return false;
    const holder = this.#holderOf(publisher);
    if (old !== undefined && this.#holderOf(old.publisher) === holder) return false;
    return (this.#sharesNow.get(holder) ?? 0) >= maxCount;
  }

  #holderOf(publisher: string): string {
    return publisher !== NOBODY && this.#options.isAssignedClientId(publisher) ? NAMELESS : publisher;
  }

  /** Where the store is open, which it is before the first message. */
  get #sharesNow(): Map<string, number> {
    if (this.#shares !== undefined) return this.#shares;
    const shares = new Map<string, number>();
    this.#options.retained.forEach(({ publisher }) => this.#add(shares, publisher, 1));
    this.#shares = shares;
    return shares;
  }

  #add(shares: Map<string, number>, publisher: string, by: 1 | -1): void {
    if (publisher === NOBODY) return;
    const holder = this.#holderOf(publisher);
    const count = (shares.get(holder) ?? 0) + by;
    if (count === 0) shares.delete(holder);
    else shares.set(holder, count);
  }

  /** Expired messages stay until somebody asks for them; where room is short they go. @returns whether any went */
  #sweep(): boolean {
    const { retained, clock } = this.#options;
    const now = clock.now();
    if (now < this.#sweepAt) return false;
    this.#sweepAt = now + SWEEP_INTERVAL_MS;
    const expired: string[] = [];
    retained.forEach((message) => {
      if (message.expiresAt <= now) expired.push(message.topic);
    });
    for (const topic of expired) this.delete(topic);
    return expired.length > 0;
  }

  #warn(clientId: string): void {
    const { logger, clock } = this.#options;
    const now = clock.now();
    if (now < this.#warnAt) return;
    this.#warnAt = now + WARN_INTERVAL_MS;
    logger.warn('a client holds as many retained messages as one may; its further topics are not retained', {
      client: clientId,
      held: this.heldBy(clientId),
      raise: 'limits.retainedPerClientMaxCount',
    });
  }
}

/** What is there keeps its place, also where there is more than may be since the limit was lowered. */
function isOfSizeOf({ weight }: Message, old: Message | undefined): boolean {
  return (
    old !== undefined && Math.ceil(weight / GROWTH_STEP_BYTES) <= Math.ceil(old.weight / GROWTH_STEP_BYTES)
  );
}
