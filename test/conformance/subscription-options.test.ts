/** Chapters 3.3.4 and 3.8.3.1: No Local, Subscription Identifiers, overlapping subscriptions. */
import t, { type Test } from 'tap';
import { RawClient, unique, type Received } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import type { Version } from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;

const open = (t: Test, version: Version = 5): Promise<RawClient> =>
  RawClient.connect(t, server.port, { version });

/** Publishes at QoS 2 and returns what the subscriber got for it. */
async function copies(subscriber: RawClient, publisher: RawClient, topic: string): Promise<Received[]> {
  await publisher.publish(topic, 'x', { qos: 2 });
  await publisher.ping();
  await subscriber.ping();
  const publishes = subscriber.drain().filter(({ type }) => type === 'publish');
  for (const one of publishes) await subscriber.complete(one);
  return publishes;
}

t.test(
  '3.1.1 [MQTT-3.3.5-1] [MQTT-3.3.2-3] 5 [MQTT-3.3.4-2] [MQTT-3.3.2-3] overlapping subscriptions deliver at the highest of their QoS',
  async (t) => {
    for (const version of VERSIONS) {
      const stem = unique('overlap');
      const subscriber = await open(t, version);
      await subscriber.subscribe([
        { filter: `${stem}/#`, qos: 0 },
        { filter: `${stem}/a`, qos: 2 },
        { filter: `${stem}/+`, qos: 1 },
      ]);
      const publisher = await open(t, version);
      const publishes = await copies(subscriber, publisher, `${stem}/a`);
      t.equal(Math.max(...publishes.map(({ qos }) => qos)), 2);
      t.ok(publishes.every(({ topic }) => topic === `${stem}/a`));
      const [only] = await copies(subscriber, publisher, `${stem}/b`);
      t.equal(only?.qos, 1);
    }
  },
);

t.test(
  '5 [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5] one delivery carries the identifiers of all matching subscriptions',
  async (t) => {
    const stem = unique('ids');
    const subscriber = await open(t);
    await subscriber.subscribe(`${stem}/#`, { qos: 1, properties: { subscriptionIdentifier: 1 } });
    await subscriber.subscribe(`${stem}/+`, { qos: 2, properties: { subscriptionIdentifier: 268_435_455 } });
    await subscriber.subscribe(`${stem}/a`, { qos: 0 });
    const publisher = await open(t);
    const all = await copies(subscriber, publisher, `${stem}/a`);
    t.equal(all.length, 1, 'one delivery');
    t.same(all[0]?.subscriptionIdentifiers.sort(), [1, 268_435_455]);
    t.equal(all[0]?.qos, 2);
    const deep = await copies(subscriber, publisher, `${stem}/a/b`);
    t.same(
      deep.map((packet) => packet.subscriptionIdentifiers),
      [[1]],
    );
  },
);

t.test(
  '5 [MQTT-3.3.4-3] the identifier is replaced with its subscription, and absent where none was given',
  async (t) => {
    const topic = unique('ids');
    const subscriber = await open(t);
    const publisher = await open(t);
    for (const id of [7, 200, undefined, 70_000]) {
      await subscriber.subscribe(topic, { ...(id && { properties: { subscriptionIdentifier: id } }) });
      const [delivery] = await copies(subscriber, publisher, topic);
      t.same(delivery?.subscriptionIdentifiers, id === undefined ? [] : [id]);
    }
  },
);

t.test('5 [MQTT-3.3.4-3] retained messages and a resumed session carry the identifier too', async (t) => {
  const topic = unique('ids');
  const options = { clientId: unique('ids'), clean: false, properties: { sessionExpiryInterval: 60 } };
  const publisher = await open(t);
  await publisher.publish(topic, 'kept', { qos: 1, retain: true });
  const first = await RawClient.connect(t, server.port, options);
  await first.subscribe(topic, { qos: 1, properties: { subscriptionIdentifier: 9 } });
  const kept = await first.expectPublish(topic, 'kept');
  t.same(kept.subscriptionIdentifiers, [9]);
  await first.complete(kept);
  await first.disconnect();
  await publisher.publish(topic, 'queued', { qos: 1 });
  const second = await RawClient.connect(t, server.port, options);
  t.same((await second.expectPublish(topic, 'queued')).subscriptionIdentifiers, [9]);
});

t.test(
  '5 [MQTT-3.3.4-3] an identifier belongs to all filters of its SUBSCRIBE and to no other client',
  async (t) => {
    const stem = unique('ids');
    const first = await open(t);
    const second = await open(t);
    await first.subscribe([`${stem}/a`, `${stem}/b`], { properties: { subscriptionIdentifier: 5 } });
    await second.subscribe(`${stem}/+`, { properties: { subscriptionIdentifier: 6 } });
    for (const leaf of ['a', 'b']) {
      t.same(
        (await copies(first, first, `${stem}/${leaf}`)).map((p) => p.subscriptionIdentifiers),
        [[5]],
      );
      t.same((await second.expectPublish(`${stem}/${leaf}`)).subscriptionIdentifiers, [6]);
    }
  },
);

t.test(
  '5 [MQTT-3.8.3-3] No Local keeps messages from the client that published them, and only from it',
  async (t) => {
    const topic = unique('local');
    const client = await open(t);
    const other = await open(t);
    await client.subscribe(topic, { noLocal: true });
    await other.subscribe(topic);
    await client.publish(topic, 'mine', { qos: 1 });
    await client.expectNothing();
    await other.expectPublish(topic, 'mine');
    await other.publish(topic, 'yours', { qos: 1 });
    await client.expectPublish(topic, 'yours');
    await client.subscribe(topic, { noLocal: false });
    await client.publish(topic, 'mine again', { qos: 1 });
    await client.take('publish', ({ payload }) => payload === 'mine again');
  },
);

t.test('5 [MQTT-3.8.3-3] No Local of one subscription leaves an overlapping one alone', async (t) => {
  const stem = unique('local');
  const client = await open(t);
  await client.subscribe(`${stem}/#`, { qos: 2, noLocal: true, properties: { subscriptionIdentifier: 1 } });
  await client.subscribe(`${stem}/a`, { qos: 1, properties: { subscriptionIdentifier: 2 } });
  const publishes = await copies(client, client, `${stem}/a`);
  t.same(
    publishes.map((packet) => packet.subscriptionIdentifiers),
    [[2]],
  );
  t.equal(publishes[0]?.qos, 1);
});

t.test('5 [MQTT-3.3.1-12] [MQTT-3.3.1-13] Retain As Published holds for each subscription', async (t) => {
  const topic = unique('rap');
  const one = await open(t);
  const two = await open(t);
  await one.subscribe(topic, { retainAsPublished: true });
  await two.subscribe(topic);
  await one.publish(topic, 'x', { qos: 1, retain: true });
  t.equal((await one.take('publish', ({ type }) => type === 'publish')).retain, true);
  t.equal((await two.expectPublish(topic)).retain, false);
});

t.test(
  '5 [MQTT-3.8.4-7] CONNACK announces wildcard, shared and identified subscriptions, or leaves them at their default',
  async (t) => {
    const client = await RawClient.open(t, server.port);
    const { properties } = await client.connect();
    t.not(properties.wildcardSubscriptionAvailable, 0);
    t.not(properties.sharedSubscriptionAvailable, 0);
    t.not(properties.subscriptionIdentifierAvailable, 0);
    t.not(properties.retainAvailable, 0);
    t.equal(properties.maximumQoS, undefined, 'a server that does QoS 2 sends no Maximum QoS');
    const filters = ['+', `$share/g/${unique('cap')}`];
    t.same((await client.subscribe(filters, { qos: 2 })).reasonCodes, [2, 2]);
  },
);
