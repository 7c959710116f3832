import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../contracts/clock.js';

/** Of a timer of Node.js. */
const SLEEP_MAX_MS = 2_147_483_647;

/** Resolves after so many milliseconds, or when the signal comes. */
export type Wait = (ms: number, signal: AbortSignal) => Promise<void>;

const waitFor: Wait = (ms, signal) =>
  sleep(Math.min(ms, SLEEP_MAX_MS), undefined, { signal }).catch(() => undefined);

/** When a message is due that came so long after the first one. */
export class Pace {
  readonly #speed: number;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #wait: Wait;
  #firstMs: number | undefined;
  #startedMs = 0;

  /** @param speed times as fast as it was; Infinity: without pauses */
  constructor(speed: number, clock: Pick<Clock, 'now'>, wait = waitFor) {
    this.#speed = speed;
    this.#clock = clock;
    this.#wait = wait;
  }

  isDue(timeMs: number): boolean {
    return this.#waitMs(timeMs) <= 0;
  }

  /** Resolves when it is due, or the signal came. */
  async until(timeMs: number, signal: AbortSignal): Promise<void> {
    for (let waitMs = this.#waitMs(timeMs); waitMs > 0 && !signal.aborted; waitMs = this.#waitMs(timeMs))
      await this.#wait(waitMs, signal);
  }

  #waitMs(timeMs: number): number {
    if (this.#speed === Infinity) return 0;
    if (this.#firstMs === undefined) {
      this.#firstMs = timeMs;
      this.#startedMs = this.#clock.now();
    }
    return (timeMs - this.#firstMs) / this.#speed - (this.#clock.now() - this.#startedMs);
  }
}
