/**
 * Newer messages than main has come to, of topics that have nothing pending: they go at once, and main passes over them. `ahead` are
 * those on this link, or that the receiver had before it, which main has not come past.
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import { encodedMaxBytes } from './message-codec.js';
import { MessageQueue } from './message-queue.js';
import type { Outlet } from './outlet.js';
import type { PendingTopics } from './pending-topics.js';

export class ExpressLane {
  readonly #outlet: Outlet;
  readonly #pending: PendingTopics;
  readonly #maxCount: number;
  readonly #queue = new MessageQueue();
  #encodedBytes = 0;
  #ahead = new Set<LogPosition>();
  #number = 0;
  sentMessages = 0;

  constructor(outlet: Outlet, pending: PendingTopics, maxCount: number) {
    this.#outlet = outlet;
    this.#pending = pending;
    this.#maxCount = maxCount;
  }

  get aheadCount(): number {
    return this.#ahead.size;
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** Of the last batch. */
  get number(): number {
    return this.#number;
  }

  isAhead(position: LogPosition): boolean {
    return this.#ahead.size > 0 && this.#ahead.has(position);
  }

  passed(position: LogPosition): void {
    if (this.#ahead.size > 0) this.#ahead.delete(position);
  }

  /** Main has sent everything. */
  allPassed(): void {
    if (this.#ahead.size > 0) this.#ahead.clear();
  }

  linkUp(have: readonly LogPosition[]): void {
    this.#ahead = new Set(have);
    this.#number = 0;
  }

  linkDown(): void {
    this.#withdraw();
    this.#ahead.clear();
  }

  /** @param sent main's position @returns false: it has to go in its turn */
  offer(message: Message, sent: LogPosition): boolean {
    const { topic, position } = message;
    if (!this.#outlet.isWritable || this.#ahead.size >= this.#maxCount) return false;
    if (!this.#pending.isFree(topic, sent)) return false;
    if (this.#outlet.isRefused(message, this.#outlet.now)) return false;
    const bytes = encodedMaxBytes(message);
    if (this.#encodedBytes + bytes > this.#outlet.budget(false)) return false;
    this.#encodedBytes += bytes;
    this.#queue.push(message);
    this.#ahead.add(position);
    this.#pending.sentAhead(topic, position);
    return true;
  }

  /** Before main sends anything: it would pass over what is still here. */
  flush(): void {
    const queue = this.#queue;
    const first = queue.at(0);
    if (first === undefined) return;
    const outlet = this.#outlet;
    if (outlet.budget(false) < this.#encodedBytes) {
      this.#withdraw();
      return;
    }
    const now = outlet.now;
    let before = first.position - 1;
    outlet.express(outlet.epochOf(first.position), ++this.#number, before);
    for (let i = 0; i < queue.count; i++) {
      const message = queue.at(i);
      if (message === undefined) break;
      outlet.message(message, message.position - before, now);
      before = message.position;
    }
    this.sentMessages += queue.count;
    outlet.finish(false);
    queue.clear();
    this.#encodedBytes = 0;
  }

  #withdraw(): void {
    for (let i = 0; i < this.#queue.count; i++) {
      const message = this.#queue.at(i);
      if (message === undefined) break;
      this.#ahead.delete(message.position);
      this.#pending.notSent(message.topic);
    }
    this.#queue.clear();
    this.#encodedBytes = 0;
  }
}
