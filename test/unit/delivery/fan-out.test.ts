import t from 'tap';
import type { Message } from '../../../lib/message/message.js';
import type { Packet } from '../../../lib/protocol/index.js';
import { Listener } from '../../../lib/routing/index.js';
import type { Session } from '../../../lib/session/session.js';
import { publish } from '../../support/wire.js';
import { type FakeLink, LaneWorld, type LinkOptions, message, type SubscribeOptions } from './lane-world.js';

interface Client {
  session: Session;
  link: FakeLink;
}

function client(
  world: LaneWorld,
  filter: string,
  options: SubscribeOptions = {},
  linkOptions: LinkOptions = {},
): Client {
  const made = world.connected(linkOptions);
  world.subscribe(made.session, filter, options);
  return made;
}

const payloads = (packets: readonly Packet[]): string[] =>
  packets.map((packet) => (packet.type === 'publish' ? Buffer.from(packet.payload).toString() : packet.type));

t.test('a message that nobody wants is counted, but not on the own $ topics', async (t) => {
  const world = new LaneWorld();
  world.publish(message());
  world.publish(message({ topic: '$SYS/x' }));
  t.same(world.counted('dropped'), { droppedNoSubscriber: 1 });
  const publisher = world.connected();
  publisher.link.feed(
    publisher.session,
    Buffer.concat([publish({ version: 4, topic: 't' }), publish({ version: 4, topic: 't' })]),
  );
  t.same(world.counted('dropped'), { droppedNoSubscriber: 3 }, 'a run is as many as it has frames');
});

t.test('every kind of receiver of one message gets it in its own form', async (t) => {
  const world = new LaneWorld();
  const clients = [
    client(world, 't', { qos: 0 }, { version: 3 }),
    client(world, 't', { qos: 1 }, { version: 4 }),
    client(world, 't', { qos: 2, retainAsPublished: true }, { version: 5 }),
    client(world, 't', { qos: 1, identifier: 9 }, { version: 5 }),
    client(world, 't', { qos: 0 }, { version: 5, topicAliasMaximum: 1 }),
    client(world, 't', { qos: 1 }, { version: 4 }),
  ];
  world.publish(
    message({
      qos: 2,
      retain: true,
      properties: Buffer.from('\x26\0\x01k\0\x01v', 'latin1'),
      expiresAt: 31_000,
    }),
  );
  const userProperties = [['k', 'v']];
  const v5 = { messageExpiryInterval: 30, userProperties };
  const expected = [
    { qos: 0, retain: false, properties: {} },
    { qos: 1, retain: false, packetId: 1, properties: {} },
    { qos: 2, retain: true, packetId: 1, properties: v5 },
    { qos: 1, retain: false, packetId: 1, properties: { ...v5, subscriptionIdentifiers: [9] } },
    { qos: 0, retain: false, properties: { ...v5, topicAlias: 1 } },
    { qos: 1, retain: false, packetId: 1, properties: {} },
  ];
  for (const [index, { link }] of clients.entries()) {
    const [packet] = link.take();
    t.strictSame(
      { ...packet, payload: 'p' },
      { type: 'publish', topic: 't', payload: 'p', dup: false, ...expected[index] },
    );
  }
});

t.test('No Local: a session does not get back what it published itself, others do', async (t) => {
  const world = new LaneWorld();
  const own = client(world, 't', { noLocal: true }, { version: 5 });
  const other = client(world, 't', { noLocal: true }, { version: 5 });
  world.publish(message({ payload: 'one' }), own.session);
  own.link.feed(own.session, publish({ topic: 't', payload: 'two' }));
  t.same(payloads(own.link.take()), []);
  t.same(payloads(other.link.take()), ['one', 'two']);
  world.subscribe(own.session, '#', { qos: 0 });
  world.publish(message({ payload: 'three' }), own.session);
  t.same(payloads(own.link.take()), ['three'], 'but through another subscription it does');
});

t.test(
  'of a shared group one member gets each message, in turn, and never one who is offline while another is there',
  async (t) => {
    const world = new LaneWorld();
    const members = [0, 1, 2].map(() =>
      client(world, 't', { group: 'g', qos: 1, identifier: 5 }, { version: 5 }),
    );
    const lone = client(world, 't', { group: 'h' });
    for (let index = 0; index < 6; index++) world.publish(message({ payload: `${index}`, qos: 1 }));
    const got = members.map(({ link }) => link.take());
    t.same(got.map(payloads), [
      ['0', '3'],
      ['1', '4'],
      ['2', '5'],
    ]);
    t.match(got[0]?.[0], { qos: 1, properties: { subscriptionIdentifiers: [5] } });
    t.equal(lone.link.take().length, 6, 'another group gets all of them too');

    members[0]?.session.disconnect(false, undefined);
    for (let index = 0; index < 4; index++) world.publish(message({ payload: `${index}`, qos: 1 }));
    t.equal(members[0]?.session.outbound.queuedCount, 0);
    t.equal((members[1]?.link.take().length ?? 0) + (members[2]?.link.take().length ?? 0), 4);
  },
);

t.test(
  'when all members of a group are offline, what can wait waits for one of them, the rest is counted',
  async (t) => {
    const world = new LaneWorld();
    const { session } = client(world, 't', { group: 'g', qos: 1 });
    session.disconnect(false, undefined);
    world.publish(message({ qos: 0 }));
    t.same(world.counted('dropped'), { droppedNoSubscriber: 1 });
    world.publish(message({ qos: 1 }));
    t.equal(session.outbound.queuedCount, 1);
    t.same(world.counted('dropped'), { droppedNoSubscriber: 1 });
  },
);

t.test('the members of a group get the messages of a run one by one', async (t) => {
  const world = new LaneWorld();
  const members = [0, 1].map(() => client(world, 't', { group: 'g' }));
  const publisher = world.connected();
  const frames = ['a', 'b', 'c', 'd'].map((payload) => publish({ version: 4, topic: 't', payload }));
  publisher.link.feed(publisher.session, Buffer.concat(frames));
  t.same(
    members.map(({ link }) => payloads(link.take())),
    [
      ['a', 'c'],
      ['b', 'd'],
    ],
  );
});

t.test('a listener that throws keeps nobody from the message and is written to the log', async (t) => {
  const world = new LaneWorld();
  const heard: string[] = [];
  const hear = (one: Message): void => void heard.push(Buffer.from(one.payload).toString());
  const broken = new Listener<Message>('t/#', () => {
    throw new Error('not today');
  });
  for (const listener of [new Listener('t', hear), broken, new Listener('#', hear)]) {
    world.lanes.router.addListener(listener);
  }
  const subscriber = client(world, 't');
  world.publish(message({ payload: 'x' }));
  const publisher = world.connected();
  publisher.link.feed(publisher.session, publish({ version: 4, topic: 't', payload: 'run' }));
  t.same(heard, ['x', 'x', 'run', 'run']);
  t.same(payloads(subscriber.link.take()), ['x', 'run']);
  const lines = world.logged.filter(({ level }) => level === 'error');
  t.equal(lines.length, 2);
  t.match(lines[0], { message: /subscriber threw/, fields: { filter: 't/#', error: /not today/ } });
  t.same(world.counted('dropped'), {});
});

t.test('a message that a hook publishes during a fan-out reaches all with its own content', async (t) => {
  const world = new LaneWorld();
  const first = [client(world, 't'), client(world, 't'), client(world, 't')];
  const second = [client(world, 'u'), client(world, 'u')];
  const inner = message({ topic: 'u', payload: 'inner' });
  let published = false;
  world.lanes.hooks.authorizeForward = (session, one) => {
    if (session === first[1]?.session && !published) {
      published = true;
      world.publish(inner);
    }
    return one;
  };
  world.publish(message({ payload: 'outer' }));
  for (const { link } of first) t.same(payloads(link.take()), ['outer']);
  for (const { link } of second) t.same(payloads(link.take()), ['inner']);
});

t.test(
  'what a hook makes of a message that cannot be encoded is a dead letter, and the others get theirs',
  async (t) => {
    const world = new LaneWorld();
    const clients = [client(world, 't', { qos: 1 }), client(world, 't'), client(world, 't')];
    const dead = [client(world, '$dead'), client(world, '$dead')];
    world.lanes.hooks.authorizeForward = (session, one) => {
      if (session === clients[1]?.session && one.topic === 't') throw new RangeError('too long');
      return one;
    };
    world.publish(message({ payload: 'first', qos: 1 }));
    world.lanes.hooks.authorizeForward = undefined;
    world.publish(message({ payload: 'second' }));
    t.same(payloads(clients[0]?.link.take() ?? []), ['first', 'second']);
    t.same(payloads(clients[1]?.link.take() ?? []), ['second']);
    t.same(payloads(clients[2]?.link.take() ?? []), ['first', 'second']);
    for (const { link } of dead) t.same(payloads(link.take()), ['first']);
    t.same(world.counted('dropped'), { droppedEncodeFailure: 1 });
    t.equal(world.counter('deadLettered'), 1);
  },
);

t.test(
  'an expired message is delivered to nobody, whoever else subscribes and in every version [MQTT-3.3.2-5]',
  async (t) => {
    for (const version of [4, 5] as const) {
      for (const receivers of [1, 2]) {
        for (const qos of [0, 1] as const) {
          const world = new LaneWorld();
          const clients = Array.from({ length: receivers }, () => client(world, 't', { qos }, { version }));
          world.publish(message({ qos, expiresAt: world.now }));
          for (const { link } of clients) {
            t.same(link.take(), [], `${receivers} subscribers of MQTT ${version}, QoS ${qos}`);
          }
          t.same(world.counted('dropped'), { droppedExpired: receivers });
        }
      }
    }
  },
);

t.test('what is left of the life of a message is rounded up to whole seconds', async (t) => {
  const world = new LaneWorld();
  const clients = [
    client(world, 't', {}, { version: 5 }),
    client(world, 't', {}, { version: 5 }),
    client(world, 't', {}, { version: 5, topicAliasMaximum: 1 }),
  ];
  for (const [left, shown] of [
    [1, 1],
    [1000, 1],
    [1001, 2],
    [4_294_967_294_000, 4_294_967_294],
    // After a crash the clock may have gone back.
    [4_294_967_295_001, 4_294_967_295],
  ] as const) {
    world.publish(message({ expiresAt: world.now + left }));
    for (const { link } of clients) t.match(link.take(), [{ properties: { messageExpiryInterval: shown } }]);
  }
});
