/** Chapters 3.1.2.11.4 and 3.2.2.3.6: Maximum Packet Size both ways. */
import t from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';

const server = await startServer(t);
const small = await startServer(t, { packetMaxBytes: 2000 });

t.test(
  '5 [MQTT-3.1.2-24] [MQTT-3.1.2-25] a message too large for a client is not sent and counts as delivered',
  async (t) => {
    for (const qos of [0, 1, 2]) {
      const topic = unique('size');
      const limited = await RawClient.connect(t, server.port, {
        properties: { maximumPacketSize: 200, receiveMaximum: 1 },
      });
      const other = await RawClient.connect(t, server.port);
      await limited.subscribe(topic, { qos: 2 });
      await other.subscribe(topic, { qos: 2 });
      const publisher = await RawClient.connect(t, server.port);
      for (const payload of ['a', 'x'.repeat(500), 'b', 'y'.repeat(500), 'c'])
        await publisher.publish(topic, payload, { qos });
      for (const payload of ['a', 'b', 'c'])
        await limited.complete(await limited.expectPublish(topic, payload));
      await limited.expectNothing();
      for (const payload of ['a', 'x'.repeat(500), 'b'])
        await other.complete(await other.expectPublish(topic, payload));
    }
  },
);

t.test('5 [MQTT-3.1.2-24] the limit counts the whole packet, to the byte', async (t) => {
  const topic = unique('size');
  const exact = wire.publish({ topic, payload: 'x'.repeat(100) }).length;
  const fits = await RawClient.connect(t, server.port, { properties: { maximumPacketSize: exact } });
  const tight = await RawClient.connect(t, server.port, { properties: { maximumPacketSize: exact - 1 } });
  await fits.subscribe(topic);
  await tight.subscribe(topic);
  fits.sendPublish(topic, 'x'.repeat(100));
  t.equal((await fits.expectPublish(topic)).bytes.length, exact);
  await tight.expectNothing(fits);
});

t.test('5 [MQTT-3.1.2-24] the limit holds for retained and queued messages', async (t) => {
  const topic = unique('size');
  const clientId = unique('size');
  const options = {
    clientId,
    clean: false,
    properties: { sessionExpiryInterval: 60, maximumPacketSize: 200 },
  };
  const first = await RawClient.connect(t, server.port, options);
  await first.subscribe(topic, { qos: 1 });
  await first.disconnect();
  const publisher = await RawClient.connect(t, server.port);
  await publisher.publish(topic, 'x'.repeat(500), { qos: 1, retain: true });
  await publisher.publish(topic, 'small', { qos: 1 });
  const second = await RawClient.connect(t, server.port, options);
  await second.complete(await second.expectPublish(topic, 'small'));
  await second.subscribe(topic, { qos: 1 });
  await second.expectNothing();
});

t.test(
  '5 [MQTT-3.2.2-19] [MQTT-3.2.2-20] [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2] [MQTT-3.14.2-3] [MQTT-3.14.2-4] reason strings and user properties never make a packet larger than the client allows',
  async (t) => {
    const maximumPacketSize = 50;
    const client = await RawClient.connect(t, server.port, {
      properties: { maximumPacketSize, requestProblemInformation: 1 },
    });
    const topic = unique('s');
    await client
      .subscribe([topic, 'a#', '$share/g/#/a'], { qos: 2, allowRefusal: true })
      .catch(() => undefined);
    const watched = await RawClient.connect(t, server.port, {
      properties: { maximumPacketSize, requestProblemInformation: 1 },
    });
    await watched.unsubscribe(unique('n'), unique('n'));
    await watched.publish(topic, 'x', { qos: 1 });
    await watched.publish(topic, 'x', { qos: 2 });
    watched.ack('pubrec', 900);
    watched.ack('pubrel', 901);
    await watched.ping();
    watched.drain();
    watched.send(wire.frame(0x00));
    await watched.expectDisconnect([0x81, 0x82]);
    for (const { bytes } of [...client.received, ...watched.received])
      t.ok(bytes.length <= maximumPacketSize);
  },
);

t.test(
  '5 [MQTT-3.2.2-15] the announced Maximum Packet Size is the enforced one: a byte more ends the connection with 0x95',
  async (t) => {
    const client = await RawClient.open(t, small.port);
    t.equal((await client.connect()).properties.maximumPacketSize, 2000);
    const topic = unique('size');
    await client.subscribe(topic);
    const overhead = wire.publish({ topic, payload: 'x'.repeat(1000) }).length - 1000;
    client.sendPublish(topic, 'x'.repeat(2000 - overhead));
    t.equal((await client.expectPublish(topic)).bytes.length, 2000);
    client.sendPublish(topic, 'x'.repeat(2001 - overhead));
    await client.expectDisconnect(0x95);
  },
);

t.test(
  '5 [MQTT-4.13.1-1] 3.1.1 [MQTT-4.8.0-1] a length above the limit ends the connection before the rest has come',
  async (t) => {
    for (const version of [4, 5] as const) {
      const client = await RawClient.connect(t, small.port, { version });
      client.send(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f, 0x00, 0x01]));
      await client.expectDisconnect(0x95);
    }
  },
);
