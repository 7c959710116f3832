/**
 * What came before the clock could be trusted: a small machine without a battery begins in 1970, and is told the time minutes or days
 * later. Its messages have the wrong time in the log. When the clock is set the step is remembered, and what came before it is moved by it.
 */
import type { Clock } from '../../lib/contracts/clock.js';
import type { LogPosition } from '../../lib/contracts/store.js';

/** The beginning of 2026, before which no gateway ran: a clock that says so was not told the time. */
export const TRUSTED_FROM_MS = 1_767_225_600_000;

export interface ClockStep {
  /** What the log has up to here is as the clock was before. */
  readonly upTo: LogPosition;
  readonly deltaMs: number;
}

const STEPS_MAX_COUNT = 256;

export class ClockSteps {
  readonly #clock: Clock;
  /** Of the wall clock against the one that never jumps, while it could not be trusted. */
  #untrusted: number | undefined;
  #steps: readonly ClockStep[];

  /** @param steps that were remembered */
  constructor(clock: Clock, steps: readonly ClockStep[]) {
    this.#clock = clock;
    this.#steps = steps;
  }

  get isTrusted(): boolean {
    return this.#clock.wall() >= TRUSTED_FROM_MS;
  }

  get steps(): readonly ClockStep[] {
    return this.#steps;
  }

  /** Looks at the clock. @param committed the newest position of the log @returns whether it was set just now: `steps` is to be remembered */
  look(committed: LogPosition): boolean {
    const wall = this.#clock.wall();
    const offset = wall - this.#clock.now();
    if (wall < TRUSTED_FROM_MS) {
      this.#untrusted = offset;
      return false;
    }
    if (this.#untrusted === undefined) return false;
    const step = { upTo: committed, deltaMs: Math.round(offset - this.#untrusted) };
    this.#untrusted = undefined;
    this.#steps = [...this.#steps, step].slice(-STEPS_MAX_COUNT);
    return true;
  }

  /**
   * When something was taken in, as well as it is known by now.
   * @param wallMs as the log has it @param atMs where nothing is known of when the clock was set
   */
  timeOf(position: LogPosition, wallMs: number, atMs: number): number {
    if (wallMs >= TRUSTED_FROM_MS) return wallMs;
    const step = this.#steps.find(({ upTo }) => upTo >= position);
    return step === undefined ? atMs : Math.min(wallMs + step.deltaMs, atMs);
  }
}
