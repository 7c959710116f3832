/**
 * How much of a body may be on its way: what is live on the same link waits behind it. It comes to rest where a piece takes twice as long as
 * the quickest one and a little more, a delay-based window as in LEDBAT (RFC 6817).
 */
import { PULL_BYTES, PULL_DELAY_MS, PULLED_MAX_BYTES } from './limits.js';

/** @param bytes of a piece @param tookMs from asking for it to having it */
export function pulledBytesAfter(before: number, bytes: number, tookMs: number, targetMs: number): number {
  const after = before + bytes * Math.max(-0.5, 1 - tookMs / targetMs);
  return Math.min(PULLED_MAX_BYTES, Math.max(PULL_BYTES, after));
}

export class PullWindow {
  #maxBytes = PULL_BYTES;
  #bytes = 0;
  #quickestMs = Infinity;

  get hasRoom(): boolean {
    return this.#bytes < this.#maxBytes;
  }

  asked(bytes: number): void {
    this.#bytes += bytes;
  }

  came(bytes: number, tookMs: number): void {
    this.#quickestMs = Math.min(this.#quickestMs, tookMs);
    const isUsed = !this.hasRoom;
    const after = pulledBytesAfter(this.#maxBytes, bytes, tookMs, this.#quickestMs * 2 + PULL_DELAY_MS);
    // What was not used says nothing of what more would do.
    if (isUsed || after < this.#maxBytes) this.#maxBytes = after;
    this.#bytes -= bytes;
  }

  /** It does not come any more, or nobody wants it. */
  dropped(bytes: number): void {
    this.#bytes -= bytes;
  }
}
