/** Frames of an archive on a link: they go when it has little else to do, within its rate, and only between members. */
import t from 'tap';
import { bodyOf } from '../../../../bridge/archive/object-store.js';
import { RelayClient } from '../../../../bridge/archive/relay/relay-client.js';
import { RelayServer } from '../../../../bridge/archive/relay/relay-server.js';
import { RelayedObjectStore } from '../../../../bridge/archive/relay/relayed-object-store.js';
import { servedStore } from '../../../../bridge/archive/relay/served-store.js';
import type { LinkedGateway } from '../../../../lib/contracts/peer-channel.js';
import { createMesh } from '../../../../mesh/admission/admin-key.js';
import { encodeEvictions, Roster } from '../../../../mesh/admission/roster.js';
import { Channel } from '../../../../mesh/link/peer-link.js';
import { encodeHello } from '../../../../mesh/node/hello.js';
import {
  ARCHIVE_FRAME_MAX_BYTES,
  ARCHIVE_FRAME_MIN_BYTES,
  ARCHIVE_LANE_MAX_BYTES,
  ARCHIVE_LINK_QUEUED_MAX_BYTES,
} from '../../../../mesh/node/limits.js';
import type { MeshNodeOptions } from '../../../../mesh/node/node-options.js';
import { allTurns, Scheduler } from '../../../sim/scheduler.js';
import { MemoryObjectStore } from '../../../support/memory-object-store.js';
import { nullLogger } from '../../../support/null-logger.js';
import { FakeLink, idOf } from './fake-link.js';
import { mesh, Site } from './site.js';

const OTHER = idOf(9);
const HELLO = encodeHello({
  ...{ version: 1, software: 'test', site: 'harbour', head: 0, addresses: [], rosterVersion: '' },
  lineage: [{ counter: 1, nonce: 'a'.repeat(16), after: 0 }],
  greeting: {
    ...{ covered: undefined, durable: 0, floor: 0, have: [], backfill: undefined },
    ...{ creditBytes: 1 << 20, wholeMaxBytes: 1 << 20 },
  },
  ...{ knownEpoch: undefined, interest: undefined, admin: undefined },
});
const LIMITS = {
  ...{ maxQueuedPassingBytes: 1 << 20, tombstoneMinAgeMs: 0, interestWaitMs: 250, relay: true },
};

class World {
  readonly scheduler = new Scheduler(allTurns);
  readonly site: Site;
  readonly linked: LinkedGateway[] = [];
  readonly unlinked: string[] = [];
  readonly got: string[] = [];
  refusal: string | undefined;

  constructor(linkMaxBytesPerSecond = 0, node: Partial<MeshNodeOptions> = {}) {
    this.site = new Site(this.scheduler, 1, {
      node: { limits: { ...LIMITS, linkMaxBytesPerSecond }, ...node },
    });
  }

  static async begun(rate = 0, node: Partial<MeshNodeOptions> = {}): Promise<World> {
    const world = new World(rate, node);
    world.site.node.archive.user = {
      linked: (gateway) => void world.linked.push(gateway),
      unlinked: (id) => void world.unlinked.push(id),
      onFrame: (from, frame) => {
        world.got.push(`${from.slice(0, 2)} ${Buffer.from(frame).toString()}`);
        return world.refusal;
      },
    };
    await world.site.open();
    return world;
  }

  up(path: 'tcp' | 'relayed' = 'tcp'): FakeLink {
    const link = new FakeLink(OTHER, path);
    this.site.node.linkUp(link);
    link.handlers?.onFrame(Channel.hello, HELLO);
    return link;
  }

  send(bytes: number): boolean {
    return this.site.node.archive.send(OTHER, new Uint8Array(bytes));
  }
}

t.test('the archive hears of links and of their ends, and of what comes over them', async (t) => {
  const world = await World.begun();
  t.equal(world.send(1), false, 'there is no link');
  const link = world.up();
  t.same(world.linked, [{ id: OTHER, site: 'harbour', isRelayed: false }]);
  t.equal(world.send(3), true);
  t.equal(link.take(Channel.archive).length, 1);
  link.handlers?.onFrame(Channel.archive, Buffer.from('offer'));
  t.same(world.got, ['09 offer']);
  world.refusal = 'it asks for what is not its own';
  link.handlers?.onFrame(Channel.archive, Buffer.from('evil'));
  t.same(link.closed, ['it asks for what is not its own']);
  t.same(world.unlinked, [OTHER]);
  t.equal(world.send(1), false);
  world.up('relayed');
  t.match(world.linked.at(-1), { isRelayed: true });
});

t.test('a gateway without an archive passes over what others send of theirs', async (t) => {
  const world = await World.begun();
  world.site.node.archive.user = undefined;
  const link = world.up();
  link.handlers?.onFrame(Channel.archive, Buffer.from('offer'));
  t.same(link.closed, []);
  t.equal(world.send(1), false);
});

t.test(
  'frames wait while the link has other things to send, in order, and no more than there is room for',
  async (t) => {
    const world = await World.begun();
    const link = world.up();
    link.queuedBytes = ARCHIVE_LINK_QUEUED_MAX_BYTES + 1;
    for (const bytes of [1, 2, 3]) t.equal(world.send(bytes), true);
    await world.scheduler.advance(200);
    t.equal(link.take(Channel.archive).length, 0);
    t.equal(world.send(ARCHIVE_LANE_MAX_BYTES), false);
    link.queuedBytes = 0;
    link.handlers?.onDrain();
    t.same(
      link.take(Channel.archive).map(({ length }) => length),
      [1, 2, 3],
    );
    link.queuedBytes = ARCHIVE_LINK_QUEUED_MAX_BYTES + 1;
    world.send(4);
    link.queuedBytes = 0;
    await world.scheduler.advance(60);
    t.equal(link.take(Channel.archive).length, 1, 'it is looked at every now and then');
  },
);

t.test('a link that is to be spared carries an archive with what messages leave of its rate', async (t) => {
  const world = await World.begun(80_000);
  const { frameMaxBytes } = world.site.node.archive;
  t.equal(frameMaxBytes, 10_000, 'an eighth of a second');
  const link = world.up();
  for (let n = 0; n < 40; n++) world.send(frameMaxBytes);
  const atOnce = link.take(Channel.archive).length;
  t.equal(atOnce, 5, 'half of a second is left to messages');
  await world.scheduler.advance(2000);
  const after = link.take(Channel.archive).length;
  t.ok(after >= 15 && after <= 17, `${after} in two seconds`);
  t.equal((await World.begun()).site.node.archive.frameMaxBytes, ARCHIVE_FRAME_MAX_BYTES);
  t.equal((await World.begun(100)).site.node.archive.frameMaxBytes, ARCHIVE_FRAME_MIN_BYTES);
});

t.test('an evicted gateway is not served any more', async (t) => {
  const { binding, adminKey } = createMesh((size) => new Uint8Array(size).fill(5));
  const world = await World.begun(0, { roster: new Roster(binding) });
  const link = world.up();
  link.handlers?.onFrame(Channel.archive, Buffer.from('offer'));
  const roster = new Roster(binding);
  world.site.node.takeStatement(encodeEvictions([roster.evict(adminKey, OTHER, 'sold')])[0] as Uint8Array);
  t.same(world.unlinked, [OTHER]);
  t.equal(world.send(1), false);
  link.handlers?.onFrame(Channel.archive, Buffer.from('again'));
  t.equal(world.got.length, 1);
});

t.test('an archive goes through a third gateway, where two have no other way', async (t) => {
  const { scheduler, network, sites } = await mesh([{}, {}, {}]);
  const [mill, , hub] = sites as [Site, Site, Site];
  const timers = {
    after: (delayMs: number, fire: () => void) => {
      let isCancelled = false;
      scheduler.after(delayMs, 'archive', () => {
        if (!isCancelled) fire();
        scheduler.settle();
      });
      return { cancel: () => void (isCancelled = true) };
    },
  };
  const there = new MemoryObjectStore();
  const [ours, theirs] = [mill.node.archive, hub.node.archive];
  const client = new RelayClient(
    {
      ...{ timers, logger: nullLogger, random: () => 0, frameMaxBytes: ours.frameMaxBytes },
      send: (to, frame) => ours.send(to, frame),
    },
    '',
  );
  ours.user = client;
  theirs.user = new RelayServer(
    {
      ...{ clock: scheduler, timers, frameMaxBytes: theirs.frameMaxBytes },
      ask: servedStore(there, (size) => new Uint8Array(size)),
      send: (to, frame) => theirs.send(to, frame),
    },
    { pieceMaxBytes: 1_000_000 },
  );
  network.cut(mill.id, hub.id);
  network.cut(hub.id, mill.id);
  await scheduler.advance(6000);
  const bytes = Buffer.alloc(300_000, 'through another ');
  const key = `manifest/${mill.id}/entries/000000000001.json`;
  const created = new RelayedObjectStore('mesh', client.ask).create(key, bodyOf(bytes));
  await scheduler.advance(5000);
  t.equal(await Promise.race([created, allTurns().then(() => 'not yet')]), true);
  t.ok(bytes.equals(there.objects.get(key) ?? Buffer.alloc(0)));
  t.equal([...mill.node.peers].find(({ gateway }) => gateway === hub.id)?.link?.path, 'relayed');
});
