import t from 'tap';
import { connectVersionOf, decodeConnect, decodePacket } from '../../../lib/protocol/index.js';
import {
  bytes,
  frame,
  props,
  refusalOf,
  str,
  u16,
  u32,
  variable,
  type Part,
} from '../../support/protocol-bytes.js';

const V3 = bytes(str('MQIsdp'), 3);
const V4 = bytes(str('MQTT'), 4);
const V5 = bytes(str('MQTT'), 5);
const KEEP_ALIVE = u16(60);

const connect = (...parts: Part[]): Buffer => frame(0x10, ...parts);

t.test('the smallest CONNECT of each version is understood', async (t) => {
  const rest = {
    type: 'connect',
    bridge: false,
    cleanStart: true,
    keepAlive: 60,
    clientId: 'c',
    properties: {},
  };
  t.strictSame(decodeConnect(connect(V3, 0x02, KEEP_ALIVE, str('c'))), { ...rest, version: 3 });
  t.strictSame(decodeConnect(connect(V4, 0x02, KEEP_ALIVE, str('c'))), { ...rest, version: 4 });
  t.strictSame(decodeConnect(connect(V5, 0x02, KEEP_ALIVE, props(), str('c'))), { ...rest, version: 5 });
});

t.test('decodePacket decodes a CONNECT by its own version', async (t) => {
  t.match(decodePacket(connect(V4, 0x02, KEEP_ALIVE, str('c')), 5, 'toServer'), {
    type: 'connect',
    version: 4,
  });
});

t.test('every field of a CONNECT arrives where it belongs [MQTT-3.1.3-1]', async (t) => {
  const packet = decodeConnect(
    connect(
      V5,
      0x04 | 0x10 | 0x20 | 0x40 | 0x80,
      u16(65_535),
      props(17, u32(1), 33, u16(2), 38, str('a'), str('b')),
      str('id'),
      props(24, u32(9), 38, str('w'), str('x')),
      str('will/topic'),
      str('bye'),
      str('user'),
      str('secret'),
    ),
  );
  t.strictSame(packet, {
    type: 'connect',
    version: 5,
    bridge: false,
    cleanStart: false,
    keepAlive: 65_535,
    clientId: 'id',
    properties: { sessionExpiryInterval: 1, receiveMaximum: 2, userProperties: [['a', 'b']] },
    will: {
      topic: 'will/topic',
      payload: Buffer.from('bye'),
      qos: 2,
      retain: true,
      properties: { willDelayInterval: 9, userProperties: [['w', 'x']] },
    },
    username: 'user',
    password: Buffer.from('secret'),
  });
});

t.test('the high bit of the level is the bridge bit of mosquitto, before MQTT 5', async (t) => {
  t.match(decodeConnect(connect(str('MQIsdp'), 0x83, 2, KEEP_ALIVE, str('c'))), { version: 3, bridge: true });
  t.match(decodeConnect(connect(str('MQTT'), 0x84, 2, KEEP_ALIVE, str('c'))), { version: 4, bridge: true });
  t.equal(
    refusalOf(() => decodeConnect(connect(str('MQTT'), 0x85, 2, KEEP_ALIVE, props(), str('c')))),
    0x84,
  );
});

t.test('an empty client identifier is left to the caller [MQTT-3.1.3-6]', async (t) => {
  t.match(decodeConnect(connect(V4, 0x02, KEEP_ALIVE, str(''))), { clientId: '' });
});

t.test('MQTT 5 allows a password without a user name, 3.1.1 does not', async (t) => {
  const packet = decodeConnect(connect(V5, 0x42, KEEP_ALIVE, props(), str('c'), str('token')));
  t.equal('username' in packet, false);
  t.same(packet.password, Buffer.from('token'));
});

t.test(
  'MQTT 3.1 disregards flags without a meaning, and flagged fields may be missing at the end',
  async (t) => {
    const packet = decodeConnect(connect(V3, 0x01 | 0x02 | 0x18 | 0x20 | 0x80 | 0x40, KEEP_ALIVE, str('c')));
    t.equal('will' in packet, false);
    t.equal('username' in packet, false);
    t.equal('password' in packet, false);
    t.match(decodeConnect(connect(V3, 0xc2, KEEP_ALIVE, str('c'), str('u'))), {
      username: 'u',
      password: undefined,
    });
  },
);

const REFUSED: readonly [title: string, frame: Uint8Array, code: number][] = [
  ['a frame of no bytes', bytes(), 0x81],
  ['a frame of one byte', bytes(0x10), 0x81],
  ['another packet', frame(0xc0), 0x81],
  ['flags in the fixed header [MQTT-2.1.3-1]', frame(0x11, V4, 2, KEEP_ALIVE, str('c')), 0x81],
  ['a remaining length that is not minimal [MQTT-1.5.5-1]', bytes(0x10, 0x80, 0x00), 0x81],
  ['a remaining length beyond the frame', bytes(0x10, 20, V4), 0x81],
  ['a frame beyond its remaining length', bytes(connect(V4, 2, KEEP_ALIVE, str('c')), 0), 0x81],
  ['an unknown protocol name [MQTT-3.1.2-1]', connect(str('MQTTX'), 4, 2, KEEP_ALIVE, str('c')), 0x84],
  ['a protocol name in lower case [MQTT-3.1.2-1]', connect(str('mqtt'), 4, 2, KEEP_ALIVE, str('c')), 0x84],
  [
    'a protocol name like Object.prototype has',
    connect(str('constructor'), 4, 2, KEEP_ALIVE, str('c')),
    0x84,
  ],
  ['a protocol name that is not UTF-8', connect(u16(1), 0xff, 4, 2, KEEP_ALIVE, str('c')), 0x81],
  ['level 6 [MQTT-3.1.2-2]', connect(str('MQTT'), 6, 2, KEEP_ALIVE, props(), str('c')), 0x84],
  ['level 3 under the name MQTT [MQTT-3.1.2-2]', connect(str('MQTT'), 3, 2, KEEP_ALIVE, str('c')), 0x84],
  ['level 4 under the name MQIsdp', connect(str('MQIsdp'), 4, 2, KEEP_ALIVE, str('c')), 0x84],
  ['the reserved flag in 3.1.1 [MQTT-3.1.2-3]', connect(V4, 0x03, KEEP_ALIVE, str('c')), 0x81],
  ['the reserved flag in 5 [MQTT-3.1.2-3]', connect(V5, 0x03, KEEP_ALIVE, props(), str('c')), 0x81],
  [
    'a QoS of a will that is not there [MQTT-3.1.2-11]',
    connect(V5, 0x0a, KEEP_ALIVE, props(), str('c')),
    0x81,
  ],
  [
    'a retain of a will that is not there [MQTT-3.1.2-13]',
    connect(V5, 0x22, KEEP_ALIVE, props(), str('c')),
    0x81,
  ],
  ['QoS 3 of the will [MQTT-3.1.2-12]', connect(V4, 0x1e, KEEP_ALIVE, str('c'), str('w'), str('')), 0x81],
  ['QoS 3 of the will in MQTT 3.1', connect(V3, 0x1e, KEEP_ALIVE, str('c'), str('w'), str('')), 0x81],
  [
    'a password without a user name in 3.1.1 [MQTT 3.1.1, MQTT-3.1.2-22]',
    connect(V4, 0x42, KEEP_ALIVE, str('c'), str('p')),
    0x82,
  ],
  ['a password without a user name in 3.1', connect(V3, 0x42, KEEP_ALIVE, str('c'), str('p')), 0x82],
  ['a missing user name [MQTT-3.1.2-17]', connect(V4, 0x82, KEEP_ALIVE, str('c')), 0x81],
  ['a missing password [MQTT-3.1.2-19]', connect(V4, 0xc2, KEEP_ALIVE, str('c'), str('u')), 0x81],
  ['a missing will [MQTT-3.1.2-9]', connect(V4, 0x06, KEEP_ALIVE, str('c')), 0x81],
  ['a user name without its flag [MQTT-3.1.2-16]', connect(V4, 0x02, KEEP_ALIVE, str('c'), str('u')), 0x81],
  ['a user name without its flag in 3.1', connect(V3, 0x02, KEEP_ALIVE, str('c'), str('u')), 0x81],
  ['a missing client identifier [MQTT-3.1.3-3]', connect(V4, 0x02, KEEP_ALIVE), 0x81],
  ['U+0000 in the client identifier [MQTT-1.5.4-2]', connect(V4, 0x02, KEEP_ALIVE, str('a\0')), 0x81],
  [
    'invalid UTF-8 in the client identifier [MQTT-3.1.3-4]',
    connect(V4, 0x02, KEEP_ALIVE, u16(1), 0xff),
    0x81,
  ],
  ['U+0000 in the user name [MQTT-3.1.3-12]', connect(V4, 0x82, KEEP_ALIVE, str('c'), str('\0')), 0x81],
  ['a wildcard in the topic of the will', connect(V4, 0x06, KEEP_ALIVE, str('c'), str('a/#'), str('')), 0x90],
  [
    'an empty topic of the will [MQTT-4.7.3-1]',
    connect(V4, 0x06, KEEP_ALIVE, str('c'), str(''), str('')),
    0x90,
  ],
  [
    'U+0000 in the topic of the will [MQTT-3.1.3-11]',
    connect(V4, 6, KEEP_ALIVE, str('c'), str('\0'), str('')),
    0x81,
  ],
  ['no property length [MQTT-2.2.2-1]', connect(V5, 0x02, KEEP_ALIVE), 0x81],
  ['a property length beyond the packet', connect(V5, 0x02, KEEP_ALIVE, 5, str('c')), 0x81],
  ['a property length that is not minimal', connect(V5, 0x02, KEEP_ALIVE, 0x80, 0, str('c')), 0x81],
  ['a will property among those of CONNECT', connect(V5, 2, KEEP_ALIVE, props(24, u32(1)), str('c')), 0x81],
  [
    'a CONNECT property among those of the will',
    connect(V5, 6, KEEP_ALIVE, props(), str('c'), props(33, u16(1)), str('w'), str('')),
    0x81,
  ],
  [
    'a repeated will property',
    connect(V5, 6, KEEP_ALIVE, props(), str('c'), props(24, u32(1), 24, u32(1)), str('w'), str('')),
    0x82,
  ],
  ['Receive Maximum 0', connect(V5, 0x02, KEEP_ALIVE, props(33, u16(0)), str('c')), 0x82],
  ['Authentication Data without a method', connect(V5, 2, KEEP_ALIVE, props(22, str('x')), str('c')), 0x82],
];
for (const [title, wire, code] of REFUSED) {
  t.test(`a CONNECT is refused with 0x${code.toString(16)} for ${title}`, async (t) => {
    t.equal(
      refusalOf(() => decodeConnect(wire)),
      code,
    );
  });
}

t.test('messages of errors never quote a password', async (t) => {
  const wire = connect(V4, 0xc2, KEEP_ALIVE, str('c'), str('u'), u16(99), Buffer.from('secret'));
  t.throws(() => decodeConnect(wire), { message: /^password is cut off/ });
});

t.test('the version of a CONNECT is known from its beginning, even of one that is refused', async (t) => {
  const wire = connect(V5, 0x03, KEEP_ALIVE, props(), str('c'));
  t.equal(connectVersionOf(wire), 5);
  t.equal(connectVersionOf(wire.subarray(0, 9)), 5);
  t.equal(connectVersionOf(wire.subarray(0, 8)), undefined);
  t.equal(connectVersionOf(wire.subarray(0, 1)), undefined);
  t.equal(connectVersionOf(bytes(0x10, variable(200_000_000), V3)), 3);
  t.equal(connectVersionOf(connect(str('MQTT'), 7)), undefined);
});
