import {
  encodedLength,
  VARIABLE_BYTE_INTEGER_MAX,
  writeVariableByteInteger,
} from './variable-byte-integer.js';

const STRING_MAX_BYTES = 65_535;
/** Byte 1 and at most four bytes of Remaining Length: kept free until the length is known. */
const HEADER_MAX_BYTES = 5;
/** Packets up to this size are put together without an allocation beyond the result. */
const SCRATCH_BYTES = 16_384;

const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/** What no UTF-8 Encoded String can hold: U+0000 [MQTT-1.5.4-2] and halves of surrogate pairs [MQTT-1.5.4-1]. */
const NOT_ENCODABLE = /[\0\p{Surrogate}]/u;

/**
 * Puts one packet together, field by field, and hands it over whole: an error leaves nothing behind. All writers share one
 * scratch buffer, so a writer must be done with before the next one is made. Methods take the name of the field for the
 * error message; they throw RangeError for numbers and lengths out of range, TypeError for text that cannot be encoded.
 */
export class FrameWriter {
  #buffer: Buffer = scratch;
  #offset = HEADER_MAX_BYTES;

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#offset++] = value;
  }

  uint16(field: string, value: unknown, minimum = 0): void {
    expectInteger(field, value, minimum, 0xffff);
    this.#reserve(2);
    this.#offset = this.#buffer.writeUInt16BE(value, this.#offset);
  }

  uint32(field: string, value: unknown, minimum = 0): void {
    expectInteger(field, value, minimum, 0xffff_ffff);
    this.#reserve(4);
    this.#offset = this.#buffer.writeUInt32BE(value, this.#offset);
  }

  variableByteInteger(field: string, value: unknown, minimum = 0): void {
    expectInteger(field, value, minimum, VARIABLE_BYTE_INTEGER_MAX);
    this.#reserve(4);
    this.#offset = writeVariableByteInteger(this.#buffer, this.#offset, value);
  }

  string(field: string, value: unknown): void {
    if (typeof value !== 'string') throw new TypeError(`${field} is not a string`);
    if (NOT_ENCODABLE.test(value)) throw new TypeError(`${field} holds U+0000 or half a surrogate pair`);
    const length = Buffer.byteLength(value);
    expectFieldLength(field, length);
    this.#reserve(2 + length);
    this.#offset = this.#buffer.writeUInt16BE(length, this.#offset);
    this.#offset += this.#buffer.write(value, this.#offset, 'utf8');
  }

  /** A two-byte length and the bytes. */
  binary(field: string, value: unknown): void {
    expectBytes(field, value);
    expectFieldLength(field, value.length);
    this.uint16(field, value.length);
    this.raw(field, value);
  }

  /** The bytes alone. */
  raw(field: string, value: unknown): void {
    expectBytes(field, value);
    this.#reserve(value.length);
    this.#buffer.set(value, this.#offset);
    this.#offset += value.length;
  }

  /** Not zero [MQTT-2.2.1-3, MQTT-2.2.1-4]. */
  packetId(value: unknown): void {
    this.uint16('packet identifier', value, 1);
  }

  /** Where the next field will stand, for `lengthSince` and `insertLength`. */
  mark(): number {
    return this.#offset;
  }

  lengthSince(mark: number): number {
    return this.#offset - mark;
  }

  /** Forgets what was written since `mark`. */
  rewind(mark: number): void {
    this.#offset = mark;
  }

  /** Puts the length of what was written since `mark` in front of it. */
  insertLength(mark: number): void {
    const length = this.lengthSince(mark);
    const size = encodedLength(length);
    this.#reserve(size);
    this.#buffer.copyWithin(mark + size, mark, this.#offset);
    writeVariableByteInteger(this.#buffer, mark, length);
    this.#offset += size;
  }

  /** The whole packet, in memory of its own. */
  finish(firstByte: number): Buffer {
    const remaining = this.lengthSince(HEADER_MAX_BYTES);
    const start = HEADER_MAX_BYTES - 1 - encodedLength(remaining);
    this.#buffer[start] = firstByte;
    writeVariableByteInteger(this.#buffer, start + 1, remaining);
    return Buffer.from(this.#buffer.subarray(start, this.#offset));
  }

  /** What was written, without a fixed header, in memory of its own. */
  finishPart(): Buffer {
    return Buffer.from(this.#buffer.subarray(HEADER_MAX_BYTES, this.#offset));
  }

  #reserve(count: number): void {
    const needed = this.#offset + count;
    if (needed <= this.#buffer.length) return;
    if (needed - HEADER_MAX_BYTES > VARIABLE_BYTE_INTEGER_MAX) {
      throw new RangeError(`a packet has at most ${VARIABLE_BYTE_INTEGER_MAX} bytes behind its fixed header`);
    }
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#offset);
    this.#buffer = grown;
  }
}

/** @throws RangeError unless `value` is an integer from `minimum` to `maximum`. */
export function expectInteger(
  field: string,
  value: unknown,
  minimum: number,
  maximum: number,
): asserts value is number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= minimum && value <= maximum) return;
  throw new RangeError(`${field} is ${minimum} to ${maximum}, not ${String(value)}`);
}

function expectBytes(field: string, value: unknown): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) throw new TypeError(`${field} is not a Uint8Array`);
}

function expectFieldLength(field: string, bytes: number): void {
  if (bytes > STRING_MAX_BYTES)
    throw new RangeError(`${field} has ${bytes} bytes, at most ${STRING_MAX_BYTES} can be sent`);
}
