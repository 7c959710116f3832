/** What goes over the links of the mesh and is not its own. */
import t from 'tap';
import { type GatewayId, shortId } from '../../../../lib/contracts/gateway-id.js';
import type { ChannelUser, LinkedGateway } from '../../../../lib/contracts/peer-channel.js';
import { createMesh } from '../../../../mesh/admission/admin-key.js';
import { encodeEvictions, Roster } from '../../../../mesh/admission/roster.js';
import { LocalInterest } from '../../../../mesh/interest/index.js';
import { mesh, type Site } from './site.js';

class Heard implements ChannelUser {
  readonly all: string[] = [];
  refusal: string | undefined;

  linked({ id, site }: LinkedGateway): void {
    this.all.push(`linked ${shortId(id)} at ${site}`);
  }

  unlinked(id: GatewayId): void {
    this.all.push(`unlinked ${shortId(id)}`);
  }

  onFrame(from: GatewayId, frame: Uint8Array): string | undefined {
    this.all.push(`frame ${shortId(from)} ${Buffer.from(frame).toString()}`);
    return this.refusal;
  }

  evicted(id: GatewayId): void {
    this.all.push(`evicted ${shortId(id)}`);
  }
}

t.test('frames of somebody else go over a link from its beginning to its end', async (t) => {
  const { scheduler, network, sites } = await mesh([{}, {}]);
  const [a, b] = sites as [Site, Site];
  const heard = new Heard();
  a.node.wire.user = new Heard();
  b.node.wire.user = heard;
  network.stop(a.id);
  await scheduler.advance(3000);
  network.start(a);
  await scheduler.advance(2000);
  t.equal(a.node.wire.send(b.id, Buffer.from('one')), true);
  await scheduler.advance(100);
  const id = shortId(a.id);
  t.same(heard.all.slice(-2), [`linked ${id} at site 1`, `frame ${id} one`]);
  heard.refusal = 'no';
  a.node.wire.send(b.id, Buffer.from('two'));
  await scheduler.advance(20);
  t.ok(heard.all.includes(`frame ${id} two`));
  t.equal(
    heard.all.at(heard.all.indexOf(`frame ${id} two`) + 1),
    `unlinked ${id}`,
    'what is refused ends the link',
  );
  t.equal(a.node.wire.send('nobody' as GatewayId, Buffer.from('x')), false, 'without a link it is nowhere');
});

t.test(
  'who uses the links hears of them, and of evictions, and a gateway where nobody does passes frames over',
  async (t) => {
    const { binding, adminKey } = createMesh((size) => new Uint8Array(size).fill(5));
    const { scheduler, network, sites } = await mesh([{ node: { roster: new Roster(binding) } }, {}]);
    const [a, b] = sites as [Site, Site];
    const heard = new Heard();
    a.node.wire.user = heard;
    network.stop(b.id);
    await scheduler.advance(3000);
    t.same(heard.all, [], 'a link that was there before is none of his');
    network.start(b);
    await scheduler.advance(2000);
    t.equal(a.node.wire.send(b.id, Buffer.from('one')), true);
    await scheduler.advance(100);
    t.equal([...b.node.peers][0]?.state, 'up');
    const roster = new Roster(binding);
    a.node.takeStatement(encodeEvictions([roster.evict(adminKey, b.id, 'sold')])[0] as Uint8Array);
    const id = shortId(b.id);
    t.same(heard.all, [`linked ${id} at site 2`, `unlinked ${id}`, `evicted ${id}`]);
  },
);

t.test('a filter may leave whole, or not', (t) => {
  const interest = new LocalInterest({ life: 0, importFilters: ['#'], exportFilters: ['site/#', 'a/+/c'] });
  for (const filter of ['site/#', 'site/x', 'site/+/y', 'a/b/c', 'a/+/c'])
    t.equal(interest.mayExportAll(filter), true, filter);
  for (const filter of ['#', 'a/#', '+/x', '$SYS/#', 'a/b/d'])
    t.equal(interest.mayExportAll(filter), false, filter);
  const all = new LocalInterest({ life: 0, importFilters: [], exportFilters: ['#'] });
  t.equal(all.mayExportAll('#'), true);
  t.equal(all.mayExportAll('$mine/#'), false);
  t.end();
});
