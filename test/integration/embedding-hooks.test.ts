/** The hooks as Aedes documents them (docs/Aedes.md there), its own examples among them. */
import type { Client } from 'aedes';
import t from 'tap';
import { RawClient, unique } from '../support/raw-client.js';
import * as wire from '../support/wire.js';
import { next, startEmbedded } from './embedding.js';

/** An error with the fields that Aedes documents. */
const errorWith = <T extends object>(message: string, fields: T): Error & T =>
  Object.assign(new Error(message), fields);
const AUTH_CODES = [
  [2, 0x85],
  [3, 0x88],
  [4, 0x86],
  [5, 0x87],
] as const;

t.test('preConnect sees the address and CONNECT before the client has an id, and lets it in', async (t) => {
  const { aedes, port, server } = await startEmbedded(t);
  const sockets: unknown[] = [];
  server.on('connection', (socket) => sockets.push(socket));
  const seen: unknown[] = [];
  aedes.preConnect = (client, packet, callback) => {
    seen.push(client.id, packet.clientId, packet.keepalive, packet.username, client.conn === sockets[0]);
    callback(null, 'remoteAddress' in client.conn && client.conn.remoteAddress === '127.0.0.1');
  };
  await RawClient.connect(t, port, { clientId: 'first', keepAlive: 9, username: 'matteo', version: 4 });
  t.same(seen, [null, 'first', 9, 'matteo', true]);
});

t.test('preConnect refuses with an error, which is a connectionError, and with false', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  const refusal = new Error('connection error');
  for (const [error, text] of [
    [refusal, 'connection error'],
    [null, 'refused by preConnect'],
  ] as const) {
    aedes.preConnect = (_client, _packet, callback) => callback(error, false);
    const told = next(aedes, 'connectionError');
    const client = await RawClient.open(t, port);
    client.send(wire.connect({ clientId: 'x' }));
    await client.expectClose();
    const [refused, reason] = (await told) as [Client, Error];
    t.equal(reason.message, text);
    if (error !== null) t.equal(reason, error, 'it is the very error of the hook');
    t.equal(refused.id, null);
  }
  t.equal(aedes.connectedClients, 0);
});

t.test('preConnect may change client id, keep alive and will', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  aedes.preConnect = (_client, packet, callback) => {
    packet.clientId = 'renamed';
    if (packet.will !== undefined) packet.will.topic = 'moved/will';
    callback(null, true);
  };
  const watcher = await RawClient.connect(t, port, { clientId: 'ignored' });
  await watcher.subscribe('moved/will');
  aedes.preConnect = (_client, packet, callback) => {
    if (packet.will !== undefined) packet.will.topic = 'moved/will';
    callback(null, true);
  };
  const client = await RawClient.connect(t, port, { will: { topic: 'will', payload: 'gone' } });
  client.destroy();
  await watcher.expectPublish('moved/will', 'gone');
});

for (const hook of ['preConnect', 'authenticate'] as const) {
  t.test(
    `${hook} redirects a v5 client with 0x9C, or 0x9D where the error says so, and a reference`,
    async (t) => {
      for (const [asked, expected] of [
        [undefined, 0x9c],
        [0x9d, 0x9d],
        [0x97, 0x9c],
      ] as const) {
        const { aedes, port } = await startEmbedded(t);
        const error = errorWith('internal detail', {
          serverReference: 'a.example:1883 b.example:1883',
          ...(asked !== undefined && { reasonCode: asked }),
          returnCode: 5,
        });
        if (hook === 'preConnect') aedes.preConnect = (_client, _packet, callback) => callback(error, false);
        else aedes.authenticate = (_client, _name, _password, callback) => callback(error, null);
        const client = await RawClient.open(t, port);
        const connack = await client.connect();
        t.equal(connack.reasonCode, expected);
        t.equal(connack.properties.serverReference, 'a.example:1883 b.example:1883');
        t.match(connack.properties.reasonString, /server/);
        await client.expectClose();
      }
    },
  );
}

t.test('authenticate gets name and password, and its true lets the client in', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  aedes.authenticate = (client, username, password, callback) => {
    callback(null, client.id === 'me' && username === 'matteo' && password?.toString() === 'secret');
  };
  await RawClient.connect(t, port, { clientId: 'me', username: 'matteo', password: 'secret', version: 4 });
  for (const [version, code] of [
    [4, 5],
    [5, 0x87],
  ] as const) {
    const client = await RawClient.open(t, port, { version });
    client.send(wire.connect({ clientId: 'me', username: 'matteo', password: 'wrong', version }));
    await client.expectRefused(code);
  }
});

t.test('an error of authenticate chooses the return code 2 to 5, and is a clientError', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  for (const [returnCode, reasonCode] of AUTH_CODES) {
    const error = errorWith('Auth error', { returnCode });
    aedes.authenticate = (_client, _name, _password, callback) => callback(error, null);
    for (const version of [3, 4, 5] as const) {
      const told = next(aedes, 'clientError');
      const sent = next(aedes, 'connackSent');
      const client = await RawClient.open(t, port, { version });
      client.send(wire.connect({ clientId: 'me', version }));
      await client.expectRefused(version === 5 ? reasonCode : returnCode);
      if (version === 5) t.type(client.received[0]?.properties.reasonString, 'string');
      t.not(client.received[0]?.properties.reasonString, 'Auth error');
      const [, reason] = (await told) as [Client, Error];
      t.equal(reason, error);
      const [packet] = await sent;
      t.match(packet, version === 5 ? { cmd: 'connack', reasonCode } : { cmd: 'connack', returnCode });
    }
  }
});

t.test('authorizePublish overwrites the payload, and refuses in the way of each version', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  aedes.authorizePublish = (_client, packet, callback) => {
    if (packet.topic === 'aaaa') {
      callback(new Error('wrong topic'));
      return;
    }
    if (packet.topic === 'bbb') packet.payload = Buffer.from('overwrite packet payload');
    callback(null);
  };
  const subscriber = await RawClient.connect(t, port);
  await subscriber.subscribe(['bbb', 'aaaa', 'other']);
  const v5 = await RawClient.connect(t, port, { clientId: 'five' });
  for (const qos of [0, 1, 2] as const) {
    await v5.publish('bbb', 'x', { qos });
    await subscriber.expectPublish('bbb', 'overwrite packet payload');
  }
  const errors: Error[] = [];
  aedes.on('clientError', (_client, error) => errors.push(error));
  t.equal((await v5.publish('aaaa', 'x', { qos: 1 }))?.reasonCode, 0x87);
  t.equal((await v5.publish('aaaa', 'x', { qos: 2 }))?.reasonCode, 0x87);
  v5.sendPublish('aaaa', 'x');
  await v5.publish('other', 'still here');
  await subscriber.expectPublish('other', 'still here');
  t.same(
    errors.map(({ message }) => message),
    ['wrong topic', 'wrong topic', 'wrong topic'],
  );
  const v4 = await RawClient.connect(t, port, { version: 4 });
  v4.sendPublish('aaaa', 'x', { qos: 1, packetId: 1 });
  await v4.expectClose();
});

t.test('the error of authorizePublish is the Reason String of a v5 client that wants one', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  aedes.authorizePublish = (_client, _packet, callback) => callback(new Error('wrong topic'));
  const cases = [
    [{}, 'wrong topic'],
    [{ requestProblemInformation: 0 }, undefined],
    [{ maximumPacketSize: 15 }, undefined],
  ] as const;
  for (const [properties, expected] of cases) {
    const client = await RawClient.connect(t, port, { properties });
    for (const qos of [1, 2] as const) {
      const refusal = await client.publish('a', 'x', { qos });
      t.equal(refusal?.reasonCode, 0x87);
      t.equal(refusal?.properties.reasonString, expected);
    }
  }
});

t.test('authorizePublish is asked for wills, with their client', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  const asked: string[] = [];
  aedes.authorizePublish = (client, packet, callback) => {
    asked.push(`${client?.id} ${packet.topic}`);
    callback(packet.topic === 'no' ? new Error('no') : null);
  };
  const subscriber = await RawClient.connect(t, port);
  await subscriber.subscribe(['no', 'yes']);
  for (const topic of ['no', 'yes']) {
    const client = await RawClient.connect(t, port, { clientId: topic, will: { topic, payload: 'will' } });
    const gone = next(aedes, 'clientDisconnect');
    client.destroy();
    await gone;
  }
  await subscriber.expectPublish('yes', 'will');
  await subscriber.expectNothing();
  t.same(asked, ['no no', 'yes yes']);
});

t.test('by default everything may be published but what is below $SYS/', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  const subscriber = await RawClient.connect(t, port);
  await subscriber.subscribe(['$SYS/mine', '$other/topic']);
  const v5 = await RawClient.connect(t, port);
  const told = next(aedes, 'clientError');
  t.equal((await v5.publish('$SYS/mine', 'x', { qos: 1 }))?.reasonCode, 0x87);
  const [, error] = (await told) as [Client, Error];
  t.equal(error.message, '$SYS/ topic is reserved');
  v5.sendPublish('$other/topic', 'x');
  await subscriber.expectPublish('$other/topic', 'x');
  const v4 = await RawClient.connect(t, port, { version: 4 });
  v4.sendPublish('$SYS/mine', 'x');
  await v4.expectClose();
  aedes.authorizePublish = (_client, _packet, callback) => callback(null);
  v5.sendPublish('$SYS/mine', 'now');
  await subscriber.expectPublish('$SYS/mine', 'now');
});

t.test(
  'authorizeSubscribe rewrites topic and QoS, refuses with an error and negates with null',
  async (t) => {
    const { aedes, port } = await startEmbedded(t);
    aedes.authorizeSubscribe = (_client, sub, callback) => {
      if (sub.topic === 'aaaa') {
        callback(new Error('wrong topic'));
        return;
      }
      if (sub.topic === 'bbb') {
        sub.topic = 'foo';
        sub.qos = 1;
      }
      callback(null, sub.topic === 'cccc' ? null : sub);
    };
    const errors: string[] = [];
    aedes.on('clientError', (_client, error) => errors.push(error.message));
    for (const [version, refusal] of [
      [4, 0x80],
      [5, 0x87],
    ] as const) {
      const client = await RawClient.connect(t, port, { version });
      const event = next(aedes, 'subscribe');
      const suback = await client.subscribe(['aaaa', 'bbb', 'cccc', 'dddd'], { qos: 2, allowRefusal: true });
      t.same(suback.reasonCodes, [refusal, 1, refusal, 2]);
      const [subscriptions] = await event;
      t.same(subscriptions, [
        { topic: 'aaaa', qos: 128 },
        { topic: 'foo', qos: 1 },
        { topic: 'cccc', qos: 128 },
        { topic: 'dddd', qos: 2 },
      ]);
      aedes.publish(
        { cmd: 'publish', topic: 'foo', payload: 'x', qos: 2, retain: false, dup: false },
        () => {},
      );
      const delivery = await client.expectPublish('foo', 'x');
      t.equal(delivery.qos, 1);
      await client.complete(delivery);
      await client.disconnect();
    }
    t.same(errors, ['wrong topic', 'wrong topic']);
  },
);

t.test('what was granted is not asked again when a session is resumed', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  const asked: string[] = [];
  aedes.authorizeSubscribe = (_client, sub, callback) => {
    asked.push(sub.topic);
    callback(null, sub);
  };
  const options = { clientId: 'kept', version: 4, clean: false } as const;
  const first = await RawClient.connect(t, port, options);
  await first.subscribe('news');
  await first.disconnect();
  const second = await RawClient.open(t, port, { version: 4 });
  t.equal((await second.connect(options)).sessionPresent, true);
  await second.publish('news', 'x');
  await second.expectPublish('news', 'x');
  t.same(asked, ['news']);
});

t.test('authorizeForward changes or withholds a message for one client, live and retained', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  aedes.authorizeForward = (client, packet) => {
    if (packet.topic === 'aaaa' && client.id === 'I should not see this') return;
    if (packet.topic === 'bbb') packet.payload = Buffer.from('overwrite packet payload');
    return packet;
  };
  const publisher = await RawClient.connect(t, port);
  await publisher.publish('aaaa', 'kept', { qos: 1, retain: true });
  const one = await RawClient.connect(t, port, { clientId: 'I should not see this' });
  const other = await RawClient.connect(t, port, { clientId: 'I should' });
  await one.subscribe(['aaaa', 'bbb']);
  await other.subscribe(['aaaa', 'bbb']);
  await other.expectPublish('aaaa', 'kept');
  await publisher.publish('aaaa', 'live', { qos: 1 });
  await publisher.publish('bbb', 'x', { qos: 1 });
  await other.expectPublish('aaaa', 'live');
  await other.expectPublish('bbb', 'overwrite packet payload');
  await one.expectPublish('bbb', 'overwrite packet payload');
  await one.expectNothing();
});

t.test('published holds back the next packet of its client until it is done', async (t) => {
  const { aedes, port } = await startEmbedded(t);
  const waiting: (() => void)[] = [];
  const seen: string[] = [];
  let arrived = (): void => {};
  aedes.published = (packet, client, callback) => {
    if (client === null) {
      callback(null);
      return;
    }
    seen.push(packet.payload.toString());
    waiting.push(() => callback(null));
    arrived();
  };
  const first = new Promise<void>((resolve) => (arrived = resolve));
  const busy = await RawClient.connect(t, port);
  busy.send(
    wire.publish({ topic: 'a', payload: '1', version: 5 }),
    wire.publish({ topic: 'a', payload: '2', version: 5 }),
    wire.PINGREQ,
  );
  await first;
  const other = await RawClient.connect(t, port);
  await other.ping();
  t.same(seen, ['1'], 'the second waits, and so does the PINGREQ');
  t.equal(busy.received.filter(({ type }) => type === 'pingresp').length, 0);
  const second = new Promise<void>((resolve) => (arrived = resolve));
  waiting.shift()?.();
  await second;
  t.same(seen, ['1', '2']);
  waiting.shift()?.();
  await busy.expect('pingresp');
});

t.test('Response Information is told to those who ask, as a text or by client', async (t) => {
  const { aedes, port } = await startEmbedded(t, {
    responseInformation: (client) => {
      if (client.id === 'broken') throw new Error('no base');
      return client.id === 'none' ? undefined : `reply/${client.id}`;
    },
  });
  const informationFor = async (clientId: string, asks: number): Promise<unknown> => {
    const client = await RawClient.open(t, port);
    const properties = { requestResponseInformation: asks };
    return (await client.connect({ clientId, properties })).properties.responseInformation;
  };
  t.equal(await informationFor('one', 1), 'reply/one');
  t.equal(await informationFor('two', 0), undefined);
  t.equal(await informationFor('none', 1), undefined);
  const told = next(aedes, 'clientError');
  t.equal(await informationFor('broken', 1), undefined);
  t.match((await told)[1], { message: 'no base' });
  const fixed = await startEmbedded(t, { responseInformation: 'base' });
  const client = await RawClient.open(t, fixed.port);
  const connack = await client.connect({ properties: { requestResponseInformation: 1 } });
  t.equal(connack.properties.responseInformation, 'base');
});

t.test('a hook that throws or rejects harms only its own connection, and is logged', async (t) => {
  const topic = unique('topic');
  const throwing = (): never => {
    throw new Error('hook fault');
  };
  const rejecting = async (): Promise<never> => throwing();
  for (const fault of [throwing, rejecting]) {
    const { aedes, port, errors } = await startEmbedded(t);
    const bystander = await RawClient.connect(t, port, { clientId: 'bystander' });
    await bystander.subscribe(topic);
    const stranger = async (): Promise<RawClient> => {
      const client = await RawClient.open(t, port);
      client.send(wire.connect({ clientId: unique('x') }));
      return client;
    };
    Object.assign(aedes, { preConnect: fault });
    await (await stranger()).expectClose();
    Object.assign(aedes, { preConnect: undefined, authenticate: fault });
    await (await stranger()).expectRefused(0x88);
    Object.assign(aedes, { authenticate: undefined });
    const client = await RawClient.connect(t, port);
    Object.assign(aedes, { authorizePublish: fault });
    t.equal((await client.publish(topic, 'x', { qos: 1 }))?.reasonCode, 0x87);
    Object.assign(aedes, { authorizePublish: undefined, authorizeSubscribe: fault });
    t.same((await client.subscribe('a', { allowRefusal: true })).reasonCodes, [0x87]);
    Object.assign(aedes, { authorizeSubscribe: undefined, published: fault });
    await client.publish(topic, 'through', { qos: 1 });
    await bystander.expectPublish(topic, 'through');
    await client.ping();
    Object.assign(aedes, { published: undefined });
    if (fault === throwing) {
      Object.assign(aedes, { authorizeForward: fault });
      await client.publish(topic, 'withheld', { qos: 1 });
      Object.assign(aedes, { authorizeForward: undefined });
    }
    await client.publish(topic, 'last', { qos: 1 });
    await bystander.expectPublish(topic, 'last');
    const hooks = errors.map(({ fields }) => fields['hook']);
    const expected = ['preConnect', 'authenticate', 'authorizePublish', 'authorizeSubscribe', 'published'];
    t.same(hooks, fault === throwing ? [...expected, 'authorizeForward'] : expected);
  }
});

t.test('a hook that never answers holds up nobody else', async (t) => {
  const { aedes, port } = await startEmbedded(t, { connectTimeout: 100 });
  const bystander = await RawClient.connect(t, port);
  await bystander.subscribe('a');
  const stuck = await RawClient.connect(t, port, { clientId: 'stuck' });
  aedes.authorizePublish = (client, _packet, callback) => {
    if (client?.id !== 'stuck') callback(null);
  };
  stuck.sendPublish('a', 'never', { qos: 1, packetId: 1 });
  aedes.authenticate = (client, _name, _password, callback) => {
    if (client.id !== 'waits') callback(null, true);
  };
  const told = next(aedes, 'clientError');
  const refused = await RawClient.open(t, port);
  refused.send(wire.connect({ clientId: 'waits' }));
  const other = await RawClient.connect(t, port);
  await other.publish('a', 'x', { qos: 1 });
  await bystander.expectPublish('a', 'x');
  const [client] = (await told) as [Client];
  t.equal(client.id, 'waits');
  await refused.expectClose();
});

t.test('a listener that throws is logged and goes no further', async (t) => {
  const { aedes, port, errors } = await startEmbedded(t);
  for (const event of ['client', 'clientReady', 'connackSent', 'subscribe', 'publish', 'clientDisconnect'])
    (aedes as NodeJS.EventEmitter).on(event, () => {
      throw new Error(`in ${event}`);
    });
  const client = await RawClient.connect(t, port);
  await client.subscribe('a');
  await client.publish('a', 'x', { qos: 1 });
  await client.expectPublish('a', 'x');
  const gone = next(aedes, 'clientDisconnect').catch(() => {});
  await client.disconnect();
  await gone;
  const other = await RawClient.connect(t, port);
  await other.ping();
  t.ok(errors.some(({ fields }) => fields['event'] === 'clientReady'));
});
