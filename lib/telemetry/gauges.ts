import type { DurabilityLevel } from '../contracts/store.js';

/** What a gateway shows of itself at one moment. Counts are of now; what only grows is in the counters. */
export interface GatewayView {
  readonly version: string;
  /** Version of Node.js, as `v20.11.0`. */
  readonly nodeVersion: string;
  readonly storageLevel: DurabilityLevel;

  /** Clients whose CONNECT was accepted and whose connection has not ended. */
  readonly clientsConnected: number;
  /** Sessions, those of absent clients included. */
  readonly clientsTotal: number;
  /** Sessions whose client is not connected. */
  readonly clientsDisconnected: number;
  /** Most clients connected at a time, as seen by `sample` and `view`. */
  readonly clientsMaximum: number;
  /** Connections of every state, handshakes and closing ones included. */
  readonly connectionsOpen: number;
  readonly handshakes: number;
  /** Those of shared groups included. */
  readonly subscriptions: number;
  readonly sharedSubscriptions: number;
  readonly retainedCount: number;
  readonly retainedBytes: number;
  /** QoS 1 and 2 messages sent and not acknowledged to the end. */
  readonly inflight: number;
  /** QoS 1 and 2 messages that wait to be sent. */
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  /** Wills whose delay is running. */
  readonly pendingWills: number;
  /** Of the budget of all messages on their way to clients (limits.memoryMaxBytes). */
  readonly memoryUsedBytes: number;
  readonly memoryMaxBytes: number;
  readonly routeCacheCount: number;
  readonly committedPosition: number;
  readonly storageFaulty: number;
  readonly storageLogBytes: number;
  readonly storageLogMaxBytes: number;
  readonly storageSegments: number;
  readonly storageFreeBytes: number;
  readonly storagePendingBytes: number;
  readonly storageWrittenBytes: number;
  readonly storagePayloadBytes: number;
  readonly storageCommits: number;
  readonly storageLastCommitS: number;
  readonly storageFaults: number;
  readonly storageCheckpoints: number;
  readonly storagePrunedBytes: number;
  readonly storageCompactedBytes: number;
  readonly storageLostPositions: number;
  /** What the kernel has written to block devices for the process; 0: unknown. */
  readonly deviceWrittenBytes: number;

  readonly uptimeS: number;
  /** How late the event loop was, over the last seconds. */
  readonly eventLoopLagP50S: number;
  readonly eventLoopLagP99S: number;
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
  readonly heapTotalBytes: number;
  /** Memory outside the JavaScript heap that belongs to its objects: buffers above all. */
  readonly externalBytes: number;
  /** Processor time since the process started, user and system. */
  readonly cpuS: number;
  /** Seconds since 1970. */
  readonly startedAtS: number;
}

/** The fields of a view that are numbers. */
export type GaugeName = {
  [K in keyof GatewayView]: GatewayView[K] extends number ? K : never;
}[keyof GatewayView];

interface GaugeDefinition {
  /** Prometheus name, whole. Those of the process are the ones that dashboards for Node.js know. */
  readonly name: string;
  /** Default: gauge. */
  readonly type?: 'counter';
  readonly help: string;
}

/** How each number of a view is shown at /metrics. */
export const GAUGES = {
  clientsConnected: { name: 'sprawl_clients_connected', help: 'Clients that are connected.' },
  clientsTotal: { name: 'sprawl_sessions', help: 'Sessions, those of absent clients included.' },
  clientsDisconnected: {
    name: 'sprawl_clients_disconnected',
    help: 'Sessions whose client is not connected.',
  },
  clientsMaximum: {
    name: 'sprawl_clients_maximum',
    help: 'Most clients connected at a time since the gateway started.',
  },
  connectionsOpen: {
    name: 'sprawl_connections_open',
    help: 'Connections in every state, handshakes and closing ones included.',
  },
  handshakes: { name: 'sprawl_handshakes', help: 'Connections whose CONNECT is not answered yet.' },
  subscriptions: { name: 'sprawl_subscriptions', help: 'Subscriptions, shared ones included.' },
  sharedSubscriptions: { name: 'sprawl_shared_subscriptions', help: 'Shared subscriptions.' },
  retainedCount: { name: 'sprawl_retained_messages', help: 'Retained messages, those of $SYS included.' },
  retainedBytes: { name: 'sprawl_retained_bytes', help: 'Memory of all retained messages.' },
  inflight: {
    name: 'sprawl_inflight_messages',
    help: 'QoS 1 and 2 messages sent to clients and not acknowledged to the end.',
  },
  queuedMessages: {
    name: 'sprawl_queued_messages',
    help: 'QoS 1 and 2 messages that wait to be sent, for absent clients too.',
  },
  queuedBytes: { name: 'sprawl_queued_bytes', help: 'Memory of the messages that wait to be sent.' },
  pendingWills: { name: 'sprawl_pending_wills', help: 'Wills whose Will Delay Interval is running.' },
  memoryUsedBytes: {
    name: 'sprawl_delivery_memory_used_bytes',
    help: 'Memory of all messages on their way to clients.',
  },
  memoryMaxBytes: {
    name: 'sprawl_delivery_memory_max_bytes',
    help: 'The limit of sprawl_delivery_memory_used_bytes (limits.memoryMaxBytes).',
  },
  routeCacheCount: { name: 'sprawl_route_cache_topics', help: 'Topics whose subscribers are remembered.' },
  committedPosition: {
    name: 'sprawl_storage_committed_position',
    help: 'Everything up to this position of the log is stored as its durability level promises.',
  },
  storageFaulty: {
    name: 'sprawl_storage_faulty',
    help: '1 while the log cannot be written and nothing is acknowledged, else 0.',
  },
  storageLogBytes: { name: 'sprawl_storage_log_bytes', help: 'Size of the log.' },
  storageLogMaxBytes: {
    name: 'sprawl_storage_log_max_bytes',
    help: 'The limit of sprawl_storage_log_bytes (limits.diskMaxBytes); 0: nothing is stored.',
  },
  storageSegments: { name: 'sprawl_storage_segments', help: 'Files of the log.' },
  storageFreeBytes: {
    name: 'sprawl_storage_free_bytes',
    help: 'Free space of the file system of the data folder, as of the last look; 0: not looked at.',
  },
  storagePendingBytes: { name: 'sprawl_storage_pending_bytes', help: 'Bytes that wait for the disk.' },
  storageWrittenBytes: {
    name: 'sprawl_storage_written_bytes_total',
    type: 'counter',
    help: 'Bytes handed to the file system: log, database and snapshots.',
  },
  storagePayloadBytes: {
    name: 'sprawl_storage_payload_bytes_total',
    type: 'counter',
    help: 'Payloads of the messages among sprawl_storage_written_bytes_total.',
  },
  storageCommits: {
    name: 'sprawl_storage_commits_total',
    type: 'counter',
    help: 'Groups of records that were written and synced.',
  },
  storageLastCommitS: {
    name: 'sprawl_storage_last_commit_seconds',
    help: 'How long the last commit took, from the write to the end of the sync.',
  },
  storageFaults: {
    name: 'sprawl_storage_faults_total',
    type: 'counter',
    help: 'Writes and syncs of the log that failed.',
  },
  storageCheckpoints: {
    name: 'sprawl_storage_checkpoints_total',
    type: 'counter',
    help: 'How often the state of the sessions was written down.',
  },
  storagePrunedBytes: {
    name: 'sprawl_storage_pruned_bytes_total',
    type: 'counter',
    help: 'Bytes of the log that were removed because nobody needed them.',
  },
  storageCompactedBytes: {
    name: 'sprawl_storage_compacted_bytes_total',
    type: 'counter',
    help: 'Bytes of the log that became free when segments were written again with what is needed of them alone.',
  },
  storageLostPositions: {
    name: 'sprawl_storage_lost_positions',
    help: 'Records of the log that were found missing or damaged at the start.',
  },
  deviceWrittenBytes: {
    name: 'sprawl_device_written_bytes_total',
    type: 'counter',
    help: 'Bytes that the kernel has written to block devices for this process (/proc/self/io); 0: unknown.',
  },
  uptimeS: { name: 'sprawl_uptime_seconds', help: 'Time since the gateway started.' },
  eventLoopLagP50S: {
    name: 'nodejs_eventloop_lag_p50_seconds',
    help: 'How late the event loop was in half of the samples of the last seconds.',
  },
  eventLoopLagP99S: {
    name: 'nodejs_eventloop_lag_p99_seconds',
    help: 'How late the event loop was in all but 1 % of the samples of the last seconds.',
  },
  rssBytes: { name: 'process_resident_memory_bytes', help: 'Resident memory of the process.' },
  heapUsedBytes: { name: 'nodejs_heap_size_used_bytes', help: 'Used part of the JavaScript heap.' },
  heapTotalBytes: { name: 'nodejs_heap_size_total_bytes', help: 'Size of the JavaScript heap.' },
  externalBytes: { name: 'nodejs_external_memory_bytes', help: 'Buffers, outside the JavaScript heap.' },
  cpuS: {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    help: 'Processor time of the process, user and system.',
  },
  startedAtS: {
    name: 'process_start_time_seconds',
    help: 'When the process started, in seconds since 1970.',
  },
} as const satisfies Record<GaugeName, GaugeDefinition>;

/** In the order in which they are shown. */
export const GAUGE_NAMES = Object.keys(GAUGES) as readonly GaugeName[];

export function gaugeDefinitionOf(name: GaugeName): GaugeDefinition {
  return GAUGES[name];
}
