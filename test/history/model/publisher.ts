import type { EventQoS, Mid } from '../event.js';
import { float64Column, uint16Column, uint32Column } from './column.js';

/**
 * How a publish ended. `ok` alone creates an obligation; `fail` is a refusal of a message that was sent once and so was taken by
 * nobody. All others are `info`: it may or may not have happened, for ever.
 */
export type Outcome = 'info' | 'ok' | 'fail';
const OUTCOMES = ['info', 'ok', 'fail'] as const;

const QOS = 0b11;
const OUTCOME_AT = 2;
const OUTCOME = 0b11 << OUTCOME_AT;
const Flag = {
  known: 1 << 4,
  retain: 1 << 5,
  empty: 1 << 6,
  will: 1 << 7,
  expires: 1 << 8,
  resent: 1 << 9,
  received: 1 << 10,
  resentAnew: 1 << 11,
} as const;
type Flag = (typeof Flag)[keyof typeof Flag];

export interface Publication {
  readonly q: EventQoS;
  readonly retain: boolean;
  readonly empty: boolean;
  readonly will: boolean;
  readonly expires: boolean;
}

/** Everything one publisher has sent, by sequence number. Times are milliseconds since the first event. */
export class Publisher {
  /** One more than the highest sequence number. */
  length = 0;
  /** Of its connections. */
  cid = '';
  /** At which it is. */
  node = '';
  version: 4 | 5 = 5;
  readonly topicIds = new Set<number>();
  readonly #sentAt = float64Column();
  readonly #settledAt = float64Column();
  readonly #topics = uint32Column();
  readonly #flags = uint16Column();
  /** Sequence numbers were sent in their order, and all of them. */
  #inOrder = true;
  #newestSentAtMs = -Infinity;
  /** Where its sessions began. */
  readonly #epochs: number[] = [0];

  constructor(readonly number: number) {}

  /** The publisher has lost its session: order is owed among what follows. */
  beginEpoch(): void {
    if (this.#epochs.at(-1) !== this.length) this.#epochs.push(this.length);
  }

  /** How many sessions it had before it sent this. */
  epochOf(seq: number): number {
    let epoch = this.#epochs.length - 1;
    while (epoch > 0 && (this.#epochs[epoch] ?? 0) > seq) epoch--;
    return epoch;
  }

  add(seq: number, atMs: number, topicId: number, publication: Publication): void {
    let flags = publication.q | Flag.known;
    if (publication.retain) flags |= Flag.retain;
    if (publication.empty) flags |= Flag.empty;
    if (publication.will) flags |= Flag.will;
    if (publication.expires) flags |= Flag.expires;
    this.#flags.set(seq, flags);
    this.#sentAt.set(seq, atMs);
    this.#settledAt.set(seq, Infinity);
    this.#topics.set(seq, topicId);
    this.topicIds.add(topicId);
    this.#inOrder &&= seq === this.length && atMs >= this.#newestSentAtMs;
    this.#newestSentAtMs = atMs;
    this.length = Math.max(this.length, seq + 1);
  }

  settle(seq: number, atMs: number, outcome: Outcome): void {
    const flags = this.#flags.get(seq) & ~OUTCOME;
    this.#flags.set(seq, flags | (OUTCOMES.indexOf(outcome) << OUTCOME_AT));
    if (outcome === 'ok') this.#settledAt.set(seq, atMs);
  }

  markResent(seq: number): void {
    const anew = this.epochOf(seq) < this.#epochs.length - 1 ? Flag.resentAnew : 0;
    this.#flags.set(seq, this.#flags.get(seq) | Flag.resent | anew);
  }

  markReceived(seq: number): void {
    this.#flags.set(seq, this.#flags.get(seq) | Flag.received);
  }

  /** Where everything is that was sent from `fromMs` to `untilMs`, perhaps with more around it. */
  range(fromMs: number, untilMs: number): { readonly begin: number; readonly end: number } {
    if (!this.#inOrder) return { begin: 0, end: this.length };
    return { begin: this.#countBefore((at) => at < fromMs), end: this.#countBefore((at) => at <= untilMs) };
  }

  #countBefore(isBefore: (sentAtMs: number) => boolean): number {
    let low = 0;
    for (let high = this.length; low < high;) {
      const middle = (low + high) >>> 1;
      if (isBefore(this.#sentAt.get(middle))) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  knows(seq: number): boolean {
    return seq < this.length && this.#has(seq, Flag.known);
  }
  /** First byte of the first attempt; for a will its CONNECT. */
  sentAt(seq: number): number {
    return this.#sentAt.get(seq);
  }
  /** When it was acknowledged; Infinity where it was not. */
  settledAt(seq: number): number {
    return this.#settledAt.get(seq);
  }
  topicId(seq: number): number {
    return this.#topics.get(seq);
  }
  qos(seq: number): number {
    return this.#flags.get(seq) & QOS;
  }
  outcome(seq: number): Outcome {
    return OUTCOMES[(this.#flags.get(seq) & OUTCOME) >> OUTCOME_AT] ?? 'info';
  }
  retain(seq: number): boolean {
    return this.#has(seq, Flag.retain);
  }
  empty(seq: number): boolean {
    return this.#has(seq, Flag.empty);
  }
  will(seq: number): boolean {
    return this.#has(seq, Flag.will);
  }
  expires(seq: number): boolean {
    return this.#has(seq, Flag.expires);
  }
  resent(seq: number): boolean {
    return this.#has(seq, Flag.resent);
  }
  /** In a session after the one in which it was sent first: the broker cannot know that it has it. */
  resentAnew(seq: number): boolean {
    return this.#has(seq, Flag.resentAnew);
  }
  received(seq: number): boolean {
    return this.#has(seq, Flag.received);
  }

  /** Acknowledged at QoS 1 or 2, recognisable and not allowed to expire: whoever is subscribed must get it. */
  obliges(seq: number): boolean {
    const flags = this.#flags.get(seq);
    const excused = Flag.empty | Flag.will | Flag.expires;
    return (flags & QOS) > 0 && (flags & OUTCOME) === 1 << OUTCOME_AT && (flags & excused) === 0;
  }

  mid(seq: number): Mid {
    return { pub: this.number, seq };
  }

  #has(seq: number, flag: Flag): boolean {
    return (this.#flags.get(seq) & flag) !== 0;
  }
}
