import fc from 'fast-check';
import t from 'tap';
import type { Epoch } from '../../../../lib/contracts/epoch.js';
import type { MeshPeer, MeshSelf } from '../../../../lib/contracts/mesh-status.js';
import {
  decodeDepartures,
  type Departure,
  encodeDepartures,
  signDeparture,
} from '../../../../mesh/identity/departure.js';
import { GatewayKey } from '../../../../mesh/identity/gateway-key.js';
import { Departures } from '../../../../mesh/node/departures.js';
import { floorName } from '../../../../mesh/node/peer-floors.js';
import { statusOf } from '../../../../mesh/status.js';
import type { TransportStatus } from '../../../../mesh/transport/index.js';
import { MalformedFrame } from '../../../../mesh/wire/bytes.js';
import { mesh, restarted, type Site, type TestMesh } from './site.js';

const KEYS = [1, 2, 3].map((n) => new GatewayKey(new Uint8Array(32).fill(n)));
const [A, B, C] = KEYS as [GatewayKey, GatewayKey, GatewayKey];
const epoch = (counter: number, digit = 'a'): Epoch => ({ counter, nonce: digit.repeat(16) });

function meshOf(count: number): Promise<TestMesh> {
  return mesh(KEYS.slice(0, count).map((key) => ({ key })));
}

function shown(by: Site, key: GatewayKey): MeshPeer | undefined {
  const status = statusOf({} as MeshSelf, by.node, { peers: [], seeds: [] } as unknown as TransportStatus);
  return status.peers.find(({ id }) => id === key.id);
}

async function gone({ scheduler, network }: TestMesh, site: Site): Promise<void> {
  await scheduler.advance(200);
  network.stop(site.id);
  site.node.end('the gateway stops');
  await scheduler.advance(2000);
}

t.test('for a gateway that left for good nothing is kept, also by those who were away then', async (t) => {
  const world = await meshOf(3);
  const { scheduler, network, sites } = world;
  const [a, b, c] = sites as [Site, Site, Site];
  network.stop(c.id);
  await scheduler.advance(3000);
  a.node.depart(signDeparture(A, a.node.epoch));
  await gone(world, a);
  t.match(shown(b, A), { status: 'left', state: 'down', reason: /^it has left the mesh for good/ });
  t.same([...b.store.floors.keys()], [floorName(C.id)]);
  t.notOk([...b.node.peers].some(({ gateway }) => gateway === A.id));
  t.ok(c.store.floors.has(floorName(A.id)), 'it has not heard of it');
  network.start(c);
  await scheduler.advance(2000);
  t.same([...c.store.floors.keys()], [floorName(B.id)]);
  b.publish('state/x', 'x', 1, true);
  await scheduler.advance(100);
  b.publish('state/x', '', 1, true);
  await scheduler.advance(300_000);
  t.equal(b.store.retained.tombstone('state/x'), undefined, 'removals do not wait for it');
  const again = await restarted(world, b, { key: B });
  await again.open();
  network.start(again);
  await scheduler.advance(2000);
  t.ok(again.node.hasLeft(A.id), 'known after a restart');
  t.same([...again.store.floors.keys()], [floorName(C.id)]);
});

t.test('a gateway that is stopped has not left: all is kept for it', async (t) => {
  const world = await meshOf(2);
  const [a, b] = world.sites as [Site, Site];
  a.node.leave();
  await gone(world, a);
  t.equal(b.node.hasLeft(A.id), false);
  t.notMatch(shown(b, A), { reason: /for good/ });
  t.ok(b.store.floors.has(floorName(A.id)));
});

t.test(
  'who left and joins again is a member as any other, and what it said before does not count',
  async (t) => {
    const world = await meshOf(2);
    const { scheduler, network, sites } = world;
    const [a, b] = sites as [Site, Site];
    const departure = signDeparture(A, a.node.epoch);
    a.node.depart(departure);
    await gone(world, a);
    a.node.forgetAll();
    t.same([[...a.store.floors.keys()], [...a.node.peers]], [[], []], 'nor does it keep anything for others');
    const again = await restarted(world, a, { key: A, lineages: new Map() });
    await again.open();
    t.same([...again.node.peers], []);
    network.start(again);
    await Promise.all([b.subscribe('site/#'), scheduler.advance(2000)]);
    t.match(shown(b, A), { status: 'alive', state: 'up' });
    again.publish('site/x', 'back');
    await scheduler.advance(500);
    t.same(b.got, ['site/x back']);
    t.ok(b.store.floors.has(floorName(A.id)));
    again.node.depart(departure);
    again.node.membership.rejoin();
    await scheduler.advance(500);
    t.equal(b.node.hasLeft(A.id), false, 'it is in another life');
  },
);

t.test('a departure counts where it is signed, is news, and the gateway is not back', async (t) => {
  const saved: Uint8Array[] = [];
  let present: { readonly epoch: Epoch; readonly isLinked: boolean } | undefined;
  const departures = new Departures(
    { present: () => present, save: (frame) => saved.push(frame) },
    undefined,
  );
  const merged = (...all: readonly Departure[]): number => departures.merge(encodeDepartures(all)).length;
  t.equal(departures.frame, undefined);
  t.equal(merged({ ...signDeparture(A, epoch(3)), gateway: B.id }), 0, 'signed by another one');
  t.equal(merged({ ...signDeparture(A, epoch(3)), epoch: epoch(4) }), 0, 'of another life');
  present = { epoch: epoch(4), isLinked: false };
  t.equal(merged(signDeparture(A, epoch(3))), 0, 'it came back since');
  present = { epoch: epoch(2, 'b'), isLinked: true };
  t.equal(merged(signDeparture(A, epoch(3))), 0, 'another process with its key is there');
  present = { epoch: epoch(3), isLinked: true };
  t.equal(merged(signDeparture(A, epoch(3)), signDeparture(B, epoch(3))), 2);
  t.equal(merged(signDeparture(A, epoch(3)), signDeparture(A, epoch(2))), 0, 'known');
  t.same([departures.has(A.id), departures.has(C.id), saved.length], [true, false, 1]);
  const again = new Departures({ present: () => undefined, save: () => undefined }, saved[0]);
  t.same([again.has(A.id), again.has(B.id)], [true, true]);
  t.notOk(new Departures({ present: () => undefined, save: () => undefined }, Uint8Array.of(9)).has(A.id));
  t.equal(departures.arrives(A.id, epoch(3)), false);
  t.ok(departures.has(A.id));
  t.equal(departures.arrives(A.id, epoch(4)), true);
  t.notOk(departures.has(A.id));
  t.equal(departures.arrives(C.id, epoch(4)), true);
  t.equal(saved.length, 2);
});

t.test('departures come back from their bytes, and noise is malformed', async (t) => {
  const all = [signDeparture(A, epoch(3)), signDeparture(B, epoch(70_000, 'b'))];
  const bytes = encodeDepartures(all);
  t.same(decodeDepartures(bytes), all);
  for (let end = 0; end < bytes.length; end++)
    t.throws(() => decodeDepartures(bytes.subarray(0, end)), MalformedFrame);
  t.throws(() => decodeDepartures(Uint8Array.of(1, 0xff, 0x7f)), MalformedFrame);
  t.throws(
    () => decodeDepartures(encodeDepartures([{ ...signDeparture(A, epoch(3)), epoch: epoch(0) }])),
    MalformedFrame,
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (noise) => {
      try {
        decodeDepartures(noise);
      } catch (error) {
        return error instanceof MalformedFrame;
      }
      return true;
    }),
  );
});
