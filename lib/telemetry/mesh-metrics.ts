/** What Prometheus gets to know of the mesh: a table of families, each with its samples by peer. */
import type { MeshPeer, MeshStatus } from '../contracts/mesh-status.js';
import type { Family, Sample } from './family.js';

type MeshMetric = Family<MeshStatus>;

const STATES = ['connecting', 'relayed', 'up', 'stalled', 'down'] as const;
const STATUSES = ['alive', 'suspect', 'dead', 'left', 'evicted'] as const;

function labelsOf({ id, site }: MeshPeer): Readonly<Record<string, string>> {
  return { gateway: id, site };
}

function perPeer(
  name: string,
  type: MeshMetric['type'],
  help: string,
  value: (peer: MeshPeer) => number,
): MeshMetric {
  const samples = ({ peers }: MeshStatus): Sample[] =>
    peers.map((peer) => ({ labels: labelsOf(peer), value: value(peer) }));
  return { name, type, help, samples };
}

export const MESH_METRICS: readonly MeshMetric[] = [
  {
    name: 'sprawl_mesh_members',
    type: 'gauge',
    help: 'Other gateways that were met, by what the mesh says of them.',
    samples: ({ peers }) =>
      STATUSES.map((status) => ({
        labels: { status },
        value: peers.filter((peer) => peer.status === status).length,
      })),
  },
  {
    name: 'sprawl_mesh_link_state',
    type: 'gauge',
    help: 'State of the link to another gateway: 1 for the one that it is in.',
    samples: ({ peers }) =>
      peers.flatMap((peer) =>
        STATES.map((state) => ({
          labels: { ...labelsOf(peer), state },
          value: peer.state === state ? 1 : 0,
        })),
      ),
  },
  perPeer(
    'sprawl_mesh_rtt_seconds',
    'gauge',
    'Round trip to another gateway, NaN where it was not measured.',
    ({ rttMs }) => (rttMs === null ? NaN : rttMs / 1000),
  ),
  perPeer(
    'sprawl_mesh_pending_messages',
    'gauge',
    'Messages of QoS 1 and 2 that wait to be sent to another gateway; while a backlog goes, and while it is away, positions of the log, wanted or not.',
    ({ pendingMessages }) => pendingMessages,
  ),
  perPeer(
    'sprawl_mesh_pending_bytes',
    'gauge',
    'Bytes that wait in memory for another gateway or are on their way to it.',
    ({ pendingBytes }) => pendingBytes,
  ),
  perPeer(
    'sprawl_mesh_oldest_unacknowledged_seconds',
    'gauge',
    'How long the oldest message on its way to another gateway has not been acknowledged.',
    ({ oldestUnackedMs }) => (oldestUnackedMs ?? 0) / 1000,
  ),
  perPeer(
    'sprawl_mesh_sent_messages_total',
    'counter',
    'Messages that were sent to another gateway, of all QoS.',
    ({ sentMessages }) => sentMessages,
  ),
  perPeer(
    'sprawl_mesh_received_messages_total',
    'counter',
    'Messages that came from another gateway, of all QoS.',
    ({ receivedMessages }) => receivedMessages,
  ),
  {
    name: 'sprawl_mesh_refused_messages_total',
    type: 'counter',
    help: 'Messages that another gateway did not get, by reason.',
    samples: ({ peers }) =>
      peers.flatMap((peer) =>
        Object.entries(peer.refused).map(([reason, value]) => ({
          labels: { ...labelsOf(peer), reason },
          value,
        })),
      ),
  },
  perPeer(
    'sprawl_mesh_load_ratio',
    'gauge',
    'Share of its capacity that another gateway says is in use, NaN where it has not said.',
    ({ load }) => load ?? NaN,
  ),
];
