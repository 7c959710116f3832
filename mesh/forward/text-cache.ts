/**
 * Topics and client ids of other gateways come again and again; decoding and checking one costs more than all else of a small message.
 * Whoever has two of them in one slot only decodes them more often.
 */
import { decodeUtf8, isValidTopicName, isValidUtf8String } from '../../lib/protocol/index.js';
import { MalformedFrame } from '../wire/bytes.js';

export interface WireText {
  readonly text: string;
  /** Two length bytes, the most significant first, then UTF-8: as PUBLISH carries a topic. */
  readonly encoded: Uint8Array;
  /** May be published to. */
  readonly isTopic: boolean;
}

export class TextCache {
  readonly #slots: (WireText | undefined)[];

  /** @param slots a power of two */
  constructor(slots: number) {
    this.#slots = new Array<WireText | undefined>(slots).fill(undefined);
  }

  /** The text of `bytes[start, end)`, at most 65,535 bytes. @throws MalformedFrame where it is no text of MQTT */
  get(bytes: Uint8Array, start: number, end: number): WireText {
    let hash = 0x811c9dc5;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
    const slot = (hash ^ (hash >>> 15)) & (this.#slots.length - 1);
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

function decode(bytes: Uint8Array, start: number, end: number): WireText {
  if (!isValidUtf8String(bytes, start, end)) throw new MalformedFrame('a text is no UTF-8 of MQTT');
  const length = end - start;
  const encoded = new Uint8Array(length + 2);
  encoded[0] = length >> 8;
  encoded[1] = length & 0xff;
  encoded.set(bytes.subarray(start, end), 2);
  const text = decodeUtf8(bytes, start, end);
  return { text, encoded, isTopic: isValidTopicName(text) };
}
