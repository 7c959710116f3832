import type { LinkState, MeshPeer, MeshSelf, MeshStatus, PeerStatus } from '../contracts/mesh-status.js';

/** A mesh in a few numbers. */
export interface MeshSummary {
  readonly id: string;
  readonly site: string;
  readonly state: MeshSelf['state'];
  /** Why it takes part no more; null: it does. */
  readonly reason: string | null;
  /** Gateways by what the members say of them; this one is among those that are alive. */
  readonly members: Readonly<Record<PeerStatus, number>>;
  /** To the others that are meant to be there: not to those that have left or were evicted. */
  readonly links: Readonly<Record<LinkState, number>>;
  /** Messages of QoS 1 and 2 from here that wait to be sent to others: see MeshPeer. */
  readonly pendingMessages: number;
  readonly pendingBytes: number;
}

/** A gateway that was taken down or sent away on purpose is nobody to have a link to. */
function isWanted({ status }: MeshPeer): boolean {
  return status !== 'left' && status !== 'evicted';
}

export function meshSummaryOf({ self, peers }: MeshStatus): MeshSummary {
  const members: Record<PeerStatus, number> = { alive: 0, suspect: 0, dead: 0, left: 0, evicted: 0 };
  const links: Record<LinkState, number> = { up: 0, relayed: 0, connecting: 0, stalled: 0, down: 0 };
  let pendingMessages = 0;
  let pendingBytes = 0;
  if (self.state === 'running') members.alive++;
  for (const peer of peers) {
    members[peer.status]++;
    pendingMessages += peer.pendingMessages;
    pendingBytes += peer.pendingBytes;
    if (isWanted(peer)) links[peer.state]++;
  }
  const { id, site, state, reason } = self;
  return { id, site, state, reason, members, links, pendingMessages, pendingBytes };
}
