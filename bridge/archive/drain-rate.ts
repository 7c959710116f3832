/**
 * How fast a backlog may leave the log: as fast as it goes while nobody else wants anything, and at a rate that clients do not notice while
 * they are served. It is always faster than what comes in: a backlog that grows for ever is no way to leave clients alone.
 */
import type { Clock } from '../../lib/contracts/clock.js';
import type { LogPosition, Store } from '../../lib/contracts/store.js';

/** Two hours for a backlog of 30 GB; more than most gateways have of a line. */
const LEAST_BYTES_PER_S = 4 * 1_048_576;
/** Of what comes in. */
const FASTER = 4;
const LOOK_EVERY_MS = 500;
const MS_PER_S = 1000;

interface Look {
  readonly atMs: number;
  readonly messages: number;
  readonly committed: LogPosition;
}

export class DrainRate {
  readonly #clock: Clock;
  readonly #log: Pick<Store, 'committed' | 'bytesBetween'>;
  readonly #messages: () => number;
  #last: Look | undefined;
  #perSecond = Infinity;

  /** @param messages that clients have sent or got since the start */
  constructor(clock: Clock, log: Pick<Store, 'committed' | 'bytesBetween'>, messages: () => number) {
    this.#clock = clock;
    this.#log = log;
    this.#messages = messages;
  }

  /** Somebody is served, and so little comes in that a backlog goes with a small share of a processor. */
  get isGentle(): boolean {
    return this.perSecond === LEAST_BYTES_PER_S;
  }

  /** Bytes of the log a second; Infinity: nobody is hurt. */
  get perSecond(): number {
    const last = this.#last;
    const now = this.#clock.now();
    if (last !== undefined && now - last.atMs < LOOK_EVERY_MS) return this.#perSecond;
    const { committed } = this.#log;
    this.#last = { atMs: now, messages: this.#messages(), committed };
    if (last !== undefined) this.#perSecond = this.#rate(last, this.#last);
    return this.#perSecond;
  }

  #rate(last: Look, { atMs, messages, committed }: Look): number {
    if (messages === last.messages) return Infinity;
    const comesIn = this.#log.bytesBetween(last.committed, committed) / (atMs - last.atMs);
    return Math.max(LEAST_BYTES_PER_S, FASTER * comesIn * MS_PER_S);
  }
}
