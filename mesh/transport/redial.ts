import type { TimerHandle, Timers } from '../../lib/contracts/clock.js';
import { backoffMs } from './backoff.js';

export interface RedialOptions {
  readonly startMs: number;
  capMs(): number;
  readonly timers: Timers;
  readonly random: () => number;
  /** Never rejects. undefined: it worked, and no further attempt is made until `start`. */
  attempt(signal: AbortSignal): Promise<string | undefined>;
}

/**
 * Tries something again and again, ever more rarely, until it works.
 *
 *     idle ──start──▶ waiting ──▶ trying ──worked──▶ idle
 *       ◀────stop───────┴──◀──failed──┘
 */
export class Redial {
  readonly #options: RedialOptions;
  #timer: TimerHandle | undefined;
  #trying: AbortController | undefined;
  #isHurried = false;
  /** Attempts since it last lasted. */
  attempts = 0;
  lastFailure: string | undefined;

  constructor(options: RedialOptions) {
    this.#options = options;
  }

  get state(): 'idle' | 'waiting' | 'trying' {
    if (this.#trying !== undefined) return 'trying';
    return this.#timer === undefined ? 'idle' : 'waiting';
  }

  /** Nothing happens unless it is idle. @param delayMs at least so long before the first attempt; those that failed lengthen it */
  start(delayMs: number): void {
    if (this.state === 'idle') this.#wait(delayMs + (this.attempts === 0 ? 0 : this.#backoff()));
  }

  /** There is news: what is waiting waits no longer than the first time. */
  hurry(): void {
    // Once: otherwise who brings news all the time would put it off for ever.
    if (this.state !== 'waiting' || this.#isHurried) return;
    this.#timer?.cancel();
    this.#wait(this.#options.startMs * this.#options.random());
    this.#isHurried = true;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#trying?.abort();
    this.#trying = undefined;
  }

  /** It lasted. */
  reset(): void {
    this.attempts = 0;
  }

  #wait(delayMs: number): void {
    this.#isHurried = false;
    this.#timer = this.#options.timers.after(delayMs, () => {
      this.#timer = undefined;
      void this.#try();
    });
  }

  async #try(): Promise<void> {
    const trying = new AbortController();
    this.#trying = trying;
    this.attempts++;
    const failure = await this.#options.attempt(trying.signal);
    if (this.#trying !== trying) return;
    this.#trying = undefined;
    if (failure === undefined) return;
    this.lastFailure = failure;
    this.#wait(this.#backoff());
  }

  #backoff(): number {
    const { startMs, random } = this.#options;
    return backoffMs(this.attempts - 1, startMs, this.#options.capMs(), random());
  }
}
