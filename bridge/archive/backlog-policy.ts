/** What waits to be archived is bounded: at four fifths the gateway is not well, and at the bound happens what was chosen. */
import type { Clock } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';

export interface BacklogLimits {
  /** Of the archive. */
  readonly name: string;
  readonly backlogMaxBytes: number;
  readonly whenFull: 'refuse' | 'drop';
}

export interface BacklogPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** What waits. */
  bytes(): number;
  /** Why, as far as it is known. */
  reason(): string | undefined;
  /** While it is full nothing is taken in. */
  setFull(isFull: boolean): void;
  /** The oldest goes, until what waits is within its bound. */
  giveUp(): void;
}

const ALARM_SHARE = 0.8;
/** At least between two warnings. */
const WARN_EVERY_MS = 600_000;

export class BacklogPolicy {
  readonly #limits: BacklogLimits;
  readonly #ports: BacklogPorts;
  #isFull = false;
  #warnedAt = -Infinity;

  constructor(limits: BacklogLimits, ports: BacklogPorts) {
    this.#limits = limits;
    this.#ports = ports;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** Why the gateway is not well; undefined: what waits is no reason. */
  get trouble(): string | undefined {
    const { backlogMaxBytes, name } = this.#limits;
    const bytes = this.#ports.bytes();
    if (bytes < ALARM_SHARE * backlogMaxBytes) return undefined;
    const share = Math.floor((100 * bytes) / Math.max(1, backlogMaxBytes));
    return `${name}: ${share} % of archive.backlogMaxBytes wait${this.#consequence()}`;
  }

  /** Why messages are refused; undefined: they are not. */
  get refusal(): string | undefined {
    return this.#isFull && this.#limits.whenFull === 'refuse' ? this.trouble : undefined;
  }

  /** Every now and then. */
  look(): void {
    const { backlogMaxBytes, whenFull } = this.#limits;
    const bytes = this.#ports.bytes();
    const isFull = bytes >= backlogMaxBytes;
    if (bytes >= ALARM_SHARE * backlogMaxBytes) this.#warn(bytes);
    if (whenFull === 'refuse' && isFull !== this.#isFull) this.#refuse(isFull, bytes);
    if (whenFull === 'drop' && isFull) this.#ports.giveUp();
    this.#isFull = isFull;
  }

  #consequence(): string {
    if (!this.#isFull) return '';
    return this.#limits.whenFull === 'refuse' ? ', messages are refused' : ', the oldest is given up';
  }

  #warn(bytes: number): void {
    const { clock, logger, reason } = this.#ports;
    const { backlogMaxBytes, whenFull } = this.#limits;
    if (clock.now() - this.#warnedAt < WARN_EVERY_MS) return;
    this.#warnedAt = clock.now();
    logger.warn('much waits to be archived', {
      ...{ bytes, maxBytes: backlogMaxBytes, whenFull, reason: reason() },
      raise: 'archive.backlogMaxBytes',
    });
  }

  #refuse(isFull: boolean, bytes: number): void {
    const { logger, setFull } = this.#ports;
    setFull(isFull);
    if (isFull) logger.error('messages are refused until the archive has taken what waits for it', { bytes });
    else logger.info('messages are taken again: the archive has room');
  }
}
