/** Chapter 3.3.1.3: retained messages. */
import t, { type Test } from 'tap';
import { RawClient, unique, type SubscribeOptions } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';
import type { Version } from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;

const open = (t: Test, version: Version): Promise<RawClient> =>
  RawClient.connect(t, server.port, { version });

/** Subscribes anew and says what is sent for it, until a PINGRESP. */
async function retainedOf(t: Test, version: Version, filter: string, options: SubscribeOptions = { qos: 2 }) {
  const client = await open(t, version);
  await client.subscribe(filter, options);
  await client.ping();
  return client.received.filter(({ type }) => type === 'publish');
}

t.test(
  '3.1.1 [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-8] 5 [MQTT-3.3.1-5] [MQTT-3.3.1-9] a new subscription gets the last retained message of each matching topic, with RETAIN 1',
  async (t) => {
    for (const version of VERSIONS) {
      const stem = unique('retained');
      const publisher = await open(t, version);
      for (const qos of [0, 1, 2]) {
        await publisher.publish(`${stem}/${qos}`, 'old', { qos, retain: true });
        await publisher.publish(`${stem}/${qos}`, 'new', { qos, retain: true });
      }
      await publisher.publish(`${stem}/not`, 'live', { qos: 1 });
      await publisher.ping();
      const seen = await retainedOf(t, version, `${stem}/+`);
      const rows = seen.map(({ topic, payload, qos, retain }) => [topic, payload, qos, retain]).sort();
      t.same(
        rows,
        [0, 1, 2].map((qos) => [`${stem}/${qos}`, 'new', qos, true]),
      );
      t.equal((await retainedOf(t, version, stem)).length, 0);
      t.equal((await retainedOf(t, version, `${stem}/#`)).length, 3);
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.3.1-7] 5 [MQTT-3.3.1-5] a retained QoS 0 message replaces what was retained',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('retained');
      const publisher = await open(t, version);
      await publisher.publish(topic, 'old', { qos: 2, retain: true });
      await publisher.publish(topic, 'new', { qos: 0, retain: true });
      await publisher.ping();
      const seen = await retainedOf(t, version, topic);
      t.same(
        seen.map(({ payload, qos }) => [payload, qos]),
        [['new', 0]],
      );
    }
  },
);

t.test('3.1.1 [MQTT-3.3.1-9] 5 [MQTT-3.3.1-12] an established subscription gets RETAIN 0', async (t) => {
  for (const version of VERSIONS) {
    const topic = unique('retained');
    const subscriber = await open(t, version);
    await subscriber.subscribe(topic);
    const publisher = await open(t, version);
    await publisher.publish(topic, 'x', { qos: 1, retain: true });
    t.equal((await subscriber.expectPublish(topic, 'x')).retain, false);
  }
});

t.test('5 [MQTT-3.3.1-13] with Retain As Published RETAIN is what the publisher set', async (t) => {
  const topic = unique('retained');
  const subscriber = await open(t, 5);
  await subscriber.subscribe(topic, { retainAsPublished: true });
  const publisher = await open(t, 5);
  for (const retain of [true, false, true]) {
    await publisher.publish(topic, `${retain}`, { qos: 1, retain });
    t.equal((await subscriber.expectPublish(topic, `${retain}`)).retain, retain);
  }
});

t.test(
  '3.1.1 [MQTT-3.3.1-10] [MQTT-3.3.1-11] 5 [MQTT-3.3.1-6] [MQTT-3.3.1-7] an empty retained message is delivered and removes what was retained',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('retained');
      const subscriber = await open(t, version);
      await subscriber.subscribe(topic);
      const publisher = await open(t, version);
      await publisher.publish(topic, 'kept', { qos: 1, retain: true });
      await subscriber.expectPublish(topic, 'kept');
      await publisher.publish(topic, '', { qos: 1, retain: true });
      t.equal((await subscriber.expectPublish(topic, '')).retain, false);
      t.equal((await retainedOf(t, version, topic)).length, 0);
      await publisher.publish(topic, '', { qos: 1, retain: true });
      t.equal((await retainedOf(t, version, topic)).length, 0, 'nothing to remove');
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.3.1-12] 5 [MQTT-3.3.1-8] a publish without RETAIN neither stores nor removes',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('retained');
      const publisher = await open(t, version);
      await publisher.publish(topic, 'kept', { qos: 1, retain: true });
      await publisher.publish(topic, 'other', { qos: 1 });
      await publisher.publish(topic, '', { qos: 1 });
      t.same(
        (await retainedOf(t, version, topic)).map(({ payload }) => payload),
        ['kept'],
      );
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.8.4-3] 5 [MQTT-3.8.4-4] [MQTT-3.3.1-9] subscribing again sends retained messages again',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('retained');
      const client = await open(t, version);
      await client.publish(topic, 'kept', { qos: 1, retain: true });
      for (let n = 0; n < 3; n++) {
        await client.subscribe(topic);
        t.equal((await client.expectPublish(topic, 'kept')).retain, true);
      }
    }
  },
);

t.test(
  '5 [MQTT-3.3.1-10] Retain Handling 1 sends retained messages only to a subscription that is new',
  async (t) => {
    const topic = unique('retained');
    const client = await open(t, 5);
    await client.publish(topic, 'kept', { qos: 1, retain: true });
    await client.subscribe(topic, { retainHandling: 1 });
    await client.expectPublish(topic, 'kept');
    await client.subscribe(topic, { retainHandling: 1 });
    await client.expectNothing();
    await client.unsubscribe(topic);
    await client.subscribe(topic, { retainHandling: 1 });
    await client.expectPublish(topic, 'kept');
  },
);

t.test('5 [MQTT-3.3.1-10] Retain Handling 1 remembers the subscriptions of a resumed session', async (t) => {
  const topic = unique('retained');
  const options = { clientId: unique('rh'), clean: false, properties: { sessionExpiryInterval: 60 } };
  const first = await RawClient.connect(t, server.port, options);
  await first.publish(topic, 'kept', { qos: 1, retain: true });
  await first.subscribe(topic, { retainHandling: 1 });
  await first.expectPublish(topic, 'kept');
  await first.disconnect();
  const second = await RawClient.connect(t, server.port, options);
  await second.subscribe(topic, { retainHandling: 1 });
  await second.expectNothing();
});

t.test('5 [MQTT-3.3.1-11] Retain Handling 2 sends no retained messages', async (t) => {
  const topic = unique('retained');
  const client = await open(t, 5);
  await client.publish(topic, 'kept', { qos: 1, retain: true });
  await client.subscribe(topic, { retainHandling: 2 });
  await client.expectNothing();
  await client.publish(topic, 'live', { qos: 1 });
  t.equal((await client.take('publish', ({ type }) => type === 'publish')).payload, 'live');
});

t.test(
  '3.1.1 [MQTT-3.3.1-6] 5 [MQTT-3.3.1-9] retained messages are sent at the lower of their QoS and the granted one',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('retained');
      const publisher = await open(t, version);
      await publisher.publish(topic, 'kept', { qos: 2, retain: true });
      for (const qos of [0, 1, 2]) {
        t.same(
          (await retainedOf(t, version, topic, { qos })).map((packet) => packet.qos),
          [qos],
        );
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.7.2-1] 5 [MQTT-4.7.2-1] retained $ topics do not match a leading wildcard',
  async (t) => {
    for (const version of VERSIONS) {
      const seen = await retainedOf(t, version, '#');
      t.notOk(seen.some(({ topic }) => topic.startsWith('$')));
    }
  },
);

t.test(
  '5 [MQTT-3.2.2-13] [MQTT-3.2.2-14] where messages cannot be retained CONNACK says so, a retained will is refused and a retained publish too',
  async (t) => {
    const without = await startServer(t, { retain: false });
    const client = await RawClient.open(t, without.port);
    t.equal((await client.connect()).properties.retainAvailable, 0);
    client.sendPublish('a', 'x', { qos: 1, packetId: 1, retain: true });
    await client.expectDisconnect(0x9a);
    const other = await RawClient.open(t, without.port);
    other.send(wire.connect({ clientId: unique('w'), will: { retain: true } }));
    await other.expectRefused(0x9a);
  },
);
