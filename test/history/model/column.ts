/** Numbers by a dense index that grows: a message is a row over several columns, not an object. */

type Numbers = Float64Array | Uint32Array | Uint16Array | Uint8Array;

const INITIAL_LENGTH = 256;

export class Column<A extends Numbers> {
  #values: A;
  readonly #make: (length: number) => A;

  constructor(make: (length: number) => A) {
    this.#make = make;
    this.#values = make(INITIAL_LENGTH);
  }

  /** 0 where nothing was set. */
  get(index: number): number {
    return this.#values[index] ?? 0;
  }

  set(index: number, value: number): void {
    if (index >= this.#values.length) this.#grow(index);
    this.#values[index] = value;
  }

  #grow(index: number): void {
    let length = this.#values.length;
    // By half: twice would hold three times the bytes for a moment.
    while (length <= index) length += length >> 1;
    const values = this.#make(length);
    values.set(this.#values);
    this.#values = values;
  }
}

export const float64Column = (): Column<Float64Array> => new Column((length) => new Float64Array(length));
export const uint32Column = (): Column<Uint32Array> => new Column((length) => new Uint32Array(length));
export const uint16Column = (): Column<Uint16Array> => new Column((length) => new Uint16Array(length));
export const uint8Column = (): Column<Uint8Array> => new Column((length) => new Uint8Array(length));
