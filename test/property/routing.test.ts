/**
 * Trie, tree, route cache and shared groups against naive models. Over 400 lines: they share one small alphabet of topics and
 * filters.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import {
  isValidTopicFilter,
  isValidTopicName,
  topicMatchesFilter,
  type QoS,
} from '../../lib/protocol/index.js';
import {
  Listener,
  type Route,
  Router,
  RouteState,
  type RouteTarget,
  SharedGroup,
  type Subscriber,
  Subscription,
  TopicTree,
} from '../../lib/routing/index.js';
import { SubscriptionTrie, type TrieEntry } from '../../lib/routing/subscription-trie.js';
import { C, createCounters } from '../../lib/telemetry/counters.js';

// A small alphabet, so that topics and filters meet: empty levels, `$` at the start and within, names of Object.prototype.
const level = fc.constantFrom('a', 'b', '', '$s', 'constructor');
const plainTopic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
/** Two texts with one FNV-1a hash, the hash of the route cache. */
const COLLIDING = ['costarring', 'liquid'] as const;
const topic = fc
  .oneof({ weight: 9, arbitrary: plainTopic }, fc.constantFrom(...COLLIDING))
  .filter(isValidTopicName);
const filter = fc
  .tuple(
    fc.array(fc.oneof({ weight: 3, arbitrary: level }, fc.constant('+')), { maxLength: 4 }),
    fc.integer({ min: 0, max: 3 }),
  )
  .map(([levels, end]) => (end === 0 ? [...levels, '#'] : levels).join('/'))
  .filter(isValidTopicFilter);

class Member implements Subscriber {
  routeMark = 0;
  routeTarget: RouteTarget | undefined;
  online = true;
  readonly denied = new Set<string>();
  constructor(readonly name: string) {}
  canReceive(asked: string): boolean {
    return !this.denied.has(asked);
  }
}

type Named = TrieEntry & { readonly name: number };

t.test('the subscription trie finds what a naive matcher finds', async () => {
  const step = fc.record({ filter, remove: fc.boolean(), pick: fc.nat() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.array(topic, { maxLength: 8 }), (steps, topics) => {
      const trie = new SubscriptionTrie<Named>();
      const held: { filter: string; entry: Named }[] = [];
      for (const [name, { filter: added, remove, pick }] of steps.entries()) {
        const victim = held[pick % Math.max(1, held.length)];
        if (remove && victim !== undefined) {
          assert.equal(trie.remove(victim.filter, victim.entry), true);
          assert.equal(trie.remove(victim.filter, victim.entry), false, 'it was removed');
          held.splice(held.indexOf(victim), 1);
        } else {
          const entry = { slot: -1, name };
          assert.equal(trie.remove(added, entry), false, 'it was never added');
          trie.add(added, entry);
          held.push({ filter: added, entry });
        }
        assert.equal(trie.size, held.length);
      }
      for (const asked of topics) {
        const found: number[] = [];
        trie.match(asked, (entry) => found.push(entry.name));
        const expected = held
          .filter((one) => topicMatchesFilter(asked, one.filter))
          .map((one) => one.entry.name);
        assert.deepEqual(found.sort(byNumber), expected.sort(byNumber));
      }
    }),
    { numRuns: 500 },
  );
});

t.test('the topic tree finds what a naive matcher finds', async () => {
  const step = fc.record({ topic, remove: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.array(filter, { maxLength: 8 }), (steps, filters) => {
      const tree = new TopicTree<string>();
      const model = new Map<string, string>();
      for (const [index, { topic: name, remove }] of steps.entries()) {
        if (remove) {
          assert.equal(tree.delete(name), model.delete(name));
        } else {
          tree.set(name, `${name}=${index}`);
          model.set(name, `${name}=${index}`);
        }
        assert.equal(tree.get(name), model.get(name));
        assert.equal(tree.size, model.size);
      }
      for (const { topic: name } of steps) assert.equal(tree.get(name), model.get(name));
      for (const asked of filters) {
        const found: string[] = [];
        tree.forEachMatch(asked, (value) => found.push(value));
        const expected = [...model]
          .filter(([name]) => topicMatchesFilter(name, asked))
          .map(([, value]) => value);
        assert.deepEqual(found.sort(), expected.sort());
      }
      tree.clear();
      assert.equal(tree.size, 0);
      tree.forEachMatch('#', () => assert.fail('the tree is empty'));
    }),
    { numRuns: 500 },
  );
});

interface Delivery {
  qos: QoS;
  retainAsPublished: boolean;
  identifiers: number[];
}

/** What a session gets for one message, by the text of the specification. */
interface Expected extends Delivery {
  /** The same for its own messages; null: No Local leaves nothing. */
  own: Delivery | null;
}

function merged(subscriptions: readonly Subscription<Member>[]): Delivery {
  return {
    qos: subscriptions.reduce<QoS>((most, { options }) => (options.qos > most ? options.qos : most), 0),
    retainAsPublished: subscriptions.some(({ options }) => options.retainAsPublished),
    identifiers: subscriptions
      .map(({ options }) => options.identifier)
      .filter((identifier) => identifier !== 0)
      .sort(byNumber),
  };
}

function expectedRoute(
  asked: string,
  subscriptions: readonly Subscription<Member>[],
  listeners: readonly Listener<string>[],
): unknown {
  const matching = subscriptions.filter((one) => topicMatchesFilter(asked, one.filter));
  const bySession = new Map<string, Subscription<Member>[]>();
  const groups = new Set<string>();
  for (const one of matching) {
    if (one.group !== '') {
      groups.add(`${one.group}/${one.filter}`);
    } else if (!one.partial || one.subscriber.canReceive(asked)) {
      bySession.set(one.subscriber.name, [...(bySession.get(one.subscriber.name) ?? []), one]);
    }
  }
  const targets: Record<string, Expected> = {};
  for (const [name, ones] of bySession) {
    const local = ones.filter(({ options }) => !options.noLocal);
    targets[name] = { ...merged(ones), own: local.length === 0 ? null : merged(local) };
  }
  return {
    targets,
    groups: [...groups].sort(),
    listeners: listeners.filter((one) => topicMatchesFilter(asked, one.filter)).length,
  };
}

function deliveryOf(target: RouteTarget<Member>): Delivery {
  return {
    qos: target.qos,
    retainAsPublished: target.retainAsPublished,
    identifiers: [...(target.identifiers ?? [])].sort(byNumber),
  };
}

function actualRoute(route: Route<Member, string>): unknown {
  const targets: Record<string, Expected> = {};
  for (const target of route.targets) {
    assert(!(target.session.name in targets), 'one target per session');
    targets[target.session.name] = {
      ...deliveryOf(target),
      own: target.own === null ? null : deliveryOf(target.own),
    };
  }
  const groups = route.groups.map((group) => `${group.name}/${group.filter}`).sort();
  const empty = route.targets.length + groups.length + route.listeners.length === 0;
  assert.equal(route.empty, empty);
  return { targets, groups, listeners: route.listeners.length };
}

type Step =
  | {
      kind: 'add';
      member: number;
      filter: string;
      qos: QoS;
      noLocal: boolean;
      retainAsPublished: boolean;
      identifier: number;
      group: string;
      partial: boolean;
    }
  | { kind: 'remove' | 'removeListener'; pick: number }
  | { kind: 'addListener'; filter: string }
  | { kind: 'resolve' | 'find'; topic: string }
  | { kind: 'invalidateAll' };

const subscriptionStep = fc.record({
  kind: fc.constant('add' as const),
  member: fc.nat({ max: 3 }),
  filter,
  qos: fc.constantFrom<QoS>(0, 1, 2),
  noLocal: fc.boolean(),
  retainAsPublished: fc.boolean(),
  identifier: fc.constantFrom(0, 0, 1, 7, 268_435_455),
  group: fc.constantFrom('', '', '', 'g', 'h'),
  partial: fc.boolean(),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: subscriptionStep },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('addListener' as const), filter }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('removeListener' as const), pick: fc.nat() }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('resolve' as const, 'find' as const), topic }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'invalidateAll' as const }) },
);

/** The router beside a model of its cache: topics, least recently used first, each with the state that it has to be in. */
class RouterWithModel {
  readonly counters = createCounters();
  readonly router: Router<Member, string>;
  readonly members = [0, 1, 2, 3].map((index) => new Member(`m${index}`));
  readonly subscriptions: Subscription<Member>[] = [];
  readonly listeners: Listener<string>[] = [];
  readonly cached = new Map<string, { route: Route<Member, string>; fresh: boolean; proven: boolean }>();
  readonly evicted: Route<Member, string>[] = [];

  constructor(readonly capacity: number) {
    this.router = new Router({ cacheMaxCount: capacity, counters: this.counters });
    this.members[1]?.denied.add('a').add('a/b').add('/a').add('b');
  }

  run(step: Step): void {
    switch (step.kind) {
      case 'add':
        this.#add(step);
        break;
      case 'remove':
        this.#remove(step.pick);
        break;
      case 'addListener': {
        const listener = new Listener<string>(step.filter, () => {});
        this.listeners.push(listener);
        this.router.addListener(listener);
        this.#changed(step.filter);
        break;
      }
      case 'removeListener': {
        const [listener] = this.listeners.splice(step.pick % Math.max(1, this.listeners.length), 1);
        if (listener === undefined) return;
        this.router.removeListener(listener);
        this.#changed(listener.filter);
        this.router.removeListener(listener);
        break;
      }
      case 'find':
        this.#find(step.topic);
        break;
      case 'resolve':
        this.#resolve(step.topic);
        break;
      case 'invalidateAll':
        this.router.invalidateAll();
        for (const entry of this.cached.values()) entry.fresh = false;
        break;
    }
    this.#check();
  }

  #add({ member, filter: added, group, partial, ...options }: Step & { kind: 'add' }): void {
    const subscriber = this.members[member];
    assert(subscriber !== undefined);
    const subscription = new Subscription(
      subscriber,
      added,
      { ...options, retainHandling: 0 },
      group,
      partial,
    );
    this.router.remove(subscription);
    this.subscriptions.push(subscription);
    this.router.add(subscription);
    this.#changed(added);
  }

  #remove(pick: number): void {
    const [subscription] = this.subscriptions.splice(pick % Math.max(1, this.subscriptions.length), 1);
    if (subscription === undefined) return;
    this.router.remove(subscription);
    this.#changed(subscription.filter);
    this.router.remove(subscription);
  }

  #changed(changed: string): void {
    for (const [name, entry] of this.cached)
      if (!entry.proven || topicMatchesFilter(name, changed)) entry.fresh = false;
  }

  #find(asked: string): void {
    // At an offset, as a topic stands in a frame.
    const bytes = Buffer.from(`xx${asked}yy`);
    const end = bytes.length - 2;
    const hits = this.counters[C.routeCacheHits] ?? 0;
    const route = this.router.find(bytes, 2, end);
    const entry = this.cached.get(asked);
    assert.equal(route, entry?.route, 'found exactly where it is cached');
    assert.equal(this.counters[C.routeCacheHits], entry === undefined ? hits : hits + 1);
    if (route !== undefined) this.#used(asked, route);
  }

  #resolve(asked: string): void {
    const known = this.cached.get(asked)?.route;
    const misses = this.counters[C.routeCacheMisses] ?? 0;
    const route = this.router.resolve(asked);
    assert.equal(this.counters[C.routeCacheMisses], known === undefined ? misses + 1 : misses);
    if (known !== undefined) assert.equal(route, known);
    this.#used(asked, route);
    assert.deepEqual(Buffer.from(route.bytes.subarray(2)), Buffer.from(asked));
    assert.equal(((route.bytes[0] ?? 0) << 8) | (route.bytes[1] ?? 0), Buffer.byteLength(asked));
  }

  #used(asked: string, route: Route<Member, string>): void {
    const before = this.cached.get(asked);
    const proven = before !== undefined && (before.proven || !before.fresh);
    this.cached.delete(asked);
    this.cached.set(asked, { route, fresh: true, proven });
    const [oldest] = this.cached;
    if (this.cached.size > this.capacity && oldest !== undefined) {
      this.cached.delete(oldest[0]);
      this.evicted.push(oldest[1].route);
    }
    assert.deepEqual(actualRoute(route), expectedRoute(asked, this.subscriptions, this.listeners));
  }

  #check(): void {
    for (const [name, { route, fresh }] of this.cached) {
      assert.equal(route.state, fresh ? RouteState.fresh : RouteState.stale, `state of ${name}`);
      if (!fresh) continue;
      assert.deepEqual(actualRoute(route), expectedRoute(name, this.subscriptions, this.listeners));
    }
    for (const route of this.evicted) assert.equal(route.state, RouteState.evicted);
    assert.equal(this.router.cachedCount, this.cached.size);
    assert.equal(this.router.subscriptionCount, this.subscriptions.length);
    assert.equal(
      this.router.sharedSubscriptionCount,
      this.subscriptions.filter(({ group }) => group !== '').length,
    );
  }
}

t.test('the colliding topics of these tests have one hash', async (t) => {
  const hash = (text: string): number => {
    let value = 0x811c9dc5;
    for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193);
    return value;
  };
  const [one, other] = COLLIDING;
  t.equal(hash(one), hash(other));
});

t.test(
  'cached routes are what a fresh computation gives; a change makes exactly those stale that its filter matches or that were resolved once',
  async () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 40 }), (capacity, steps) => {
        const model = new RouterWithModel(capacity);
        for (const one of steps) model.run(one);
      }),
      { numRuns: 600 },
    );
  },
);

t.test(
  'overlapping subscriptions of a session become one delivery [MQTT-3.3.4-2, MQTT-3.3.4-3]',
  async () => {
    // All on one topic, so that up to six overlap.
    const overlapping = fc.array(
      subscriptionStep.map((one) => ({
        ...one,
        member: one.member % 2,
        filter: ['a/b', '+/b', '#', 'a/+', 'a/#', '+/+'][one.filter.length % 6] ?? '#',
      })),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(overlapping, (steps) => {
        const model = new RouterWithModel(2);
        for (const one of steps) model.run(one);
        model.run({ kind: 'resolve', topic: 'a/b' });
      }),
      { numRuns: 500 },
    );
  },
);

t.test('a hit on an entry in the middle of a hash chain or of the cache leaves both whole', async () => {
  const model = new RouterWithModel(3);
  for (const asked of [
    'liquid',
    'costarring',
    'a',
    'liquid',
    'costarring',
    'liquid',
    'b',
    'c',
    'd',
    'liquid',
  ]) {
    model.run({ kind: 'resolve', topic: asked });
    model.run({ kind: 'find', topic: 'costarring' });
    model.run({ kind: 'find', topic: 'liquid' });
  }
  const small = new RouterWithModel(2);
  for (const kind of ['resolve', 'find'] as const) {
    // Each of the two is once the first and once the second of its chain when it is evicted.
    for (const asked of [
      'costarring',
      'liquid',
      'x',
      'liquid',
      'costarring',
      'x',
      'y',
      'liquid',
      'costarring',
    ]) {
      small.run({ kind, topic: asked });
    }
  }
});

interface MemberState {
  online: boolean;
  partial: boolean;
  denied: boolean;
}
const memberState: fc.Arbitrary<MemberState> = fc.record({
  online: fc.boolean(),
  partial: fc.boolean(),
  denied: fc.boolean(),
});

function groupOf(states: readonly MemberState[]): SharedGroup<Member> {
  const group = new SharedGroup<Member>('g', 'a/#');
  for (const [index, { online, partial, denied }] of states.entries()) {
    const member = new Member(`m${index}`);
    member.online = online;
    if (denied) member.denied.add('a/x');
    const options = {
      qos: 1,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
      identifier: 0,
    } as const;
    group.members = [...group.members, new Subscription(member, 'a/#', options, 'g', partial)];
  }
  return group;
}

t.test(
  'a shared group gives each message to one member who may have it, those online first, each the same number',
  async () => {
    const states = fc.array(memberState, { maxLength: 6 });
    fc.assert(
      fc.property(states, fc.boolean(), fc.integer({ min: 1, max: 4 }), (members, durable, rounds) => {
        const group = groupOf(members);
        const allowed = group.members.filter((one) => !one.partial || one.subscriber.canReceive('a/x'));
        const online = allowed.filter((one) => one.subscriber.online);
        const eligible = online.length > 0 ? online : durable ? allowed : [];
        if (eligible.length === 0) {
          assert.equal(group.choose('a/x', durable), undefined);
          return;
        }
        const chosen = new Map<Subscription<Member>, number>();
        for (let index = 0; index < eligible.length * rounds; index++) {
          const member = group.choose('a/x', durable);
          assert(member !== undefined && eligible.includes(member));
          chosen.set(member, (chosen.get(member) ?? 0) + 1);
        }
        for (const member of eligible) assert.equal(chosen.get(member), rounds, 'round robin');
      }),
      { numRuns: 500 },
    );
  },
);

t.test(
  'members who come, go, and change their connection never make a group choose one who left',
  async () => {
    const change = fc.record({ kind: fc.constantFrom('join', 'leave', 'toggle'), pick: fc.nat() });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const router = new Router<Member, string>({ cacheMaxCount: 10, counters: createCounters() });
        const present: Subscription<Member>[] = [];
        const options = {
          qos: 1,
          noLocal: false,
          retainAsPublished: false,
          retainHandling: 0,
          identifier: 0,
        } as const;
        for (const [index, { kind, pick }] of changes.entries()) {
          const one = present[pick % Math.max(1, present.length)];
          if (kind === 'join' || one === undefined) {
            const joined = new Subscription(new Member(`m${index}`), 'a/#', options, 'g', false);
            present.push(joined);
            router.add(joined);
          } else if (kind === 'leave') {
            present.splice(present.indexOf(one), 1);
            router.remove(one);
          } else {
            one.subscriber.online = !one.subscriber.online;
          }
          const route = router.resolve('a/x');
          assert.equal(route.groups.length, present.length === 0 ? 0 : 1);
          const chosen = route.groups[0]?.choose('a/x', true);
          if (present.length > 0) assert(chosen !== undefined && present.includes(chosen));
          const anyOnline = present.some((other) => other.subscriber.online);
          assert.equal(chosen?.subscriber.online ?? false, anyOnline);
        }
      }),
      { numRuns: 300 },
    );
  },
);

function byNumber(a: number, b: number): number {
  return a - b;
}
