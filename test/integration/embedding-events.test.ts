/** The events and `$SYS/<id>/` topics as Aedes documents them (docs/Aedes.md there). */
import type { Client } from 'aedes';
import mqtt from 'mqtt';
import t from 'tap';
import { RawClient } from '../support/raw-client.js';
import * as wire from '../support/wire.js';
import { next, record, startEmbedded } from './embedding.js';

const idOf = (client: unknown): string | null | undefined => (client as Client | null)?.id;

t.test(
  'a connection passes preConnect, authenticate, client, connackSent and clientReady in this order',
  async (t) => {
    for (const version of [3, 4, 5] as const) {
      const { aedes, port } = await startEmbedded(t);
      const seen = record(aedes, ['client', 'connackSent', 'clientReady', 'clientDisconnect', 'subscribe']);
      aedes.preConnect = (_client, _packet, callback) => {
        seen.push('preConnect');
        setImmediate(callback, null, true);
      };
      aedes.authenticate = (_client, _name, _password, callback) => {
        seen.push('authenticate');
        setImmediate(callback, null, true);
      };
      aedes.on('client', (client) => {
        t.same([client.id, client.connecting, client.connected], ['device', true, false]);
      });
      aedes.on('clientReady', (client) => {
        t.same([client.id, client.connecting, client.connected], ['device', false, true]);
      });
      const client = await RawClient.open(t, port, { version });
      client.send(
        wire.connect({ clientId: 'device', version }),
        wire.subscribe(1, [{ filter: 'a' }], { version }),
      );
      await client.expect('connack');
      await client.expect('suback');
      const gone = next(aedes, 'clientDisconnect');
      client.send(wire.disconnect());
      t.equal(idOf((await gone)[0]), 'device');
      t.same(seen, [
        'preConnect',
        'authenticate',
        'client',
        'connackSent',
        'clientReady',
        'subscribe',
        'clientDisconnect',
      ]);
    }
  },
);

t.test('connackSent shows the CONNACK that the client got', async (t) => {
  const { aedes, port } = await startEmbedded(t, {
    keepaliveLimit: 30,
    receiveMaximum: 7,
    maximumPacketSize: 5000,
  });
  const connect = { clientId: 'kept', clean: false, keepAlive: 60 };
  const properties = { sessionExpiryInterval: 60 };
  for (const sessionPresent of [false, true]) {
    const sent = next(aedes, 'connackSent');
    const client = await RawClient.open(t, port);
    const connack = await client.connect({ ...connect, properties });
    t.equal(connack.sessionPresent, sessionPresent);
    t.same((await sent)[0], {
      cmd: 'connack',
      sessionPresent,
      reasonCode: 0,
      properties: connack.properties,
    });
    t.match(connack.properties, { serverKeepAlive: 30, receiveMaximum: 7, maximumPacketSize: 5000 });
    await client.disconnect();
  }
  const sent = next(aedes, 'connackSent');
  const client = await RawClient.open(t, port, { version: 4 });
  await client.connect({ clientId: 'four', keepAlive: 10 });
  t.same((await sent)[0], { cmd: 'connack', sessionPresent: false, returnCode: 0 });
});

t.test('a client is told nothing of limits that the options do not set', async (t) => {
  const { port } = await startEmbedded(t);
  const client = await RawClient.open(t, port);
  const { receiveMaximum, maximumPacketSize, sharedSubscriptionAvailable } = (await client.connect())
    .properties;
  t.same([receiveMaximum, maximumPacketSize, sharedSubscriptionAvailable], [undefined, undefined, undefined]);
});

t.test('publish, ack and ping tell what a client did', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, {
    clientId: 'device',
    reconnectPeriod: 0,
  });
  t.teardown(() => client.end(true));
  await client.subscribeAsync('a', { qos: 2 });
  for (const qos of [1, 2] as const) {
    const published = new Promise<unknown[]>((resolve) =>
      aedes.on('publish', (packet, publisher) => {
        if (packet.topic === 'a') resolve([packet.payload.toString(), packet.qos, idOf(publisher)]);
      }),
    );
    const acknowledged = next(aedes, 'ack');
    await client.publishAsync('a', 'text', { qos });
    t.same(await published, ['text', qos, 'device']);
    const [packet, receiver] = await acknowledged;
    t.match(packet, qos === 1 ? { cmd: 'publish', topic: 'a' } : { cmd: 'pubrel' });
    t.equal(idOf(receiver), 'device');
    aedes.removeAllListeners('publish');
  }
  const pinged = next(aedes, 'ping');
  client.sendPing();
  const [packet, pinger] = await pinged;
  t.same([packet, idOf(pinger)], [{ cmd: 'pingreq' }, 'device']);
  await client.endAsync();
});

t.test('subscribe names each topic once, the last, and unsubscribe the topics', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  const client = await RawClient.connect(t, port, { clientId: 'device' });
  const subscribed = next(aedes, 'subscribe');
  await client.subscribe([
    { filter: 'a', qos: 0 },
    { filter: 'b', qos: 1 },
    { filter: 'a', qos: 2 },
  ]);
  const [subscriptions, subscriber] = await subscribed;
  t.same(subscriptions, [
    { topic: 'a', qos: 2 },
    { topic: 'b', qos: 1 },
  ]);
  t.equal(idOf(subscriber), 'device');
  const unsubscribed = next(aedes, 'unsubscribe');
  await client.unsubscribe('a', 'b');
  t.same((await unsubscribed)[0], ['a', 'b']);
});

t.test('errors are clientError of a client with an id, else connectionError', async (t) => {
  const { aedes, port } = await startEmbedded(t, { connectTimeout: 100 });
  const silent = next(aedes, 'connectionError');
  const first = await RawClient.open(t, port);
  const [early] = (await silent) as [Client, Error];
  t.equal(early.id, null);
  await first.expectClose();
  const malformed = next(aedes, 'connectionError');
  const second = await RawClient.open(t, port);
  second.send(wire.PINGREQ);
  await malformed;
  const client = await RawClient.connect(t, port, { clientId: 'device' });
  const told = next(aedes, 'clientError');
  client.send(wire.frame(0x36, Buffer.alloc(4)));
  t.equal(idOf((await told)[0]), 'device');
});

t.test('keepaliveTimeout comes before the clientError and the end', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  const seen = record(aedes, ['keepaliveTimeout', 'clientError', 'clientDisconnect']);
  const gone = next(aedes, 'clientDisconnect');
  const client = await RawClient.connect(t, port, { keepAlive: 1 });
  await client.expectDisconnect(0x8d, 4000);
  const [disconnected] = (await gone) as [Client];
  t.same(seen, ['keepaliveTimeout', 'clientError', 'clientDisconnect']);
  t.equal(disconnected.disconnectReasonCode, 0x8d);
});

t.test('a session that expires is told of once, a clean end not at all', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  const expired: string[] = [];
  aedes.on('sessionExpired', (client) => expired.push(client.id));
  const clean = await RawClient.connect(t, port, { clientId: 'clean' });
  await clean.disconnect();
  const told = next(aedes, 'sessionExpired');
  const kept = await RawClient.connect(t, port, {
    clientId: 'kept',
    properties: { sessionExpiryInterval: 1 },
  });
  const gone = next(aedes, 'clientDisconnect');
  await kept.disconnect();
  await gone;
  // Aedes has timers of its own for this, which would tell of it again.
  t.equal(Reflect.get(aedes, 'expiringSessions').size, 0);
  await told;
  t.same(expired, ['kept']);
});

t.test('the newest session beyond pendingSessionsLimit ends at once', async (t) => {
  const { aedes, port } = await startEmbedded(t, { pendingSessionsLimit: 1 });
  const park = async (clientId: string): Promise<void> => {
    const gone = next(aedes, 'clientDisconnect');
    const client = await RawClient.connect(t, port, { clientId, properties: { sessionExpiryInterval: 600 } });
    await client.disconnect();
    await gone;
  };
  const resumes = async (clientId: string): Promise<boolean> => {
    const client = await RawClient.open(t, port);
    const { sessionPresent } = await client.connect({ clientId, clean: false });
    await client.disconnect();
    return sessionPresent;
  };
  await park('one');
  await park('one');
  const told = next(aedes, 'sessionLimitReached');
  await park('two');
  const [client, info] = await told;
  t.equal(idOf(client), 'two');
  t.same(info, { reason: 'sessionExpiry', limit: 1 });
  t.equal(await resumes('two'), false);
  t.equal(await resumes('one'), true);
});

t.test('close tells v5 clients 0x8B, drops delayed wills in the open, and then is closed', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  const will = { topic: 'w', payload: 'x', properties: { willDelayInterval: 60 } };
  const five = await RawClient.connect(t, port, {
    clientId: 'five',
    will,
    properties: { sessionExpiryInterval: 600 },
  });
  const four = await RawClient.connect(t, port, { version: 4 });
  const waiting = await RawClient.open(t, port);
  const dropped = next(aedes, 'willDropped');
  const closed = next(aedes, 'closed');
  t.equal(aedes.closed, false);
  const done = new Promise<void>((resolve) => aedes.close(resolve));
  t.equal(aedes.closed, true);
  await five.expectDisconnect(0x8b);
  await four.expectClose();
  await waiting.expectClose();
  const [client, message] = await dropped;
  t.equal(idOf(client), 'five');
  t.match(message, { topic: 'w' });
  await closed;
  await done;
  await new Promise<void>((resolve) => aedes.close(resolve));
  const late = await RawClient.open(t, port);
  await late.expectClose();
});

t.test('the broker publishes its own life below $SYS/<id>/', async (t) => {
  const { aedes, port } = await startEmbedded(t, { id: 'hub', heartbeatInterval: 20 });
  t.equal(aedes.id, 'hub');
  const watcher = await RawClient.connect(t, port, { clientId: 'watcher' });
  await watcher.subscribe('$SYS/hub/#');
  const told = async (name: string): Promise<string> =>
    (await watcher.take(name, ({ topic }) => topic === `$SYS/hub/${name}`)).payload;
  t.equal(await told('heartbeat'), 'hub');
  const client = await RawClient.connect(t, port, { clientId: 'device' });
  t.equal(await told('new/clients'), 'device');
  await client.subscribe('a', { qos: 1 });
  const subs = [{ topic: 'a', qos: 1 }];
  await watcher.take('own', ({ payload }) => payload.includes('watcher'));
  t.same(JSON.parse(await told('new/subscribes')), { clientId: 'device', subs });
  await client.unsubscribe('a');
  t.same(JSON.parse(await told('new/unsubscribes')), { clientId: 'device', subs: ['a'] });
  await client.disconnect();
  t.equal(await told('disconnect/clients'), 'device');
});

t.test('the birth of a broker is published, and events of its own messages have no client', async (t) => {
  const { Aedes } = await import('../../lib/index.js');
  const aedes = new Aedes({ id: 'born' });
  t.equal(aedes.closed, true);
  const told = next(aedes, 'publish');
  await aedes.listen();
  t.teardown(() => new Promise<void>((resolve) => aedes.close(resolve)));
  const [packet, client] = await told;
  t.match(packet, { topic: '$SYS/born/birth' });
  t.equal(client, null);
  t.equal(aedes.closed, false);
});
