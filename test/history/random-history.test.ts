/** Random legal histories pass, and one random mistake in them is seen by the check that it is for, and by no other. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { checkHistory } from './checker.js';
import type { EventQoS, HistoryEvent } from './event.js';
import { IdealBroker, type Break, type IdealClient } from './ideal-broker.js';
import { HistoryIndex, MUTATIONS } from './mutations.js';
import { DEFAULT_OPTIONS, type CheckOptions } from './options.js';

const TOPICS = ['a/1', 'a/2', 'b'] as const;
const FILTERS = ['a/1', 'a/+', 'b', '#', '$share/g/a/+', '$share/h/b'] as const;
const BREAKS: readonly Break[] = ['nowhere', 'nowhere', 'nowhere', 'there', 'back'];
/** A run of thirty steps shows what it shows. */
const OPTIONS: Partial<CheckOptions> = { okShareMin: 0, judgedShareMin: 0 };

interface Step {
  readonly kind: keyof typeof STEPS;
  readonly who: number;
  readonly what: number;
  readonly how: number;
}

const pick = <T>(list: readonly T[], index: number): T => {
  const item = list[index % list.length];
  assert(item !== undefined);
  return item;
};
const qosOf = (value: number): EventQoS => pick([0, 1, 2] as const, value);

const STEPS = {
  connect: (broker: IdealBroker, client: IdealClient) => broker.connect(client),
  cut: (broker: IdealBroker, client: IdealClient) => broker.cut(client),
  leave: (broker: IdealBroker, client: IdealClient) => broker.leave(client),
  subscribe: (broker: IdealBroker, client: IdealClient, { what, how }: Step) => {
    if (client.name === 'loyal') return;
    broker.subscribe(client, pick(FILTERS, what), {
      q: qosOf(how),
      nl: how % 7 === 0 && !pick(FILTERS, what).startsWith('$share'),
      rap: how % 11 === 0,
    });
  },
  unsubscribe: (broker: IdealBroker, client: IdealClient, { what }: Step) => {
    if (client.name !== 'loyal') broker.unsubscribe(client, pick(FILTERS, what));
  },
  publish: (broker: IdealBroker, client: IdealClient, { what, how }: Step) => {
    // Of two clients with one id only one publishes: they do not know each other's packet ids.
    if (client.name !== client.cid) return;
    const retain = how % 3 === 0;
    broker.publish(
      client,
      pick(TOPICS, what),
      qosOf(what >> 3),
      pick(BREAKS, how),
      retain,
      retain && how % 4 === 0,
    );
  },
  refused: (broker: IdealBroker, client: IdealClient, { what }: Step) => {
    if (client.name === client.cid) broker.refused(client, pick(TOPICS, what));
  },
  deliver: (broker: IdealBroker, client: IdealClient, { how }: Step) =>
    broker.deliver(client, pick(BREAKS, how)),
  tick: (broker: IdealBroker, _client: IdealClient, { how }: Step) => broker.tick(pick([10, 700, 3000], how)),
  fault: (broker: IdealBroker) => broker.history.fault('pause'),
  heal: (broker: IdealBroker) => broker.history.heal('pause'),
} as const;

const step = (kinds: readonly (keyof typeof STEPS)[]): fc.Arbitrary<Step> =>
  fc.record({ kind: fc.constantFrom(...kinds), who: fc.nat(6), what: fc.nat(63), how: fc.nat(63) });

const WORK = ['publish', 'publish', 'publish', 'publish', 'deliver', 'tick'] as const;
const LIFE = ['connect', 'connect', 'cut', 'leave', 'subscribe', 'unsubscribe', 'refused'] as const;
const TROUBLE = ['fault', 'heal'] as const;

function play(steps: readonly Step[]): readonly HistoryEvent[] {
  const broker = new IdealBroker();
  const clients = [
    broker.client('one'),
    broker.client('two', { v: 4 }),
    broker.client('mortal', { expiryS: 4, will: { delay: 2, q: 1 } }),
    broker.client('brief', { clean: true, expiryS: 0, will: { delay: 0, q: 0 } }),
    broker.client('twin', { cid: 'one' }),
    broker.client('old', { v: 4, will: { delay: 0, q: 2 } }),
    broker.client('loyal'),
  ];
  const warden = broker.client('warden');
  broker.connect(warden);
  broker.subscribe(warden, 'will/#', { q: 1, nl: false, rap: false });
  for (let count = 0; count < 2; count++) broker.publish(warden, 'r', 1, 'nowhere', true);
  const [loyal] = clients.slice(-1);
  assert(loyal !== undefined);
  broker.connect(loyal);
  broker.subscribe(loyal, 'a/+', { q: 1, nl: false, rap: false });
  for (const client of clients.slice(0, 4)) {
    broker.connect(client);
    broker.subscribe(client, pick(FILTERS, client.publisher), { q: 2, nl: false, rap: false });
  }
  for (const [at, one] of steps.entries()) {
    // Long enough away that something waits, and back early enough that more follows.
    if (at === steps.length >> 2) broker.cut(loyal);
    if (at === steps.length >> 1) broker.connect(loyal);
    STEPS[one.kind](broker, pick(clients, one.who), one);
    broker.settle();
  }
  const reader = broker.client('reader');
  broker.connect(reader);
  broker.subscribe(reader, '#', { q: 1, nl: false, rap: false });
  broker.finish();
  return broker.history.events;
}

const describe = (events: readonly HistoryEvent[], options = OPTIONS): string[] =>
  checkHistory(events, options).violations.map(({ check, rule, text }) => `${check} ${rule}: ${text}`);

t.test('random legal histories pass', async () => {
  fc.assert(
    fc.property(fc.array(step([...WORK, ...LIFE, ...LIFE, ...TROUBLE]), { maxLength: 80 }), (steps) => {
      assert.deepEqual(describe(play(steps)), []);
    }),
    { numRuns: 400 },
  );
});

t.test('a random mistake is seen by the check that it is for, and by no other', async (t) => {
  const made = new Map<string, number>();
  fc.assert(
    fc.property(
      fc.array(step([...WORK, ...WORK, ...WORK, ...LIFE]), { minLength: 20, maxLength: 60 }),
      fc.nat(),
      (steps, choice) => {
        const events = play(steps);
        assert.deepEqual(describe(events), []);
        const index = new HistoryIndex(events, DEFAULT_OPTIONS);
        for (const mutation of MUTATIONS) {
          const places = mutation.places(index);
          if (places.length === 0) continue;
          made.set(mutation.name, (made.get(mutation.name) ?? 0) + 1);
          const found = checkHistory(pick(places, choice)(), OPTIONS).violations;
          assert(found.length > 0, `${mutation.name}: nothing found`);
          const wrong = found.filter(({ check }) => check !== mutation.check);
          assert.deepEqual(
            wrong.map(({ check, text }) => `${check} ${text}`),
            [],
            mutation.name,
          );
        }
      },
    ),
    { numRuns: 120 },
  );
  for (const { name } of MUTATIONS) {
    const count = made.get(name) ?? 0;
    t.comment(`${name}: ${count} times`);
    t.ok(count > 0, `${name} was made`);
  }
});
