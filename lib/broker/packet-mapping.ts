/** Between our messages and the packets that Aedes shows its embedders. */
import { encodeForwardedProperties } from '../ingest/forwarded-properties.js';
import { createMessage, type Message, NEVER } from '../message/message.js';
import type { ConnectPacket, Properties, UserProperty, Will } from '../protocol/packet.js';
import { decodeProperties } from '../protocol/property.js';
import type { AedesConnect, AedesPacket, AedesProperties } from './aedes-internals.js';

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
    if (message.expiresAt !== NEVER) {
      packet.properties.messageExpiryInterval = Math.max(
        1,
        Math.ceil((message.expiresAt - context.now()) / 1000),
      );
    }
  }
  return packet;
}

/** @throws TypeError where the packet has no topic. */
export function fromAedesPacket(packet: AedesPacket, context: MappingContext): Message {
  if (typeof packet.topic !== 'string' || packet.topic === '')
    throw new TypeError('a packet to publish needs a topic');
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
    expiresAt: expiry === undefined || expiry <= 0 ? NEVER : context.now() + expiry * 1000,
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

function bytesOf(payload: Buffer | string | undefined): Uint8Array {
  if (payload === undefined) return new Uint8Array(0);
  return typeof payload === 'string' ? Buffer.from(payload) : payload;
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

function fromAedesProperties(properties: AedesProperties): Properties {
  const mapped: Properties = {};
  if (properties.payloadFormatIndicator !== undefined) {
    mapped.payloadFormatIndicator = properties.payloadFormatIndicator ? 1 : 0;
  }
  if (properties.contentType !== undefined) mapped.contentType = properties.contentType;
  if (properties.responseTopic !== undefined) mapped.responseTopic = properties.responseTopic;
  if (properties.correlationData !== undefined) mapped.correlationData = properties.correlationData;
  if (properties.userProperties !== undefined) {
    mapped.userProperties = Object.entries(properties.userProperties).flatMap(([name, value]) =>
      (Array.isArray(value) ? value : [value]).map((one): UserProperty => [name, one]),
    );
  }
  return mapped;
}

/** Fills Aedes's minimal CONNECT with what the client really sent, for the embedder's `preConnect`. */
export function describeConnect(packet: AedesConnect, connect: ConnectPacket): void {
  packet.clientId = connect.clientId;
  packet.clean = connect.cleanStart;
  packet.keepalive = connect.keepAlive;
  packet.username = connect.username;
  packet.password = connect.password === undefined ? undefined : Buffer.from(connect.password);
  const { will, properties } = connect;
  if (connect.version === 5) packet.properties = { ...properties };
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

/** Takes over what `preConnect` changed. */
export function adoptConnect(connect: ConnectPacket, packet: AedesConnect): void {
  connect.clientId = packet.clientId;
  connect.cleanStart = packet.clean ?? connect.cleanStart;
  connect.keepAlive = packet.keepalive ?? connect.keepAlive;
  if (packet.username === undefined) delete connect.username;
  else connect.username = packet.username;
  if (packet.password === undefined) delete connect.password;
  else connect.password = packet.password;
  if (packet.will === undefined) delete connect.will;
  else connect.will = adoptWill(connect.will, packet.will);
}

function adoptWill(will: Will | undefined, changed: NonNullable<AedesConnect['will']>): Will {
  return {
    topic: changed.topic,
    payload: bytesOf(changed.payload),
    qos: changed.qos ?? 0,
    retain: changed.retain ?? false,
    properties: will?.properties ?? {},
  };
}
