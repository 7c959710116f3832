/**
 * Well-formed packets of every type, still in the parts that malformations work on. Server packets are among them: a client
 * that sends one is at fault too.
 */
import { PROPERTIES, type Direction, type Place, type PropertyDefinition } from '../../lib/protocol/index.js';
import * as wire from '../support/wire.js';
import type { TypeName, Version } from '../support/wire.js';
import type { Random } from './random.js';

export const PACKETS = wire.TYPES.filter((type) => type !== 'reserved');

/** A fixed header, and behind it `before`, the properties with their length, and `after`. */
export interface Parts {
  readonly type: TypeName;
  readonly version: Version;
  readonly first: number;
  readonly before: Buffer;
  /** One entry a property, its identifier included; undefined where packet or version has none. */
  readonly properties: readonly Buffer[] | undefined;
  readonly after: Buffer;
  /** Where they stand in `before`. */
  readonly packetIdAt?: number;
  readonly reasonAt?: number;
  /** A character of a string, in `before` or `after`. */
  readonly text?: { readonly in: 'before' | 'after'; readonly at: number };
}

export function bodyOf(parts: Parts): Buffer {
  const { before, properties, after } = parts;
  return Buffer.concat([
    before,
    properties === undefined ? Buffer.alloc(0) : wire.properties(Buffer.concat([...properties])),
    after,
  ]);
}

export function assemble(parts: Parts): Buffer {
  return wire.frame(parts.first, bodyOf(parts));
}

/** Names that a careless map takes for something else, odd but legal ones, and plain ones. */
const LEVELS = ['a', 'b', 'c', 'constructor', '__proto__', 'toString', '', ' ', 'ü', '\u{1f600}', '\ufeff'];
const TOPIC_PREFIX = 'fuzz/';

export function topicOf(random: Random): string {
  const levels = Array.from({ length: 1 + random.int(3) }, () => random.pick(LEVELS));
  const topic = (random.chance(0.9) ? TOPIC_PREFIX : '') + levels.join('/');
  return topic === '' ? '/' : topic;
}

export function filterOf(random: Random): string {
  const shared = random.chance(0.2) ? `$share/${random.pick(['g', 'constructor', '__proto__'])}/` : '';
  const wild = ['#', '+/+', 'fuzz/#', 'fuzz/+/b', '+/a/#', '$SYS/#'];
  return shared + (random.chance(0.5) ? random.pick(wild) : topicOf(random));
}

export function clientIdOf(random: Random): string {
  if (random.chance(0.1)) return random.pick(['constructor', '__proto__', 'toString', 'ü', ' ']);
  return random.chance(0.6) ? `fuzz-${random.int(40)}` : `fuzz-once-${random.int(1e9)}`;
}

function valueOf(definition: PropertyDefinition, random: Random): Buffer {
  switch (definition.type) {
    case 'bit':
    case 'boolean':
      return wire.u8(random.int(2));
    case 'uint16':
      return wire.u16(random.pick([1, 2, 5, 20, 65535]));
    case 'uint32':
      return wire.u32(random.pick([1, 2, 5, 300, 65536]));
    case 'string':
      return wire.str(random.pick(['', 'text', 'ü', 'x'.repeat(130)]));
    case 'topicName':
      return wire.str(topicOf(random));
    case 'binary':
      return wire.str(random.bytes(random.int(6)));
    case 'variableByteIntegers':
      return wire.varint(1 + random.int(300));
    case 'stringPairs':
      return Buffer.concat([wire.str(random.pick(['', 'k'])), wire.str(random.pick(['', 'value']))]);
  }
}

/** One property with a legal value. */
export function propertyOf(definition: PropertyDefinition, random: Random): Buffer {
  return Buffer.concat([wire.u8(definition.id), valueOf(definition, random)]);
}

export function mayCarry(definition: PropertyDefinition, place: Place, direction: Direction): boolean {
  return definition.carriers.includes(place) || definition.carriers.includes(`${place} ${direction}`);
}

/** Authentication is its own protocol: mostly left out, since everything with an unknown method ends there. */
const AUTHENTICATION = new Set(['authenticationMethod', 'authenticationData']);
/** A Topic Alias beyond the limit ends the connection; 20 is within the default. */
const TOPIC_ALIAS = Buffer.concat([wire.u8(0x23), wire.u16(20)]);

function propertiesOf(place: Place, version: Version, random: Random): Buffer[] | undefined {
  if (version !== 5) return undefined;
  const legal = PROPERTIES.filter(
    (one) => mayCarry(one, place, 'toServer') && !AUTHENTICATION.has(one.key) && one.key !== 'topicAlias',
  );
  const chosen = random.shuffle(legal).slice(0, random.int(4));
  const encoded = chosen.map((definition) => propertyOf(definition, random));
  if (place === 'publish' && random.chance(0.2)) encoded.push(TOPIC_ALIAS);
  if (place === 'auth' || (place === 'connect' && random.chance(0.05))) {
    encoded.push(Buffer.concat([wire.u8(0x15), wire.str('SCRAM-SHA-256')]));
    encoded.push(Buffer.concat([wire.u8(0x16), wire.str(`n,,n=fuzz,r=${random.int(1e9)}`)]));
  }
  return encoded;
}

interface Will {
  readonly flags: number;
  readonly bytes: Buffer;
}

function willOf(version: Version, random: Random): Will {
  if (!random.chance(0.3)) return { flags: 0, bytes: Buffer.alloc(0) };
  const flags = 0x04 | (random.int(3) << 3) | (random.chance(0.2) ? 0x20 : 0);
  const properties = propertiesOf('will', version, random);
  const parts = properties === undefined ? [] : [wire.properties(Buffer.concat(properties))];
  return { flags, bytes: Buffer.concat([...parts, wire.str(topicOf(random)), wire.str(random.bytes(5))]) };
}

/** CONNECT that the gateway accepts, as far as its client id and limits go. */
export function connectParts(
  version: Version,
  random: Random,
  clientId = clientIdOf(random),
  clean = random.chance(0.6),
): Parts {
  const will = willOf(version, random);
  const before = Buffer.concat([
    wire.str(version === 3 ? 'MQIsdp' : 'MQTT'),
    wire.u8(version),
    wire.u8(will.flags | (clean ? 2 : 0)),
    wire.u16(random.pick([0, 30, 65535])),
  ]);
  return {
    type: 'connect',
    version,
    first: 0x10,
    before,
    properties: propertiesOf('connect', version, random),
    after: Buffer.concat([wire.str(clientId), will.bytes]),
    text: { in: 'after', at: 2 },
  };
}

function publishParts(version: Version, random: Random): Parts {
  const qos = random.int(3);
  const topic = wire.str(topicOf(random));
  // Before MQTT 5 a retained message beyond the limits is held until there is room, and with it its connection.
  const retain = (version === 5 || qos === 0) && random.chance(0.1);
  const first = 0x30 | (qos << 1) | (retain ? 1 : 0) | (qos > 0 && random.chance(0.1) ? 8 : 0);
  // Payloads declared to be UTF-8 are: a wrong one ends nothing, but is refused.
  const after = Buffer.from('x'.repeat(random.pick([0, 1, 64, 200, 3000])));
  return {
    type: 'publish',
    version,
    first,
    before: qos > 0 ? Buffer.concat([topic, packetId(random)]) : topic,
    properties: propertiesOf('publish', version, random),
    after,
    text: { in: 'before', at: 2 },
    ...(qos > 0 && { packetIdAt: topic.length }),
  };
}

/** Few ids, so that they meet what is in flight, in either direction. */
function packetId(random: Random): Buffer {
  return wire.u16(random.chance(0.9) ? 1 + random.int(12) : 65535);
}

function ackParts(type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp', version: Version, random: Random): Parts {
  const first = (wire.typeCode(type) << 4) | (type === 'pubrel' ? 2 : 0);
  if (version !== 5 || random.chance(0.5)) {
    const before = packetId(random);
    return { type, version, first, before, properties: undefined, after: Buffer.alloc(0), packetIdAt: 0 };
  }
  const code = type === 'pubrel' || type === 'pubcomp' ? [0, 0x92] : [0, 0x10, 0x80, 0x83, 0x97];
  return {
    type,
    version,
    first,
    before: Buffer.concat([packetId(random), wire.u8(random.pick(code))]),
    properties: propertiesOf(type, version, random),
    after: Buffer.alloc(0),
    packetIdAt: 0,
    reasonAt: 2,
  };
}

function filtersParts(type: 'subscribe' | 'unsubscribe', version: Version, random: Random): Parts {
  const options = (): Buffer =>
    type === 'unsubscribe'
      ? Buffer.alloc(0)
      : wire.u8(random.int(3) | (version === 5 ? (random.int(3) << 4) | (random.int(2) << 3) : 0));
  const filters = Array.from({ length: 1 + random.int(3) }, () =>
    Buffer.concat([wire.str(filterOf(random)), options()]),
  );
  return {
    type,
    version,
    first: (wire.typeCode(type) << 4) | 2,
    before: packetId(random),
    properties: propertiesOf(type, version, random),
    after: Buffer.concat(filters),
    packetIdAt: 0,
    text: { in: 'after', at: 2 },
  };
}

/** What only a server sends: right in itself, wrong from a client. */
function serverParts(type: 'connack' | 'suback' | 'unsuback', version: Version, random: Random): Parts {
  const connack = type === 'connack';
  return {
    type,
    version,
    first: wire.typeCode(type) << 4,
    before: connack ? Buffer.of(0, 0) : packetId(random),
    properties: propertiesOf(type, version, random),
    after: connack || (type === 'unsuback' && version < 5) ? Buffer.alloc(0) : Buffer.of(0),
    ...(connack ? { reasonAt: 1 } : { packetIdAt: 0 }),
  };
}

function reasonParts(type: 'disconnect' | 'auth', version: Version, random: Random): Parts {
  const first = wire.typeCode(type) << 4;
  const empty = Buffer.alloc(0);
  if (version !== 5) return { type, version, first, before: empty, properties: undefined, after: empty };
  const code = type === 'auth' ? random.pick([0x18, 0x19]) : random.pick([0, 4]);
  const properties = propertiesOf(type, version, random);
  return { type, version, first, before: wire.u8(code), properties, after: empty, reasonAt: 0 };
}

/** One packet of this type, well-formed as far as the version has it. */
export function partsOf(type: TypeName, version: Version, random: Random): Parts {
  switch (type) {
    case 'connect':
      return connectParts(version, random);
    case 'publish':
      return publishParts(version, random);
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return ackParts(type, version, random);
    case 'subscribe':
    case 'unsubscribe':
      return filtersParts(type, version, random);
    case 'connack':
    case 'suback':
    case 'unsuback':
      return serverParts(type, version, random);
    case 'disconnect':
    case 'auth':
      return reasonParts(type, version, random);
    case 'pingreq':
    case 'pingresp':
    case 'reserved': {
      const empty = Buffer.alloc(0);
      const first = wire.typeCode(type) << 4;
      return { type, version, first, before: empty, properties: undefined, after: empty };
    }
  }
}
