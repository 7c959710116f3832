/** What import and export filters keep in and out: also of what is retained, which goes to everybody. */
import t from 'tap';
import { encodeRun } from '../../../../mesh/node/runs.js';
import type { MeshNodeOptions } from '../../../../mesh/node/node-options.js';
import { Channel } from '../../../../mesh/link/peer-link.js';
import { MeshNetwork } from '../../../sim/mesh/network.js';
import { Random } from '../../../sim/random.js';
import { allTurns, Scheduler } from '../../../sim/scheduler.js';
import { publish as publishFrame } from '../../../support/wire.js';
import { NETWORK, Site } from './linked-sites.js';

type Filters = Partial<Pick<MeshNodeOptions, 'importFilters' | 'exportFilters'>>;

class World {
  readonly scheduler = new Scheduler(allTurns);
  readonly network = new MeshNetwork(this.scheduler, new Random(1, 'network'), NETWORK);
  readonly sites: Site[] = [];

  static async open(...filters: readonly Filters[]): Promise<World> {
    const world = new World();
    for (const [n, changes] of filters.entries()) {
      const site = new Site(world.scheduler, n + 1, undefined, changes);
      await site.open();
      world.sites.push(site);
      void site.subscribe('#');
    }
    return world;
  }

  async meet(): Promise<void> {
    for (const site of this.sites) this.network.start(site);
    await this.scheduler.advance(500);
  }

  /** What each retains under the topic. */
  retained(topic: string): (string | undefined)[] {
    return this.sites.map(({ lanes }) => {
      const message = lanes.env.store.retained.get(topic);
      return message === undefined ? undefined : Buffer.from(message.payload).toString();
    });
  }
}

t.test('what is not exported stays at home, retained or not, before others are met and after', async (t) => {
  const world = await World.open({ exportFilters: ['public/#'] }, {});
  const [a, b] = world.sites as [Site, Site];
  a.publish('private/x', 'secret', 1, true);
  a.publish('public/x', 'open', 1, true);
  await world.scheduler.advance(100);
  await world.meet();
  a.publish('private/y', 'secret', 1, true);
  a.publish('private/z', 'secret', 0, true);
  a.publish('private/q', 'secret', 1);
  await world.scheduler.advance(120_000);
  t.same(world.retained('public/x'), ['open', 'open']);
  for (const topic of ['private/x', 'private/y', 'private/z'])
    t.same(world.retained(topic), ['secret', undefined]);
  t.same(b.got, ['public/x open']);
});

t.test('what is not exported stays at home also in the backlog of a gateway that was away', async (t) => {
  const world = await World.open({ exportFilters: ['public/#'] }, {});
  const [a, b] = world.sites as [Site, Site];
  await world.meet();
  world.network.stop(b.id);
  await world.scheduler.advance(3000);
  for (const topic of ['private/x', '$x', 'public/x'])
    for (const retain of [false, true]) a.publish(topic, retain ? 'retained' : 'once', 1, retain);
  a.publish('private/x', '', 1, true);
  a.publish('public/y', 'last', 1);
  await world.scheduler.advance(100);
  const upTo = a.store.committed;
  const sent: string[] = [];
  const took = b.node.took.bind(b.node);
  b.node.took = (message) => {
    sent.push(message.topic);
    return took(message);
  };
  world.network.start(b);
  await world.scheduler.advance(3000);
  t.same(sent, ['public/x', 'public/x', 'public/y']);
  t.same(b.got, ['public/x once', 'public/x retained', 'public/y last']);
  const [atB] = b.node.peers;
  t.ok((atB?.receiver.status.covered ?? 0) >= upTo, 'the rest counts as had');
});

t.test('a removal of what is not exported stays at home like the message', async (t) => {
  const world = await World.open({ exportFilters: ['public/#'] }, {});
  const [a, b] = world.sites as [Site, Site];
  await world.meet();
  a.publish('private/x', 'secret', 1, true);
  a.publish('private/x', '', 1, true);
  await world.scheduler.advance(1000);
  t.same(world.retained('private/x'), [undefined, undefined]);
  t.equal(b.lanes.env.store.retained.tombstone('private/x'), undefined);
});

t.test('a newer message that is not exported stands against an older one of another gateway', async (t) => {
  const world = await World.open({ exportFilters: ['public/#'] }, {});
  const [a, b] = world.sites as [Site, Site];
  a.publish('private/x', 'one', 1, true);
  await world.scheduler.advance(100);
  a.publish('private/x', 'two', 1, true);
  b.publish('private/x', 'of b', 1, true);
  await world.scheduler.advance(100);
  await world.meet();
  await world.scheduler.advance(120_000);
  t.same(world.retained('private/x'), ['two', 'of b']);
  for (const text of ['again', 'and again', 'at last']) {
    b.publish('private/x', `of b, ${text}`, 1, true);
    await world.scheduler.advance(100);
  }
  await world.scheduler.advance(1000);
  t.same(world.retained('private/x'), ['of b, at last', 'of b, at last']);
  a.publish('private/x', 'three', 1, true);
  await world.scheduler.advance(120_000);
  t.same(world.retained('private/x'), ['three', 'of b, at last']);
});

t.test(
  'what is not imported does not come in, retained or not, before others are met and after',
  async (t) => {
    const world = await World.open({ importFilters: ['public/#'] }, {});
    const [a, b] = world.sites as [Site, Site];
    b.publish('private/x', 'noise', 1, true);
    b.publish('public/x', 'wanted', 1, true);
    await world.scheduler.advance(100);
    await world.meet();
    b.publish('private/y', 'noise', 1, true);
    b.publish('private/q', 'noise', 1);
    b.publish('public/y', 'wanted', 1);
    await world.scheduler.advance(120_000);
    t.same(world.retained('public/x'), ['wanted', 'wanted']);
    for (const topic of ['private/x', 'private/y']) t.same(world.retained(topic), [undefined, 'noise']);
    t.same(a.got, ['public/x wanted', 'public/y wanted']);
  },
);

t.test('what a member sends without being asked is had, and goes to no client', async (t) => {
  const world = await World.open({}, { importFilters: ['public/#'] }, {});
  const [a, b, c] = world.sites as [Site, Site, Site];
  void b.subscribe('$SYS/#');
  await world.meet();
  const toB = [...a.node.peers].find(({ gateway }) => gateway === b.id);
  // It sends everything with QoS 1 and 2, whatever was asked for.
  a.node.targets = () => [b, c].map(({ id }) => ({ gateway: id, qos: 2 }));
  for (const topic of ['private/x', 'public/x'])
    for (const qos of [0, 1, 2] as const) a.publish(topic, `QoS ${qos}`, qos);
  for (const topic of ['private/x', '$SYS/broker/uptime', 'public/y']) {
    const payload = 'of a run';
    const frames = publishFrame({ version: 4, topic, payload });
    toB?.link?.send(Channel.runs, encodeRun(false, 'p', Buffer.concat([frames, frames])));
  }
  await world.scheduler.advance(1000);
  const came = [
    ...['public/y of a run', 'public/y of a run'],
    ...['public/x QoS 0', 'public/x QoS 1', 'public/x QoS 2'],
  ];
  t.same([...b.got].sort(), came.sort());
  const [atB, atC] = [b, c].map(({ node }) => [...node.peers].find(({ gateway }) => gateway === a.id));
  t.equal(c.got.length, 6, 'who lets it in gets it');
  t.equal(atB?.isReachable, true);
  t.equal(atB?.passing.receivedCount, 8);
  t.equal(atB?.receiver.durable, atC?.receiver.durable, 'nothing of it is asked for again');
  const [keptForB, keptForC] = [b, c].map(({ id }) => a.store.floors.get(`peer/${id}`) ?? 0);
  t.ok(keptForB === keptForC && keptForB !== undefined && keptForB > 4, 'nothing of it is kept');
});
