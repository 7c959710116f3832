/**
 * In front of the door: how many CONNECTs a second are looked at. After an outage a whole fleet comes back in one moment,
 * and credentials, sessions and takeovers are what a connection costs most; beyond the rate a client is refused before any of it. The
 * answer is held back by a random time, so that clients that try again after a fixed time do not come back as one.
 *
 *     CONNECT ─▶ a token is left ─▶ door
 *                none is left    ─▶ waits a random time ─▶ CONNACK 0x9F, closed
 *                nor room to wait ─▶ CONNACK 0x9F at once, closed
 */
import type { Clock } from '../contracts/clock.js';
import type { Logger } from '../contracts/logger.js';
import type { ConnectPacket } from '../protocol/packet.js';
import { ReasonCode } from '../protocol/reason-code.js';
import type { TimerQueue } from '../session/timer-queue.js';
import { TokenBucket } from '../session/token-bucket.js';
import { C } from '../telemetry/counters.js';
import type { Connection } from './connection.js';
import type { Door, DoorSession, Refusal } from './environment.js';

/** How many seconds' worth of CONNECTs may come at once: a site of ordinary size comes back without anybody being refused. */
const BURST_S = 3;
/**
 * Longest time that a refusal is held back. Clients wait one to some seconds before they try again, so that two more spread
 * them; longer would only keep sockets.
 */
export const REFUSAL_DELAY_MAX_MS = 2000;
/** A storm is one line in the log, again while it goes on. */
const WARN_INTERVAL_MS = 10_000;

export const TOO_MANY_CONNECTS: Refusal = {
  reasonCode: ReasonCode.connectionRateExceeded,
  text: 'more clients connect in a second than limits.connectsPerSecondMax; try again later',
  counter: C.connectionRefusedRate,
};

export interface ConnectGateOptions {
  readonly door: Door;
  readonly clock: Clock;
  readonly timers: TimerQueue;
  readonly logger: Logger;
  /** A number from 0 to below 1. */
  readonly random: () => number;
  /** CONNECTs a second; 0: no limit. */
  readonly perSecondMax: number;
  readonly delayMaxMs: number;
  /** Whether a refusal of this connection may be held back: those that wait take the place of clients that might get in. */
  readonly mayWait: (connection: Connection) => boolean;
}

export class ConnectGate implements Door {
  readonly #options: ConnectGateOptions;
  readonly #bucket: TokenBucket;
  #refusedCount = 0;
  #warnAt = -Infinity;

  constructor(options: ConnectGateOptions) {
    this.#options = options;
    const { perSecondMax, clock } = options;
    this.#bucket = new TokenBucket({
      perSecond: perSecondMax,
      capacity: perSecondMax * BURST_S,
      now: clock.now(),
    });
  }

  open(connection: Connection, connect: ConnectPacket): DoorSession {
    const { door, clock, perSecondMax } = this.#options;
    const now = clock.now();
    if (perSecondMax === 0 || this.#bucket.take(now)) return door.open(connection, connect);
    this.#warn(now);
    return this.#refuse(connection, now);
  }

  #refuse(connection: Connection, now: number): DoorSession {
    const { timers, random, delayMaxMs, mayWait } = this.#options;
    if (!mayWait(connection)) {
      connection.admission.refuse(TOO_MANY_CONNECTS);
      return OVER;
    }
    const timer = timers.at(now + random() * delayMaxMs, () =>
      connection.admission.refuse(TOO_MANY_CONNECTS),
    );
    return { closed: () => timer.cancel(), handle: undefined };
  }

  #warn(now: number): void {
    this.#refusedCount++;
    if (now < this.#warnAt) return;
    this.#options.logger.warn('more clients connect than are let in: the others are refused (0x9F)', {
      refused: this.#refusedCount,
      raise: 'limits.connectsPerSecondMax',
    });
    this.#refusedCount = 0;
    this.#warnAt = now + WARN_INTERVAL_MS;
  }
}

const OVER: DoorSession = { closed: () => {}, handle: undefined };
