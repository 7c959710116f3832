/** The life of a connection from the end of its handshake; how it comes there is in admission.test.ts. */
import t from 'tap';
import { ReasonCode } from '../../../lib/protocol/index.js';
import { C } from '../../../lib/telemetry/counters.js';
import * as wire from '../../support/wire.js';
import { ConnectionWorld, type Peer } from './connection-world.js';

const GOODBYE = {
  code: ReasonCode.administrativeAction,
  counter: C.disconnectedAdministrative,
  text: 'goodbye',
};
const PING = Buffer.from([0xc0, 0]);
/** Durable, so that its end shows what became of it. */
const KEPT = { clean: false, properties: { sessionExpiryInterval: 100 } };

/** A client that was granted its session, with the door still at work. */
async function accepted(world: ConnectionWorld): Promise<Peer> {
  const peer = world.dial();
  peer.connect();
  await peer.admit();
  return peer;
}

t.test('what arrives during the handshake is processed after it, in order', async (t) => {
  const world = new ConnectionWorld();
  const peer = world.dial();
  const subscribe = wire.subscribe(1, [{ filter: 'a', qos: 1 }]);
  peer.feed(wire.connect({ clientId: 'device' }), subscribe, PING);
  peer.feed(wire.publish({ topic: 'a', payload: '1' }));
  await peer.admit();
  peer.finish();
  t.same(
    peer.take().map(({ type }) => type),
    ['connack', 'suback', 'pingresp', 'publish'],
  );
});

t.test('input that waits beyond its limit stays in the socket of the client', async (t) => {
  const world = new ConnectionWorld();
  const peer = await accepted(world);
  const bytes = wire.publish({ topic: 'a', payload: 'x'.repeat(40_000) });
  peer.feed(bytes);
  t.same(peer.transport.log, []);
  peer.feed(bytes);
  t.same(peer.transport.log, ['pause']);
  peer.finish();
  t.equal(peer.transport.log.at(-1), 'resume');
  t.equal(world.counter('messagesReceivedQoS0'), 2);
});

t.test('the password is forgotten once the client is in', async (t) => {
  const peer = await accepted(new ConnectionWorld());
  Object.assign(peer.connection.connect ?? {}, { password: Buffer.from('secret') });
  peer.finish();
  t.equal(peer.connection.connect?.password, undefined);
});

t.test('a disconnection while the door finishes takes effect right after CONNACK', async (t) => {
  const world = new ConnectionWorld();
  const peer = await accepted(world);
  peer.connection.disconnect(GOODBYE);
  peer.connection.disconnect({ ...GOODBYE, text: 'again' });
  t.equal(peer.ended, false);
  peer.finish();
  t.match(peer.take(), [
    { type: 'connack' },
    { type: 'disconnect', reasonCode: 0x98, properties: { reasonString: 'goodbye' } },
  ]);
  t.equal(world.events.at(-1), 'door closed');
});

t.test('a transport that goes while the door finishes is gone for whatever else was to end it', async (t) => {
  const world = new ConnectionWorld();
  const peer = await accepted(world);
  peer.connection.disconnect(GOODBYE);
  peer.connection.closed(new Error('reset'));
  t.same(world.events, ['door opened', 'error: reset']);
  peer.finish();
  t.same(world.events, ['door opened', 'error: reset', 'door closed', 'closed']);
  t.same(world.counted('disconnected'), { disconnectedNetwork: 1 });
  t.equal(world.lanes.connections.size, 0);
});

t.test('a reason that does not fit is left out of DISCONNECT, and so is DISCONNECT', async (t) => {
  for (const [maximumPacketSize, expected] of [
    [100, [{ reasonCode: 0x98, properties: { reasonString: 'farewell and goodbye' } }]],
    [20, [{ reasonCode: 0x98, properties: {} }]],
  ] as const) {
    const world = new ConnectionWorld();
    const peer = await world.enter({ properties: { maximumPacketSize } });
    peer.connection.disconnect({ ...GOODBYE, text: 'farewell and goodbye' });
    t.match(peer.take(), expected);
  }
  for (const [version, code] of [
    [4, 0x98],
    [5, undefined],
  ] as const) {
    const world = new ConnectionWorld();
    const peer = await world.enter({ version });
    peer.connection.disconnect({ ...GOODBYE, code });
    t.same(peer.take(), []);
    t.equal(peer.ended, true);
  }
});

t.test('a closing connection hears nothing more, and is destroyed when it does not go', async (t) => {
  const world = new ConnectionWorld();
  const peer = await world.enter();
  peer.connection.disconnect(GOODBYE);
  peer.take();
  peer.feed(PING);
  peer.connection.disconnect(GOODBYE);
  t.same(peer.take(), []);
  t.same(world.counted('disconnected'), { disconnectedAdministrative: 1 });
  world.advance(1999);
  t.notOk(peer.transport.log.includes('destroy'));
  world.advance(1);
  t.ok(peer.transport.log.includes('destroy'));
  peer.connection.closed(undefined);
  peer.connection.closed(undefined);
  t.same(world.events, ['door opened', 'door closed', 'closed']);
});

t.test('a gateway that stops gives its clients as long as it is told to', async (t) => {
  const world = new ConnectionWorld();
  const peer = await world.enter();
  void world.lanes.drain('the gateway shuts down', 5000);
  world.advance(4999);
  t.notOk(peer.transport.log.includes('destroy'));
  world.advance(1);
  t.ok(peer.transport.log.includes('destroy'));
});

t.test('one that goes in time is not destroyed', async (t) => {
  const world = new ConnectionWorld();
  const peer = await world.enter();
  peer.connection.disconnect(GOODBYE);
  peer.connection.closed(undefined);
  world.advance(10_000);
  t.notOk(peer.transport.log.includes('destroy'));
});

t.test('DISCONNECT of the client decides about will and session', async (t) => {
  for (const [code, fields, wills, expiresMs] of [
    [0, undefined, 0, 100_000],
    [4, undefined, 1, 100_000],
    [0, { sessionExpiryInterval: 7 }, 0, 7000],
    [0, { sessionExpiryInterval: 1000 }, 0, 500_000],
    [0, { sessionExpiryInterval: 0 }, 0, 0],
  ] as const) {
    const world = new ConnectionWorld({ sessionExpiryMaxS: 500 });
    const peer = await world.enter({ ...KEPT, will: { topic: 'w' } });
    peer.feed(wire.disconnect(code, fields));
    t.equal(world.counter('willsPublished'), wills);
    t.equal(world.counter('disconnectedByClient'), 1);
    t.equal(peer.ended, true);
    if (expiresMs > 0) {
      world.advance(expiresMs - 1);
      t.equal(world.lanes.registry.count, 1);
      world.advance(1);
    }
    t.equal(world.lanes.registry.count, 0);
  }
});

t.test('what follows DISCONNECT is not looked at', async (t) => {
  const world = new ConnectionWorld();
  const peer = await world.enter();
  peer.feed(wire.disconnect(), PING);
  t.same(peer.take(), []);
  t.same(world.events, ['door opened', 'door closed']);
});

t.test('DISCONNECT cannot keep a session that CONNECT did not [MQTT-3.14.2-2]', async (t) => {
  const world = new ConnectionWorld();
  const peer = await world.enter({ will: { topic: 'w' } });
  peer.feed(wire.disconnect(0, { sessionExpiryInterval: 7 }));
  t.match(peer.take(), [{ type: 'disconnect', reasonCode: 0x82 }]);
  t.equal(world.counter('willsPublished'), 1);
});

t.test('a broken packet ends its connection with its code, behind what came before it', async (t) => {
  const world = new ConnectionWorld();
  const peer = await world.enter();
  peer.feed(wire.publish({ topic: 'a' }), wire.publish({ topic: 'a' }), Buffer.from([0x00, 0]), PING);
  t.match(peer.take(), [{ type: 'disconnect', reasonCode: 0x81 }]);
  t.equal(world.counter('messagesReceivedQoS0'), 2);
  t.match(world.events.slice(1), ['error: packet type 0 is reserved', 'door closed']);
});

t.test('a bug is not taken for a fault of the client', async (t) => {
  const world = new ConnectionWorld();
  const peer = await world.enter();
  world.authorizer.mayPublish = () => {
    throw new RangeError('a bug');
  };
  t.throws(() => peer.feed(wire.publish({ topic: 'a' })), { name: 'RangeError' });
  t.equal(peer.ended, false);
});

t.test('an answer that is larger than the client takes ends the connection', async (t) => {
  const world = new ConnectionWorld();
  const peer = await world.enter({ properties: { maximumPacketSize: 20 } });
  const filters = Array.from({ length: 20 }, (_, index) => ({ filter: `f/${index}` }));
  peer.feed(wire.subscribe(1, filters));
  t.match(peer.take(), [{ type: 'disconnect', reasonCode: 0x95 }]);
  t.equal(world.counter('sentSuback'), 0);
});

t.test('a silent client is let go, and the embedder hears why first', async (t) => {
  const world = new ConnectionWorld();
  const peer = await world.enter({ keepAlive: 10 });
  world.advance(14_000);
  peer.feed(PING);
  world.advance(15_000);
  t.equal(peer.connection.isReady, true);
  world.advance(1);
  t.match(peer.take(), [{ type: 'pingresp' }, { type: 'disconnect', reasonCode: 0x8d }]);
  t.same(world.events.slice(1), ['ping', 'keep alive timeout', 'door closed']);
});

t.test('a client is not silent while it is not read, and may be again from then on', async (t) => {
  const world = new ConnectionWorld();
  const peer = await world.enter({ keepAlive: 10 });
  peer.connection.suspend();
  for (let at = 0; at < 30_000; at += 10_000) {
    peer.feed(PING);
    world.advance(10_000);
  }
  t.equal(peer.connection.isReady, true, 'it is heard, though not answered');
  const large = wire.publish({ version: 5, topic: 't', payload: Buffer.alloc(40_000), qos: 1, packetId: 1 });
  peer.feed(large, large);
  t.equal(peer.transport.log.at(-1), 'pause');
  world.advance(100_000);
  t.equal(peer.connection.isReady, true);
  peer.connection.resume();
  t.equal(peer.transport.log.at(-1), 'resume');
  world.advance(15_000);
  t.equal(peer.connection.isReady, true);
  world.advance(1);
  t.equal(peer.connection.isReady, false, 'whoever has vanished meanwhile is found');
  t.same(world.counted('disconnected'), { disconnectedKeepAlive: 1 });
});

t.test('a client who is not heard while it is being read is silent, though its packets wait', async (t) => {
  const world = new ConnectionWorld();
  const peer = await world.enter({ keepAlive: 10 });
  peer.connection.suspend();
  peer.feed(PING);
  world.advance(15_001);
  t.equal(peer.connection.isReady, false);
});

t.test('the keep alive begins when the client is in, however long that took', async (t) => {
  const world = new ConnectionWorld();
  const peer = world.dial();
  peer.connect({ keepAlive: 2 });
  let letIn = (): void => {};
  await peer.admit((done) => {
    letIn = () => done(undefined);
  });
  world.advance(5000);
  letIn();
  peer.finish();
  world.advance(3000);
  t.equal(peer.connection.isReady, true);
  world.advance(1);
  t.equal(peer.connection.isReady, false);
});

t.test('a client that takes nothing of its output is let go', async (t) => {
  const world = new ConnectionWorld({ writeTimeoutMs: 5000 });
  const peer = await world.enter();
  peer.feed(PING);
  world.endTurn();
  world.advance(0);
  world.advance(4999);
  t.equal(peer.connection.isReady, true);
  world.advance(1);
  t.equal(peer.connection.isReady, false);
  t.same(world.counted('disconnected'), { disconnectedSlowConsumer: 1 });
});

t.test(
  'DISCONNECT that came before the end is heard, also where the door was not done by then',
  async (t) => {
    const world = new ConnectionWorld();
    const peer = world.dial();
    peer.connect({ will: { topic: 'w' } });
    await peer.admit();
    peer.feed(wire.disconnect());
    peer.connection.closed(undefined);
    peer.finish();
    t.same(world.counted('disconnected'), { disconnectedByClient: 1 });
    t.equal(world.counter('willsPublished'), 0);
    t.equal(world.lanes.connections.size, 0);
  },
);
