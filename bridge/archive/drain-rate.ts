/**
 * How fast a backlog may leave the log: as fast as it goes while nobody else wants anything, and at a rate that clients do not notice while
 * they are served. It is always faster than what comes in: a backlog that grows for ever is no way to leave clients alone.
 */
import type { Clock } from '../../lib/contracts/clock.js';

export interface LiveTraffic {
  /** Messages that clients have sent or got since the start. */
  messages(): number;
  /** Bytes that have come into the log since the start. */
  logBytes(): number;
}

/** Two hours for a backlog of 30 GB; more than most gateways have of a line. */
const LEAST_BYTES_PER_S = 4 * 1_048_576;
/** Of what comes in. */
const FASTER = 4;
const LOOK_EVERY_MS = 500;
const MS_PER_S = 1000;

export class DrainRate {
  readonly #clock: Clock;
  readonly #live: LiveTraffic;
  #lookedAt: number;
  #messages: number;
  #logBytes: number;
  #perSecond = Infinity;

  constructor(clock: Clock, live: LiveTraffic) {
    this.#clock = clock;
    this.#live = live;
    this.#lookedAt = clock.now();
    this.#messages = live.messages();
    this.#logBytes = live.logBytes();
  }

  /** Bytes of the log a second; Infinity: nobody is hurt. */
  get perSecond(): number {
    const passedMs = this.#clock.now() - this.#lookedAt;
    if (passedMs >= LOOK_EVERY_MS) this.#look(passedMs);
    return this.#perSecond;
  }

  #look(passedMs: number): void {
    const messages = this.#live.messages();
    const logBytes = this.#live.logBytes();
    const comesIn = ((logBytes - this.#logBytes) / passedMs) * MS_PER_S;
    this.#perSecond = messages === this.#messages ? Infinity : Math.max(LEAST_BYTES_PER_S, FASTER * comesIn);
    this.#lookedAt += passedMs;
    this.#messages = messages;
    this.#logBytes = logBytes;
  }
}
