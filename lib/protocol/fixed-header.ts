/**
 * Byte 1 and Remaining Length of every packet [MQTT 5, section 2.1] as tables: who sends what, and with which flags.
 */
import { FrameReader, malformed, protocolError } from './frame-reader.js';
import { PacketType, type Direction, type PacketTypeName, type ProtocolVersion } from './packet.js';
import { hex } from './protocol-error.js';
import { encodedLength, readVariableByteInteger } from './variable-byte-integer.js';

interface HeaderRule {
  readonly name: PacketTypeName;
  /** Who may send it [MQTT 5, table 2-1]. */
  readonly directions: readonly Direction[];
  /** The low four bits of byte 1 [MQTT 5, table 2-2]; undefined for PUBLISH, whose flags have a meaning. */
  readonly flags: 0 | 2 | undefined;
}

const TO_SERVER = ['toServer'] as const satisfies readonly Direction[];
const TO_CLIENT = ['toClient'] as const satisfies readonly Direction[];
const BOTH_WAYS = [...TO_SERVER, ...TO_CLIENT] as const satisfies readonly Direction[];

/** DUP of the fixed header, the only flag of a packet other than PUBLISH that MQTT 3.1 gives a meaning [MQTT 3.1, section 2.1]. */
const DUP_FLAG = 0x08;

const RULES: readonly HeaderRule[] = [
  { name: 'connect', directions: TO_SERVER, flags: 0 },
  { name: 'connack', directions: TO_CLIENT, flags: 0 },
  { name: 'publish', directions: BOTH_WAYS, flags: undefined },
  { name: 'puback', directions: BOTH_WAYS, flags: 0 },
  { name: 'pubrec', directions: BOTH_WAYS, flags: 0 },
  { name: 'pubrel', directions: BOTH_WAYS, flags: 2 },
  { name: 'pubcomp', directions: BOTH_WAYS, flags: 0 },
  { name: 'subscribe', directions: TO_SERVER, flags: 2 },
  { name: 'suback', directions: TO_CLIENT, flags: 0 },
  { name: 'unsubscribe', directions: TO_SERVER, flags: 2 },
  { name: 'unsuback', directions: TO_CLIENT, flags: 0 },
  { name: 'pingreq', directions: TO_SERVER, flags: 0 },
  { name: 'pingresp', directions: TO_CLIENT, flags: 0 },
  { name: 'disconnect', directions: BOTH_WAYS, flags: 0 },
  { name: 'auth', directions: BOTH_WAYS, flags: 0 },
];
const RULE_BY_TYPE: readonly (HeaderRule | undefined)[] = Array.from({ length: 16 }, (_, type) =>
  RULES.find((rule) => PacketType[rule.name] === type),
);

/** Byte 1 of every packet but PUBLISH. */
export const FIRST_BYTE: Readonly<Record<PacketTypeName, number>> = {
  connect: 0x10,
  connack: 0x20,
  publish: 0x30,
  puback: 0x40,
  pubrec: 0x50,
  pubrel: 0x62,
  pubcomp: 0x70,
  subscribe: 0x82,
  suback: 0x90,
  unsubscribe: 0xa2,
  unsuback: 0xb0,
  pingreq: 0xc0,
  pingresp: 0xd0,
  disconnect: 0xe0,
  auth: 0xf0,
};

/**
 * A reader of what is behind the fixed header of `frame`.
 * @throws ProtocolError 0x81 where the frame is not exactly one packet long.
 */
export function openFrame(frame: Uint8Array): FrameReader {
  const remaining = readVariableByteInteger(frame, 1, frame.length);
  if (remaining < 0) throw malformed('remaining length is cut off or not minimal');
  const start = 1 + encodedLength(remaining);
  if (frame.length - start !== remaining) {
    throw malformed(
      `remaining length is ${remaining}, but ${frame.length - start} bytes follow the fixed header`,
    );
  }
  return new FrameReader(frame, start, frame.length);
}

/**
 * The packet type of a byte 1 that `version` allows in `direction`.
 * @throws ProtocolError 0x81 for type 0 and for wrong flags [MQTT-2.1.3-1], 0x82 for the wrong direction or version.
 */
export function packetTypeOf(
  firstByte: number,
  version: ProtocolVersion,
  direction: Direction,
): PacketTypeName {
  const rule = RULE_BY_TYPE[firstByte >> 4];
  if (rule === undefined) throw malformed('packet type 0 is reserved');
  const { name } = rule;
  if (!rule.directions.includes(direction)) throw protocolError(`${name} is never sent ${direction}`);
  if (version < 5 && (name === 'auth' || (name === 'disconnect' && direction === 'toClient'))) {
    throw protocolError(`${name} is never sent ${direction} before MQTT 5`);
  }
  const flags = version === 3 && rule.flags === 2 ? firstByte & 0x0f & ~DUP_FLAG : firstByte & 0x0f;
  if (rule.flags !== undefined && flags !== rule.flags) {
    throw malformed(`${name} starts with ${hex(firstByte)}, its flags must be ${rule.flags}`);
  }
  return name;
}
