/** Positions that were seen, a bit each. */

const PAGE_BITS = 65_536;
const PAGE_BYTES = PAGE_BITS / 8;

export class SequenceSet {
  readonly #pages = new Map<number, Uint8Array>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  has(sequence: number): boolean {
    const number = Math.floor(sequence / PAGE_BITS);
    const bit = sequence - number * PAGE_BITS;
    return ((this.#pages.get(number)?.[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0;
  }

  /** @returns false: it was there already */
  add(sequence: number): boolean {
    const number = Math.floor(sequence / PAGE_BITS);
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = new Uint8Array(PAGE_BYTES);
      this.#pages.set(number, page);
    }
    const bit = sequence - number * PAGE_BITS;
    const byte = page[bit >> 3] ?? 0;
    const mask = 1 << (bit & 7);
    if ((byte & mask) !== 0) return false;
    page[bit >> 3] = byte | mask;
    this.#count++;
    return true;
  }
}
