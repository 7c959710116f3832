import t from 'tap';
import {
  assess,
  clampExpiry,
  connackProperties,
  type ConnectionLimits,
  refusalConnack,
  type Terms,
} from '../../../lib/connection/handshake.js';
import type { ConnectPacket, Properties } from '../../../lib/protocol/index.js';
import { LIMITS as GATEWAY_LIMITS } from '../delivery/lane-world.js';

const LIMITS: ConnectionLimits = {
  ...GATEWAY_LIMITS,
  packetMaxBytes: 100_000,
  keepAliveMaxS: 0,
  sessionExpiryMaxS: 0,
  receiveMaximum: 50,
  topicAliasMaximum: 5,
  outboundTopicAliasMaximum: 7,
  windowMax: 20,
  clientIdMaxBytes: 10,
  topicMaxBytes: 20,
  topicMaxLevels: 3,
  retain: true,
};
const CONNECT: ConnectPacket = {
  type: 'connect',
  version: 5,
  bridge: false,
  cleanStart: true,
  keepAlive: 60,
  clientId: 'device',
  properties: {},
};
const EXPIRES_NEVER = 0xffffffff;
const PACKET_MAX = 268_435_460;

function will(topic: string, retain = false): Pick<ConnectPacket, 'will'> {
  return { will: { topic, payload: Buffer.alloc(0), qos: 0, retain, properties: {} } };
}

function termsOf(connect: Partial<ConnectPacket>, limits: Partial<ConnectionLimits> = {}): Terms {
  const result = assess({ ...CONNECT, ...connect }, { ...LIMITS, ...limits }, () => 'auto-1');
  if (!result.ok) throw new Error(result.text);
  return result.terms;
}

const REFUSED: readonly [string, Partial<ConnectPacket>, Partial<ConnectionLimits>, number, RegExp][] = [
  ['3.1 without client id', { version: 3, clientId: '' }, {}, 0x85, /client id is needed/],
  [
    '3.1.1 without client id, session kept',
    { version: 4, clientId: '', cleanStart: false },
    {},
    0x85,
    /needed/,
  ],
  ['a client id of 11 bytes', { clientId: '12345678901' }, {}, 0x85, /11 bytes.*clientIdMaxBytes 10/],
  ['a client id of 12 bytes in 6 characters', { clientId: 'éééééé' }, {}, 0x85, /12 bytes/],
  ['a will topic that is too long', will('x'.repeat(21)), {}, 0x90, /topicMaxBytes/],
  ['a will topic that is too deep', will('a/b/c/d'), {}, 0x90, /topicMaxLevels/],
  ['a retained will where nothing is retained', will('a', true), { retain: false }, 0x9a, /mqtt\.retain/],
  [
    '3.1.1 with too long a keep alive',
    { version: 4, keepAlive: 61 },
    { keepAliveMaxS: 60 },
    0x87,
    /61 s.*60/,
  ],
  ['3.1.1 without keep alive', { version: 4, keepAlive: 0 }, { keepAliveMaxS: 60 }, 0x87, /0 s.*60/],
];
for (const [what, connect, limits, code, text] of REFUSED) {
  t.test(`CONNECT is refused: ${what}`, async (t) => {
    const result = assess({ ...CONNECT, ...connect }, { ...LIMITS, ...limits }, () => 'auto');
    if (result.ok) throw new Error('it was accepted');
    t.equal(result.reasonCode, code);
    t.match(result.text, text);
  });
}

const ACCEPTED: readonly [string, Partial<ConnectPacket>, Partial<ConnectionLimits>, Partial<Terms>][] = [
  ['a client id of exactly the limit', { clientId: '1234567890' }, {}, { clientId: '1234567890' }],
  ['an own client id', {}, {}, { clientId: 'device', assignedClientId: false }],
  [
    'v5 without client id',
    { clientId: '', cleanStart: false },
    {},
    { clientId: 'auto-1', assignedClientId: true },
  ],
  [
    '3.1.1 without client id, clean',
    { version: 4, clientId: '' },
    {},
    { clientId: 'auto-1', assignedClientId: true },
  ],
  ['a will at the limits', will('a/b/cccccccccccccccc'), {}, {}],
  ['a retained will', will('a', true), {}, {}],
  ['a will that is not retained, where nothing is', will('a'), { retain: false }, {}],
  ['keep alive without maximum', { keepAlive: 65_535 }, {}, { keepAliveS: 65_535 }],
  ['no keep alive', { keepAlive: 0 }, {}, { keepAliveS: 0 }],
  ['keep alive below the maximum', { keepAlive: 59 }, { keepAliveMaxS: 60 }, { keepAliveS: 59 }],
  ['keep alive above the maximum, v5', { keepAlive: 61 }, { keepAliveMaxS: 60 }, { keepAliveS: 60 }],
  ['no keep alive with a maximum, v5', { keepAlive: 0 }, { keepAliveMaxS: 60 }, { keepAliveS: 60 }],
  [
    'keep alive at the maximum, 3.1.1',
    { version: 4, keepAlive: 60 },
    { keepAliveMaxS: 60 },
    { keepAliveS: 60 },
  ],
  ['no expiry, v5', {}, {}, { expiryS: 0 }],
  ['an expiry, v5', { properties: { sessionExpiryInterval: 70 } }, {}, { expiryS: 70 }],
  [
    'an expiry above the maximum',
    { properties: { sessionExpiryInterval: 70 } },
    { sessionExpiryMaxS: 60 },
    { expiryS: 60 },
  ],
  ['a clean session, 3.1.1', { version: 4, cleanStart: true }, {}, { expiryS: 0 }],
  ['a kept session, 3.1.1', { version: 4, cleanStart: false }, {}, { expiryS: EXPIRES_NEVER }],
  [
    'a kept session, 3.1, with a maximum',
    { version: 3, cleanStart: false },
    { sessionExpiryMaxS: 60 },
    { expiryS: 60 },
  ],
  ['no Receive Maximum', {}, {}, { sendWindow: 20 }],
  ['no Receive Maximum and a large window', {}, { windowMax: 70_000 }, { sendWindow: 65_535 }],
  ['a small Receive Maximum', { properties: { receiveMaximum: 3 } }, {}, { sendWindow: 3 }],
  ['no Maximum Packet Size', {}, {}, { maximumPacketSize: PACKET_MAX }],
  ['a Maximum Packet Size', { properties: { maximumPacketSize: 100 } }, {}, { maximumPacketSize: 100 }],
  ['no aliases', {}, {}, { topicAliasMaximum: 0 }],
  ['few aliases', { properties: { topicAliasMaximum: 6 } }, {}, { topicAliasMaximum: 6 }],
  ['many aliases', { properties: { topicAliasMaximum: 100 } }, {}, { topicAliasMaximum: 7 }],
  ['problem information unless refused', {}, {}, { problemInformation: true }],
  [
    'no problem information',
    { properties: { requestProblemInformation: false } },
    {},
    { problemInformation: false },
  ],
];
for (const [what, connect, limits, terms] of ACCEPTED) {
  t.test(`CONNECT is accepted: ${what}`, async (t) => {
    t.match(termsOf(connect, limits), terms);
  });
}

function connack(connect: Partial<ConnectPacket>, limits: Partial<ConnectionLimits> = {}): Properties {
  const all = { ...LIMITS, ...limits };
  return connackProperties({ ...CONNECT, ...connect }, termsOf(connect, limits), all);
}

t.test('CONNACK says what is enforced, and what differs from what was asked for', async (t) => {
  const always = { receiveMaximum: 50, maximumPacketSize: 100_000, topicAliasMaximum: 5 };
  t.strictSame(connack({}), always);
  t.strictSame(connack({ properties: { sessionExpiryInterval: 70 } }), always, 'an expiry that is granted');
  t.strictSame(connack({ properties: { sessionExpiryInterval: 70 } }, { sessionExpiryMaxS: 60 }), {
    ...always,
    sessionExpiryInterval: 60,
  });
  t.strictSame(connack({ clientId: '' }), { ...always, assignedClientIdentifier: 'auto-1' });
  t.strictSame(connack({ keepAlive: 0 }, { keepAliveMaxS: 60 }), { ...always, serverKeepAlive: 60 });
  t.strictSame(connack({}, { retain: false }), { ...always, retainAvailable: false });
});

t.test('CONNACK of 3.1.1 has no properties', async (t) => {
  t.strictSame(connack({ version: 4, clientId: '' }), {});
});

t.test('a refusal has the code of the version and never Session Present [MQTT-3.2.2-6]', async (t) => {
  const properties = { reasonString: 'why' };
  t.strictSame(refusalConnack(5, 0x87, properties), {
    type: 'connack',
    sessionPresent: false,
    reasonCode: 0x87,
    properties,
  });
  for (const [reasonCode, returnCode] of [
    [0x84, 1],
    [0x85, 2],
    [0x88, 3],
    [0x97, 3],
    [0x86, 4],
    [0x87, 5],
  ] as const) {
    t.strictSame(refusalConnack(4, reasonCode, properties), {
      type: 'connack',
      sessionPresent: false,
      reasonCode: returnCode,
      properties: {},
    });
  }
});

t.test('an expiry is capped only by a maximum that is not 0', async (t) => {
  t.equal(clampExpiry(EXPIRES_NEVER, 0), EXPIRES_NEVER);
  t.equal(clampExpiry(EXPIRES_NEVER, 10), 10);
  t.equal(clampExpiry(9, 10), 9);
});
