/**
 * The gateway's own clock, which goes on after a restart from where it was: its time stands in the log and in the database, beside the
 * time of day.
 */
import type { Clock } from '../../lib/contracts/clock.js';
import { readU48, writeU48 } from '../log/record.js';

const BYTES = 12;
/** How far it may be behind after a crash. */
const WRITE_EVERY_MS = 1000;

export class StoredClock {
  readonly #clock: Clock;
  readonly #continueFrom: (ms: number) => void;
  #writtenAt = -Infinity;
  /** When its last process wrote it, as far as it was read. */
  #storedMs = 0;

  constructor(clock: Clock, continueFrom: (ms: number) => void) {
    this.#clock = clock;
    this.#continueFrom = continueFrom;
  }

  /** What was written. Times of the log before a checkpoint are earlier than its own. */
  saw(bytes: Uint8Array, at: number): void {
    this.#storedMs = Math.max(this.#storedMs, readU48(bytes, at));
    this.continue();
  }

  /** Time goes on from what was seen. */
  continue(): void {
    this.#continueFrom(this.#storedMs);
  }

  /** What is to be written now; undefined: it was, not long ago. */
  due(): Uint8Array | undefined {
    const now = this.#clock.now();
    if (now - this.#writtenAt < WRITE_EVERY_MS) return undefined;
    this.#writtenAt = now;
    return this.bytes();
  }

  bytes(): Uint8Array {
    const body = Buffer.allocUnsafe(BYTES);
    writeU48(body, 0, Math.floor(this.#clock.now()));
    writeU48(body, 6, this.#clock.wall());
    return body;
  }
}
