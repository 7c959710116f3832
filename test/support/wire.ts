/**
 * MQTT bytes as the tests write them, independent of lib/protocol on purpose: a mistake there must not be repeated
 * here. The encoder checks nothing, so that every malformed packet can be built from the same parts.
 */

export type Version = 3 | 4 | 5;
export type Bytes = Uint8Array;

export const TYPES = [
  'reserved',
  'connect',
  'connack',
  'publish',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'subscribe',
  'suback',
  'unsubscribe',
  'unsuback',
  'pingreq',
  'pingresp',
  'disconnect',
  'auth',
] as const;
export type TypeName = (typeof TYPES)[number];
export const typeCode = (type: TypeName): number => TYPES.indexOf(type);

type Kind = 'u8' | 'u16' | 'u32' | 'varint' | 'string' | 'binary' | 'pair';

/** The properties of MQTT 5 [table 2-4] that a test may set or read; numbers as they stand on the wire. */
export interface Properties {
  payloadFormatIndicator?: number;
  messageExpiryInterval?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: string | Bytes;
  subscriptionIdentifier?: number | number[];
  sessionExpiryInterval?: number;
  assignedClientIdentifier?: string;
  serverKeepAlive?: number;
  authenticationMethod?: string;
  authenticationData?: string | Bytes;
  requestProblemInformation?: number;
  willDelayInterval?: number;
  requestResponseInformation?: number;
  responseInformation?: string;
  serverReference?: string;
  reasonString?: string;
  receiveMaximum?: number;
  topicAliasMaximum?: number;
  topicAlias?: number;
  maximumQoS?: number;
  retainAvailable?: number;
  userProperty?: readonly (readonly [string, string])[];
  maximumPacketSize?: number;
  wildcardSubscriptionAvailable?: number;
  subscriptionIdentifierAvailable?: number;
  sharedSubscriptionAvailable?: number;
}
export type PropertyName = keyof Properties;

export const PROPERTIES: readonly (readonly [id: number, name: PropertyName, kind: Kind])[] = [
  [0x01, 'payloadFormatIndicator', 'u8'],
  [0x02, 'messageExpiryInterval', 'u32'],
  [0x03, 'contentType', 'string'],
  [0x08, 'responseTopic', 'string'],
  [0x09, 'correlationData', 'binary'],
  [0x0b, 'subscriptionIdentifier', 'varint'],
  [0x11, 'sessionExpiryInterval', 'u32'],
  [0x12, 'assignedClientIdentifier', 'string'],
  [0x13, 'serverKeepAlive', 'u16'],
  [0x15, 'authenticationMethod', 'string'],
  [0x16, 'authenticationData', 'binary'],
  [0x17, 'requestProblemInformation', 'u8'],
  [0x18, 'willDelayInterval', 'u32'],
  [0x19, 'requestResponseInformation', 'u8'],
  [0x1a, 'responseInformation', 'string'],
  [0x1c, 'serverReference', 'string'],
  [0x1f, 'reasonString', 'string'],
  [0x21, 'receiveMaximum', 'u16'],
  [0x22, 'topicAliasMaximum', 'u16'],
  [0x23, 'topicAlias', 'u16'],
  [0x24, 'maximumQoS', 'u8'],
  [0x25, 'retainAvailable', 'u8'],
  [0x26, 'userProperty', 'pair'],
  [0x27, 'maximumPacketSize', 'u32'],
  [0x28, 'wildcardSubscriptionAvailable', 'u8'],
  [0x29, 'subscriptionIdentifierAvailable', 'u8'],
  [0x2a, 'sharedSubscriptionAvailable', 'u8'],
];

const asBytes = (value: string | Bytes): Bytes => (typeof value === 'string' ? Buffer.from(value) : value);

export const u8 = (value: number): Buffer => Buffer.from([value & 0xff]);
export const u16 = (value: number): Buffer => Buffer.from([(value >>> 8) & 0xff, value & 0xff]);
export const u32 = (value: number): Buffer => Buffer.concat([u16(value >>> 16), u16(value)]);
/** Length-prefixed text or bytes. Texts are written as UTF-8; pass bytes for ill-formed ones. */
export const str = (value: string | Bytes): Buffer => {
  const bytes = asBytes(value);
  return Buffer.concat([u16(bytes.length), bytes]);
};
export function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  do {
    const digit = rest % 128;
    rest = Math.floor(rest / 128);
    out.push(rest > 0 ? digit | 0x80 : digit);
  } while (rest > 0);
  return Buffer.from(out);
}

/** One control packet: byte 1, the Remaining Length and the parts behind it. */
export function frame(firstByte: number, ...parts: Bytes[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([u8(firstByte), varint(body.length), body]);
}

function encodeValue(kind: Kind, value: unknown): Buffer {
  if (typeof value === 'number') {
    if (kind === 'u8') return u8(value);
    if (kind === 'u16') return u16(value);
    return kind === 'u32' ? u32(value) : varint(value);
  }
  if (typeof value === 'string' || value instanceof Uint8Array) return str(value);
  throw new TypeError(`no ${kind} property value: ${String(value)}`);
}

/** The bytes of properties without their length, in the order of the object's keys. */
export function propertyBytes(properties: Properties): Buffer {
  const out: Buffer[] = [];
  for (const [key, value] of Object.entries(properties)) {
    const row = PROPERTIES.find(([, name]) => name === key);
    if (row === undefined) throw new TypeError(`no such property: ${key}`);
    const [id, , kind] = row;
    if (value === undefined) continue;
    if (kind === 'pair') {
      for (const [name, text] of properties.userProperty ?? []) out.push(u8(id), str(name), str(text));
    } else {
      for (const one of Array.isArray(value) ? value : [value]) out.push(u8(id), encodeValue(kind, one));
    }
  }
  return Buffer.concat(out);
}

/** Property Length and properties; bytes are taken as they are, for malformed ones. */
export function properties(value: Properties | Bytes = {}): Buffer {
  const bytes = value instanceof Uint8Array ? value : propertyBytes(value);
  return Buffer.concat([varint(bytes.length), bytes]);
}

export interface WillFields {
  topic?: string | Bytes;
  payload?: string | Bytes;
  qos?: number;
  retain?: boolean;
  properties?: Properties | Bytes;
}
export interface ConnectFields {
  version?: Version;
  protocolName?: string | Bytes;
  /** The level byte where it differs from `version`. */
  level?: number;
  clientId?: string | Bytes;
  /** Clean Session or Clean Start. Default true. */
  clean?: boolean;
  /** Seconds. Default 0: none. */
  keepAlive?: number;
  username?: string | Bytes;
  password?: string | Bytes;
  will?: WillFields;
  properties?: Properties | Bytes;
  /** Replaces the computed connect flags. */
  flags?: number;
  /** Replaces the low four bits of byte 1. */
  headerFlags?: number;
}

function connectFlags(fields: ConnectFields): number {
  const { will } = fields;
  let flags = (fields.clean ?? true) ? 0x02 : 0;
  if (will !== undefined) flags |= 0x04 | ((will.qos ?? 0) << 3) | (will.retain === true ? 0x20 : 0);
  if (fields.password !== undefined) flags |= 0x40;
  if (fields.username !== undefined) flags |= 0x80;
  return flags;
}

export function connect(fields: ConnectFields = {}): Buffer {
  const version = fields.version ?? 5;
  const { will } = fields;
  const parts: Bytes[] = [
    str(fields.protocolName ?? (version === 3 ? 'MQIsdp' : 'MQTT')),
    u8(fields.level ?? version),
    u8(fields.flags ?? connectFlags(fields)),
    u16(fields.keepAlive ?? 0),
  ];
  if (version === 5) parts.push(properties(fields.properties));
  parts.push(str(fields.clientId ?? ''));
  if (will !== undefined) {
    if (version === 5) parts.push(properties(will.properties));
    parts.push(str(will.topic ?? 'will'), str(will.payload ?? 'gone'));
  }
  if (fields.username !== undefined) parts.push(str(fields.username));
  if (fields.password !== undefined) parts.push(str(fields.password));
  return frame(0x10 | (fields.headerFlags ?? 0), ...parts);
}

export interface PublishFields {
  version?: Version;
  topic?: string | Bytes;
  payload?: string | Bytes;
  qos?: number;
  retain?: boolean;
  dup?: boolean;
  packetId?: number;
  properties?: Properties | Bytes;
}

export function publish(fields: PublishFields): Buffer {
  const qos = fields.qos ?? 0;
  const parts: Bytes[] = [str(fields.topic ?? '')];
  if (qos > 0) parts.push(u16(fields.packetId ?? 1));
  if ((fields.version ?? 5) === 5) parts.push(properties(fields.properties));
  parts.push(asBytes(fields.payload ?? ''));
  return frame(
    0x30 | (fields.dup === true ? 8 : 0) | (qos << 1) | (fields.retain === true ? 1 : 0),
    ...parts,
  );
}

export interface SubscriptionFields {
  filter: string | Bytes;
  qos?: number;
  noLocal?: boolean;
  retainAsPublished?: boolean;
  retainHandling?: number;
  /** Replaces the computed options byte. */
  options?: number;
}

export function subscriptionOptions(fields: SubscriptionFields): number {
  if (fields.options !== undefined) return fields.options;
  return (
    (fields.qos ?? 0) |
    (fields.noLocal === true ? 4 : 0) |
    (fields.retainAsPublished === true ? 8 : 0) |
    ((fields.retainHandling ?? 0) << 4)
  );
}

export function subscribe(
  packetId: number,
  subscriptions: readonly SubscriptionFields[],
  { version = 5, properties: props = {}, firstByte = 0x82 }: PacketFields = {},
): Buffer {
  const parts: Bytes[] = [u16(packetId)];
  if (version === 5) parts.push(properties(props));
  for (const one of subscriptions) parts.push(str(one.filter), u8(subscriptionOptions(one)));
  return frame(firstByte, ...parts);
}

export interface PacketFields {
  version?: Version;
  properties?: Properties | Bytes;
  /** Replaces byte 1. */
  firstByte?: number;
}

export function unsubscribe(
  packetId: number,
  filters: readonly (string | Bytes)[],
  { version = 5, properties: props = {}, firstByte = 0xa2 }: PacketFields = {},
): Buffer {
  const parts: Bytes[] = [u16(packetId)];
  if (version === 5) parts.push(properties(props));
  return frame(firstByte, ...parts, ...filters.map(str));
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP; without a reason code in its two-byte form. */
export function ack(
  type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp',
  packetId: number,
  reasonCode?: number,
  props?: Properties | Bytes,
): Buffer {
  const parts: Bytes[] = [u16(packetId)];
  if (reasonCode !== undefined) parts.push(u8(reasonCode));
  if (props !== undefined) parts.push(properties(props));
  return frame((typeCode(type) << 4) | (type === 'pubrel' ? 2 : 0), ...parts);
}

export const PINGREQ: Buffer = frame(0xc0);

/** DISCONNECT; without a reason code with Remaining Length 0. */
export function disconnect(reasonCode?: number, props?: Properties | Bytes): Buffer {
  if (reasonCode === undefined) return frame(0xe0);
  return props === undefined ? frame(0xe0, u8(reasonCode)) : frame(0xe0, u8(reasonCode), properties(props));
}

export function auth(reasonCode: number, props: Properties | Bytes = {}): Buffer {
  return frame(0xf0, u8(reasonCode), properties(props));
}
