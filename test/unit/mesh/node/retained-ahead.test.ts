/** What a third gateway tells of what another one retained, while the stream of that one is cut off. */
import t from 'tap';
import { AHEAD_MAX_MS } from '../../../../mesh/node/limits.js';
import { MeshNetwork } from '../../../sim/mesh/network.js';
import { Random } from '../../../sim/random.js';
import { allTurns, Scheduler } from '../../../sim/scheduler.js';
import { NETWORK } from './linked-sites.js';
import { Site, type SiteOptions } from './site.js';

const DIRECT: SiteOptions = {
  node: {
    limits: {
      ...{ linkMaxBytesPerSecond: 0, maxQueuedPassingBytes: 1 << 20, tombstoneMinAgeMs: 0 },
      ...{ interestWaitMs: 250, relay: false },
    },
  },
};

interface Triangle {
  readonly scheduler: Scheduler;
  readonly network: MeshNetwork;
  readonly a: Site;
  readonly b: Site;
  readonly c: Site;
}

/** `a` has retained three versions of state/x, and removed state/y; `b`, which is subscribed, knows it from `c` alone. */
async function toldByThird(): Promise<Triangle> {
  const scheduler = new Scheduler(allTurns);
  const network = new MeshNetwork(scheduler, new Random(1, 'network'), NETWORK);
  const [a, b, c] = [1, 2, 3].map((n) => new Site(scheduler, n, DIRECT)) as [Site, Site, Site];
  for (const site of [a, b, c]) await site.open();
  for (const site of [a, b, c]) network.start(site);
  await scheduler.advance(500);
  void b.subscribe('state/#');
  a.publish('state/y', 'before', 1, true);
  await scheduler.advance(500);
  network.cut(a.id, b.id);
  network.cut(b.id, a.id);
  await scheduler.advance(1000);
  for (const text of ['one', 'two', 'three']) a.publish('state/x', text, 2, true);
  a.publish('state/y', '', 1, true);
  await scheduler.advance(500);
  network.flap(b.id, c.id);
  await scheduler.advance(1000);
  return { scheduler, network, a, b, c };
}

/** The same machine, its process killed and started again. */
async function restarted({ scheduler, network }: Triangle, site: Site): Promise<Site> {
  network.stop(site.id);
  site.node.end('killed');
  await scheduler.advance(100);
  const { parts, lineage, lineages } = site;
  const again = new Site(scheduler, site.number, { ...DIRECT, parts, lineage, lineages });
  await again.openStore();
  void again.subscribe('state/#');
  again.begin();
  network.start(again);
  return again;
}

t.test('it is retained at once, and delivered behind what the stream owes before it', async (t) => {
  const { scheduler, network, b } = await toldByThird();
  t.equal(b.retained('state/x'), 'three');
  t.equal(b.retained('state/y'), undefined);
  t.same(b.got, ['state/y before']);
  network.heal();
  await scheduler.advance(2000);
  t.same(b.got, ['state/y before', 'state/x one', 'state/x two', 'state/x three', 'state/y ']);
  await scheduler.advance(2 * AHEAD_MAX_MS);
  t.equal(b.got.length, 5, 'and not again');
  t.equal(b.retained('state/x'), 'three');
});

t.test('a restart in between changes nothing of that', async (t) => {
  const triangle = await toldByThird();
  const { scheduler, network } = triangle;
  const b = await restarted(triangle, triangle.b);
  await scheduler.advance(1000);
  t.equal(b.retained('state/x'), 'three');
  t.equal(b.retained('state/y'), undefined);
  t.same(b.got, []);
  network.heal();
  await scheduler.advance(2000);
  t.same(b.got, ['state/x one', 'state/x two', 'state/x three', 'state/y ']);
  const again = await restarted(triangle, b);
  await scheduler.advance(2 * AHEAD_MAX_MS);
  t.same(again.got, [], 'nor does one when it was delivered');
  t.equal(again.retained('state/x'), 'three');
});

t.test('where its gateway stays away it is delivered all the same, and once', async (t) => {
  const triangle = await toldByThird();
  const { scheduler, network, b } = triangle;
  network.stop(triangle.a.id);
  triangle.a.node.end('killed');
  await scheduler.advance(AHEAD_MAX_MS - 10_000);
  t.same(b.got, ['state/y before']);
  await scheduler.advance(12_000);
  t.same(b.got.toSorted(), ['state/x three', 'state/y ', 'state/y before']);
  const a = await restarted(triangle, triangle.a);
  network.heal();
  await scheduler.advance(2000);
  t.equal(b.got.length, 3, 'older ones are behind it now, and it is not news');
  const again = await restarted(triangle, b);
  await scheduler.advance(2000);
  t.same(again.got, []);
  for (const site of [a, again]) t.equal(site.retained('state/x'), 'three');
});

t.test('what is published here meanwhile is the newer one', async (t) => {
  const { scheduler, network, a, b, c } = await toldByThird();
  b.publish('state/x', 'here', 1, true);
  network.heal();
  await scheduler.advance(2000);
  t.same(
    b.got.filter((line) => line.startsWith('state/x')),
    ['state/x here'],
    'what is older is not delivered behind it',
  );
  for (const site of [a, b, c]) t.equal(site.retained('state/x'), 'here');
});
