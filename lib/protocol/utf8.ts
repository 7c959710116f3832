/**
 * UTF-8 Encoded Strings [MQTT 5, section 1.5.4]: well-formed UTF-8 without surrogates [MQTT-1.5.4-1] and without U+0000
 * [MQTT-1.5.4-2]. Control characters and non-characters are legal, and U+FEFF is a character like any other [MQTT-1.5.4-3].
 */
import { u8 } from './byte.js';

/** What the bytes of a string turned out to be. `ascii` may be decoded by the cheaper way. */
export const Utf8 = { invalid: 0, ascii: 1, multibyte: 2 } as const;
export type Utf8 = (typeof Utf8)[keyof typeof Utf8];

/** Looks at each byte of [start, end) once; allocates nothing. */
export function classifyUtf8(bytes: Uint8Array, start: number, end: number): Utf8 {
  for (let index = start; index < end; index++) {
    const byte = u8(bytes, index);
    if (byte >= 0x80) return isValidFrom(bytes, index, end) ? Utf8.multibyte : Utf8.invalid;
    if (byte === 0) return Utf8.invalid;
  }
  return Utf8.ascii;
}

/** Whether [start, end) is a string that MQTT allows: see the head of this file. */
export function isValidUtf8String(bytes: Uint8Array, start: number, end: number): boolean {
  return classifyUtf8(bytes, start, end) !== Utf8.invalid;
}

/** The text of [start, end), which has passed `isValidUtf8String`. */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  let index = start;
  while (index < end && u8(bytes, index) < 0x80) index++;
  return decodeClassified(bytes, start, end, index === end ? Utf8.ascii : Utf8.multibyte);
}

/** The text of [start, end), of which `classifyUtf8` has said that it is `kind`. */
export function decodeClassified(bytes: Uint8Array, start: number, end: number, kind: Utf8): string {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer.toString(kind === Utf8.ascii ? 'latin1' : 'utf8', start, end);
}

/** The table of well-formed byte sequences [Unicode 15, table 3-7], less U+0000. */
function isValidFrom(bytes: Uint8Array, start: number, end: number): boolean {
  let index = start;
  while (index < end) {
    const lead = u8(bytes, index++);
    if (lead < 0x80) {
      if (lead === 0) return false;
      continue;
    }
    if (lead < 0xc2 || lead > 0xf4) return false;
    const continuations = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    if (index + continuations > end) return false;
    // Only the second byte has narrower bounds than a continuation byte: against overlong forms, surrogates, and beyond U+10FFFF.
    const second = u8(bytes, index);
    if (second < lowestSecond(lead) || second > highestSecond(lead)) return false;
    for (let nth = 1; nth < continuations; nth++) {
      if ((u8(bytes, index + nth) & 0xc0) !== 0x80) return false;
    }
    index += continuations;
  }
  return true;
}

function lowestSecond(lead: number): number {
  if (lead === 0xe0) return 0xa0;
  return lead === 0xf0 ? 0x90 : 0x80;
}

function highestSecond(lead: number): number {
  if (lead === 0xed) return 0x9f;
  return lead === 0xf4 ? 0x8f : 0xbf;
}
