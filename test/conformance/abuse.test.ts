/** Malformed input and misuse that has brought brokers down: each test is one fault and what must become of it. */
import { performance } from 'node:perf_hooks';
import t, { type Test } from 'tap';
import { RawClient, unique, type ConnectOptions } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import { target } from '../support/target.js';
import * as wire from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;
const ownLimits = target === 'mosquitto' && 'a limit of the gateway';

const open = (t: Test, options: ConnectOptions = {}): Promise<RawClient> =>
  RawClient.connect(t, server.port, options);
const PROTOTYPE_NAMES = [
  'constructor',
  '__proto__',
  'toString',
  'hasOwnProperty',
  '__defineGetter__',
  '0',
  '-1',
];

t.test(
  'a length of 256 MiB before CONNECT ends the connection at its first bytes',
  { skip: ownLimits },
  async (t) => {
    for (const type of [0x10, 0x30]) {
      const client = await RawClient.open(t, server.port);
      client.send(Buffer.from([type, 0xff, 0xff, 0xff, 0x7f]), Buffer.alloc(1000));
      await client.expectClose();
    }
    const client = await RawClient.open(t, server.port);
    client.send(
      wire.connect({ clientId: unique('big'), will: { payload: 'x'.repeat(20_000) } }).subarray(0, 5000),
    );
    await client.take('the end', () => true).catch(() => undefined);
    await client.expectClose();
  },
);

t.test(
  'whoever does not finish CONNECT in time is cut off, however slowly it drips',
  { skip: ownLimits },
  async (t) => {
    const strict = await startServer(t, { gateway: { mqtt: { connectTimeoutMs: 500 } } });
    const silent = await RawClient.open(t, strict.port);
    const dripping = await RawClient.open(t, strict.port);
    const bytes = wire.connect({ clientId: 'x'.repeat(200) });
    const start = performance.now();
    let offset = 0;
    const timer = setInterval(
      () => dripping.closedAtMs ?? dripping.send(bytes.subarray(offset, ++offset)),
      20,
    );
    t.teardown(() => clearInterval(timer));
    await Promise.all([silent.expectClose(), dripping.expectClose()]);
    t.ok(performance.now() - start < 1500);
  },
);

t.test(
  'connections that have not said who they are have a limit of their own',
  { skip: ownLimits },
  async (t) => {
    const strict = await startServer(t, { gateway: { limits: { handshakesMax: 3 } } });
    const idle = await Promise.all([1, 2, 3].map(() => RawClient.open(t, strict.port)));
    const fourth = await RawClient.open(t, strict.port);
    await fourth.take('the end', () => true).catch(() => undefined);
    await fourth.expectClose();
    t.equal((await idle[0]?.connect())?.reasonCode, 0);
    await RawClient.connect(t, strict.port);
  },
);

t.test(
  'a topic of too many levels or bytes is refused, and its client told where MQTT can tell',
  { skip: ownLimits },
  async (t) => {
    for (const topic of [
      'a/'.repeat(16) + 'a',
      'a/'.repeat(101) + 'a',
      'a/'.repeat(30_000),
      'x'.repeat(513),
    ]) {
      const publisher = await open(t);
      publisher.sendPublish(topic, 'x', { qos: 1, packetId: 1 });
      const answer = await publisher.take('an answer', () => true);
      t.ok(['puback', 'disconnect'].includes(answer.type));
      t.equal(answer.reasonCode, 0x90);
      const subscriber = await open(t);
      subscriber.send(wire.subscribe(1, [{ filter: topic }]));
      const refusal = await subscriber.take('an answer', () => true);
      t.ok(refusal.reasonCode === 0x8f || refusal.reasonCodes[0] === 0x8f);
    }
    const client = await open(t);
    await client.subscribe('a/'.repeat(15) + 'a');
  },
);

t.test('client ids and filters named like members of a JavaScript object are names', async (t) => {
  for (const version of VERSIONS) {
    for (const name of PROTOTYPE_NAMES) {
      const session = { ...(version === 5 && { properties: { sessionExpiryInterval: 60 } }) };
      const first = await open(t, { version, clientId: name, clean: true, ...session });
      await first.subscribe([name, `${name}/+`], { qos: 1 });
      await first.publish(name, 'x', { qos: 1, retain: true });
      await first.complete(await first.take('publish', ({ topic }) => topic === name));
      const second = await open(t, { version, clientId: name, clean: true });
      await first.expectDisconnect(0x8e);
      await second.publish(name, '', { qos: 1, retain: true });
      t.same((await second.unsubscribe(name)).reasonCodes, version === 5 ? [0x11] : []);
    }
  }
});

t.test('two ill-formed client ids do not become one client', async (t) => {
  const victim = await open(t, { clientId: '\uFFFD' });
  const attacker = await RawClient.open(t, server.port);
  attacker.send(wire.connect({ clientId: Buffer.from([0xff]) }));
  await attacker.expectRefused([0x81, 0x82, 0x85]);
  await victim.expectNothing();
});

t.test('a packet id of 0, or none, is refused and not acknowledged', async (t) => {
  for (const version of VERSIONS) {
    for (const bytes of [
      wire.publish({ version, topic: 'a', qos: 1, packetId: 0 }),
      wire.publish({ version, topic: 'a', qos: 2, packetId: 0 }),
      wire.frame(0x32, wire.str('a')),
      wire.frame(0x34, wire.str('a'), wire.u8(1)),
    ]) {
      const client = await open(t, { version });
      client.send(bytes, wire.PINGREQ);
      await client.expectDisconnect([0x81, 0x82]);
    }
  }
});

t.test('permissions compare levels, not the beginnings of texts', async (t) => {
  const guarded = await startServer(t, {
    users: { ann: 'p' },
    anonymous: false,
    acl: 'user ann\ntopic readwrite ann/b/#\ntopic readwrite mark\n',
  });
  const client = await RawClient.connect(t, guarded.port, { username: 'ann', password: 'p' });
  await client.subscribe(['ann/b/#', 'ann/b', 'mark', 'ann/#', 'annex/#', 'ann/bc/#', '#'], {
    allowRefusal: true,
  });
  for (const topic of ['ann/bc/x', 'annex/x', 'ann/x', 'ann/ab/x']) {
    const other = await RawClient.connect(t, guarded.port, { username: 'ann', password: 'p' });
    t.not((await other.publish(topic, 'no', { qos: 1 }))?.reasonCode, 0, topic);
  }
  await client.publish('mark', 'marker', { qos: 1 });
  await client.take('publish', ({ payload }) => payload === 'marker');
  t.notOk(client.received.some(({ payload }) => payload === 'no'));
});

t.test('filters with a wildcard inside a level are not granted', async (t) => {
  for (const filter of ['a+', '+a', 'a#', 'a/+b', 'a/b+', '#a', '#/b']) {
    const client = await open(t);
    client.send(wire.subscribe(1, [{ filter }]));
    const answer = await client.take('an answer', () => true).catch(() => undefined);
    t.not(answer?.reasonCodes[0], 0, filter);
    t.ok(answer !== undefined || client.closedAtMs !== undefined);
  }
});

t.test(
  'where wildcards need literal levels before them, # is refused to everybody who is not exempt',
  { skip: ownLimits },
  async (t) => {
    const strict = await startServer(t, {
      users: { ops: 'p', ann: 'p' },
      gateway: { security: { wildcardLevelsMin: 2, wildcardExemptUsers: ['ops'] } },
    });
    const filters = ['#', '+/b/c', 'a/#', 'a/b/#', 'a/b', '$share/g/#', '$share/g/a/b/+', '$SYS/#'];
    const codes = (refusal: number): number[] => [refusal, refusal, refusal, 0, 0, refusal, 0, refusal];
    for (const version of VERSIONS) {
      for (const login of [{}, { username: 'ann', password: 'p' }]) {
        const client = await RawClient.connect(t, strict.port, { version, ...login });
        const suback = await client.subscribe(filters, { allowRefusal: true });
        t.same(suback.reasonCodes, codes(version === 5 ? 0x87 : 0x80));
      }
      const ops = await RawClient.connect(t, strict.port, { version, username: 'ops', password: 'p' });
      await ops.subscribe('#');
      const publisher = await RawClient.connect(t, strict.port);
      const topic = unique('wide');
      await publisher.publish(topic, 'x', { qos: 1 });
      await ops.take('the message', (packet) => packet.topic === topic);
    }
  },
);

t.test(
  'a second CONNECT, a packet before CONNECT and a SUBSCRIBE without a filter end their connection',
  async (t) => {
    const second = await open(t);
    second.send(wire.connect());
    await second.expectDisconnect(0x82);
    const early = await RawClient.open(t, server.port);
    early.send(wire.publish({ topic: 'a' }), wire.connect());
    await early.expectClose();
    const empty = await open(t);
    empty.send(wire.subscribe(1, []));
    await empty.expectDisconnect([0x81, 0x82]);
  },
);

const twice = (properties: wire.Properties): Buffer =>
  Buffer.concat([wire.propertyBytes(properties), wire.propertyBytes(properties)]);
/** Property bytes of PUBLISH that no server may take. */
const POISON: readonly Buffer[] = [
  Buffer.from([0x26, 0x00, 0x01, 0x61, 0x00, 0x09, 0x62]),
  Buffer.from([0x26, 0x00, 0x01, 0x61]),
  Buffer.from([0x03, 0x00, 0x05, 0x61]),
  twice({ contentType: 'a' }),
  twice({ messageExpiryInterval: 1 }),
  twice({ topicAlias: 1 }),
  wire.propertyBytes({ subscriptionIdentifier: 3 }),
  wire.propertyBytes({ reasonString: 'a' }),
  wire.propertyBytes({ assignedClientIdentifier: 'a' }),
];

t.test(
  'truncated, repeated and misplaced properties end the connection of their sender; subscribers of every version stay',
  async (t) => {
    const topic = unique('poison');
    const subscribers = await Promise.all(([3, 4, 5] as const).map((version) => open(t, { version })));
    for (const subscriber of subscribers) await subscriber.subscribe(topic, { qos: 1 });
    for (const properties of POISON) {
      for (const retain of [false, true]) {
        const sender = await open(t);
        sender.sendPublish(topic, 'poison', { qos: 1, packetId: 1, retain, properties });
        await sender.expectDisconnect([0x81, 0x82]);
      }
    }
    for (const subscriber of subscribers) await subscriber.expectNothing();
  },
);

t.test('an alias named twice in one packet does not get round a maximum of 0', async (t) => {
  const without = await startServer(t, { topicAliasMaximum: 0 });
  for (const properties of [twice({ topicAlias: 1 }), wire.propertyBytes({ topicAlias: 1 })]) {
    const client = await RawClient.connect(t, without.port);
    client.sendPublish('a', 'x', { properties });
    await client.expectDisconnect([0x82, 0x94]);
  }
});

t.test('a poisoned message is not retained: later subscribers are served', async (t) => {
  const topic = unique('poison');
  for (const properties of POISON) {
    const sender = await open(t);
    sender.sendPublish(topic, 'poison', { retain: true, properties });
    await sender.expectDisconnect([0x81, 0x82]);
  }
  const late = await open(t);
  await late.subscribe(topic);
  await late.expectNothing();
});
