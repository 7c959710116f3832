/**
 * Spreads wills over time: when a site loses its uplink thousands of connections end in one moment, and their wills would
 * come as one burst to everybody who watches. A token bucket: a second's worth at once, the rest in order as time passes.
 * Nothing is dropped.
 */
import type { Clock } from '../contracts/clock.js';
import type { TimerQueue } from './timer-queue.js';
import { TokenBucket } from './token-bucket.js';

const DRAIN_INTERVAL_MS = 250;

export interface WillPacerOptions {
  readonly clock: Clock;
  readonly timers: TimerQueue;
  /** Wills per second; 0: no limit. */
  readonly perSecondMax: number;
}

export class WillPacer {
  readonly #options: WillPacerOptions;
  readonly #bucket: TokenBucket;
  #waiting: (() => void)[] = [];

  constructor(options: WillPacerOptions) {
    this.#options = options;
    const { perSecondMax, clock } = options;
    this.#bucket = new TokenBucket({
      perSecond: perSecondMax,
      capacity: perSecondMax,
      now: clock.now(),
    });
  }

  /** Wills whose turn has not come. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Publishes the will now or when its turn comes. */
  submit(publish: () => void): void {
    if (this.#options.perSecondMax === 0 || (this.#waiting.length === 0 && this.#take())) {
      publish();
      return;
    }
    this.#waiting.push(publish);
    if (this.#waiting.length === 1) this.#schedule();
  }

  /** Publishes everything that waits, for a gateway that stops. */
  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const publish of waiting) publish();
  }

  #schedule(): void {
    const { clock, timers } = this.#options;
    timers.at(clock.now() + DRAIN_INTERVAL_MS, () => this.#drain());
  }

  #drain(): void {
    let count = 0;
    while (count < this.#waiting.length && this.#take()) count++;
    for (const publish of this.#waiting.splice(0, count)) publish();
    if (this.#waiting.length > 0) this.#schedule();
  }

  #take(): boolean {
    return this.#bucket.take(this.#options.clock.now());
  }
}
