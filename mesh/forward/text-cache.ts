/** Texts that another gateway sends: they are checked. */
import { type EncodedText, TextSlots, withLength } from '../../lib/message/text-slots.js';
import { decodeUtf8, isValidTopicName, isValidUtf8String } from '../../lib/protocol/index.js';
import { MalformedFrame } from '../wire/bytes.js';

export interface WireText extends EncodedText {
  /** May be published to. */
  readonly isTopic: boolean;
}

/** `get` @throws MalformedFrame where it is no text of MQTT */
export class TextCache extends TextSlots<WireText> {
  /** @param slots a power of two */
  constructor(slots: number) {
    super(slots, decode);
  }
}

function decode(bytes: Uint8Array, start: number, end: number): WireText {
  if (!isValidUtf8String(bytes, start, end)) throw new MalformedFrame('a text is no UTF-8 of MQTT');
  const text = decodeUtf8(bytes, start, end);
  return { text, encoded: withLength(bytes, start, end), isTopic: isValidTopicName(text) };
}
