/** Chapters 3.3 to 3.7 and 4.3: what a client publishes. */
import t from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;

t.test(
  '3.1.1 [MQTT-3.3.4-1] [MQTT-2.3.1-6] [MQTT-4.3.2-2] [MQTT-4.3.3-2] 5 [MQTT-3.3.4-1] [MQTT-2.2.1-5] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11] each QoS gets its answers with the packet id of the publish',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await RawClient.connect(t, server.port, { version });
      const topic = unique('qos');
      client.sendPublish(topic, '0');
      await client.expectNothing();
      for (const packetId of [1, 2, 255, 256, 65535]) {
        client.sendPublish(topic, '1', { qos: 1, packetId });
        t.equal((await client.expect('puback')).packetId, packetId);
        client.sendPublish(topic, '2', { qos: 2, packetId });
        t.equal((await client.expect('pubrec')).packetId, packetId);
        client.ack('pubrel', packetId);
        t.equal((await client.expect('pubcomp')).packetId, packetId);
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-2.3.1-5] 5 [MQTT-2.2.1-2] a QoS 0 publish has no packet id, also on its way out',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await RawClient.connect(t, server.port, { version });
      const topic = unique('q0');
      await client.subscribe(topic);
      client.sendPublish(topic, 'payload');
      const { bytes } = await client.expectPublish(topic, 'payload');
      t.same(bytes, wire.publish({ version, topic, payload: 'payload' }));
    }
  },
);

t.test('3.1.1 [MQTT-2.3.1-1] 5 [MQTT-2.2.1-3] packet id 0 ends the connection', async (t) => {
  for (const version of VERSIONS) {
    for (const packet of [
      wire.publish({ version, topic: 'a', qos: 1, packetId: 0 }),
      wire.publish({ version, topic: 'a', qos: 2, packetId: 0 }),
      wire.subscribe(0, [{ filter: 'a' }], { version }),
      wire.unsubscribe(0, ['a'], { version }),
      wire.ack('puback', 0),
      wire.ack('pubrec', 0),
      wire.ack('pubrel', 0),
      wire.ack('pubcomp', 0),
    ]) {
      const client = await RawClient.connect(t, server.port, { version });
      client.send(packet);
      await t.resolves(
        client.expectDisconnect([0x81, 0x82]),
        `version ${version}: ${packet.toString('hex')}`,
      );
    }
  }
});

t.test('3.1.1 [MQTT-3.3.1-4] 5 [MQTT-3.3.1-4] a QoS of 3 ends the connection', async (t) => {
  for (const version of VERSIONS) {
    const client = await RawClient.connect(t, server.port, { version });
    client.send(wire.publish({ version, topic: 'a', qos: 3 }));
    await client.expectDisconnect(0x81);
  }
});

t.test('3.1.1 [MQTT-3.3.1-2] 5 [MQTT-3.3.1-2] DUP at QoS 0 ends the connection', async (t) => {
  for (const version of VERSIONS) {
    const client = await RawClient.connect(t, server.port, { version });
    client.send(wire.publish({ version, topic: 'a', dup: true }));
    await client.expectDisconnect([0x81, 0x82]);
  }
});

t.test(
  '3.1.1 [MQTT-3.3.2-2] [MQTT-4.7.1-1] [MQTT-4.7.3-1] 5 [MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT-4.7.3-1] a topic name with a wildcard, or an empty one, ends the connection',
  async (t) => {
    for (const version of VERSIONS) {
      for (const topic of ['a/+', '#', '+', 'a/#', 'a+b', 'a#', '']) {
        for (const qos of [0, 1, 2]) {
          const client = await RawClient.connect(t, server.port, { version });
          client.sendPublish(topic, 'x', { qos });
          await t.resolves(
            client.expectDisconnect([0x81, 0x82, 0x90]),
            `version ${version}: ${topic} at ${qos}`,
          );
        }
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.3.3-2] 5 [MQTT-4.3.3-10] a QoS 2 publish that is sent again before PUBREL is acknowledged again and delivered once',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('dup');
      const subscriber = await RawClient.connect(t, server.port, { version });
      await subscriber.subscribe(topic);
      const client = await RawClient.connect(t, server.port, { version });
      const packet = { qos: 2, packetId: 5 };
      client.sendPublish(topic, 'once', packet);
      await client.expect('pubrec');
      for (let n = 0; n < 3; n++) {
        client.sendPublish(topic, 'once', { ...packet, dup: true });
        t.equal((await client.expect('pubrec')).packetId, 5);
      }
      client.ack('pubrel', 5);
      await client.expect('pubcomp');
      await subscriber.expectPublish(topic, 'once');
      await subscriber.expectNothing(client);
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.4.0-1] [MQTT-4.3.3-2] 5 [MQTT-4.4.0-1] [MQTT-4.3.3-10] a QoS 2 publish that is sent again on a new connection of the session is delivered once',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('dup');
      const clientId = unique('dup');
      const options = {
        version,
        clientId,
        clean: false,
        ...(version === 5 && { properties: { sessionExpiryInterval: 60 } }),
      };
      const subscriber = await RawClient.connect(t, server.port, { version });
      await subscriber.subscribe(topic);
      const first = await RawClient.connect(t, server.port, options);
      first.sendPublish(topic, 'once', { qos: 2, packetId: 9 });
      await first.expect('pubrec');
      first.destroy();
      const second = await RawClient.connect(t, server.port, options);
      second.sendPublish(topic, 'once', { qos: 2, packetId: 9, dup: true });
      await second.expect('pubrec');
      second.destroy();
      const third = await RawClient.connect(t, server.port, options);
      third.ack('pubrel', 9);
      t.equal((await third.expect('pubcomp')).reasonCode, 0);
      await subscriber.expectPublish(topic, 'once');
      await subscriber.expectNothing(third);
    }
  },
);

t.test(
  '3.1.1 [MQTT-4.3.2-2] [MQTT-4.3.3-2] 5 [MQTT-4.3.2-5] [MQTT-4.3.3-12] a packet id is free again when its hand-shake has ended',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('reuse');
      const subscriber = await RawClient.connect(t, server.port, { version });
      await subscriber.subscribe(topic);
      const client = await RawClient.connect(t, server.port, { version });
      for (const qos of [1, 2, 1, 2]) {
        for (const dup of [false, true]) {
          await client.publish(topic, `${qos} ${dup}`, { qos, packetId: 3, dup });
          await subscriber.expectPublish(topic, `${qos} ${dup}`);
        }
      }
    }
  },
);

t.test('3.1.1 [MQTT-3.3.1-3] 5 [MQTT-3.3.1-3] DUP of the publisher is not passed on', async (t) => {
  for (const version of VERSIONS) {
    const topic = unique('dup');
    const subscriber = await RawClient.connect(t, server.port, { version });
    await subscriber.subscribe(topic, { qos: 2 });
    const client = await RawClient.connect(t, server.port, { version });
    await client.publish(topic, '1', { qos: 1, dup: true });
    t.equal((await subscriber.expectPublish(topic, '1')).dup, false);
    await client.publish(topic, '2', { qos: 2, dup: true });
    t.equal((await subscriber.expectPublish(topic, '2')).dup, false);
  }
});

t.test(
  '3.1.1 [MQTT-4.3.3-2] 5 [MQTT-4.3.3-11] [MQTT-3.7.2-1] a PUBREL for an unknown id is answered with PUBCOMP',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await RawClient.connect(t, server.port, { version });
      client.ack('pubrel', 77);
      const pubcomp = await client.expect('pubcomp');
      t.equal(pubcomp.packetId, 77);
      if (version === 5) t.equal(pubcomp.reasonCode, 0x92, 'Packet Identifier not found');
      else t.same(pubcomp.bytes, wire.ack('pubcomp', 77));
    }
  },
);

t.test('3.1.1 [MQTT-4.8.0-1] 5 [MQTT-4.9.0-3] acknowledgements of nothing change nothing', async (t) => {
  for (const version of VERSIONS) {
    const client = await RawClient.connect(t, server.port, { version });
    const topic = unique('stray');
    await client.subscribe(topic, { qos: 2 });
    client.ack('puback', 400);
    client.ack('pubcomp', 401);
    await client.expectNothing();
    await client.publish(topic, 'works', { qos: 1 });
    await client.complete(await client.expectPublish(topic, 'works'));
  }
});

t.test(
  '5 [MQTT-3.6.2-1] [MQTT-4.3.3-4] a PUBREC for an unknown id is answered with PUBREL 0x92',
  async (t) => {
    const client = await RawClient.connect(t, server.port);
    client.ack('pubrec', 402);
    const pubrel = await client.expect('pubrel');
    t.equal(pubrel.packetId, 402);
    t.equal(pubrel.reasonCode, 0x92);
    t.equal(pubrel.flags, 2);
  },
);

t.test(
  '3.1.1 [MQTT-4.6.0-2] [MQTT-4.6.0-3] 5 [MQTT-4.6.0-2] [MQTT-4.6.0-3] acknowledgements come in the order of the publishes',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await RawClient.connect(t, server.port, { version });
      const ids = Array.from({ length: 18 }, (_, n) => n + 1);
      for (const qos of [1, 2]) {
        client.send(...ids.map((packetId) => wire.publish({ version, topic: 'ack-order', qos, packetId })));
        const type = qos === 1 ? 'puback' : 'pubrec';
        for (const packetId of ids) t.equal((await client.expect(type)).packetId, packetId);
      }
      client.send(...ids.map((packetId) => wire.ack('pubrel', packetId)));
      for (const packetId of ids) t.equal((await client.expect('pubcomp')).packetId, packetId);
    }
  },
);

t.test(
  '5 [MQTT-3.4.2-1] [MQTT-3.5.2-1] a publish that nobody takes is acknowledged with 0x00 or 0x10, one that is taken with 0x00',
  async (t) => {
    const client = await RawClient.connect(t, server.port);
    const topic = unique('nobody');
    for (const qos of [1, 2]) {
      client.sendPublish(topic, 'x', { qos, packetId: 1 });
      const answer = await client.expect(qos === 1 ? 'puback' : 'pubrec');
      t.ok([0x00, 0x10].includes(answer.reasonCode));
    }
    client.ack('pubrel', 1);
    t.equal((await client.expect('pubcomp')).reasonCode, 0);
    await client.subscribe(topic);
    t.equal((await client.publish(topic, 'y', { qos: 1 }))?.reasonCode, 0);
  },
);

t.test(
  '5 [MQTT-3.4.2-1] [MQTT-3.6.2-1] acknowledgements with a code and properties are understood in their short and long forms',
  async (t) => {
    const client = await RawClient.connect(t, server.port);
    const topic = unique('forms');
    await client.subscribe(topic, { qos: 2 });
    const long = { reasonString: 'ok', userProperty: [['a', 'b']] } satisfies wire.Properties;
    for (const [code, properties] of [
      [undefined, undefined],
      [0, undefined],
      [0, long],
    ] as const) {
      await client.publish(topic, '1', { qos: 1 });
      client.ack('puback', (await client.expectPublish(topic, '1')).packetId, code, properties);
      await client.publish(topic, '2', { qos: 2 });
      const { packetId } = await client.expectPublish(topic, '2');
      client.ack('pubrec', packetId, code, properties);
      t.equal((await client.expect('pubrel')).packetId, packetId);
      client.ack('pubcomp', packetId, code, properties);
    }
    await client.expectNothing();
    client.sendPublish(topic, '3', { qos: 2, packetId: 1000 });
    await client.take('pubrec', ({ type }) => type === 'pubrec');
    client.ack('pubrel', 1000, 0, long);
    t.equal((await client.take('pubcomp', ({ type }) => type === 'pubcomp')).packetId, 1000);
  },
);
