/** The rules of routing by example; test/property/routing.test.ts holds them against a naive model. */
import t from 'tap';
import {
  Listener,
  type Route,
  Router,
  RouteState,
  type RouteTarget,
  sameTopic,
  type Subscriber,
  Subscription,
  type SubscriptionOptions,
} from '../../../lib/routing/index.js';
import { C, createCounters } from '../../../lib/telemetry/counters.js';

class Member implements Subscriber {
  routeMark = 0;
  routeTarget: RouteTarget | undefined;
  online = true;
  constructor(readonly name: string) {}
  canReceive(topic: string): boolean {
    return topic !== 'secret';
  }
}

interface Options extends Partial<SubscriptionOptions> {
  group?: string;
  partial?: boolean;
}

function subscription(
  member: Member,
  filter: string,
  { group = '', partial = false, ...options }: Options = {},
) {
  const all = {
    qos: 0,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    identifier: 0,
    ...options,
  } as const;
  return new Subscription(member, filter, all, group, partial);
}

function setUp(cacheMaxCount = 10): { router: Router<Member, string>; counters: Float64Array } {
  const counters = createCounters();
  return { router: new Router<Member, string>({ cacheMaxCount, counters }), counters };
}

const names = (route: Route<Member, string>): string[] =>
  route.targets.map(({ session }) => session.name).sort();

t.test(
  'wildcards match whole levels, # also the parent, and neither the $ topics [MQTT-4.7.2-1]',
  async (t) => {
    const { router } = setUp();
    for (const filter of ['a/+', 'a/#', '#', '+', '+/b', 'a/b', '$SYS/#', '/+', 'a/b/']) {
      router.add(subscription(new Member(filter), filter));
    }
    const expected: Record<string, string[]> = {
      a: ['#', '+', 'a/#'],
      'a/b': ['#', '+/b', 'a/#', 'a/+', 'a/b'],
      'a/b/': ['#', 'a/#', 'a/b/'],
      '/b': ['#', '+/b', '/+'].sort(),
      '$SYS/b': ['$SYS/#'],
      $SYS: ['$SYS/#'],
      constructor: ['#', '+'],
    };
    for (const [topic, filters] of Object.entries(expected))
      t.same(names(router.resolve(topic)), filters, topic);
  },
);

t.test('the highest QoS, every identifier and any Retain As Published of what overlaps count', async (t) => {
  const { router } = setUp();
  const member = new Member('m');
  router.add(subscription(member, 'a', { qos: 1, identifier: 3, noLocal: true }));
  router.add(subscription(member, '#', { qos: 0, identifier: 4, retainAsPublished: true }));
  router.add(subscription(member, '+', { qos: 2, noLocal: true }));
  const [target] = router.resolve('a').targets;
  t.match(target, { qos: 2, retainAsPublished: true });
  t.same(target?.identifiers?.sort(), [3, 4]);
  t.match(
    target?.own,
    { qos: 0, retainAsPublished: true, identifiers: [4] },
    'its own messages come only by #',
  );
  t.equal(member.routeTarget, undefined, 'no scratch is left');
});

t.test('a partial grant is asked for each topic', async (t) => {
  const { router } = setUp();
  router.add(subscription(new Member('some'), '#', { partial: true }));
  router.add(subscription(new Member('all'), '#'));
  t.same(names(router.resolve('secret')), ['all']);
  t.same(names(router.resolve('open')), ['all', 'some']);
});

t.test(
  'a change makes the routes stale that its filter matches, and of those that have come back those alone',
  async (t) => {
    const { router } = setUp();
    const topics = ['a', 'a/b', 'a/c', 'b', '$a'];
    const routes = topics.map((topic) => router.resolve(topic));
    const stale = (): string[] =>
      routes.filter(({ state }) => state === RouteState.stale).map(({ topic }) => topic);
    // They have come back.
    router.invalidateAll();
    for (const topic of topics) router.resolve(topic);
    const added = subscription(new Member('m'), 'a/+');
    router.add(added);
    t.same(stale(), ['a/b', 'a/c']);
    t.same(names(router.resolve('a/b')), ['m']);
    t.same(stale(), ['a/c']);
    router.remove(added);
    t.same(stale(), ['a/b', 'a/c']);
    t.ok(router.resolve('a/b').empty);
    router.remove(added);
    t.equal(router.subscriptionCount, 0, 'removed once, whoever asks twice');
    router.invalidateAll();
    t.same(stale(), topics);
  },
);

t.test(
  'a route that was resolved once is stale after any change; one that was used again only after its own',
  async (t) => {
    const { router } = setUp(3);
    const [a, b] = [router.resolve('a'), router.resolve('b')];
    router.add(subscription(new Member('m'), 'x'));
    t.same([a.state, b.state], [RouteState.stale, RouteState.stale], 'they are not indexed');
    t.equal(router.resolve('a'), a);
    router.resolve('c');
    router.add(subscription(new Member('n'), 'y'));
    t.equal(a.state, RouteState.fresh, 'it has come back once');
    router.add(subscription(new Member('n'), 'a'));
    t.equal(a.state, RouteState.stale);
    t.same(names(router.resolve('a')), ['n']);
    t.equal(router.cachedCount, 3);
  },
);

t.test('routes that leave the cache leave nothing behind, whatever they were', async (t) => {
  const { router } = setUp(3);
  const held = new Map<string, ReturnType<typeof router.resolve>>();
  // 'a' is indexed, 'b' and 'c' are not; then each falls out in its turn, and changes find only what is left.
  held.set('a', router.resolve('a'));
  router.invalidateAll();
  router.resolve('a');
  for (const topic of ['b', 'c', 'd', 'e', 'f', 'g']) held.set(topic, router.resolve(topic));
  t.equal(router.cachedCount, 3);
  t.same(
    [...held].filter(([, { state }]) => state === RouteState.evicted).map(([topic]) => topic),
    ['a', 'b', 'c', 'd'],
  );
  router.add(subscription(new Member('m'), '#'));
  for (const topic of ['e', 'f', 'g']) t.same(names(router.resolve(topic)), ['m'], topic);
  t.same(names(router.resolve('a')), ['m']);
  t.equal(held.get('a')?.state, RouteState.evicted);
  router.add(subscription(new Member('n'), 'g'));
  t.same(names(router.resolve('g')).sort(), ['m', 'n']);
  t.same(names(router.resolve('f')), ['m']);
});

t.test('a route that fell out of the cache says so', async (t) => {
  const { router, counters } = setUp(2);
  const first = router.resolve('a');
  router.resolve('b');
  router.resolve('a');
  router.resolve('c');
  t.equal(first.state, RouteState.fresh, 'it was used after b');
  t.equal(router.find(Buffer.from('b'), 0, 1), undefined);
  router.resolve('d');
  t.equal(first.state, RouteState.evicted);
  t.not(router.resolve('a'), first);
  t.equal(counters[C.routeCacheMisses], 5);
  t.equal(counters[C.routeCacheHits], 1);
});

t.test(
  'the members of a share name and filter are one group; other names and filters are others',
  async (t) => {
    const { router } = setUp();
    const members = ['a', 'b'].map((name) => subscription(new Member(name), 't/#', { group: 'g' }));
    const other = subscription(new Member('c'), 't/#', { group: 'h' });
    for (const one of [...members, other, subscription(new Member('d'), 't/+', { group: 'g' })])
      router.add(one);
    const route = router.resolve('t/1');
    t.same(route.targets, []);
    t.same(
      route.groups.map(({ name, filter, members: { length } }) => `${name} ${filter} ${length}`).sort(),
      ['g t/# 2', 'g t/+ 1', 'h t/# 1'],
    );
    t.equal(router.subscriptionCount, 4);
    t.equal(router.sharedSubscriptionCount, 4);
    for (const one of members) router.remove(one);
    router.remove(members[0] ?? other);
    t.equal(router.resolve('t/1').groups.length, 2);
    t.equal(router.sharedSubscriptionCount, 2);
  },
);

t.test('a listener hears what its filter matches until it is removed', async (t) => {
  const { router } = setUp();
  const listener = new Listener<string>('a/#', () => {});
  router.addListener(listener);
  t.same(router.resolve('a').listeners, [listener]);
  t.notOk(router.resolve('a').empty);
  router.removeListener(listener);
  t.ok(router.resolve('a').empty);
  router.removeListener(listener);
  t.equal(router.subscriptionCount, 0, 'it is no subscription of a session');
});

t.test('topics are compared by their bytes', async (t) => {
  const prefixed = Buffer.from('\0\x03a/b');
  t.ok(sameTopic(prefixed, Buffer.from('xa/by'), 1, 4));
  t.notOk(sameTopic(prefixed, Buffer.from('xa/by'), 1, 5));
  t.notOk(sameTopic(prefixed, Buffer.from('xA/by'), 1, 4));
  t.notOk(sameTopic(prefixed, Buffer.from('xa/cy'), 1, 4));
});
