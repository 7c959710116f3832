import t from 'tap';
import {
  encodePacket,
  type ConnackPacket,
  type ConnectPacket,
  type Packet,
  type ProtocolVersion,
  type PublishPacket,
  type SubscribePacket,
  type SubscriptionRequest,
} from '../../../lib/protocol/index.js';
import { bytes, frame, props, str, u16, u32 } from '../../support/protocol-bytes.js';

const ID = u16(7);
const ACK = { packetId: 7, reasonCode: 0, properties: {} } as const;
const CONNECT: ConnectPacket = {
  type: 'connect',
  version: 4,
  bridge: false,
  cleanStart: true,
  keepAlive: 60,
  clientId: 'c',
  properties: {},
};
const CONNACK: ConnackPacket = { type: 'connack', sessionPresent: false, reasonCode: 0, properties: {} };
const PUBLISH: PublishPacket = {
  type: 'publish',
  topic: 'a',
  payload: Buffer.of(9),
  qos: 0,
  retain: false,
  dup: false,
  properties: {},
};
const WILL = { topic: 'w', payload: Buffer.from('bye'), qos: 1, retain: true, properties: {} } as const;
const REQUEST: SubscriptionRequest = {
  filter: 'a',
  qos: 1,
  noLocal: true,
  retainAsPublished: true,
  retainHandling: 2,
};
const REASON = { reasonString: 'x' };

function subscribe(...subscriptions: SubscriptionRequest[]): SubscribePacket {
  return { type: 'subscribe', packetId: 7, subscriptions, properties: {} };
}

const ENCODED: readonly [
  title: string,
  packet: Packet,
  versions: readonly ProtocolVersion[],
  wire: Buffer,
][] = [
  ['CONNECT of 3.1.1', CONNECT, [3, 4, 5], frame(0x10, str('MQTT'), 4, 0x02, u16(60), str('c'))],
  [
    'CONNECT of 3.1 by a bridge, with everything it has',
    {
      ...CONNECT,
      version: 3,
      bridge: true,
      cleanStart: false,
      will: WILL,
      username: 'u',
      password: Buffer.from('p'),
    },
    [3],
    frame(0x10, str('MQIsdp'), 0x83, 0xec, u16(60), str('c'), str('w'), str('bye'), str('u'), str('p')),
  ],
  [
    'CONNECT of 5, with a password alone and properties',
    {
      ...CONNECT,
      version: 5,
      will: { ...WILL, properties: { willDelayInterval: 2 } },
      password: Buffer.from('p'),
      properties: { receiveMaximum: 3 },
    },
    [5],
    frame(
      0x10,
      str('MQTT'),
      5,
      0x6e,
      u16(60),
      props(33, u16(3)),
      str('c'),
      props(24, u32(2)),
      str('w'),
      str('bye'),
      str('p'),
    ),
  ],
  ['CONNACK with a session', { ...CONNACK, sessionPresent: true }, [4], frame(0x20, 1, 0)],
  [
    'CONNACK of 3.1, which has no Session Present',
    { ...CONNACK, sessionPresent: true },
    [3],
    frame(0x20, 0, 0),
  ],
  ['CONNACK with a return code', { ...CONNACK, reasonCode: 4 }, [3, 4], frame(0x20, 0, 4)],
  [
    'CONNACK with a reason code of MQTT 5 that becomes a return code',
    { ...CONNACK, reasonCode: 0x84 },
    [3, 4],
    frame(0x20, 0, 1),
  ],
  [
    'CONNACK of 5',
    { ...CONNACK, reasonCode: 0x84, properties: REASON },
    [5],
    frame(0x20, 0, 0x84, props(31, str('x'))),
  ],
  ['PUBLISH of QoS 0', { ...PUBLISH, retain: true }, [3, 4], frame(0x31, str('a'), 9)],
  ['PUBLISH of QoS 2', { ...PUBLISH, qos: 2, dup: true, packetId: 7 }, [3, 4], frame(0x3c, str('a'), ID, 9)],
  ['PUBLISH without properties in 5 [MQTT-2.2.2-1]', PUBLISH, [5], frame(0x30, str('a'), 0, 9)],
  [
    'PUBLISH by its alias',
    { ...PUBLISH, topic: '', properties: { topicAlias: 1 } },
    [5],
    frame(0x30, str(''), props(35, u16(1)), 9),
  ],
  ['PUBACK', { type: 'puback', ...ACK }, [3, 4, 5], frame(0x40, ID)],
  ['PUBREL', { type: 'pubrel', ...ACK }, [3, 4, 5], frame(0x62, ID)],
  ['PUBREC with a reason code', { type: 'pubrec', ...ACK, reasonCode: 0x97 }, [5], frame(0x50, ID, 0x97)],
  [
    'PUBREC with a reason code and a reason, which 3.1.1 does not have',
    { type: 'pubrec', ...ACK, reasonCode: 0x97, properties: REASON },
    [3, 4],
    frame(0x50, ID),
  ],
  [
    'PUBCOMP with a reason string',
    { type: 'pubcomp', ...ACK, properties: REASON },
    [5],
    frame(0x70, ID, 0, props(31, str('x'))),
  ],
  ['SUBSCRIBE', subscribe(REQUEST), [3, 4], frame(0x82, ID, str('a'), 1)],
  ['SUBSCRIBE of 5', subscribe(REQUEST), [5], frame(0x82, ID, 0, str('a'), 0x2d)],
  [
    'SUBACK, whose failures are one before 5',
    { type: 'suback', packetId: 7, reasonCodes: [0, 1, 2, 0x80, 0x87], properties: REASON },
    [3, 4],
    frame(0x90, ID, 0, 1, 2, 0x80, 0x80),
  ],
  [
    'SUBACK of 5',
    { type: 'suback', packetId: 7, reasonCodes: [2, 0x87], properties: REASON },
    [5],
    frame(0x90, ID, props(31, str('x')), 2, 0x87),
  ],
  [
    'UNSUBSCRIBE',
    { type: 'unsubscribe', packetId: 7, filters: ['a', '$share/g/b'], properties: {} },
    [3, 4],
    frame(0xa2, ID, str('a'), str('$share/g/b')),
  ],
  ['UNSUBACK', { type: 'unsuback', packetId: 7, reasonCodes: [0], properties: {} }, [3, 4], frame(0xb0, ID)],
  [
    'UNSUBACK of 5',
    { type: 'unsuback', packetId: 7, reasonCodes: [0x11], properties: {} },
    [5],
    frame(0xb0, ID, 0, 0x11),
  ],
  ['PINGREQ', { type: 'pingreq' }, [3, 4, 5], bytes(0xc0, 0)],
  ['PINGRESP', { type: 'pingresp' }, [3, 4, 5], bytes(0xd0, 0)],
  ['DISCONNECT', { type: 'disconnect', reasonCode: 0, properties: {} }, [3, 4, 5], bytes(0xe0, 0)],
  [
    'DISCONNECT with a reason before 5',
    { type: 'disconnect', reasonCode: 0x8b, properties: REASON },
    [3, 4],
    bytes(0xe0, 0),
  ],
  [
    'DISCONNECT with a reason code',
    { type: 'disconnect', reasonCode: 0x8b, properties: {} },
    [5],
    bytes(0xe0, 1, 0x8b),
  ],
  [
    'DISCONNECT with properties',
    { type: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 1 } },
    [5],
    frame(0xe0, 0, props(17, u32(1))),
  ],
  ['AUTH in its short form', { type: 'auth', reasonCode: 0, properties: {} }, [5], bytes(0xf0, 0)],
  [
    'AUTH',
    { type: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'm' } },
    [5],
    frame(0xf0, 0x18, props(21, str('m'))),
  ],
];
for (const [title, packet, versions, wire] of ENCODED) {
  t.test(`${title} is encoded in the shortest form`, async (t) => {
    for (const version of versions) {
      t.equal(encodePacket(packet, version).toString('hex'), wire.toString('hex'), `MQTT ${version}`);
    }
  });
}

/** `unknown` on purpose: callers in JavaScript can hand over anything. */
const REFUSED: readonly [
  title: string,
  packet: unknown,
  version: ProtocolVersion,
  error: ErrorConstructor,
][] = [
  ['CONNECT of 5 by a bridge', { ...CONNECT, version: 5, bridge: true }, 5, TypeError],
  ['CONNECT of 3.1.1 with a password alone', { ...CONNECT, password: Buffer.of(1) }, 4, TypeError],
  ['CONNECT with a keep alive of 65536', { ...CONNECT, keepAlive: 65_536 }, 4, RangeError],
  [
    'CONNECT with U+0000 in its client identifier [MQTT-1.5.4-2]',
    { ...CONNECT, clientId: '\0' },
    4,
    TypeError,
  ],
  ['CONNECT with half a surrogate pair [MQTT-1.5.4-1]', { ...CONNECT, clientId: 'a\udc00' }, 4, TypeError],
  ['CONNECT with a user name of 65536 bytes', { ...CONNECT, username: 'x'.repeat(65_536) }, 4, RangeError],
  [
    'CONNECT with a password of 65536 bytes',
    { ...CONNECT, username: '', password: Buffer.alloc(65_536) },
    4,
    RangeError,
  ],
  ['CONNECT with a password that is a string', { ...CONNECT, username: '', password: 'x' }, 4, TypeError],
  [
    'CONNECT with a wildcard in the topic of the will',
    { ...CONNECT, will: { ...WILL, topic: '#' } },
    4,
    TypeError,
  ],
  [
    'CONNECT with QoS 3 of the will [MQTT-3.1.2-12]',
    { ...CONNECT, will: { ...WILL, qos: 3 } },
    4,
    RangeError,
  ],
  [
    'CONNACK that refuses with a session [MQTT-3.2.2-6]',
    { ...CONNACK, sessionPresent: true, reasonCode: 0x87 },
    5,
    TypeError,
  ],
  ['CONNACK with a return code in 5', { ...CONNACK, reasonCode: 4 }, 5, RangeError],
  ['CONNACK with return code 6', { ...CONNACK, reasonCode: 6 }, 4, RangeError],
  ['CONNACK with a property of PUBLISH', { ...CONNACK, properties: { topicAlias: 1 } }, 5, TypeError],
  ['PUBLISH without a topic name', { ...PUBLISH, topic: '' }, 5, TypeError],
  ['PUBLISH by its alias before 5', { ...PUBLISH, topic: '', properties: { topicAlias: 1 } }, 4, TypeError],
  ['PUBLISH to a filter [MQTT-3.3.2-2]', { ...PUBLISH, topic: 'a/+' }, 4, TypeError],
  [
    'PUBLISH to a topic of 65536 bytes [MQTT-4.7.3-3]',
    { ...PUBLISH, topic: 'x'.repeat(65_536) },
    4,
    TypeError,
  ],
  ['PUBLISH of QoS 3 [MQTT-3.3.1-4]', { ...PUBLISH, qos: 3, packetId: 1 }, 4, RangeError],
  ['PUBLISH of QoS 0 with DUP [MQTT-3.3.1-2]', { ...PUBLISH, dup: true }, 4, TypeError],
  ['PUBLISH of QoS 0 with a packet identifier [MQTT-2.2.1-2]', { ...PUBLISH, packetId: 1 }, 4, TypeError],
  ['PUBLISH of QoS 1 without a packet identifier', { ...PUBLISH, qos: 1 }, 4, RangeError],
  [
    'PUBLISH of QoS 1 with packet identifier 0 [MQTT-2.2.1-4]',
    { ...PUBLISH, qos: 1, packetId: 0 },
    4,
    RangeError,
  ],
  ['PUBLISH with a payload that is a string', { ...PUBLISH, payload: 'x' }, 4, TypeError],
  ['PUBACK with packet identifier 65536', { type: 'puback', ...ACK, packetId: 65_536 }, 4, RangeError],
  [
    'PUBACK with a reason code of another packet',
    { type: 'puback', ...ACK, reasonCode: 0x92 },
    5,
    RangeError,
  ],
  ['PUBACK with a reason code that is no byte', { type: 'puback', ...ACK, reasonCode: 256 }, 5, RangeError],
  ['SUBSCRIBE without a filter [MQTT-3.8.3-2]', subscribe(), 4, TypeError],
  ['SUBSCRIBE to an invalid filter', subscribe({ ...REQUEST, filter: 'a#' }), 4, TypeError],
  [
    'SUBSCRIBE to an invalid shared filter [MQTT-4.8.2-2]',
    subscribe({ ...REQUEST, filter: '$share/g' }),
    4,
    TypeError,
  ],
  [
    'SUBSCRIBE with No Local on a shared filter [MQTT-3.8.3-4]',
    subscribe({ ...REQUEST, filter: '$share/g/a' }),
    5,
    TypeError,
  ],
  [
    'SUBSCRIBE with Retain Handling 3',
    { ...subscribe(), subscriptions: [{ ...REQUEST, retainHandling: 3 }] },
    5,
    RangeError,
  ],
  ['SUBSCRIBE of QoS 3', { ...subscribe(), subscriptions: [{ ...REQUEST, qos: 3 }] }, 4, RangeError],
  [
    'SUBACK without a reason code',
    { type: 'suback', packetId: 7, reasonCodes: [], properties: {} },
    4,
    TypeError,
  ],
  ['SUBACK with QoS 3', { type: 'suback', packetId: 7, reasonCodes: [3], properties: {} }, 4, RangeError],
  [
    'UNSUBACK without a reason code in 5',
    { type: 'unsuback', packetId: 7, reasonCodes: [], properties: {} },
    5,
    TypeError,
  ],
  [
    'UNSUBSCRIBE without a filter [MQTT-3.10.3-2]',
    { type: 'unsubscribe', packetId: 7, filters: [], properties: {} },
    4,
    TypeError,
  ],
  [
    'DISCONNECT with a reason code of CONNACK',
    { type: 'disconnect', reasonCode: 0x84, properties: {} },
    5,
    RangeError,
  ],
  ['AUTH before 5', { type: 'auth', reasonCode: 0, properties: {} }, 4, TypeError],
  ['AUTH without a method', { type: 'auth', reasonCode: 0x18, properties: {} }, 5, TypeError],
  [
    'AUTH of success with properties and no method',
    { type: 'auth', reasonCode: 0, properties: REASON },
    5,
    TypeError,
  ],
];
for (const [title, packet, version, error] of REFUSED) {
  t.test(`${title} is not encoded`, async (t) => {
    t.throws(() => encodePacket(packet as Packet, version), error);
  });
}

t.test('strings and binary data of exactly 65535 bytes are encoded', async (t) => {
  const most = Buffer.alloc(65_535, 0x78);
  const packet = { ...CONNECT, username: most.toString(), password: most };
  t.same(encodePacket(packet, 4), frame(0x10, str('MQTT'), 4, 0xc2, u16(60), str('c'), str(most), str(most)));
});

t.test('an error leaves nothing behind in the next packet', async (t) => {
  t.throws(() => encodePacket({ ...PUBLISH, qos: 1, packetId: 0 }, 4), RangeError);
  t.same(encodePacket({ type: 'puback', ...ACK }, 4), frame(0x40, ID));
});

t.test('packets have memory of their own, also large ones', async (t) => {
  const payload = Buffer.alloc(40_000, 1);
  const first = encodePacket({ ...PUBLISH, payload }, 5);
  const copy = Buffer.from(first);
  encodePacket({ ...PUBLISH, payload: Buffer.alloc(40_000, 2) }, 5);
  payload.fill(3);
  t.ok(first.equals(copy));
  t.equal(first.length, 1 + 3 + 3 + 1 + 40_000);
});

t.test(
  'a packet of more than 268435455 bytes behind its header is not encoded, and costs no memory to refuse',
  async (t) => {
    const payload = new Uint8Array(268_435_455);
    t.throws(() => encodePacket({ ...PUBLISH, payload }, 4), { message: /at most 268435455 bytes/ });
  },
);
