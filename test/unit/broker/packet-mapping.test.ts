import t from 'tap';
import type { AedesConnect, AedesPacket } from '../../../lib/broker/aedes-internals.js';
import {
  adoptConnect,
  afterHook,
  describeConnect,
  fromAedesPacket,
  type MappingContext,
  toAedesConnack,
  toAedesPacket,
} from '../../../lib/broker/packet-mapping.js';
import type { ConnectPacket } from '../../../lib/protocol/packet.js';

let counter = 0;
const context: MappingContext = {
  brokerId: 'hub',
  nextCounter: () => ++counter,
  now: () => 1000,
  topicBytes: (topic) => Buffer.concat([Buffer.from([0, topic.length]), Buffer.from(topic)]),
};
const packet = (fields: Partial<AedesPacket> = {}): AedesPacket => ({
  cmd: 'publish',
  topic: 'a/b',
  payload: 'text',
  qos: 1,
  retain: true,
  dup: false,
  ...fields,
});
const connect = (fields: Partial<ConnectPacket> = {}): ConnectPacket => ({
  type: 'connect',
  version: 5,
  bridge: false,
  cleanStart: true,
  keepAlive: 10,
  clientId: 'device',
  properties: {},
  ...fields,
});

t.test('a packet comes back from a message as it went in', async (t) => {
  const properties = {
    payloadFormatIndicator: true,
    messageExpiryInterval: 30,
    contentType: 'text',
    responseTopic: 'reply',
    correlationData: Buffer.from('id'),
    userProperties: { one: '1', many: ['2', '3'], constructor: '4' },
  };
  const back = toAedesPacket(fromAedesPacket(packet({ properties, clientId: 'device' }), context), context);
  t.match(back, { cmd: 'publish', topic: 'a/b', qos: 1, retain: true, clientId: 'device', brokerId: 'hub' });
  t.equal(back.payload.toString(), 'text');
  t.strictSame(
    Object.entries(back.properties?.userProperties ?? {}),
    Object.entries(properties.userProperties),
  );
  t.match(back.properties, { ...properties, userProperties: Object });
});

t.test('what MQTT cannot say is a TypeError', async (t) => {
  const wrong: unknown[] = [
    { topic: '' },
    { topic: 'a/#' },
    { topic: 'a\0b' },
    { topic: 'x'.repeat(65_536) },
    { topic: 7 },
    { qos: 3 },
    { payload: { json: true } },
  ];
  for (const fields of wrong)
    t.throws(() => fromAedesPacket(packet(fields as Partial<AedesPacket>), context), TypeError);
  t.equal(fromAedesPacket({ cmd: 'publish', topic: 'a' } as AedesPacket, context).payloadLength, 0);
});

t.test('an expiry beyond what MQTT can say is the longest that it can', async (t) => {
  const expiring = packet({ properties: { messageExpiryInterval: 1e12 } });
  t.match(toAedesPacket(fromAedesPacket(expiring, context), context), {
    properties: { messageExpiryInterval: 4_294_967_295 },
  });
});

t.test('a message is the same object where a hook left its packet alone', async (t) => {
  const message = fromAedesPacket(packet({ properties: { contentType: 'text' } }), context);
  const untouched = toAedesPacket(message, context);
  t.equal(afterHook(message, { ...untouched }, untouched, context), message);
  for (const change of [
    { topic: 'other' },
    { payload: Buffer.from('other') },
    { qos: 0 },
    { retain: false },
    { properties: { contentType: 'json' } },
  ] as const) {
    const after = toAedesPacket(message, context);
    const before = { ...after };
    Object.assign(after, change);
    const changed = afterHook(message, before, after, context);
    t.not(changed, message);
    t.match(toAedesPacket(changed, context), change);
  }
});

t.test('preConnect sees what CONNECT said, and what it changes is taken over', async (t) => {
  const will = {
    topic: 'w',
    payload: Buffer.from('x'),
    qos: 1,
    retain: true,
    properties: { willDelayInterval: 5 },
  } as const;
  const said = connect({
    username: 'name',
    password: Buffer.from('secret'),
    will,
    properties: { receiveMaximum: 9, sessionExpiryInterval: 60, userProperties: [['a', '1']] },
  });
  const shown: AedesConnect = { cmd: 'connect', clientId: 'door' };
  describeConnect(shown, said);
  t.match(shown, {
    clientId: 'device',
    keepalive: 10,
    clean: true,
    username: 'name',
    will: { topic: 'w', qos: 1, retain: true, properties: { willDelayInterval: 5 } },
    properties: { receiveMaximum: 9, sessionExpiryInterval: 60, userProperties: { a: '1' } },
  });
  shown.clientId = 'renamed';
  shown.keepalive = 20;
  shown.username = undefined;
  shown.password = undefined;
  if (shown.properties !== undefined) shown.properties['sessionExpiryInterval'] = 30;
  if (shown.will !== undefined) shown.will.topic = 'moved';
  adoptConnect(said, shown);
  t.match(said, {
    clientId: 'renamed',
    keepAlive: 20,
    will: { topic: 'moved', properties: { willDelayInterval: 5 } },
    properties: { sessionExpiryInterval: 30, receiveMaximum: 9 },
  });
  t.notOk('username' in said || 'password' in said);
  shown.will = undefined;
  adoptConnect(said, shown);
  t.notOk('will' in said);
});

t.test('preConnect cannot make a will or an id that is none', async (t) => {
  const shown: AedesConnect = { cmd: 'connect', clientId: 'a', will: { topic: 'w/#', payload: '' } };
  t.throws(() => adoptConnect(connect(), shown), TypeError);
  Object.assign(shown, { will: undefined, clientId: 7 });
  t.throws(() => adoptConnect(connect(), shown), TypeError);
});

t.test('CONNACK has a return code before MQTT 5, and then a reason code with properties', async (t) => {
  const sent = {
    type: 'connack',
    sessionPresent: true,
    reasonCode: 0,
    properties: {
      serverKeepAlive: 5,
      authenticationData: Uint8Array.of(1),
      userProperties: [['a', '1'] as const],
    },
  } as const;
  const mutable = {
    ...sent,
    properties: { ...sent.properties, userProperties: [...sent.properties.userProperties] },
  };
  t.same(toAedesConnack(mutable, 4), { cmd: 'connack', sessionPresent: true, returnCode: 0 });
  t.match(toAedesConnack(mutable, 5), {
    reasonCode: 0,
    properties: { serverKeepAlive: 5, authenticationData: Buffer.from([1]), userProperties: { a: '1' } },
  });
});
