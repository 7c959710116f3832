/**
 * What was made of a text, for as long as the text comes again and again: at most `maxCount` of them. Those that did not come for longest are
 * forgotten, half of all at a time, so that what comes often is always here, and one that is known costs one look-up.
 */
export class TextMemo<V extends NonNullable<unknown>> {
  #recent = new Map<string, V>();
  #older = new Map<string, V>();
  readonly #halfCount: number;
  readonly #make: (text: string) => V;

  constructor(maxCount: number, make: (text: string) => V) {
    this.#halfCount = Math.ceil(maxCount / 2);
    this.#make = make;
  }

  /** @throws what `make` does */
  of(text: string): V {
    const known = this.#recent.get(text);
    if (known !== undefined) return known;
    const value = this.#older.get(text) ?? this.#make(text);
    if (this.#recent.size >= this.#halfCount) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(text, value);
    return value;
  }
}
