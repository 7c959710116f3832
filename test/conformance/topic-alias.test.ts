/** Chapters 3.1.2.11.5, 3.2.2.3.8 and 3.3.2.3.4: topic aliases both ways. */
import t from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';

const server = await startServer(t, { topicAliasMaximum: 10 });

t.test('5 [MQTT-3.3.2-12] [MQTT-3.2.2-17] every alias up to the announced maximum is accepted', async (t) => {
  const client = await RawClient.open(t, server.port);
  const { topicAliasMaximum = 0 } = (await client.connect()).properties;
  t.equal(topicAliasMaximum, 10);
  const stem = unique('alias');
  await client.subscribe(`${stem}/#`);
  for (let topicAlias = 1; topicAlias <= topicAliasMaximum; topicAlias++) {
    client.sendPublish(`${stem}/${topicAlias}`, 'named', { properties: { topicAlias } });
    await client.expectPublish(`${stem}/${topicAlias}`, 'named');
  }
  for (let topicAlias = 1; topicAlias <= topicAliasMaximum; topicAlias++) {
    client.sendPublish('', 'by alias', { properties: { topicAlias } });
    const { properties } = await client.expectPublish(`${stem}/${topicAlias}`, 'by alias');
    t.equal(properties.topicAlias, undefined, 'the alias of the publisher is its own');
  }
  client.sendPublish(`${stem}/again`, 'moved', { properties: { topicAlias: 1 } });
  await client.expectPublish(`${stem}/again`, 'moved');
  client.sendPublish('', 'moved', { properties: { topicAlias: 1 } });
  await client.expectPublish(`${stem}/again`, 'moved');
});

t.test('5 [MQTT-3.3.2-12] an alias works at every QoS and is not undone by what follows', async (t) => {
  const client = await RawClient.connect(t, server.port);
  const topic = unique('alias');
  await client.subscribe(topic);
  await client.publish(topic, 'first', { qos: 1, properties: { topicAlias: 3 } });
  await client.take('publish', ({ payload }) => payload === 'first');
  for (const qos of [0, 1, 2]) {
    await client.publish('', `${qos}`, { qos, properties: { topicAlias: 3 } });
    await client.take('publish', (packet) => packet.topic === topic && packet.payload === `${qos}`);
  }
});

t.test(
  '5 [MQTT-3.3.2-9] [MQTT-3.3.2-8] [MQTT-3.2.2-17] an alias of 0 or above the maximum ends the connection with 0x94',
  async (t) => {
    for (const topicAlias of [0, 11, 65535]) {
      const client = await RawClient.connect(t, server.port);
      client.sendPublish('a', 'x', { properties: { topicAlias } });
      await client.expectDisconnect(0x94);
    }
  },
);

t.test(
  '5 [MQTT-3.2.2-18] where the maximum is 0 it is announced as such and no alias is accepted',
  async (t) => {
    const none = await startServer(t, { topicAliasMaximum: 0 });
    const client = await RawClient.open(t, none.port);
    t.equal((await client.connect()).properties.topicAliasMaximum ?? 0, 0);
    client.sendPublish('a', 'x', { properties: { topicAlias: 1 } });
    await client.expectDisconnect(0x94);
  },
);

t.test(
  '5 [MQTT-4.13.1-1] an alias that names nothing, or no topic and no alias, is a protocol error',
  async (t) => {
    const client = await RawClient.connect(t, server.port);
    client.sendPublish('', 'x', { properties: { topicAlias: 1 } });
    await client.expectDisconnect([0x82, 0x94]);
    const other = await RawClient.connect(t, server.port);
    other.sendPublish('', 'x');
    await other.expectDisconnect([0x81, 0x82, 0x90]);
  },
);

t.test('5 [MQTT-3.3.2-7] aliases end with their connection, also where the session goes on', async (t) => {
  const options = { clientId: unique('alias'), clean: false, properties: { sessionExpiryInterval: 60 } };
  const first = await RawClient.connect(t, server.port, options);
  first.sendPublish(unique('alias'), 'x', { properties: { topicAlias: 1 } });
  await first.ping();
  await first.disconnect();
  const second = await RawClient.connect(t, server.port, options);
  second.sendPublish('', 'x', { properties: { topicAlias: 1 } });
  await second.expectDisconnect([0x82, 0x94]);
});

t.test('5 [MQTT-3.1.2-27] [MQTT-3.3.2-11] a client that allows no alias gets none', async (t) => {
  for (const properties of [{}, { topicAliasMaximum: 0 }]) {
    const client = await RawClient.connect(t, server.port, { properties });
    const topic = unique('alias');
    await client.subscribe(topic);
    for (let n = 0; n < 5; n++) {
      client.sendPublish(topic, `${n}`, { properties: { topicAlias: 1 } });
      t.equal((await client.expectPublish(topic, `${n}`)).properties.topicAlias, undefined);
    }
  }
});

t.test(
  '5 [MQTT-3.1.2-26] [MQTT-3.3.2-11] [MQTT-3.3.2-10] aliases towards a client stay within its maximum and name the right topics',
  async (t) => {
    const client = await RawClient.connect(t, server.port, { properties: { topicAliasMaximum: 2 } });
    const stem = unique('alias');
    await client.subscribe(`${stem}/#`);
    const names = new Map<number, string>();
    for (const n of [0, 1, 2, 3, 0, 1, 2, 3, 0, 0, 3, 3]) {
      client.sendPublish(`${stem}/${n}`, `${n}`);
      const { topic, payload, properties } = await client.expect('publish');
      const { topicAlias } = properties;
      if (topicAlias !== undefined) {
        t.ok(topicAlias >= 1 && topicAlias <= 2);
        if (topic !== '') names.set(topicAlias, topic);
      }
      t.equal(topic !== '' ? topic : names.get(topicAlias ?? 0), `${stem}/${payload}`);
      t.equal(payload, `${n}`);
    }
  },
);
