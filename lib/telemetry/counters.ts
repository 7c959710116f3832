/**
 * Every counter of the message path, as indices into one Float64Array: an increment costs one load and one store and
 * never allocates. The table below gives each its name at /metrics; docs list the reasons from it.
 */

interface CounterDefinition {
  /** Prometheus name without the `sprawl_` prefix. */
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly help: string;
}

const received = (packet: string): CounterDefinition => ({
  name: 'packets_received_total',
  labels: { packet },
  help: 'Control packets received from clients, by type.',
});
const sent = (packet: string): CounterDefinition => ({
  name: 'packets_sent_total',
  labels: { packet },
  help: 'Control packets sent to clients, by type.',
});
const dropped = (reason: string): CounterDefinition => ({
  name: 'messages_dropped_total',
  labels: { reason },
  help: 'Messages not delivered to one subscriber (or to nobody, reason no_subscriber), by reason.',
});
const refused = (reason: string): CounterDefinition => ({
  name: 'messages_refused_total',
  labels: { reason },
  help: 'Publishes that were not accepted, by reason.',
});
const notLogged = (reason: string): CounterDefinition => ({
  name: 'archive_not_logged_total',
  labels: { reason },
  help: 'Messages of QoS 0 of archived topics that were delivered and are not archived, because the log did not take them, by reason.',
});
const subscriptionRefused = (reason: string): CounterDefinition => ({
  name: 'subscriptions_refused_total',
  labels: { reason },
  help: 'Filters of SUBSCRIBE packets that were refused, by reason.',
});
const connectionRefused = (reason: string): CounterDefinition => ({
  name: 'connections_refused_total',
  labels: { reason },
  help: 'Connections that never became a session, by reason.',
});
const disconnected = (reason: string): CounterDefinition => ({
  name: 'disconnects_total',
  labels: { reason },
  help: 'Ended connections of accepted clients, by reason.',
});
const message = (direction: 'received' | 'sent', qos: string): CounterDefinition => ({
  name: `messages_${direction}_total`,
  labels: { qos },
  help: `PUBLISH packets ${direction}, by the QoS in the packet.`,
});

export const COUNTERS = {
  bytesReceived: { name: 'bytes_received_total', help: 'Bytes received from clients.' },
  bytesSent: { name: 'bytes_sent_total', help: 'Bytes handed to client sockets.' },
  messagesReceivedQoS0: message('received', '0'),
  messagesReceivedQoS1: message('received', '1'),
  messagesReceivedQoS2: message('received', '2'),
  messagesSentQoS0: message('sent', '0'),
  messagesSentQoS1: message('sent', '1'),
  messagesSentQoS2: message('sent', '2'),
  messageBytesReceived: { name: 'message_bytes_received_total', help: 'Bytes of PUBLISH packets received.' },
  messageBytesSent: { name: 'message_bytes_sent_total', help: 'Bytes of PUBLISH packets sent.' },
  messagesRedelivered: {
    name: 'messages_redelivered_total',
    help: 'PUBLISH and PUBREL sent again after a reconnect or by the retry policy.',
  },
  receivedConnect: received('connect'),
  receivedPuback: received('puback'),
  receivedPubrec: received('pubrec'),
  receivedPubrel: received('pubrel'),
  receivedPubcomp: received('pubcomp'),
  receivedSubscribe: received('subscribe'),
  receivedUnsubscribe: received('unsubscribe'),
  receivedPingreq: received('pingreq'),
  receivedDisconnect: received('disconnect'),
  receivedAuth: received('auth'),
  sentConnack: sent('connack'),
  sentPuback: sent('puback'),
  sentPubrec: sent('pubrec'),
  sentPubrel: sent('pubrel'),
  sentPubcomp: sent('pubcomp'),
  sentSuback: sent('suback'),
  sentUnsuback: sent('unsuback'),
  sentPingresp: sent('pingresp'),
  sentDisconnect: sent('disconnect'),
  sentAuth: sent('auth'),
  droppedNoSubscriber: dropped('no_subscriber'),
  droppedSlowConsumer: dropped('slow_consumer'),
  droppedQueueFull: dropped('queue_full'),
  droppedMemory: dropped('memory'),
  droppedExpired: dropped('expired'),
  droppedTooLarge: dropped('too_large'),
  droppedNotForwarded: dropped('not_forwarded'),
  droppedOffline: dropped('offline'),
  droppedEncodeFailure: dropped('encode_failure'),
  droppedRefusedByClient: dropped('refused_by_client'),
  droppedRetriesExhausted: dropped('retries_exhausted'),
  droppedSessionEnded: dropped('session_ended'),
  droppedWill: dropped('will'),
  refusedNotAuthorized: refused('not_authorized'),
  refusedTopicInvalid: refused('topic_invalid'),
  refusedQuota: refused('quota'),
  refusedStorage: refused('storage'),
  refusedHeld: refused('held'),
  refusedRetained: refused('retained_limit'),
  refusedRetainedQuota: refused('retained_quota'),
  subscriptionRefusedInvalid: subscriptionRefused('filter_invalid'),
  subscriptionRefusedNotAuthorized: subscriptionRefused('not_authorized'),
  subscriptionRefusedWildcard: subscriptionRefused('wildcard'),
  subscriptionRefusedQuota: subscriptionRefused('quota'),
  deadLettered: {
    name: 'messages_dead_lettered_total',
    help: 'Messages published again to the dead-letter topic.',
  },
  archiveNotLoggedQuota: notLogged('quota'),
  archiveNotLoggedStorage: notLogged('storage'),
  meshRetainedSuperseded: {
    name: 'mesh_retained_superseded_total',
    help: 'Retained messages of other gateways that came when a newer one was known.',
  },
  connectionsAccepted: {
    name: 'connections_accepted_total',
    help: 'Connections whose CONNECT was answered with success.',
  },
  connectionRefusedProtocol: connectionRefused('protocol'),
  connectionRefusedTimeout: connectionRefused('timeout'),
  connectionRefusedTooLarge: connectionRefused('too_large'),
  connectionRefusedCredentials: connectionRefused('credentials'),
  connectionRefusedNotAuthorized: connectionRefused('not_authorized'),
  connectionRefusedLimit: connectionRefused('limit'),
  connectionRefusedRate: connectionRefused('rate'),
  connectionRefusedHook: connectionRefused('hook'),
  connectionRefusedClosed: connectionRefused('closed_before_connack'),
  disconnectedByClient: disconnected('client'),
  disconnectedNetwork: disconnected('network'),
  disconnectedKeepAlive: disconnected('keep_alive'),
  disconnectedTakenOver: disconnected('taken_over'),
  disconnectedProtocol: disconnected('protocol'),
  disconnectedShutdown: disconnected('shutdown'),
  disconnectedAdministrative: disconnected('administrative'),
  disconnectedSlowConsumer: disconnected('slow_consumer'),
  sessionsExpired: { name: 'sessions_expired_total', help: 'Sessions whose expiry interval passed.' },
  willsPublished: { name: 'wills_published_total', help: 'Will messages published.' },
  routeCacheHits: {
    name: 'route_cache_hits_total',
    help: 'Topics whose subscribers were found in the route cache.',
  },
  routeCacheMisses: {
    name: 'route_cache_misses_total',
    help: 'Topics whose subscribers were looked up in the subscription trie.',
  },
} as const satisfies Record<string, CounterDefinition>;

export type CounterName = keyof typeof COUNTERS;
export const COUNTER_NAMES = Object.keys(COUNTERS) as readonly CounterName[];

/** Position of each counter in `Counters`. */
export const C = Object.fromEntries(COUNTER_NAMES.map((name, index) => [name, index])) as Readonly<
  Record<CounterName, number>
>;

/** Counters of one gateway; they start at 0 and only grow. Index with `C.<name>`. */
export type Counters = Float64Array;

export function createCounters(): Counters {
  return new Float64Array(COUNTER_NAMES.length);
}

export function definitionOf(name: CounterName): CounterDefinition {
  return COUNTERS[name];
}

/** Adds to one counter; small enough that the optimising compiler always inlines it. */
export function count(counters: Counters, index: number, by = 1): void {
  counters[index] = (counters[index] as number) + by;
}
