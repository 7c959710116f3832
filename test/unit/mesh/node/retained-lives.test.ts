/** What a gateway that keeps retained messages the same everywhere has to know of its peers. */
import t from 'tap';
import { createMessage, type Message } from '../../../../lib/message/message.js';
import type { GatewayId } from '../../../../lib/contracts/gateway-id.js';
import { mesh, type Site } from './site.js';

function messageOf(origin: GatewayId | undefined, topic = 'state/x'): Message {
  const text = Buffer.from(topic, 'utf8');
  const topicBytes = Uint8Array.of(text.length >> 8, text.length & 0xff, ...text);
  const message = createMessage({ topic, topicBytes, payload: Buffer.from('x'), qos: 1, retain: true });
  if (origin !== undefined) message.source = { origin, epoch: { counter: 1, nonce: 'a'.repeat(16) } };
  return message;
}

/** Who is asked to compare. */
function asked({ node }: Site, by: () => void): GatewayId[] {
  const ids: GatewayId[] = [];
  for (const peer of node.peers) peer.requestRound = () => void ids.push(peer.gateway);
  by();
  return ids.sort();
}

t.test(
  'whether a message still stands is asked of its gateway, and of all where that is not there',
  async (t) => {
    const { scheduler, network, sites } = await mesh([{}, {}, {}]);
    const [a, b, c] = sites as [Site, Site, Site];
    const doubt = (origin: GatewayId | undefined): GatewayId[] =>
      asked(a, () => a.node.doubted(messageOf(origin)));
    t.same(doubt(b.id), [b.id]);
    t.same(doubt(a.id), [b.id, c.id].sort());
    t.same(doubt(undefined), [b.id, c.id].sort());
    network.stop(b.id);
    await scheduler.advance(3000);
    t.same(doubt(b.id), [b.id, c.id].sort());
  },
);

t.test('what is not let in comes into no log, retained or not', async (t) => {
  const { scheduler, sites } = await mesh([{ node: { importFilters: ['in/#', '$x'] } }, {}]);
  const [a, b] = sites as [Site, Site];
  await scheduler.advance(1000);
  const before = a.store.committed;
  for (const topic of ['out/x', '$SYS/x', '$x'])
    for (const retain of [true, false])
      t.equal(a.node.took(Object.assign(messageOf(b.id, topic), { retain })), 0, topic);
  await scheduler.advance(100);
  t.equal(a.store.committed, before);
  t.equal(a.retained('out/x'), undefined);
});
