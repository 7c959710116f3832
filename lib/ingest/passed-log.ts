/**
 * Puts messages of QoS 0 that are to be archived into the log. Nobody waits for them, and nobody is told where there is no room: what does
 * not get in is counted, and the gateway says so once for each time that it is short of room.
 */
import type { Clock } from '../contracts/clock.js';
import type { Logger } from '../contracts/logger.js';
import type { PassedRun, Store } from '../contracts/store.js';
import type { Message } from '../message/message.js';
import { ReasonCode } from '../protocol/reason-code.js';
import { C, count, type Counters } from '../telemetry/counters.js';

/** At the limit room comes and goes with every commit: the shortage is over when nothing was left out for so long. */
const QUIET_MS = 10_000;

export interface PassedLogParts {
  readonly store: Pick<Store, 'admit' | 'appendPassed' | 'appendPassedRun'>;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class PassedLog {
  readonly #parts: PassedLogParts;
  /** Left out since the shortage began; 0: there is none. */
  #leftOutCount = 0;
  #leftOutAt = 0;

  constructor(parts: PassedLogParts) {
    this.#parts = parts;
  }

  append(message: Message): void {
    if (this.#admits(message.weight, 1)) this.#parts.store.appendPassed(message);
  }

  /** @param topicBytes as PUBLISH carries it */
  appendRun(run: PassedRun & { readonly count: number }, topicBytes: Uint8Array): void {
    if (this.#admits(run.bytes.length, run.count)) this.#parts.store.appendPassedRun(run, topicBytes);
  }

  #admits(bytes: number, messages: number): boolean {
    const reasonCode = this.#parts.store.admit(bytes, false);
    if (reasonCode === 0) {
      if (this.#leftOutCount > 0) this.#endShortage();
      return true;
    }
    const { counters, clock, logger } = this.#parts;
    const isFull = reasonCode === ReasonCode.quotaExceeded;
    count(counters, isFull ? C.archiveNotLoggedQuota : C.archiveNotLoggedStorage, messages);
    if (this.#leftOutCount === 0)
      logger.warn('messages of QoS 0 are delivered and not archived: the log does not take them', {
        reason: isFull ? 'quota' : 'storage',
      });
    this.#leftOutCount += messages;
    this.#leftOutAt = clock.now();
    return false;
  }

  #endShortage(): void {
    const { clock, logger } = this.#parts;
    if (clock.now() - this.#leftOutAt < QUIET_MS) return;
    logger.info('messages of QoS 0 are archived again', { missing: this.#leftOutCount });
    this.#leftOutCount = 0;
  }
}
