/** Packets as fast-check draws them: every type that a version has in a direction, with every field that it has there. */
import fc from 'fast-check';
import {
  mayCarryReasonCode,
  PROPERTIES,
  type ConnectPacket,
  type Direction,
  type Packet,
  type PacketTypeName,
  type Place,
  type Properties,
  type PropertyDefinition,
  type ProtocolVersion,
  type QoS,
  type SubscriptionRequest,
  type Will,
} from '../../lib/protocol/index.js';

/** Plain objects, as the decoder makes them, so that a strict comparison holds. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true });
}

/** Any string that MQTT can carry. */
export const text: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }).map((value) => value.replaceAll('\0', '0')),
  fc.constantFrom('', 'constructor', '__proto__', 'toString', '\ufeffbom', '\u0001\uffff', 'x'.repeat(200)),
);
const level = fc
  .oneof(text, fc.constantFrom('a', 'b', '$SYS', ''))
  .map((value) => value.replaceAll(/[+#/]/g, '_'));
export const topicName: fc.Arbitrary<string> = fc
  .array(level, { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join('/'))
  .filter((topic) => topic !== '');
const plainFilter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([levels, open]) => [...levels, ...(open ? ['#'] : [])].join('/'))
  .filter((filter) => filter !== '' && !filter.startsWith('$share/'));
const sharedFilter = fc
  .tuple(
    level.filter((group) => group !== ''),
    plainFilter,
  )
  .map(([group, filter]) => `$share/${group}/${filter}`);

const data = fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value));
const payload = fc.oneof(
  data,
  fc.uint8Array({ minLength: 120, maxLength: 300 }).map((value) => Buffer.from(value)),
);
const packetId = fc.oneof(fc.integer({ min: 1, max: 0xffff }), fc.constantFrom(1, 0xffff));
const qos = fc.constantFrom<QoS>(0, 1, 2);

function valueOf(definition: PropertyDefinition, place: Place): fc.Arbitrary<unknown> {
  switch (definition.type) {
    case 'bit':
      return fc.constantFrom(0, 1);
    case 'boolean':
      return fc.boolean();
    case 'uint16':
      return fc.integer({ min: definition.minimum ?? 0, max: 0xffff });
    case 'uint32':
      return fc.oneof(
        fc.integer({ min: definition.minimum ?? 0, max: 0xffff_ffff }),
        fc.constant(0xffff_ffff),
      );
    case 'string':
      return text;
    case 'topicName':
      return topicName;
    case 'binary':
      return data;
    case 'variableByteIntegers':
      return fc.array(fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 268_435_455 })), {
        minLength: 1,
        maxLength: place === 'subscribe' ? 1 : 3,
      });
    case 'stringPairs':
      return fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 3 });
  }
}

/** Properties that `place` may carry in `direction`; none before MQTT 5. */
export function properties(
  version: ProtocolVersion,
  place: Place,
  direction: Direction,
): fc.Arbitrary<Properties> {
  if (version < 5) return fc.constant({});
  const legal = PROPERTIES.filter(
    ({ carriers }) => carriers.includes(place) || carriers.includes(`${place} ${direction}`),
  );
  const model = Object.fromEntries(legal.map((definition) => [definition.key, valueOf(definition, place)]));
  return fc
    .oneof(fc.record(model, { requiredKeys: [], noNullPrototype: true }), fc.constant({}))
    .map((drawn: Properties): Properties => {
      if (drawn.authenticationData === undefined || drawn.authenticationMethod !== undefined) return drawn;
      return { ...drawn, authenticationMethod: 'm' };
    });
}

function reasonCode(packet: PacketTypeName, direction: Direction): fc.Arbitrary<number> {
  const legal = Array.from({ length: 256 }, (_, code) => code).filter((code) =>
    mayCarryReasonCode(packet, code, direction),
  );
  return fc.constantFrom(...legal);
}

/** A CONNECT of `version`, which only goes to a server. */
export function connect(version: ProtocolVersion): fc.Arbitrary<ConnectPacket> {
  const will: fc.Arbitrary<Will> = record({
    topic: topicName,
    payload: data,
    qos,
    retain: fc.boolean(),
    properties: properties(version, 'will', 'toServer'),
  });
  return fc
    .record(
      {
        type: fc.constant('connect' as const),
        version: fc.constant(version),
        bridge: version === 5 ? fc.constant(false) : fc.boolean(),
        cleanStart: fc.boolean(),
        keepAlive: fc.integer({ min: 0, max: 0xffff }),
        clientId: text,
        username: text,
        password: data,
        will,
        properties: properties(version, 'connect', 'toServer'),
      },
      {
        requiredKeys: ['type', 'version', 'bridge', 'cleanStart', 'keepAlive', 'clientId', 'properties'],
        noNullPrototype: true,
      },
    )
    .map((packet) => {
      if (version === 5 || packet.password === undefined || packet.username !== undefined) return packet;
      return { ...packet, username: 'u' };
    });
}

function publish(version: ProtocolVersion, direction: Direction): fc.Arbitrary<Packet> {
  return record({
    topic: topicName,
    nameless: fc.boolean(),
    payload,
    qos,
    retain: fc.boolean(),
    dup: fc.boolean(),
    packetId,
    properties: properties(version, 'publish', direction),
  }).map(({ packetId: id, nameless, ...packet }) => ({
    ...packet,
    type: 'publish' as const,
    topic: nameless && packet.properties.topicAlias !== undefined ? '' : packet.topic,
    dup: packet.dup && packet.qos > 0,
    ...(packet.qos > 0 ? { packetId: id } : {}),
  }));
}

function acknowledgement(
  type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp',
  version: ProtocolVersion,
  direction: Direction,
): fc.Arbitrary<Packet> {
  return record({
    type: fc.constant(type),
    packetId,
    reasonCode: version === 5 ? reasonCode(type, direction) : fc.constant(0),
    properties: properties(version, type, direction),
  });
}

function subscription(version: ProtocolVersion): fc.Arbitrary<SubscriptionRequest> {
  const none = fc.constant(false);
  return record({
    filter: fc.oneof(plainFilter, sharedFilter),
    qos,
    noLocal: version === 5 ? fc.boolean() : none,
    retainAsPublished: version === 5 ? fc.boolean() : none,
    retainHandling: version === 5 ? qos : fc.constant<QoS>(0),
  }).map((request) => (request.filter.startsWith('$share/') ? { ...request, noLocal: false } : request));
}

function toServer(version: ProtocolVersion): fc.Arbitrary<Packet>[] {
  return [
    connect(version),
    record({
      type: fc.constant('subscribe' as const),
      packetId,
      subscriptions: fc.array(subscription(version), { minLength: 1, maxLength: 4 }),
      properties: properties(version, 'subscribe', 'toServer'),
    }),
    record({
      type: fc.constant('unsubscribe' as const),
      packetId,
      filters: fc.array(fc.oneof(plainFilter, sharedFilter), { minLength: 1, maxLength: 4 }),
      properties: properties(version, 'unsubscribe', 'toServer'),
    }),
    fc.constant({ type: 'pingreq' as const }),
  ];
}

function toClient(version: ProtocolVersion): fc.Arbitrary<Packet>[] {
  const granted = fc.constantFrom(0, 1, 2, 0x80);
  return [
    record({
      type: fc.constant('connack' as const),
      sessionPresent: version === 3 ? fc.constant(false) : fc.boolean(),
      reasonCode: version === 5 ? reasonCode('connack', 'toClient') : fc.integer({ min: 0, max: 5 }),
      properties: properties(version, 'connack', 'toClient'),
    }).map((packet) => ({ ...packet, sessionPresent: packet.sessionPresent && packet.reasonCode === 0 })),
    record({
      type: fc.constant('suback' as const),
      packetId,
      reasonCodes: fc.array(version === 5 ? reasonCode('suback', 'toClient') : granted, {
        minLength: 1,
        maxLength: 4,
      }),
      properties: properties(version, 'suback', 'toClient'),
    }),
    record({
      type: fc.constant('unsuback' as const),
      packetId,
      reasonCodes:
        version === 5
          ? fc.array(reasonCode('unsuback', 'toClient'), { minLength: 1, maxLength: 4 })
          : fc.constant<number[]>([]),
      properties: properties(version, 'unsuback', 'toClient'),
    }),
    fc.constant({ type: 'pingresp' as const }),
  ];
}

function disconnect(version: ProtocolVersion, direction: Direction): fc.Arbitrary<Packet> {
  return record({
    type: fc.constant('disconnect' as const),
    reasonCode: version === 5 ? reasonCode('disconnect', direction) : fc.constant(0),
    properties: properties(version, 'disconnect', direction),
  });
}

function auth(direction: Direction): fc.Arbitrary<Packet> {
  return record({
    type: fc.constant('auth' as const),
    reasonCode: reasonCode('auth', direction),
    properties: properties(5, 'auth', direction),
  }).map((packet) => {
    const short = packet.reasonCode === 0 && Object.keys(packet.properties).length === 0;
    return short ? packet : { ...packet, properties: { authenticationMethod: 'm', ...packet.properties } };
  });
}

/** Every packet that `version` knows in `direction`. */
export function packet(version: ProtocolVersion, direction: Direction): fc.Arbitrary<Packet> {
  const oneWay = direction === 'toServer' ? toServer(version) : toClient(version);
  if (version === 5 || direction === 'toServer') oneWay.push(disconnect(version, direction));
  if (version === 5) oneWay.push(auth(direction));
  return fc.oneof(
    ...oneWay,
    publish(version, direction),
    acknowledgement('puback', version, direction),
    acknowledgement('pubrec', version, direction),
    acknowledgement('pubrel', version, direction),
    acknowledgement('pubcomp', version, direction),
  );
}
