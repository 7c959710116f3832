import t from 'tap';
import { Lanes } from '../../../../lib/broker/lanes.js';
import { type GatewayId, gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import { createMessage, type Message } from '../../../../lib/message/message.js';
import { Listener } from '../../../../lib/routing/subscription.js';
import { REPLACED } from '../../../../mesh/node/link-end.js';
import { Channel } from '../../../../mesh/link/peer-link.js';
import { MeshNode } from '../../../../mesh/node/mesh-node.js';
import { FrameKind } from '../../../../mesh/retained/retained-frames.js';
import type { DiskStore } from '../../../../storage/disk/disk-store.js';
import { BASE_LIMITS } from '../../../sim/plan.js';
import { MeshNetwork } from '../../../sim/mesh/network.js';
import { Random } from '../../../sim/random.js';
import { allTurns, Scheduler } from '../../../sim/scheduler.js';
import { testStore, type TestStoreParts, testStoreParts } from '../../../support/disk-store.js';
import { nullLogger } from '../../../support/null-logger.js';

const OPTIONS = {
  ...{ latencyMaxMs: 2, lossShare: 0, doubleShare: 0, noticeMaxMs: 100, dialMaxMs: 20, windowBytes: 65_536 },
};

class Site {
  readonly id: GatewayId;
  readonly store: DiskStore;
  readonly lanes: Lanes;
  readonly node: MeshNode;
  readonly got: string[] = [];
  /** Frames with retained messages, beside the streams. */
  comparedFrames = 0;

  constructor(
    scheduler: Scheduler,
    readonly number: number,
    parts: TestStoreParts = testStoreParts(),
    isArchived?: (topic: string) => boolean,
  ) {
    this.id = gatewayIdOf(new Uint8Array(32).fill(number));
    const schedule = (run: () => void): void =>
      scheduler.after(0, 'turn', () => {
        run();
        scheduler.settle();
      });
    this.store = testStore(parts, { schedule });
    this.lanes = new Lanes({
      ...{ clock: scheduler, logger: nullLogger, store: this.store, limits: BASE_LIMITS, schedule },
      authenticator: { authenticate: () => Promise.reject(new Error('nobody connects')) } as never,
      authorizer: { version: 0, canPublish: () => true, canSubscribe: () => 'all', canReceive: () => true },
      assignClientId: () => 'x',
      isAssignedClientId: () => false,
      random: () => 0.5,
      isArchived,
    });
    this.node = new MeshNode({
      ...{ self: this.id, site: `site ${number}`, software: 'test', lineage: [], clock: scheduler },
      ...{ logger: nullLogger, store: this.store, host: this.lanes.createMeshHost(), schedule },
      ...{ random: () => 0.5, wanted: () => undefined },
      timers: {
        after: (delayMs, fire) => {
          let cancelled = false;
          scheduler.after(delayMs, 'timer', () => {
            if (cancelled) return;
            fire();
            scheduler.settle();
          });
          return { cancel: () => (cancelled = true) };
        },
      },
      limits: {
        linkMaxBytesPerSecond: 0,
        maxQueuedPassingBytes: 1 << 20,
        tombstoneMinAgeMs: 0,
        interestWaitMs: 250,
        relay: true,
      },
      importFilters: ['#'],
      exportFilters: ['#'],
      addresses: () => [],
      ...{ lineages: new Map(), saveLineages: () => undefined, roster: undefined, matchesAdmin: () => true },
      ...{ saveRoster: () => undefined, bearAnew: () => undefined, stopped: () => undefined },
    });
    this.lanes.useMesh(this.node);
  }

  async open(): Promise<void> {
    await this.store.open(this.lanes.createRestoration(), this.node);
    const nonce = String(this.number).padStart(16, '0');
    this.node.begin([{ counter: 1, nonce, after: 0 }]);
  }

  linkUp(link: Parameters<MeshNode['linkUp']>[0]): void {
    const send = link.send.bind(link);
    link.send = (channel, frame) => {
      if (channel === Channel.retained && frame[0] === FrameKind.entries) this.comparedFrames++;
      return send(channel, frame);
    };
    this.node.linkUp(link);
  }

  subscribe(filter: string): Promise<void> {
    const deliver = ({ topic, payload }: Message): void =>
      void this.got.push(`${topic} ${Buffer.from(payload).toString()}`);
    this.lanes.router.addListener(new Listener<Message>(filter, deliver));
    return new Promise((resolve) => this.node.whenKnown(resolve));
  }

  /** With QoS 0. */
  publishForClient(topic: string, text: string): void {
    const topicBytes = this.lanes.router.resolve(topic).bytes;
    const payload = Buffer.from(text);
    this.lanes.ingest.publishForDoor(
      createMessage({ topic, topicBytes, payload, qos: 0, retain: false }),
      () => undefined,
    );
  }

  publish(topic: string, text: string, qos: 0 | 1 | 2 = 1, retain = false): void {
    const topicBytes = this.lanes.router.resolve(topic).bytes;
    const payload = Buffer.from(text);
    this.lanes.ingest.publishOwn(createMessage({ topic, topicBytes, payload, qos, retain }), undefined);
  }
}

async function mesh(count: number): Promise<{ scheduler: Scheduler; network: MeshNetwork; sites: Site[] }> {
  const scheduler = new Scheduler(allTurns);
  const network = new MeshNetwork(scheduler, new Random(1, 'network'), OPTIONS);
  const sites = Array.from({ length: count }, (_, n) => new Site(scheduler, n + 1));
  for (const site of sites) await site.open();
  for (const site of sites) network.start(site);
  await scheduler.advance(500);
  return { scheduler, network, sites };
}

t.test('what is published at one gateway reaches subscribers of another, once and in order', async (t) => {
  const { scheduler, sites } = await mesh(3);
  const [a, b, c] = sites as [Site, Site, Site];
  void b.subscribe('site/#');
  void c.subscribe('other/#');
  await scheduler.advance(300);
  for (let n = 0; n < 20; n++) a.publish('site/x', `${n}`, n % 2 === 0 ? 1 : 2);
  a.publish('site/x', 'passing', 0);
  a.publish('$SYS/x', 'never', 1);
  await scheduler.advance(1000);
  t.same(
    b.got.filter((line) => !line.endsWith('passing')),
    Array.from({ length: 20 }, (_, n) => `site/x ${n}`),
  );
  t.equal(b.got.length, 21);
  t.same(c.got, []);
  for (const { node } of sites) t.equal(node.membership.presentCount, 3);
});

t.test('what is logged for the archive goes to others as ever: at once, and not once more', async (t) => {
  const scheduler = new Scheduler(allTurns);
  const network = new MeshNetwork(scheduler, new Random(1, 'network'), OPTIONS);
  const [a, b] = [1, 2].map((n) => new Site(scheduler, n, testStoreParts(), () => true)) as [Site, Site];
  for (const site of [a, b]) await site.open();
  for (const site of [a, b]) network.start(site);
  await scheduler.advance(500);
  void b.subscribe('site/#');
  await scheduler.advance(300);
  const passed = ({ store }: Site): Promise<number> =>
    new Promise((resolve) =>
      store.readOwn(1, 1 << 20, ({ messages }) => resolve(messages.filter(({ qos }) => qos === 0).length), {
        passed: true,
      }),
    );
  const pass = async (from: number, to: number): Promise<void> => {
    for (let n = from; n < to; n++) a.publishForClient('site/x', `passing ${n}`);
    a.store.log.hurry();
    await scheduler.advance(2000);
  };
  const before = b.store.committed;
  await pass(0, 10);
  t.equal(await passed(a), 10);
  t.equal(await passed(b), 0, 'what another gateway took in that one archives');
  t.equal(b.store.log.position, before, 'nor is it told how far the log has come');
  // While they are apart, and when they read from the log what the other missed.
  network.cut(a.id, b.id);
  network.cut(b.id, a.id);
  await scheduler.advance(6000);
  await pass(10, 20);
  a.publish('site/x', 'acknowledged');
  await pass(20, 30);
  network.heal();
  await scheduler.advance(3000);
  t.same(b.got, [...Array.from({ length: 10 }, (_, n) => `site/x passing ${n}`), 'site/x acknowledged']);
  t.equal(await passed(a), 30);
  // A gateway that only passes messages on for the archive does not hold its log for others.
  await pass(30, 10_000);
  const floor = a.store.floors.get(`peer/${b.id}`) ?? 0;
  t.ok(a.store.committed - floor < 5000, `the log is held from ${floor} of ${a.store.committed}`);
});

t.test('what is retained is known everywhere, whoever wants it, and so is its removal', async (t) => {
  const { scheduler, sites } = await mesh(3);
  const [a, b, c] = sites as [Site, Site, Site];
  const retained = ({ lanes }: Site, topic: string): string | undefined => {
    const message = lanes.env.store.retained.get(topic);
    return message === undefined ? undefined : Buffer.from(message.payload).toString();
  };
  void c.subscribe('state/#');
  await scheduler.advance(300);
  a.publish('state/x', 'one', 1, true);
  a.publish('state/y', 'zero', 0, true);
  await scheduler.advance(300);
  for (const site of sites) t.same([retained(site, 'state/x'), retained(site, 'state/y')], ['one', 'zero']);
  b.publish('state/x', 'two', 1, true);
  c.publish('state/y', '', 0, true);
  await scheduler.advance(300);
  for (const site of sites)
    t.same([retained(site, 'state/x'), retained(site, 'state/y')], ['two', undefined]);
  t.same(c.got, ['state/x one', 'state/y zero', 'state/y ', 'state/x two']);
});

t.test('subscribers elsewhere get a removal where nothing is retained, with QoS 0 as well', async (t) => {
  const { scheduler, sites } = await mesh(2);
  const [a, b] = sites as [Site, Site];
  void b.subscribe('state/#');
  await scheduler.advance(300);
  a.publish('state/x', '', 0, true);
  a.publish('state/y', '', 1, true);
  await scheduler.advance(300);
  t.same(b.got.toSorted(), ['state/x ', 'state/y ']);
});

t.test(
  'a removal where nothing is retained stands at its own gateway as it does at the others',
  async (t) => {
    const { scheduler, sites } = await mesh(2);
    const [a, b] = sites as [Site, Site];
    for (const isFirst of [true, false]) {
      const topic = isFirst ? 'never' : 'removed';
      if (!isFirst) {
        a.publish(topic, 'once', 1, true);
        await scheduler.advance(300);
        b.publish(topic, '', 1, true);
        await scheduler.advance(300);
      }
      // Both are the next version; b is the higher gateway.
      a.publish(topic, 'at a', 1, true);
      b.publish(topic, '', 1, true);
      await scheduler.advance(300);
      for (const { lanes, number } of sites)
        t.equal(lanes.env.store.retained.get(topic), undefined, `${topic} at ${number}`);
    }
  },
);

t.test('two that cannot reach each other go through a third, until they can', async (t) => {
  const { scheduler, network, sites } = await mesh(3);
  const [a, b, c] = sites as [Site, Site, Site];
  void c.subscribe('site/#');
  await scheduler.advance(300);
  network.cut(a.id, c.id);
  network.cut(c.id, a.id);
  a.publish('site/x', 'while it is cut');
  await scheduler.advance(6000);
  const pathOf = (site: Site, id: GatewayId): string | undefined =>
    [...site.node.peers].find(({ gateway }) => gateway === id)?.link?.path;
  t.equal(pathOf(a, c.id), 'relayed');
  t.equal(pathOf(c, a.id), 'relayed');
  a.publish('site/x', 'through another');
  a.publish('site/x', 'passing', 0);
  await scheduler.advance(500);
  t.same(
    c.got.filter((line) => line !== 'site/x passing'),
    ['site/x while it is cut', 'site/x through another'],
  );
  t.same(b.got, []);
  for (const { node } of sites) t.equal(node.membership.presentCount, 3);
  network.heal();
  await scheduler.advance(1000);
  t.equal(pathOf(a, c.id), 'tcp');
  t.equal(pathOf(c, a.id), 'tcp');
  a.publish('site/x', 'direct');
  await scheduler.advance(500);
  t.equal(c.got.at(-1), 'site/x direct');
  t.equal(c.got.length, 4);
  // And where the one in the middle goes, so does the way.
  network.cut(a.id, c.id);
  network.cut(c.id, a.id);
  await scheduler.advance(6000);
  t.equal(pathOf(a, c.id), 'relayed');
  network.stop(b.id);
  b.node.end('killed');
  await scheduler.advance(3000);
  t.equal(pathOf(a, c.id), undefined);
});

t.test('after a partition all retain the same, and every subscriber has seen what stands', async (t) => {
  const { scheduler, network, sites } = await mesh(3);
  const [a, b, c] = sites as [Site, Site, Site];
  const retained = ({ lanes }: Site): Record<string, string> => {
    const all: Record<string, string> = {};
    lanes.env.store.retained.forEach(({ topic, payload }) => (all[topic] = Buffer.from(payload).toString()));
    return all;
  };
  for (const site of sites) void site.subscribe('state/#');
  await scheduler.advance(300);
  for (const topic of ['x', 'y', 'z']) a.publish(`state/${topic}`, 'before', 1, true);
  await scheduler.advance(500);
  for (const [from, to] of [
    [a, b],
    [a, c],
  ] as const) {
    network.cut(from.id, to.id);
    network.cut(to.id, from.id);
  }
  await scheduler.advance(300);
  a.publish('state/x', 'at a', 1, true);
  b.publish('state/x', 'at b', 1, true);
  b.publish('state/x', 'at b again', 1, true);
  a.publish('state/y', '', 1, true);
  c.publish('state/z', '', 1, true);
  a.publish('state/new', 'at a', 0, true);
  await scheduler.advance(2000);
  network.heal();
  await scheduler.advance(3000);
  for (const site of sites) t.same(retained(site), { 'state/x': 'at b again', 'state/new': 'at a' });
  for (const site of sites) {
    t.equal(site.got.filter((line) => line.startsWith('state/x')).at(-1), 'state/x at b again');
    t.equal(site.got.filter((line) => line === 'state/x at b again').length, 1);
    t.equal(site.got.filter((line) => line.startsWith('state/y')).at(-1), 'state/y ');
  }
});

t.test(
  'after a partition the streams bring what was retained meanwhile, and nothing crosses twice',
  async (t) => {
    const { scheduler, network, sites } = await mesh(2);
    const [a, b] = sites as [Site, Site];
    network.cut(a.id, b.id);
    network.cut(b.id, a.id);
    await scheduler.advance(300);
    // So much that the streams take longer than a comparison.
    const text = 'x'.repeat(2000);
    for (let n = 0; n < 200; n++) {
      a.publish(`a/${n}`, text, 1, true);
      b.publish(`b/${n}`, text, 1, true);
    }
    await scheduler.advance(2000);
    network.heal();
    await scheduler.advance(3000);
    for (const { lanes, comparedFrames } of sites) {
      t.equal(lanes.env.store.retained.get('a/199') === undefined, false);
      t.equal(lanes.env.store.retained.get('b/199') === undefined, false);
      t.equal(comparedFrames, 0);
    }
  },
);

t.test(
  'clients subscribe while gateways greet each other, and nobody is sent what it has not asked for',
  async (t) => {
    const scheduler = new Scheduler(allTurns);
    const network = new MeshNetwork(scheduler, new Random(1, 'network'), { ...OPTIONS, latencyMaxMs: 20 });
    const closed: string[] = [];
    network.onClose = (_from, _to, reason) => closed.push(reason);
    const [a, b] = [new Site(scheduler, 1), new Site(scheduler, 2)];
    for (const site of [a, b]) await site.open();
    for (const site of [a, b]) network.start(site);
    for (let n = 0; n < 200; n++) {
      void a.subscribe(`site/${n}`);
      b.publish(`site/${n}`, 'x');
      await scheduler.advance(1);
      if (n % 50 === 49) network.flap(a.id, b.id);
    }
    await scheduler.advance(3000);
    t.same(
      closed.filter((reason) => reason !== REPLACED),
      [],
    );
  },
);

t.test('after a kill nothing of the log goes that another gateway has not said it has', async (t) => {
  const scheduler = new Scheduler(allTurns);
  const network = new MeshNetwork(scheduler, new Random(1, 'network'), OPTIONS);
  const parts = testStoreParts();
  const [a, b] = [new Site(scheduler, 1, parts), new Site(scheduler, 2)];
  for (const site of [a, b]) await site.open();
  for (const site of [a, b]) network.start(site);
  await scheduler.advance(500);
  t.ok(a.store.floors.has(`peer/${b.id}`));
  network.stop(a.id);
  const again = new Site(scheduler, 1, parts);
  await again.open();
  t.equal(again.store.floors.get(`peer/${b.id}`), 0, 'no checkpoint had written it down');
});

t.test('after a partition nothing that was retained meanwhile is skipped by who is subscribed', async (t) => {
  const { scheduler, network, sites } = await mesh(2);
  const [a, b] = sites as [Site, Site];
  void b.subscribe('state/#');
  await scheduler.advance(300);
  network.cut(a.id, b.id);
  network.cut(b.id, a.id);
  await scheduler.advance(3000);
  const filler = 'x'.repeat(2000);
  // So much that what is compared is there before the end of the stream.
  for (let n = 0; n < 500; n++) a.publish(`state/${n % 50}`, `${n} ${filler}`, 1, true);
  await scheduler.advance(500);
  network.heal();
  await scheduler.advance(20_000);
  const numbers = b.got.map((line) => Number(line.split(' ')[1]));
  t.equal(numbers.length, 500);
  t.same(
    numbers.toSorted((x, y) => x - y),
    Array.from({ length: 500 }, (_, n) => n),
  );
});
