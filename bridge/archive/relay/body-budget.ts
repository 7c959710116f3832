/** Pieces of bodies that are in memory at the same time, of all gateways together: who has no room waits for its turn. */
export class BodyBudget {
  readonly #maxBytes: number;
  readonly #waiting: { readonly bytes: number; readonly begin: () => void }[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Resolves, in the order of the calls, when there is room: more than there ever is goes alone. `giveBack` is to follow. */
  take(bytes: number): Promise<void> {
    return new Promise((begin) => {
      this.#waiting.push({ bytes, begin });
      this.#next();
    });
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
    this.#next();
  }

  #next(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (this.#bytes > 0 && this.#bytes + first.bytes > this.#maxBytes) return;
      this.#waiting.shift();
      this.#bytes += first.bytes;
      first.begin();
    }
  }
}
