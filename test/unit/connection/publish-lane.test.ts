import t from 'tap';
import type { Message } from '../../../lib/message/message.js';
import type { Packet } from '../../../lib/protocol/index.js';
import { Listener } from '../../../lib/routing/index.js';
import type { Session } from '../../../lib/session/session.js';
import { refusalOf } from '../../support/protocol-bytes.js';
import { publish, type PublishFields } from '../../support/wire.js';
import { type FakeLink, LaneWorld, type LinkOptions, message } from '../delivery/lane-world.js';
import type { LaneLimits } from '../../../lib/broker/lanes.js';

/** One publisher, and what everybody outside `$` would get. */
class Bench {
  readonly world: LaneWorld;
  readonly session: Session;
  readonly link: FakeLink;
  readonly heard: string[] = [];

  constructor(options: LinkOptions = {}, limits: Partial<LaneLimits> = {}) {
    this.world = new LaneWorld(limits);
    ({ session: this.session, link: this.link } = this.world.connected({ version: 5, ...options }));
    this.world.lanes.router.addListener(
      new Listener<Message>('#', ({ topic, payload }) => {
        this.heard.push(`${topic}=${Buffer.from(payload).toString()}`);
      }),
    );
  }

  feed(...frames: PublishFields[]): void {
    const version = this.link.version === 5 ? 5 : 4;
    this.link.feed(this.session, Buffer.concat(frames.map((fields) => publish({ version, ...fields }))));
  }
}

const answers = (packets: readonly Packet[]): string[] =>
  packets.map((packet) =>
    'packetId' in packet && 'reasonCode' in packet
      ? `${packet.type} #${packet.packetId} 0x${packet.reasonCode.toString(16)}`
      : packet.type,
  );

t.test('permission is asked once per topic, and again when the rules have changed', async (t) => {
  const bench = new Bench();
  const asked: string[] = [];
  bench.world.authorizer.mayPublish = (topic) => {
    asked.push(topic);
    return topic !== 'no';
  };
  for (const topic of ['a', 'a', 'b', 'a', 'b', 'b']) bench.feed({ topic, payload: '1' });
  t.same(asked, ['a', 'b']);
  bench.world.authorizer.version++;
  bench.feed({ topic: 'b' }, { topic: 'b' }, { topic: 'a' });
  t.same(asked, ['a', 'b', 'b', 'a']);
  bench.feed({ topic: 'no' }, { topic: 'no' }, { topic: 'a' }, { topic: 'no' });
  t.equal(bench.world.counter('refusedNotAuthorized'), 3);
  t.equal(bench.heard.length, 10);
});

t.test('a rule that is taken back takes effect within a run of one topic', async (t) => {
  const bench = new Bench();
  bench.feed({ topic: 'a' });
  bench.world.authorizer.mayPublish = () => false;
  bench.world.authorizer.version++;
  bench.feed({ topic: 'a' });
  t.equal(bench.heard.length, 1);
});

t.test('more topics than are remembered cost questions, not correctness', async (t) => {
  const bench = new Bench();
  let asked = 0;
  bench.world.authorizer.mayPublish = () => {
    asked++;
    return true;
  };
  const topics = Array.from({ length: 300 }, (_, index) => `t/${index}`);
  for (let round = 0; round < 2; round++) for (const topic of topics) bench.feed({ topic });
  t.equal(bench.heard.length, 600);
  t.ok(asked > 300 && asked <= 600, `${asked}`);
});

t.test('v5: what is not authorized is answered with 0x87 and the connection stays', async (t) => {
  const bench = new Bench();
  bench.world.authorizer.mayPublish = () => false;
  bench.feed({ topic: 'a' }, { topic: 'a', qos: 1, packetId: 1 }, { topic: 'a', qos: 2, packetId: 2 });
  t.same(answers(bench.link.take()), ['puback #1 0x87', 'pubrec #2 0x87']);
  t.same(bench.link.reasons, []);
  t.same(bench.heard, []);
  t.equal(bench.world.counter('refusedNotAuthorized'), 3);
  t.equal(bench.world.counter('sentPuback') + bench.world.counter('sentPubrec'), 2);
});

t.test(
  '3.1.1: what is not authorized closes the connection, since an answer would be a promise [MQTT-3.3.5-2]',
  async (t) => {
    for (const qos of [0, 1, 2]) {
      const bench = new Bench({ version: 4 });
      bench.world.authorizer.mayPublish = () => false;
      bench.feed({ topic: 'a', qos });
      t.match(bench.link.reasons, [{ code: 0x87 }]);
      t.same(bench.link.take(), []);
    }
  },
);

t.test('answers say whether anybody was there [MQTT 5, section 3.4.2.1]', async (t) => {
  const bench = new Bench();
  bench.feed(
    { topic: 'a', qos: 1, packetId: 1 },
    { topic: '$nobody', qos: 1, packetId: 2 },
    { topic: '$nobody', qos: 2, packetId: 3 },
  );
  t.same(answers(bench.link.take()), ['puback #1 0x0', 'puback #2 0x10', 'pubrec #3 0x10']);
});

t.test(
  'more unacknowledged publishes than Receive Maximum are refused; a repeated one is no more [MQTT-3.3.4-9]',
  async (t) => {
    const bench = new Bench({}, { receiveMaximum: 2 });
    bench.feed({ topic: 'a', qos: 2, packetId: 1 }, { topic: 'a', qos: 2, packetId: 2 });
    bench.feed({ topic: 'a', qos: 2, packetId: 2, dup: true });
    t.equal(bench.heard.length, 2);
    t.equal(
      refusalOf(() => bench.feed({ topic: 'a', qos: 2, packetId: 3 })),
      0x93,
    );
    const one = new Bench({}, { receiveMaximum: 2 });
    one.world.store.hold = true;
    one.feed({ topic: 'a', qos: 1, packetId: 1 }, { topic: 'a', qos: 2, packetId: 2 });
    t.equal(
      refusalOf(() => one.feed({ topic: 'a', qos: 1, packetId: 3 })),
      0x93,
      'those that wait for the log count',
    );
  },
);

t.test('3.1.1 has no Receive Maximum', async (t) => {
  const bench = new Bench({ version: 4 }, { receiveMaximum: 1 });
  for (let packetId = 1; packetId < 5; packetId++) bench.feed({ topic: 'a', qos: 2, packetId });
  t.equal(bench.link.take().length, 4);
});

t.test('a topic beyond the limits is refused and counted', async (t) => {
  for (const [topic, code] of [
    ['x'.repeat(20), undefined],
    ['x'.repeat(21), 0x90],
    ['é'.repeat(11), 0x90],
    ['a/b/c', undefined],
    ['a/b/c/', 0x90],
  ] as const) {
    const bench = new Bench({}, { topicMaxBytes: 20, topicMaxLevels: 3 });
    t.equal(
      refusalOf(() => bench.feed({ topic })),
      code,
      topic,
    );
    t.equal(bench.world.counter('refusedTopicInvalid'), code === undefined ? 0 : 1);
  }
});

t.test('where nothing is retained a retained message is refused in every version', async (t) => {
  for (const version of [4, 5] as const) {
    for (const qos of [0, 1]) {
      const bench = new Bench({ version }, { retain: false });
      t.equal(
        refusalOf(() => bench.feed({ topic: 'a', retain: true, qos })),
        0x9a,
      );
      t.same(bench.heard, []);
    }
  }
});

t.test('a payload that is declared to be text has to be [MQTT-3.3.2-4]', async (t) => {
  const bench = new Bench();
  const properties = { payloadFormatIndicator: 1 };
  bench.feed(
    { topic: 'a', qos: 1, packetId: 1, payload: Buffer.of(0xff), properties },
    { topic: 'a', qos: 2, packetId: 2, payload: Buffer.of(0x61, 0xc3), properties },
    { topic: 'a', qos: 1, packetId: 3, payload: 'é\0é', properties },
    { topic: 'a', qos: 1, packetId: 4, payload: '\0', properties },
    { topic: 'a', qos: 1, packetId: 5, payload: '', properties },
    { topic: 'a', qos: 1, packetId: 6, payload: Buffer.of(0, 0x80), properties },
  );
  t.same(answers(bench.link.take()), [
    'puback #1 0x99',
    'pubrec #2 0x99',
    'puback #3 0x0',
    'puback #4 0x0',
    'puback #5 0x0',
    'puback #6 0x99',
  ]);
  bench.feed({ topic: 'a', payload: Buffer.of(0xff), properties });
  t.match(bench.link.reasons, [{ code: 0x99 }], 'QoS 0 has no other answer');
});

t.test('an alias stands for its topic, also when the topic has left the route cache', async (t) => {
  const bench = new Bench({}, { routeCacheMaxCount: 2 });
  bench.feed({ topic: 'one', payload: '1', properties: { topicAlias: 1 } });
  for (const topic of ['two', 'three', 'four']) bench.feed({ topic });
  bench.feed(
    { payload: '2', properties: { topicAlias: 1 } },
    { payload: '3', properties: { topicAlias: 1 } },
  );
  bench.feed({ topic: 'two', payload: '4', properties: { topicAlias: 1 } });
  bench.feed({ payload: '5', properties: { topicAlias: 1 } });
  t.same(
    bench.heard.filter((line) => !line.endsWith('=')),
    ['one=1', 'one=2', 'one=3', 'two=4', 'two=5'],
  );
});

t.test('an alias to a topic that may not be published is of no use', async (t) => {
  const bench = new Bench();
  bench.world.authorizer.mayPublish = (topic) => topic !== 'no';
  bench.feed(
    { topic: 'no', properties: { topicAlias: 1 } },
    { topic: 'a' },
    { properties: { topicAlias: 1 } },
  );
  t.same(bench.heard, ['a=']);
  bench.feed({ topic: 'a' });
  t.same(bench.heard, ['a=', 'a='], 'and does not spoil the topic before it');
});

t.test('a subscription that comes between two messages of one topic gets the second', async (t) => {
  const bench = new Bench();
  bench.feed({ topic: '$x', payload: '1' });
  const other = bench.world.connected();
  bench.world.subscribe(other.session, '$x');
  bench.feed({ topic: '$x', payload: '2' });
  t.match(other.link.take(), [{ payload: Buffer.from('2') }]);
});

t.test('a hook may refuse a publish, later too, and input waits for it', async (t) => {
  const bench = new Bench();
  const waiting: ((refused: Error | undefined) => void)[] = [];
  bench.world.lanes.hooks.authorizePublish = (_session, one, done) => {
    waiting.push((refused) => done(refused, one));
  };
  bench.feed(
    { topic: 'a', qos: 1, packetId: 1 },
    { topic: 'a', payload: '2' },
    { topic: 'a', qos: 2, packetId: 3 },
  );
  t.equal(waiting.length, 1, 'one at a time');
  t.ok(bench.link.input.suspended);
  waiting[0]?.(new Error('not you'));
  waiting[1]?.(undefined);
  waiting[2]?.(undefined);
  t.notOk(bench.link.input.suspended);
  t.same(answers(bench.link.take()), ['puback #1 0x87', 'pubrec #3 0x0']);
  t.same(bench.heard, ['a=2', 'a=']);
  t.equal(bench.world.counter('refusedNotAuthorized'), 1);
});

t.test('what a hook makes of a publish is kept no longer than delivery.messageExpiryMaxS', async (t) => {
  const bench = new Bench({}, { messageExpiryMaxS: 5 });
  const { world } = bench;
  world.lanes.hooks.authorizePublish = (_session, one, done) => {
    done(undefined, message({ topic: one.topic, qos: one.qos }));
  };
  bench.feed({ topic: 'a', qos: 1, packetId: 1 });
  t.equal(world.store.appended[0]?.expiresAt, world.now + 5000);
});

t.test('a hook may send a publish elsewhere', async (t) => {
  const bench = new Bench();
  bench.world.lanes.hooks.authorizePublish = (_session, one, done) => {
    done(undefined, message({ topic: 'elsewhere', payload: one.payload, qos: one.qos }));
  };
  bench.feed({ topic: 'a', payload: '1' }, { topic: 'a', payload: '2', qos: 1 });
  t.same(bench.heard, ['elsewhere=1', 'elsewhere=2']);
});

t.test('what a hook allows when the client has gone is not published', async (t) => {
  const bench = new Bench();
  let allow = (): void => {};
  bench.world.lanes.hooks.authorizePublish = (_session, one, done) => {
    allow = () => done(undefined, one);
  };
  bench.feed({ topic: 'a' });
  bench.session.disconnect(false, undefined);
  allow();
  t.same(bench.heard, []);
});

t.test('Receive Maximum holds for what a hook allows later', async (t) => {
  const bench = new Bench({}, { receiveMaximum: 1 });
  bench.feed({ topic: 'a', qos: 2, packetId: 1 });
  let allow = (): void => {};
  bench.world.lanes.hooks.authorizePublish = (_session, one, done) => {
    allow = () => done(undefined, one);
  };
  bench.feed({ topic: 'a', qos: 2, packetId: 2 });
  allow();
  t.match(bench.link.reasons, [{ code: 0x93 }]);
  t.equal(bench.heard.length, 1);
});

t.test('a bug behind a hook is not taken for a fault of the client', async (t) => {
  const bench = new Bench();
  let allow = (): void => {};
  bench.world.lanes.hooks.authorizePublish = (_session, one, done) => {
    allow = () => done(undefined, one);
  };
  bench.feed({ topic: 'a' });
  bench.world.env.ingest.publishQoS0 = () => {
    throw new TypeError('a bug');
  };
  t.throws(() => allow(), { name: 'TypeError' });
  t.same(bench.link.reasons, []);
});

t.test(
  'what was received is counted by QoS and by the bytes that came, whichever way it takes',
  async (t) => {
    const frames: PublishFields[] = [
      { topic: 'a', payload: 'run' },
      { topic: 'a', payload: 'run' },
      { topic: 'a', qos: 1, packetId: 1 },
      { topic: 'a', qos: 2, packetId: 2, payload: 'x'.repeat(200) },
      { topic: 'long/topic', properties: { topicAlias: 1 } },
      { properties: { topicAlias: 1 }, payload: 'x'.repeat(20_000) },
    ];
    const bench = new Bench();
    bench.feed(...frames);
    t.equal(bench.world.counter('messagesReceivedQoS0'), 4);
    t.equal(bench.world.counter('messagesReceivedQoS1'), 1);
    t.equal(bench.world.counter('messagesReceivedQoS2'), 1);
    const sizes = frames.map((fields) => publish(fields).length);
    t.equal(
      bench.world.counter('messageBytesReceived'),
      sizes.reduce((sum, size) => sum + size, 0),
    );
  },
);

t.test('the messages of a run know their publisher and are made once', async (t) => {
  const bench = new Bench();
  const messages: Message[] = [];
  for (const filter of ['a', 'a']) {
    bench.world.lanes.router.addListener(new Listener<Message>(filter, (one) => void messages.push(one)));
  }
  bench.feed({ topic: 'a', payload: '1' }, { topic: 'a', payload: 'x'.repeat(300) });
  t.equal(messages.length, 4);
  t.equal(new Set(messages).size, 2);
  t.ok(
    messages.every(
      ({ publisher, qos, retain }) => publisher === bench.session.clientId && qos === 0 && !retain,
    ),
  );
  t.same(
    [...new Set(messages)].map(({ payloadLength }) => payloadLength),
    [1, 300],
  );
});

t.test(
  'a repeated QoS 2 message is answered as the first time, also where its topic is not allowed any more',
  async (t) => {
    const bench = new Bench();
    const { world, session } = bench;
    bench.feed({ topic: 'a', qos: 2, packetId: 7, payload: 'first' });
    // PUBREC is lost with the connection, and the rules are read again.
    session.disconnect(true, undefined);
    world.authorizer.mayPublish = (topic) => topic !== 'a';
    world.authorizer.version++;
    const next = world.link({ version: 5 });
    session.start(next);
    next.feed(session, publish({ version: 5, topic: 'a', qos: 2, packetId: 7, payload: 'first', dup: true }));
    t.same(answers(next.take()), ['pubrec #7 0x0']);
    next.feed(session, publish({ version: 5, topic: 'a', qos: 2, packetId: 8, payload: 'new' }));
    t.same(answers(next.take()), ['pubrec #8 0x87'], 'a new one is refused');
    t.same(bench.heard, ['a=first']);
  },
);
