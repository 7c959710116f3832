import t from 'tap';
import {
  decodeProperties,
  encodeProperties,
  PacketType,
  PROPERTIES,
  type Direction,
  type PacketTypeName,
  type Place,
  type Properties,
} from '../../../lib/protocol/index.js';
import { bytes, refusalOf, str, u16, u32, variable } from '../../support/protocol-bytes.js';

const PLACES: readonly Place[] = ['will', ...(Object.keys(PacketType) as PacketTypeName[])];
const DIRECTIONS: readonly Direction[] = ['toServer', 'toClient'];

interface Example {
  key: keyof Properties;
  /** Identifier and value. */
  wire: Buffer;
  properties: Properties;
  /** Table 2-4, a second time: "Packet / Will Properties". Directions in parentheses. */
  places: string;
}
const ALL =
  'will connect connack publish puback pubrec pubrel pubcomp subscribe suback unsubscribe unsuback disconnect auth';
const ANSWERS = 'connack puback pubrec pubrel pubcomp suback unsuback disconnect auth';
const DATA = Buffer.of(0, 255, 1);
const EXAMPLES: readonly Example[] = [
  example('payloadFormatIndicator', bytes(1, 1), { payloadFormatIndicator: 1 }, 'publish will'),
  example(
    'messageExpiryInterval',
    bytes(2, u32(0xffff_ffff)),
    { messageExpiryInterval: 0xffff_ffff },
    'publish will',
  ),
  example('contentType', bytes(3, str('text/plain')), { contentType: 'text/plain' }, 'publish will'),
  example('responseTopic', bytes(8, str('re/é')), { responseTopic: 're/é' }, 'publish will'),
  example('correlationData', bytes(9, str(DATA)), { correlationData: DATA }, 'publish will'),
  example(
    'subscriptionIdentifiers',
    bytes(11, variable(268_435_455)),
    { subscriptionIdentifiers: [268_435_455] },
    'publish(toClient) subscribe',
  ),
  example(
    'sessionExpiryInterval',
    bytes(17, u32(7)),
    { sessionExpiryInterval: 7 },
    'connect connack disconnect(toServer)',
  ),
  example('assignedClientIdentifier', bytes(18, str('c')), { assignedClientIdentifier: 'c' }, 'connack'),
  example('serverKeepAlive', bytes(19, u16(65_535)), { serverKeepAlive: 65_535 }, 'connack'),
  example(
    'authenticationMethod',
    bytes(21, str('SCRAM')),
    { authenticationMethod: 'SCRAM' },
    'connect connack auth',
  ),
  example(
    'authenticationData',
    bytes(22, str(DATA), 21, str('m')),
    { authenticationData: DATA, authenticationMethod: 'm' },
    'connect connack auth',
  ),
  example('requestProblemInformation', bytes(23, 0), { requestProblemInformation: false }, 'connect'),
  example('willDelayInterval', bytes(24, u32(0)), { willDelayInterval: 0 }, 'will'),
  example('requestResponseInformation', bytes(25, 1), { requestResponseInformation: true }, 'connect'),
  example('responseInformation', bytes(26, str('r')), { responseInformation: 'r' }, 'connack'),
  example(
    'serverReference',
    bytes(28, str('h:1')),
    { serverReference: 'h:1' },
    'connack disconnect(toClient)',
  ),
  example('reasonString', bytes(31, str('because')), { reasonString: 'because' }, ANSWERS),
  example('receiveMaximum', bytes(33, u16(1)), { receiveMaximum: 1 }, 'connect connack'),
  example('topicAliasMaximum', bytes(34, u16(0)), { topicAliasMaximum: 0 }, 'connect connack'),
  example('topicAlias', bytes(35, u16(1)), { topicAlias: 1 }, 'publish'),
  example('maximumQoS', bytes(36, 0), { maximumQoS: 0 }, 'connack'),
  example('retainAvailable', bytes(37, 0), { retainAvailable: false }, 'connack'),
  example('userProperties', bytes(38, str('n'), str('')), { userProperties: [['n', '']] }, ALL),
  example('maximumPacketSize', bytes(39, u32(1)), { maximumPacketSize: 1 }, 'connect connack'),
  example('wildcardSubscriptionAvailable', bytes(40, 1), { wildcardSubscriptionAvailable: true }, 'connack'),
  example(
    'subscriptionIdentifierAvailable',
    bytes(41, 1),
    { subscriptionIdentifierAvailable: true },
    'connack',
  ),
  example('sharedSubscriptionAvailable', bytes(42, 0), { sharedSubscriptionAvailable: false }, 'connack'),
];

function example(key: keyof Properties, wire: Buffer, properties: Properties, places: string): Example {
  return { key, wire, properties, places };
}

function decode(wire: Uint8Array, place: Place, direction: Direction): Properties {
  return decodeProperties(wire, 0, wire.length, place, direction);
}

t.test('the examples below cover the whole table', async (t) => {
  t.same(
    PROPERTIES.map(({ key, id }) => [key, id]),
    EXAMPLES.map(({ key, wire }) => [key, wire[0]]),
  );
});

for (const { key, wire, properties, places } of EXAMPLES) {
  const allowed = new Map(
    places.split(' ').map((place) => {
      const [, name, direction] = /^(\w+)(?:\((\w+)\))?$/.exec(place) ?? [];
      return [name, direction];
    }),
  );
  t.test(`${key} stands in ${places} and nowhere else [MQTT 5, table 2-4]`, async (t) => {
    for (const place of PLACES) {
      for (const direction of DIRECTIONS) {
        const only = allowed.get(place);
        if (allowed.has(place) && (only === undefined || only === direction)) {
          t.same(decode(wire, place, direction), properties, `${place} ${direction}`);
          continue;
        }
        // Not the packet's: malformed by section 2.2.2.2. The packet's, but not this way: a protocol error.
        const expected = allowed.has(place) ? 0x82 : 0x81;
        t.equal(
          refusalOf(() => decode(wire, place, direction)),
          expected,
          `${place} ${direction}`,
        );
      }
      if (allowed.has(place)) {
        const encoded = encodeProperties(properties, place);
        t.same(
          decode(encoded, place, allowed.get(place) === 'toClient' ? 'toClient' : 'toServer'),
          properties,
        );
      } else {
        t.throws(() => encodeProperties(properties, place), TypeError, `${place} is not encoded`);
      }
    }
  });

  t.test(`${key} that is cut off is malformed at every length`, async (t) => {
    const place = [...allowed.keys()][0] as Place;
    const direction = allowed.get(place) === 'toClient' ? 'toClient' : 'toServer';
    const whole = key === 'authenticationData' ? wire.subarray(0, wire.length - 4) : wire;
    for (let end = 1; end < whole.length; end++) {
      t.equal(
        refusalOf(() => decode(whole.subarray(0, end), place, direction)),
        0x81,
        `${end} bytes`,
      );
    }
  });

  t.test(
    `${key} may ${['userProperties', 'subscriptionIdentifiers'].includes(key) ? '' : 'not '}repeat`,
    async (t) => {
      const place = [...allowed.keys()][0] as Place;
      const direction = allowed.get(place) === 'toClient' ? 'toClient' : 'toServer';
      const twice = bytes(wire, wire);
      if (key === 'userProperties') {
        t.same(decode(twice, place, direction), {
          userProperties: [
            ['n', ''],
            ['n', ''],
          ],
        });
      } else if (key === 'subscriptionIdentifiers') {
        t.same(decode(twice, 'publish', 'toClient'), { subscriptionIdentifiers: [268_435_455, 268_435_455] });
        t.equal(
          refusalOf(() => decode(twice, 'subscribe', 'toServer')),
          0x82,
          'one per SUBSCRIBE [3.8.2.1.2]',
        );
      } else {
        t.equal(
          refusalOf(() => decode(twice, place, direction)),
          0x82,
        );
      }
    },
  );
}

const OUT_OF_RANGE: readonly [
  title: string,
  wire: Buffer,
  place: Place,
  direction: Direction,
  code: number,
][] = [
  ['Payload Format Indicator 2', bytes(1, 2), 'publish', 'toServer', 0x82],
  ['Response Topic with a wildcard [MQTT-3.3.2-14]', bytes(8, str('a/+')), 'publish', 'toServer', 0x82],
  ['Response Topic with a wildcard in a will [MQTT-3.3.2-14]', bytes(8, str('#')), 'will', 'toServer', 0x82],
  ['an empty Response Topic [MQTT-4.7.3-1]', bytes(8, str('')), 'publish', 'toServer', 0x82],
  ['Subscription Identifier 0', bytes(11, 0), 'subscribe', 'toServer', 0x82],
  [
    'Subscription Identifier in five bytes',
    bytes(11, 0x80, 0x80, 0x80, 0x80, 1),
    'subscribe',
    'toServer',
    0x81,
  ],
  ['Subscription Identifier with a byte too many', bytes(11, 0x81, 0), 'subscribe', 'toServer', 0x81],
  ['Request Problem Information 2', bytes(23, 2), 'connect', 'toServer', 0x82],
  ['Request Response Information 255', bytes(25, 255), 'connect', 'toServer', 0x82],
  ['Receive Maximum 0', bytes(33, u16(0)), 'connect', 'toServer', 0x82],
  ['Topic Alias 0 [MQTT-3.3.2-8]', bytes(35, u16(0)), 'publish', 'toServer', 0x94],
  ['Maximum QoS 2', bytes(36, 2), 'connack', 'toClient', 0x82],
  ['Retain Available 2', bytes(37, 2), 'connack', 'toClient', 0x82],
  ['Maximum Packet Size 0', bytes(39, u32(0)), 'connect', 'toServer', 0x82],
  ['Authentication Data without a method', bytes(22, str('x')), 'connect', 'toServer', 0x82],
  ['invalid UTF-8 in a Content Type [MQTT-1.5.4-1]', bytes(3, u16(1), 0xff), 'publish', 'toServer', 0x81],
  [
    'U+0000 in the name of a user property [MQTT-1.5.7-1]',
    bytes(38, str('\0'), str('')),
    'auth',
    'toServer',
    0x81,
  ],
  [
    'U+0000 in the value of a user property [MQTT-1.5.7-1]',
    bytes(38, str(''), str('\0')),
    'auth',
    'toServer',
    0x81,
  ],
  ['an unknown identifier', bytes(4, 0), 'publish', 'toServer', 0x81],
  ['identifier 0', bytes(0), 'publish', 'toServer', 0x81],
  ['an identifier of two bytes', bytes(0x80, 1, 0), 'publish', 'toServer', 0x81],
  ['an identifier with a byte too many', bytes(0x81, 0, 1), 'publish', 'toServer', 0x81],
];
for (const [title, wire, place, direction, code] of OUT_OF_RANGE) {
  t.test(`${title} is refused with 0x${code.toString(16)}`, async (t) => {
    t.equal(
      refusalOf(() => decode(wire, place, direction)),
      code,
    );
  });
}

t.test('user properties keep their order and names of Object.prototype [MQTT-3.1.3-10]', async (t) => {
  const userProperties: [string, string][] = [
    ['__proto__', 'x'],
    ['b', '2'],
    ['a', '1'],
    ['b', ''],
    ['', ''],
  ];
  t.same(decode(encodeProperties({ userProperties }, 'publish'), 'publish', 'toServer'), { userProperties });
});

t.test('properties that are undefined, and lists that are empty, take no bytes', async (t) => {
  t.equal(encodeProperties({ userProperties: [], subscriptionIdentifiers: [] }, 'publish').length, 0);
  t.same(decode(Buffer.alloc(0), 'publish', 'toServer'), {});
});

t.test('binary properties are views of the bytes', async (t) => {
  const wire = bytes(9, str('abc'));
  const { correlationData } = decode(wire, 'publish', 'toServer');
  wire[3] = 0x7a;
  t.equal(Buffer.from(correlationData ?? []).toString(), 'zbc');
});

const NOT_ENCODABLE: readonly [title: string, properties: unknown, place: Place, error: ErrorConstructor][] =
  [
    ['a bit of 2', { payloadFormatIndicator: 2 }, 'publish', RangeError],
    ['a boolean that is none', { retainAvailable: 1 }, 'connack', TypeError],
    ['receive maximum 0', { receiveMaximum: 0 }, 'connect', RangeError],
    ['topic alias 0', { topicAlias: 0 }, 'publish', RangeError],
    ['a number too large', { messageExpiryInterval: 2 ** 32 }, 'publish', RangeError],
    ['a number that is none', { messageExpiryInterval: '1' }, 'publish', RangeError],
    ['a fraction', { serverKeepAlive: 1.5 }, 'connack', RangeError],
    ['a string that is none', { contentType: 1 }, 'publish', TypeError],
    ['a string with U+0000', { contentType: 'a\0' }, 'publish', TypeError],
    ['half a surrogate pair', { contentType: '\ud83d' }, 'publish', TypeError],
    ['a string of 65536 bytes', { reasonString: 'x'.repeat(65_536) }, 'puback', RangeError],
    ['a response topic with a wildcard', { responseTopic: 'a/#' }, 'publish', TypeError],
    ['a response topic that is no string', { responseTopic: 1 }, 'publish', TypeError],
    ['binary data that is none', { correlationData: 'abc' }, 'publish', TypeError],
    ['65536 bytes of binary data', { correlationData: new Uint8Array(65_536) }, 'publish', RangeError],
    ['subscription identifier 0', { subscriptionIdentifiers: [0] }, 'publish', RangeError],
    [
      'subscription identifiers beyond four bytes',
      { subscriptionIdentifiers: [2 ** 28] },
      'publish',
      RangeError,
    ],
    ['a list that is none', { subscriptionIdentifiers: 1 }, 'publish', TypeError],
    [
      'two subscription identifiers in SUBSCRIBE',
      { subscriptionIdentifiers: [1, 2] },
      'subscribe',
      RangeError,
    ],
    ['a user property that is no pair', { userProperties: [['a']] }, 'publish', TypeError],
    ['user properties of an object', { userProperties: [{ a: 'b' }] }, 'publish', TypeError],
    ['authentication data without a method', { authenticationData: DATA }, 'connect', TypeError],
  ];
for (const [title, properties, place, error] of NOT_ENCODABLE) {
  t.test(`${title} is not encoded`, async (t) => {
    t.throws(() => encodeProperties(properties as Properties, place), error);
  });
}
