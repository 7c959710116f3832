import t from 'tap';
import type { GatewayId } from '../../../../lib/contracts/gateway-id.js';
import { mesh, type Site } from './site.js';

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
