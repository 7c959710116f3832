/** One timer for everything that is due at some time: what is due earlier moves it. */
import type { Clock, TimerHandle, Timers } from '../../lib/contracts/clock.js';

export class Alarm {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #timers: Timers;
  readonly #ring: () => void;
  #timer: TimerHandle | undefined;
  #ringsAt = Infinity;
  #isOver = false;

  /** @param ring sets it anew, where anything else is due */
  constructor(clock: Pick<Clock, 'now'>, timers: Timers, ring: () => void) {
    this.#clock = clock;
    this.#timers = timers;
    this.#ring = ring;
  }

  /** It rings then, or earlier. @param at on the clock; what has passed is now */
  by(at: number): void {
    if (at >= this.#ringsAt || this.#isOver) return;
    this.#timer?.cancel();
    this.#ringsAt = at;
    this.#timer = this.#timers.after(Math.max(0, at - this.#clock.now()), () => {
      this.#ringsAt = Infinity;
      this.#ring();
    });
  }

  /** For good. */
  end(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }
}
