/** Splitmix32: spreads a seed over the state of the generator. */
function splitmix32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

/** FNV-1a over the UTF-16 units of a text. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/**
 * A stream of chance (sfc32). Streams of one seed with different names are independent, so that one more draw in one part of the
 * simulation does not reshuffle the others.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(
    private readonly seed: number,
    private readonly stream: string,
  ) {
    const next = splitmix32(seed ^ hashText(stream));
    this.#a = next();
    this.#b = next();
    this.#c = next();
    for (let i = 0; i < 12; i++) this.u32();
  }

  /** Another stream of the same seed. */
  fork(stream: string): Random {
    return new Random(this.seed, `${this.stream}/${stream}`);
  }

  u32(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + result;
    this.#c |= 0;
    return result >>> 0;
  }

  /** In [0, 1). */
  float(): number {
    return this.u32() / 0x1_0000_0000;
  }

  /** An integer from `minimum` to `maximum`, both included. */
  integer(minimum: number, maximum: number): number {
    return minimum + Math.floor(this.float() * (maximum - minimum + 1));
  }

  chance(probability: number): boolean {
    return this.float() < probability;
  }

  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.integer(0, items.length - 1)] ?? items[0];
  }

  /** One of the keys, as often as its weight among all weights says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    let sum = 0;
    for (const key in weights) sum += weights[key];
    let left = this.float() * sum;
    for (const key in weights) {
      left -= weights[key];
      if (left < 0) return key;
    }
    throw new Error('no weight is positive');
  }

  /** Milliseconds, mostly short and at times up to `maximum`: what delays look like. */
  delay(maximum: number): number {
    const scale = this.chance(0.15) ? 1 : this.chance(0.3) ? 0 : 0.1;
    return this.float() * maximum * scale;
  }
}
