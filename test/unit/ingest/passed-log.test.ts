import t from 'tap';
import { parseRun } from '../../../lib/connection/frame-run.js';
import { Listener } from '../../../lib/routing/subscription.js';
import { Session } from '../../../lib/session/session.js';
import { publish, type PublishFields } from '../../support/wire.js';
import { type FakeLink, LaneWorld, message } from '../delivery/lane-world.js';

/** One publisher; what begins with `a` is archived, and everything is heard. */
class Bench {
  readonly world: LaneWorld;
  readonly session: Session;
  readonly link: FakeLink;
  readonly heard: string[] = [];
  readonly asked: string[] = [];

  constructor(version: 4 | 5 = 5) {
    this.world = new LaneWorld({}, (topic) => {
      this.asked.push(topic);
      return topic.startsWith('a');
    });
    ({ session: this.session, link: this.link } = this.world.connected({ version }));
    this.world.lanes.router.addListener(
      new Listener('#', ({ topic, payload }) =>
        this.heard.push(`${topic} ${Buffer.from(payload).toString()}`),
      ),
    );
  }

  feed(...frames: PublishFields[]): void {
    const version = this.link.version === 5 ? 5 : 4;
    this.link.feed(this.session, Buffer.concat(frames.map((fields) => publish({ version, ...fields }))));
  }

  get passed(): readonly string[][] {
    return this.world.store.passed;
  }
}

const seen = ({ world }: Bench): string[] => world.logged.map(({ level, message }) => `${level} ${message}`);

t.test(
  'what a client publishes with QoS 0 to an archived topic is logged, and nothing waits for it',
  async (t) => {
    for (const version of [4, 5] as const) {
      const bench = new Bench(version);
      bench.world.store.hold = true;
      bench.feed(
        { topic: 'a', payload: '1' },
        { topic: 'a', payload: '2' },
        { topic: 'b', payload: '3' },
        { topic: 'a', payload: '4' },
        { topic: 'a/x', payload: '' },
      );
      t.same(bench.passed, [['a 1', 'a 2'], ['a 4'], ['a/x ']], 'a run at a time');
      t.same(bench.heard, ['a 1', 'a 2', 'b 3', 'a 4', 'a/x ']);
      bench.feed({ topic: 'a', payload: '5' });
      t.same(bench.asked, ['a', 'b', 'a/x'], 'a topic is asked for once');
      t.same(bench.world.store.appended, []);
    }
  },
);

t.test('so is what comes one by one: with properties, from an embedder, as a will', async (t) => {
  const bench = new Bench();
  const { world } = bench;
  const { ingest, router } = world.lanes;
  bench.feed({ topic: 'a', payload: '1', properties: { messageExpiryInterval: 5 } });
  let told = 0;
  ingest.publishForDoor(message({ topic: 'a', qos: 0, payload: '2' }), () => told++);
  ingest.publishForDoor(message({ topic: 'b', qos: 0, payload: '3' }), () => told++);
  t.equal(told, 2);
  const will = { topic: 'a', payload: Buffer.from('4'), qos: 0 as const, retain: false, properties: {} };
  const dying = new Session({ clientId: 'dying', username: 'u', expiryS: 0, will }, world.env, () => {});
  dying.start(world.link());
  dying.disconnect(false, undefined);
  t.same(bench.passed, [['a 1'], ['a 2'], ['a 4']]);
  t.same(bench.heard, ['a 1', 'a 2', 'b 3', 'a 4']);

  // What is not the gateway's own to archive, or not a client's.
  ingest.publishOwn(message({ topic: 'a', qos: 0, payload: 'own' }), undefined);
  ingest.publishPassing(message({ topic: 'a', qos: 0, payload: 'from afar' }));
  const far = parseRun(
    Uint8Array.from(publish({ topic: 'a', payload: 'far', version: 4 })),
    false,
    'far',
    router,
  );
  if (far !== undefined) ingest.publishForwardedRun(far.run, far.route);
  t.same(bench.heard.slice(4), ['a own', 'a from afar', 'a far']);
  t.equal(bench.passed.length, 3);
});

t.test('one that is retained is in the log once', async (t) => {
  const bench = new Bench();
  const { store } = bench.world;
  const append = store.append.bind(store);
  // As a store does that has a log.
  store.append = (stored) => (stored === undefined ? 0 : (stored.position = append(stored)));
  bench.feed({ topic: 'a', payload: '1', retain: true }, { topic: 'a', payload: '', retain: true });
  bench.world.lanes.ingest.publishForDoor(
    message({ topic: 'a', qos: 0, payload: '2', retain: true }),
    () => undefined,
  );
  t.equal(store.appended.length, 3);
  t.same(bench.passed, []);
  bench.feed({ topic: 'a/never', payload: '', retain: true });
  t.equal(store.appended.length, 3, 'a removal of nothing changes nothing');
  t.same(bench.passed, [['a/never ']], 'and was published');
});

t.test('what the log does not take is delivered and counted, and said once', async (t) => {
  const bench = new Bench(4);
  const { world } = bench;
  const run = [
    { topic: 'a', payload: '1' },
    { topic: 'a', payload: '2' },
  ];
  world.store.admit = () => 0x97;
  bench.feed(...run);
  bench.feed(...run);
  world.store.admit = () => 0x83;
  bench.feed(...run);
  world.lanes.ingest.publishForDoor(message({ topic: 'a', qos: 0, payload: '3' }), (error) =>
    t.equal(error, undefined),
  );
  t.same(bench.passed, []);
  t.equal(bench.heard.length, 7);
  t.same(world.counted('archive'), { archiveNotLoggedQuota: 4, archiveNotLoggedStorage: 3 });
  t.same(world.counted('refused'), {});
  t.same(bench.link.reasons, []);
  t.same(seen(bench), ['warn messages of QoS 0 are delivered and not archived: the log does not take them']);
  // At the limit room comes and goes.
  world.store.admit = () => 0;
  bench.feed(...run);
  world.store.admit = () => 0x97;
  bench.feed(...run);
  world.store.admit = () => 0;
  bench.feed(...run);
  t.equal(bench.passed.length, 2);
  t.equal(seen(bench).length, 1);
  world.now += 10_000;
  bench.feed(...run);
  bench.feed(...run);
  t.same(seen(bench).slice(1), ['info messages of QoS 0 are archived again']);
  t.match(world.logged[1]?.fields, { missing: 9 });
  world.store.admit = () => 0x97;
  bench.feed(...run);
  t.equal(seen(bench).length, 3, 'the next time is said again');
});

t.test('where nothing is archived nobody asks for room', async (t) => {
  const world = new LaneWorld();
  const { session, link } = world.connected({ version: 4 });
  world.store.admit = () => t.fail('it was asked') as never;
  link.feed(session, publish({ topic: 'a', payload: '1', version: 4 }));
  link.feed(session, publish({ topic: 'a', payload: '1', version: 4, retain: false, dup: false }));
  t.same(world.store.passed, []);
});
