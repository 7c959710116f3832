/** Faults that brokers built in Node are known to have had, one test each. */
import t, { type Test } from 'tap';
import { elapse, RawClient, unique, type ConnectOptions } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import { target } from '../support/target.js';
import * as wire from '../support/wire.js';
import type { Version } from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;

const open = (t: Test, options: ConnectOptions = {}): Promise<RawClient> =>
  RawClient.connect(t, server.port, options);
const lasting = (version: Version, clientId: string): ConnectOptions => ({
  version,
  clientId,
  clean: false,
  ...(version === 5 && { properties: { sessionExpiryInterval: 60 } }),
});

t.test(
  'PUBACK comes after the message is in the queues: whoever reconnects on it finds the message',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('ack');
      const options = lasting(version, unique('ack'));
      const first = await open(t, options);
      await first.subscribe(topic, { qos: 1 });
      await first.disconnect();
      const publisher = await open(t, { version });
      for (let n = 0; n < 20; n++) {
        await publisher.publish(topic, `${n}`, { qos: 1 });
        const back = await open(t, options);
        await back.complete(await back.expectPublish(topic, `${n}`));
        await back.ping();
        await back.disconnect();
      }
    }
  },
);

t.test(
  'a QoS 2 publish that was received once is delivered, wherever its publisher was cut off',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('cut');
      const subscriber = await open(t, { version });
      await subscriber.subscribe(topic);
      for (const cut of ['at once', 'after PUBREC', 'after PUBREL']) {
        const options = lasting(version, unique('cut'));
        const first = await open(t, options);
        first.sendPublish(topic, cut, { qos: 2, packetId: 1 });
        if (cut !== 'at once') await first.expect('pubrec');
        if (cut === 'after PUBREL') first.ack('pubrel', 1);
        if (cut === 'after PUBREL') await first.expect('pubcomp');
        first.destroy();
        const second = await open(t, options);
        if (cut !== 'after PUBREL') {
          second.sendPublish(topic, cut, { qos: 2, packetId: 1, dup: true });
          await second.expect('pubrec');
        }
        second.ack('pubrel', 1);
        await second.expect('pubcomp');
        await subscriber.expectPublish(topic, cut);
        await subscriber.expectNothing(second);
      }
    }
  },
);

t.test('500 QoS 2 publishes in one segment are taken one by one, or refused at the window', async (t) => {
  const topic = unique('burst');
  const subscriber = await open(t, { version: 4 });
  await subscriber.subscribe(topic);
  const client = await open(t, { version: 4 });
  const ids = Array.from({ length: 500 }, (_, n) => n + 1);
  client.send(
    ...ids.flatMap((packetId) => [
      wire.publish({ version: 4, topic, payload: `${packetId}`, qos: 2, packetId }),
      wire.ack('pubrel', packetId),
    ]),
  );
  for (const packetId of ids) {
    t.equal((await client.expect('pubrec')).packetId, packetId);
    t.equal((await client.expect('pubcomp')).packetId, packetId);
    await subscriber.expectPublish(topic, `${packetId}`);
  }
});

t.test('a subscriber that stops reading costs nobody else anything', async (t) => {
  const stem = unique('slow');
  const [slow, fast, unrelated] = [await open(t), await open(t, { timeoutMs: 10_000 }), await open(t)];
  await slow.subscribe(`${stem}/#`);
  await fast.subscribe(`${stem}/#`, { qos: 1 });
  await unrelated.subscribe(`${stem}-other`);
  slow.pause();
  const publisher = await open(t, { timeoutMs: 10_000 });
  const payload = 'x'.repeat(20_000);
  const count = target === 'mosquitto' ? 200 : 1500;
  for (let n = 0; n < count; n++) {
    const acknowledged = publisher.publish(`${stem}/a`, payload, { qos: 1 });
    await fast.complete(await fast.expectPublish(`${stem}/a`, payload));
    await acknowledged;
  }
  publisher.sendPublish(`${stem}-other`, 'at once');
  await unrelated.expectPublish(`${stem}-other`, 'at once');
});

t.test('a stopped subscriber that reads again is served: QoS 1 whole and in order', async (t) => {
  const topic = unique('resume');
  const slow = await open(t, { timeoutMs: 10_000 });
  await slow.subscribe(topic, { qos: 1 });
  slow.pause();
  const publisher = await open(t, { timeoutMs: 10_000 });
  for (let n = 0; n < 50; n++) await publisher.publish(topic, `${n} ${'x'.repeat(50_000)}`, { qos: 1 });
  slow.resume();
  for (let n = 0; n < 50; n++) {
    const delivery = await slow.expectPublish(topic);
    t.ok(delivery.payload.startsWith(`${n} `));
    await slow.complete(delivery);
  }
});

t.test('overlapping subscriptions and acknowledgements in the same turn end no connection', async (t) => {
  for (const version of VERSIONS) {
    const topic = unique('overlap');
    const subscriber = await open(t, { version, timeoutMs: 10_000 });
    await subscriber.subscribe([
      { filter: topic, qos: 1 },
      { filter: `${topic}/#`, qos: 2 },
      { filter: '+', qos: 1 },
    ]);
    const publisher = await open(t, { version });
    for (let n = 0; n < 100; n++) publisher.sendPublish(topic, `${n}`, { qos: 1, packetId: n + 1 });
    const seen = new Set<string>();
    while (seen.size < 100) {
      const delivery = await subscriber.expect('publish');
      seen.add(delivery.payload);
      await subscriber.complete(delivery);
    }
    await publisher.ping();
  }
});

t.test('messages of many publishers at once all arrive, each once', async (t) => {
  const topic = unique('many');
  const subscriber = await open(t, { timeoutMs: 10_000 });
  await subscriber.subscribe(topic, { qos: 1 });
  const publishers = await Promise.all(Array.from({ length: 20 }, () => open(t)));
  const sends = publishers.map(async (publisher, p) => {
    for (let n = 0; n < 15; n++) await publisher.publish(topic, `${p}-${n}`, { qos: (n % 2) + 1 });
  });
  const seen: string[] = [];
  while (seen.length < 300) {
    const delivery = await subscriber.take('publish', ({ type }) => type === 'publish');
    seen.push(delivery.payload);
    await subscriber.complete(delivery);
  }
  await Promise.all(sends);
  t.equal(new Set(seen).size, 300);
  for (let p = 0; p < 20; p++) {
    const own = seen.filter((payload) => payload.startsWith(`${p}-`));
    t.same(
      own,
      Array.from({ length: 15 }, (_, n) => `${p}-${n}`),
      'in the order of their publisher',
    );
  }
});

t.test(
  'overlapping subscriptions of an absent session lose nothing, neither when one of them is removed',
  async (t) => {
    for (const version of VERSIONS) {
      const stem = unique('absent');
      const options = lasting(version, unique('absent'));
      const first = await open(t, options);
      await first.subscribe([
        { filter: `${stem}/#`, qos: 1 },
        { filter: `${stem}/a/b`, qos: 2 },
      ]);
      await first.disconnect();
      const publisher = await open(t, { version });
      for (const topic of ['a/b', 'c', 'a/b']) await publisher.publish(`${stem}/${topic}`, topic, { qos: 2 });
      const second = await open(t, options);
      const queued = new Set<string>();
      while (queued.size < 2) {
        const delivery = await second.take('publish', ({ type }) => type === 'publish');
        queued.add(delivery.payload);
        await second.complete(delivery);
      }
      await second.unsubscribe(`${stem}/a/b`);
      second.destroy();
      await publisher.publish(`${stem}/a/b`, 'still by the wildcard', { qos: 1 });
      const third = await open(t, options);
      await third.take('publish', ({ payload }) => payload === 'still by the wildcard');
    }
  },
);

t.test(
  'what MQTT 5 offers and early brokers lacked is there: shared subscriptions, several identifiers, windows',
  async (t) => {
    const topic = unique('v5');
    const client = await open(t, { properties: { receiveMaximum: 1, maximumPacketSize: 300 } });
    await client.subscribe(topic, { qos: 1, properties: { subscriptionIdentifier: 1 } });
    await client.subscribe(`$share/g/${topic}`, { qos: 1, properties: { subscriptionIdentifier: 2 } });
    const publisher = await open(t);
    await publisher.publish(topic, 'x'.repeat(500), { qos: 1 });
    await publisher.publish(topic, 'a', { qos: 1 });
    await client.complete(await client.expectPublish(topic, 'a'));
  },
);

t.test('a queue whose first messages have expired does not keep its client out', async (t) => {
  const topic = unique('expired');
  const options = lasting(5, unique('expired'));
  const first = await open(t, options);
  await first.subscribe(topic, { qos: 1 });
  await first.disconnect();
  const publisher = await open(t);
  for (let n = 0; n < 5; n++)
    await publisher.publish(topic, 'gone', { qos: 1, properties: { messageExpiryInterval: 1 } });
  await publisher.publish(topic, 'kept', { qos: 1 });
  await elapse(2100);
  const second = await open(t, options);
  await second.complete(await second.expectPublish(topic, 'kept'));
  await second.expectNothing();
});

t.test('a will that may not be published does not stand in the way of others', async (t) => {
  const guarded = await startServer(t, { acl: 'topic readwrite open/#\n' });
  const watcher = await RawClient.connect(t, guarded.port);
  await watcher.subscribe('open/#');
  for (const topic of ['closed/will', 'open/will']) {
    const client = await RawClient.open(t, guarded.port);
    client.send(wire.connect({ clientId: unique('will'), will: { topic } }));
    await client.expect('connack');
    client.destroy();
  }
  await watcher.expectPublish('open/will');
});

t.test('a client cannot end others, or be heard, by publishing to $SYS', async (t) => {
  const clientId = unique('victim');
  const victim = await open(t, { clientId });
  await victim.subscribe('$SYS/#', { qos: 1 });
  for (const version of VERSIONS) {
    const attacker = await open(t, { version });
    for (const topic of ['$SYS/broker/new/clients', `$SYS/${clientId}/new/clients`, '$SYS/broker/uptime']) {
      attacker.sendPublish(topic, clientId);
    }
    await attacker.ping().catch(() => undefined);
  }
  await victim.ping();
  t.notOk(victim.received.some(({ payload }) => payload === clientId));
});
