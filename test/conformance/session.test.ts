/** Chapters 3.1.2.4, 3.1.3.1, 3.2.2.1 and 4.1: client ids, Clean Start, Session Present, what a session keeps. */
import t from 'tap';
import { elapse, RawClient, unique, type ConnectOptions } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import { target } from '../support/target.js';
import * as wire from '../support/wire.js';
import type { Version } from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;
const ownLimits = target === 'mosquitto' && 'a limit of the gateway';
const FOREVER = 0xffff_ffff;

/** A connection whose session outlives it. */
const lasting = (version: Version, clientId: string, clean = false): ConnectOptions => ({
  version,
  clientId,
  clean,
  ...(version === 5 && { properties: { sessionExpiryInterval: FOREVER } }),
});

t.test('3.1.1 [MQTT-3.1.3-5] 5 [MQTT-3.1.3-5] ids of 1 to 23 letters and digits are accepted', async (t) => {
  const tail = unique('').replaceAll('-', '');
  for (const version of VERSIONS) {
    const alphabet = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
    for (const clientId of ['Z', (tail + alphabet).slice(0, 23), (tail + alphabet.slice(39)).slice(0, 23)]) {
      const client = await RawClient.connect(t, server.port, { version, clientId });
      await client.disconnect();
    }
  }
});

t.test(
  '3.1.1 [MQTT-3.1.3-6] [MQTT-3.1.3-7] 5 [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] a client without an id gets one of its own',
  async (t) => {
    const ids = new Set<string>();
    for (let n = 0; n < 3; n++) {
      const client = await RawClient.open(t, server.port);
      const { properties } = await client.connect({ clientId: '' });
      ids.add(properties.assignedClientIdentifier ?? '');
      t.match(properties.assignedClientIdentifier, /./);
    }
    t.equal(ids.size, 3, 'no two are the same');
    const first = await RawClient.connect(t, server.port, { version: 4, clientId: '' });
    const second = await RawClient.connect(t, server.port, { version: 4, clientId: '' });
    await second.ping();
    await first.expectNothing();
  },
);

t.test('5 [MQTT-3.1.3-7] an assigned id names the session like any other', async (t) => {
  const first = await RawClient.open(t, server.port);
  const { properties } = await first.connect({ clientId: '', properties: { sessionExpiryInterval: 60 } });
  const clientId = properties.assignedClientIdentifier ?? '';
  const topic = unique('assigned');
  await first.subscribe(topic, { qos: 1 });
  await first.disconnect();
  const back = await RawClient.open(t, server.port);
  const connack = await back.connect({ clientId, clean: false });
  t.equal(connack.sessionPresent, true);
  t.equal(connack.properties.assignedClientIdentifier, undefined, 'only a client without an id is told one');
});

t.test('3.1.1 [MQTT-3.1.3-8] [MQTT-3.1.3-9] an empty id with Clean Session 0 is rejected', async (t) => {
  const client = await RawClient.open(t, server.port, { version: 4 });
  client.send(wire.connect({ version: 4, clientId: '', clean: false }));
  const connack = await client.expect('connack');
  t.equal(connack.reasonCode, 0x02);
  t.equal(connack.ackFlags, 0);
  await client.expectClose();
});

t.test(
  '3.1.1 [MQTT-3.1.3-9] 5 [MQTT-3.1.3-8] an id that the server does not want is rejected by its code',
  { skip: ownLimits },
  async (t) => {
    for (const version of VERSIONS) {
      const client = await RawClient.open(t, server.port, { version });
      client.send(wire.connect({ version, clientId: 'x'.repeat(257) }));
      await client.expectRefused(version === 5 ? 0x85 : 0x02);
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.1.2-4] [MQTT-3.1.3-2] [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT-3.1.4-3] 5 [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.2.2-3] [MQTT-3.1.4-4] [MQTT-3.1.3-2] a session is created, then resumed, and Session Present tells',
  async (t) => {
    for (const version of VERSIONS) {
      const clientId = unique('resume');
      const topic = unique('resume');
      const first = await RawClient.open(t, server.port, { version });
      t.equal((await first.connect(lasting(version, clientId))).sessionPresent, false);
      await first.subscribe(topic, { qos: 1 });
      await first.disconnect();
      const second = await RawClient.open(t, server.port, { version });
      t.equal((await second.connect(lasting(version, clientId))).sessionPresent, true);
      await second.publish(topic, 'still subscribed', { qos: 1 });
      t.equal((await second.take('publish', ({ type }) => type === 'publish')).payload, 'still subscribed');
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.1.2-6] [MQTT-3.2.2-1] 5 [MQTT-3.1.2-4] [MQTT-3.2.2-2] a clean start discards the session, its subscriptions and its queue',
  async (t) => {
    for (const version of VERSIONS) {
      const clientId = unique('clean');
      const topic = unique('clean');
      const first = await RawClient.connect(t, server.port, lasting(version, clientId));
      await first.subscribe(topic, { qos: 1 });
      await first.disconnect();
      const publisher = await RawClient.connect(t, server.port, { version });
      await publisher.publish(topic, 'queued', { qos: 1 });
      const second = await RawClient.open(t, server.port, { version });
      t.equal((await second.connect({ version, clientId, clean: true })).sessionPresent, false);
      await publisher.publish(topic, 'live', { qos: 1 });
      await second.expectNothing(publisher);
      await second.disconnect();
      const third = await RawClient.open(t, server.port, { version });
      t.equal(
        (await third.connect(lasting(version, clientId))).sessionPresent,
        false,
        'it ended with its connection',
      );
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.1.2-5] [MQTT-4.5.0-1] [MQTT-4.1.0-1] 5 [MQTT-3.1.2-23] [MQTT-4.5.0-1] QoS 1 and 2 messages wait for a session without a connection, each QoS in order',
  async (t) => {
    for (const version of VERSIONS) {
      const clientId = unique('queue');
      const topic = unique('queue');
      const first = await RawClient.connect(t, server.port, lasting(version, clientId));
      await first.subscribe(topic, { qos: 2 });
      first.destroy();
      const publisher = await RawClient.connect(t, server.port, { version });
      for (let n = 0; n < 10; n++) await publisher.publish(topic, String(n), { qos: (n % 2) + 1 });
      const second = await RawClient.connect(t, server.port, lasting(version, clientId));
      const received: string[][] = [[], [], []];
      for (let n = 0; n < 10; n++) {
        const delivery = await second.expectPublish(topic);
        received[delivery.qos]?.push(delivery.payload);
        t.equal(delivery.dup, false, 'it was not sent before');
        await second.complete(delivery);
      }
      t.same(received, [[], ['0', '2', '4', '6', '8'], ['1', '3', '5', '7', '9']]);
      await second.expectNothing();
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.1.2-7] 5 [MQTT-3.3.1-5] retained messages survive the session that published them',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('kept');
      const first = await RawClient.connect(t, server.port, { version });
      await first.publish(topic, 'kept', { qos: 1, retain: true });
      await first.disconnect();
      const second = await RawClient.connect(t, server.port, { version });
      await second.subscribe(topic);
      await second.expectPublish(topic, 'kept');
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.1.0-2] 5 [MQTT-4.1.0-1] [MQTT-4.2.0-1] a session lasts as long as its connection, whatever its expiry',
  async (t) => {
    const topic = unique('alive');
    const client = await RawClient.connect(t, server.port, { properties: { sessionExpiryInterval: 1 } });
    const plain = await RawClient.connect(t, server.port, { version: 4 });
    await client.subscribe(topic);
    await plain.subscribe(topic);
    await elapse(1300);
    client.sendPublish(topic, 'x');
    await client.expectPublish(topic, 'x');
    await plain.expectPublish(topic, 'x');
  },
);

t.test(
  '5 [MQTT-4.1.0-2] [MQTT-3.1.2-23] a session is gone once its expiry has passed, and not before',
  async (t) => {
    const clientId = unique('expiry');
    const options: ConnectOptions = { clientId, clean: false, properties: { sessionExpiryInterval: 1 } };
    const first = await RawClient.connect(t, server.port, options);
    first.destroy();
    const second = await RawClient.open(t, server.port);
    t.equal((await second.connect(options)).sessionPresent, true, 'at once');
    await second.disconnect();
    await elapse(2200);
    const third = await RawClient.open(t, server.port);
    t.equal((await third.connect(options)).sessionPresent, false, 'after its interval');
  },
);

t.test('5 [MQTT-4.1.0-2] without an expiry the session ends with its connection', async (t) => {
  const clientId = unique('none');
  const first = await RawClient.connect(t, server.port, { clientId, clean: false });
  await first.subscribe(unique('none'));
  await first.disconnect();
  const second = await RawClient.open(t, server.port);
  t.equal((await second.connect({ clientId, clean: false })).sessionPresent, false);
});

t.test('5 [MQTT-3.1.2-23] DISCONNECT may change the expiry of the session', async (t) => {
  const clientId = unique('longer');
  const first = await RawClient.connect(t, server.port, {
    clientId,
    properties: { sessionExpiryInterval: 60 },
  });
  await first.disconnect(0, { sessionExpiryInterval: 0 });
  const second = await RawClient.open(t, server.port);
  const connack = await second.connect({ clientId, clean: false, properties: { sessionExpiryInterval: 1 } });
  t.equal(connack.sessionPresent, false, 'shortened to nothing');
  await second.disconnect(0, { sessionExpiryInterval: 60 });
  await elapse(1500);
  const third = await RawClient.open(t, server.port);
  t.equal((await third.connect({ clientId, clean: false })).sessionPresent, true, 'lengthened');
});

t.test('5 [MQTT-4.13.1-1] DISCONNECT may not give an expiry to a session that had none', async (t) => {
  const client = await RawClient.connect(t, server.port);
  client.send(wire.disconnect(0, { sessionExpiryInterval: 10 }));
  await client.expectDisconnect(0x82);
});

t.test(
  '3.1.1 [MQTT-3.1.4-2] 5 [MQTT-3.1.4-3] [MQTT-3.14.4-2] a second connection of a client takes over: the first is told and closed',
  async (t) => {
    for (const version of VERSIONS) {
      const clientId = unique('takeover');
      const topic = unique('takeover');
      const first = await RawClient.connect(t, server.port, lasting(version, clientId));
      await first.subscribe(topic, { qos: 1 });
      const second = await RawClient.open(t, server.port, { version });
      t.equal((await second.connect(lasting(version, clientId))).sessionPresent, true);
      await first.expectDisconnect(0x8e);
      await second.publish(topic, 'once', { qos: 1 });
      await second.take('publish', ({ payload }) => payload === 'once');
      await second.expectNothing();
    }
  },
);

t.test('3.1.1 [MQTT-3.1.4-2] 5 [MQTT-3.1.4-3] versions take over from each other', async (t) => {
  const clientId = unique('versions');
  const old = await RawClient.connect(t, server.port, { version: 4, clientId });
  const young = await RawClient.connect(t, server.port, { version: 5, clientId });
  await old.expectDisconnect([]);
  await RawClient.connect(t, server.port, { version: 4, clientId });
  await young.expectDisconnect(0x8e);
});

t.test(
  '3.1.1 [MQTT-3.1.4-2] 5 [MQTT-3.1.4-3] of many connections of one client at once, exactly one remains',
  async (t) => {
    for (const version of VERSIONS) {
      const clientId = unique('storm');
      const clients = await Promise.all(
        Array.from({ length: 8 }, () => RawClient.open(t, server.port, { version })),
      );
      await Promise.all(clients.map((client) => client.connect({ clientId }).catch(() => undefined)));
      const alive = await Promise.all(
        clients.map((client) =>
          client.ping().then(
            () => true,
            () => false,
          ),
        ),
      );
      t.equal(alive.filter(Boolean).length, 1);
    }
  },
);
