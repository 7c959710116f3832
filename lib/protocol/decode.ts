import type { Place } from './carrier.js';
import { decodeConnect } from './decode-connect.js';
import { twoBits, u8 } from './byte.js';
import { openFrame, packetTypeOf } from './fixed-header.js';
import { malformed, protocolError, type FrameReader } from './frame-reader.js';
import type {
  AckPacket,
  AuthPacket,
  ConnackPacket,
  Direction,
  DisconnectPacket,
  Packet,
  PacketTypeName,
  Properties,
  ProtocolVersion,
  PublishPacket,
  SubackPacket,
  SubscribePacket,
  SubscriptionRequest,
  UnsubackPacket,
  UnsubscribePacket,
} from './packet.js';
import { readProperties } from './property.js';
import { hex, ProtocolError, quote } from './protocol-error.js';
import { mayCarryReasonCode, ReasonCode, ReturnCode } from './reason-code.js';
import { isShared, isValidSubscription, isValidTopicName } from './topic.js';

/** What every function below needs to know beside the bytes. */
interface Context {
  readonly version: ProtocolVersion;
  readonly direction: Direction;
}

const PublishFlag = { retain: 0x01, dup: 0x08 } as const;
const SubscriptionOption = {
  qos: 0x03,
  noLocal: 0x04,
  retainAsPublished: 0x08,
  reserved: 0xc0,
} as const;

/**
 * Decodes exactly one whole packet, fixed header included, as the receiver of a connection of this version and direction.
 * Everything that the specification says about a packet by itself is checked; what depends on the connection (a second CONNECT, an
 * alias above the maximum, limits of the gateway) is not. Payloads, passwords and binary properties are views of
 * `frame`: who keeps one beyond the frame's life copies it. A CONNECT is decoded by its own version, whatever `version` says.
 * @throws ProtocolError, and nothing else, with the reason code for the sender.
 */
export function decodePacket(frame: Uint8Array, version: ProtocolVersion, direction: Direction): Packet {
  const reader = openFrame(frame);
  const firstByte = u8(frame, 0);
  const type = packetTypeOf(firstByte, version, direction);
  if (type === 'connect') return decodeConnect(frame);
  const packet = decodeBody(type, reader, firstByte, { version, direction });
  reader.expectEnd();
  return packet;
}

function decodeBody(
  type: Exclude<PacketTypeName, 'connect'>,
  reader: FrameReader,
  firstByte: number,
  context: Context,
): Packet {
  switch (type) {
    case 'publish':
      return decodePublish(reader, firstByte, context);
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return decodeAck(type, reader, context);
    case 'subscribe':
      return decodeSubscribe(reader, context);
    case 'unsubscribe':
      return decodeUnsubscribe(reader, context);
    case 'connack':
      return decodeConnack(reader, context);
    case 'suback':
      return decodeSuback(reader, context);
    case 'unsuback':
      return decodeUnsuback(reader, context);
    case 'pingreq':
    case 'pingresp':
      return { type };
    case 'disconnect':
      return decodeDisconnect(reader, context);
    case 'auth':
      return decodeAuth(reader, context);
  }
}

function decodePublish(reader: FrameReader, firstByte: number, context: Context): PublishPacket {
  const qos = twoBits(firstByte >> 1);
  const dup = (firstByte & PublishFlag.dup) !== 0;
  if (qos === 3) throw malformed('publish has QoS 3 [MQTT-3.3.1-4]');
  if (dup && qos === 0) throw malformed('publish has DUP and QoS 0 [MQTT-3.3.1-2]');
  const topic = reader.string('topic name');
  const packetId = qos > 0 ? reader.packetId() : undefined;
  const properties = propertiesIn(reader, context, 'publish');
  if (topic === '' && properties.topicAlias === undefined) {
    throw protocolError('publish has neither a topic name nor a topic alias');
  }
  if (topic !== '' && !isValidTopicName(topic)) {
    throw new ProtocolError(
      ReasonCode.topicNameInvalid,
      `topic name ${quote(topic)} holds a wildcard [MQTT-3.3.2-2]`,
    );
  }
  const packet: PublishPacket = {
    type: 'publish',
    topic,
    payload: reader.rest(),
    qos: qos,
    retain: (firstByte & PublishFlag.retain) !== 0,
    dup,
    properties,
  };
  if (packetId !== undefined) packet.packetId = packetId;
  return packet;
}

function decodeAck(type: AckPacket['type'], reader: FrameReader, context: Context): AckPacket {
  const packetId = reader.packetId();
  // Reason Code and Property Length may be left out from the end [MQTT 5, sections 3.4.2.1 and 3.4.2.2.1].
  const reasonCode = context.version === 5 && reader.remaining > 0 ? reasonCodeIn(reader, context, type) : 0;
  const properties = reader.remaining > 0 ? propertiesIn(reader, context, type) : {};
  return { type, packetId, reasonCode, properties };
}

function decodeSubscribe(reader: FrameReader, context: Context): SubscribePacket {
  const packetId = reader.packetId();
  const properties = propertiesIn(reader, context, 'subscribe');
  const subscriptions: SubscriptionRequest[] = [];
  while (reader.remaining > 0) subscriptions.push(decodeSubscription(reader, context));
  if (subscriptions.length === 0) throw protocolError('subscribe has no topic filter [MQTT-3.8.3-2]');
  return { type: 'subscribe', packetId, subscriptions, properties };
}

function decodeSubscription(reader: FrameReader, { version }: Context): SubscriptionRequest {
  const filter = filterIn(reader);
  const byte = reader.byte('subscription options');
  // MQTT 3.1 calls the upper six bits unused; 3.1.1 [MQTT-3-8.3-4] and 5 [MQTT-3.8.3-5] reserve what they do not define.
  const options = version === 3 ? byte & SubscriptionOption.qos : byte;
  const reserved = version === 5 ? SubscriptionOption.reserved : 0xff & ~SubscriptionOption.qos;
  if ((options & reserved) !== 0)
    throw malformed(`subscription options are ${hex(options)}, a reserved bit is 1`);
  const qos = twoBits(options);
  if (qos === 3) throw protocolError('subscription has QoS 3');
  const retainHandling = twoBits(options >> 4);
  if (retainHandling === 3) throw protocolError('subscription has Retain Handling 3');
  const noLocal = (options & SubscriptionOption.noLocal) !== 0;
  if (noLocal && isShared(filter)) {
    throw protocolError(`shared subscription ${quote(filter)} has No Local [MQTT-3.8.3-4]`);
  }
  return {
    filter,
    qos: qos,
    noLocal,
    retainAsPublished: (options & SubscriptionOption.retainAsPublished) !== 0,
    retainHandling: retainHandling,
  };
}

function decodeUnsubscribe(reader: FrameReader, context: Context): UnsubscribePacket {
  const packetId = reader.packetId();
  const properties = propertiesIn(reader, context, 'unsubscribe');
  const filters: string[] = [];
  while (reader.remaining > 0) filters.push(filterIn(reader));
  if (filters.length === 0) throw protocolError('unsubscribe has no topic filter [MQTT-3.10.3-2]');
  return { type: 'unsubscribe', packetId, filters, properties };
}

function decodeConnack(reader: FrameReader, context: Context): ConnackPacket {
  const flags = reader.byte('connect acknowledge flags');
  // MQTT 3.1 has no flags here, only an unused byte.
  if (context.version > 3 && flags > 1)
    throw malformed(`connect acknowledge flags are ${hex(flags)} [MQTT-3.2.2-1]`);
  const sessionPresent = context.version > 3 && flags === 1;
  const reasonCode = context.version === 5 ? reasonCodeIn(reader, context, 'connack') : returnCodeIn(reader);
  if (sessionPresent && reasonCode !== 0) {
    throw protocolError(`connack refuses with ${hex(reasonCode)} and has Session Present [MQTT-3.2.2-6]`);
  }
  return {
    type: 'connack',
    sessionPresent,
    reasonCode,
    properties: propertiesIn(reader, context, 'connack'),
  };
}

function decodeSuback(reader: FrameReader, context: Context): SubackPacket {
  const packetId = reader.packetId();
  const properties = propertiesIn(reader, context, 'suback');
  return { type: 'suback', packetId, reasonCodes: reasonCodesIn(reader, context, 'suback'), properties };
}

function decodeUnsuback(reader: FrameReader, context: Context): UnsubackPacket {
  const packetId = reader.packetId();
  const properties = propertiesIn(reader, context, 'unsuback');
  const reasonCodes = context.version === 5 ? reasonCodesIn(reader, context, 'unsuback') : [];
  return { type: 'unsuback', packetId, reasonCodes, properties };
}

function decodeDisconnect(reader: FrameReader, context: Context): DisconnectPacket {
  // Reason Code and Property Length may be left out from the end [MQTT 5, sections 3.14.2.1 and 3.14.2.2.1].
  const reasonCode =
    context.version === 5 && reader.remaining > 0 ? reasonCodeIn(reader, context, 'disconnect') : 0;
  const properties = reader.remaining > 0 ? propertiesIn(reader, context, 'disconnect') : {};
  return { type: 'disconnect', reasonCode, properties };
}

function decodeAuth(reader: FrameReader, context: Context): AuthPacket {
  const short = reader.remaining === 0;
  const reasonCode = short
    ? expectLegal(ReasonCode.success, context, 'auth')
    : reasonCodeIn(reader, context, 'auth');
  const properties = short ? {} : propertiesIn(reader, context, 'auth');
  // The short form has no properties, by its definition [MQTT 5, section 3.15.2.1]; in the long one the method is a must [3.15.2.2.2].
  if (!short && properties.authenticationMethod === undefined)
    throw protocolError('auth has no authenticationMethod');
  return { type: 'auth', reasonCode, properties };
}

function propertiesIn(reader: FrameReader, { version, direction }: Context, place: Place): Properties {
  return version === 5 ? readProperties(reader, place, direction) : {};
}

function filterIn(reader: FrameReader): string {
  const filter = reader.string('topic filter');
  if (!isValidSubscription(filter)) {
    throw new ProtocolError(
      ReasonCode.topicFilterInvalid,
      `topic filter ${quote(filter)} is not valid [MQTT-4.7.1-1]`,
    );
  }
  return filter;
}

function reasonCodeIn(reader: FrameReader, context: Context, packet: PacketTypeName): number {
  return expectLegal(reader.byte('reason code'), context, packet);
}

function expectLegal(code: number, { direction }: Context, packet: PacketTypeName): number {
  if (mayCarryReasonCode(packet, code, direction)) return code;
  throw protocolError(`${packet} ${direction} has the reason code ${hex(code)}, which is not one of its own`);
}

function returnCodeIn(reader: FrameReader): number {
  const code = reader.byte('return code');
  if (code > ReturnCode.notAuthorized)
    throw protocolError(`connack has the return code ${code}, allowed are 0 to 5`);
  return code;
}

function reasonCodesIn(reader: FrameReader, context: Context, packet: 'suback' | 'unsuback'): number[] {
  const codes: number[] = [];
  while (reader.remaining > 0) {
    const code = reasonCodeIn(reader, context, packet);
    // Before MQTT 5 there is one failure [MQTT-3.9.3-2].
    if (context.version < 5 && code > ReasonCode.unspecifiedError) {
      throw protocolError(`${packet} has the return code ${hex(code)}, allowed are 0, 1, 2 and 0x80`);
    }
    codes.push(code);
  }
  if (codes.length === 0) throw protocolError(`${packet} has no reason code`);
  return codes;
}
