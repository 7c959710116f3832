/** The mesh as `GET /mesh` and the metrics show it. */
import type { GatewayId } from '../lib/contracts/gateway-id.js';
import type { LinkState, MeshDial, MeshPeer, MeshSelf, MeshStatus } from '../lib/contracts/mesh-status.js';
import type { Member } from './membership/index.js';
import type { MeshNode } from './node/mesh-node.js';
import type { Peer } from './node/peer.js';
import type { PeerStatus as ReachStatus, SeedStatus, TransportStatus } from './transport/index.js';

export function statusOf(self: MeshSelf, node: MeshNode, transport: TransportStatus): MeshStatus {
  const reach = new Map(transport.peers.map((peer) => [peer.id, peer]));
  const peers = new Map([...node.peers].map((peer) => [peer.gateway, peer]));
  const members = new Map(node.hasBegun ? [...node.membership.members()].map((one) => [one.id, one]) : []);
  const ids = new Set<GatewayId>([...members.keys(), ...peers.keys(), ...reach.keys()]);
  ids.delete(node.self);
  return {
    self,
    peers: [...ids]
      .map((id) => peerOf(id, node, members.get(id), peers.get(id), reach.get(id)))
      .map((peer) => (self.state === 'stopped' ? cutOff(peer, self) : peer)),
    dialled: transport.seeds.map(dialOf),
  };
}

/** Nobody tries any more, whatever is known of the peer. One that has left for good would not be tried by others either. */
function cutOff(peer: MeshPeer, { reason }: MeshSelf): MeshPeer {
  return { ...peer, state: 'down', reason: peer.status === 'left' ? peer.reason : reason };
}

/** Where one has answered, its link says the rest. */
function dialOf({ address, id, lastFailure }: SeedStatus): MeshDial {
  return id === undefined
    ? { address, id: null, reason: lastFailure ?? null }
    : { address, id, reason: null };
}

function peerOf(
  id: GatewayId,
  node: MeshNode,
  member: Member | undefined,
  peer: Peer | undefined,
  reach: ReachStatus | undefined,
): MeshPeer {
  const sender = peer?.sender?.status;
  const receiver = peer?.receiver.status;
  const passing = peer?.passing.counts;
  const state = node.hasLeft(id) ? 'down' : stateOf(peer, reach);
  return {
    id,
    site: member?.metadata.site ?? peer?.hello?.site ?? '',
    status: node.admission.isEvicted(id) ? 'evicted' : node.hasLeft(id) ? 'left' : (member?.status ?? 'dead'),
    epoch: member?.epoch ?? null,
    path: peer?.link?.path ?? null,
    remoteAddress: peer?.link?.remoteAddress ?? reach?.address ?? null,
    state,
    reason: peer?.trouble ?? reasonOf(state, id, node, peer, reach),
    rttMs: reach?.rttMs ?? null,
    pendingMessages: sender?.pendingMessages ?? 0,
    pendingBytes: sender?.pendingBytes ?? 0,
    oldestUnackedMs: sender === undefined || sender.unackedBytes === 0 ? null : sender.oldestUnackedMs,
    sentMessages: (sender?.sentMessages ?? 0) + (passing?.sent ?? 0),
    ackedMessages: sender?.ackedMessages ?? 0,
    receivedMessages: (receiver?.received ?? 0) + (peer?.passing.receivedCount ?? 0),
    refused: {
      expired: (sender?.refused.expired ?? 0) + (passing?.expired ?? 0),
      too_large: (sender?.refused.tooLarge ?? 0) + (passing?.tooLarge ?? 0),
      link_down: (sender?.refused.passingDown ?? 0) + (passing?.linkDown ?? 0),
      slow_link: passing?.slowLink ?? 0,
    },
    load: member === undefined || member.metadata.version === 0 ? null : member.metadata.load,
    health: member?.metadata.health ?? [],
  };
}

function stateOf(peer: Peer | undefined, reach: ReachStatus | undefined): LinkState {
  if (peer?.isStalled === true) return 'stalled';
  if (peer?.isRefused === true) return 'down';
  if (peer === undefined || peer.state === 'apart') return reach?.state === 'down' ? 'down' : 'connecting';
  if (peer.state !== 'up') return 'connecting';
  return peer.link?.path === 'relayed' ? 'relayed' : 'up';
}

/** Why there is no link, or none that is direct. */
function reasonOf(
  state: LinkState,
  id: GatewayId,
  node: MeshNode,
  peer: Peer | undefined,
  reach: ReachStatus | undefined,
): string | null {
  if (state === 'up') return null;
  if (state === 'relayed') return reach?.lastFailure ?? null;
  if (node.hasLeft(id)) return 'it has left the mesh for good: nothing is kept for it';
  const direct = reach?.lastFailure ?? peer?.reason ?? 'nothing is known of it yet';
  const relay = node.relayFailureOf(id);
  return relay === undefined ? direct : `${direct}; through others: ${relay}`;
}
