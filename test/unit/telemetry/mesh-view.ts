import { gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import type { MeshPeer, MeshStatus } from '../../../lib/contracts/mesh-status.js';

/** A peer in which every number is another one, so that a mixed-up field is seen. */
export function createMeshPeer(number: number, changes: Partial<MeshPeer> = {}): MeshPeer {
  return {
    id: gatewayIdOf(new Uint8Array(32).fill(number)),
    site: `site-${number}`,
    status: 'alive',
    epoch: { counter: 3, nonce: 'ab'.repeat(8) },
    path: 'tcp',
    remoteAddress: '192.0.2.7:4430',
    state: 'up',
    reason: null,
    rttMs: 1.5,
    pendingMessages: 2,
    pendingBytes: 300,
    oldestUnackedMs: 40,
    sentMessages: 51,
    ackedMessages: 49,
    receivedMessages: 60,
    refused: { expired: 1, too_large: 2, link_down: 3, slow_link: 4 },
    load: 0.25,
    health: [],
    ...changes,
  };
}

export function createMeshStatus(peers: readonly MeshPeer[] = [createMeshPeer(7)]): MeshStatus {
  return {
    self: {
      id: gatewayIdOf(new Uint8Array(32).fill(1)),
      site: 'harbour',
      epoch: { counter: 2, nonce: 'cd'.repeat(8) },
      version: '1.2.3',
      state: 'running',
      reason: null,
      addresses: ['127.0.0.1:4430'],
      load: 0.5,
      health: ['the disk is slow'],
    },
    peers,
  };
}
