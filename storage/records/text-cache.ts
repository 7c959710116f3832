/**
 * Texts of the log that come again and again, topics and client ids: decoding one costs more than all else of a record, and each
 * would be a string and an array of its own.
 */

/** A text, and its bytes as PUBLISH carries a topic: two length bytes (most significant first), then UTF-8. */
export interface CachedText {
  readonly text: string;
  readonly encoded: Uint8Array;
}

export class TextCache {
  /** By a hash of the bytes; one that is in the place of another takes it. */
  readonly #slots: (CachedText | undefined)[];

  /** @param slots how many texts at most, a power of two; 0: none is kept */
  constructor(slots: number) {
    this.#slots = new Array<CachedText | undefined>(slots).fill(undefined);
  }

  /** The text of `bytes[start, end)`, at most 65,535 bytes of UTF-8. */
  get(bytes: Uint8Array, start: number, end: number): CachedText {
    const count = this.#slots.length;
    if (count === 0) return decode(bytes, start, end);
    let hash = 0x811c9dc5;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
    const slot = (hash ^ (hash >>> 15)) & (count - 1);
    const known = this.#slots[slot];
    if (known !== undefined && isEncodingOf(known.encoded, bytes, start, end)) return known;
    return (this.#slots[slot] = decode(bytes, start, end));
  }
}

function isEncodingOf(encoded: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (encoded.length !== length + 2) return false;
  for (let i = 0; i < length; i++) if (encoded[i + 2] !== bytes[start + i]) return false;
  return true;
}

function decode(bytes: Uint8Array, start: number, end: number): CachedText {
  const length = end - start;
  const encoded = new Uint8Array(length + 2);
  encoded[0] = length >> 8;
  encoded[1] = length & 0xff;
  encoded.set(bytes.subarray(start, end), 2);
  return { text: Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('utf8'), encoded };
}

/** Keeps nothing. */
export const NO_TEXTS = new TextCache(0);
