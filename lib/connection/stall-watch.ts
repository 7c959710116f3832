/**
 * Whether a client takes its output. One that stops reading and never comes back holds it in memory: it is let go after a
 * while. One that is slow is not: anything it takes begins the time anew.
 */
import { ReasonCode } from '../protocol/reason-code.js';
import type { CloseReason } from '../session/environment.js';
import { C } from '../telemetry/counters.js';
import type { Outbox } from './outbox.js';

export class StallWatch {
  readonly #outbox: Pick<Outbox, 'isBehind' | 'takenCount'>;
  /** 0: a client that does not read is kept. */
  readonly #timeoutMs: number;
  /** Writes that were taken when it was last looked at, and when that changed or nothing waited. */
  #takenCount = 0;
  #takenAt: number;

  constructor(outbox: Pick<Outbox, 'isBehind' | 'takenCount'>, timeoutMs: number, now: number) {
    this.#outbox = outbox;
    this.#timeoutMs = timeoutMs;
    this.#takenAt = now;
  }

  /** To be called some times a second. @returns why the client is let go, undefined while it is not. */
  check(now: number): CloseReason | undefined {
    const { isBehind, takenCount } = this.#outbox;
    if (!isBehind || takenCount !== this.#takenCount) {
      this.#takenCount = takenCount;
      this.#takenAt = now;
      return undefined;
    }
    if (this.#timeoutMs === 0 || now - this.#takenAt < this.#timeoutMs) return undefined;
    return {
      code: ReasonCode.administrativeAction,
      counter: C.disconnectedSlowConsumer,
      text: `nothing was taken of the output for ${this.#timeoutMs / 1000} s (delivery.writeTimeoutMs)`,
    };
  }
}
