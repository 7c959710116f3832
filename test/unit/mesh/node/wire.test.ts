/** What goes over the links of the mesh and is not its own. */
import t from 'tap';
import { type GatewayId, shortId } from '../../../../lib/contracts/gateway-id.js';
import type { PeerWire } from '../../../../lib/contracts/peer-wire.js';
import { LocalInterest } from '../../../../mesh/interest/index.js';
import { mesh, type Site } from './site.js';

class Heard implements PeerWire {
  readonly all: string[] = [];
  refusal: string | undefined;

  up(gateway: GatewayId): void {
    this.all.push(`up ${shortId(gateway)}`);
  }

  down(gateway: GatewayId): void {
    this.all.push(`down ${shortId(gateway)}`);
  }

  frame(gateway: GatewayId, frame: Uint8Array): string | undefined {
    this.all.push(`frame ${shortId(gateway)} ${Buffer.from(frame).toString()}`);
    return this.refusal;
  }

  evicted(gateway: GatewayId): void {
    this.all.push(`evicted ${shortId(gateway)}`);
  }
}

t.test('frames of somebody else go over a link from its beginning to its end', async (t) => {
  const { scheduler, network, sites } = await mesh([{}, {}]);
  const [a, b] = sites as [Site, Site];
  const heard = new Heard();
  b.node.carry(heard);
  network.stop(a.id);
  await scheduler.advance(3000);
  network.start(a);
  await scheduler.advance(2000);
  a.node.sendWire(b.id, Buffer.from('one'));
  await scheduler.advance(100);
  const id = shortId(a.id);
  t.same(heard.all.slice(-2), [`up ${id}`, `frame ${id} one`]);
  heard.refusal = 'no';
  a.node.sendWire(b.id, Buffer.from('two'));
  await scheduler.advance(20);
  t.ok(heard.all.includes(`frame ${id} two`));
  t.equal(
    heard.all.at(heard.all.indexOf(`frame ${id} two`) + 1),
    `down ${id}`,
    'what is refused ends the link',
  );
  b.node.sendWire('nobody' as GatewayId, Buffer.from('x'));
});

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
