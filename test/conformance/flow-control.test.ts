/** Chapters 3.1.2.11.3, 3.2.2.3.3, 3.3.4 and 4.9: Receive Maximum both ways. */
import t, { type Test } from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';

const server = await startServer(t);
const narrow = await startServer(t, { receiveMaximum: 5 });

/** A subscriber with this Receive Maximum and a publisher. */
async function scene(t: Test, receiveMaximum: number) {
  const topic = unique('flow');
  const subscriber = await RawClient.connect(t, server.port, { properties: { receiveMaximum } });
  await subscriber.subscribe(topic, { qos: 2 });
  const publisher = await RawClient.connect(t, server.port);
  return { topic, subscriber, publisher };
}

t.test(
  '5 [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2] no more than Receive Maximum messages are in flight towards a client',
  async (t) => {
    for (const qos of [1, 2]) {
      const { topic, subscriber, publisher } = await scene(t, 3);
      for (let n = 0; n < 10; n++) await publisher.publish(topic, `${n}`, { qos });
      const inFlight = [];
      for (let n = 0; n < 3; n++) inFlight.push(await subscriber.expectPublish(topic, `${n}`));
      await subscriber.expectNothing(publisher);
      for (let n = 3; n < 10; n++) {
        const oldest = inFlight.shift();
        if (oldest !== undefined) await subscriber.complete(oldest);
        inFlight.push(await subscriber.expectPublish(topic, `${n}`));
        await subscriber.expectNothing();
      }
    }
  },
);

t.test('5 [MQTT-3.3.4-9] PUBREC gives no room, PUBCOMP does, and so does a refusing PUBREC', async (t) => {
  const { topic, subscriber, publisher } = await scene(t, 1);
  for (let n = 0; n < 3; n++) await publisher.publish(topic, `${n}`, { qos: 2 });
  const first = await subscriber.expectPublish(topic, '0');
  subscriber.ack('pubrec', first.packetId);
  await subscriber.expect('pubrel');
  await subscriber.expectNothing();
  subscriber.ack('pubcomp', first.packetId);
  const second = await subscriber.expectPublish(topic, '1');
  subscriber.ack('pubrec', second.packetId, 0x97);
  await subscriber.complete(await subscriber.expectPublish(topic, '2'));
});

t.test(
  '5 [MQTT-3.3.4-10] [MQTT-4.9.0-3] a full window holds back PUBLISH at QoS 1 and 2 and nothing else',
  async (t) => {
    const { topic, subscriber, publisher } = await scene(t, 1);
    await publisher.publish(topic, 'held', { qos: 1 });
    const held = await subscriber.expectPublish(topic, 'held');
    await publisher.publish(topic, 'waits', { qos: 1 });
    await subscriber.subscribe(unique('other'));
    await subscriber.unsubscribe(unique('other'));
    await subscriber.publish(unique('other'), 'x', { qos: 2 });
    const quick = unique('quick');
    await subscriber.subscribe(quick);
    publisher.sendPublish(quick, 'QoS 0');
    await subscriber.expectPublish(quick, 'QoS 0');
    await subscriber.complete(held);
    await subscriber.expectPublish(topic, 'waits');
  },
);

t.test(
  '5 [MQTT-4.9.0-1] [MQTT-4.9.0-2] a new connection of the session starts with its own Receive Maximum',
  async (t) => {
    const topic = unique('flow');
    const options = (receiveMaximum: number) => ({
      clientId,
      clean: false,
      properties: { sessionExpiryInterval: 60, receiveMaximum },
    });
    const clientId = unique('flow');
    const first = await RawClient.connect(t, server.port, options(4));
    await first.subscribe(topic, { qos: 1 });
    const publisher = await RawClient.connect(t, server.port);
    for (let n = 0; n < 6; n++) await publisher.publish(topic, `${n}`, { qos: 1 });
    for (let n = 0; n < 4; n++) await first.expectPublish(topic, `${n}`);
    first.destroy();
    const second = await RawClient.connect(t, server.port, options(2));
    for (let n = 0; n < 6; n += 2) {
      const pair = [await second.expectPublish(topic, `${n}`), await second.expectPublish(topic, `${n + 1}`)];
      await second.expectNothing();
      for (const delivery of pair) await second.complete(delivery);
    }
    await second.expectNothing();
  },
);

t.test(
  '5 [MQTT-3.3.4-7] the announced Receive Maximum is the enforced one: one publish more ends the connection with 0x93',
  async (t) => {
    const client = await RawClient.open(t, narrow.port);
    const { receiveMaximum = 65535 } = (await client.connect()).properties;
    t.equal(receiveMaximum, 5);
    const packets = Array.from({ length: 6 }, (_, n) =>
      wire.publish({ topic: 'flow', qos: 2, packetId: n + 1 }),
    );
    for (const packet of packets.slice(0, 5)) {
      client.send(packet);
      await client.expect('pubrec');
    }
    client.send(wire.ack('pubrel', 1));
    await client.expect('pubcomp');
    client.send(wire.publish({ topic: 'flow', qos: 2, packetId: 7 }));
    await client.expect('pubrec');
    client.send(wire.publish({ topic: 'flow', qos: 2, packetId: 8 }));
    await client.expectDisconnect(0x93);
  },
);

t.test(
  '5 [MQTT-3.3.4-7] sending an unreleased QoS 2 publish again takes no further place in the window',
  async (t) => {
    const client = await RawClient.connect(t, narrow.port);
    for (let packetId = 1; packetId <= 5; packetId++) {
      client.send(wire.publish({ topic: 'flow', qos: 2, packetId }));
      await client.expect('pubrec');
    }
    for (let packetId = 1; packetId <= 5; packetId++) {
      client.send(wire.publish({ topic: 'flow', qos: 2, packetId, dup: true }));
      t.equal((await client.expect('pubrec')).packetId, packetId);
    }
  },
);

t.test(
  '5 [MQTT-4.9.0-3] with the window of the client full the server still answers everything else',
  async (t) => {
    const client = await RawClient.connect(t, narrow.port);
    for (let packetId = 1; packetId <= 5; packetId++) {
      client.send(wire.publish({ topic: 'flow', qos: 2, packetId }));
      await client.expect('pubrec');
    }
    await client.expectNothing();
    client.send(wire.subscribe(10, [{ filter: unique('flow') }]));
    await client.expect('suback');
    client.sendPublish('flow', 'QoS 0 has no window');
    await client.expectNothing();
  },
);
