/** A rate with a burst: so much at once, then so much a second. Arithmetic only: whoever takes says what time it is. */
export interface TokenBucketOptions {
  readonly perSecond: number;
  /** What may be taken at once after a pause; the bucket begins full. */
  readonly capacity: number;
  /** Milliseconds on the clock of all later calls. */
  readonly now: number;
}

export class TokenBucket {
  readonly #perSecond: number;
  readonly #capacity: number;
  #tokens: number;
  #filledAt: number;

  constructor({ perSecond, capacity, now }: TokenBucketOptions) {
    this.#perSecond = perSecond;
    this.#capacity = capacity;
    this.#tokens = capacity;
    this.#filledAt = now;
  }

  /** Takes one where there is one. @param now never earlier than at the last call. */
  take(now: number): boolean {
    const filled = this.#tokens + ((now - this.#filledAt) * this.#perSecond) / 1000;
    this.#tokens = Math.min(this.#capacity, filled);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
