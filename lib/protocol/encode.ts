import { BRIDGE_BIT, ConnectFlag, WILL_QOS_SHIFT } from './connect-flags.js';
import { FIRST_BYTE } from './fixed-header.js';
import { expectInteger, FrameWriter } from './frame-writer.js';
import type {
  AckPacket,
  AuthPacket,
  ConnackPacket,
  ConnectPacket,
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
  Will,
} from './packet.js';
import type { Place } from './carrier.js';
import { writeProperties } from './property.js';
import { hex } from './protocol-error.js';
import { mayCarryReasonCode, ReasonCode, ReturnCode, returnCodeOf } from './reason-code.js';
import { isShared, isValidSubscription, isValidTopicName } from './topic.js';

/**
 * The bytes of `packet` for a connection of this version, in a buffer of their own. What a version does not have is left out:
 * properties and subscription options before MQTT 5, reason codes of acknowledgements and DISCONNECT. Before MQTT 5 an MQTT 5 reason
 * code in CONNACK becomes its return code, and every failure in SUBACK 0x80. A CONNECT is encoded by the version that it names.
 * @throws TypeError or RangeError for a packet that no receiver could accept; nothing has been written anywhere then.
 */
export function encodePacket(packet: Packet, version: ProtocolVersion): Buffer {
  const writer = new FrameWriter();
  const firstByte = packet.type === 'publish' ? publishByte(packet) : FIRST_BYTE[packet.type];
  writeBody(writer, packet, version);
  return writer.finish(firstByte);
}

/** Variable header and payload. */
function writeBody(writer: FrameWriter, packet: Packet, version: ProtocolVersion): void {
  switch (packet.type) {
    case 'connect':
      return writeConnect(writer, packet);
    case 'connack':
      return writeConnack(writer, packet, version);
    case 'publish':
      return writePublish(writer, packet, version);
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return writeAck(writer, packet, version);
    case 'subscribe':
      return writeSubscribe(writer, packet, version);
    case 'suback':
    case 'unsuback':
      return writeSuback(writer, packet, version);
    case 'unsubscribe':
      return writeUnsubscribe(writer, packet, version);
    case 'pingreq':
    case 'pingresp':
      return;
    case 'disconnect':
      return writeDisconnect(writer, packet, version);
    case 'auth':
      return writeAuth(writer, packet, version);
  }
}

function writeConnect(writer: FrameWriter, packet: ConnectPacket): void {
  const { version, will, username, password } = packet;
  if (packet.bridge && version === 5) throw new TypeError('MQTT 5 has no bridge bit');
  if (version < 5 && password !== undefined && username === undefined) {
    throw new TypeError('before MQTT 5 a password needs a user name [MQTT 3.1.1, MQTT-3.1.2-22]');
  }
  writer.string('protocol name', version === 3 ? 'MQIsdp' : 'MQTT');
  writer.byte(packet.bridge ? version | BRIDGE_BIT : version);
  writer.byte(
    (packet.cleanStart ? ConnectFlag.cleanStart : 0) |
      (will === undefined ? 0 : willFlags(will)) |
      (password === undefined ? 0 : ConnectFlag.password) |
      (username === undefined ? 0 : ConnectFlag.username),
  );
  writer.uint16('keep alive', packet.keepAlive);
  writePropertyBlock(writer, packet.properties, 'connect', version);
  writer.string('client identifier', packet.clientId);
  if (will !== undefined) writeWill(writer, will, version);
  if (username !== undefined) writer.string('user name', username);
  if (password !== undefined) writer.binary('password', password);
}

function willFlags(will: Will): number {
  expectInteger('QoS of the will', will.qos, 0, 2);
  return ConnectFlag.will | (will.qos << WILL_QOS_SHIFT) | (will.retain ? ConnectFlag.willRetain : 0);
}

function writeWill(writer: FrameWriter, will: Will, version: ProtocolVersion): void {
  writePropertyBlock(writer, will.properties, 'will', version);
  expectTopicName('topic of the will', will.topic);
  writer.string('topic of the will', will.topic);
  writer.binary('payload of the will', will.payload);
}

function writeConnack(writer: FrameWriter, packet: ConnackPacket, version: ProtocolVersion): void {
  if (packet.sessionPresent && packet.reasonCode !== 0) {
    throw new TypeError(
      `a CONNACK that refuses with ${packet.reasonCode} has no session present [MQTT-3.2.2-6]`,
    );
  }
  // MQTT 3.1 has no Session Present.
  writer.byte(packet.sessionPresent && version > 3 ? 1 : 0);
  writer.byte(version === 5 ? reasonCode(packet.type, packet.reasonCode) : returnCode(packet.reasonCode));
  writePropertyBlock(writer, packet.properties, 'connack', version);
}

function publishByte({ qos, dup, retain }: PublishPacket): number {
  expectInteger('QoS', qos, 0, 2);
  if (dup && qos === 0) throw new TypeError('a PUBLISH of QoS 0 is never a duplicate [MQTT-3.3.1-2]');
  return FIRST_BYTE.publish | (dup ? 0x08 : 0) | (qos << 1) | (retain ? 0x01 : 0);
}

function writePublish(writer: FrameWriter, packet: PublishPacket, version: ProtocolVersion): void {
  const { topic, qos, packetId, properties } = packet;
  const aliased = version === 5 && topic === '' && properties.topicAlias !== undefined;
  if (!aliased) expectTopicName('topic name', topic);
  if (qos === 0 && packetId !== undefined) {
    throw new TypeError('a PUBLISH of QoS 0 has no packet identifier [MQTT-2.2.1-2]');
  }
  writer.string('topic name', topic);
  if (qos > 0) writer.packetId(packetId);
  writePropertyBlock(writer, properties, 'publish', version);
  writer.raw('payload', packet.payload);
}

function writeAck(writer: FrameWriter, packet: AckPacket, version: ProtocolVersion): void {
  writer.packetId(packet.packetId);
  if (version < 5) return;
  const code = reasonCode(packet.type, packet.reasonCode);
  writeTrailer(writer, code, packet.properties, packet.type);
}

function writeSubscribe(writer: FrameWriter, packet: SubscribePacket, version: ProtocolVersion): void {
  writer.packetId(packet.packetId);
  writePropertyBlock(writer, packet.properties, 'subscribe', version);
  if (packet.subscriptions.length === 0) throw new TypeError('a SUBSCRIBE has a topic filter [MQTT-3.8.3-2]');
  for (const subscription of packet.subscriptions) {
    writeFilter(writer, subscription.filter);
    writer.byte(subscriptionOptions(subscription, version));
  }
}

function subscriptionOptions(subscription: SubscriptionRequest, version: ProtocolVersion): number {
  const { filter, qos, noLocal, retainAsPublished, retainHandling } = subscription;
  expectInteger('QoS', qos, 0, 2);
  if (version < 5) return qos;
  expectInteger('Retain Handling', retainHandling, 0, 2);
  if (noLocal && isShared(filter)) {
    throw new TypeError('a shared subscription has no No Local [MQTT-3.8.3-4]');
  }
  return qos | (noLocal ? 0x04 : 0) | (retainAsPublished ? 0x08 : 0) | (retainHandling << 4);
}

function writeSuback(
  writer: FrameWriter,
  packet: SubackPacket | UnsubackPacket,
  version: ProtocolVersion,
): void {
  const { type, reasonCodes } = packet;
  writer.packetId(packet.packetId);
  writePropertyBlock(writer, packet.properties, type, version);
  if (type === 'unsuback' && version < 5) return;
  if (reasonCodes.length === 0) throw new TypeError(`${type} has a reason code for each topic filter`);
  for (const code of reasonCodes) {
    const legal = reasonCode(type, code);
    writer.byte(version < 5 ? Math.min(legal, ReasonCode.unspecifiedError) : legal);
  }
}

function writeUnsubscribe(writer: FrameWriter, packet: UnsubscribePacket, version: ProtocolVersion): void {
  writer.packetId(packet.packetId);
  writePropertyBlock(writer, packet.properties, 'unsubscribe', version);
  if (packet.filters.length === 0) throw new TypeError('an UNSUBSCRIBE has a topic filter [MQTT-3.10.3-2]');
  for (const filter of packet.filters) writeFilter(writer, filter);
}

function writeDisconnect(writer: FrameWriter, packet: DisconnectPacket, version: ProtocolVersion): void {
  if (version < 5) return;
  writeTrailer(writer, reasonCode('disconnect', packet.reasonCode), packet.properties, 'disconnect');
}

function writeAuth(writer: FrameWriter, packet: AuthPacket, version: ProtocolVersion): void {
  if (version < 5) throw new TypeError('AUTH does not exist before MQTT 5');
  const code = reasonCode('auth', packet.reasonCode);
  const start = writer.mark();
  writer.byte(code);
  const block = writer.mark();
  writeProperties(writer, packet.properties, 'auth');
  if (packet.properties.authenticationMethod !== undefined) {
    writer.insertLength(block);
    return;
  }
  // Only the short form may do without a method [MQTT 5, sections 3.15.2.1 and 3.15.2.2.2].
  if (code !== ReasonCode.success || writer.lengthSince(block) > 0) {
    throw new TypeError('an AUTH has an authenticationMethod');
  }
  writer.rewind(start);
}

/** Reason Code and Property Length where they may be left out from the end. */
function writeTrailer(
  writer: FrameWriter,
  code: number,
  properties: Properties,
  place: AckPacket['type'] | 'disconnect',
): void {
  const trailer = writer.mark();
  writer.byte(code);
  const block = writer.mark();
  writeProperties(writer, properties, place);
  if (writer.lengthSince(block) > 0) writer.insertLength(block);
  else if (code === ReasonCode.success) writer.rewind(trailer);
}

/** Property Length and properties [MQTT-2.2.2-1]; nothing before MQTT 5. */
function writePropertyBlock(
  writer: FrameWriter,
  properties: Properties,
  place: Place,
  version: ProtocolVersion,
): void {
  if (version < 5) return;
  const mark = writer.mark();
  writeProperties(writer, properties, place);
  writer.insertLength(mark);
}

function writeFilter(writer: FrameWriter, filter: string): void {
  if (!isValidSubscription(filter)) throw new TypeError('topic filter is not valid [MQTT-4.7.1-1]');
  writer.string('topic filter', filter);
}

function expectTopicName(field: string, topic: string): void {
  if (!isValidTopicName(topic))
    throw new TypeError(`${field} is empty, too long or holds a wildcard [MQTT-4.7.1-1]`);
}

/** @throws RangeError for a code that MQTT 5 does not know in this packet. */
function reasonCode(packet: PacketTypeName, code: number): number {
  expectInteger('reason code', code, 0, 0xff);
  if (!mayCarryReasonCode(packet, code, undefined))
    throw new RangeError(`${packet} has no reason code ${hex(code)}`);
  return code;
}

function returnCode(code: number): number {
  if (code >= ReasonCode.unspecifiedError) return returnCodeOf(code);
  expectInteger('return code', code, ReturnCode.accepted, ReturnCode.notAuthorized);
  return code;
}
