/** Chapters 3.8 to 3.11: SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK. */
import t, { type Test } from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';
import type { Version } from '../support/wire.js';

const server = await startServer(t);
const VERSIONS = [4, 5] as const;

const open = (t: Test, version: Version): Promise<RawClient> =>
  RawClient.connect(t, server.port, { version });

t.test(
  '3.1.1 [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-2.3.1-7] [MQTT-3.8.4-4] [MQTT-3.8.4-5] [MQTT-3.9.3-1] [MQTT-3.9.3-2] 5 [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-2.2.1-6] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2] one SUBACK answers all filters of a SUBSCRIBE, in order, with its packet id',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await open(t, version);
      const stem = unique('suback');
      for (const packetId of [1, 65535]) {
        const filters = [2, 0, 1, 2].map((qos, n) => ({ filter: `${stem}/${n}`, qos }));
        client.send(wire.subscribe(packetId, filters, { version }));
        const suback = await client.expect('suback');
        t.equal(suback.packetId, packetId);
        t.same(suback.reasonCodes, [2, 0, 1, 2]);
      }
      for (let n = 0; n < 4; n++) await client.publish(`${stem}/${n}`, `${n}`, { qos: 2 });
      await client.ping();
      const qos = client.received.filter(({ type }) => type === 'publish').map((packet) => packet.qos);
      t.same(qos, [2, 0, 1, 2], 'what was granted is what is done');
    }
  },
);

t.test('3.1.1 [MQTT-3.8.4-3] 5 [MQTT-3.8.4-3] the same filter again replaces the subscription', async (t) => {
  for (const version of VERSIONS) {
    const client = await open(t, version);
    const topic = unique('replace');
    for (const qos of [2, 0, 1]) {
      await client.subscribe(topic, { qos });
      await client.publish(topic, `${qos}`, { qos: 2 });
      const delivery = await client.expectPublish(topic, `${qos}`);
      t.equal(delivery.qos, qos);
      await client.complete(delivery);
      await client.expectNothing();
    }
    await client.unsubscribe(topic);
    await client.publish(topic, 'gone', { qos: 1 });
    await client.expectNothing();
  }
});

t.test('3.1.1 [MQTT-3.8.4-3] 5 [MQTT-3.8.4-4] replacing a subscription loses no message', async (t) => {
  for (const version of VERSIONS) {
    const topic = unique('replace');
    const client = await open(t, version);
    const publisher = await open(t, version);
    await client.subscribe(topic, { qos: 1 });
    for (let n = 0; n < 20; n++) {
      const published = publisher.publish(topic, `${n}`, { qos: 1 });
      await client.subscribe(topic, { qos: 1 });
      await published;
      await client.complete(await client.expectPublish(topic, `${n}`));
    }
    await client.expectNothing(publisher);
  }
});

t.test('3.1.1 [MQTT-3.8.3-3] 5 [MQTT-3.8.3-2] SUBSCRIBE without a filter ends the connection', async (t) => {
  for (const version of VERSIONS) {
    const client = await open(t, version);
    client.send(wire.subscribe(1, [], { version }));
    await client.expectDisconnect([0x81, 0x82]);
  }
});

t.test(
  '3.1.1 [MQTT-3.8.3-4] 5 [MQTT-3.8.3-5] [MQTT-4.13.1-1] reserved bits or a QoS of 3 in the options end the connection',
  async (t) => {
    for (const options of [0x03, 0x07, 0x40, 0x80, 0xc1]) {
      for (const version of VERSIONS) {
        const client = await open(t, version);
        client.send(wire.subscribe(1, [{ filter: 'a', options }], { version }));
        await t.resolves(client.expectDisconnect([0x81, 0x82]), `version ${version}: ${options}`);
      }
    }
    for (const options of [0x04, 0x08, 0x10]) {
      const client = await open(t, 4);
      client.send(wire.subscribe(1, [{ filter: 'a', options }], { version: 4 }));
      await t.resolves(client.expectDisconnect([]), `3.1.1 has no option ${options}`);
    }
    const client = await open(t, 5);
    client.send(wire.subscribe(1, [{ filter: 'a', options: 0x30 }]));
    await t.resolves(client.expectDisconnect([0x81, 0x82]), 'Retain Handling 3');
  },
);

t.test(
  '3.1.1 [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-2.2.2-1] 5 [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-2.1.3-1] other flags than 0010 in SUBSCRIBE and UNSUBSCRIBE end the connection',
  async (t) => {
    for (const version of VERSIONS) {
      for (const flags of [0, 1, 3, 6, 10, 15]) {
        const first = await open(t, version);
        first.send(wire.subscribe(1, [{ filter: 'a' }], { version, firstByte: 0x80 | flags }));
        await t.resolves(first.expectDisconnect(0x81), `SUBSCRIBE ${flags}`);
        const second = await open(t, version);
        second.send(wire.unsubscribe(1, ['a'], { version, firstByte: 0xa0 | flags }));
        await t.resolves(second.expectDisconnect(0x81), `UNSUBSCRIBE ${flags}`);
      }
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] 5 [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-2.2.1-6] UNSUBSCRIBE removes exactly the named filters',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await open(t, version);
      const stem = unique('unsub');
      await client.subscribe([`${stem}/a`, `${stem}/+`, `${stem}/A`, `${stem}/#`]);
      const deliveries = async (): Promise<number> => {
        const before = client.received.length;
        await client.publish(`${stem}/a`, 'x', { qos: 0 });
        await client.ping();
        client.drain();
        return client.received.slice(before).filter(({ type }) => type === 'publish').length;
      };
      t.ok((await deliveries()) > 0);
      client.send(wire.unsubscribe(4711, [`${stem}/+`], { version }));
      const unsuback = await client.expect('unsuback');
      t.equal(unsuback.packetId, 4711);
      t.same(unsuback.reasonCodes, version === 5 ? [0] : []);
      t.ok((await deliveries()) > 0, 'other filters match still');
      await client.unsubscribe(`${stem}/#`);
      t.equal(await deliveries(), 1);
      await client.unsubscribe(`${stem}/A`);
      t.equal(await deliveries(), 1, 'filters are compared to the letter');
      await client.unsubscribe(`${stem}/a`);
      t.equal(await deliveries(), 0);
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.10.4-5] [MQTT-3.10.4-6] 5 [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] one UNSUBACK answers all filters, known or not, in order',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await open(t, version);
      const stem = unique('unsub');
      await client.subscribe([`${stem}/1`, `${stem}/2`]);
      const unsuback = await client.unsubscribe(
        `${stem}/0`,
        `${stem}/2`,
        `${stem}/3`,
        `${stem}/1`,
        `${stem}/1`,
      );
      t.same(unsuback.reasonCodes, version === 5 ? [0x11, 0x00, 0x11, 0x00, 0x11] : []);
      await client.expectNothing();
      if (version === 4) t.equal(unsuback.bytes.length, 4);
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.10.3-2] 5 [MQTT-3.10.3-2] UNSUBSCRIBE without a filter ends the connection',
  async (t) => {
    for (const version of VERSIONS) {
      const client = await open(t, version);
      client.send(wire.unsubscribe(1, [], { version }));
      await client.expectDisconnect([0x81, 0x82]);
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.10.4-3] 5 [MQTT-3.10.4-3] deliveries that have begun are completed after UNSUBSCRIBE',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('unsub');
      const client = await open(t, version);
      const publisher = await open(t, version);
      await client.subscribe(topic, { qos: 2 });
      await publisher.publish(topic, '1', { qos: 1 });
      await publisher.publish(topic, '2', { qos: 2 });
      const first = await client.expectPublish(topic, '1');
      const second = await client.expectPublish(topic, '2');
      await client.unsubscribe(topic);
      await client.complete(first);
      await client.complete(second);
      await publisher.publish(topic, '3', { qos: 1 });
      await client.expectNothing(publisher);
    }
  },
);

t.test(
  '3.1.1 [MQTT-3.10.4-3] 5 [MQTT-3.10.4-3] deliveries that have begun are sent again after UNSUBSCRIBE and a reconnect',
  async (t) => {
    for (const version of VERSIONS) {
      const topic = unique('unsub');
      const options = {
        version,
        clientId: unique('unsub'),
        clean: false,
        ...(version === 5 && { properties: { sessionExpiryInterval: 60 } }),
      };
      const client = await RawClient.connect(t, server.port, options);
      await client.subscribe(topic, { qos: 1 });
      const publisher = await open(t, version);
      await publisher.publish(topic, 'begun', { qos: 1 });
      await client.expectPublish(topic, 'begun');
      await client.unsubscribe(topic);
      client.destroy();
      const back = await RawClient.connect(t, server.port, options);
      t.equal((await back.expectPublish(topic, 'begun')).dup, true);
    }
  },
);

t.test('5 [MQTT-4.13.1-1] wrong properties of SUBSCRIBE and UNSUBSCRIBE end the connection', async (t) => {
  const p = wire.propertyBytes;
  const cases: readonly (readonly [string, Buffer, number[]])[] = [
    ['an unknown property', Buffer.from([0x7f, 0x00]), [0x81]],
    ['a property of PUBLISH', p({ topicAlias: 1 }), [0x81]],
    ['a truncated User Property', Buffer.from([0x26, 0x00, 0x01, 0x61]), [0x81]],
    ['Subscription Identifier 0', p({ subscriptionIdentifier: 0 }), [0x81, 0x82]],
    ['Subscription Identifier twice', p({ subscriptionIdentifier: [1, 2] }), [0x82]],
    ['a Subscription Identifier of five bytes', Buffer.from([0x0b, 0xff, 0xff, 0xff, 0xff, 0x01]), [0x81]],
  ];
  for (const [what, properties, codes] of cases) {
    const client = await open(t, 5);
    client.send(wire.subscribe(1, [{ filter: 'a' }], { properties }));
    await t.resolves(client.expectDisconnect(codes), `SUBSCRIBE: ${what}`);
    const other = await open(t, 5);
    other.send(wire.unsubscribe(1, ['a'], { properties }));
    await t.resolves(other.expectDisconnect([0x81, 0x82]), `UNSUBSCRIBE: ${what}`);
  }
  const client = await open(t, 5);
  const properties = { userProperty: [['a', 'b']] } satisfies wire.Properties;
  client.send(
    wire.subscribe(1, [{ filter: 'a' }], { properties }),
    wire.unsubscribe(2, ['a'], { properties }),
  );
  await client.expect('suback');
  await client.expect('unsuback');
});

t.test(
  '3.1.1 [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-1] [MQTT-3.8.3-2] 5 [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] an impossible filter is never granted',
  async (t) => {
    for (const version of VERSIONS) {
      for (const filter of ['a+', '+a', 'a/+b', 'a/b+/c', 'a#', '#/a', 'a/#/b', 'a/b#', '##', '++', '']) {
        const client = await open(t, version);
        client.send(wire.subscribe(1, [{ filter, qos: 1 }], { version }));
        const answer = await client.take('an answer', () => true).catch(() => undefined);
        if (answer?.type === 'suback')
          t.ok((answer.reasonCodes[0] ?? 0) >= 0x80, `version ${version}: ${filter}`);
        else t.ok(answer === undefined || answer.type === 'disconnect', `version ${version}: ${filter}`);
        t.ok(answer !== undefined || client.closedAtMs !== undefined, 'refused or closed');
      }
    }
  },
);
