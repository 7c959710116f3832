/**
 * A stretch of the log on its way, strictly in order: batches that each cover (sent, to]. Main is one without an end, a backfill one with.
 *
 *     ────────┬──────────────────┬───────────▶ positions
 *             sent    `queue`    through
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import type { CoverHeader } from './frames.js';
import { encodedMaxBytes } from './message-codec.js';
import { MessageQueue } from './message-queue.js';
import type { Outlet } from './outlet.js';

/** What a lane passes over, and what it came past. */
export interface LaneWatcher {
  /** It went another way on this link. */
  isSentAhead(position: LogPosition): boolean;
  /** Sent or passed over. */
  passed(message: Message): void;
}

export class CoverLane {
  readonly queue = new MessageQueue();
  /** Everything up to here is in frames that the link took. */
  sent: LogPosition;
  /** What is wanted up to here is in the queue. */
  through: LogPosition;
  #lostFrom: LogPosition = 0;
  #lostTo: LogPosition = 0;

  constructor(
    readonly kind: CoverHeader['kind'],
    private readonly outlet: Outlet,
    private readonly watcher: LaneWatcher,
    start: LogPosition,
  ) {
    this.sent = start;
    this.through = start;
  }

  /** Goes on from `sent`, with nothing known of what is behind it. */
  forget(): void {
    this.queue.clear();
    this.through = this.sent;
    this.#lostFrom = 0;
    this.#lostTo = 0;
  }

  lost(from: LogPosition, to: LogPosition): void {
    this.#lostFrom = this.#lostTo === 0 ? from : this.#lostFrom;
    this.#lostTo = Math.max(this.#lostTo, to);
  }

  get hasHole(): boolean {
    return this.#lostTo > 0;
  }

  /**
   * Sends one batch of what is in the queue; with an empty one it covers what passed without a message.
   * @param isBacklog leaves credit for live messages @param end of the lane: the batch that reaches it says so
   * @returns false: it has to wait
   */
  sendBatch(version: number, isBacklog: boolean, end = Infinity): boolean {
    const { outlet, queue } = this;
    const now = outlet.now;
    const budget = outlet.budget(isBacklog);
    const first = queue.at(0);
    const epoch = outlet.epochOf(first?.position ?? this.through);
    const count = this.#fitting(budget, now, isBacklog);
    if (count === 0 && (queue.count > 0 || (budget < 0 && !outlet.mayOverdraw))) return false;
    const isLast = count === queue.count;
    const to = isLast ? this.through : (queue.at(count - 1)?.position ?? this.sent);
    // What is lost may have messages between it, and end in a later batch.
    const tellsLost = this.#lostTo > 0 && this.#lostFrom <= to;
    const lostTo = Math.min(this.#lostTo, to);
    outlet.cover({
      kind: this.kind,
      epoch,
      version,
      from: this.sent,
      to,
      lostFrom: tellsLost ? this.#lostFrom : 0,
      lostTo: tellsLost ? lostTo : 0,
      done: to >= end,
    });
    this.#writeMessages(count, now);
    outlet.finish(isBacklog);
    queue.drop(count);
    this.sent = to;
    if (this.#lostTo <= to) this.#lostTo = 0;
    else if (tellsLost) this.#lostFrom = to + 1;
    return true;
  }

  /** How many messages go into a batch of `budget` bytes: all of one epoch; one that is larger goes alone. */
  #fitting(budget: number, now: number, isBacklog: boolean): number {
    const { outlet, queue } = this;
    if (budget < 0 && !outlet.mayOverdraw) return 0;
    let bytes = 0;
    let writes = 0;
    let count = 0;
    const epoch = outlet.epochOf(queue.at(0)?.position ?? 0);
    for (let message = queue.at(0); message !== undefined; message = queue.at(++count)) {
      if (outlet.epochOf(message.position) !== epoch) break;
      if (this.watcher.isSentAhead(message.position) || outlet.isRefused(message, now)) continue;
      bytes += encodedMaxBytes(message);
      if (bytes > budget && (writes > 0 || !outlet.mayGoAlone(bytes, isBacklog))) break;
      writes++;
    }
    return count;
  }

  #writeMessages(count: number, now: number): void {
    const { outlet, queue, watcher } = this;
    let before = this.sent;
    for (let i = 0; i < count; i++) {
      const message = queue.at(i);
      if (message === undefined) break;
      if (!watcher.isSentAhead(message.position)) {
        if (outlet.isRefused(message, now)) outlet.countRefused(message);
        else {
          outlet.message(message, message.position - before, now);
          before = message.position;
        }
      }
      watcher.passed(message);
    }
  }
}
