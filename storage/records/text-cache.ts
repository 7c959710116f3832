/** Texts of the log. */
import { type EncodedText, TextSlots, withLength } from '../../lib/message/text-slots.js';

export class TextCache extends TextSlots<EncodedText> {
  /** @param slots how many texts at most, a power of two; 0: none is kept */
  constructor(slots: number) {
    super(slots, decode);
  }
}

function decode(bytes: Uint8Array, start: number, end: number): EncodedText {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
  return { text, encoded: withLength(bytes, start, end) };
}

/** Keeps nothing. */
export const NO_TEXTS = new TextCache(0);
