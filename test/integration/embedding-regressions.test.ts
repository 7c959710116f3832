/** What is known to go wrong with Aedes, with its own class in front. */
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import type { Client } from 'aedes';
import mqtt from 'mqtt';
import t from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import * as wire from '../support/wire.js';
import { next, startEmbedded } from './embedding.js';

const NAMES = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf'];

t.test('client ids and filters may be named like members of every object', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  for (const version of [4, 5] as const) {
    for (const name of NAMES) {
      const ready = next(aedes, 'clientReady');
      const client = await RawClient.connect(t, port, { version, clientId: name });
      t.equal(((await ready) as [Client])[0].id, name);
      t.same((await client.subscribe(NAMES, { qos: 1 })).reasonCodes, [1, 1, 1, 1, 1]);
      await client.publish(name, 'x', { qos: 0 });
      await client.expectPublish(name, 'x');
      await client.unsubscribe(...NAMES);
      await client.disconnect();
    }
  }
  t.equal(aedes.connectedClients, 0);
});

t.test('user properties may be named so too', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  aedes.authorizePublish = (_client, _packet, callback) => callback(null);
  const client = await RawClient.connect(t, port);
  await client.subscribe('a');
  const userProperty = NAMES.map((name) => [name, 'value'] as const);
  await client.publish('a', 'x', { properties: { userProperty } });
  t.same((await client.expectPublish('a', 'x')).properties.userProperty, userProperty);
});

t.test('filters that look like integers keep their order, and repeated ones their place', async (t) => {
  const { port } = await startEmbedded(t);
  const client = await RawClient.connect(t, port, { version: 4 });
  const suback = await client.subscribe([
    { filter: 'z', qos: 2 },
    { filter: '10', qos: 1 },
    { filter: '2', qos: 0 },
    { filter: '10', qos: 2 },
  ]);
  t.same(suback.reasonCodes, [2, 1, 0, 2]);
});

t.test('two PUBRELs in one segment are both answered', async (t) => {
  const { port } = await startEmbedded(t);
  const client = await RawClient.connect(t, port);
  for (const packetId of [1, 2]) client.sendPublish('a', 'x', { qos: 2, packetId });
  await client.expect('pubrec');
  await client.expect('pubrec');
  client.send(wire.ack('pubrel', 1), wire.ack('pubrel', 2));
  t.equal((await client.expect('pubcomp')).packetId, 1);
  t.equal((await client.expect('pubcomp')).packetId, 2);
});

t.test('a QoS 2 packet id is free again after a clean reconnect', async (t) => {
  const { port } = await startEmbedded(t);
  const subscriber = await RawClient.connect(t, port);
  await subscriber.subscribe('a');
  for (const payload of ['first', 'second']) {
    const client = await RawClient.connect(t, port, { clientId: 'same', version: 4 });
    client.sendPublish('a', payload, { qos: 2, packetId: 7 });
    await client.expect('pubrec');
    await subscriber.expectPublish('a', payload);
    client.destroy();
  }
});

t.test('a QoS 2 PUBLISH and its two DUPs in one segment are one message', async (t) => {
  for (const withHook of [false, true]) {
    const { aedes, port } = await startEmbedded(t);
    if (withHook) aedes.authorizePublish = (_client, _packet, callback) => void setImmediate(callback, null);
    const subscriber = await RawClient.connect(t, port);
    await subscriber.subscribe('a');
    const client = await RawClient.connect(t, port);
    const publish = { topic: 'a', payload: 'x', qos: 2, packetId: 5, version: 5 } as const;
    client.send(
      wire.publish(publish),
      wire.publish({ ...publish, dup: true }),
      wire.publish({ ...publish, dup: true }),
    );
    for (let i = 0; i < 3; i++) await client.expect('pubrec');
    client.ack('pubrel', 5);
    await client.expect('pubcomp');
    await subscriber.expectPublish('a', 'x');
    await subscriber.expectNothing(client);
  }
});

t.test('a subscriber that stops reading does not delay another', async (t) => {
  const { port } = await startEmbedded(t);
  const stopped = await RawClient.connect(t, port);
  const reading = await RawClient.connect(t, port);
  for (const client of [stopped, reading]) await client.subscribe('a', { qos: 1 });
  stopped.pause();
  const publisher = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 });
  t.teardown(() => publisher.end(true));
  const payload = 'x'.repeat(100_000);
  for (let i = 0; i < 120; i++) {
    await publisher.publishAsync('a', payload, { qos: 1 });
    await reading.complete(await reading.expectPublish('a', payload));
  }
  await publisher.endAsync();
});

t.test('a client that takes nothing for drainTimeout is cut off, alone', async (t) => {
  const { aedes, port } = await startEmbedded(t, { drainTimeout: 200 });
  const ready = next(aedes, 'clientReady');
  const stopped = await RawClient.connect(t, port, { clientId: 'stopped' });
  const [client] = (await ready) as [Client];
  const other = await RawClient.connect(t, port);
  await stopped.subscribe('a');
  stopped.pause();
  const gone = next(aedes, 'clientDisconnect');
  const payload = Buffer.alloc(1_000_000);
  for (let i = 0; i < 12; i++)
    aedes.publish({ cmd: 'publish', topic: 'a', payload, qos: 0, retain: false, dup: false }, () => {});
  t.equal((await gone)[0], client);
  await other.ping();
});

t.test('eight connections of one id with a slow hook leave one, and true counts', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  let connected = 0;
  aedes.on('client', () => connected++);
  aedes.on('clientDisconnect', () => connected--);
  aedes.authenticate = (_client, _name, _password, callback) => void setTimeout(callback, 5, null, true);
  const clients = await Promise.all(Array.from({ length: 8 }, () => RawClient.open(t, port)));
  for (const client of clients) client.send(wire.connect({ clientId: 'same' }));
  await Promise.allSettled(clients.map((client) => client.expect('connack')));
  const survivor = await RawClient.connect(t, port, { clientId: 'same' });
  await survivor.ping();
  t.equal(aedes.connectedClients, 1);
  t.equal(connected, 1);
});

t.test('a takeover from within the hooks and events of the older client ends well', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  aedes.once('clientReady', (client: Client) => client.close());
  const closed = await RawClient.open(t, port);
  closed.send(wire.connect({ clientId: 'same' }));
  await closed.expect('connack');
  await closed.expectClose();
  aedes.once('client', (client: Client) => client.disconnect({ reasonCode: 0x98 }));
  const early = await RawClient.open(t, port);
  early.send(wire.connect({ clientId: 'same' }), wire.subscribe(1, [{ filter: 'a' }], { version: 5 }));
  await early.expect('connack');
  await early.expectDisconnect(0x98);
  t.equal(aedes.connectedClients, 0);
});

t.test('what a handshake needed is given back when it is over, and close still works', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  const shared = new Set<unknown>();
  for (let i = 0; i < 3; i++) {
    const ready = next(aedes, 'clientReady');
    const raw = await RawClient.connect(t, port, { clientId: unique('c'), version: 4 });
    const [client] = (await ready) as [Client];
    await raw.ping();
    for (const member of [
      '_parser',
      '_nextBatch',
      'deliver0',
      'deliverQoS',
      '_topicAliases',
      '_eos',
      'subscriptions',
    ])
      shared.add(Reflect.get(client, member));
    if (i === 0) await raw.disconnect();
    if (i === 1) raw.destroy();
    if (i === 2) await new Promise<void>((resolve) => client.close(resolve));
    if (!client.closed) await next(aedes, 'clientDisconnect');
    t.match(client, { closed: true, connected: false });
  }
  // Parser, aliases, subscriptions and one function that does nothing: the same for all clients.
  t.equal(shared.size, 4);
  t.equal(aedes.connectedClients, 0);
});

t.test('a stream that has ended before it is handed over is a client that is closed', async (t) => {
  const { aedes } = await startEmbedded(t);
  const stream = new PassThrough();
  stream.destroy();
  await once(stream, 'close');
  const client = aedes.handle(stream);
  t.match(client, { closed: true, connected: false });
  t.equal(aedes.connectedClients, 0);
  // Closing the broker at the end of the test waited for it for ever.
  await new Promise<void>((resolve) => client.close(resolve));
  await new Promise<void>((resolve) => client.disconnect({}, resolve));
});
