/** What `GET /mesh` answers, and `sprawl-edge peers` and `links` print. */
import type { Epoch } from './epoch.js';
import type { GatewayId } from './gateway-id.js';

/** What the members say of a gateway. */
export type PeerStatus = 'alive' | 'suspect' | 'dead' | 'left' | 'evicted';

/**
 * What the link to it is doing: `stalled`: it has something to send, and nothing is acknowledged; `relayed`: up, through another
 * gateway.
 */
export type LinkState = 'connecting' | 'relayed' | 'up' | 'stalled' | 'down';

export interface MeshSelf {
  readonly id: GatewayId;
  readonly site: string;
  readonly epoch: Epoch;
  readonly version: string;
  /** `stopped`: it takes part no more, `reason` says why. */
  readonly state: 'starting' | 'running' | 'leaving' | 'stopped';
  readonly reason: string | null;
  /** Where it listens: `HOST:PORT`. */
  readonly addresses: readonly string[];
  /** As the others are told: share of its capacity that is in use, from 0 to 1; null: it has not begun. */
  readonly load: number | null;
  /** Why it is not well, as the others are told; empty: it is. */
  readonly health: readonly string[];
}

export interface MeshPeer {
  readonly id: GatewayId;
  readonly site: string;
  readonly status: PeerStatus;
  /** null: not met since the start. */
  readonly epoch: Epoch | null;
  readonly path: 'tcp' | 'udx' | 'relayed' | null;
  readonly remoteAddress: string | null;
  readonly state: LinkState;
  /** Why it is not up, or not direct, or what is wrong though it is; null: nothing is. */
  readonly reason: string | null;
  readonly rttMs: number | null;
  /** Messages of QoS 1 and 2 that wait to be sent to it; while a backlog goes, and while it is away, positions of the log, wanted or not. */
  readonly pendingMessages: number;
  /** In memory, and on their way: what is in the log alone is not counted. */
  readonly pendingBytes: number;
  /** How long the oldest on its way has not been acknowledged; null: none is. */
  readonly oldestUnackedMs: number | null;
  readonly sentMessages: number;
  readonly ackedMessages: number;
  readonly receivedMessages: number;
  /** Messages that it did not get or that were not taken, by reason. */
  readonly refused: Readonly<Record<string, number>>;
  /** Share of its capacity that is in use, as it says itself: from 0 to 1. */
  readonly load: number | null;
  /** Why it is not well, as it says itself; empty: it is, or `load` is null and nothing is known. */
  readonly health: readonly string[];
}

/** An address of `mesh.peers`. */
export interface MeshDial {
  /** `HOST:PORT`. */
  readonly address: string;
  /** Who answers there; null: no member of this mesh has so far. */
  readonly id: GatewayId | null;
  /** Why none has; null: one has, or it is tried for the first time. */
  readonly reason: string | null;
}

export interface MeshStatus {
  readonly self: MeshSelf;
  readonly peers: readonly MeshPeer[];
  /** A gateway of an earlier version does not say. */
  readonly dialled?: readonly MeshDial[];
}
