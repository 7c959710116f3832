/** MQTT 3.1 (protocol name MQIsdp, level 3), which 3.1.1 grew out of. */
import t from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import { startServer } from '../support/server.js';
import * as wire from '../support/wire.js';

const server = await startServer(t);
const version = 3;

t.test('a 3.1 client connects, subscribes, publishes at every QoS and disconnects', async (t) => {
  const client = await RawClient.connect(t, server.port, { version });
  const topic = unique('v3');
  t.same((await client.subscribe(topic, { qos: 2 })).reasonCodes, [2]);
  for (const qos of [0, 1, 2]) {
    await client.publish(topic, `${qos}`, { qos });
    const delivery = await client.take('publish', ({ payload }) => payload === `${qos}`);
    t.equal(delivery.qos, qos);
    await client.complete(delivery);
  }
  await client.unsubscribe(topic);
  await client.expectNothing();
  await client.disconnect();
});

t.test('a 3.1 session resumes, and its CONNACK has no Session Present', async (t) => {
  const options = { version, clientId: unique('v3'), clean: false } as const;
  const topic = unique('v3');
  const first = await RawClient.connect(t, server.port, options);
  await first.subscribe(topic, { qos: 1 });
  await first.disconnect();
  const publisher = await RawClient.connect(t, server.port, { version });
  await publisher.publish(topic, 'queued', { qos: 1 });
  const second = await RawClient.open(t, server.port, { version });
  t.same((await second.connect(options)).bytes, Buffer.from([0x20, 2, 0, 0]));
  await second.complete(await second.expectPublish(topic, 'queued'));
});

t.test('the will and the credentials of a 3.1 client work', async (t) => {
  const topic = unique('v3');
  const watcher = await RawClient.connect(t, server.port, { version });
  await watcher.subscribe(topic);
  const client = await RawClient.connect(t, server.port, {
    version,
    username: 'u',
    password: 'p',
    will: { topic, payload: 'gone' },
  });
  client.destroy();
  await watcher.expectPublish(topic, 'gone');
});

t.test('the protocol name of one version with the level of another is refused', async (t) => {
  for (const fields of [
    { version: 4, protocolName: 'MQTT', level: 3 },
    { version: 4, protocolName: 'MQIsdp', level: 4 },
    { version: 5, protocolName: 'MQIsdp', level: 5 },
  ] as const) {
    const client = await RawClient.open(t, server.port, { version: 4 });
    client.send(wire.connect({ ...fields, clientId: unique('v3') }));
    const first = await client.take('the end', () => true).catch(() => undefined);
    t.ok(first === undefined || first.reasonCode !== 0, JSON.stringify(fields));
    await client.expectClose();
  }
});

t.test('a 3.1 client without an id is refused', async (t) => {
  const client = await RawClient.open(t, server.port, { version });
  client.send(wire.connect({ version, clientId: '' }));
  await client.expectRefused(0x02);
});
