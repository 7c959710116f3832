import type { Clock, Timers } from './contracts/clock.js';

/** The one place that reads the clocks of the machine. */
export const realClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
};

/**
 * The clock of a gateway that has stored something: it goes on where it was when the process before this one wrote its last
 * record. The time between the two does not count: a device could not have come back in it. Until it is known where that
 * was the clock stands at 0, so that nothing made before has a time that is still to come.
 */
export class GatewayClock implements Clock {
  readonly #clock: Clock;
  /** From the other clock's time to this one's; undefined: it stands. */
  #offset: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#offset === undefined ? 0 : this.#clock.now() + this.#offset;
  }

  wall(): number {
    return this.#clock.wall();
  }

  /** Goes on from where it stands, where nobody said otherwise. */
  start(): void {
    this.#offset ??= -this.#clock.now();
  }

  /** It is `ms` now. */
  continueFrom(ms: number): void {
    this.#offset = ms - this.#clock.now();
  }
}

const MINUTES_OF_HOUR = 60;

/** In the time zone of the machine. */
export function minuteOfDay(): number {
  const now = new Date();
  return now.getHours() * MINUTES_OF_HOUR + now.getMinutes();
}

/** What setTimeout takes. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1;

export const realTimers: Timers = {
  after(delayMs, fire) {
    let rest = delayMs;
    let timeout: NodeJS.Timeout;
    const wait = (): void => {
      const step = Math.min(rest, TIMEOUT_MAX_MS);
      rest -= step;
      timeout = setTimeout(rest > 0 ? wait : fire, step);
    };
    wait();
    return { cancel: () => clearTimeout(timeout) };
  },
};
