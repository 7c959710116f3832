/** Builds packets byte by byte, right or wrong, independently of the encoder that is under test. */
import { encodedLength, ProtocolError, writeVariableByteInteger } from '../../lib/protocol/index.js';

export type Part = number | readonly number[] | Uint8Array;

/** The parts one after the other; a number is one byte. */
export function bytes(...parts: Part[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part))));
}

/** A packet with its Remaining Length. */
export function frame(firstByte: number, ...parts: Part[]): Buffer {
  const body = bytes(...parts);
  return bytes(firstByte, variable(body.length), body);
}

export function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

export function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}

export function variable(value: number): Buffer {
  const buffer = Buffer.alloc(encodedLength(value));
  writeVariableByteInteger(buffer, 0, value);
  return buffer;
}

/** A UTF-8 Encoded String, or with bytes Binary Data. */
export function str(value: string | Uint8Array): Buffer {
  const content = Buffer.from(value);
  return bytes(u16(content.length), content);
}

/** Property Length and properties. */
export function props(...parts: Part[]): Buffer {
  const body = bytes(...parts);
  return bytes(variable(body.length), body);
}

/** The reason code that `decode` refuses with; undefined where it does not. Any other error goes on. */
export function refusalOf(decode: () => unknown): number | undefined {
  try {
    decode();
    return undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return error.reasonCode;
    throw error;
  }
}
