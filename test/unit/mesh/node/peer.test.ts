/** One gateway, and a test that plays all others: what comes over links when the other side is new, old, wrong or hostile. */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import type { MeshPeer, MeshSelf } from '../../../../lib/contracts/mesh-status.js';
import type { LogFields, Logger } from '../../../../lib/contracts/logger.js';
import { createMesh } from '../../../../mesh/admission/admin-key.js';
import { encodeEvictions, Roster } from '../../../../mesh/admission/roster.js';
import { type GatewayId, gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import { type Epoch, EPOCH_COUNTER_MAX } from '../../../../lib/contracts/epoch.js';
import {
  type SignedCloneReport,
  signedCloneReportOf,
  writeCloneReport,
} from '../../../../mesh/identity/clone-report.js';
import { GatewayKey } from '../../../../mesh/identity/gateway-key.js';
import { signLife } from '../../../../mesh/identity/signed-life.js';
import { decodeInterest, encodeAnswer, encodeUpdate } from '../../../../mesh/interest/interest-frames.js';
import { Channel } from '../../../../mesh/link/peer-link.js';
import { encodeHello, type Hello } from '../../../../mesh/node/hello.js';
import { HELLO_WITHIN_MS, PEERS_MAX_COUNT } from '../../../../mesh/node/limits.js';
import { REBORN, REPLACED, STALLED } from '../../../../mesh/node/link-end.js';
import { decodeStreamFrame } from '../../../../mesh/forward/frames.js';
import { TextCache } from '../../../../mesh/forward/text-cache.js';
import type { MeshNodeOptions } from '../../../../mesh/node/node-options.js';
import type { Peer } from '../../../../mesh/node/peer.js';
import { encodeRun, RUN_MAX_BYTES } from '../../../../mesh/node/runs.js';
import { ByteWriter } from '../../../../mesh/wire/bytes.js';
import { FrameRun } from '../../../../lib/connection/frame-run.js';
import { allTurns, Scheduler } from '../../../sim/scheduler.js';
import { FakeLink, idOf } from './fake-link.js';
import { statusOf } from '../../../../mesh/status.js';
import type { TransportStatus } from '../../../../mesh/transport/index.js';
import type { QoS } from '../../../../lib/protocol/packet.js';
import { Site } from './linked-sites.js';

const OTHER = idOf(9);
const THIRD = idOf(8);
const epoch = (counter: number, digit = 'a') => ({ counter, nonce: digit.repeat(16) });

function helloOf(changes: Partial<Hello> = {}): Uint8Array {
  return encodeHello({
    ...{ version: 1, software: 'test', site: 'other', head: 0, addresses: [], rosterVersion: '' },
    lineage: [{ ...epoch(1), after: 0 }],
    greeting: {
      ...{ covered: undefined, durable: 0, floor: 0, have: [], backfill: undefined },
      ...{ creditBytes: 1 << 20, wholeMaxBytes: 1 << 20 },
    },
    ...{ knownEpoch: undefined, interest: undefined, admin: undefined },
    ...changes,
  });
}

/** What the others want, as a frame. */
function interestOf(...filters: readonly string[]): Uint8Array {
  return interestSince(0, ...filters);
}

/** @param since up to where they have what they wanted before */
function interestSince(since: number, ...filters: readonly string[]): Uint8Array {
  const head = { life: 1, base: undefined, version: 1, since };
  return [
    ...encodeUpdate(
      head,
      filters.map((filter) => [filter, 2] as const),
    ),
  ][0] as Uint8Array;
}

class World {
  readonly scheduler = new Scheduler(allTurns);
  readonly site: Site;
  readonly log: string[] = [];
  readonly stopped: string[] = [];
  readonly bornBeyond: number[] = [];

  constructor(changes: Partial<MeshNodeOptions> = {}) {
    const write = (message: string, fields?: LogFields): void =>
      void this.log.push(`${message} ${JSON.stringify(fields)}`);
    const logger: Logger = {
      ...{ trace: write, debug: write, info: write, warn: write, error: write },
      child: () => logger,
    };
    this.site = new Site(this.scheduler, 1, undefined, {
      logger,
      stopped: (reason) => this.stopped.push(reason),
      bearAnew: (beyond) => this.bornBeyond.push(beyond),
      ...changes,
    });
  }

  static async begun(changes: Partial<MeshNodeOptions> = {}): Promise<World> {
    const world = new World(changes);
    await world.site.open();
    return world;
  }

  peer(id = OTHER): Peer {
    const found = [...this.site.node.peers].find(({ gateway }) => gateway === id);
    if (found === undefined) throw new Error('no such peer');
    return found;
  }

  link(id = OTHER, path: 'tcp' | 'relayed' = 'tcp'): FakeLink {
    const link = new FakeLink(id, path);
    this.site.node.linkUp(link);
    return link;
  }

  /** A link whose other side has said who it is and that it wants everything. */
  up(id = OTHER, hello = helloOf()): FakeLink {
    const link = this.link(id);
    link.handlers?.onFrame(Channel.hello, hello);
    link.handlers?.onFrame(Channel.interest, interestOf('#'));
    return link;
  }
}

t.test(
  'the first frame says who we are, and nothing else is said before the other has said it',
  async (t) => {
    const world = await World.begun();
    const { site, scheduler } = world;
    const link = new FakeLink(OTHER);
    site.node.linkUp(link);
    void site.subscribe('site/#');
    await scheduler.advance(500);
    t.same(
      link.sent.map(([channel]) => channel),
      [Channel.hello],
    );
    t.equal(world.peer().state, 'greeting');
    link.handlers?.onFrame(Channel.hello, helloOf());
    t.equal(world.peer().state, 'telling');
    await scheduler.advance(50);
    t.ok(link.sent.some(([channel]) => channel === Channel.interest));
    link.handlers?.onFrame(Channel.interest, interestOf('#'));
    t.match(world.peer(), { state: 'up', reason: 'by tcp with 192.0.2.7:4430' });
  },
);

t.test(
  'who wants too much is told apart from who has not said yet, and is served once it wants less',
  async (t) => {
    const world = await World.begun();
    const link = world.link();
    link.handlers?.onFrame(Channel.hello, helloOf());
    const told = (): MeshPeer | undefined =>
      statusOf({} as MeshSelf, world.site.node, { peers: [], seeds: [] } as unknown as TransportStatus)
        .peers[0];
    t.match(told(), { state: 'connecting', reason: 'it has not said yet what it wants' });
    const tooMany = Array.from({ length: 100_001 }, (_, n): [string, QoS] => [`t/${n}`, 1]);
    for (const frame of encodeUpdate({ life: 1, base: undefined, version: 1, since: 0 }, tooMany))
      link.handlers?.onFrame(Channel.interest, frame);
    t.match(told(), {
      state: 'down',
      reason: /^it wants more than is taken .* 100000 filters: nothing is sent to it/,
    });
    t.ok(world.log.some((line) => line.startsWith('it wants more than is taken')));
    for (const frame of encodeUpdate({ life: 1, base: undefined, version: 2, since: 0 }, [['#', 2]]))
      link.handlers?.onFrame(Channel.interest, frame);
    t.match(told(), { state: 'up', reason: null });
  },
);

t.test('what another gateway does not take is said where it is wanted', async (t) => {
  const world = await World.begun();
  const link = world.up();
  await world.scheduler.advance(50);
  const told = (): MeshPeer | undefined =>
    statusOf({} as MeshSelf, world.site.node, { peers: [], seeds: [] } as unknown as TransportStatus)
      .peers[0];
  t.match(told(), { state: 'up', reason: null });
  const frames = link.take(Channel.interest).map(decodeInterest);
  const version = frames.find(({ kind }) => kind !== 'answer')?.version ?? -1;
  link.handlers?.onFrame(Channel.interest, encodeAnswer({ version, verdict: 'tooManyFilters', head: 0 }));
  t.match(told(), { state: 'up', reason: /^it does not take what is wanted here, more than 100000 filters/ });
  link.handlers?.onFrame(Channel.interest, encodeAnswer({ version, verdict: 'applied', head: 0 }));
  t.match(told(), { state: 'up', reason: null });
});

t.test('who sends anything before it has said who it is loses its link', async (t) => {
  for (const channel of Object.values(Channel).filter((one) => one !== Channel.hello)) {
    const world = await World.begun();
    const link = world.link();
    link.handlers?.onDatagram(Uint8Array.of(1, 2, 3));
    t.same(link.closed, [], 'a datagram may be there sooner');
    link.handlers?.onDrain();
    link.handlers?.onFrame(channel, interestOf('#'));
    t.same(link.closed, ['it did not say who it is first']);
    t.match(world.peer(), { state: 'apart', reason: 'it did not say who it is first', link: undefined });
  }
});

t.test('a second hello ends the link', async (t) => {
  const world = await World.begun();
  const link = world.up();
  link.handlers?.onFrame(Channel.hello, helloOf());
  t.same(link.closed, ['a second hello']);
});

t.test('who does not say in time who it is loses its link', async (t) => {
  const world = await World.begun();
  const [late, soon] = [world.link(), world.link(THIRD)];
  await world.scheduler.advance(HELLO_WITHIN_MS - 100);
  t.same(late.closed, []);
  soon.handlers?.onFrame(Channel.hello, helloOf());
  await world.scheduler.advance(300);
  t.same(late.closed, ['it did not say who it is in time']);
  t.same(soon.closed, []);
});

t.test(
  'what cannot be read ends the link, on every channel but that of membership, which leaves it out',
  async (t) => {
    const cases: readonly (readonly [Channel, Uint8Array])[] = [
      [Channel.hello, Uint8Array.of(1)],
      [Channel.interest, Uint8Array.of(9)],
      [Channel.forward, Uint8Array.of(99)],
      [Channel.forward, Uint8Array.of(16, 1)],
      [Channel.passing, Uint8Array.of(255)],
      [Channel.retained, Uint8Array.of(255)],
      [Channel.relay, Uint8Array.of(1)],
      [Channel.runs, Uint8Array.of(0, 200)],
      [Channel.runs, encodeRun(false, 'x', Uint8Array.of(0x30, 1))],
      [Channel.roster, Uint8Array.of(9)],
      [Channel.clones, Uint8Array.of(1)],
    ];
    for (const [channel, frame] of cases) {
      const world = await World.begun();
      const link = channel === Channel.hello ? world.link() : world.up();
      link.handlers?.onFrame(channel, frame);
      t.equal(link.closed.length, 1, `channel ${channel}`);
      t.equal(world.peer().state, 'apart');
      t.not(world.peer().reason, '');
    }
  },
);

t.test('whatever a member sends, the gateway goes on', async (t) => {
  const world = await World.begun();
  const noise = fc.tuple(fc.constantFrom(...Object.values(Channel)), fc.uint8Array({ maxLength: 60 }));
  fc.assert(
    fc.property(fc.array(noise, { maxLength: 5 }), fc.uint8Array({ maxLength: 60 }), (frames, datagram) => {
      const link = world.up();
      for (const [channel, frame] of frames) link.handlers?.onFrame(channel, frame);
      link.handlers?.onDatagram(datagram);
    }),
    { numRuns: 300 },
  );
  await world.scheduler.advance(1000);
  t.equal(world.up().closed.length, 0);
  t.same(world.stopped, []);
});

t.test('identities without end are not met without end, and who is known is met again', async (t) => {
  const world = await World.begun();
  const idAt = (n: number): GatewayId => gatewayIdOf(Buffer.alloc(32).fill(`gateway ${n} `));
  for (let n = 0; n < PEERS_MAX_COUNT; n++) world.link(idAt(n)).close('it was seen');
  const stranger = world.link(idAt(PEERS_MAX_COUNT));
  t.match(stranger.closed, [/it knows 4096 gateways, which is the limit/]);
  t.same(world.link(idAt(7)).closed, []);
  t.equal([...world.site.node.peers].length, PEERS_MAX_COUNT);
});

t.test('a channel that a later version may have is skipped', async (t) => {
  const world = await World.begun();
  const link = world.up();
  link.handlers?.onFrame(77 as Channel, Uint8Array.of(1));
  t.same(link.closed, []);
});

t.test(
  'a newer link takes the place of the older one, and nothing of the older is listened to',
  async (t) => {
    const world = await World.begun();
    const old = world.up();
    const { handlers } = old;
    const young = world.link();
    t.same(old.closed, [REPLACED]);
    handlers?.onFrame(Channel.hello, helloOf());
    handlers?.onDatagram(Uint8Array.of(1));
    handlers?.onDrain();
    handlers?.onClose('late');
    t.equal(world.peer().state, 'greeting');
    t.equal(world.peer().link, young);
  },
);

t.test('a way through others is not taken where there is a link, and gives way to one', async (t) => {
  const world = await World.begun();
  const relayed = world.link(OTHER, 'relayed');
  relayed.handlers?.onFrame(Channel.hello, helloOf());
  t.equal(world.peer().direct, undefined);
  const direct = world.up();
  t.same(relayed.closed, [REPLACED]);
  t.equal(world.peer().direct, direct);
  t.same(world.link(OTHER, 'relayed').closed, ['there is a direct link']);
  direct.handlers?.onDrain();
});

t.test('no link is taken to itself, before the mesh has begun, or after its end', async (t) => {
  const early = new World();
  t.same(early.link().closed, ['this gateway is not in the mesh']);
  t.throws(() => early.site.node.membership, /has not begun/);
  t.equal(early.site.node.retainedFloor, 0);
  const world = await World.begun();
  t.same(world.link(world.site.id).closed, ['this is the same gateway']);
  const link = world.up();
  let isAnswered = false;
  world.site.node.whenKnown(() => (isAnswered = true));
  world.site.node.end('over');
  t.ok(isAnswered, 'nobody waits for what does not come any more');
  t.same(link.closed, ['over']);
  t.same(world.link().closed, ['this gateway is not in the mesh']);
});

t.test('a SUBACK that waits before the mesh has begun is answered', async (t) => {
  const world = new World();
  let isAnswered = false;
  world.site.node.whenKnown(() => (isAnswered = true));
  await world.scheduler.advance(400);
  t.ok(isAnswered);
});

t.test('who was evicted is hung up on, with the reason', async (t) => {
  const { adminKey, binding } = createMesh(randomBytes);
  const roster = new Roster(binding);
  roster.evict(adminKey, OTHER, 'stolen in June');
  const world = await World.begun({ roster });
  t.same(world.up().closed, ['evicted: stolen in June']);
});

t.test('an eviction is passed on to all others, and ends the link with the evicted one', async (t) => {
  const { adminKey, binding } = createMesh(randomBytes);
  const wanted: string[][] = [];
  const world = await World.begun({
    roster: new Roster(binding),
    wanted: (ids) => wanted.push([...ids]),
  });
  const { node } = world.site;
  const [evicted, teller, third] = [world.up(), world.up(THIRD), world.up(idOf(7))];
  const frame = encodeEvictions([new Roster(binding).evict(adminKey, OTHER, 'sold')])[0] as Uint8Array;
  for (const link of [teller, third]) link.take(Channel.roster);
  teller.handlers?.onFrame(Channel.roster, frame);
  t.same(evicted.closed, ['it is no member any more']);
  t.same(evicted.take(Channel.roster).at(-1), frame, 'the evicted one is told why');
  t.same(third.take(Channel.roster), [frame]);
  t.same(teller.take(Channel.roster), [], 'not to the one that told it');
  t.notOk([...node.peers].some(({ gateway }) => gateway === OTHER));
  t.notOk(wanted.at(-1)?.includes(OTHER));
  t.notOk(node.takeStatement(frame), 'no news');
  const more = encodeEvictions([new Roster(binding).evict(adminKey, THIRD, '')])[0] as Uint8Array;
  t.ok(node.takeStatement(more));
  t.equal(teller.closed.length, 1);
  t.match(world.log.join('\n'), /a gateway was evicted from the mesh.*sold/);
});

t.test('a gateway that is evicted itself stops, and its clients are served on', async (t) => {
  const { adminKey, binding } = createMesh(randomBytes);
  const world = await World.begun({ roster: new Roster(binding) });
  const link = world.up();
  const frame = encodeEvictions([
    new Roster(binding).evict(adminKey, world.site.id, 'moved'),
  ])[0] as Uint8Array;
  link.handlers?.onFrame(Channel.roster, frame);
  t.match(world.stopped, [/evicted from the mesh \(moved\): its own clients are served on/]);
  t.equal(link.closed.length, 1);
});

t.test('one that is evicted without a reason is not told an empty one', async (t) => {
  const { adminKey, binding } = createMesh(randomBytes);
  const roster = new Roster(binding);
  const world = await World.begun({ roster });
  roster.evict(adminKey, world.site.id, '');
  t.ok(world.site.node.endIfEvicted());
  t.same(world.stopped, ['this gateway was evicted from the mesh: its own clients are served on']);
});

t.test('a gateway that was evicted in an earlier life takes part no more', async (t) => {
  const { adminKey, binding } = createMesh(randomBytes);
  const roster = new Roster(binding);
  const world = await World.begun({ roster });
  t.notOk(world.site.node.endIfEvicted());
  roster.evict(adminKey, world.site.id, 'moved');
  t.ok(world.site.node.endIfEvicted());
  t.match(world.stopped, [/evicted from the mesh \(moved\)/]);
  t.same(world.link().closed, ['this gateway is not in the mesh']);
});

t.test('rosters are told where they differ, and the administrator is learnt from a hello', async (t) => {
  const { adminKey, binding, swarmKey } = createMesh(randomBytes);
  const roster = new Roster(binding);
  roster.evict(adminKey, THIRD, '');
  const knowing = await World.begun({ roster });
  t.equal(knowing.up().take(Channel.roster).length, 1);
  t.equal(knowing.up(OTHER, helloOf({ rosterVersion: roster.version })).take(Channel.roster).length, 0);
  let saved = 0;
  const learning = await World.begun({
    matchesAdmin: (key, salt) => swarmKey.matchesAdmin(key, salt),
    saveRoster: () => saved++,
  });
  learning.up(OTHER, helloOf({ admin: binding }));
  t.same(learning.site.node.admission.admin, binding);
  t.equal(saved, 1);
});

t.test('a gateway of which others know a later life begins one that is later still', async (t) => {
  const world = await World.begun();
  const knows = (counter: number): Uint8Array => {
    const { greeting, ...rest } = {
      greeting: { covered: 5, durable: 5, floor: 5 },
      knownEpoch: epoch(counter, 'f'),
    };
    return helloOf({
      ...rest,
      greeting: { ...greeting, have: [], backfill: undefined, creditBytes: 1, wholeMaxBytes: 1 },
    });
  };
  world.up(OTHER, knows(EPOCH_COUNTER_MAX + 1));
  await world.scheduler.advance(1);
  t.same(world.bornBeyond, [], 'a counter that no gateway ever reaches is a lie');
  const first = world.up(OTHER, knows(7));
  const second = world.up(THIRD, knows(9));
  await world.scheduler.advance(1);
  t.same(world.bornBeyond, [7], 'one at a time');
  t.same([...first.closed, ...second.closed, ...world.link().closed], Array<string>(3).fill(REBORN));
  const begin = (counter: number): void =>
    world.site.node.begin([
      { counter: 1, nonce: '1'.padStart(16, '0'), after: 0 },
      { ...epoch(counter), after: 0 },
    ]);
  begin(8);
  t.equal(world.site.node.epoch.counter, 8);
  const said = (): string[] =>
    world.log.filter((line) => line.includes('this gateway was put back to an old copy'));
  t.equal(said().length, 1, 'before the next life begins: the others may see nothing wrong with that one');
  world.up(OTHER, knows(7));
  t.equal(said().length, 1, 'and not again');
  t.equal(world.peer().state, 'up');
  world.up(THIRD, knows(9));
  await world.scheduler.advance(1);
  t.same(world.bornBeyond, [7, 9]);
  t.equal(world.peer().state, 'apart', 'nothing leaves that the next life would have');
  begin(10);
  t.same(world.up().closed, []);
});

t.test(
  'another gateway that was put back is noticed, and its stream goes on where its log ends',
  async (t) => {
    const world = await World.begun();
    world.up(
      OTHER,
      helloOf({
        head: 50,
        lineage: [
          { ...epoch(1), after: 0 },
          { ...epoch(2), after: 20 },
        ],
      }),
    );
    world.peer().receiver.restore({ origin: OTHER, epoch: epoch(2), covered: 50, have: [] });
    world.up(
      OTHER,
      helloOf({
        head: 30,
        lineage: [
          { ...epoch(1), after: 0 },
          { ...epoch(3, 'b'), after: 25 },
        ],
      }),
    );
    t.match(world.log.join('\n'), /was put back to an old copy of its data folder/);
    t.ok(world.peer().receiver.status.covered < 50);
  },
);

t.test(
  'a peer that has found since its greeting that less of what it has is in the log gets the rest of it',
  async (t) => {
    const world = await World.begun();
    const { site, scheduler } = world;
    for (let n = 0; n < 9; n++) site.publish('site/x', `${n}`);
    await scheduler.advance(100);
    const has = {
      ...{ covered: 5, durable: 5, floor: 5, have: [8], backfill: undefined },
      ...{ creditBytes: 1 << 20, wholeMaxBytes: 1 << 20 },
    };
    const begun = async (since: number): Promise<ReturnType<typeof decodeStreamFrame> | undefined> => {
      const link = world.link();
      link.handlers?.onFrame(Channel.hello, helloOf({ knownEpoch: site.node.epoch, greeting: has }));
      link.handlers?.onFrame(Channel.interest, interestSince(since, '#'));
      await scheduler.advance(10);
      const [first] = link.take(Channel.forward);
      return first === undefined ? undefined : decodeStreamFrame(first, 0, new TextCache(8));
    };
    t.match(await begun(5), { from: 5, rolledBackTo: 0 });
    t.match(await begun(3), { from: 3, rolledBackTo: 4 }, 'one more than where the two part');
  },
);

t.test(
  'two machines with one identity: others are told, and this gateway stops where it is meant',
  async (t) => {
    const [own, copied] = [new GatewayKey(randomBytes(32)), new GatewayKey(randomBytes(32))];
    const world = await World.begun({ self: own.id });
    const [teller, third] = [world.up(), world.up(THIRD)];
    const reportOf = (key: GatewayKey, left: Epoch, right: Epoch, by = key): SignedCloneReport =>
      signedCloneReportOf(key.id, signLife(by, left), signLife(key, right));
    const tell = (report: SignedCloneReport): void => {
      const writer = new ByteWriter(320);
      writeCloneReport(writer, report);
      teller.handlers?.onFrame(Channel.clones, writer.text('192.0.2.1:1').finish());
    };
    third.take(Channel.clones);
    tell(reportOf(copied, epoch(3), epoch(4, 'b')));
    tell(reportOf(copied, epoch(3), epoch(4, 'b')));
    t.equal(third.take(Channel.clones).length, 1, 'passed on once');
    t.match(world.log.join('\n'), /two machines use the identity of one gateway/);
    tell(reportOf(own, epoch(3), epoch(4, 'b')));
    t.same(world.stopped, [], 'of two other lives: it was started anew since');
    const { epoch: present } = world.site.node;
    third.take(Channel.clones);
    tell(reportOf(own, present, epoch(9, 'c'), copied));
    t.same([world.stopped, third.take(Channel.clones)], [[], []], 'what it did not sign is nothing');
    for (let n = 0; n < 100; n++) tell(reportOf(copied, epoch(n + 10), epoch(n + 11, 'b')));
    t.ok(third.take(Channel.clones).length < 20, 'of one gateway not without end');
    t.same(teller.closed, []);
    tell(reportOf(own, present, epoch(9, 'c')));
    t.match(world.stopped, [/is also used by another machine \(192\.0\.2\.1:1\)/]);
    world.site.node.sawTwins(reportOf(own, present, epoch(10, 'c')), '192.0.2.2:2');
    t.equal(world.stopped.length, 1);
  },
);

t.test(
  'a peer that takes messages and acknowledges none loses its link and is called stalled until it is back',
  async (t) => {
    const world = await World.begun();
    const link = world.up();
    world.site.publish('site/x', 'one');
    await world.scheduler.advance(7000);
    t.same(link.closed, [STALLED]);
    t.equal(world.peer().isStalled, true);
    world.up();
    t.equal(world.peer().isStalled, false);
  },
);

t.test('what was sent of QoS 0 is counted over all links, and what was not, by its reason', async (t) => {
  const world = await World.begun();
  const { site, scheduler } = world;
  const publish = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++) site.publish('site/x', 'x', 0);
    await scheduler.advance(10);
  };
  const link = world.up();
  await publish(3);
  t.match(world.peer().passing.counts, { sent: 3, slowLink: 0, linkDown: 0 });
  link.queuedBytes = 1 << 21;
  await publish(2);
  t.match(world.peer().passing.counts, { sent: 3, slowLink: 2 });
  link.close('cut');
  t.match(
    world.peer().passing.counts,
    { sent: 3, slowLink: 2, linkDown: 0 },
    'the end of a link takes nothing back',
  );
  await publish(4);
  t.match(world.peer().passing.counts, { sent: 3, slowLink: 2, linkDown: 4 });
  world.up();
  await publish(1);
  t.match(world.peer().passing.counts, { sent: 4, slowLink: 2, linkDown: 4 });
});

/** PUBLISH packets of MQTT 3.1.1 with QoS 0. */
function framesOf(topic: string, payload: string, count: number): Uint8Array {
  const body = Buffer.concat([Buffer.from([0, topic.length]), Buffer.from(topic + payload)]);
  return Buffer.concat(
    Array.from({ length: count }, () => Buffer.concat([Buffer.from([0x30, body.length]), body])),
  );
}

t.test('each message of a run counts, on both sides', async (t) => {
  const world = await World.begun();
  const { site } = world;
  const link = world.up();
  void site.subscribe('site/#');
  const frames = framesOf('site/x', 'hello', 5);
  link.handlers?.onFrame(Channel.runs, encodeRun(false, 'pump', frames));
  t.equal(world.peer().passing.receivedCount, 5);
  t.same(
    site.got,
    Array.from({ length: 5 }, () => 'site/x hello'),
  );

  const route = site.lanes.router.resolve('site/x');
  const run = (count: number): FrameRun =>
    new FrameRun(framesOf('site/x', 'hello', count), count, 15, false, route, 'pump');
  const targets = [{ gateway: OTHER, qos: 0 as const }];
  link.take(Channel.runs);
  site.node.forwardRun(run(3), route.bytes, [...targets, { gateway: THIRD, qos: 0 }]);
  t.same(link.take(Channel.runs), [encodeRun(false, 'pump', framesOf('site/x', 'hello', 3))]);
  t.equal(world.peer().passing.counts.sent, 3);
  link.queuedBytes = 1 << 21;
  site.node.forwardRun(run(2), route.bytes, targets);
  t.match(world.peer().passing.counts, { sent: 3, slowLink: 2 });
  link.close('cut');
  site.node.forwardRun(run(2), route.bytes, targets);
  t.match(world.peer().passing.counts, { sent: 3, slowLink: 2, linkDown: 2 });
});

t.test('a run that is too large for a frame goes message by message', async (t) => {
  const world = await World.begun();
  const { site } = world;
  const link = world.up();
  const count = Math.ceil(RUN_MAX_BYTES / 110) + 1;
  const frames = framesOf('site/x', 'y'.repeat(100), count);
  const route = site.lanes.router.resolve('site/x');
  site.node.forwardRun(new FrameRun(frames, count, 110, false, route, 'pump'), route.bytes, [
    { gateway: OTHER, qos: 0 },
  ]);
  await world.scheduler.advance(1);
  t.equal(link.take(Channel.runs).length, 0);
  t.equal(world.peer().passing.counts.sent, count);
});

t.test('what is not to be exported, and what the gateway says of itself, stays at home', async (t) => {
  const world = await World.begun({ exportFilters: ['public/#'] });
  const { node } = world.site;
  world.up();
  t.same(node.targets('$SYS/x'), []);
  t.same(node.targets('private/x'), []);
  t.match(node.targets('public/x'), [{ gateway: OTHER, qos: 2 }]);
  world.site.publish('private/x', 'secret', 1, true);
  world.site.publish('private/x', 'secret', 0);
  await world.scheduler.advance(100);
  t.equal(world.peer().passing.counts.sent, 0);
  t.equal(world.peer().sender?.status.pendingMessages, 0);
});
