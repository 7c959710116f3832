/**
 * All deadlines of a gateway in one heap, fired by a coarse tick. It knows no clock: `runDue` gets the time, so that the
 * simulation moves it at will, and a delay may be longer than the 2^31 ms of setTimeout.
 */
import type { TimerHandle } from '../contracts/clock.js';

class Timer implements TimerHandle {
  index = -1;
  constructor(
    readonly queue: TimerQueue,
    readonly at: number,
    /** Timers of one moment fire in the order in which they were set. */
    readonly sequence: number,
    readonly fire: () => void,
  ) {}

  cancel(): void {
    if (this.index >= 0) this.queue.remove(this);
  }
}

function earlier(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}

export class TimerQueue {
  readonly #heap: Timer[] = [];
  #sequence = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** When the next timer is due; Infinity where there is none. */
  get nextAt(): number {
    return this.#heap[0]?.at ?? Infinity;
  }

  /** @param at milliseconds on the monotonic clock. */
  at(at: number, fire: () => void): TimerHandle {
    const timer = new Timer(this, at, this.#sequence++, fire);
    this.#heap.push(timer);
    this.#up(this.#heap.length - 1, timer);
    return timer;
  }

  /** Fires everything due at `now`, in order of time. Timers set meanwhile fire too where they are due. */
  runDue(now: number): void {
    for (let first = this.#heap[0]; first !== undefined && first.at <= now; first = this.#heap[0]) {
      this.remove(first);
      first.fire();
    }
  }

  remove(timer: Timer): void {
    const { index } = timer;
    const last = this.#heap.pop();
    timer.index = -1;
    if (last === undefined || last === timer) return;
    this.#up(index, last);
    this.#down(last.index, last);
  }

  #up(index: number, timer: Timer): void {
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#heap[parentIndex] as Timer;
      if (!earlier(timer, parent)) break;
      this.#heap[index] = parent;
      parent.index = index;
      index = parentIndex;
    }
    this.#heap[index] = timer;
    timer.index = index;
  }

  #down(index: number, timer: Timer): void {
    for (;;) {
      let childIndex = index * 2 + 1;
      let child = this.#heap[childIndex];
      if (child === undefined) break;
      const right = this.#heap[childIndex + 1];
      if (right !== undefined && earlier(right, child)) {
        child = right;
        childIndex++;
      }
      if (!earlier(child, timer)) break;
      this.#heap[index] = child;
      child.index = index;
      index = childIndex;
    }
    this.#heap[index] = timer;
    timer.index = index;
  }
}
