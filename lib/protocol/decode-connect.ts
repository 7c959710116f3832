import { twoBits, u8 } from './byte.js';
import { BRIDGE_BIT, ConnectFlag, WILL_QOS_SHIFT } from './connect-flags.js';
import { FIRST_BYTE, openFrame } from './fixed-header.js';
import { malformed, protocolError, FrameReader } from './frame-reader.js';
import type { ConnectPacket, ProtocolVersion, Will } from './packet.js';
import { readProperties } from './property.js';
import { hex, ProtocolError, quote } from './protocol-error.js';
import { ReasonCode } from './reason-code.js';
import { isValidTopicName } from './topic.js';
import { encodedLength, readVariableByteInteger } from './variable-byte-integer.js';

/** The protocol names and the levels that go with them [MQTT-3.1.2-1]. */
const LEVELS_BY_NAME: ReadonlyMap<string, readonly ProtocolVersion[]> = new Map([
  ['MQIsdp', [3]],
  ['MQTT', [4, 5]],
]);

/**
 * Decodes a CONNECT from a client, whose version it finds out itself. `frame` is one whole packet with its fixed header; the password
 * and the payload of the will are views of it. Whether the client identifier is acceptable is not looked at.
 * @throws ProtocolError 0x84 for a protocol name or level that is not MQTT 3.1, 3.1.1 or 5; 0x90 for a will topic that is no topic
 * name; 0x81 and 0x82 for everything else.
 */
export function decodeConnect(frame: Uint8Array): ConnectPacket {
  const reader = openFrame(frame);
  const firstByte = u8(frame, 0);
  if (firstByte !== FIRST_BYTE.connect) throw malformed(`connect starts with ${hex(firstByte)}, not 0x10`);
  const { version, bridge } = readProtocol(reader);
  const flags = readFlags(reader, version);
  const keepAlive = reader.uint16('keep alive');
  const properties = version === 5 ? readProperties(reader, 'connect', 'toServer') : {};
  const packet: ConnectPacket = {
    type: 'connect',
    version,
    bridge,
    cleanStart: (flags & ConnectFlag.cleanStart) !== 0,
    keepAlive,
    clientId: reader.string('client identifier'),
    properties,
  };
  if ((flags & ConnectFlag.will) !== 0) packet.will = readWill(reader, version, flags);
  if (hasCredential(reader, version, flags, ConnectFlag.username))
    packet.username = reader.string('user name');
  if (hasCredential(reader, version, flags, ConnectFlag.password))
    packet.password = reader.binary('password');
  reader.expectEnd();
  return packet;
}

/**
 * The version that a CONNECT asks for: it decides how to answer one that `decodeConnect` refused, or one too large to wait for.
 * `bytes` may be the beginning of the packet. Undefined where name and level are not there or not those of a version that we speak.
 */
export function connectVersionOf(bytes: Uint8Array): ProtocolVersion | undefined {
  const remaining = readVariableByteInteger(bytes, 1, bytes.length);
  if (remaining < 0) return undefined;
  try {
    return readProtocol(new FrameReader(bytes, 1 + encodedLength(remaining), bytes.length)).version;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function readProtocol(reader: FrameReader): { version: ProtocolVersion; bridge: boolean } {
  const name = reader.string('protocol name');
  const level = reader.byte('protocol version');
  const versions = LEVELS_BY_NAME.get(name);
  const plain = versions?.find((version) => version === level);
  if (plain !== undefined) return { version: plain, bridge: false };
  const bridged = versions?.find((version) => version < 5 && (version | BRIDGE_BIT) === level);
  if (bridged !== undefined) return { version: bridged, bridge: true };
  throw new ProtocolError(
    ReasonCode.unsupportedProtocolVersion,
    `protocol ${quote(name)} version ${level} is not MQTT 3.1, 3.1.1 or 5`,
  );
}

function readFlags(reader: FrameReader, version: ProtocolVersion): number {
  const flags = reader.byte('connect flags');
  const willFlag = (flags & ConnectFlag.will) !== 0;
  // MQTT 3.1 says of each of these that a server disregards it.
  if (version > 3 && (flags & ConnectFlag.reserved) !== 0) {
    throw malformed('reserved bit of the connect flags is 1 [MQTT-3.1.2-3]');
  }
  if (version > 3 && !willFlag && (flags & (ConnectFlag.willQoS | ConnectFlag.willRetain)) !== 0) {
    throw malformed('QoS or retain of the will is set without the will flag [MQTT-3.1.2-11, MQTT-3.1.2-13]');
  }
  if (version < 5 && (flags & ConnectFlag.password) !== 0 && (flags & ConnectFlag.username) === 0) {
    throw protocolError('password flag is set without the user name flag [MQTT 3.1.1, MQTT-3.1.2-22]');
  }
  return flags;
}

function readWill(reader: FrameReader, version: ProtocolVersion, flags: number): Will {
  const qos = twoBits(flags >> WILL_QOS_SHIFT);
  if (qos === 3) throw malformed('QoS of the will is 3 [MQTT-3.1.2-12]');
  const properties = version === 5 ? readProperties(reader, 'will', 'toServer') : {};
  const topic = reader.string('topic of the will');
  if (!isValidTopicName(topic)) {
    throw new ProtocolError(
      ReasonCode.topicNameInvalid,
      `topic of the will ${quote(topic)} is empty or holds a wildcard`,
    );
  }
  return {
    topic,
    payload: reader.binary('payload of the will'),
    qos,
    retain: (flags & ConnectFlag.willRetain) !== 0,
    properties,
  };
}

/** MQTT 3.1 gives the end of the packet precedence over the flags: older clients set them and leave the fields out. */
function hasCredential(reader: FrameReader, version: ProtocolVersion, flags: number, flag: number): boolean {
  return (flags & flag) !== 0 && !(version === 3 && reader.remaining === 0);
}
