/** How much this gateway doubts itself: 0, it is well, up to `most`, it is probably the one that is slow (Lifeguard, 4.1). */
export class LocalHealth {
  readonly #most: number;
  #score = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get score(): number {
    return this.#score;
  }

  change(by: number): void {
    this.#score = Math.min(this.#most, Math.max(0, this.#score + by));
  }
}
