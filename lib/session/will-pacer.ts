/**
 * Spreads wills over time: when a site loses its uplink thousands of connections end in one moment, and their wills would
 * come as one burst to everybody who watches. A token bucket: a second's worth at once, the rest in order as time passes,
 * that of a client who is back before its turn. Nothing is dropped.
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
  /** By client id, in the order in which they were submitted. */
  #waiting = new Map<string, () => void>();
  #scheduled = false;

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
    return this.#waiting.size;
  }

  /** Publishes the will of a client now or when its turn comes. */
  submit(clientId: string, publish: () => void): void {
    this.hurry(clientId);
    if (this.#options.perSecondMax === 0 || (this.#waiting.size === 0 && this.#take())) {
      publish();
      return;
    }
    this.#waiting.set(clientId, publish);
    this.#schedule();
  }

  /** The client is back: its will, where it waits, comes now, before anything that it publishes from here on. */
  hurry(clientId: string): void {
    const publish = this.#waiting.get(clientId);
    if (publish === undefined) return;
    this.#waiting.delete(clientId);
    publish();
  }

  /** Publishes everything that waits, for a gateway that stops. */
  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = new Map();
    for (const publish of waiting.values()) publish();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const { clock, timers } = this.#options;
    timers.at(clock.now() + DRAIN_INTERVAL_MS, () => this.#drain());
  }

  #drain(): void {
    this.#scheduled = false;
    for (const [clientId, publish] of this.#waiting) {
      if (!this.#take()) break;
      this.#waiting.delete(clientId);
      publish();
    }
    if (this.#waiting.size > 0) this.#schedule();
  }

  #take(): boolean {
    return this.#bucket.take(this.#options.clock.now());
  }
}
