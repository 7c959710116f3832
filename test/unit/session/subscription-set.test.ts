import t from 'tap';
import { ReasonCode, type SubscriptionRequest } from '../../../lib/protocol/index.js';
import type { Session } from '../../../lib/session/session.js';
import { exceeds } from '../../../lib/session/subscription-set.js';
import { LaneWorld, message, type FakeLink } from '../delivery/lane-world.js';

type Asked = Partial<SubscriptionRequest> & { filter: string };

const request = (asked: Asked): SubscriptionRequest => ({
  qos: 0,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  ...asked,
});

interface Fixture {
  world: LaneWorld;
  session: Session;
  link: FakeLink;
  subscribe(...asked: Asked[]): number[] | undefined;
  unsubscribe(...filters: string[]): number[] | undefined;
}

function fixture(limits = {}): Fixture {
  const world = new LaneWorld(limits);
  const { session, link } = world.connected({ version: 5 });
  const subscribe = (...asked: Asked[]): number[] | undefined => {
    let answer: number[] | undefined;
    session.subscriptions.subscribe(
      { type: 'subscribe', packetId: 1, subscriptions: asked.map(request), properties: {} },
      link,
      (codes) => (answer = codes),
    );
    return answer;
  };
  const unsubscribe = (...filters: string[]): number[] | undefined => {
    let answer: number[] | undefined;
    session.subscriptions.unsubscribe(
      { type: 'unsubscribe', packetId: 1, filters, properties: {} },
      (codes) => (answer = codes),
    );
    return answer;
  };
  return { world, session, link, subscribe, unsubscribe };
}

t.test('each filter is answered for itself', async (t) => {
  const { world, session, subscribe } = fixture({ topicMaxLevels: 3, topicMaxBytes: 20 });
  Object.assign(world.authorizer, {
    canSubscribe: (_who: unknown, filter: string) =>
      filter.startsWith('no') ? 'none' : filter === 'some' ? 'some' : 'all',
  });
  t.same(
    subscribe(
      { filter: 'a', qos: 2 },
      { filter: 'no/x', qos: 1 },
      { filter: 'a/b/c/d' },
      { filter: 'x'.repeat(21) },
      { filter: 'some', qos: 1 },
      { filter: '$share/g/a', qos: 1 },
      { filter: '$share/g/no' },
    ),
    [2, ReasonCode.notAuthorized, ReasonCode.topicFilterInvalid, ReasonCode.topicFilterInvalid, 1, 1, 0x87],
  );
  t.same([...session.subscriptions.filters()], ['a', 'some', '$share/g/a']);
  t.equal(session.subscriptions.count, 3);
  t.equal(world.lanes.router.subscriptionCount, 3);
  t.equal(world.lanes.router.sharedSubscriptionCount, 1);
});

t.test('what is refused is counted, each filter for its reason', async (t) => {
  const { world, subscribe } = fixture({ topicMaxLevels: 3, subscriptionsPerClientMax: 1 });
  Object.assign(world.authorizer, {
    canSubscribe: (_who: unknown, filter: string) =>
      filter === 'no' ? 'none' : filter === '#' ? 'wide' : 'all',
  });
  t.same(
    subscribe(
      { filter: 'no' },
      { filter: '#' },
      { filter: '$share/g/#', qos: 1 },
      { filter: 'a/b/c/d' },
      { filter: 'a' },
      { filter: 'b' },
    ),
    [0x87, 0x87, 0x87, 0x8f, 0, 0x97],
  );
  t.same(world.counted('subscriptionRefused'), {
    subscriptionRefusedInvalid: 1,
    subscriptionRefusedNotAuthorized: 1,
    subscriptionRefusedWildcard: 2,
    subscriptionRefusedQuota: 1,
  });
  t.equal(world.lanes.router.subscriptionCount, 1);
});

t.test('a subscription that is made again replaces the old one', async (t) => {
  const { world, session, link, subscribe } = fixture();
  subscribe({ filter: 't', qos: 0 });
  subscribe({ filter: 't', qos: 1 });
  t.equal(session.subscriptions.count, 1);
  t.equal(world.lanes.router.subscriptionCount, 1);
  world.publish(message({ qos: 1 }));
  t.match(link.take(), [{ type: 'publish', qos: 1 }]);
});

t.test('subscriptions of a client, and filters in one packet, have a limit', async (t) => {
  const { session, subscribe } = fixture({ subscriptionsPerClientMax: 2, filtersPerSubscribeMax: 3 });
  t.same(subscribe({ filter: 'a' }, { filter: 'b' }, { filter: 'c' }), [0, 0, ReasonCode.quotaExceeded]);
  t.same(subscribe({ filter: 'a', qos: 1 }), [1], 'what is there may be changed');
  t.same(subscribe({ filter: 'd' }), [ReasonCode.quotaExceeded]);
  const many = ['a', 'b', 'e', 'f'].map((filter) => ({ filter }));
  t.same(subscribe(...many), Array<number>(4).fill(ReasonCode.quotaExceeded));
  t.equal(session.subscriptions.count, 2);
});

t.test('subscriptions that are being stored count against the limit', async (t) => {
  const { world, session, subscribe } = fixture({ subscriptionsPerClientMax: 2 });
  world.store.hold = true;
  subscribe({ filter: 'a' });
  subscribe({ filter: 'b' });
  t.same(subscribe({ filter: 'c' }), [ReasonCode.quotaExceeded]);
  world.store.release();
  t.same([...session.subscriptions.filters()], ['a', 'b']);
  world.store.hold = false;
  session.subscriptions.remove('a');
  t.same(subscribe({ filter: 'c' }), [0]);
});

t.test('UNSUBSCRIBE says what was there', async (t) => {
  const { world, session, subscribe, unsubscribe } = fixture();
  const told: string[] = [];
  world.lanes.hooks.onUnsubscribe = (_session, filters) => void told.push(...filters);
  subscribe({ filter: 'a' }, { filter: '$share/g/a' });
  t.same(unsubscribe('a', 'b', '$share/g/a'), [0, ReasonCode.noSubscriptionExisted, 0]);
  t.equal(session.subscriptions.count, 0);
  t.equal(world.lanes.router.subscriptionCount, 0);
  t.ok(told.includes('a'));
});

t.test('a session that is kept answers when the change is stored, and not before it applies', async (t) => {
  const { world, session, link } = fixture();
  world.store.hold = true;
  const answers: number[][] = [];
  const answer = (codes: number[]): void => void answers.push(codes);
  const packet = { packetId: 1, properties: {} };
  session.subscriptions.subscribe(
    { type: 'subscribe', subscriptions: [request({ filter: 'a' })], ...packet },
    link,
    answer,
  );
  t.same(answers, []);
  t.equal(world.lanes.router.subscriptionCount, 0);
  world.store.release();
  t.same(answers, [[0]]);
  session.subscriptions.unsubscribe({ type: 'unsubscribe', filters: ['a'], ...packet }, answer);
  t.equal(answers.length, 1);
  world.store.release();
  t.same(answers, [[0], [0]]);
  t.equal(world.lanes.router.subscriptionCount, 0);
});

t.test('UNSUBSCRIBE finds what the SUBSCRIBE before it asked for, while both are being stored', async (t) => {
  const { world, session, link } = fixture();
  world.store.hold = true;
  const answers: number[][] = [];
  const answer = (codes: number[]): void => void answers.push(codes);
  const packet = { packetId: 1, properties: {} };
  const subscriptions = [request({ filter: 'a' })];
  session.subscriptions.subscribe({ type: 'subscribe', subscriptions, ...packet }, link, answer);
  session.subscriptions.unsubscribe({ type: 'unsubscribe', filters: ['a', 'a'], ...packet }, answer);
  session.subscriptions.unsubscribe({ type: 'unsubscribe', filters: ['a'], ...packet }, answer);
  world.store.release();
  const { noSubscriptionExisted } = ReasonCode;
  t.same(answers, [[0], [0, noSubscriptionExisted], [noSubscriptionExisted]]);
});

t.test('an UNSUBSCRIBE that is stored after its session has ended is told to nobody again', async (t) => {
  const { world, session, subscribe, unsubscribe } = fixture();
  const told: string[] = [];
  world.lanes.hooks.onUnsubscribe = (_session, filters) => void told.push(...filters);
  subscribe({ filter: 'a' });
  world.store.hold = true;
  unsubscribe('a');
  session.end();
  world.store.release();
  t.same(told, ['a']);
});

t.test('an UNSUBSCRIBE costs what it has filters, however often it repeats one', async (t) => {
  const { session, subscribe } = fixture();
  subscribe({ filter: 'a' });
  // As many as fit into a packet of 1 MiB; with a search for each repetition they held the process for seconds.
  const others = Array.from({ length: 80_000 }, (_, index) => `x${index}`);
  const filters = [...others, ...Array<string>(80_000).fill('a')];
  const startedAt = performance.now();
  session.subscriptions.unsubscribe({ type: 'unsubscribe', packetId: 1, filters, properties: {} }, (codes) =>
    t.equal(codes.filter((code) => code === 0).length, 1),
  );
  t.ok(performance.now() - startedAt < 3000);
});

t.test('a refusal has nothing to store', async (t) => {
  const { world, subscribe } = fixture({ topicMaxLevels: 1 });
  world.store.hold = true;
  t.same(subscribe({ filter: 'a/b' }), [ReasonCode.topicFilterInvalid]);
});

t.test('what is stored for a session that has ended meanwhile does not come back', async (t) => {
  const { world, session, subscribe } = fixture();
  world.store.hold = true;
  subscribe({ filter: 'a' });
  session.end();
  world.store.release();
  t.equal(world.lanes.router.subscriptionCount, 0);
});

t.test('retained messages come as Retain Handling asks, never for shared subscriptions', async (t) => {
  const { world, link, subscribe } = fixture();
  world.store.retained.set(message({ topic: 'a', payload: 'kept', retain: true }));
  const old = { topic: 'b', payload: 'old', retain: true, expiresAt: world.now, publisher: 'one' };
  world.store.retained.set(message(old));
  t.equal(world.env.retention.heldBy('one'), 1);
  const payloads = (): string[] =>
    link
      .take()
      .map((packet) => (packet.type === 'publish' ? Buffer.from(packet.payload).toString() : packet.type));
  subscribe({ filter: '#' });
  t.same(payloads(), ['kept'], '0: always');
  t.equal(world.store.retained.get('b'), undefined, 'an expired one is deleted when it is met');
  t.equal(world.env.retention.heldBy('one'), 0, 'and its publisher has the room back');
  subscribe({ filter: '#' });
  t.same(payloads(), ['kept']);
  subscribe({ filter: '#', retainHandling: 1 });
  t.same(payloads(), [], '1: not for one that is there');
  subscribe({ filter: 'a', retainHandling: 1 });
  t.same(payloads(), ['kept'], '1: for a new one');
  subscribe({ filter: '+', retainHandling: 2 });
  t.same(payloads(), [], '2: never');
  subscribe({ filter: '$share/g/a' });
  t.same(payloads(), []);
});

t.test(
  'while SUBACKs wait for other gateways: each SUBSCRIBE is owed what is retained, one that went is not',
  async (t) => {
    const { world, link, subscribe, unsubscribe } = fixture();
    world.store.retained.set(message({ topic: 'a', retain: true }));
    world.store.retained.set(message({ topic: 'b', retain: true }));
    const waiting: (() => void)[] = [];
    Object.assign(world.env, { mesh: { whenKnown: (answer: () => void) => waiting.push(answer) } });
    t.equal(subscribe({ filter: 'a' }), undefined, 'it waits');
    subscribe({ filter: 'a' });
    subscribe({ filter: 'b' });
    unsubscribe('b');
    t.same(link.take(), []);
    for (const answer of waiting) answer();
    t.match(link.take(), [{ topic: 'a' }, { topic: 'a' }]);
  },
);

t.test(
  'an UNSUBSCRIBE ends what the SUBSCRIBEs before it are owed, and not what the one behind it is',
  async (t) => {
    const { world, link, subscribe, unsubscribe } = fixture();
    world.store.retained.set(message({ topic: 'a', qos: 2, retain: true }));
    const waiting: (() => void)[] = [];
    Object.assign(world.env, { mesh: { whenKnown: (answer: () => void) => waiting.push(answer) } });
    subscribe({ filter: 'a', qos: 2 });
    unsubscribe('a');
    subscribe({ filter: 'a', qos: 1, retainHandling: 2 });
    for (const answer of waiting.splice(0)) answer();
    t.same(link.take(), [], 'the second one did not ask for it');
    unsubscribe('a');
    subscribe({ filter: 'a', qos: 2 });
    unsubscribe('a');
    subscribe({ filter: 'a', qos: 1 });
    for (const answer of waiting) answer();
    t.match(link.take(), [{ topic: 'a', qos: 1 }]);
  },
);

t.test('retained messages that may not be received do not come', async (t) => {
  const { world, link, subscribe } = fixture();
  world.store.retained.set(message({ topic: 'a/open', retain: true }));
  world.store.retained.set(message({ topic: 'a/secret', retain: true }));
  Object.assign(world.authorizer, { canSubscribe: () => 'some' });
  world.authorizer.mayReceive = (_who, topic) => topic !== 'a/secret';
  subscribe({ filter: 'a/+' });
  t.match(link.take(), [{ topic: 'a/open' }]);
});

t.test('rules that were read again decide which filters are asked topic by topic', async (t) => {
  const { world, session, link, subscribe } = fixture();
  subscribe({ filter: 't' });
  Object.assign(world.authorizer, { canSubscribe: () => 'some' });
  world.authorizer.mayReceive = () => false;
  world.publish(message());
  t.equal(link.take().length, 1, 'the old rules hold until then');
  session.subscriptions.reauthorize();
  world.lanes.router.invalidateAll();
  world.publish(message());
  t.same(link.take(), []);
});

t.test('rules that are read again while a subscription is being stored hold for it', async (t) => {
  const { world, session, link, subscribe } = fixture();
  world.store.hold = true;
  subscribe({ filter: 't' });
  Object.assign(world.authorizer, { canSubscribe: () => 'some', version: world.authorizer.version + 1 });
  world.authorizer.mayReceive = () => false;
  session.subscriptions.reauthorize();
  world.lanes.router.invalidateAll();
  world.store.release();
  link.take();
  world.publish(message());
  t.same(link.take(), []);
});

t.test('a hook may change, refuse or fail a subscription, each for itself and in its time', async (t) => {
  const { world, session, link } = fixture();
  const told: unknown[] = [];
  world.lanes.hooks.onSubscribe = (_session, subscriptions) => void told.push(...subscriptions);
  const waiting: (() => void)[] = [];
  world.lanes.hooks.authorizeSubscribe = (_session, asked, done) => {
    waiting.push(() => {
      if (asked.topic === 'refuse') done(undefined, null);
      else if (asked.topic === 'fail') done(new Error('no'), null);
      else done(undefined, { ...asked, qos: 0 });
    });
  };
  let answer: number[] | undefined;
  session.subscriptions.subscribe(
    {
      type: 'subscribe',
      packetId: 1,
      subscriptions: [
        request({ filter: 'less', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 1 }),
        request({ filter: 'refuse' }),
        request({ filter: 'fail' }),
      ],
      properties: { subscriptionIdentifiers: [9] },
    },
    link,
    (codes) => (answer = codes),
  );
  t.equal(link.input.suspended, true, 'what comes after SUBSCRIBE waits');
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) next();
  t.same(answer, [0, ReasonCode.notAuthorized, ReasonCode.notAuthorized]);
  t.equal(link.input.suspended, false);
  t.same([...session.subscriptions.filters()], ['less']);
  t.match(told[0], { topic: 'less', qos: 0 });
});

t.test('what a hook grants after the connection was replaced is not subscribed', async (t) => {
  const { world, session, subscribe, unsubscribe } = fixture();
  let late: (() => void) | undefined;
  world.lanes.hooks.authorizeSubscribe = (_session, asked, done) => {
    late = () => done(undefined, asked);
  };
  subscribe({ filter: 'a' });
  session.disconnect(true, undefined);
  session.start(world.link({ version: 5 }));
  unsubscribe('a');
  late?.();
  t.equal(session.subscriptions.count, 0);
  t.equal(world.lanes.router.subscriptionCount, 0);
});

t.test('filters that a hook is asked about have the same limits', async (t) => {
  const { world, session, subscribe } = fixture({ subscriptionsPerClientMax: 3, filtersPerSubscribeMax: 3 });
  world.lanes.hooks.authorizeSubscribe = (_session, asked, done) => done(undefined, asked);
  const { quotaExceeded } = ReasonCode;
  t.same(subscribe({ filter: 'a' }, { filter: 'b' }), [0, 0]);
  t.same(subscribe({ filter: 'a', qos: 1 }, { filter: 'b' }, { filter: 'c' }), [1, 0, 0], 'one is new');
  t.same(subscribe({ filter: 'a' }, { filter: 'd' }), [0, quotaExceeded]);
  t.same(
    subscribe({ filter: 'a' }, { filter: 'a' }, { filter: 'a' }, { filter: 'a' }),
    Array<number>(4).fill(quotaExceeded),
  );
  t.equal(session.subscriptions.count, 3);
});

t.test('a hook that answers at once may be asked about any number of filters', async (t) => {
  const { world, session, link } = fixture({
    subscriptionsPerClientMax: 100_000,
    filtersPerSubscribeMax: 100_000,
  });
  world.lanes.hooks.authorizeSubscribe = (_session, asked, done) => done(undefined, asked);
  const subscriptions = Array.from({ length: 50_000 }, (_, index) => request({ filter: `${index}` }));
  let answer: number[] = [];
  session.subscriptions.subscribe(
    { type: 'subscribe', packetId: 1, subscriptions, properties: {} },
    link,
    (codes) => (answer = codes),
  );
  t.equal(answer.length, 50_000);
  t.equal(link.input.suspended, false);
});

t.test('the limits of a topic are bytes of UTF-8 and levels', async (t) => {
  t.equal(exceeds('abc', 3, 1), false);
  t.equal(exceeds('abcd', 3, 1), true);
  t.equal(exceeds('é', 1, 1), true);
  t.equal(exceeds('éé', 4, 1), false);
  t.equal(exceeds('a/b', 10, 2), false);
  t.equal(exceeds('a/b/', 10, 2), true);
});
