import t from 'tap';
import { ReasonCode } from '../../../lib/protocol/index.js';
import { C } from '../../../lib/telemetry/counters.js';
import * as wire from '../../support/wire.js';
import { ConnectionWorld, METHOD, type Peer, settled } from './connection-world.js';

const GOODBYE = {
  code: ReasonCode.administrativeAction,
  counter: C.disconnectedAdministrative,
  text: 'goodbye',
};
const NO = { reasonCode: ReasonCode.banned, text: 'not you', counter: C.connectionRefusedHook };

t.test('a client gets in step by step, and counts as a handshake until it is', async (t) => {
  const world = new ConnectionWorld();
  const peer = world.dial();
  t.equal(world.lanes.handshakes, 1);
  peer.connect();
  t.same(world.events, ['door opened']);
  await peer.admit();
  t.equal(peer.answer, 'in');
  t.equal(peer.connection.session?.handle, peer);
  t.same(peer.take(), [], 'the door has not spoken');
  peer.finish();
  t.match(peer.take(), [{ type: 'connack', reasonCode: 0, sessionPresent: false }]);
  t.equal(peer.connection.isReady, true);
  t.equal(world.lanes.handshakes, 0);
  peer.connection.closed(undefined);
  t.same(world.events, ['door opened', 'door closed', 'closed']);
  t.equal(world.lanes.handshakes, 0);
});

t.test('Session Present tells of a session that was kept', async (t) => {
  const world = new ConnectionWorld();
  const kept = { clean: false, properties: { sessionExpiryInterval: 100 } };
  const first = await world.enter(kept);
  first.connection.closed(undefined);
  const second = world.dial();
  second.connect(kept);
  await second.admit();
  second.finish();
  t.match(second.take(), [{ type: 'connack', sessionPresent: true }]);
});

for (const [what, bytes, answer] of [
  ['a packet that is not CONNECT', wire.publish({ topic: 'a' }), undefined],
  ['the beginning of one', Buffer.from([0x30]), undefined],
  ['an unknown level', wire.connect({ level: 9 }), { version: 4, reasonCode: 0x01 }],
  ['a broken CONNECT of MQTT 5', wire.connect({ flags: 1 }), { version: 5, reasonCode: 0x81 }],
  ['a broken CONNECT of 3.1.1', wire.connect({ version: 4, flags: 1 }), undefined],
  [
    'a CONNECT of MQTT 5 that is too large',
    wire.connect({ clientId: 'x'.repeat(400) }),
    { version: 5, reasonCode: 0x95 },
  ],
  [
    'a CONNECT of 3.1.1 that is too large',
    wire.connect({ version: 4, clientId: 'x'.repeat(400) }),
    undefined,
  ],
] as const) {
  t.test(`the first packet: ${what}`, async (t) => {
    const world = new ConnectionWorld({ connectMaxBytes: 300 });
    const peer = world.dial();
    peer.feed(bytes);
    if (answer === undefined) t.same(peer.take(), []);
    else t.match(peer.take(answer.version), [{ type: 'connack', reasonCode: answer.reasonCode }]);
    t.equal(peer.ended, true);
    t.equal(world.lanes.handshakes, 0);
    t.equal(world.events.length, 1);
    t.match(world.events, [/^error: /], 'the door never hears of it');
  });
}

t.test('a CONNECT that is too large is in the log, and what is no CONNECT is not', async (t) => {
  const world = new ConnectionWorld({ connectMaxBytes: 300 });
  const refused = (): unknown => world.logged.filter(({ level }) => level === 'info');
  world.dial().feed(wire.publish({ topic: 'a', payload: 'x'.repeat(400) }));
  t.same(refused(), []);
  t.equal(world.counter('connectionRefusedTooLarge'), 0);
  world.dial().feed(wire.connect({ version: 4, clientId: 'x'.repeat(400) }));
  const reason =
    /^a CONNECT of 4\d\d bytes is larger than the 300 that are accepted here \(mqtt\.connectMaxBytes\)$/;
  t.match(refused(), [{ message: 'a connection was refused', fields: { client: undefined, reason } }]);
  t.equal(world.counter('connectionRefusedTooLarge'), 1);
});

t.test('the largest packet is that of CONNECT before it, and that of all others after it', async (t) => {
  const world = new ConnectionWorld({ connectMaxBytes: 60, packetMaxBytes: 500 });
  const peer = await world.enter();
  peer.feed(wire.publish({ topic: 'a', payload: 'x'.repeat(300) }));
  t.equal(peer.connection.isReady, true);
  peer.feed(wire.publish({ topic: 'a', payload: 'x'.repeat(500) }));
  t.match(peer.take(), [{ type: 'disconnect', reasonCode: 0x95 }]);
});

t.test('a client that does not send CONNECT in time is let go', async (t) => {
  const world = new ConnectionWorld({ connectTimeoutMs: 1000 });
  const peer = world.dial();
  world.advance(999);
  t.equal(peer.ended, false);
  world.advance(1);
  t.equal(peer.ended, true);
  t.equal(world.counter('connectionRefusedTimeout'), 1);
  t.equal(world.lanes.handshakes, 0);
});

t.test('the whole handshake may take six times as long, and the door what it needs after it', async (t) => {
  const world = new ConnectionWorld({ connectTimeoutMs: 1000 });
  world.verdict = undefined;
  const slow = world.dial();
  slow.connect({ clientId: 'slow' });
  await slow.admit();
  world.advance(5999);
  t.equal(slow.ended, false);
  world.advance(1);
  t.equal(slow.ended, true);
  t.equal(slow.answer, undefined, 'the door hears of the end alone');
  t.equal(world.events.at(-1), 'door closed');

  world.verdict = { ok: true, username: undefined };
  const granted = world.dial();
  granted.connect();
  await granted.admit();
  world.advance(60_000);
  granted.finish();
  t.equal(granted.connection.isReady, true);
  t.equal(world.counter('connectionRefusedTimeout'), 1);
});

t.test('terms that cannot be met refuse a client before anybody is asked', async (t) => {
  const world = new ConnectionWorld({ clientIdMaxBytes: 5 });
  const peer = world.dial();
  peer.connect();
  await peer.admit();
  t.match(peer.take(), [{ type: 'connack', reasonCode: 0x85 }]);
  t.equal(peer.answer, undefined);
  t.equal(peer.ended, true);
});

t.test('wrong credentials are refused in the form of each version', async (t) => {
  for (const [version, reasonCode] of [
    [5, 0x86],
    [4, 0x04],
  ] as const) {
    const world = new ConnectionWorld();
    world.verdict = { ok: false, reasonCode: 0x86 };
    const peer = world.dial();
    peer.connect({ version, username: 'ann', password: 'wrong' });
    await peer.admit();
    t.match(peer.take(), [{ type: 'connack', reasonCode }]);
    t.match(peer.answer, { reasonCode: 0x86 });
    t.equal(peer.connection.closeReason?.code, 0x86);
    t.equal(world.counter('connectionRefusedCredentials'), 1);
  }
});

t.test('a will that may not be published is refused [MQTT 5, 3.1.4.3]', async (t) => {
  const world = new ConnectionWorld();
  world.authorizer.mayPublish = (topic) => topic !== 'no';
  const peer = world.dial();
  peer.connect({ will: { topic: 'no' } });
  await peer.admit();
  t.match(peer.take(), [{ type: 'connack', reasonCode: 0x87 }]);
  t.equal(world.lanes.registry.count, 0);
});

t.test('a hook stands in place of credentials and of enhanced authentication', async (t) => {
  const world = new ConnectionWorld();
  world.verdict = { ok: false, reasonCode: 0x86 };
  const peer = world.dial();
  peer.connect({ username: 'ann', properties: { authenticationMethod: METHOD } });
  await peer.admit((done) => done(undefined));
  t.equal(peer.answer, 'in');
  t.equal(peer.connection.session?.username, 'ann');
  t.same(world.heard, []);
  const other = world.dial();
  other.connect({ clientId: 'other' });
  await other.admit((done) => done(NO));
  t.match(other.take(), [{ type: 'connack', reasonCode: 0x8a, properties: { reasonString: 'not you' } }]);
});

t.test('what a hook says of a client that has gone has no effect', async (t) => {
  const world = new ConnectionWorld();
  const peer = world.dial();
  peer.connect();
  let late = (_refusal: undefined): void => {};
  await peer.admit((done) => {
    late = done;
  });
  peer.connection.closed(undefined);
  late(undefined);
  t.equal(peer.answer, undefined);
  t.equal(world.lanes.registry.count, 0);
  t.equal(world.counter('connectionRefusedClosed'), 1);
});

t.test('the embedder hears of a refusal once, from the door where that was asked', async (t) => {
  const world = new ConnectionWorld();
  const early = world.dial();
  early.connect();
  early.connection.admission.refuse(NO);
  t.same(world.events, ['door opened', 'error: not you', 'door closed']);
  const late = world.dial();
  late.connect();
  await late.admit((done) => done(NO));
  t.same(late.answer, NO);
  t.same(world.events.slice(3), ['door opened', 'door closed']);
});

t.test('a client that is in cannot be refused any more', async (t) => {
  const world = new ConnectionWorld();
  const peer = await world.enter();
  peer.connection.admission.refuse(NO);
  t.equal(peer.connection.isReady, true);
  t.same(world.counted('connectionRefused'), {});
});

t.test('a refusal without a word is one, and what does not fit is left out of the others', async (t) => {
  const refused = (silent: boolean, maximumPacketSize: number) => {
    const peer = new ConnectionWorld().dial();
    peer.connect({ properties: { maximumPacketSize } });
    peer.connection.admission.refuse({ ...NO, silent });
    return peer;
  };
  t.same(refused(true, 100).take(), []);
  t.match(refused(false, 100).take(), [{ properties: { reasonString: 'not you' } }]);
  t.match(refused(false, 10).take(), [{ reasonCode: 0x8a, properties: {} }]);
  t.same(refused(false, 4).take(), []);
});

t.test('an end before the decision is a refusal', async (t) => {
  const world = new ConnectionWorld();
  const mute = world.dial();
  mute.connection.disconnect(GOODBYE);
  t.same(mute.take(), [], 'there is no version to answer in');
  const peer = world.dial();
  peer.connect();
  peer.connection.disconnect(GOODBYE);
  t.match(peer.take(), [{ type: 'connack', reasonCode: 0x88, properties: { reasonString: 'goodbye' } }]);
  t.equal(peer.ended, true);
  t.equal(world.lanes.handshakes, 0);
});

t.test(
  'a newer connection makes the owner of its client id leave, as soon as the door lets it',
  async (t) => {
    const world = new ConnectionWorld();
    const owner = await world.enter();
    const next = world.dial();
    next.connect();
    await next.admit();
    t.match(owner.take(), [{ type: 'disconnect', reasonCode: 0x8e }]);
    t.equal(owner.connection.closeReason?.counter, C.disconnectedTakenOver);
    t.equal(next.answer, 'in');
    const last = world.dial();
    last.connect();
    await last.admit();
    t.equal(last.answer, undefined, 'the door has not finished with the owner');
    next.finish();
    await settled();
    t.equal(last.answer, 'in');
    t.match(next.take(), [{ type: 'connack' }, { type: 'disconnect', reasonCode: 0x8e }]);
  },
);

t.test('a CONNACK that is larger than the client takes ends the connection without a word', async (t) => {
  const world = new ConnectionWorld();
  const peer = world.dial();
  peer.connect({ clientId: '', properties: { maximumPacketSize: 5 } });
  await peer.admit();
  peer.connection.admission.writeConnack();
  t.equal(peer.ended, false, 'the door has not finished');
  peer.connection.ready();
  t.same(peer.take(), []);
  t.equal(peer.ended, true);
  t.equal(world.counter('disconnectedProtocol'), 1);
  t.equal(world.counter('sentConnack'), 0);
});

// Enhanced authentication.

const hello = { properties: { authenticationMethod: METHOD, authenticationData: 'hello' } };
const auth = (reasonCode: number, authenticationData: string, authenticationMethod = METHOD): Buffer =>
  wire.auth(reasonCode, { authenticationMethod, authenticationData });
const challenge = { kind: 'continue', data: Buffer.from('who?') } as const;
const proof = { kind: 'done', username: 'ann', data: Buffer.from('so be it') } as const;

t.test('an exchange goes on until the method is done, whose last word is in CONNACK', async (t) => {
  const world = new ConnectionWorld();
  world.steps.push(challenge, proof);
  const peer = world.dial();
  peer.connect(hello);
  await peer.admit();
  t.match(peer.take(), [
    {
      type: 'auth',
      reasonCode: 0x18,
      properties: { authenticationMethod: METHOD, authenticationData: challenge.data },
    },
  ]);
  peer.feed(auth(0x18, 'ann'), Buffer.from([0xc0, 0]));
  await settled();
  t.equal(peer.answer, 'in');
  t.same(world.heard, ['hello', 'ann']);
  peer.finish();
  t.match(peer.take(), [
    {
      type: 'connack',
      reasonCode: 0,
      properties: { authenticationMethod: METHOD, authenticationData: proof.data },
    },
    { type: 'pingresp' },
  ]);
  t.equal(peer.connection.session?.username, 'ann');
});

t.test('a method that is not offered is refused, and the offered ones are named', async (t) => {
  const world = new ConnectionWorld();
  const peer = world.dial();
  peer.connect({ properties: { authenticationMethod: 'OTHER' } });
  await peer.admit();
  t.match(peer.take(), [
    { type: 'connack', reasonCode: 0x8c, properties: { reasonString: /offered: FAKE$/ } },
  ]);
});

t.test('what a method refuses is refused', async (t) => {
  const world = new ConnectionWorld();
  world.steps.push({ kind: 'refused', reasonCode: 0x87 });
  const peer = world.dial();
  peer.connect(hello);
  await peer.admit();
  t.match(peer.take(), [{ type: 'connack', reasonCode: 0x87 }]);
  t.match(peer.answer, { reasonCode: 0x87 });
});

t.test('a client may give up in the middle [MQTT-3.1.2-30]', async (t) => {
  const world = new ConnectionWorld();
  world.steps.push(challenge);
  const peer = world.dial();
  peer.connect(hello);
  await peer.admit();
  peer.take();
  peer.feed(wire.disconnect());
  t.same(peer.take(), []);
  t.equal(peer.ended, true);
  t.equal(world.counter('connectionRefusedClosed'), 1);
});

for (const [what, bytes, reasonCode] of [
  ['another packet', Buffer.from([0xc0, 0]), 0x82],
  ['a second CONNECT', wire.connect(), 0x82],
  ['AUTH with another method', auth(0x18, 'x', 'OTHER'), 0x82],
  ['AUTH that begins again', auth(0x19, 'x'), 0x82],
  ['a packet that is broken', Buffer.from([0xf3, 0]), 0x81],
] as const) {
  t.test(`in the middle of an exchange ${what} is refused in CONNACK`, async (t) => {
    const world = new ConnectionWorld();
    world.steps.push(challenge);
    const peer = world.dial();
    peer.connect(hello);
    await peer.admit();
    peer.take();
    peer.feed(bytes);
    t.match(peer.take(), [{ type: 'connack', reasonCode }]);
    t.equal(peer.ended, true);
  });
}

t.test('a challenge that is larger than the client takes ends the handshake', async (t) => {
  const world = new ConnectionWorld();
  world.steps.push({ kind: 'continue', data: Buffer.alloc(100) });
  const peer = world.dial();
  peer.connect({ properties: { ...hello.properties, maximumPacketSize: 60 } });
  await peer.admit();
  t.match(peer.take(), [{ type: 'connack', reasonCode: 0x88 }]);
  t.equal(world.counter('sentAuth'), 0);
});

t.test('a listener that closes a client when it hears of its refusal hears of it once', async (t) => {
  for (const [what, provoke] of [
    ['no CONNECT', (peer: Peer) => peer.connection.data(wire.publish({ topic: 'a' }))],
    ['an unknown level', (peer: Peer) => peer.connection.data(wire.connect({ level: 9 }))],
    [
      'a refusal',
      (peer: Peer) => {
        peer.connect();
        peer.connection.admission.refuse(NO);
      },
    ],
  ] as const) {
    const world = new ConnectionWorld();
    world.onError = (connection) => connection.disconnect(GOODBYE);
    provoke(world.dial());
    t.equal(world.events.filter((event) => event.startsWith('error')).length, 1, what);
  }
  const world = new ConnectionWorld();
  world.onError = (connection) => connection.disconnect(GOODBYE);
  world.dial();
  world.advance(60_000);
  t.equal(world.events.filter((event) => event.startsWith('error')).length, 1, 'silence');
});
