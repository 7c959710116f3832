/** What leaves for one session, policy by policy. Over 400 lines: many short tests on the same helpers. */
import t from 'tap';
import { BUFFER_BYTES } from '../../../lib/connection/outbox.js';
import type { Message } from '../../../lib/message/message.js';
import type { Packet, PublishPacket, QoS } from '../../../lib/protocol/index.js';
import { Listener } from '../../../lib/routing/index.js';
import type { Session } from '../../../lib/session/session.js';
import { C } from '../../../lib/telemetry/counters.js';
import { publish as publishFrame } from '../../support/wire.js';
import { type FakeLink, LaneWorld, type LinkOptions, message, type MessageOptions } from './lane-world.js';

/** The queue is not emptied into an outbox with this much pending. */
const PUMP_BELOW_BYTES = 262_144;

function deliver(session: Session, options: MessageOptions & { qos: QoS }, identifiers?: number[]): Message {
  const made = message(options);
  session.outbound.deliver(made, 2, true, identifiers);
  return made;
}

/** One line per packet: type, DUP, QoS, id, payload. */
function lines(packets: readonly Packet[]): string[] {
  return packets.map((packet) => {
    if (packet.type === 'publish') {
      const { dup, qos, packetId, payload } = packet;
      return `publish${dup ? ' dup' : ''} q${qos}${packetId === undefined ? '' : ` #${packetId}`} ${payload.toString()}`;
    }
    return 'packetId' in packet ? `${packet.type} #${packet.packetId}` : packet.type;
  });
}

const publishes = (packets: readonly Packet[]): PublishPacket[] =>
  packets.filter((packet): packet is PublishPacket => packet.type === 'publish');

function reconnect(world: LaneWorld, session: Session, options: LinkOptions = {}): FakeLink {
  if (session.online) session.disconnect(false, undefined);
  const link = world.link(options);
  session.start(link);
  return link;
}

/** Nothing is owed for it. */
function subscribe(session: Session, filter: string): void {
  const options = { qos: 2, retainHandling: 2, noLocal: false, retainAsPublished: false } as const;
  session.subscriptions.subscribe(
    { type: 'subscribe', packetId: 1, properties: {}, subscriptions: [{ filter, ...options }] },
    undefined,
    () => {},
  );
}

/** What is published to the dead-letter topic. */
function deadLetters(world: LaneWorld): Message[] {
  const letters: Message[] = [];
  world.lanes.router.addListener(new Listener<Message>('$dead', (letter) => void letters.push(letter)));
  return letters;
}

const describe = (letter: Message | undefined): unknown =>
  letter === undefined
    ? undefined
    : {
        payload: Buffer.from(letter.payload).toString(),
        properties: Buffer.from(letter.properties).toString('latin1'),
      };

/** User properties as they stand in a message. */
const pairs = (...texts: [string, string][]): string =>
  texts
    .map(
      ([name, value]) =>
        `&\0${String.fromCharCode(name.length)}${name}\0${String.fromCharCode(value.length)}${value}`,
    )
    .join('');

t.test(
  'QoS 1 and 2 leave in order up to the window, the rest follows as acknowledgements come',
  async (t) => {
    const world = new LaneWorld();
    const { session, link } = world.connected({ sendWindow: 2 });
    for (const [index, qos] of ([1, 2, 1, 2] as const).entries())
      deliver(session, { qos, payload: `${index}` });
    t.same(lines(link.take()), ['publish q1 #1 0', 'publish q2 #2 1']);
    t.equal(session.outbound.queuedCount, 2);
    t.ok(session.outbound.queuedBytes > 0);
    session.outbound.puback(1, 0);
    t.same(lines(link.take()), ['publish q1 #3 2']);
    session.outbound.pubrec(2, 0);
    t.same(lines(link.take()), ['pubrel #2'], 'an id between PUBREC and PUBCOMP counts');
    session.outbound.pubcomp(2);
    t.same(lines(link.take()), ['publish q2 #4 3']);
    t.equal(session.outbound.queuedBytes, 0);
  },
);

t.test('acknowledgements that fit nothing change nothing', async (t) => {
  const world = new LaneWorld();
  const { session, link } = world.connected({ version: 5 });
  deliver(session, { qos: 1 });
  deliver(session, { qos: 2 });
  link.take();
  const { outbound } = session;
  outbound.puback(2, 0);
  outbound.puback(9, 0);
  outbound.pubrec(1, 0);
  outbound.pubcomp(2);
  outbound.pubcomp(9);
  t.equal(outbound.inFlightCount, 2);
  t.same(link.take(), []);
  outbound.pubrec(2, 0);
  outbound.pubrec(2, 0);
  t.same(lines(link.take()), ['pubrel #2', 'pubrel #2'], 'a repeated PUBREC is answered again');
  outbound.pubrec(77, 0);
  t.match(
    link.take(),
    [{ type: 'pubrel', packetId: 77, reasonCode: 0x92 }],
    'one of an unknown id with not found',
  );
});

t.test(
  'a client that does not read loses QoS 0 beyond its output cap, each counted; others lose nothing',
  async (t) => {
    const world = new LaneWorld({ clientOutputMaxBytes: 50_000 });
    const slow = world.connected();
    const quick = world.connected();
    for (const { session } of [slow, quick]) world.subscribe(session, 't');
    const payload = Buffer.alloc(20_000);
    for (let index = 0; index < 10; index++) {
      world.publish(message({ payload }));
      t.equal(quick.link.take().length, 1);
    }
    t.same(world.counted('dropped'), { droppedSlowConsumer: 7 });
    t.equal(slow.link.outbox.pending, 3 * 20_007, 'the cap, and the message that went beyond it');
    t.equal(slow.link.take().length, 3);
    world.publish(message());
    t.equal(slow.link.take().length, 1, 'when it reads again it gets what comes then');
  },
);

t.test('the output cap holds beside what waits in the queue, too', async (t) => {
  const world = new LaneWorld({ clientOutputMaxBytes: 50_000 });
  const { session, link } = world.connected({ version: 5, sendWindow: 1 });
  deliver(session, { qos: 1, payload: 'first' });
  deliver(session, { qos: 1, payload: 'waits' });
  t.equal(session.outbound.queuedCount, 1);
  const payload = Buffer.alloc(20_000);
  for (let index = 0; index < 10; index++) deliver(session, { qos: 0, payload });
  t.same(world.counted('dropped'), { droppedSlowConsumer: 7 });
  t.ok(link.outbox.pending < 50_000 + 20_100);
});

t.test('a run is dropped in whole and counted message by message', async (t) => {
  const world = new LaneWorld({ clientOutputMaxBytes: 1000 });
  const slow = world.connected();
  world.subscribe(slow.session, 't');
  const publisher = world.connected();
  const run = Buffer.concat(
    Array.from({ length: 5 }, () => publishFrame({ version: 4, topic: 't', payload: 'x'.repeat(300) })),
  );
  for (let index = 0; index < 3; index++) publisher.link.feed(publisher.session, run);
  t.same(world.counted('dropped'), { droppedSlowConsumer: 10 });
  t.equal(world.counter('messagesSentQoS0'), 5);
  slow.session.disconnect(false, undefined);
  publisher.link.feed(publisher.session, run);
  t.equal(world.counter('droppedOffline'), 5);
});

t.test(
  'when the memory for all clients is used up, new messages are dropped for whoever would need some',
  async (t) => {
    const world = new LaneWorld();
    const { session, link } = world.connected({ sendWindow: 1 });
    deliver(session, { qos: 1, payload: 'first' });
    link.take();
    const { budget } = world.lanes;
    budget.used += budget.maxBytes;
    deliver(session, { qos: 0 });
    deliver(session, { qos: 1 });
    t.same(world.counted('dropped'), { droppedMemory: 2 });
    budget.used -= budget.maxBytes;
    deliver(session, { qos: 0, payload: 'zero' });
    deliver(session, { qos: 1, payload: 'one' });
    session.outbound.puback(1, 0);
    t.same(lines(link.take()), ['publish q0 zero', 'publish q1 #2 one']);
    t.equal(budget.used, 0);
  },
);

t.test('the queue takes its count and not one more, and says so once until it was empty', async (t) => {
  const world = new LaneWorld({ clientQueueMaxCount: 2 });
  const session = world.session();
  for (let index = 0; index < 5; index++) deliver(session, { qos: 1, payload: `${index}` });
  t.equal(session.outbound.queuedCount, 2);
  t.same(world.counted('dropped'), { droppedQueueFull: 3 });
  const warned = (): number => world.logged.filter(({ level }) => level === 'warn').length;
  t.equal(warned(), 1);
  t.match(world.logged[0], { fields: { client: session.clientId, queued: 2, raise: /clientQueueMaxCount/ } });
  t.same(lines(reconnect(world, session).take()), ['publish q1 #1 0', 'publish q1 #2 1'], 'the oldest stay');
  session.disconnect(false, undefined);
  for (let index = 0; index < 4; index++) deliver(session, { qos: 1 });
  t.equal(warned(), 2);
});

t.test('the queue takes its bytes and not one more', async (t) => {
  const { weight } = message({ qos: 1, payload: Buffer.alloc(1000) });
  for (const [bytes, fit] of [
    [weight * 3, 3],
    [weight * 3 - 1, 2],
  ] as const) {
    const world = new LaneWorld({ clientQueueMaxBytes: bytes });
    const session = world.session();
    for (let index = 0; index < 4; index++) deliver(session, { qos: 1, payload: Buffer.alloc(1000) });
    t.equal(session.outbound.queuedCount, fit);
    t.equal(world.lanes.budget.used, fit * weight);
    t.same(world.counted('dropped'), { droppedQueueFull: 4 - fit });
    session.outbound.clearQueue();
    t.equal(world.lanes.budget.used, 0);
    t.equal(world.counter('droppedSessionEnded'), fit);
    session.outbound.clearQueue();
    t.equal(world.counter('droppedSessionEnded'), fit);
  }
});

t.test('what has expired in a full queue makes room for what is new', async (t) => {
  const { weight } = message({ qos: 1 });
  for (const limits of [{ clientQueueMaxCount: 3 }, { clientQueueMaxBytes: 3 * weight }]) {
    const world = new LaneWorld(limits);
    const session = world.session();
    for (const payload of ['1', '2']) deliver(session, { qos: 1, payload, expiresAt: world.now + 1000 });
    deliver(session, { qos: 1, payload: '3' });
    world.now += 1000;
    for (const payload of ['4', '5', '6']) deliver(session, { qos: 1, payload });
    t.same(world.counted('dropped'), { droppedExpired: 2, droppedQueueFull: 1 });
    t.same(lines(reconnect(world, session).take()), [
      'publish q1 #1 3',
      'publish q1 #2 4',
      'publish q1 #3 5',
    ]);
    t.equal(world.lanes.budget.used, 0);
  }
});

t.test('a queued message lets go of the read buffer that it came in', async (t) => {
  const world = new LaneWorld();
  const session = world.session();
  const publisher = world.connected();
  world.subscribe(session, 't', { qos: 1 });
  const read = Buffer.concat([
    publishFrame({ version: 4, topic: 't', qos: 1, payload: 'kept' }),
    Buffer.alloc(60_000),
  ]);
  publisher.link.feed(publisher.session, read.subarray(0, 11));
  read.fill(0xff);
  t.same(lines(reconnect(world, session).take()), ['publish q1 #1 kept']);
});

t.test('QoS 0 for a session without connection is dropped and counted', async (t) => {
  const world = new LaneWorld();
  deliver(world.session(), { qos: 0 });
  t.same(world.counted('dropped'), { droppedOffline: 1 });
});

t.test(
  'the QoS of a delivery is the lower of the message and the subscription, retain is kept only where asked for',
  async (t) => {
    const world = new LaneWorld();
    const { session, link } = world.connected();
    for (const granted of [0, 1, 2] as const) {
      for (const qos of [0, 1, 2] as const) {
        for (const keep of [false, true])
          session.outbound.deliver(message({ qos, retain: true }), granted, keep, undefined);
      }
    }
    const got = publishes(link.take());
    t.same(
      got.map(({ qos }) => qos),
      [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 2, 2],
    );
    t.ok(got.every(({ retain }, index) => retain === (index % 2 === 1)));
  },
);

t.test('a hook may keep a message from a client, or give it another', async (t) => {
  const world = new LaneWorld();
  const { session, link } = world.connected();
  world.lanes.hooks.authorizeForward = (_session, one) =>
    one.topic === 'secret' ? null : message({ qos: one.qos, payload: 'changed' });
  deliver(session, { qos: 1, topic: 'secret' });
  deliver(session, { qos: 1 });
  t.same(lines(link.take()), ['publish q1 #1 changed']);
  t.same(world.counted('dropped'), { droppedNotForwarded: 1 });
});

t.test('whoever asks is told of the last acknowledgement of each message', async (t) => {
  const world = new LaneWorld();
  const { session } = world.connected();
  const told: unknown[] = [];
  world.lanes.hooks.onAck = (_session, one, id, qos) => told.push([one?.topic, id, qos]);
  deliver(session, { qos: 1 });
  deliver(session, { qos: 2 });
  session.outbound.puback(1, 0);
  session.outbound.pubrec(2, 0);
  session.outbound.pubcomp(2);
  t.same(told, [
    ['t', 1, 1],
    [undefined, 2, 2],
  ]);
});

t.test(
  'what is larger than the client takes counts as delivered and the next message follows [MQTT-3.1.2-25]',
  async (t) => {
    for (const topicAliasMaximum of [0, 5]) {
      for (const others of [0, 1]) {
        const world = new LaneWorld();
        const { session, link } = world.connected({
          version: 5,
          maximumPacketSize: 30,
          topicAliasMaximum,
          sendWindow: 1,
        });
        world.subscribe(session, 't', { qos: 2 });
        for (let index = 0; index < others; index++)
          world.subscribe(world.connected({ version: 5 }).session, 't', { qos: 2 });
        for (const qos of [0, 1, 2] as const) {
          world.publish(message({ qos, payload: 'x'.repeat(30) }));
          world.publish(message({ qos, payload: 'fits' }));
          session.outbound.puback(session.outbound.window?.idsInOrder()[0] ?? 0, 0);
        }
        t.equal(world.counter('droppedTooLarge'), 3);
        t.same(
          publishes(link.take()).map(({ qos, payload }) => `${qos} ${payload.toString()}`),
          ['0 fits', '1 fits', '2 fits'],
          `aliases ${topicAliasMaximum}, ${others} other receivers`,
        );
      }
    }
  },
);

t.test('a message that is too large for a client is dropped once it has waited, too', async (t) => {
  const world = new LaneWorld();
  const session = world.session();
  deliver(session, { qos: 1, payload: 'x'.repeat(100) });
  deliver(session, { qos: 1, payload: 'fits' });
  t.same(lines(reconnect(world, session, { version: 5, maximumPacketSize: 20 }).take()), [
    'publish q1 #2 fits',
  ]);
  const sent = reconnect(world, session, { version: 5, maximumPacketSize: 5 });
  t.same(sent.take(), [], 'and so is one in flight, where the client comes back with a smaller limit');
  t.equal(session.outbound.inFlightCount, 0);
  t.equal(world.counter('droppedTooLarge'), 2);
});

t.test(
  'the id of a QoS 2 message that has become too large for its client is not used for another',
  async (t) => {
    const world = new LaneWorld();
    const { session, link } = world.connected({ version: 5 });
    deliver(session, { qos: 2, payload: 'x'.repeat(100) });
    t.same(lines(link.take()), [`publish q2 #1 ${'x'.repeat(100)}`], 'and the client may have it');
    const small = reconnect(world, session, { version: 5, maximumPacketSize: 50 });
    const ids = new Set<number>();
    for (let sent = 0; sent < 65_535; sent++) {
      deliver(session, { qos: 1 });
      for (const { packetId } of publishes(small.take())) {
        ids.add(packetId ?? 0);
        session.outbound.puback(packetId ?? 0, 0);
      }
    }
    t.equal(ids.size, 65_534);
    t.notOk(ids.has(1), 'a new message under it would be taken for a repetition');
  },
);

t.test(
  'a message is not kept from a client only because of the Topic Alias that would come with it',
  async (t) => {
    const world = new LaneWorld();
    const { session, link } = world.connected({ version: 5, maximumPacketSize: 20, topicAliasMaximum: 5 });
    for (const topic of ['t', 'tt']) {
      // Exactly 20 bytes without an alias, which adds three.
      const payload = 'x'.repeat(20 - 2 - 2 - topic.length - 1);
      deliver(session, { qos: 0, topic, payload });
      t.match(link.take(), [{ topic, payload: Buffer.from(payload) }]);
    }
    // An alias that is known takes more room than a topic of one letter.
    deliver(session, { qos: 0, topic: 'k' });
    t.match(link.take(), [{ topic: 'k', properties: { topicAlias: 1 } }]);
    deliver(session, { qos: 0, topic: 'k', payload: 'x'.repeat(14) });
    t.match(link.take(), [{ topic: 'k', payload: Buffer.alloc(14, 'x') }]);
    t.same(world.counted('dropped'), {});
  },
);

t.test('the first topics of a connection get aliases, in both directions of the limit', async (t) => {
  const world = new LaneWorld();
  const { session, link } = world.connected({ version: 5, topicAliasMaximum: 2 });
  for (const topic of ['one', 'two', 'three', 'one', 'two', 'three']) deliver(session, { qos: 1, topic });
  const shown = (packets: readonly Packet[]): unknown[] =>
    publishes(packets).map(({ topic, properties }) => [topic, properties.topicAlias]);
  t.same(shown(link.take()), [
    ['one', 1],
    ['two', 2],
    ['three', undefined],
    ['', 1],
    ['', 2],
    ['three', undefined],
  ]);
  const again = reconnect(world, session, { version: 5, topicAliasMaximum: 1 });
  t.same(
    shown(again.take()).slice(0, 4),
    [
      ['one', 1],
      ['two', undefined],
      ['three', undefined],
      ['', 1],
    ],
    'a new connection has new ones [MQTT-3.3.2-7]',
  );
});

t.test('an alias whose first packet was too large is not taken for known', async (t) => {
  const world = new LaneWorld();
  const { session, link } = world.connected({ version: 5, topicAliasMaximum: 5, maximumPacketSize: 30 });
  deliver(session, { qos: 0, topic: 'topic', payload: 'x'.repeat(100) });
  deliver(session, { qos: 0, topic: 'topic', payload: 'fits' });
  deliver(session, { qos: 0, topic: 'topic', payload: 'fits' });
  t.match(link.take(), [
    { topic: 'topic', properties: { topicAlias: 1 } },
    { topic: '', properties: { topicAlias: 1 } },
  ]);
});

t.test('what expired in the queue is not sent; what lives on shows what is left', async (t) => {
  const world = new LaneWorld();
  const session = world.session();
  deliver(session, { qos: 1, payload: 'short', expiresAt: world.now + 1000 });
  deliver(session, { qos: 1, payload: 'long', expiresAt: world.now + 10_000 });
  world.now += 1000;
  const link = reconnect(world, session, { version: 5 });
  t.match(link.take(), [{ payload: Buffer.from('long'), properties: { messageExpiryInterval: 9 } }]);
  t.same(world.counted('dropped'), { droppedExpired: 1 });
  world.now += 20_000;
  const again = reconnect(world, session, { version: 5 }).take();
  t.match(
    again,
    [{ dup: true, properties: { messageExpiryInterval: 1 } }],
    'a delivery that has begun is finished',
  );
});

t.test(
  'after a reconnect everything in flight is sent again in its order, with DUP, before anything else [MQTT-4.4.0-1]',
  async (t) => {
    const world = new LaneWorld();
    const { session, link } = world.connected({ sendWindow: 4 });
    for (const [index, qos] of ([1, 2, 2, 1, 1] as const).entries())
      deliver(session, { qos, payload: `${index}` });
    link.take();
    session.outbound.pubrec(2, 0);
    const again = reconnect(world, session);
    deliver(session, { qos: 1, payload: 'new' });
    t.same(lines(again.take()), [
      'publish dup q1 #1 0',
      'pubrel #2',
      'publish dup q2 #3 2',
      'publish dup q1 #4 3',
      'publish q1 #5 4',
      'publish q1 #6 new',
    ]);
    t.equal(world.counter('messagesRedelivered'), 4);
  },
);

t.test(
  'a smaller Receive Maximum after a reconnect holds for what is sent again, too [MQTT-3.3.4-9]',
  async (t) => {
    const world = new LaneWorld();
    const { session } = world.connected();
    for (let index = 0; index < 4; index++) deliver(session, { qos: 1, payload: `${index}` });
    const link = reconnect(world, session, { version: 5, sendWindow: 2 });
    deliver(session, { qos: 1, payload: 'new' });
    t.same(lines(link.take()), ['publish dup q1 #1 0', 'publish dup q1 #2 1']);
    session.outbound.puback(3, 0);
    t.same(
      lines(link.take()),
      [],
      'an id of an earlier connection may be acknowledged before it was sent again',
    );
    session.outbound.puback(1, 0);
    t.same(lines(link.take()), ['publish dup q1 #4 3']);
    session.outbound.puback(2, 0);
    t.same(lines(link.take()), ['publish q1 #5 new']);
  },
);

t.test('a backlog is written only as far as the client takes it, and goes on when it has', async (t) => {
  const world = new LaneWorld();
  const { session } = world.connected();
  session.disconnect(false, undefined);
  const payload = Buffer.alloc(20_000);
  for (let index = 0; index < 100; index++) deliver(session, { qos: 1, payload });
  const link = world.link();
  session.start(link);
  world.endTurn();
  t.ok(link.outbox.pending >= PUMP_BELOW_BYTES && link.outbox.pending < PUMP_BELOW_BYTES + 20_100);
  t.ok(session.outbound.queuedCount > 80);
  t.equal(link.take().length, 100);
  t.equal(session.outbound.queuedCount, 0);

  const again = reconnect(world, session);
  world.endTurn();
  t.ok(again.outbox.pending < PUMP_BELOW_BYTES + 20_100, 'the same for what is sent again');
  const ids = publishes(again.take()).map(({ packetId }) => packetId);
  t.equal(new Set(ids).size, 100);
  t.equal(ids.length, 100);
});

t.test('while a client is behind, QoS 1 and 2 wait in the queue and keep their order', async (t) => {
  const world = new LaneWorld();
  const { session, link } = world.connected();
  const payload = Buffer.alloc(BUFFER_BYTES);
  for (let index = 0; index < 10; index++) deliver(session, { qos: 1, payload });
  const waiting = session.outbound.queuedCount;
  t.ok(waiting > 0);
  link.transport.takeOne();
  link.transport.takeOne();
  t.ok(session.outbound.queuedCount < waiting, 'it reads again, and the queue moves before it has caught up');
  t.ok(link.outbox.pending > 0);
  deliver(session, { qos: 1, payload: 'last' });
  const got = publishes(link.take());
  t.same(
    got.map(({ packetId }) => packetId),
    Array.from({ length: got.length }, (_, index) => index + 12 - got.length),
  );
  t.equal(got.at(-1)?.payload.toString(), 'last');
});

t.test(
  'a stream of QoS 0 that keeps a slow client busy does not starve what waits in its queue',
  async (t) => {
    const world = new LaneWorld();
    const { session, link } = world.connected();
    const payload = Buffer.alloc(BUFFER_BYTES / 2);
    for (let index = 0; index < 12; index++) deliver(session, { qos: 1, payload });
    t.ok(session.outbound.queuedCount > 0);
    for (let round = 0; round < 40; round++) {
      deliver(session, { qos: 0, payload });
      deliver(session, { qos: 0, payload });
      link.transport.takeOne();
    }
    t.equal(session.outbound.queuedCount, 0);
  },
);

t.test(
  '3.1.1: what is not acknowledged is sent again, later and later, and then given up to the dead-letter topic',
  async (t) => {
    const world = new LaneWorld({ retryInitialMs: 10_000, retryMaxMs: 30_000, redeliveryMaxCount: 3 });
    const letters = deadLetters(world);
    const { session, link } = world.connected({ version: 4 });
    deliver(session, { qos: 1, topic: 'a/b', payload: 'lost' });
    link.take();
    const sentAgainAt: number[] = [];
    for (let second = 1; second <= 200; second++) {
      world.now += 1000;
      session.outbound.tick(world.now);
      for (const line of lines(link.take())) {
        t.equal(line, 'publish dup q1 #1 lost');
        sentAgainAt.push(second);
      }
    }
    t.same(sentAgainAt, [10, 30, 60]);
    t.equal(session.outbound.inFlightCount, 0);
    t.same(world.counted('dropped'), { droppedRetriesExhausted: 1 });
    t.same(letters.map(describe), [
      {
        payload: 'lost',
        properties: pairs(['topic', 'a/b'], ['client', session.clientId], ['reason', 'retries_exhausted']),
      },
    ]);
    t.equal(letters[0]?.qos, 1);
    t.notOk(letters[0]?.retain);
    t.equal(world.counter('deadLettered'), 1);
  },
);

t.test('3.1.1: nothing is sent again to a client that has not taken the first copy', async (t) => {
  const world = new LaneWorld({ retryInitialMs: 1000, retryMaxMs: 1000 });
  const { session, link } = world.connected({ version: 4 });
  deliver(session, { qos: 1, payload: Buffer.alloc(PUMP_BELOW_BYTES) });
  world.endTurn();
  const { pending } = link.outbox;
  for (let second = 0; second < 30; second++) {
    world.now += 1001;
    session.outbound.tick(world.now);
    world.endTurn();
  }
  t.equal(link.outbox.pending, pending);
  t.equal(session.outbound.inFlightCount, 1, 'nor is it given up');
  t.equal(link.take().length, 1);
  world.now += 1001;
  session.outbound.tick(world.now);
  t.match(link.take(), [{ type: 'publish', dup: true }]);
});

t.test('v5: nothing is sent again on a connection that stays up [MQTT-4.4.0-1]', async (t) => {
  const world = new LaneWorld({ retryInitialMs: 1000 });
  const { session, link } = world.connected({ version: 5 });
  deliver(session, { qos: 1 });
  deliver(session, { qos: 2 });
  link.take();
  session.outbound.pubrec(2, 0);
  link.take();
  for (let index = 0; index < 100; index++) {
    world.now += 10_000;
    session.outbound.tick(world.now);
  }
  t.same(link.take(), []);
  t.equal(session.outbound.inFlightCount, 2);
});

t.test('a PUBREL without answer is sent again, too', async (t) => {
  const world = new LaneWorld({ retryInitialMs: 1000 });
  const { session, link } = world.connected({ version: 4 });
  deliver(session, { qos: 2 });
  session.outbound.pubrec(1, 0);
  link.take();
  world.now += 2000;
  session.outbound.tick(world.now);
  t.same(lines(link.take()), ['pubrel #1']);
});

t.test('a session without connection is not retried', async (t) => {
  const world = new LaneWorld({ retryInitialMs: 1000 });
  const { session } = world.connected({ version: 4 });
  deliver(session, { qos: 1 });
  session.disconnect(false, undefined);
  world.now += 100_000;
  session.outbound.tick(world.now);
  t.equal(world.counter('messagesRedelivered'), 0);
  t.equal(session.outbound.inFlightCount, 1);
});

t.test('a message that waits a second for its acknowledgement lets go of its read buffer', async (t) => {
  const world = new LaneWorld();
  const { session } = world.connected({ version: 5 });
  const made = deliver(session, { qos: 1 });
  made.bytes = Buffer.alloc(65_536);
  session.outbound.tick(world.now + 999);
  t.equal(made.bytes.length, 65_536);
  session.outbound.tick(world.now + 2000);
  t.equal(made.bytes.length, 1);
});

t.test(
  'a client that comes back too often without an acknowledgement is given up for that message alone',
  async (t) => {
    const world = new LaneWorld({ redeliveryMaxCount: 2 });
    const letters = deadLetters(world);
    const { session } = world.connected({ version: 5 });
    deliver(session, { qos: 1, payload: 'poison' });
    t.equal(lines(reconnect(world, session, { version: 5 }).take()).length, 1);
    deliver(session, { qos: 1, payload: 'young' });
    t.equal(lines(reconnect(world, session, { version: 5 }).take()).length, 2);
    t.same(lines(reconnect(world, session, { version: 5 }).take()), ['publish dup q1 #2 young']);
    t.match(letters.map(describe), [{ payload: 'poison' }]);
    t.same(world.counted('dropped'), { droppedRetriesExhausted: 1 });
  },
);

t.test('a dead letter for the very session waits behind what is sent again', async (t) => {
  const world = new LaneWorld({ redeliveryMaxCount: 1 });
  const { session } = world.connected({ version: 5 });
  world.subscribe(session, '$dead', { qos: 1 });
  deliver(session, { qos: 1, payload: 'poison' });
  reconnect(world, session, { version: 5 });
  deliver(session, { qos: 1, payload: 'young' });
  t.same(lines(reconnect(world, session, { version: 5 }).take()), [
    'publish dup q1 #2 young',
    'publish q1 #3 poison',
  ]);
});

t.test('a message that the client refuses goes to the dead-letter topic with the code', async (t) => {
  const world = new LaneWorld();
  const letters = deadLetters(world);
  const { session, link } = world.connected({ version: 5, sendWindow: 1 });
  deliver(session, { qos: 1, topic: 'x', payload: 'one' });
  deliver(session, { qos: 2, topic: 'y', payload: 'two' });
  deliver(session, { qos: 1, topic: 'z', payload: 'three' });
  session.outbound.puback(1, 0x97);
  session.outbound.pubrec(2, 0x80);
  t.same(
    lines(link.take()),
    ['publish q1 #1 one', 'publish q2 #2 two', 'publish q1 #3 three'],
    'and the next follows',
  );
  session.outbound.puback(3, 0x10);
  const { clientId } = session;
  t.same(letters.map(describe), [
    {
      payload: 'one',
      properties: pairs(['topic', 'x'], ['client', clientId], ['reason', 'refused_by_client_0x97']),
    },
    {
      payload: 'two',
      properties: pairs(['topic', 'y'], ['client', clientId], ['reason', 'refused_by_client_0x80']),
    },
  ]);
  t.equal(letters[1]?.qos, 2);
  t.same(world.counted('dropped'), { droppedRefusedByClient: 2 });
});

t.test(
  'a dead letter lives as long as its message would have, within delivery.messageExpiryMaxS',
  async (t) => {
    for (const [messageExpiryMaxS, expected] of [
      [0, [2000, Infinity]],
      [1, [1000, 1000]],
      [60, [2000, 60_000]],
    ] as const) {
      const world = new LaneWorld({ messageExpiryMaxS });
      const letters = deadLetters(world);
      const { session } = world.connected({ version: 5 });
      deliver(session, { qos: 1, expiresAt: world.now + 5000 });
      deliver(session, { qos: 2 });
      world.now += 3000;
      session.outbound.puback(1, 0x80);
      session.outbound.pubrec(2, 0x80);
      t.same(
        letters.map(({ expiresAt }) => expiresAt - world.now),
        expected,
      );
    }
  },
);

t.test('a dead letter is not lettered again, nor is anything where the topic is turned off', async (t) => {
  for (const deadLetterTopic of ['$dead', '']) {
    const world = new LaneWorld({ deadLetterTopic });
    const letters = deadLetters(world);
    const { session } = world.connected({ version: 5 });
    deliver(session, { qos: 1, topic: '$dead' });
    if (deadLetterTopic === '') deliver(session, { qos: 1 });
    for (const id of session.outbound.window?.idsInOrder() ?? []) session.outbound.puback(id, 0x80);
    t.same(letters, []);
    t.equal(world.counter('deadLettered'), 0);
    t.equal(world.counter('droppedRefusedByClient'), deadLetterTopic === '' ? 2 : 1);
  }
});

t.test('a session that ends counts what it will never deliver and gives its memory back', async (t) => {
  const world = new LaneWorld();
  const { session } = world.connected({ sendWindow: 2 });
  for (let index = 0; index < 5; index++) deliver(session, { qos: 1 });
  session.disconnect(false, undefined);
  session.outbound.end();
  t.same(world.counted('dropped'), { droppedSessionEnded: 5 });
  t.equal(world.lanes.budget.used, 0);
  t.equal(session.outbound.inFlightCount, 0);
  session.outbound.end();
  t.same(world.counted('dropped'), { droppedSessionEnded: 5 });
});

t.test('a message whose PUBREC came is not lost with its session', async (t) => {
  const world = new LaneWorld();
  const { session } = world.connected();
  for (const qos of [1, 2, 2] as const) deliver(session, { qos });
  session.outbound.pubrec(2, 0);
  session.outbound.end();
  t.same(world.counted('dropped'), { droppedSessionEnded: 2 });
  t.equal(session.outbound.inFlightCount, 0);
});

t.test('a session that ends in the middle of a fan-out takes nothing more', async (t) => {
  const world = new LaneWorld();
  const [first, last] = [world.session(0), world.session(0)];
  for (const session of [first, last]) {
    session.start(world.link());
    world.subscribe(session, 't', { qos: 1 });
  }
  world.lanes.hooks.authorizeForward = (session, one) => {
    if (session === first) last.disconnect(true, undefined);
    return one;
  };
  world.publish(message({ qos: 1 }));
  t.equal(world.lanes.budget.used, 0);
  t.same(world.counted('dropped'), { droppedSessionEnded: 1 });
});

t.test(
  'QoS 2 of a durable session leaves only when its id is stored, PUBREL only when PUBREC is',
  async (t) => {
    const world = new LaneWorld();
    const { session, link } = world.connected();
    world.store.hold = true;
    deliver(session, { qos: 2, payload: 'two' });
    deliver(session, { qos: 1, payload: 'one' });
    t.same(lines(link.take()), ['publish q1 #2 one']);
    world.store.release();
    t.same(lines(link.take()), ['publish q2 #1 two']);
    session.outbound.pubrec(1, 0);
    t.same(lines(link.take()), []);
    world.store.release();
    t.same(lines(link.take()), ['pubrel #1']);
    t.same(
      world.store.records.map(({ kind }) => kind),
      ['sent', 'pubrec'],
    );

    deliver(session, { qos: 2, payload: 'late' });
    session.disconnect(false, undefined);
    world.store.release();
    t.equal(link.take().length, 0, 'nothing goes to a connection that is over');
  },
);

t.test('what expires while its id is being stored is not sent, whatever the version', async (t) => {
  for (const version of [4, 5] as const) {
    const world = new LaneWorld();
    const { session, link } = world.connected({ version, sendWindow: 1 });
    world.store.hold = true;
    deliver(session, { qos: 2, payload: 'short', expiresAt: world.now + 1000 });
    deliver(session, { qos: 1, payload: 'next' });
    world.now += 1000;
    world.store.release();
    t.same(world.counted('dropped'), { droppedExpired: 1 });
    t.same(lines(link.take()), ['publish q1 #2 next'], 'and what waited behind it is');
  }
});

t.test('QoS 2 of a session that ends with its connection waits for no storage', async (t) => {
  const world = new LaneWorld();
  const session = world.session(0);
  const link = world.link();
  session.start(link);
  world.store.hold = true;
  deliver(session, { qos: 2 });
  session.outbound.pubrec(1, 0);
  session.outbound.pubcomp(1);
  t.same(lines(link.take()), ['publish q2 #1 p', 'pubrel #1']);
  t.same(world.store.records, []);
});

t.test(
  'but for what it gets in place of a member whose session stays, who would get it after a crash',
  async (t) => {
    const world = new LaneWorld();
    const session = world.session(0);
    const link = world.link();
    session.start(link);
    const group = { group: 'g', qos: 2 } as const;
    world.subscribe(session, 't', group);
    const publishAt = (position: number, qos: QoS, payload: string): void => {
      const made = message({ topic: 't', qos, payload });
      made.position = position;
      world.publish(made);
    };
    world.store.hold = true;
    publishAt(1, 2, 'alone');
    t.same(lines(link.take()), ['publish q2 #1 alone'], 'nobody else would get it');
    world.subscribe(world.session(), 't', group);
    publishAt(2, 2, 'two');
    publishAt(3, 1, 'one');
    t.same(lines(link.take()), ['publish q1 #3 one']);
    t.match(world.store.records, [
      { kind: 'assigned', clientId: '', position: 2 },
      { kind: 'assigned', clientId: '', position: 3 },
    ]);
    world.store.release();
    t.same(lines(link.take()), ['publish q2 #2 two']);
    session.outbound.pubrec(2, 0);
    t.same(lines(link.take()), ['pubrel #2']);
  },
);

t.test('a new subscription gets the whole set of retained messages, however slow the client', async (t) => {
  for (const qos of [0, 1, 2] as const) {
    for (const sendWindow of [1, 7]) {
      const world = new LaneWorld();
      const { session, link } = world.connected({ sendWindow });
      subscribe(session, '#');
      const topics = Array.from({ length: 100 }, (_, index) => `r/${index}`);
      for (const topic of topics) {
        world.store.retained.set(message({ topic, payload: Buffer.alloc(10_000, topic), qos, retain: true }));
      }
      session.outbound.oweRetained(topics, '#', 2, undefined);
      t.ok(link.outbox.pending < PUMP_BELOW_BYTES + 20_000, 'not all at once');
      const got: string[] = [];
      for (let packets = link.take(); packets.length > 0; packets = link.take()) {
        for (const packet of publishes(packets)) {
          got.push(packet.topic);
          t.ok(packet.retain && packet.qos === qos);
          if (packet.packetId === undefined) continue;
          session.outbound.puback(packet.packetId, 0);
          if (qos === 2) session.outbound.pubrec(packet.packetId, 0);
          session.outbound.pubcomp(packet.packetId);
        }
      }
      t.same(got, topics, `QoS ${qos}, window ${sendWindow}`);
    }
  }
});

t.test(
  'retained messages that are owed come after the queue, and never an older value after a newer',
  async (t) => {
    const world = new LaneWorld();
    const { session, link } = world.connected({ sendWindow: 1 });
    const set = (topic: string, payload: string): void => {
      const made = message({ topic, payload, qos: 1, retain: true });
      world.store.retained.set(made);
      session.outbound.deliver(made, 1, false, undefined);
    };
    for (const topic of ['a', 'b', 'c'])
      world.store.retained.set(message({ topic, payload: '1', qos: 1, retain: true }));
    deliver(session, { qos: 1, topic: 'busy' });
    session.outbound.oweRetained(['a', 'b', 'c'], '#', 1, undefined);
    set('b', '2');
    world.store.retained.delete('c');
    const got: string[] = [];
    for (let packets = publishes(link.take()); packets.length > 0; packets = publishes(link.take())) {
      for (const { topic, payload, retain, packetId } of packets) {
        got.push(`${topic}${payload.toString()}${retain ? 'r' : ''}`);
        session.outbound.puback(packetId ?? 0, 0);
      }
    }
    t.same(got, ['busyp', 'b2', 'a1r', 'b2r'], 'c is no longer retained');
  },
);

t.test(
  'a retained message that expired, or that a hook holds back, is not sent; identifiers are',
  async (t) => {
    const world = new LaneWorld();
    const { session, link } = world.connected({ version: 5 });
    subscribe(session, '#');
    const { retained } = world.store;
    retained.set(message({ topic: 'gone', retain: true, expiresAt: world.now }));
    retained.set(message({ topic: 'held', retain: true }));
    retained.set(message({ topic: 'changed', retain: true, payload: 'a' }));
    retained.set(message({ topic: 'plain', retain: true, qos: 2 }));
    world.lanes.hooks.authorizeForward = (_session, one) => {
      if (one.topic === 'held') return null;
      return one.topic === 'changed' ? message({ topic: 'changed', payload: 'b', retain: true }) : one;
    };
    session.outbound.oweRetained(['gone', 'held', 'changed', 'plain', 'never'], '#', 1, [3]);
    t.match(link.take(), [
      {
        topic: 'changed',
        payload: Buffer.from('b'),
        qos: 0,
        retain: true,
        properties: { subscriptionIdentifiers: [3] },
      },
      { topic: 'plain', qos: 1, retain: true, properties: { subscriptionIdentifiers: [3] } },
    ]);
  },
);

t.test('a hook is asked about retained messages of a client that leaves before it got them', async (t) => {
  const world = new LaneWorld();
  const { session } = world.connected({ sendWindow: 1 });
  for (const topic of ['a', 'held', 'changed'])
    world.store.retained.set(message({ topic, payload: 'kept', qos: 1, retain: true }));
  world.lanes.hooks.authorizeForward = (_session, one) => {
    if (one.topic === 'held') return null;
    return one.topic === 'changed' ? message({ qos: 1, payload: 'changed', retain: true }) : one;
  };
  session.outbound.oweRetained(['a', 'held', 'changed'], '#', 1, undefined);
  t.same(lines(reconnect(world, session).take()), ['publish dup q1 #1 kept', 'publish q1 #2 changed']);
  t.same(world.counted('dropped'), { droppedNotForwarded: 1 });
});

t.test('what is sent is counted by QoS and bytes', async (t) => {
  const world = new LaneWorld();
  const { session, link } = world.connected();
  for (const qos of [0, 1, 1, 2, 2, 2] as const) deliver(session, { qos });
  const bytes = link.takeBytes().length;
  t.equal(world.counter('messagesSentQoS0'), 1);
  t.equal(world.counter('messagesSentQoS1'), 2);
  t.equal(world.counter('messagesSentQoS2'), 3);
  t.equal(world.counter('messageBytesSent'), bytes);
  t.equal(world.lanes.counters[C.bytesSent], bytes);
});

t.test('frames larger than a pooled buffer reach each of many receivers whole', async (t) => {
  const world = new LaneWorld();
  const clients = [1, 1, 0].map((qos) => {
    const made = world.connected();
    world.subscribe(made.session, 't', { qos: qos === 1 ? 1 : 0 });
    return made;
  });
  const payload = Buffer.alloc(BUFFER_BYTES * 2, 'payload');
  deliver(clients[1]?.session ?? world.session(), { qos: 1, payload: 'id 1' });
  world.publish(message({ qos: 1, payload }));
  const got = clients.map(({ link }) => publishes(link.take()).at(-1));
  t.same(
    got.map((packet) => packet?.packetId),
    [1, 2, undefined],
  );
  for (const packet of got) t.ok(packet !== undefined && payload.equals(packet.payload));
});

t.test('a retained message of QoS 0 that is owed leaves once it is stored that it does', async (t) => {
  for (const isOver of [false, true]) {
    const world = new LaneWorld();
    const { session, link } = world.connected();
    subscribe(session, '#');
    world.store.retained.set(message({ topic: 'a', payload: '1', retain: true }));
    world.store.hold = true;
    session.outbound.oweRetained(['a'], '#', 1, undefined);
    t.same(lines(link.take()), []);
    t.match(world.store.records.at(-1), { kind: 'delivered', packetId: 0, topic: 'a' });
    if (isOver) session.subscriptions.remove('#');
    world.store.retained.set(message({ topic: 'a', payload: '2', retain: true }));
    world.store.release();
    const expected = isOver ? [] : ['publish q0 2'];
    t.same(lines(link.take()), expected, 'never an older value after a newer, and none after UNSUBSCRIBE');
  }
});

t.test('what replaces a retained message of QoS 0 that is owed leaves with its own QoS', async (t) => {
  for (const isOver of [false, true]) {
    const world = new LaneWorld();
    const { session, link } = world.connected({ sendWindow: 1 });
    subscribe(session, 'a');
    world.store.retained.set(message({ topic: 'a', payload: '1', retain: true }));
    world.store.hold = true;
    session.outbound.oweRetained(['a'], 'a', 2, undefined);
    world.store.retained.set(message({ topic: 'a', payload: '2', qos: 1, retain: true }));
    deliver(session, { qos: 1, topic: 'busy' });
    if (isOver) session.subscriptions.remove('a');
    world.store.hold = false;
    world.store.release();
    session.outbound.puback(1, 0);
    const expected = isOver ? [] : ['publish q1 #2 2'];
    t.same(lines(link.take()), ['publish q1 #1 p', ...expected]);
  }
});

t.test('retained messages that are owed are not sent once read access was taken away', async (t) => {
  for (const qos of [0, 1, 2] as const) {
    const world = new LaneWorld();
    const { session, link } = world.connected({ sendWindow: 1 });
    subscribe(session, '#');
    for (const topic of ['open', 'secret', 'public'])
      world.store.retained.set(message({ topic, payload: topic, qos, retain: true }));
    deliver(session, { qos: 1, topic: 'busy' });
    session.outbound.oweRetained(['open', 'secret', 'public'], '#', 2, undefined);
    world.authorizer.mayReceive = (_who, topic) => topic !== 'secret';
    const got: string[] = [];
    for (let packets = publishes(link.take()); packets.length > 0; packets = publishes(link.take())) {
      for (const { topic, packetId = 0 } of packets) {
        got.push(topic);
        session.outbound.puback(packetId, 0);
        if (qos === 2 && topic !== 'busy') session.outbound.pubrec(packetId, 0);
        session.outbound.pubcomp(packetId);
      }
    }
    t.same(got, ['busy', 'open', 'public'], `QoS ${qos}`);
  }
});

t.test('nor is one of QoS 0 that waits for the log', async (t) => {
  const world = new LaneWorld();
  const { session, link } = world.connected();
  subscribe(session, '#');
  for (const topic of ['secret', 'open']) world.store.retained.set(message({ topic, retain: true }));
  world.store.hold = true;
  session.outbound.oweRetained(['secret', 'open'], '#', 1, undefined);
  world.authorizer.mayReceive = (_who, topic) => topic !== 'secret';
  world.store.release();
  t.same(
    publishes(link.take()).map(({ topic }) => topic),
    ['open'],
  );
});

t.test('what is owed for a subscription is not owed when that is over', async (t) => {
  const world = new LaneWorld();
  const { session, link } = world.connected({ sendWindow: 1 });
  for (const topic of ['a', 'b'])
    world.store.retained.set(message({ topic, payload: topic, qos: 1, retain: true }));
  deliver(session, { qos: 1, topic: 'busy' });
  session.outbound.oweRetained(['a', 'b'], 'b/#', 1, undefined);
  session.outbound.oweRetained(['a'], 'a', 1, undefined);
  session.outbound.dropOwed('b/#');
  session.outbound.puback(1, 0);
  session.outbound.puback(2, 0);
  t.same(lines(link.take()), ['publish q1 #1 p', 'publish q1 #2 a']);
});

t.test('messages that were dropped are recorded before one that comes behind them can leave', async (t) => {
  const world = new LaneWorld({ clientQueueMaxCount: 1 });
  const { session, link } = world.connected({ sendWindow: 1 });
  let position = 0;
  const publish = (payload: string): void => {
    const made = message({ payload, qos: 1 });
    made.position = ++position;
    session.outbound.deliver(made, 1, false, undefined);
  };
  for (const payload of ['sent', 'waits', 'dropped', 'dropped too']) publish(payload);
  world.store.hold = true;
  session.outbound.puback(1, 0);
  publish('late');
  t.match(world.store.records.at(-1), { kind: 'dropped', from: 3, to: 4 });
  session.outbound.puback(2, 0);
  t.same(lines(link.take()), ['publish q1 #1 sent', 'publish q1 #2 waits']);
  world.store.release();
  t.same(lines(link.take()), ['publish q1 #3 late']);
});

t.test(
  'of a message that comes twice the copy that was dropped is recorded, and not the one that waits',
  async (t) => {
    const world = new LaneWorld({ clientQueueMaxCount: 1 });
    const { session } = world.connected({ sendWindow: 1 });
    for (const at of [1, 2, 2, 3, 3, 4, 4]) {
      const made = message({ qos: 1 });
      made.position = at;
      session.outbound.deliver(made, 1, false, undefined);
    }
    session.outbound.puback(1, 0);
    const late = message({ qos: 1 });
    late.position = 5;
    session.outbound.deliver(late, 1, false, undefined);
    t.match(
      world.store.records.filter(({ kind }) => kind === 'dropped'),
      [
        { from: 2, to: 2 },
        { from: 3, to: 3 },
        { from: 3, to: 4 },
      ],
    );
  },
);

t.test('what has expired is recorded as gone: after a restart it would wait again', async (t) => {
  const world = new LaneWorld({ clientQueueMaxCount: 2 });
  const session = world.session();
  let position = 0;
  const publish = (payload: string, livesMs: number): void => {
    const made = message({ payload, qos: 1, expiresAt: world.now + livesMs });
    made.position = ++position;
    session.outbound.deliver(made, 1, false, undefined);
  };
  publish('full', 1000);
  publish('late', 2000);
  world.now += 1000;
  publish('lives', 9000);
  t.match(world.store.records, [{ kind: 'delivered', packetId: 0, position: 1 }]);
  world.now += 1000;
  t.same(lines(reconnect(world, session).take()), ['publish q1 #1 lives']);
  t.match(world.store.records.at(-1), { kind: 'delivered', packetId: 0, position: 2 });
});
