/**
 * Which topics have messages pending for a peer, so that nothing newer of theirs may overtake. `last` is the newest message of a topic, wanted or
 * not: what the peer wants may change before main comes there. `unsent` is the newest of them that has to go in its turn. Where nothing is known of a stretch of the log (a restart, a lost
 * link, too many topics) every topic counts as pending until main has passed it.
 */
import type { LogPosition } from '../../lib/contracts/store.js';

interface PendingTopic {
  last: LogPosition;
  unsent: LogPosition;
}

export class PendingTopics {
  readonly #topics = new Map<string, PendingTopic>();
  readonly #maxCount: number;
  #unknownUpTo: LogPosition = 0;
  /** Newest message that was added: they do not always come in order. */
  #newest: LogPosition = 0;

  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  get size(): number {
    return this.#topics.size;
  }

  get unknownUpTo(): LogPosition {
    return this.#unknownUpTo;
  }

  /** A wanted message that has to go in its turn. @returns false: there are too many topics, and nothing is known up to here */
  add(topic: string, position: LogPosition): boolean {
    if (position > this.#newest) this.#newest = position;
    const known = this.#topics.get(topic);
    if (known !== undefined) {
      known.last = Math.max(known.last, position);
      known.unsent = Math.max(known.unsent, position);
      return true;
    }
    if (this.#topics.size < this.#maxCount) {
      this.#topics.set(topic, { last: position, unsent: position });
      return true;
    }
    this.forget(this.#newest);
    return false;
  }

  /** Whether a newer message of the topic may go at once. @param sent main's position on this link */
  isFree(topic: string, sent: LogPosition): boolean {
    if (sent < this.#unknownUpTo) return false;
    const known = this.#topics.get(topic);
    return known === undefined ? this.#topics.size < this.#maxCount : known.unsent <= sent;
  }

  /** It went ahead. The topic was free. */
  sentAhead(topic: string, position: LogPosition): void {
    if (position > this.#newest) this.#newest = position;
    const known = this.#topics.get(topic);
    if (known === undefined) this.#topics.set(topic, { last: position, unsent: 0 });
    else known.last = position;
  }

  /** What went ahead did not leave after all. */
  notSent(topic: string): void {
    const known = this.#topics.get(topic);
    if (known !== undefined) known.unsent = known.last;
  }

  /** Main came past a message of the topic. */
  passed(topic: string, position: LogPosition): void {
    const known = this.#topics.get(topic);
    if (known !== undefined && known.last <= position) this.#topics.delete(topic);
  }

  /** The link is lost: what went ahead may not have arrived, and so may what main sent; and of what a live peer did not want nothing was noted. @param head newest position */
  linkLost(head: LogPosition): void {
    for (const known of this.#topics.values()) known.unsent = known.last;
    this.unknownTo(head);
  }

  /** Nothing is known of the log up to here. */
  forget(upTo: LogPosition): void {
    this.#topics.clear();
    this.#unknownUpTo = Math.max(this.#unknownUpTo, upTo);
  }

  /** Of what stands before it not everything was noted. */
  unknownTo(position: LogPosition): void {
    this.#unknownUpTo = Math.max(this.#unknownUpTo, position);
  }

  /** Main has sent everything. */
  clear(): void {
    if (this.#topics.size > 0) this.#topics.clear();
  }
}
