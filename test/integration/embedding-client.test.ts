/** The methods and properties of the broker and its clients as Aedes documents them (docs/Aedes.md, docs/Client.md there). */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { PassThrough } from 'node:stream';
import { Aedes as OriginalAedes, type AedesPublishPacket, type Client, type PublishPacket } from 'aedes';
import mqtt from 'mqtt';
import t from 'tap';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { Aedes } from '../../lib/index.js';
import { RawClient, type ConnectOptions } from '../support/raw-client.js';
import { next, portOf, startEmbedded, type EmbeddedBroker } from './embedding.js';

const packet = (topic: string, payload: string, qos: 0 | 1 | 2 = 0): PublishPacket => ({
  cmd: 'publish',
  topic,
  payload,
  qos,
  retain: false,
  dup: false,
});

/** The client of the embedder beside the one on the wire. */
async function pair(
  t: { teardown(end: () => unknown): void },
  { aedes, port }: EmbeddedBroker,
  options: ConnectOptions = {},
): Promise<{ client: Client; raw: RawClient }> {
  const ready = next(aedes, 'clientReady');
  const raw = await RawClient.connect(t, port, options);
  const [client] = (await ready) as [Client];
  return { client, raw };
}

const called = (call: (done: (error?: Error | null) => void) => void): Promise<Error | null | undefined> =>
  new Promise((resolve) => call(resolve));

t.test("instanceof Aedes's own class holds, for both ways to make one", async (t) => {
  const made = new Aedes();
  t.ok(made instanceof OriginalAedes);
  await made.listen();
  const created = await Aedes.createBroker();
  t.ok(created instanceof Aedes && created instanceof OriginalAedes);
  for (const aedes of [made, created]) await new Promise<void>((resolve) => aedes.close(resolve));
});

t.test('parts that the gateway owns are refused with a reason, not ignored', async (t) => {
  for (const option of ['mq', 'persistence', 'decodeProtocol', 'trustProxy']) {
    t.throws(
      () => new Aedes({ [option]: option === 'trustProxy' ? true : () => {} }),
      { code: 'CONFIG_INVALID', message: new RegExp(`option ${option} `) },
      option,
    );
  }
  t.doesNotThrow(() => new Aedes({ concurrency: 1, queueLimit: 1, trustProxy: false, mq: undefined }));
});

t.test('the client shows what its connection is', async (t) => {
  const broker = await startEmbedded(t, { sessionExpiryIntervalLimit: 100 });
  const sockets: unknown[] = [];
  broker.server.on('connection', (socket) => sockets.push(socket));
  const { client, raw } = await pair(t, broker, {
    clientId: 'device',
    properties: { sessionExpiryInterval: 200, receiveMaximum: 9, maximumPacketSize: 1000 },
  });
  t.match(client, {
    id: 'device',
    clean: false,
    version: 5,
    connecting: false,
    connected: true,
    closed: false,
    disconnectReasonCode: null,
    sessionExpiryInterval: 100,
    maximumPacketSize: 1000,
    receiveMaximum: 9,
  });
  t.equal(client.conn, sockets[0], 'the very socket of the server');
  t.equal(client.req, undefined);
  t.equal(broker.aedes.connectedClients, 1);
  const gone = next(broker.aedes, 'clientDisconnect');
  await raw.disconnect(0, { sessionExpiryInterval: 50 });
  await gone;
  t.match(client, { connected: false, closed: true, disconnectReasonCode: null, sessionExpiryInterval: 50 });
  t.equal(client.conn, sockets[0]);
  t.equal(broker.aedes.connectedClients, 0);
  const old = await pair(t, broker, { version: 4, clientId: 'old' });
  t.match(old.client, { version: 4, clean: true, receiveMaximum: 65535, maximumPacketSize: undefined });
});

t.test('handle returns the client at once, and over WebSocket it has the upgrade request', async (t) => {
  const { aedes } = await startEmbedded(t);
  const server = createServer();
  const sockets = new WebSocketServer({ server });
  const clients: Client[] = [];
  sockets.on('connection', (socket, request) =>
    clients.push(aedes.handle(createWebSocketStream(socket), request)),
  );
  server.listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  const ready = next(aedes, 'clientReady');
  const client = await mqtt.connectAsync(`ws://127.0.0.1:${await portOf(server)}/path`, {
    clientId: 'web',
    reconnectPeriod: 0,
  });
  t.teardown(() => client.end(true));
  const [known] = await ready;
  t.equal(known, clients[0]);
  t.equal(clients[0]?.req?.url, '/path');
  await client.endAsync();
});

t.test('a client that is taken over knows 0x8E', async (t) => {
  const broker = await startEmbedded(t);
  const { client, raw } = await pair(t, broker, { clientId: 'same' });
  const second = await pair(t, broker, { clientId: 'same' });
  await raw.expectDisconnect(0x8e);
  t.equal(client.disconnectReasonCode, 0x8e);
  t.equal(second.client.disconnectReasonCode, null);
  t.equal(broker.aedes.connectedClients, 1);
});

t.test('client.publish sends to this client alone, in clientReady too', async (t) => {
  const broker = await startEmbedded(t);
  const greeted = new Promise((resolve) =>
    broker.aedes.once('clientReady', (client: Client) => client.publish(packet('hello', 'you'), resolve)),
  );
  const { client, raw } = await pair(t, broker, { version: 4 });
  await greeted;
  await raw.expectPublish('hello', 'you');
  for (const qos of [0, 1, 2] as const) {
    t.notOk(await called((done) => client.publish(packet('only/you', `${qos}`, qos), done as () => void)));
    const delivery = await raw.expectPublish('only/you', `${qos}`);
    t.equal(delivery.qos, qos);
    await raw.complete(delivery);
  }
  const error = await called((done) => client.publish(packet('not/#', 'x'), done as () => void));
  t.type(error, TypeError);
});

t.test(
  'client.subscribe and unsubscribe take one, a list or a packet; a messageId is answered',
  async (t) => {
    const broker = await startEmbedded(t);
    const { client, raw } = await pair(t, broker, { version: 4 });
    await called((done) => client.subscribe({ topic: 'one', qos: 0 }, done));
    await called((done) => client.subscribe([{ topic: 'two', qos: 1 }], done));
    await called((done) =>
      client.subscribe(
        { cmd: 'subscribe', messageId: 77, subscriptions: [{ topic: 'three', qos: 2 }] },
        done,
      ),
    );
    const suback = await raw.expect('suback');
    t.same([suback.packetId, suback.reasonCodes], [77, [2]]);
    for (const topic of ['one', 'two', 'three']) broker.aedes.publish(packet(topic, 'x', 2), () => {});
    for (const [topic, qos] of [
      ['one', 0],
      ['two', 1],
      ['three', 2],
    ] as const) {
      const delivery = await raw.expectPublish(topic, 'x');
      t.equal(delivery.qos, qos);
      await raw.complete(delivery);
    }
    await called((done) => client.unsubscribe([{ topic: 'one', qos: 0 }], done));
    await called((done) => Reflect.apply(client.unsubscribe, client, [['two'], done]) as void);
    for (const topic of ['one', 'two', 'three']) broker.aedes.publish(packet(topic, 'y'), () => {});
    await raw.expectPublish('three', 'y');
    await raw.expectNothing();
    t.type(await called((done) => client.subscribe({ topic: 'bad/#/filter', qos: 0 }, done)), TypeError);
  },
);

t.test('client.close ends the connection and calls back when the client is closed', async (t) => {
  const broker = await startEmbedded(t);
  const will = { topic: 'will', payload: 'x' };
  const watcher = await RawClient.connect(t, broker.port);
  await watcher.subscribe('will');
  for (const version of [4, 5] as const) {
    const { client, raw } = await pair(t, broker, { version, will });
    await new Promise<void>((resolve) => client.close(resolve));
    t.equal(client.closed, true);
    await raw.expectClose();
    await watcher.expectPublish('will', 'x');
    await new Promise<void>((resolve) => client.close(resolve));
    t.match(await called((done) => client.publish(packet('a', 'b'), done as () => void)), {
      message: 'connection closed',
    });
  }
});

t.test('client.disconnect sends code and properties to v5 clients, and closes the others', async (t) => {
  const broker = await startEmbedded(t);
  const five = await pair(t, broker);
  const properties = {
    serverReference: 'b.example',
    reasonString: 'moved',
    userProperties: { a: ['1', '2'] },
  };
  await new Promise<void>((resolve) => five.client.disconnect({ reasonCode: 0x9d, properties }, resolve));
  const disconnect = await five.raw.expect('disconnect');
  t.equal(disconnect.reasonCode, 0x9d);
  t.same(disconnect.properties, {
    serverReference: 'b.example',
    reasonString: 'moved',
    userProperty: [
      ['a', '1'],
      ['a', '2'],
    ],
  });
  t.equal(five.client.disconnectReasonCode, 0x9d);
  await five.raw.expectClose();
  const plain = await pair(t, broker);
  await new Promise<void>((resolve) => plain.client.disconnect(resolve));
  await plain.raw.expectDisconnect(0);
  const small = await pair(t, broker, { properties: { maximumPacketSize: 20 } });
  small.client.disconnect({ reasonCode: 0x98, properties: { reasonString: 'x'.repeat(50) } });
  t.same((await small.raw.expect('disconnect')).properties, {});
  const four = await pair(t, broker, { version: 4 });
  await new Promise<void>((resolve) => four.client.disconnect({ reasonCode: 0x9c }, resolve));
  t.equal(four.client.disconnectReasonCode, null);
  await four.raw.expectClose();
});

t.test('client.emptyOutgoingQueue forgets what waits for the client', async (t) => {
  const broker = await startEmbedded(t);
  const { client, raw } = await pair(t, broker, { properties: { receiveMaximum: 1 } });
  await raw.subscribe('a', { qos: 1 });
  for (const payload of ['1', '2', '3']) broker.aedes.publish(packet('a', payload, 1), () => {});
  const first = await raw.expectPublish('a', '1');
  await called((done) => client.emptyOutgoingQueue(done as () => void));
  await raw.complete(first);
  await raw.expectNothing();
});

t.test('broker.publish delivers, retains and reports what it cannot; hooks are not asked', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  aedes.authorizePublish = () => t.fail('bypassed');
  const client = await RawClient.connect(t, port);
  await client.subscribe('a', { qos: 2 });
  for (const qos of [0, 1, 2] as const) {
    t.notOk(await called((done) => aedes.publish(packet('a', 'x', qos), done)));
    await client.complete(await client.expectPublish('a', 'x'));
  }
  await called((done) => aedes.publish({ ...packet('kept', 'x', 1), retain: true }, done));
  await client.subscribe('kept');
  t.equal((await client.expectPublish('kept', 'x')).retain, true);
  const properties = { contentType: 'text', userProperties: { k: 'v' }, messageExpiryInterval: 30 };
  await called((done) => aedes.publish({ ...packet('a', 'y'), properties }, done));
  t.same((await client.expectPublish('a', 'y')).properties, {
    contentType: 'text',
    userProperty: [['k', 'v']],
    messageExpiryInterval: 30,
  });
  for (const topic of ['a/+', 'x'.repeat(70_000), 'a/'.repeat(200)])
    t.type(await called((done) => aedes.publish(packet(topic, 'x'), done)), Error);
});

t.test('broker.subscribe gets what clients and the program publish until unsubscribe', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  aedes.authorizeSubscribe = () => t.fail('bypassed');
  const seen: string[] = [];
  const deliver = (message: AedesPublishPacket, done: () => void): void => {
    seen.push(`${message.cmd} ${message.topic} ${message.payload.toString()}`);
    done();
  };
  await called((done) => aedes.subscribe('a/+', deliver, done));
  const client = await RawClient.connect(t, port);
  await client.publish('a/1', 'x', { qos: 1 });
  await called((done) => aedes.publish(packet('a/2', 'y', 2), done));
  await called((done) => aedes.unsubscribe('a/+', () => {}, done));
  await client.publish('a/3', 'z', { qos: 1 });
  await called((done) => aedes.unsubscribe('a/+', deliver, done));
  await client.publish('a/4', 'never', { qos: 1 });
  t.same(seen, ['publish a/1 x', 'publish a/2 y', 'publish a/3 z']);
});

t.test('in-process subscribers that throw, reject or never call back hold up nobody', async (t) => {
  const { aedes, port, errors } = await startEmbedded(t);
  const seen: string[] = [];
  const faults = [
    () => {
      throw new Error('thrown');
    },
    async () => {
      throw new Error('rejected');
    },
    () => {},
  ];
  for (const fault of faults) await called((done) => aedes.subscribe('a', fault, done));
  await called((done) => aedes.subscribe('a', (message) => seen.push(message.payload.toString()), done));
  const client = await RawClient.connect(t, port);
  await client.publish('a', '1', { qos: 1 });
  await client.publish('a', '2', { qos: 1 });
  await client.ping();
  t.same(seen, ['1', '2']);
  t.equal(errors.length, 4);
});

t.test('handle takes any duplex stream', async (t) => {
  const { aedes } = await startEmbedded(t);
  const { Duplex } = await import('node:stream');
  const inbound = new PassThrough();
  const outbound = new PassThrough();
  const stream = Duplex.from({ readable: inbound, writable: outbound });
  const client = aedes.handle(stream);
  t.equal(client.id, null);
  const ready = next(aedes, 'clientReady');
  const { connect } = await import('../support/wire.js');
  inbound.write(connect({ clientId: 'piped', version: 4 }));
  await ready;
  t.equal(client.id, 'piped');
  const [bytes] = (await once(outbound, 'data')) as [Buffer];
  t.same([...bytes], [0x20, 2, 0, 0]);
  await new Promise<void>((resolve) => client.close(resolve));
});
