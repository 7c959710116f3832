/**
 * What came to a queue behind something newer: after a crash, messages of shared subscriptions whose member is known only later in the log.
 * The first message of a queue says from where on the log is needed, but for these. They are held together: the lowest of them
 * counts until the last has left.
 */
import type { LogPosition } from '../../lib/contracts/store.js';

export interface LateState {
  readonly floor: LogPosition;
  /** How many leave the queue, at most, until the last of them has. */
  readonly waiting: number;
}

export class LatePositions {
  #floor: LogPosition = Infinity;
  #waiting = 0;
  #newest: LogPosition;

  /** @param newest no message that waits is newer; @param count so many wait */
  constructor(newest: LogPosition, count: number, state: LateState | undefined) {
    this.#newest = newest;
    if (state === undefined) return;
    this.#floor = state.floor;
    this.#waiting = state.waiting;
    this.cut(count);
  }

  /** Infinity: there are none. */
  get floor(): LogPosition {
    return this.#floor;
  }

  get state(): LateState | undefined {
    return this.#waiting === 0 ? undefined : { floor: this.#floor, waiting: this.#waiting };
  }

  /** @param count so many wait, this one among them */
  came(position: LogPosition, count: number): void {
    if (position >= this.#newest || count === 1) {
      this.#newest = position;
    } else {
      this.#waiting = count;
      if (position < this.#floor) this.#floor = position;
    }
  }

  /** The one in front has left. */
  shifted(): void {
    if (this.#waiting > 0) this.cut(this.#waiting - 1);
  }

  /** Others have left: so many wait. */
  cut(count: number): void {
    if (count >= this.#waiting) return;
    this.#waiting = count;
    if (count === 0) this.#floor = Infinity;
  }
}
