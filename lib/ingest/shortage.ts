/**
 * Says that messages of QoS 1 and 2 are refused for want of room, once for each time: a 3.1.1 publisher only waits, and who looks at the
 * gateway would see nothing but a counter.
 */
import type { Clock } from '../contracts/clock.js';
import type { Logger } from '../contracts/logger.js';

/** At the limit room comes and goes with every commit: the shortage is over when nothing was refused for so long. */
const QUIET_MS = 10_000;

/** The memory for messages, or the log: its quota, the disk, or what waits to be written. */
export type ShortOf = 'memory' | 'storage';

export interface ShortageParts {
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Shortage {
  readonly #parts: ShortageParts;
  #isThere = false;
  #refusedAt = 0;

  constructor(parts: ShortageParts) {
    this.#parts = parts;
  }

  /** Whether `taken` has anything to do; looked at for each message. */
  get isThere(): boolean {
    return this.#isThere;
  }

  refused(reason: ShortOf): void {
    const { clock, logger } = this.#parts;
    this.#refusedAt = clock.now();
    if (this.#isThere) return;
    this.#isThere = true;
    logger.warn('messages of QoS 1 and 2 are refused: there is no room for them', {
      reason,
      look: 'sprawl-edge status',
    });
  }

  taken(): void {
    const { clock, logger } = this.#parts;
    if (clock.now() - this.#refusedAt < QUIET_MS) return;
    this.#isThere = false;
    logger.info('messages of QoS 1 and 2 are taken again');
  }
}
