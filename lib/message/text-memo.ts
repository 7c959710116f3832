/**
 * What was made of a text, for as long as the text comes again and again: of at most `maxCount` texts, and where more come the one that was made
 * first is forgotten. So one that is known costs one look-up, and what is held is always as much.
 */
export class TextMemo<V extends NonNullable<unknown>> {
  readonly #made = new Map<string, V>();
  /** In the order in which they were made, from `#next` on. */
  readonly #texts: string[] = [];
  readonly #maxCount: number;
  readonly #make: (text: string) => V;
  #next = 0;

  constructor(maxCount: number, make: (text: string) => V) {
    this.#maxCount = maxCount;
    this.#make = make;
  }

  /** @throws what `make` does */
  of(text: string): V {
    const known = this.#made.get(text);
    if (known !== undefined) return known;
    const value = this.#make(text);
    const oldest = this.#texts[this.#next];
    if (oldest !== undefined) this.#made.delete(oldest);
    this.#texts[this.#next] = text;
    this.#next = (this.#next + 1) % this.#maxCount;
    this.#made.set(text, value);
    return value;
  }
}
