import t from 'tap';
import { decodePacket, type Direction, type ProtocolVersion } from '../../../lib/protocol/index.js';
import { bytes, frame, props, refusalOf, str, u16, u32 } from '../../support/protocol-bytes.js';

type Versions = readonly ProtocolVersion[];
const ALL: Versions = [3, 4, 5];
const OLD: Versions = [3, 4];
const ID = u16(7);

interface Row {
  title: string;
  wire: Uint8Array;
  versions: Versions;
  direction: Direction;
}
function rows(
  direction: Direction,
  list: readonly [string, Uint8Array, Versions, unknown][],
): [Row, unknown][] {
  return list.map(([title, wire, versions, expected]) => [{ title, wire, versions, direction }, expected]);
}

const EMPTY = Buffer.alloc(0);
const ACCEPTED = [
  ...rows('toServer', [
    [
      'PUBLISH of QoS 0 with an empty payload',
      frame(0x31, str('a')),
      OLD,
      { type: 'publish', topic: 'a', payload: EMPTY, qos: 0, retain: true, dup: false, properties: {} },
    ],
    [
      'PUBLISH of QoS 2 with DUP',
      frame(0x3c, str('a/b'), ID, 1, 2),
      OLD,
      {
        type: 'publish',
        topic: 'a/b',
        payload: Buffer.of(1, 2),
        qos: 2,
        retain: false,
        dup: true,
        properties: {},
        packetId: 7,
      },
    ],
    [
      'PUBLISH with properties',
      frame(0x32, str('a'), ID, props(1, 1, 35, u16(3)), 9),
      [5],
      {
        type: 'publish',
        topic: 'a',
        payload: Buffer.of(9),
        qos: 1,
        retain: false,
        dup: false,
        properties: { payloadFormatIndicator: 1, topicAlias: 3 },
        packetId: 7,
      },
    ],
    [
      'PUBLISH with an alias in place of a topic name',
      frame(0x30, str(''), props(35, u16(3)), 9),
      [5],
      {
        type: 'publish',
        topic: '',
        payload: Buffer.of(9),
        qos: 0,
        retain: false,
        dup: false,
        properties: { topicAlias: 3 },
      },
    ],
    ['PUBACK', frame(0x40, ID), ALL, { type: 'puback', packetId: 7, reasonCode: 0, properties: {} }],
    ['PUBREL', frame(0x62, ID), ALL, { type: 'pubrel', packetId: 7, reasonCode: 0, properties: {} }],
    [
      'PUBREL with the DUP of MQTT 3.1',
      frame(0x6a, ID),
      [3],
      { type: 'pubrel', packetId: 7, reasonCode: 0, properties: {} },
    ],
    [
      'PUBREC with a reason code and no property length',
      frame(0x50, ID, 0x97),
      [5],
      { type: 'pubrec', packetId: 7, reasonCode: 0x97, properties: {} },
    ],
    [
      'PUBCOMP with everything',
      frame(0x70, ID, 0x92, props(31, str('gone'))),
      [5],
      { type: 'pubcomp', packetId: 7, reasonCode: 0x92, properties: { reasonString: 'gone' } },
    ],
    [
      'SUBSCRIBE of two filters',
      frame(0x82, ID, str('a/#'), 0, str('$share/g/+'), 2),
      OLD,
      {
        type: 'subscribe',
        packetId: 7,
        subscriptions: [subscription('a/#', 0), subscription('$share/g/+', 2)],
        properties: {},
      },
    ],
    [
      'SUBSCRIBE with the DUP and the unused option bits of MQTT 3.1',
      frame(0x8a, ID, str('a'), 0xfd),
      [3],
      { type: 'subscribe', packetId: 7, subscriptions: [subscription('a', 1)], properties: {} },
    ],
    [
      'SUBSCRIBE with all options',
      frame(0x82, ID, props(11, 5), str('a'), 0x2d),
      [5],
      {
        type: 'subscribe',
        packetId: 7,
        subscriptions: [{ filter: 'a', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 }],
        properties: { subscriptionIdentifiers: [5] },
      },
    ],
    [
      'UNSUBSCRIBE',
      frame(0xa2, ID, str('a'), str('+/constructor')),
      OLD,
      { type: 'unsubscribe', packetId: 7, filters: ['a', '+/constructor'], properties: {} },
    ],
    [
      'UNSUBSCRIBE with the DUP of MQTT 3.1',
      frame(0xaa, ID, str('a')),
      [3],
      { type: 'unsubscribe', packetId: 7, filters: ['a'], properties: {} },
    ],
    [
      'UNSUBSCRIBE with properties',
      frame(0xa2, ID, props(38, str('k'), str('v')), str('__proto__')),
      [5],
      {
        type: 'unsubscribe',
        packetId: 7,
        filters: ['__proto__'],
        properties: { userProperties: [['k', 'v']] },
      },
    ],
    ['PINGREQ', frame(0xc0), ALL, { type: 'pingreq' }],
    ['DISCONNECT', frame(0xe0), ALL, { type: 'disconnect', reasonCode: 0, properties: {} }],
    [
      'DISCONNECT with a reason code and no property length',
      frame(0xe0, 4),
      [5],
      { type: 'disconnect', reasonCode: 4, properties: {} },
    ],
    [
      'DISCONNECT with a session expiry',
      frame(0xe0, 0, props(17, u32(5))),
      [5],
      { type: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 5 } },
    ],
    [
      'AUTH',
      frame(0xf0, 0x19, props(21, str('m'), 22, str('d'))),
      [5],
      {
        type: 'auth',
        reasonCode: 0x19,
        properties: { authenticationMethod: 'm', authenticationData: Buffer.from('d') },
      },
    ],
  ]),
  ...rows('toClient', [
    [
      'CONNACK',
      frame(0x20, 1, 0),
      [4],
      { type: 'connack', sessionPresent: true, reasonCode: 0, properties: {} },
    ],
    [
      'CONNACK of MQTT 3.1, whose first byte has no meaning',
      frame(0x20, 0xff, 5),
      [3],
      { type: 'connack', sessionPresent: false, reasonCode: 5, properties: {} },
    ],
    [
      'CONNACK with properties',
      frame(0x20, 1, 0, props(18, str('x'))),
      [5],
      { type: 'connack', sessionPresent: true, reasonCode: 0, properties: { assignedClientIdentifier: 'x' } },
    ],
    [
      'PUBLISH with several subscription identifiers',
      frame(0x30, str('a'), props(11, 1, 11, 2)),
      [5],
      {
        type: 'publish',
        topic: 'a',
        payload: EMPTY,
        qos: 0,
        retain: false,
        dup: false,
        properties: { subscriptionIdentifiers: [1, 2] },
      },
    ],
    [
      'SUBACK',
      frame(0x90, ID, 0, 1, 2, 0x80),
      OLD,
      { type: 'suback', packetId: 7, reasonCodes: [0, 1, 2, 0x80], properties: {} },
    ],
    [
      'SUBACK with properties',
      frame(0x90, ID, props(31, str('no')), 0x87),
      [5],
      { type: 'suback', packetId: 7, reasonCodes: [0x87], properties: { reasonString: 'no' } },
    ],
    ['UNSUBACK', frame(0xb0, ID), OLD, { type: 'unsuback', packetId: 7, reasonCodes: [], properties: {} }],
    [
      'UNSUBACK with reason codes',
      frame(0xb0, ID, props(), 0, 0x11),
      [5],
      { type: 'unsuback', packetId: 7, reasonCodes: [0, 0x11], properties: {} },
    ],
    ['PINGRESP', frame(0xd0), ALL, { type: 'pingresp' }],
    [
      'DISCONNECT by the server',
      frame(0xe0, 0x9d, props(28, str('h'))),
      [5],
      { type: 'disconnect', reasonCode: 0x9d, properties: { serverReference: 'h' } },
    ],
    ['AUTH in its short form', frame(0xf0), [5], { type: 'auth', reasonCode: 0, properties: {} }],
  ]),
];

function subscription(filter: string, qos: number): object {
  return { filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 };
}

for (const [{ title, wire, versions, direction }, expected] of ACCEPTED) {
  t.test(`${title} is understood`, async (t) => {
    for (const version of versions)
      t.strictSame(decodePacket(wire, version, direction), expected, `MQTT ${version}`);
  });
}

const TOO_LONG = 'behind the last field';
const REFUSED = [
  ...rows('toServer', [
    ['no bytes at all', bytes(), ALL, 0x81],
    ['a first byte alone', bytes(0xc0), ALL, 0x81],
    ['a remaining length that is cut off', bytes(0x30, 0x80), ALL, 0x81],
    ['a remaining length that is not minimal [MQTT-1.5.5-1]', bytes(0xc0, 0x80, 0x00), ALL, 0x81],
    ['a remaining length of five bytes', bytes(0x30, 0x80, 0x80, 0x80, 0x80, 0x01), ALL, 0x81],
    ['a remaining length beyond the frame', bytes(0x40, 4, 0, 7), ALL, 0x81],
    ['bytes of the next packet in the frame', bytes(0x40, 2, 0, 7, 0xc0, 0), ALL, 0x81],
    ['packet type 0', frame(0x00), ALL, 0x81],
    ['AUTH before MQTT 5', frame(0xf0), OLD, 0x82],
    ['CONNACK to the server', frame(0x20, 0, 0), ALL, 0x82],
    ['SUBACK to the server', frame(0x90, ID, 0), ALL, 0x82],
    ['UNSUBACK to the server', frame(0xb0, ID), ALL, 0x82],
    ['PINGRESP to the server', frame(0xd0), ALL, 0x82],
    ['PUBACK with flags [MQTT-2.1.3-1]', frame(0x42, ID), ALL, 0x81],
    ['PUBREC with flags [MQTT-2.1.3-1]', frame(0x51, ID), ALL, 0x81],
    ['PUBREL without its flags [MQTT-3.6.1-1]', frame(0x60, ID), ALL, 0x81],
    ['PUBREL with DUP [MQTT-3.6.1-1]', frame(0x6a, ID), [4, 5], 0x81],
    ['PUBCOMP with flags [MQTT-2.1.3-1]', frame(0x78, ID), ALL, 0x81],
    ['SUBSCRIBE without its flags [MQTT-3.8.1-1]', frame(0x80, ID, str('a'), 0), ALL, 0x81],
    ['SUBSCRIBE with DUP [MQTT-3.8.1-1]', frame(0x8a, ID, str('a'), 0), [4, 5], 0x81],
    ['UNSUBSCRIBE without its flags [MQTT-3.10.1-1]', frame(0xa0, ID, str('a')), ALL, 0x81],
    ['UNSUBSCRIBE with DUP [MQTT-3.10.1-1]', frame(0xaa, ID, str('a')), [4, 5], 0x81],
    ['PINGREQ with flags [MQTT-2.1.3-1]', frame(0xc1), ALL, 0x81],
    ['DISCONNECT with flags [MQTT-3.14.1-1]', frame(0xe8), ALL, 0x81],
    ['AUTH with flags [MQTT-3.15.1-1]', frame(0xf1, 0x18, props(21, str('m'))), [5], 0x81],

    ['PUBLISH of QoS 3 [MQTT-3.3.1-4]', frame(0x36, str('a'), ID), ALL, 0x81],
    ['PUBLISH of QoS 0 with DUP [MQTT-3.3.1-2]', frame(0x38, str('a')), ALL, 0x81],
    ['PUBLISH without a topic name [MQTT-3.3.2-1]', frame(0x30), ALL, 0x81],
    ['PUBLISH whose topic name is cut off', frame(0x30, u16(5), 0x61), ALL, 0x81],
    ['PUBLISH with + in its topic name [MQTT-3.3.2-2]', frame(0x30, str('a/+')), OLD, 0x90],
    ['PUBLISH with # in its topic name [MQTT-3.3.2-2]', frame(0x30, str('a#'), props()), [5], 0x90],
    ['PUBLISH with an empty topic name [MQTT-4.7.3-1]', frame(0x30, str('')), OLD, 0x82],
    ['PUBLISH with neither topic name nor alias', frame(0x30, str(''), props()), [5], 0x82],
    ['PUBLISH with U+0000 in its topic name [MQTT-1.5.4-2]', frame(0x30, str('a\0')), OLD, 0x81],
    [
      'PUBLISH with invalid UTF-8 in its topic name [MQTT-1.5.4-1]',
      frame(0x30, u16(2), 0x61, 0xff),
      OLD,
      0x81,
    ],
    [
      'PUBLISH with a surrogate in its topic name [MQTT-1.5.4-1]',
      frame(0x30, u16(3), 0xed, 0xa0, 0x80),
      OLD,
      0x81,
    ],
    ['PUBLISH with packet identifier 0 [MQTT-2.2.1-3]', frame(0x32, str('a'), u16(0), 0), ALL, 0x82],
    ['PUBLISH without a packet identifier', frame(0x32, str('a')), ALL, 0x81],
    ['PUBLISH with half a packet identifier', frame(0x34, str('a'), 0), ALL, 0x81],
    ['PUBLISH without a property length [MQTT-2.2.2-1]', frame(0x30, str('a')), [5], 0x81],
    ['PUBLISH with a property length beyond the packet', frame(0x30, str('a'), 9, 1, 1), [5], 0x81],
    ['PUBLISH with a truncated user property', frame(0x30, str('a'), props(38, str('k'))), [5], 0x81],
    ['PUBLISH with a repeated topic alias', frame(0x30, str('a'), props(35, u16(1), 35, u16(2))), [5], 0x82],
    ['PUBLISH with topic alias 0 [MQTT-3.3.2-8]', frame(0x30, str('a'), props(35, u16(0))), [5], 0x94],
    [
      'PUBLISH to the server with a subscription identifier [MQTT-3.3.4-6]',
      frame(0x30, str('a'), props(11, 1)),
      [5],
      0x82,
    ],
    [
      'PUBLISH with a wildcard in its response topic [MQTT-3.3.2-14]',
      frame(0x30, str('a'), props(8, str('+'))),
      [5],
      0x82,
    ],
    ['PUBLISH with a property of CONNECT', frame(0x30, str('a'), props(33, u16(1))), [5], 0x81],

    ['PUBACK with packet identifier 0 [MQTT-2.2.1-3]', frame(0x40, u16(0)), ALL, 0x82],
    ['PUBACK without a packet identifier', frame(0x40), ALL, 0x81],
    ['PUBACK with half a packet identifier', frame(0x40, 0), ALL, 0x81],
    [`PUBACK with a byte ${TOO_LONG}`, frame(0x40, ID, 0), OLD, 0x81],
    [`PUBACK with a byte behind its properties`, frame(0x40, ID, 0, props(), 0), [5], 0x81],
    ['PUBACK with the reason code of another packet [MQTT-3.4.2-1]', frame(0x40, ID, 0x92), [5], 0x82],
    ['PUBREC with an unknown reason code [MQTT-3.5.2-1]', frame(0x50, ID, 0x7f), [5], 0x82],
    ['PUBREL with the reason code of another packet [MQTT-3.6.2-1]', frame(0x62, ID, 0x80), [5], 0x82],
    ['PUBCOMP with the reason code of another packet [MQTT-3.7.2-1]', frame(0x70, ID, 0x10), [5], 0x82],
    ['PUBREL with packet identifier 0', frame(0x62, u16(0)), ALL, 0x82],
    ['PUBCOMP with a property length beyond the packet', frame(0x70, ID, 0, 3, 38), [5], 0x81],

    ['SUBSCRIBE with packet identifier 0 [MQTT-2.2.1-3]', frame(0x82, u16(0), str('a'), 0), OLD, 0x82],
    ['SUBSCRIBE without a filter [MQTT-3.8.3-2]', frame(0x82, ID), OLD, 0x82],
    ['SUBSCRIBE with properties and no filter [MQTT-3.8.3-2]', frame(0x82, ID, props()), [5], 0x82],
    ['SUBSCRIBE without options', frame(0x82, ID, str('a')), OLD, 0x81],
    ['SUBSCRIBE of QoS 3', frame(0x82, ID, str('a'), 3), ALL.slice(0, 2), 0x82],
    ['SUBSCRIBE of QoS 3 in MQTT 5', frame(0x82, ID, props(), str('a'), 3), [5], 0x82],
    [
      'SUBSCRIBE with option bits that 3.1.1 reserves [MQTT-3-8.3-4]',
      frame(0x82, ID, str('a'), 4),
      [4],
      0x81,
    ],
    [
      'SUBSCRIBE with option bits that 5 reserves [MQTT-3.8.3-5]',
      frame(0x82, ID, props(), str('a'), 0x40),
      [5],
      0x81,
    ],
    ['SUBSCRIBE with Retain Handling 3', frame(0x82, ID, props(), str('a'), 0x30), [5], 0x82],
    [
      'SUBSCRIBE with No Local on a shared subscription [MQTT-3.8.3-4]',
      frame(0x82, ID, props(), str('$share/g/a'), 4),
      [5],
      0x82,
    ],
    ['SUBSCRIBE with an empty filter [MQTT-4.7.3-1]', frame(0x82, ID, str(''), 0), OLD, 0x8f],
    ['SUBSCRIBE to a+ [MQTT-4.7.1-2]', frame(0x82, ID, str('a+'), 0), OLD, 0x8f],
    ['SUBSCRIBE to +a [MQTT-4.7.1-2]', frame(0x82, ID, str('+a'), 0), OLD, 0x8f],
    ['SUBSCRIBE to a# [MQTT-4.7.1-1]', frame(0x82, ID, str('a#'), 0), OLD, 0x8f],
    ['SUBSCRIBE to a/+b [MQTT-4.7.1-2]', frame(0x82, ID, str('a/+b'), 0), OLD, 0x8f],
    ['SUBSCRIBE to #/a [MQTT-4.7.1-1]', frame(0x82, ID, props(), str('#/a'), 0), [5], 0x8f],
    ['SUBSCRIBE to $share// [MQTT-4.8.2-1]', frame(0x82, ID, props(), str('$share//a'), 0), [5], 0x8f],
    ['SUBSCRIBE to $share/g [MQTT-4.8.2-2]', frame(0x82, ID, str('$share/g'), 0), OLD, 0x8f],
    ['SUBSCRIBE with U+0000 in its filter [MQTT-1.5.4-2]', frame(0x82, ID, str('\0'), 0), OLD, 0x81],
    ['SUBSCRIBE with subscription identifier 0', frame(0x82, ID, props(11, 0), str('a'), 0), [5], 0x82],
    [
      'SUBSCRIBE with two subscription identifiers',
      frame(0x82, ID, props(11, 1, 11, 2), str('a'), 0),
      [5],
      0x82,
    ],

    ['UNSUBSCRIBE with packet identifier 0 [MQTT-2.2.1-3]', frame(0xa2, u16(0), str('a')), OLD, 0x82],
    ['UNSUBSCRIBE without a filter [MQTT-3.10.3-2]', frame(0xa2, ID), OLD, 0x82],
    ['UNSUBSCRIBE with properties and no filter [MQTT-3.10.3-2]', frame(0xa2, ID, props()), [5], 0x82],
    ['UNSUBSCRIBE with an invalid filter', frame(0xa2, ID, str('a#')), OLD, 0x8f],
    ['UNSUBSCRIBE with an invalid shared filter', frame(0xa2, ID, props(), str('$share/+/a')), [5], 0x8f],
    ['UNSUBSCRIBE whose filter is cut off', frame(0xa2, ID, u16(2), 0x61), OLD, 0x81],

    [`PINGREQ with a byte ${TOO_LONG}`, frame(0xc0, 0), ALL, 0x81],
    [`DISCONNECT with a byte ${TOO_LONG}`, frame(0xe0, 0), OLD, 0x81],
    ['DISCONNECT with a reason code that only servers send', frame(0xe0, 0x8b), [5], 0x82],
    ['DISCONNECT with an unknown reason code [MQTT-3.14.2-1]', frame(0xe0, 0x01), [5], 0x82],
    ['DISCONNECT by a client with a server reference', frame(0xe0, 0, props(28, str('h'))), [5], 0x82],
    ['DISCONNECT with a byte behind its properties', frame(0xe0, 0, props(), 0), [5], 0x81],
    ['AUTH by a client in its short form, which means success [MQTT-3.15.2-1]', frame(0xf0), [5], 0x82],
    ['AUTH with a reason code and no property length', frame(0xf0, 0x18), [5], 0x81],
    ['AUTH without a method', frame(0xf0, 0x18, props()), [5], 0x82],
    ['AUTH with data and no method', frame(0xf0, 0x18, props(22, str('d'))), [5], 0x82],
    ['AUTH with an unknown reason code [MQTT-3.15.2-1]', frame(0xf0, 0x80, props(21, str('m'))), [5], 0x82],
  ]),
  ...rows('toClient', [
    ['CONNECT to a client', frame(0x10, str('MQTT'), 4, 2, u16(0), str('c')), ALL, 0x82],
    ['SUBSCRIBE to a client', frame(0x82, ID, str('a'), 0), ALL, 0x82],
    ['UNSUBSCRIBE to a client', frame(0xa2, ID, str('a')), ALL, 0x82],
    ['PINGREQ to a client', frame(0xc0), ALL, 0x82],
    ['DISCONNECT by a server before MQTT 5', frame(0xe0), OLD, 0x82],
    [
      'DISCONNECT by a server with a session expiry [MQTT-3.14.2-2]',
      frame(0xe0, 0, props(17, u32(1))),
      [5],
      0x82,
    ],
    ['DISCONNECT by a server with a reason code that only clients send', frame(0xe0, 0x04), [5], 0x82],
    ['CONNACK with reserved flags [MQTT-3.2.2-1]', frame(0x20, 2, 0), [4], 0x81],
    ['CONNACK with reserved flags and properties [MQTT-3.2.2-1]', frame(0x20, 0x80, 0, props()), [5], 0x81],
    ['CONNACK that refuses and has a session [MQTT-3.2.2-6]', frame(0x20, 1, 0x87, props()), [5], 0x82],
    ['CONNACK that refuses and has a session in 3.1.1', frame(0x20, 1, 5), [4], 0x82],
    ['CONNACK with an unknown return code', frame(0x20, 0, 6), OLD, 0x82],
    [
      'CONNACK with the reason code of another packet [MQTT-3.2.2-8]',
      frame(0x20, 0, 0x8e, props()),
      [5],
      0x82,
    ],
    ['CONNACK without a reason code', frame(0x20, 0), ALL, 0x81],
    ['CONNACK without a property length', frame(0x20, 0, 0), [5], 0x81],
    [`CONNACK with a byte ${TOO_LONG}`, frame(0x20, 0, 0, 0), OLD, 0x81],
    ['SUBACK without a reason code', frame(0x90, ID), OLD, 0x82],
    ['SUBACK with a reason code of MQTT 5 [MQTT-3.9.3-2]', frame(0x90, ID, 0x87), OLD, 0x82],
    ['SUBACK with QoS 3', frame(0x90, ID, 3), OLD, 0x82],
    [
      'SUBACK with the reason code of another packet [MQTT-3.9.3-2]',
      frame(0x90, ID, props(), 0x11),
      [5],
      0x82,
    ],
    [`UNSUBACK with a byte ${TOO_LONG}`, frame(0xb0, ID, 0), OLD, 0x81],
    ['UNSUBACK without a reason code', frame(0xb0, ID, props()), [5], 0x82],
    [
      'UNSUBACK with the reason code of another packet [MQTT-3.11.3-2]',
      frame(0xb0, ID, props(), 1),
      [5],
      0x82,
    ],
    [`PINGRESP with a byte ${TOO_LONG}`, frame(0xd0, 0), ALL, 0x81],
    ['AUTH by a server that asks for re-authentication', frame(0xf0, 0x19, props(21, str('m'))), [5], 0x82],
  ]),
];
for (const [{ title, wire, versions, direction }, code] of REFUSED) {
  t.test(`${title} is refused with 0x${Number(code).toString(16)}`, async (t) => {
    for (const version of versions) {
      t.equal(
        refusalOf(() => decodePacket(wire, version, direction)),
        code,
        `MQTT ${version}`,
      );
    }
  });
}

t.test('the payload is a view of the frame', async (t) => {
  const wire = frame(0x30, str('a'), 1, 2, 3);
  const packet = decodePacket(wire, 4, 'toServer');
  wire[wire.length - 1] = 9;
  t.match(packet, { payload: Buffer.of(1, 2, 9) });
});

t.test('a frame that is a plain Uint8Array decodes like a Buffer', async (t) => {
  const wire = new Uint8Array(frame(0x30, str('é'), 1));
  t.match(decodePacket(wire, 4, 'toServer'), { topic: 'é', payload: Uint8Array.of(1) });
});

t.test('messages of errors quote topics cut short and escaped, and never payloads', async (t) => {
  const wire = frame(0x30, str(`\x1b[31m${'x'.repeat(300)}+`), Buffer.from('payload'));
  t.throws(() => decodePacket(wire, 4, 'toServer'), {
    message: /^topic name "\\u001b\[31mx{75}…" holds a wildcard/,
  });
});
