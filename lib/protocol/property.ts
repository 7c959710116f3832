/**
 * The properties of MQTT 5 [section 2.2.2] as a table, and what follows from it: decoding, encoding, refusing.
 */
import { carrierBit, carrierBits, carrierMask, type Carrier, type Place } from './carrier.js';
import { FrameReader, malformed, protocolError } from './frame-reader.js';
import { expectInteger, FrameWriter } from './frame-writer.js';
import type { Direction, Properties } from './packet.js';
import { hex, ProtocolError } from './protocol-error.js';
import { ReasonCode } from './reason-code.js';
import { isValidTopicName } from './topic.js';

/** The keys of `Properties` whose values are exactly V. */
type KeyOf<V> = {
  [K in keyof Properties]-?: [Required<Properties>[K], V] extends [V, Required<Properties>[K]] ? K : never;
}[keyof Properties];

/** How a property's value is encoded, with the keys of `Properties` that hold such a value. */
type PropertyValue =
  | { readonly type: 'bit'; readonly key: KeyOf<0 | 1> }
  | { readonly type: 'boolean'; readonly key: KeyOf<boolean> }
  | {
      readonly type: 'uint16' | 'uint32';
      readonly key: KeyOf<number>;
      /** Lowest legal value; 0 where absent. */
      readonly minimum?: 1;
      /** What a value below `minimum` is answered with; 0x82 where absent. */
      readonly refusal?: ReasonCode;
    }
  | { readonly type: 'string' | 'topicName'; readonly key: KeyOf<string> }
  | { readonly type: 'binary'; readonly key: KeyOf<Uint8Array> }
  | { readonly type: 'variableByteIntegers'; readonly key: 'subscriptionIdentifiers' }
  | { readonly type: 'stringPairs'; readonly key: 'userProperties' };

export type PropertyDefinition = PropertyValue & {
  readonly id: number;
  readonly carriers: readonly Carrier[];
  /** Places in which it may stand more than once. */
  readonly repeatsIn?: readonly Place[];
};

const EVERY_PLACE = [
  'will',
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
  'disconnect',
  'auth',
] as const satisfies readonly Place[];

/** Where a server or client may explain a reason code. */
const ANSWERS = [
  'connack',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'suback',
  'unsuback',
  'disconnect',
  'auth',
] as const satisfies readonly Place[];

/**
 * [MQTT 5, table 2-4], with the directions that the sections on the packets add: Subscription Identifier [MQTT-3.3.4-6],
 * Session Expiry Interval in DISCONNECT [MQTT-3.14.2-2], Server Reference in DISCONNECT [section 3.14.2.2.5].
 */
export const PROPERTIES: readonly PropertyDefinition[] = [
  { id: 0x01, key: 'payloadFormatIndicator', type: 'bit', carriers: ['publish', 'will'] },
  { id: 0x02, key: 'messageExpiryInterval', type: 'uint32', carriers: ['publish', 'will'] },
  { id: 0x03, key: 'contentType', type: 'string', carriers: ['publish', 'will'] },
  { id: 0x08, key: 'responseTopic', type: 'topicName', carriers: ['publish', 'will'] },
  { id: 0x09, key: 'correlationData', type: 'binary', carriers: ['publish', 'will'] },
  {
    id: 0x0b,
    key: 'subscriptionIdentifiers',
    type: 'variableByteIntegers',
    carriers: ['publish toClient', 'subscribe'],
    repeatsIn: ['publish'],
  },
  {
    id: 0x11,
    key: 'sessionExpiryInterval',
    type: 'uint32',
    carriers: ['connect', 'connack', 'disconnect toServer'],
  },
  { id: 0x12, key: 'assignedClientIdentifier', type: 'string', carriers: ['connack'] },
  { id: 0x13, key: 'serverKeepAlive', type: 'uint16', carriers: ['connack'] },
  { id: 0x15, key: 'authenticationMethod', type: 'string', carriers: ['connect', 'connack', 'auth'] },
  { id: 0x16, key: 'authenticationData', type: 'binary', carriers: ['connect', 'connack', 'auth'] },
  { id: 0x17, key: 'requestProblemInformation', type: 'boolean', carriers: ['connect'] },
  { id: 0x18, key: 'willDelayInterval', type: 'uint32', carriers: ['will'] },
  { id: 0x19, key: 'requestResponseInformation', type: 'boolean', carriers: ['connect'] },
  { id: 0x1a, key: 'responseInformation', type: 'string', carriers: ['connack'] },
  { id: 0x1c, key: 'serverReference', type: 'string', carriers: ['connack', 'disconnect toClient'] },
  { id: 0x1f, key: 'reasonString', type: 'string', carriers: ANSWERS },
  { id: 0x21, key: 'receiveMaximum', type: 'uint16', minimum: 1, carriers: ['connect', 'connack'] },
  { id: 0x22, key: 'topicAliasMaximum', type: 'uint16', carriers: ['connect', 'connack'] },
  {
    id: 0x23,
    key: 'topicAlias',
    type: 'uint16',
    minimum: 1,
    refusal: ReasonCode.topicAliasInvalid,
    carriers: ['publish'],
  },
  { id: 0x24, key: 'maximumQoS', type: 'bit', carriers: ['connack'] },
  { id: 0x25, key: 'retainAvailable', type: 'boolean', carriers: ['connack'] },
  { id: 0x26, key: 'userProperties', type: 'stringPairs', carriers: EVERY_PLACE, repeatsIn: EVERY_PLACE },
  { id: 0x27, key: 'maximumPacketSize', type: 'uint32', minimum: 1, carriers: ['connect', 'connack'] },
  { id: 0x28, key: 'wildcardSubscriptionAvailable', type: 'boolean', carriers: ['connack'] },
  { id: 0x29, key: 'subscriptionIdentifierAvailable', type: 'boolean', carriers: ['connack'] },
  { id: 0x2a, key: 'sharedSubscriptionAvailable', type: 'boolean', carriers: ['connack'] },
];

/** A row of the table with its columns as the bits of carrier.ts. */
interface Row {
  readonly definition: PropertyDefinition;
  readonly carrierMask: number;
  readonly repeatMask: number;
}

const ROWS: readonly Row[] = PROPERTIES.map((definition) => ({
  definition,
  carrierMask: carrierMask(definition.carriers),
  repeatMask: carrierMask(definition.repeatsIn ?? []),
}));
const ROW_BY_ID: readonly (Row | undefined)[] = Array.from({ length: 0x80 }, (_, id) =>
  ROWS.find((row) => row.definition.id === id),
);

/**
 * Reads the properties between `start` and `end`, the Property Length already taken off. Binary values are views of `bytes`.
 * @throws ProtocolError 0x81 where the bytes cannot be parsed or an identifier is unknown or not one of this packet's
 * [MQTT 5, section 2.2.2.2]; 0x82 for a repetition, a value out of range, the wrong direction, or Authentication Data without
 * a method; 0x94 for topic alias 0.
 */
export function decodeProperties(
  bytes: Uint8Array,
  start: number,
  end: number,
  place: Place,
  direction: Direction,
): Properties {
  const properties: Properties = {};
  if (start === end) return properties;
  const reader = new FrameReader(bytes, start, end);
  const bit = carrierBit(place, direction);
  while (reader.remaining > 0) {
    const id = reader.variableByteInteger('property identifier');
    const row = ROW_BY_ID[id];
    if (row === undefined)
      throw malformed(`${place} carries a property with the unknown identifier ${hex(id)}`);
    const { definition } = row;
    if ((row.carrierMask & bit) === 0) throw misplaced(row, place);
    if (properties[definition.key] !== undefined && (row.repeatMask & bit) === 0) {
      throw protocolError(`${place} carries the property ${definition.key} more than once`);
    }
    readValue(reader, definition, properties);
  }
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw protocolError(`${place} carries authenticationData without authenticationMethod`);
  }
  return properties;
}

/** Reads the Property Length and the properties behind it: see `decodeProperties`. */
export function readProperties(reader: FrameReader, place: Place, direction: Direction): Properties {
  const length = reader.variableByteInteger('property length');
  if (length > reader.remaining)
    throw malformed(`property length is ${length}, but ${reader.remaining} bytes are left`);
  const start = reader.offset;
  reader.offset += length;
  return decodeProperties(reader.bytes, start, reader.offset, place, direction);
}

/**
 * The bytes of `properties`, without the Property Length in front.
 * @throws TypeError for a property that `place` cannot carry in any direction, or text that cannot be encoded; RangeError for
 * a value out of range.
 */
export function encodeProperties(properties: Properties, place: Place): Buffer {
  const writer = new FrameWriter();
  writeProperties(writer, properties, place);
  return writer.finishPart();
}

/** As `encodeProperties`, into a packet that is being written. */
export function writeProperties(writer: FrameWriter, properties: Properties, place: Place): void {
  // Most packets have none, and the table has 27 rows.
  if (Object.keys(properties).length === 0) return;
  const bits = carrierBits(place);
  for (const row of ROWS) {
    const { definition } = row;
    const value: unknown = properties[definition.key];
    if (value === undefined) continue;
    if ((row.carrierMask & bits) === 0)
      throw new TypeError(`${place} cannot carry the property ${definition.key}`);
    writeValue(writer, definition, value, (row.repeatMask & bits) !== 0);
  }
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw new TypeError(`${place} cannot carry authenticationData without authenticationMethod`);
  }
}

/** Not a property of this packet: malformed [MQTT 5, section 2.2.2.2]. One of the packet's, but not this way: a protocol error. */
function misplaced(row: Row, place: Place): ProtocolError {
  const { key } = row.definition;
  return (row.carrierMask & carrierBits(place)) === 0
    ? malformed(`${place} cannot carry the property ${key}`)
    : protocolError(`${place} cannot carry the property ${key} in this direction`);
}

function readValue(reader: FrameReader, definition: PropertyDefinition, into: Properties): void {
  switch (definition.type) {
    case 'bit':
      into[definition.key] = readBit(reader, definition.key);
      return;
    case 'boolean':
      into[definition.key] = readBit(reader, definition.key) === 1;
      return;
    case 'uint16':
    case 'uint32': {
      const value = reader[definition.type](definition.key);
      if (value < (definition.minimum ?? 0)) {
        throw new ProtocolError(
          definition.refusal ?? ReasonCode.protocolError,
          `${definition.key} is ${value}`,
        );
      }
      into[definition.key] = value;
      return;
    }
    case 'string':
      into[definition.key] = reader.string(definition.key);
      return;
    case 'topicName': {
      const topic = reader.string(definition.key);
      // [MQTT-3.3.2-14], [MQTT-4.7.3-1]
      if (!isValidTopicName(topic)) throw protocolError(`${definition.key} is empty or holds a wildcard`);
      into[definition.key] = topic;
      return;
    }
    case 'binary':
      into[definition.key] = reader.binary(definition.key);
      return;
    case 'variableByteIntegers': {
      const value = reader.variableByteInteger(definition.key);
      if (value === 0) throw protocolError('subscription identifier is 0, allowed are 1 to 268435455');
      (into[definition.key] ??= []).push(value);
      return;
    }
    case 'stringPairs': {
      const name = reader.string('name of a user property');
      (into[definition.key] ??= []).push([name, reader.string('value of a user property')]);
      return;
    }
  }
}

function readBit(reader: FrameReader, key: string): 0 | 1 {
  const value = reader.byte(key);
  if (value !== 0 && value !== 1) throw protocolError(`${key} is ${value}, allowed are 0 and 1`);
  return value;
}

function writeValue(
  writer: FrameWriter,
  definition: PropertyDefinition,
  value: unknown,
  repeats: boolean,
): void {
  const { id, key, type } = definition;
  switch (type) {
    case 'bit':
      expectInteger(key, value, 0, 1);
      writer.byte(id);
      writer.byte(value);
      return;
    case 'boolean':
      if (typeof value !== 'boolean') throw new TypeError(`${key} is not a boolean`);
      writer.byte(id);
      writer.byte(value ? 1 : 0);
      return;
    case 'uint16':
    case 'uint32':
      writer.byte(id);
      writer[type](key, value, definition.minimum);
      return;
    case 'string':
      writer.byte(id);
      writer.string(key, value);
      return;
    case 'topicName':
      if (typeof value !== 'string' || !isValidTopicName(value))
        throw new TypeError(`${key} is not a topic name`);
      writer.byte(id);
      writer.string(key, value);
      return;
    case 'binary':
      writer.byte(id);
      writer.binary(key, value);
      return;
    case 'variableByteIntegers':
    case 'stringPairs':
      if (!Array.isArray(value)) throw new TypeError(`${key} is not an array`);
      if (value.length > 1 && !repeats)
        throw new RangeError(`${key} has ${value.length} values, one is allowed here`);
      for (const element of value) {
        writer.byte(id);
        if (type === 'stringPairs') writePair(writer, key, element);
        else writer.variableByteInteger(key, element, 1);
      }
      return;
  }
}

function writePair(writer: FrameWriter, key: string, pair: unknown): void {
  if (!Array.isArray(pair) || pair.length !== 2)
    throw new TypeError(`${key} holds something other than [name, value]`);
  writer.string(key, pair[0]);
  writer.string(key, pair[1]);
}
