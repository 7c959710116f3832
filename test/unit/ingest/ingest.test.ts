import t from 'tap';
import type { Message } from '../../../lib/message/message.js';
import type { Packet, QoS } from '../../../lib/protocol/index.js';
import { Listener } from '../../../lib/routing/subscription.js';
import type { Session } from '../../../lib/session/session.js';
import { publish as publishFrame } from '../../support/wire.js';
import { LaneWorld, message, type FakeLink, type LinkOptions } from '../delivery/lane-world.js';

const HOLD_RETRY_MS = 100;

interface Publisher {
  world: LaneWorld;
  session: Session;
  link: FakeLink;
  publish(qos: QoS, packetId: number, topic?: string): void;
}

function publisher(options: LinkOptions = {}, limits = {}): Publisher {
  const world = new LaneWorld(limits);
  const { session, link } = world.connected(options);
  const publish = (qos: QoS, packetId: number, topic = 't'): void => {
    const route = world.lanes.router.resolve(topic);
    const published = message({ topic, qos, payload: `${packetId}` });
    const { ingest } = world.lanes;
    if (qos === 0) ingest.publishQoS0(session, published, route);
    else if (qos === 1) ingest.publishQoS1(session, link, published, packetId, route);
    else ingest.publishQoS2(session, link, published, packetId, route);
  };
  return { world, session, link, publish };
}

const short = (packets: readonly Packet[]): string[] =>
  packets.map((packet) => {
    const id = 'packetId' in packet ? ` ${packet.packetId}` : '';
    const code =
      'reasonCode' in packet && packet.reasonCode !== 0 ? ` 0x${packet.reasonCode.toString(16)}` : '';
    return `${packet.type}${id}${code}`;
  });

/** Collects what a topic filter receives in-process. */
function listen(world: LaneWorld, filter: string): string[] {
  const heard: string[] = [];
  world.lanes.router.addListener(
    new Listener(filter, (got) => heard.push(Buffer.from(got.payload).toString())),
  );
  return heard;
}

t.test('QoS 1 and 2 are acknowledged and routed once they are stored, not before', async (t) => {
  const { world, link, publish, session } = publisher();
  const heard = listen(world, 't');
  world.store.hold = true;
  publish(1, 1);
  publish(2, 2);
  t.same(link.take(), []);
  t.same(heard, []);
  t.equal(session.inbound.pendingCount, 2);
  world.store.release();
  t.same(short(link.take()), ['puback 1', 'pubrec 2']);
  t.same(heard, ['1', '2']);
  t.equal(session.inbound.pendingCount, 0);
});

t.test('a message is routed before it is acknowledged, also when it had to be stored first', async (t) => {
  for (const hold of [false, true]) {
    const { world, link, publish } = publisher();
    const seen: string[] = [];
    world.lanes.router.addListener(
      new Listener('t', ({ payload }) => {
        seen.push(`${Buffer.from(payload).toString()} with ${link.outbox.pending} bytes of answers`);
      }),
    );
    world.store.hold = hold;
    publish(1, 1);
    if (hold) world.store.release();
    publish(2, 2);
    if (hold) world.store.release();
    t.same(seen, ['1 with 0 bytes of answers', '2 with 4 bytes of answers'], `held back: ${hold}`);
  }
});

t.test('nobody to receive is told to a v5 publisher by the route that its message took', async (t) => {
  // The route that was known when the message came went out of the cache, or stale.
  for (const routeCacheMaxCount of [1, 1000]) {
    const { link, publish, world } = publisher({ version: 5 }, { routeCacheMaxCount });
    world.store.hold = true;
    publish(1, 1);
    publish(2, 2);
    world.lanes.router.resolve('another');
    const nobody = new Listener('t', () => {});
    world.lanes.router.addListener(nobody);
    world.lanes.router.removeListener(nobody);
    world.store.release();
    t.same(short(link.take()), ['puback 1 0x10', 'pubrec 2 0x10']);
  }
});

t.test('nobody to receive is told to a v5 publisher', async (t) => {
  const { link, publish, world } = publisher({ version: 5 });
  publish(1, 1);
  publish(2, 2);
  t.same(short(link.take()), ['puback 1 0x10', 'pubrec 2 0x10']);
  t.equal(world.counter('droppedNoSubscriber'), 2);
});

t.test(
  'a QoS 2 packet id that is repeated is answered and not published again [MQTT-4.3.3-10]',
  async (t) => {
    const { world, session, link, publish } = publisher();
    const heard = listen(world, 't');
    publish(2, 7);
    publish(2, 7);
    t.same(short(link.take()), ['pubrec 7', 'pubrec 7']);
    world.lanes.ingest.pubrel(session, link, 7);
    publish(2, 7);
    t.same(short(link.take()), ['pubcomp 7', 'pubrec 7']);
    t.same(heard, ['7', '7'], 'after PUBREL the id is a new message');
  },
);

t.test(
  'a QoS 2 message that is repeated while it is stored is delivered once, and each repetition answered where it came last',
  async (t) => {
    const { world, session, link, publish } = publisher();
    const heard = listen(world, 't');
    world.store.hold = true;
    publish(2, 7);
    session.disconnect(true, undefined);
    const later = world.link();
    session.start(later);
    const route = world.lanes.router.resolve('t');
    for (let i = 0; i < 2; i++)
      world.lanes.ingest.publishQoS2(session, later, message({ qos: 2, payload: '7' }), 7, route);
    t.equal(session.inbound.pendingCount, 1);
    world.store.release();
    t.same(short(later.take()), ['pubrec 7', 'pubrec 7']);
    t.same(short(link.take()), []);
    t.same(heard, ['7']);
  },
);

t.test('what a lost connection left unacknowledged does not count against the next one', async (t) => {
  const { world, session, publish } = publisher({ version: 5 });
  world.store.hold = true;
  publish(1, 1);
  publish(1, 2);
  session.disconnect(true, undefined);
  session.start(world.link({ version: 5 }));
  t.equal(session.inbound.pendingCount, 0, 'Receive Maximum begins anew');
  world.store.release();
  t.equal(session.inbound.pendingCount, 0);
});

t.test('what an earlier connection left to be stored takes no place of the next one', async (t) => {
  const { world, session, publish } = publisher({ version: 5 }, { receiveMaximum: 2 });
  world.store.hold = true;
  publish(2, 1);
  publish(2, 2);
  session.disconnect(true, undefined);
  const later = world.link({ version: 5 });
  session.start(later);
  world.store.release();
  for (const packetId of [3, 4])
    later.feed(session, publishFrame({ version: 5, topic: 't', qos: 1, packetId, payload: 'new' }));
  world.store.release();
  t.same(short(later.take()), ['puback 3 0x10', 'puback 4 0x10']);
});

t.test('a connection that was replaced gets no acknowledgement, nor does its successor', async (t) => {
  const { world, session, link, publish } = publisher({ version: 5 });
  const heard = listen(world, 't');
  world.store.hold = true;
  publish(1, 1);
  publish(2, 2);
  session.disconnect(true, undefined);
  const later = world.link({ version: 5 });
  session.start(later);
  world.store.release();
  t.same([link.take(), later.take()], [[], []], 'the client sends both again');
  t.same(heard, ['1', '2']);
});

t.test(
  'PUBCOMP leaves once the release is stored, also for a PUBREL that is repeated elsewhere',
  async (t) => {
    const { world, session, link, publish } = publisher({ version: 5 });
    publish(2, 7);
    link.take();
    world.store.hold = true;
    world.lanes.ingest.pubrel(session, link, 7);
    session.disconnect(true, undefined);
    const later = world.link({ version: 5 });
    session.start(later);
    world.lanes.ingest.pubrel(session, later, 7);
    t.same(later.take(), [], 'the release is not stored yet');
    world.store.release();
    t.same(short(later.take()), ['pubcomp 7']);
    t.same(link.take(), []);
    world.lanes.ingest.pubrel(session, later, 7);
    t.same(short(later.take()), ['pubcomp 7 0x92'], 'of an id that nobody knows');
  },
);

t.test('a session that ends with its connection stores no release', async (t) => {
  const world = new LaneWorld();
  const session = world.session(0);
  const link = world.link();
  session.start(link);
  world.lanes.ingest.publishQoS2(session, link, message({ qos: 2 }), 1, world.lanes.router.resolve('t'));
  world.store.hold = true;
  world.lanes.ingest.pubrel(session, link, 1);
  t.same(short(link.take()), ['pubrec 1', 'pubcomp 1']);
});

t.test('a full store: v5 is told why, 3.1.1 waits unacknowledged until there is room', async (t) => {
  const five = publisher({ version: 5 });
  five.world.store.admit = () => 0x97;
  five.publish(1, 1);
  five.publish(2, 2);
  t.same(short(five.link.take()), ['puback 1 0x97', 'pubrec 2 0x97']);
  five.world.store.admit = () => 0x83;
  five.publish(1, 3);
  t.same(short(five.link.take()), ['puback 3 0x83']);
  t.same(five.world.counted('refused'), { refusedQuota: 2, refusedStorage: 1 });

  const four = publisher();
  four.world.store.admit = () => 0x97;
  four.publish(1, 1);
  t.equal(four.link.input.suspended, true, 'what comes after it waits too');
  for (let i = 0; i < 3; i++) {
    four.world.now += HOLD_RETRY_MS;
    four.world.lanes.timers.runDue(four.world.now);
  }
  t.same(four.link.take(), []);
  four.world.store.admit = () => 0;
  four.world.now += HOLD_RETRY_MS;
  four.world.lanes.timers.runDue(four.world.now);
  t.same(short(four.link.take()), ['puback 1']);
  t.equal(four.link.input.suspended, false);
  t.equal(four.world.lanes.timers.size, 0);
});

t.test('a held message whose publisher leaves is forgotten: it will be sent again', async (t) => {
  const { world, session, link, publish } = publisher();
  world.store.admit = () => 0x97;
  publish(2, 1);
  session.disconnect(true, undefined);
  world.store.admit = () => 0;
  world.now += HOLD_RETRY_MS;
  world.lanes.timers.runDue(world.now);
  t.same(world.store.appended, []);
  t.same(link.take(), []);
});

t.test('a used up memory budget refuses new messages', async (t) => {
  const { world, link, publish } = publisher({ version: 5 });
  world.lanes.budget.used = world.lanes.budget.maxBytes;
  publish(1, 1);
  t.same(short(link.take()), ['puback 1 0x97']);
  t.same(world.store.appended, []);
});

t.test(
  'retained messages have a count and a size; what is beyond is refused before it is stored',
  async (t) => {
    const { world, session, link } = publisher({ version: 5 }, { retainedMaxCount: 1 });
    const { ingest, router } = world.lanes;
    const retain = (topic: string, qos: QoS, payload = 'x'): void => {
      const retained = message({ topic, qos, payload, retain: true });
      if (qos === 0) ingest.publishQoS0(session, retained, router.resolve(topic));
      else ingest.publishQoS1(session, link, retained, 1, router.resolve(topic));
    };
    retain('a', 1);
    retain('b', 1);
    t.same(short(link.take()), ['puback 1 0x10', 'puback 1 0x97']);
    const heard = listen(world, 'b');
    retain('b', 0);
    ingest.publishForDoor(message({ topic: 'b', qos: 1, retain: true }), () => undefined);
    t.same(heard, []);
    t.same(world.counted('refused'), { refusedRetained: 3 }, 'storage has room');
    retain('a', 1, 'another');
    t.equal(
      Buffer.from(world.store.retained.get('a')?.payload ?? []).toString(),
      'another',
      'replacing is free',
    );
    retain('a', 0, '');
    t.equal(world.store.retained.count, 0, 'an empty payload deletes');
    retain('b', 0);
    t.equal(world.store.retained.count, 1);
  },
);

t.test(
  'a client beyond its quota of retained messages: v5 is told, 3.1.1 is delivered and not kept, QoS 0 is dropped',
  async (t) => {
    for (const version of [5, 4] as const) {
      const { world, session, link } = publisher({ version }, { retainedPerClientMaxCount: 1 });
      const { ingest, router } = world.lanes;
      const heard = listen(world, '#');
      let packetId = 0;
      const retain = (topic: string, qos: QoS): void => {
        const retained = message({ topic, qos, payload: topic, retain: true, publisher: session.clientId });
        const route = router.resolve(topic);
        packetId++;
        if (qos === 0) ingest.publishQoS0(session, retained, route);
        else if (qos === 1) ingest.publishQoS1(session, link, retained, packetId, route);
        else ingest.publishQoS2(session, link, retained, packetId, route);
      };
      retain('a', 1);
      for (const qos of [0, 1, 2] as const) retain(`b${qos}`, qos);
      const answers = short(link.take());
      if (version === 5) t.same(answers, ['puback 1', 'puback 3 0x97', 'pubrec 4 0x97']);
      else t.same(answers, ['puback 1', 'puback 3', 'pubrec 4']);
      t.same(heard, version === 5 ? ['a'] : ['a', 'b1', 'b2']);
      t.equal(world.store.appended.length, version === 5 ? 1 : 3, 'what is refused is not stored');
      t.equal(world.store.retained.count, 1);
      t.same(world.counted('refused'), { refusedRetainedQuota: 3 });
      t.equal(link.input.suspended, false, 'nobody waits for room that may never come');
    }
  },
);

t.test('what is published in the name of a client, as a will is, counts against its quota', async (t) => {
  const world = new LaneWorld({ retainedPerClientMaxCount: 1 });
  const { ingest } = world.lanes;
  const ends: (string | undefined)[] = [];
  for (const topic of ['a', 'b'])
    ingest.publishForDoor(message({ topic, qos: 1, retain: true, publisher: 'one' }), (error) =>
      ends.push(error?.message),
    );
  t.match(ends, [undefined, /0x97/]);
  ingest.publishOwn(message({ topic: 'c', retain: true, publisher: 'one' }), undefined);
  t.same(world.counted('refused'), { refusedRetainedQuota: 2 });
  t.equal(world.store.retained.count, 1);
});

t.test('what an embedder publishes is kept no longer than delivery.messageExpiryMaxS, $SYS is', async (t) => {
  const world = new LaneWorld({ messageExpiryMaxS: 5 });
  const { ingest } = world.lanes;
  const lives = new Map<string, number>();
  world.lanes.router.addListener(
    new Listener<Message>('#', (got) => void lives.set(got.topic, got.expiresAt - world.now)),
  );
  const done = (): void => {};
  ingest.publishForDoor(message({ topic: 'kept', retain: true }), done);
  ingest.publishForDoor(message({ topic: 'long', qos: 1, expiresAt: world.now + 9000 }), done);
  ingest.publishForDoor(message({ topic: 'short', qos: 2, expiresAt: world.now + 2000 }), done);
  ingest.publishForDoor(message({ topic: 'passing' }), done);
  t.same(
    [...lives],
    [
      ['kept', 5000],
      ['long', 5000],
      ['short', 2000],
      ['passing', Infinity],
    ],
  );
  ingest.publishOwn(message({ topic: '$SYS/version', retain: true }), undefined);
  t.equal(world.store.retained.get('$SYS/version')?.expiresAt, Infinity);
});

t.test("the gateway's own messages are stored first too, or refused to whoever asked", async (t) => {
  const { world } = publisher();
  const heard = listen(world, '#');
  const { ingest } = world.lanes;
  const ends: (string | undefined)[] = [];
  const done = (error?: Error): void => void ends.push(error?.message);
  world.store.hold = true;
  ingest.publishForDoor(message({ qos: 1, payload: 'stored', retain: true }), done);
  ingest.publishForDoor(message({ qos: 0, payload: 'at once', retain: true }), done);
  t.same(heard, ['at once']);
  world.store.release();
  t.same(heard, ['at once', 'stored']);
  t.same(ends, [undefined, undefined]);
  world.store.admit = () => 0x97;
  ingest.publishForDoor(message({ qos: 2 }), done);
  t.match(ends[2], /0x97/);
  t.equal(world.counter('refusedStorage'), 1);
});

t.test('a subscription that changes while a message waits for the log is honoured', async (t) => {
  const { world, publish } = publisher({}, { routeCacheMaxCount: 1 });
  world.store.hold = true;
  publish(1, 1, 'a');
  publish(1, 2, 'b');
  // The route of `a` went out of the cache, that of `b` goes stale.
  const heard = listen(world, '+');
  world.store.release();
  t.same(heard, ['1', '2']);
});

t.test("an embedder's published hook holds back the publisher's next packet until it is done", async (t) => {
  const { world, link, publish } = publisher();
  let done: (() => void) | undefined;
  world.lanes.hooks.published = (_message, _session, finished) => {
    done = finished;
  };
  publish(0, 0);
  t.equal(link.input.suspended, true);
  done?.();
  t.equal(link.input.suspended, false);
});

t.test(
  'of retained messages the last in the log stays, also where it did not wait for the log',
  async (t) => {
    const { world, session, link } = publisher();
    const { store } = world;
    const append = store.append.bind(store);
    store.append = (made) => {
      const position = append(made);
      if (made !== undefined) made.position = position;
      return position;
    };
    const retain = (qos: 0 | 1, payload: string): void => {
      const made = message({ qos, payload, retain: true });
      const route = world.lanes.router.resolve('t');
      if (qos === 0) world.lanes.ingest.publishQoS0(session, made, route);
      else world.lanes.ingest.publishQoS1(session, link, made, 1, route);
    };
    const retained = (): string => Buffer.from(store.retained.get('t')?.payload ?? []).toString();
    store.hold = true;
    retain(1, 'stored');
    retain(0, 'quick');
    store.release();
    t.equal(retained(), 'quick');
    retain(1, 'stored later');
    retain(0, '');
    store.release();
    t.equal(retained(), '', 'it was cleared behind that');
    retain(1, 'new');
    store.release();
    t.equal(retained(), 'new');
  },
);
