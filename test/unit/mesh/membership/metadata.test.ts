import t from 'tap';
import { GossipQueue } from '../../../../mesh/membership/gossip-queue.js';
import { MemberTable } from '../../../../mesh/membership/member-table.js';
import { cutText, tellable } from '../../../../mesh/membership/metadata.js';
import { gateway, metadata, record } from './rig.js';

t.test('what is too long to be told is cut in whole characters, what is too much is left out', (t) => {
  t.equal(cutText('short', 5), 'short');
  t.equal(cutText('ééé', 5), 'éé');
  const told = tellable(
    metadata(1, {
      site: 'x'.repeat(100),
      addresses: ['y'.repeat(129), ...new Array<string>(9).fill('a:1')],
      software: 'z'.repeat(100),
      load: 7,
      health: new Array<string>(9).fill('w'.repeat(100)),
    }),
  );
  t.match(
    [told.site.length, told.software.length, told.addresses.length, told.health.length],
    [64, 64, 8, 8],
  );
  t.equal(told.load, 1);
  t.equal(told.health[0]?.length, 64);
  t.equal(tellable(metadata(1, { load: -1 })).load, 0);
  t.end();
});

t.test('the least told goes first, each as often as the limit says', (t) => {
  const queue = new GossipQueue();
  const encode = (): Uint8Array => new Uint8Array(50);
  queue.add(gateway(2), false, true);
  t.equal(queue.take(60, false, 3, encode).length, 1);
  queue.add(gateway(3), true, false);
  const asked: string[] = [];
  queue.take(60, false, 3, (id) => {
    asked.push(id);
    return encode();
  });
  t.same(asked, [gateway(3)]);
  t.equal(queue.take(200, true, 3, encode).length, 1, 'linked peers were told of the other');
  t.equal(queue.take(200, false, 3, encode).length, 2);
  t.equal(queue.size, 1, 'three times');
  queue.take(200, false, 3, () => undefined);
  t.equal(queue.size, 0);
  queue.add(gateway(4), false, false);
  queue.remove(gateway(4));
  t.equal(queue.size, 0);
  t.end();
});

t.test('ids that were forgotten for good are bounded, the oldest goes first', (t) => {
  const table = new MemberTable(10, 2);
  for (const n of [2, 3, 4]) table.forget(gateway(n));
  t.same(
    [2, 3, 4].map((n) => table.isForgotten(gateway(n))),
    [false, true, true],
  );
  t.equal(table.apply(record(3), 0).kind, 'refused');
  t.equal(table.apply(record(2), 0).kind, 'news');
  t.equal(table.apply(record(2), 0).kind, 'known');
  t.equal(table.apply(record(2, { metadata: metadata(0) }), 0).kind, 'old');
  t.end();
});

t.test('the view is the same for the same present members, and differs with each difference', (t) => {
  const [one, other] = [new MemberTable(10, 2), new MemberTable(10, 2)];
  for (const n of [2, 3]) one.apply(record(n), 0);
  for (const n of [3, 2]) other.apply(record(n), 0);
  t.equal(one.view, other.view);
  one.apply(record(4), 0);
  t.not(one.view, other.view);
  one.apply(record(4, { status: 'dead' }), 0);
  t.equal(one.view, other.view, 'the dead do not count');
  other.apply(record(2, { metadata: metadata(2) }), 0);
  t.not(one.view, other.view);
  t.end();
});
