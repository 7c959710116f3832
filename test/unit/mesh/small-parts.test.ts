/** What a mesh shows, and what it hands to its transport. */
import fc from 'fast-check';
import t from 'tap';
import { EPOCH_COUNTER_MAX } from '../../../lib/contracts/epoch.js';
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { MeshPeer } from '../../../lib/contracts/mesh-status.js';
import { addressStoreOf } from '../../../mesh/address-store.js';
import { lifeOfInstance, instanceOf } from '../../../mesh/instance.js';
import type { MeshNode } from '../../../mesh/node/mesh-node.js';
import { statusOf } from '../../../mesh/status.js';
import type { KnownPeer, PeerStatus, TransportStatus } from '../../../mesh/transport/index.js';
import { createMeshStatus } from '../telemetry/mesh-view.js';
import { idOf } from './node/fake-link.js';

const OTHER = idOf(9);
const { self } = createMeshStatus();

t.test('a process is told by its epoch in a few bytes, and read back', async (t) => {
  const nonce = fc
    .uint8Array({ minLength: 8, maxLength: 8 })
    .map((bytes) => Buffer.from(bytes).toString('hex'));
  const signatures = fc.uint8Array({ minLength: 64, maxLength: 64 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: EPOCH_COUNTER_MAX }),
      nonce,
      signatures,
      (counter, digits, signature) => {
        const life = { counter, nonce: digits, signature };
        t.same(lifeOfInstance(Buffer.from(instanceOf(life)).toString('hex')), life);
      },
    ),
    { numRuns: 50 },
  );
  const beyond = { counter: EPOCH_COUNTER_MAX + 1, nonce: 'ab'.repeat(8), signature: new Uint8Array(64) };
  t.equal(lifeOfInstance(Buffer.from(instanceOf(beyond)).toString('hex')), undefined);
  for (const text of ['', 'ab', 'zz'.repeat(78), '00'.repeat(78), '01'.repeat(79)])
    t.equal(lifeOfInstance(text), undefined, text);
});

t.test(
  'addresses are written as people read them, and what is none is left out when they are read',
  async (t) => {
    const file: { id: GatewayId; addresses: readonly string[] }[] = [];
    const store = addressStoreOf({
      load: async () => file,
      save: async (peers) => void file.splice(0, file.length, ...peers),
    });
    const peers: KnownPeer[] = [
      {
        id: OTHER,
        addresses: [
          { kind: 'tcp', host: '192.168.1.7', port: 4430 },
          { kind: 'udp', host: 'fe80::1', port: 4431 },
        ],
      },
    ];
    await store.save(peers);
    t.same(file, [{ id: OTHER, addresses: ['tcp/192.168.1.7:4430', 'udp/[fe80::1]:4431'] }]);
    t.same(await store.load(), peers);
    file.splice(0, 1, { id: OTHER, addresses: ['sctp/a:1', 'tcp/', 'tcp/a:x', '', 'tcp/a:1'] });
    t.same(await store.load(), [{ id: OTHER, addresses: [{ kind: 'tcp', host: 'a', port: 1 }] }]);
  },
);

interface Shown {
  readonly peers?: readonly object[];
  readonly members?: readonly object[];
  readonly reach?: readonly Partial<PeerStatus>[];
  readonly isEvicted?: boolean;
  readonly relayFailure?: string;
  readonly hasBegun?: boolean;
  readonly hasLeft?: boolean;
  /** Why this gateway takes part no more. */
  readonly stopped?: string;
}

/** A node and a transport as far as they are looked at. */
function peersOf({
  peers = [],
  members = [],
  reach = [],
  isEvicted = false,
  ...more
}: Shown): readonly MeshPeer[] {
  const node = {
    ...{ self: self.id, peers, hasBegun: more.hasBegun ?? true },
    membership: { members: () => [{ id: self.id }, ...members] },
    admission: { isEvicted: () => isEvicted },
    relayFailureOf: () => more.relayFailure,
    hasLeft: () => more.hasLeft ?? false,
  };
  return statusOf(
    more.stopped === undefined ? self : { ...self, state: 'stopped', reason: more.stopped },
    node as unknown as MeshNode,
    { peers: reach, seeds: [] } as unknown as TransportStatus,
  ).peers;
}

const MEMBER = {
  ...{ id: OTHER, status: 'alive', epoch: { counter: 2, nonce: 'ab'.repeat(8) } },
  metadata: { version: 1, site: 'mill', load: 0.5 },
};
const PEER = {
  ...{ gateway: OTHER, state: 'up', reason: 'by tcp', isStalled: false },
  link: { path: 'tcp', remoteAddress: '192.0.2.7:1' },
  receiver: { status: { received: 10 } },
  passing: {
    counts: { sent: 1, slowLink: 2, linkDown: 3, expired: 4, tooLarge: 5 },
    receivedCount: 5,
  },
  sender: {
    status: {
      ...{ pendingMessages: 7, pendingBytes: 8, unackedBytes: 9, oldestUnackedMs: 11 },
      ...{ sentMessages: 100, ackedMessages: 90 },
      refused: { expired: 20, tooLarge: 30, passingDown: 40 },
    },
  },
};

t.test('a peer is shown with everything that is known of it', async (t) => {
  const reach = [{ id: OTHER, state: 'up' as const, rttMs: 1.5, address: 'x:1' }];
  const [peer] = peersOf({ peers: [PEER], members: [MEMBER], reach });
  t.match(peer, {
    ...{ id: OTHER, site: 'mill', status: 'alive', epoch: MEMBER.epoch, path: 'tcp' },
    ...{ remoteAddress: '192.0.2.7:1', state: 'up', reason: null, rttMs: 1.5, load: 0.5 },
    ...{ pendingMessages: 7, pendingBytes: 8, oldestUnackedMs: 11, sentMessages: 101, ackedMessages: 90 },
    ...{ receivedMessages: 15, refused: { expired: 24, too_large: 35, link_down: 43, slow_link: 2 } },
  });
});

t.test('what is not known is null or 0, and whoever was never met is shown, too', async (t) => {
  const [peer] = peersOf({ reach: [{ id: OTHER, state: 'connecting', lastFailure: 'no route to x' }] });
  t.match(peer, {
    ...{ site: '', status: 'dead', epoch: null, path: null, remoteAddress: null, state: 'connecting' },
    ...{ reason: 'no route to x', rttMs: null, load: null, oldestUnackedMs: null, sentMessages: 0 },
    refused: { expired: 0, too_large: 0, link_down: 0, slow_link: 0 },
  });
  t.same(
    peersOf({ members: [MEMBER], hasBegun: false }),
    [],
    'before the mesh has begun there are no members',
  );
});

t.test('a gateway that takes part no more has no link, and says why', async (t) => {
  const connecting = [{ id: OTHER, state: 'connecting' as const, lastFailure: undefined }];
  const stopped = 'this gateway was evicted';
  t.match(peersOf({ reach: connecting, stopped }), [{ state: 'down', reason: stopped }]);
  t.match(peersOf({ members: [MEMBER], stopped }), [{ site: 'mill', state: 'down', reason: stopped }]);
  t.match(peersOf({ members: [MEMBER], stopped, hasLeft: true }), [
    { state: 'down', reason: /^it has left/ },
  ]);
});

t.test('the state of a link is that of the way to the peer', async (t) => {
  const stateOf = (shown: Shown): unknown => {
    const [peer] = peersOf(shown);
    return [peer?.state, peer?.reason];
  };
  const down = [{ id: OTHER, state: 'down' as const, lastFailure: undefined }];
  t.same(stateOf({ peers: [{ ...PEER, state: 'telling', reason: 'not yet' }] }), ['connecting', 'not yet']);
  t.same(stateOf({ peers: [{ ...PEER, link: { path: 'relayed' } }] }), ['relayed', null]);
  const closed = [{ id: OTHER, state: 'connecting' as const, lastFailure: 'no route' }];
  t.same(stateOf({ peers: [{ ...PEER, link: { path: 'relayed' } }], reach: closed }), [
    'relayed',
    'no route',
  ]);
  t.same(stateOf({ peers: [{ ...PEER, state: 'apart', reason: 'cut', link: undefined }], reach: down }), [
    'down',
    'cut',
  ]);
  t.same(stateOf({ members: [MEMBER] }), ['connecting', 'nothing is known of it yet']);
  t.same(stateOf({ peers: [{ ...PEER, isStalled: true, state: 'apart', reason: 'stalled' }] }), [
    'stalled',
    'stalled',
  ]);
  t.same(stateOf({ members: [MEMBER], relayFailure: 'nobody reaches it' }), [
    'connecting',
    'nothing is known of it yet; through others: nobody reaches it',
  ]);
});

t.test(
  'who was evicted is called so, and an unanswered message has an age only while there is one',
  async (t) => {
    t.match(peersOf({ members: [MEMBER], isEvicted: true })[0], { status: 'evicted' });
    const idle = { ...PEER, sender: { status: { ...PEER.sender.status, unackedBytes: 0 } } };
    t.match(peersOf({ peers: [{ ...idle, hello: { site: 'from hello' } }] })[0], {
      ...{ oldestUnackedMs: null, site: 'from hello', status: 'dead', load: null },
    });
    const unheard = { ...MEMBER, metadata: { ...MEMBER.metadata, version: 0 } };
    t.match(peersOf({ members: [unheard] })[0], { load: null });
  },
);
