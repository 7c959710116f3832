/**
 * Topics and client ids that come again and again, decoded: doing so each time costs more than all else of a small message. Whoever has two of them
 * in one slot only decodes them more often.
 */

/** A text, and its bytes as PUBLISH carries a topic: two length bytes (most significant first), then UTF-8. */
export interface EncodedText {
  readonly text: string;
  readonly encoded: Uint8Array;
}

/** Longer ones are decoded each time: with what topics may be long by default, 16,384 of them would take 20 MB, and with the longest of MQTT 2 GB. */
const KEPT_MAX_BYTES = 128;

export class TextSlots<T extends EncodedText> {
  readonly #slots: (T | undefined)[];
  readonly #decode: (bytes: Uint8Array, start: number, end: number) => T;

  /** @param slots how many texts at most, a power of two; 0: none is kept */
  constructor(slots: number, decode: (bytes: Uint8Array, start: number, end: number) => T) {
    this.#slots = new Array<T | undefined>(slots).fill(undefined);
    this.#decode = decode;
  }

  /** The text of `bytes[start, end)`, at most 65,535 bytes. @throws what `decode` does */
  get(bytes: Uint8Array, start: number, end: number): T {
    const count = this.#slots.length;
    if (count === 0 || end - start > KEPT_MAX_BYTES) return this.#decode(bytes, start, end);
    let hash = 0x811c9dc5;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
    const slot = (hash ^ (hash >>> 15)) & (count - 1);
    const known = this.#slots[slot];
    if (known !== undefined && isEncodingOf(known.encoded, bytes, start, end)) return known;
    return (this.#slots[slot] = this.#decode(bytes, start, end));
  }
}

function isEncodingOf(encoded: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (encoded.length !== length + 2) return false;
  for (let i = 0; i < length; i++) if (encoded[i + 2] !== bytes[start + i]) return false;
  return true;
}

/** @returns the bytes of a text, with their length before them */
export function withLength(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const length = end - start;
  const encoded = new Uint8Array(length + 2);
  encoded[0] = length >> 8;
  encoded[1] = length & 0xff;
  encoded.set(bytes.subarray(start, end), 2);
  return encoded;
}
