/**
 * Variable Byte Integers [MQTT 5, section 1.5.5], the encoding of Remaining Length in every version: seven bits a byte, least
 * significant group first, at most four bytes, never more bytes than needed [MQTT-1.5.5-1].
 */
import { u8 } from './byte.js';

export const VARIABLE_BYTE_INTEGER_MAX = 268_435_455;

/** Result of `readVariableByteInteger`: the integer goes on beyond `end`. */
export const NEED_MORE = -1;
/** Result of `readVariableByteInteger`: more than four bytes, or more bytes than the value needs. No further byte can cure it. */
export const MALFORMED = -2;

/** Bytes that `value` takes, 1 to 4. As the encoding is minimal this is also the size of what `readVariableByteInteger` read. */
export function encodedLength(value: number): 1 | 2 | 3 | 4 {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return 4;
}

/**
 * Writes `value` at `offset` and returns the offset behind it. `bytes` must have room for `encodedLength(value)`.
 * @throws RangeError where `value` is not an integer from 0 to 268435455; nothing has been written then.
 */
export function writeVariableByteInteger(bytes: Uint8Array, offset: number, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > VARIABLE_BYTE_INTEGER_MAX) {
    throw new RangeError(`a variable byte integer is 0 to ${VARIABLE_BYTE_INTEGER_MAX}, not ${value}`);
  }
  let rest = value;
  let position = offset;
  while (rest >= 0x80) {
    bytes[position++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[position++] = rest;
  return position;
}

/**
 * The integer at `offset`, or `NEED_MORE`, or `MALFORMED`; reads nothing at or behind `end`, allocates nothing.
 * The integer ends at `offset + encodedLength(result)`.
 */
export function readVariableByteInteger(bytes: Uint8Array, offset: number, end: number): number {
  let value = 0;
  for (let index = 0; index < 4; index++) {
    if (offset + index >= end) return NEED_MORE;
    const byte = u8(bytes, offset + index);
    value |= (byte & 0x7f) << (7 * index);
    if (byte < 0x80) return byte === 0 && index > 0 ? MALFORMED : value;
  }
  return MALFORMED;
}
