/** Chapters 3.3.1, 4.3, 4.4 and 4.6: what the server sends to subscribers. */
import t, { type Test } from 'tap';
import { elapse, RawClient, unique, type ConnectOptions, type Received } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import type { Version } from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;

const lasting = (version: Version, clientId: string): ConnectOptions => ({
  version,
  clientId,
  clean: false,
  ...(version === 5 && { properties: { sessionExpiryInterval: 60 } }),
});

/** A subscriber with a lasting session at QoS 2 and a publisher. */
async function scene(t: Test, version: Version) {
  const topic = unique('delivery');
  const options = lasting(version, unique('delivery'));
  const subscriber = await RawClient.connect(t, server.port, options);
  await subscriber.subscribe(topic, { qos: 2 });
  const publisher = await RawClient.connect(t, server.port, { version });
  const reconnect = (): Promise<RawClient> => RawClient.connect(t, server.port, options);
  return { topic, subscriber, publisher, reconnect };
}

t.test(
  '3.1.1 [MQTT-3.8.4-6] [MQTT-4.3.1-1] [MQTT-4.3.2-1] [MQTT-4.3.3-1] 5 [MQTT-3.8.4-8] [MQTT-4.3.1-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2] a message goes out at the lower of its QoS and the granted one, with DUP 0',
  async (t) => {
    for (const version of VERSIONS) {
      const publisher = await RawClient.connect(t, server.port, { version });
      for (const granted of [0, 1, 2]) {
        const topic = unique('min');
        const subscriber = await RawClient.connect(t, server.port, { version });
        await subscriber.subscribe(topic, { qos: granted });
        for (const qos of [0, 1, 2]) {
          await publisher.publish(topic, `${qos}`, { qos });
          const delivery = await subscriber.expectPublish(topic, `${qos}`);
          t.equal(delivery.qos, Math.min(qos, granted), `${qos} to ${granted}`);
          t.equal(delivery.dup, false);
          await subscriber.complete(delivery);
        }
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-2.3.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] 5 [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] messages in flight have packet ids of their own, none of them 0',
  async (t) => {
    for (const version of VERSIONS) {
      const { topic, subscriber, publisher } = await scene(t, version);
      const ids = new Set<number>();
      for (let n = 0; n < 20; n++) await publisher.publish(topic, `${n}`, { qos: (n % 2) + 1 });
      for (let n = 0; n < 20; n++) ids.add((await subscriber.expectPublish(topic, `${n}`)).packetId);
      t.equal(ids.size, 20);
      t.notOk(ids.has(0));
    }
  },
);

t.test(
  '3.1.1 [MQTT-2.3.1-4] 5 [MQTT-2.2.1-4] an id that is still in flight is not used again when the ids have gone round',
  async (t) => {
    const { topic, subscriber, publisher } = await scene(t, 5);
    await publisher.publish(topic, 'held', { qos: 1 });
    const { packetId } = await subscriber.expectPublish(topic, 'held');
    for (let n = 0; n < 200; n++) {
      await publisher.publish(topic, `${n}`, { qos: 1 });
      const delivery = await subscriber.expectPublish(topic, `${n}`);
      t.not(delivery.packetId, packetId);
      await subscriber.complete(delivery);
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.3.3-1] [MQTT-2.3.1-6] 5 [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-2.2.1-5] PUBREC is answered with PUBREL of the same id, each time',
  async (t) => {
    for (const version of VERSIONS) {
      const { topic, subscriber, publisher } = await scene(t, version);
      await publisher.publish(topic, 'x', { qos: 2 });
      const { packetId } = await subscriber.expectPublish(topic, 'x');
      for (let n = 0; n < 2; n++) {
        subscriber.ack('pubrec', packetId);
        const pubrel = await subscriber.expect('pubrel');
        t.equal(pubrel.packetId, packetId);
        t.equal(pubrel.flags, 2);
      }
      subscriber.ack('pubcomp', packetId);
      await subscriber.expectNothing();
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-2.3.1-4] 5 [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.3.2-3] [MQTT-4.3.3-3] what was not acknowledged is sent again after a reconnect: same id, DUP, same order',
  async (t) => {
    for (const version of VERSIONS) {
      const { topic, subscriber, publisher, reconnect } = await scene(t, version);
      const sent: Received[] = [];
      for (let n = 0; n < 6; n++) await publisher.publish(topic, `${n}`, { qos: (n % 2) + 1 });
      for (let n = 0; n < 6; n++) sent.push(await subscriber.expectPublish(topic, `${n}`));
      subscriber.destroy();
      for (let round = 0; round < 2; round++) {
        const back = await reconnect();
        for (const before of sent) {
          const again = await back.expectPublish(topic, before.payload);
          t.equal(again.packetId, before.packetId);
          t.equal(again.dup, true);
          t.equal(again.qos, before.qos);
          if (round === 1) await back.complete(again);
        }
        await back.expectNothing();
        back.destroy();
      }
      await (await reconnect()).expectNothing();
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.4.0-1] [MQTT-4.3.3-1] 5 [MQTT-4.4.0-1] [MQTT-4.3.3-5] [MQTT-4.3.3-6] after PUBREC only PUBREL is sent again',
  async (t) => {
    for (const version of VERSIONS) {
      const { topic, subscriber, publisher, reconnect } = await scene(t, version);
      await publisher.publish(topic, 'x', { qos: 2 });
      const { packetId } = await subscriber.expectPublish(topic, 'x');
      subscriber.ack('pubrec', packetId);
      await subscriber.expect('pubrel');
      subscriber.destroy();
      for (let round = 0; round < 2; round++) {
        const back = await reconnect();
        t.equal((await back.expect('pubrel')).packetId, packetId);
        await back.expectNothing();
        if (round === 1) {
          back.ack('pubcomp', packetId);
          await back.ping();
        }
        back.destroy();
      }
      await (await reconnect()).expectNothing();
    }
  },
);

t.test('3.1.1 [MQTT-4.4.0-1] 5 [MQTT-4.4.0-1] nothing is sent again while a connection lasts', async (t) => {
  const { topic, subscriber, publisher } = await scene(t, 5);
  await publisher.publish(topic, 'x', { qos: 1 });
  await subscriber.expectPublish(topic, 'x');
  await elapse(1500);
  await subscriber.expectNothing(publisher);
});

t.test(
  '5 [MQTT-4.4.0-2] [MQTT-4.3.3-9] a delivery that the client refuses counts as acknowledged',
  async (t) => {
    const { topic, subscriber, publisher, reconnect } = await scene(t, 5);
    await publisher.publish(topic, '1', { qos: 1 });
    await publisher.publish(topic, '2', { qos: 2 });
    subscriber.ack('puback', (await subscriber.expectPublish(topic, '1')).packetId, 0x83);
    subscriber.ack('pubrec', (await subscriber.expectPublish(topic, '2')).packetId, 0x80);
    await subscriber.expectNothing();
    subscriber.destroy();
    await (await reconnect()).expectNothing();
  },
);

t.test(
  '3.1.1 [MQTT-4.6.0-1] [MQTT-4.6.0-5] [MQTT-4.6.0-6] 5 [MQTT-4.6.0-5] [MQTT-4.6.0-6] messages of one publisher and topic keep their order',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('order');
      const subscriber = await RawClient.connect(t, server.port, { version });
      await subscriber.subscribe(topic, { qos: 2 });
      const publisher = await RawClient.connect(t, server.port, { version });
      // More than a window holds, so that some wait in the queue.
      for (const qos of [0, 1, 2]) {
        for (let n = 0; n < 150; n++) await publisher.publish(topic, `${n}`, { qos });
        for (let n = 0; n < 150; n++) {
          const delivery = await subscriber.expectPublish(topic, `${n}`);
          await subscriber.complete(delivery);
        }
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.6.0-5] [MQTT-4.6.0-6] 5 [MQTT-4.6.0-5] QoS 1 and 2 keep their order also when they are published without waiting',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('order');
      const subscriber = await RawClient.connect(t, server.port, { version });
      await subscriber.subscribe(topic, { qos: 2 });
      const publisher = await RawClient.connect(t, server.port, { version });
      for (const qos of [1, 2]) {
        for (let n = 0; n < 18; n++) publisher.sendPublish(topic, `${n}`, { qos, packetId: n + 1 });
        if (qos === 2) for (let n = 0; n < 18; n++) publisher.ack('pubrel', n + 1);
        for (let n = 0; n < 18; n++) await subscriber.complete(await subscriber.expectPublish(topic, `${n}`));
        await publisher.ping();
      }
    }
  },
);

t.test('3.1.1 [MQTT-4.6.0-4] 5 [MQTT-4.6.0-4] PUBRELs follow the order of the PUBRECs', async (t) => {
  for (const version of VERSIONS) {
    const { topic, subscriber, publisher } = await scene(t, version);
    const ids: number[] = [];
    for (let n = 0; n < 5; n++) await publisher.publish(topic, `${n}`, { qos: 2 });
    for (let n = 0; n < 5; n++) ids.push((await subscriber.expectPublish(topic, `${n}`)).packetId);
    for (const packetId of ids) subscriber.ack('pubrec', packetId);
    for (const packetId of ids) t.equal((await subscriber.expect('pubrel')).packetId, packetId);
  }
});

t.test(
  '5 [MQTT-4.5.0-1] 3.1.1 [MQTT-4.5.0-1] a message reaches every matching client, whatever its version',
  async (t) => {
    const topic = unique('all');
    const subscribers = await Promise.all(
      ([3, 4, 5] as const).map(async (version) => {
        const subscriber = await RawClient.connect(t, server.port, { version });
        await subscriber.subscribe(topic, { qos: 1 });
        return subscriber;
      }),
    );
    for (const version of [3, 4, 5] as const) {
      const publisher = await RawClient.connect(t, server.port, { version });
      await publisher.publish(topic, `from ${version}`, { qos: 1 });
      for (const subscriber of subscribers) {
        await subscriber.complete(await subscriber.expectPublish(topic, `from ${version}`));
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.5.0-1] 5 [MQTT-4.5.0-1] an empty and a large payload arrive as they were',
  async (t) => {
    for (const version of VERSIONS) {
      const { topic, subscriber, publisher } = await scene(t, version);
      for (const payload of ['', 'x'.repeat(200_000)]) {
        await publisher.publish(topic, payload, { qos: 1 });
        await subscriber.complete(await subscriber.expectPublish(topic, payload));
      }
    }
  },
);
