/** Re-authentication; the exchange before CONNACK is in admission.test.ts. */
import t from 'tap';
import type { EnhancedStep } from '../../../lib/contracts/security.js';
import * as wire from '../../support/wire.js';
import { ConnectionWorld, METHOD, type Peer, settled } from './connection-world.js';

const auth = (reasonCode: number, authenticationData: string, authenticationMethod = METHOD): Buffer =>
  wire.auth(reasonCode, { authenticationMethod, authenticationData });
const proof = (username: string, data?: string): EnhancedStep => ({
  kind: 'done',
  username,
  data: data === undefined ? undefined : Buffer.from(data),
});
const challenge: EnhancedStep = { kind: 'continue', data: Buffer.from('who?') };

/** Ann is in; the client begins again, and the method answers with `steps`. */
async function again(
  steps: EnhancedStep[],
  properties: wire.Properties = {},
): Promise<{ world: ConnectionWorld; peer: Peer }> {
  const world = new ConnectionWorld();
  world.steps.push(proof('ann'));
  const peer = await world.enter({ properties: { authenticationMethod: METHOD, ...properties } });
  world.steps.push(...steps);
  peer.feed(auth(0x19, 'again'));
  await settled();
  return { world, peer };
}

t.test('the same user may prove itself again, in one step or more', async (t) => {
  const { world, peer } = await again([challenge, proof('ann', 'so be it')]);
  t.match(peer.take(), [{ type: 'auth', reasonCode: 0x18, properties: { authenticationMethod: METHOD } }]);
  peer.feed(auth(0x18, 'ann'), Buffer.from([0xc0, 0]));
  await settled();
  t.match(peer.take(), [
    { type: 'pingresp' },
    { type: 'auth', reasonCode: 0, properties: { authenticationData: Buffer.from('so be it') } },
  ]);
  t.same(world.heard, ['-', 'again', 'ann']);
  t.equal(world.counter('sentAuth'), 2);
  t.equal(peer.connection.isReady, true);
});

t.test('another user, or nobody, ends the connection', async (t) => {
  for (const step of [proof('bob'), { kind: 'refused', reasonCode: 0x86 }] satisfies EnhancedStep[]) {
    const { peer } = await again([step]);
    t.match(peer.take(), [
      { type: 'disconnect', reasonCode: 0x87, properties: { reasonString: 're-authentication failed' } },
    ]);
    t.equal(peer.ended, true);
  }
});

t.test('a client that begins anew has to finish that alone', async (t) => {
  const { world, peer } = await again([]);
  world.steps.push(challenge);
  peer.feed(auth(0x19, 'once more'));
  await settled();
  t.match(peer.take(), [{ type: 'auth', reasonCode: 0x18 }]);
  t.same(world.heard, ['-', 'again', 'once more']);
  world.undecided[0]?.({ kind: 'refused', reasonCode: 0x87 });
  await settled();
  t.equal(peer.connection.isReady, true, 'what became of the first is of no interest');
});

for (const [what, bytes, reasonCode] of [
  ['AUTH with another method', auth(0x19, 'x', 'OTHER'), 0x82],
  ['the next step of an exchange that is over', auth(0x18, 'x'), 0x82],
] as const) {
  t.test(`${what} ends the connection`, async (t) => {
    const { peer } = await again([proof('ann')]);
    peer.take();
    peer.feed(bytes);
    t.match(peer.take(), [{ type: 'disconnect', reasonCode }]);
  });
}

t.test('a method that is not offered any more ends the connection', async (t) => {
  const { world, peer } = await again([proof('ann')]);
  peer.take();
  world.offered = false;
  peer.feed(auth(0x19, 'x'));
  t.match(peer.take(), [{ type: 'disconnect', reasonCode: 0x8c }]);
});

t.test('AUTH of a client that named no method is out of place', async (t) => {
  const world = new ConnectionWorld();
  const peer = await world.enter();
  peer.feed(auth(0x19, 'x'));
  t.match(peer.take(), [{ type: 'disconnect', reasonCode: 0x82 }]);
});

t.test('AUTH that is larger than the client takes ends the connection', async (t) => {
  const { world, peer } = await again([{ kind: 'continue', data: Buffer.alloc(100) }], {
    maximumPacketSize: 100,
  });
  t.match(peer.take(), [{ type: 'disconnect', reasonCode: 0x95 }]);
  t.equal(world.counter('sentAuth'), 0);
});

t.test('what a method says when the client has gone reaches nobody', async (t) => {
  for (const step of [challenge, proof('bob')]) {
    const { world, peer } = await again([]);
    peer.connection.closed(undefined);
    world.undecided[0]?.(step);
    await settled();
    t.equal(peer.connection.closeReason, undefined);
    t.same(world.counted('disconnected'), { disconnectedNetwork: 1 });
    t.equal(world.counter('sentAuth'), 0);
  }
});
