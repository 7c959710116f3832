/** What a node makes of what it hears of members: who is to have a link, and where it is reached. */
import t from 'tap';
import { mesh, type Site } from './site.js';

t.test('every member but this gateway and those that have left is to have a link', async (t) => {
  let wanted: string[] = [];
  const node = { wanted: (ids: Iterable<string>) => void (wanted = [...ids].sort()) };
  const { scheduler, network, sites } = await mesh([{ node }, {}, {}]);
  const [, b, c] = sites as [Site, Site, Site];
  t.same(wanted, [b.id, c.id].sort());
  network.stop(b.id);
  await scheduler.advance(5000);
  t.same(wanted, [b.id, c.id].sort(), 'who is dead may come back');
  c.node.leave();
  await scheduler.advance(200);
  t.same(wanted, [b.id]);
});

t.test('where a member is reached is told when it comes, and when it moves', async (t) => {
  const heard: string[] = [];
  const node = {
    heardOf: (id: string, addresses: readonly string[]) =>
      void heard.push(`${id.slice(0, 2)} ${addresses.join()}`),
  };
  const { scheduler, sites } = await mesh([{ node }, { node: { addresses: () => ['192.0.2.1:1'] } }, {}]);
  const [, b] = sites as [Site, Site];
  t.same(heard, ['02 192.0.2.1:1'], 'who says of no address is not told of');
  b.subscribe('site/#').catch(() => undefined);
  await scheduler.advance(2000);
  t.equal(heard.length, 1);
  b.node.membership.setAddresses(['192.0.2.9:1']);
  await scheduler.advance(2000);
  t.same(heard.slice(1), ['02 192.0.2.9:1']);
});
