import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { randomBytes } from 'node:crypto';
import t from 'tap';
import { LOG_POSITION_MAX } from '../../../../lib/contracts/store.js';
import { createMessage } from '../../../../lib/message/message.js';
import { createMesh } from '../../../../mesh/admission/admin-key.js';
import { Roster } from '../../../../mesh/admission/roster.js';
import { Channel } from '../../../../mesh/link/peer-link.js';
import { MeshState } from '../../../../storage/disk/mesh-state.js';
import { MemoryStore } from '../../../../storage/index.js';
import { allTurns, Scheduler } from '../../../sim/scheduler.js';
import { testStoreParts } from '../../../support/disk-store.js';
import { idOf } from './fake-link.js';
import { mesh, restarted, Site } from './site.js';

t.test('a gateway that stops before it has begun to take part says no word of it', async (t) => {
  const scheduler = new Scheduler(allTurns);
  const site = new Site(scheduler, 1);
  await site.openStore();
  site.node.leave();
  await t.resolves(scheduler.advance(100));
  site.node.end('it stops');
});

t.test('a counter is above the floor also where it is given before the mesh begins', async (t) => {
  const { scheduler, network, sites } = await mesh([{}, {}]);
  const [a, b] = sites as [Site, Site];
  for (let n = 0; n < 5; n++) a.publish('state/x', `${n}`, 1, true);
  await scheduler.advance(100);
  for (let n = 0; n < 5; n++) {
    a.publish('state/x', `${n}`, 1, true);
    await scheduler.advance(100);
  }
  a.publish('state/x', '', 1, true);
  await scheduler.advance(300_000);
  t.equal(a.store.retained.tombstone('state/x'), undefined, 'the removal is forgotten');
  const floor = a.node.retainedFloor;
  t.ok(floor > 5);
  const again = await restarted({ scheduler, network }, a);
  await again.openStore();
  t.equal(again.node.retainedFloor, floor);
  again.publish('state/y', 'early', 1, true);
  again.begin();
  network.start(again);
  await scheduler.advance(120_000);
  t.equal(again.retained('state/y'), 'early');
  t.equal(b.retained('state/y'), 'early');
});

t.test('what a gateway publishes between its restart and its first link stays retained', async (t) => {
  const { scheduler, network, sites } = await mesh([{}, {}]);
  const [a, b] = sites as [Site, Site];
  const remove = async (isDone: () => boolean): Promise<void> => {
    b.publish('state/x', 'x', 1, true);
    await scheduler.advance(100);
    b.publish('state/x', '', 1, true);
    await scheduler.advance(500);
    for (let n = 0; n < 300 && !isDone(); n++) {
      for (const site of sites) site.publish('tick', '');
      await scheduler.advance(1000);
    }
  };
  const isGone = ({ store }: Site): boolean => store.retained.tombstone('state/x') === undefined;
  await remove(() => isGone(a) && isGone(b));
  t.ok(isGone(a) && isGone(b), 'the removal is forgotten');
  await remove(() => isGone(b));
  t.ok(isGone(b), 'the second one is forgotten where it was made');
  void b.subscribe('bulk/#');
  await scheduler.advance(300);
  const again = await restarted({ scheduler, network }, a);
  await again.open();
  // The comparison is done before the stream has come so far.
  for (let n = 0; n < 3000; n++) again.publish('bulk/x', 'x'.repeat(2000));
  again.publish('state/y', 'online', 1, true);
  await scheduler.advance(1000);
  network.start(again);
  await scheduler.advance(120_000);
  t.equal(again.retained('state/y'), 'online');
  t.equal(b.retained('state/y'), 'online');
});

t.test('a gateway to which its own removal came back is no peer of itself after a kill', async (t) => {
  const { scheduler, network, sites } = await mesh([{}, {}]);
  const [a, b] = sites as [Site, Site];
  const { bytes: topicBytes } = a.lanes.router.resolve('state/x');
  const back = createMessage({
    topic: 'state/x',
    topicBytes,
    payload: new Uint8Array(0),
    qos: 0,
    retain: true,
  });
  Object.assign(back, { source: a.node.sourceAt(1), sequence: 1, retainedCounter: 9 });
  const position = a.store.append(back, undefined);
  await scheduler.advance(100);
  network.stop(a.id);
  const { parts, lineage, lineages } = a;
  const again = new Site(scheduler, a.number, { parts, lineage, lineages });
  await again.open();
  t.ok(again.store.committed >= position, 'it is in the log');
  t.same(
    [...again.node.peers].map(({ gateway }) => gateway),
    [b.id],
  );
  t.notOk(again.store.floors.has(`peer/${a.id}`), 'it keeps nothing of its log for itself');
});

t.test('what others rely on outlives a loss of power where nothing else is written', async (t) => {
  const { scheduler, network, sites } = await mesh([{}, {}]);
  const [a, b] = sites as [Site, Site];
  b.publish('state/x', 'x', 1, true);
  await scheduler.advance(100);
  b.publish('state/x', '', 1, true);
  await scheduler.advance(300_000);
  t.equal(b.store.retained.tombstone('state/x'), undefined, 'b has forgotten the removal, as a knows of it');
  network.stop(a.id);
  a.node.end('the power fails');
  const { lineage, lineages, parts } = a;
  const again = new Site(scheduler, 1, {
    ...{ lineage, lineages },
    parts: { ...testStoreParts(), files: parts.files.crash() },
  });
  await again.open();
  t.ok(again.node.retainedFloor >= b.node.retainedFloor);
  again.publish('state/y', 'online', 1, true);
  await scheduler.advance(100);
  network.start(again);
  await scheduler.advance(120_000);
  t.equal(again.retained('state/y'), 'online');
  t.equal(b.retained('state/y'), 'online');
});

t.test('a mesh in which nothing happens writes nothing', async (t) => {
  const { scheduler, sites } = await mesh([{}, {}, {}]);
  const [a] = sites as [Site];
  a.publish('state/x', 'x', 1, true);
  a.publish('state/x', '', 1, true);
  await scheduler.advance(600_000);
  const before = sites.map(({ store }) => store.committed);
  await scheduler.advance(3_600_000);
  t.same(
    sites.map(({ store }) => store.committed),
    before,
  );
});

t.test('a full disk at one gateway holds back what others have for it, and nothing is lost', async (t) => {
  const { scheduler, sites } = await mesh([{}, {}]);
  const [a, b] = sites as [Site, Site];
  await Promise.all([b.subscribe('site/#'), scheduler.advance(400)]);
  const { admit } = b.store;
  b.store.admit = () => 0x97;
  const before = b.store.committed;
  for (let n = 0; n < 200; n++) {
    a.publish('site/x', `${n}`.padEnd(1000, '.'));
    if (n % 20 === 0) await scheduler.advance(50);
  }
  await scheduler.advance(2000);
  t.same(b.got, []);
  t.ok(b.store.committed - before < 10, 'nothing but what is known of the stream was written');
  b.store.admit = admit.bind(b.store);
  await scheduler.advance(30_000);
  t.same(
    b.got.map((text) => Number.parseInt(text.slice(7))),
    Array.from({ length: 200 }, (_, n) => n),
  );
});

t.test('gateways of which one only hears, by what is retained, hold no log', async (t) => {
  const { scheduler, network, sites } = await mesh([{}, {}]);
  const [a, b] = sites as [Site, Site];
  a.publish('state/x', 'x', 1, true);
  await scheduler.advance(500);
  network.stop(a.id);
  const c = new Site(scheduler, 3);
  await c.open();
  network.start(c);
  await scheduler.advance(61_000);
  t.equal(c.retained('state/x'), 'x', 'b has told it');
  t.same(
    [...c.node.peers].map(({ gateway }) => gateway),
    [b.id],
  );
  t.same([...c.store.floors.keys()], [`peer/${b.id}`]);
  const again = await restarted({ scheduler, network }, c);
  await again.open();
  t.same([...again.store.floors.keys()], [`peer/${b.id}`]);
});

t.test('who was evicted holds no log after a restart, whatever was written down of it', async (t) => {
  const { binding, adminKey } = createMesh(randomBytes);
  const admin = { roster: new Roster(binding), matchesAdmin: () => true };
  const { scheduler, network, sites } = await mesh([{ node: admin }, {}]);
  const [a, b] = sites as [Site, Site];
  await scheduler.advance(100);
  t.ok(a.store.floors.has(`peer/${b.id}`));
  network.stop(a.id);
  a.node.end('it stops');
  // As it was when the power failed: the eviction is in its file, and no checkpoint has followed.
  await a.store.close();
  const roster = new Roster(binding);
  roster.evict(adminKey, b.id, 'gone');
  const { parts, lineage, lineages } = a;
  const again = new Site(scheduler, 1, { parts, lineage, lineages, node: { ...admin, roster } });
  await again.open();
  t.same([...again.store.floors.keys()], []);
  t.same([...again.node.peers], []);
  await scheduler.advance(1000);
  t.notOk(again.lineages.has(b.id));
  await again.store.close();
  const third = new Site(scheduler, 1, { parts, lineage: again.lineage });
  await third.openStore();
  t.same([...third.node.peers], [], 'nor does its stream come back');
});

t.test('what may not leave a gateway does not leave it because retained messages are compared', async (t) => {
  const { scheduler, sites } = await mesh([{ node: { exportFilters: ['public/#'] } }, {}]);
  const [a, b] = sites as [Site, Site];
  a.publish('private/x', 'secret', 1, true);
  a.publish('public/x', 'open', 1, true);
  b.publish('private/x', 'from elsewhere', 1, true);
  await scheduler.advance(130_000);
  t.equal(b.retained('public/x'), 'open');
  t.equal(b.retained('private/x'), 'from elsewhere');
  a.publish('private/x', 'newer secret', 1, true);
  a.publish('private/y', 'secret', 0, true);
  await scheduler.advance(130_000);
  t.equal(b.retained('private/x'), 'from elsewhere');
  t.equal(b.retained('private/y'), undefined);
  t.equal(a.retained('private/x'), 'newer secret');
  t.equal(a.retained('private/y'), 'secret');
});

t.test('what import filters keep out is not retained here', async (t) => {
  const { scheduler, sites } = await mesh([{}, { node: { importFilters: ['in/#'] } }]);
  const [a, b] = sites as [Site, Site];
  void b.subscribe('#');
  await scheduler.advance(300);
  a.publish('in/x', 'in', 1, true);
  a.publish('out/x', 'out', 1, true);
  await scheduler.advance(130_000);
  t.equal(b.retained('in/x'), 'in');
  t.equal(b.retained('out/x'), undefined);
  t.same(b.got, ['in/x in']);
});

t.test('a message that finds no room to be retained is delivered once', async (t) => {
  const { scheduler, sites } = await mesh([{}, { limits: { retainedMaxCount: 1 } }]);
  const [a, b] = sites as [Site, Site];
  void b.subscribe('state/#');
  await scheduler.advance(300);
  a.publish('state/x', 'x', 2, true);
  a.publish('state/y', 'y', 2, true);
  await scheduler.advance(130_000);
  t.same(b.got, ['state/x x', 'state/y y']);
});

t.test('a retained message of a topic that is kept in memory is delivered once', async (t) => {
  const isOnDisk = (topic: string): boolean => !topic.startsWith('memory/');
  const { scheduler, sites } = await mesh([{ isOnDisk }, { isOnDisk }]);
  const [a, b] = sites as [Site, Site];
  void b.subscribe('#');
  await scheduler.advance(300);
  a.publish('memory/x', 'x', 2, true);
  await scheduler.advance(130_000);
  t.same(b.got, ['memory/x x']);
  t.equal(b.retained('memory/x'), 'x');
});

t.test('a gateway that stores in memory acknowledges what it takes', async (t) => {
  const { scheduler, sites } = await mesh([{}, { store: new MemoryStore() }]);
  const [a, b] = sites as [Site, Site];
  void b.subscribe('site/#');
  await scheduler.advance(300);
  for (let n = 0; n < 20; n++) a.publish('site/x', `${n}`);
  await scheduler.advance(20_000);
  t.equal(b.got.length, 20);
  const [peer] = [...a.node.peers];
  t.equal(peer?.sender?.status.ackedMessages, 20);
  t.equal(peer?.isStalled, false);
});

t.test('after many restarts what is retained since long is not news to others', async (t) => {
  const { scheduler, network, sites } = await mesh([{}, {}]);
  const [a, b] = sites as [Site, Site];
  void b.subscribe('state/#');
  await scheduler.advance(300);
  a.publish('state/x', 'x', 2, true);
  await scheduler.advance(500);
  t.same(b.got, ['state/x x']);
  let again = a;
  for (let n = 0; n < 66; n++) {
    again = await restarted({ scheduler, network }, again);
    await again.open();
  }
  network.start(again);
  await scheduler.advance(130_000);
  t.same(b.got, ['state/x x']);
});

t.test('a step of a stream does not stay in memory', (t) => {
  const state = new MeshState();
  const source = { origin: 'a'.repeat(64) as never, epoch: { counter: 1, nonce: '0'.repeat(16) } };
  state.begin(source, 1);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heldAfter = (steps: number): number => {
    for (let n = 0; n < steps; n++) state.numberOf({ ...source, epoch: { ...source.epoch } });
    collect();
    return process.memoryUsage().heapUsed;
  };
  // Some versions of V8 keep the places of a table whose entries are gone.
  const before = heldAfter(300_000);
  const grown = heldAfter(300_000) - before;
  t.ok(grown < 5_000_000, `${grown} bytes more`);
  t.equal(state.numberOf(source), 1);
  t.end();
});

t.test('what others say of the life of a gateway cannot take its epochs away', async (t) => {
  let beyond: number[] = [];
  const { scheduler, sites } = await mesh([
    { node: { bearAnew: (counter) => void beyond.push(counter) } },
    {},
  ]);
  const [a, b] = sites as [Site, Site];
  const [peer] = [...b.node.peers];
  const image = { origin: a.id, epoch: { counter: 2 ** 50, nonce: 'f'.repeat(16) }, covered: 1, have: [] };
  peer?.receiver.restore(image);
  peer?.close('again');
  await scheduler.advance(3000);
  t.same(
    beyond.filter((counter) => counter > 2 ** 21),
    [],
  );
  beyond = [];
  t.ok(Channel.hello === 0);
});

t.test(
  'of positions that no log has, which an earlier version took from a member, none is told to others',
  (t) => {
    const [origin, epoch] = [idOf(3), { counter: 1, nonce: '0123456789abcdef' }];
    const restored = (covered: number, have: readonly number[], cursor: number) => {
      const changes = new Map<string, Uint8Array | null>();
      new MeshState().addChanges(changes, [{ origin, epoch, covered, have, backfill: { id: 1, cursor } }]);
      const state = new MeshState();
      for (const [key, value] of changes) if (value !== null) state.restore(key, value);
      return state.takeImages();
    };
    const most = LOG_POSITION_MAX;
    t.match(restored(5, [7, most], 4), [{ covered: 5, have: [7, most], backfill: { cursor: 4 } }]);
    const beyond = restored(most + 1, [7, most + 1, Number.MAX_SAFE_INTEGER], most + 1);
    t.same(beyond, [{ origin, epoch, covered: most, have: [7], backfill: { id: 1, cursor: most } }]);
    t.end();
  },
);
