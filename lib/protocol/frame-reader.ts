import { u8 } from './byte.js';
import { ProtocolError } from './protocol-error.js';
import { ReasonCode } from './reason-code.js';
import { classifyUtf8, decodeClassified, Utf8 } from './utf8.js';
import { encodedLength, MALFORMED, NEED_MORE, readVariableByteInteger } from './variable-byte-integer.js';

/**
 * Reads the fields of one packet, in order, between `offset` and `end`. Each method takes the name of the field for the error
 * message, and throws ProtocolError 0x81 where the field is cut off or not what it should be.
 */
export class FrameReader {
  readonly bytes: Uint8Array;
  offset: number;
  readonly end: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes;
    this.offset = start;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.offset;
  }

  byte(field: string): number {
    return u8(this.bytes, this.#take(1, field));
  }

  uint16(field: string): number {
    const at = this.#take(2, field);
    return (u8(this.bytes, at) << 8) | u8(this.bytes, at + 1);
  }

  uint32(field: string): number {
    const high = this.uint16(field);
    return high * 0x1_0000 + this.uint16(field);
  }

  variableByteInteger(field: string): number {
    const value = readVariableByteInteger(this.bytes, this.offset, this.end);
    if (value === NEED_MORE) throw malformed(`${field} is cut off`);
    if (value === MALFORMED) throw malformed(`${field} is not a variable byte integer of minimal length`);
    this.offset += encodedLength(value);
    return value;
  }

  string(field: string): string {
    const length = this.uint16(field);
    const start = this.#take(length, field);
    const kind = classifyUtf8(this.bytes, start, this.offset);
    if (kind === Utf8.invalid) throw malformed(`${field} is not well-formed UTF-8 without U+0000`);
    return decodeClassified(this.bytes, start, this.offset, kind);
  }

  /** A view of the frame, not a copy. */
  binary(field: string): Uint8Array {
    const length = this.uint16(field);
    const start = this.#take(length, field);
    return this.bytes.subarray(start, this.offset);
  }

  /** Everything up to `end`: a view of the frame, not a copy. */
  rest(): Uint8Array {
    const start = this.offset;
    this.offset = this.end;
    return this.bytes.subarray(start, this.end);
  }

  /** Not zero [MQTT-2.2.1-3, MQTT-2.2.1-4]. */
  packetId(): number {
    const packetId = this.uint16('packet identifier');
    if (packetId === 0) throw protocolError('packet identifier is 0, allowed are 1 to 65535');
    return packetId;
  }

  /** Nothing may follow the last field of a packet. */
  expectEnd(): void {
    if (this.remaining > 0) throw malformed(`${this.remaining} bytes follow the last field`);
  }

  /** Moves past `count` bytes and returns where they start. */
  #take(count: number, field: string): number {
    if (count > this.remaining) {
      throw malformed(`${field} is cut off: it needs ${count} bytes, ${this.remaining} are left`);
    }
    const start = this.offset;
    this.offset += count;
    return start;
  }
}

/** For bytes that cannot be parsed according to the specification. */
export function malformed(message: string): ProtocolError {
  return new ProtocolError(ReasonCode.malformedPacket, message);
}

/** For what can be parsed but is not allowed. */
export function protocolError(message: string): ProtocolError {
  return new ProtocolError(ReasonCode.protocolError, message);
}
