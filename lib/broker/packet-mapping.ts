/** Between our messages and the packets that Aedes shows its embedders. */
import { encodeForwardedProperties } from '../ingest/forwarded-properties.js';
import { createMessage, EXPIRY_MAX_S, type Message, NEVER } from '../message/message.js';
import type {
  ConnackPacket,
  ConnectPacket,
  Properties,
  ProtocolVersion,
  UserProperty,
  Will,
} from '../protocol/packet.js';
import { decodeProperties } from '../protocol/property.js';
import { isValidTopicName } from '../protocol/topic.js';
import type { AedesConnack, AedesConnect, AedesPacket, AedesProperties } from './aedes-internals.js';

export interface MappingContext {
  readonly brokerId: string;
  nextCounter(): number;
  /** Milliseconds, monotonic. */
  now(): number;
  topicBytes(topic: string): Uint8Array;
}

export function toAedesPacket(message: Message, context: MappingContext): AedesPacket {
  const { payload } = message;
  const packet: AedesPacket = {
    cmd: 'publish',
    brokerId: context.brokerId,
    brokerCounter: context.nextCounter(),
    topic: message.topic,
    payload: Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength),
    qos: message.qos,
    retain: message.retain,
    dup: false,
  };
  if (message.qos > 0) packet.messageId = undefined;
  if (message.publisher !== '') packet.clientId = message.publisher;
  if (message.properties.length > 0 || message.expiresAt !== NEVER) {
    packet.properties = toAedesProperties(
      decodeProperties(message.properties, 0, message.properties.length, 'publish', 'toClient'),
    );
    if (message.expiresAt !== NEVER) packet.properties.messageExpiryInterval = message.expiryS(context);
  }
  return packet;
}

/** @throws TypeError where the packet cannot be one of MQTT: its topic, QoS or payload. */
export function fromAedesPacket(packet: AedesPacket, context: MappingContext): Message {
  const { topic, qos } = packet;
  if (typeof topic !== 'string' || !isValidTopicName(topic))
    throw new TypeError('a packet to publish needs a topic of 1 to 65535 bytes without wildcards and NUL');
  if (qos !== undefined && qos !== 0 && qos !== 1 && qos !== 2)
    throw new TypeError(`the QoS of a packet is 0, 1 or 2, not ${String(qos)}`);
  const expiry = packet.properties?.messageExpiryInterval;
  return createMessage({
    topic: packet.topic,
    topicBytes: context.topicBytes(packet.topic),
    payload: bytesOf(packet.payload),
    properties:
      packet.properties === undefined
        ? new Uint8Array(0)
        : encodeForwardedProperties(fromAedesProperties(packet.properties)),
    qos: packet.qos ?? 0,
    retain: packet.retain ?? false,
    expiresAt:
      expiry === undefined || expiry <= 0 ? NEVER : context.now() + Math.min(expiry, EXPIRY_MAX_S) * 1000,
    publisher: packet.clientId ?? '',
  });
}

/** The message where a hook left its packet alone, else what the hook made of it. */
export function afterHook(
  message: Message,
  before: AedesPacket,
  after: AedesPacket,
  context: MappingContext,
): Message {
  const same =
    after.topic === message.topic &&
    after.qos === message.qos &&
    after.retain === message.retain &&
    after.payload === before.payload &&
    after.properties === before.properties &&
    sameView(after.payload, message);
  return same ? message : fromAedesPacket({ ...after, clientId: message.publisher }, context);
}

function sameView(payload: Buffer | string, message: Message): boolean {
  return (
    Buffer.isBuffer(payload) &&
    payload.buffer === message.bytes.buffer &&
    payload.byteOffset === message.bytes.byteOffset + message.payloadStart &&
    payload.length === message.payloadLength
  );
}

function bytesOf(payload: Buffer | string | null | undefined): Uint8Array {
  if (payload === undefined || payload === null) return new Uint8Array(0);
  if (typeof payload === 'string') return Buffer.from(payload);
  if (payload instanceof Uint8Array) return payload;
  throw new TypeError('the payload of a packet is a Buffer or a string');
}

/** What left as CONNACK, for `connackSent`. */
export function toAedesConnack(packet: ConnackPacket, version: ProtocolVersion): AedesConnack {
  const { sessionPresent, reasonCode, properties } = packet;
  if (version !== 5) return { cmd: 'connack', sessionPresent, returnCode: reasonCode };
  return { cmd: 'connack', sessionPresent, reasonCode, properties: nameLikeAedes(properties) };
}

/** Properties of any packet, named as Aedes's are: user properties as an object, bytes as Buffers. */
function nameLikeAedes(properties: Properties): AedesProperties {
  const { userProperties, ...rest } = properties;
  const named: AedesProperties = {};
  for (const [name, value] of Object.entries(rest))
    named[name] = value instanceof Uint8Array ? Buffer.from(value) : value;
  if (userProperties !== undefined) named.userProperties = groupByName(userProperties);
  return named;
}

function toAedesProperties(properties: Properties): AedesProperties {
  const mapped: AedesProperties = {};
  const { payloadFormatIndicator, correlationData, userProperties } = properties;
  if (payloadFormatIndicator !== undefined) mapped.payloadFormatIndicator = payloadFormatIndicator === 1;
  if (properties.contentType !== undefined) mapped.contentType = properties.contentType;
  if (properties.responseTopic !== undefined) mapped.responseTopic = properties.responseTopic;
  if (correlationData !== undefined) mapped.correlationData = Buffer.from(correlationData);
  if (userProperties !== undefined) mapped.userProperties = groupByName(userProperties);
  return mapped;
}

/** Without a prototype: names come from outside. */
function groupByName(pairs: readonly UserProperty[]): Record<string, string | string[]> {
  const grouped: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>;
  for (const [name, value] of pairs) {
    const known = grouped[name];
    if (known === undefined) grouped[name] = value;
    else if (Array.isArray(known)) known.push(value);
    else grouped[name] = [known, value];
  }
  return grouped;
}

/** The properties that a message may have; others are left out. */
export function fromAedesProperties(properties: AedesProperties): Properties {
  const mapped: Properties = {};
  if (properties.payloadFormatIndicator !== undefined) {
    mapped.payloadFormatIndicator = properties.payloadFormatIndicator ? 1 : 0;
  }
  if (properties.contentType !== undefined) mapped.contentType = properties.contentType;
  if (properties.responseTopic !== undefined) mapped.responseTopic = properties.responseTopic;
  if (properties.correlationData !== undefined) mapped.correlationData = properties.correlationData;
  if (properties.userProperties !== undefined) {
    mapped.userProperties = listPairs(properties.userProperties);
  }
  return mapped;
}

export function listPairs(grouped: Readonly<Record<string, string | string[]>>): UserProperty[] {
  return Object.entries(grouped).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one): UserProperty => [name, one]),
  );
}

/** Fills Aedes's minimal CONNECT with what the client really sent, for the embedder's `preConnect`. */
export function describeConnect(packet: AedesConnect, connect: ConnectPacket): void {
  packet.clientId = connect.clientId;
  packet.clean = connect.cleanStart;
  packet.keepalive = connect.keepAlive;
  packet.username = connect.username;
  packet.password = connect.password === undefined ? undefined : Buffer.from(connect.password);
  const { will, properties } = connect;
  if (connect.version === 5) packet.properties = nameLikeAedes(properties);
  if (will !== undefined) {
    packet.will = {
      topic: will.topic,
      payload: Buffer.from(will.payload),
      qos: will.qos,
      retain: will.retain,
    };
    if (connect.version === 5) {
      packet.will.properties = toAedesProperties(will.properties);
      if (will.properties.willDelayInterval !== undefined) {
        packet.will.properties.willDelayInterval = will.properties.willDelayInterval;
      }
    }
  }
}

/** Numbers of CONNECT that a hook may set. */
const ADOPTED = [
  'sessionExpiryInterval',
  'receiveMaximum',
  'maximumPacketSize',
  'topicAliasMaximum',
] as const;

/**
 * Takes over what `preConnect` changed: client id, clean, keep alive, credentials, will, and of the properties the limits
 * and the Session Expiry Interval. @throws TypeError where the client id or the will cannot be one of MQTT.
 */
export function adoptConnect(connect: ConnectPacket, packet: AedesConnect): void {
  if (typeof packet.clientId !== 'string') throw new TypeError('the client id is no string');
  connect.clientId = packet.clientId;
  connect.cleanStart = packet.clean ?? connect.cleanStart;
  connect.keepAlive = packet.keepalive ?? connect.keepAlive;
  if (packet.username === undefined) delete connect.username;
  else connect.username = packet.username;
  if (packet.password === undefined) delete connect.password;
  else connect.password = packet.password;
  if (packet.will === undefined) delete connect.will;
  else connect.will = adoptWill(connect.will, packet.will);
  if (connect.version !== 5) return;
  for (const name of ADOPTED) {
    const value = packet.properties?.[name];
    if (typeof value === 'number') connect.properties[name] = value;
    else delete connect.properties[name];
  }
}

function adoptWill(will: Will | undefined, changed: NonNullable<AedesConnect['will']>): Will {
  if (typeof changed.topic !== 'string' || !isValidTopicName(changed.topic))
    throw new TypeError('the will has no valid topic name');
  return {
    topic: changed.topic,
    payload: bytesOf(changed.payload),
    qos: changed.qos ?? 0,
    retain: changed.retain ?? false,
    properties: will?.properties ?? {},
  };
}
