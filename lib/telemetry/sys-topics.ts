/**
 * `$SYS/broker/...` with the names and formats of mosquitto 2.0, which is what exporters and dashboards know. Every topic
 * is retained and published when its text changed. docs/metrics.md says where a figure means something else here.
 */
import type { Clock } from '../contracts/clock.js';
import { C, COUNTER_NAMES, type CounterName, type Counters } from './counters.js';
import type { GatewayView } from './gauges.js';
import { LOAD_WINDOW_NAMES, LoadAverage } from './load-average.js';

const ROOT = '$SYS/broker/';

/** Counters whose names begin with `prefix`. */
function indicesOf(prefix: string): readonly number[] {
  return COUNTER_NAMES.filter((name) => name.startsWith(prefix)).map((name) => C[name]);
}

const at = (...names: readonly CounterName[]): readonly number[] => names.map((name) => C[name]);

const PUBLISH_RECEIVED = indicesOf('messagesReceivedQoS');
const PUBLISH_SENT = indicesOf('messagesSentQoS');

/** Totals that are sums of counters, by their topic below `$SYS/broker/`. */
const TOTALS = {
  'messages/received': [...PUBLISH_RECEIVED, ...indicesOf('received')],
  'messages/sent': [...PUBLISH_SENT, ...indicesOf('sent')],
  'publish/messages/received': PUBLISH_RECEIVED,
  'publish/messages/sent': PUBLISH_SENT,
  // mosquitto counts what its limits cost, not what nobody wanted.
  'publish/messages/dropped': at('droppedSlowConsumer', 'droppedQueueFull', 'droppedMemory'),
  'publish/bytes/received': at('messageBytesReceived'),
  'publish/bytes/sent': at('messageBytesSent'),
  'bytes/received': at('bytesReceived'),
  'bytes/sent': at('bytesSent'),
  'clients/expired': at('sessionsExpired'),
} as const satisfies Record<string, readonly number[]>;

/** What has load averages, by the topic below `$SYS/broker/load/`. */
const LOADS = {
  'messages/received': TOTALS['messages/received'],
  'messages/sent': TOTALS['messages/sent'],
  'publish/dropped': TOTALS['publish/messages/dropped'],
  'publish/received': PUBLISH_RECEIVED,
  'publish/sent': PUBLISH_SENT,
  'bytes/received': TOTALS['bytes/received'],
  'bytes/sent': TOTALS['bytes/sent'],
  /** Sockets that were accepted. */
  sockets: [...at('connectionsAccepted'), ...indicesOf('connectionRefused')],
  /** CONNECT packets. */
  connections: at('receivedConnect'),
} as const satisfies Record<string, readonly number[]>;

/** What is shown of a view, by the topic below `$SYS/broker/`. */
const FIGURES = {
  version: (view) => `sprawl-edge version ${view.version}`,
  uptime: (view) => `${Math.floor(view.uptimeS)} seconds`,
  'clients/total': (view) => String(view.clientsTotal),
  'clients/connected': (view) => String(view.clientsConnected),
  'clients/active': (view) => String(view.clientsConnected),
  'clients/disconnected': (view) => String(view.clientsDisconnected),
  'clients/inactive': (view) => String(view.clientsDisconnected),
  'clients/maximum': (view) => String(view.clientsMaximum),
  'messages/inflight': (view) => String(view.inflight),
  'messages/stored': (view) => String(storedCount(view)),
  'store/messages/count': (view) => String(storedCount(view)),
  'store/messages/bytes': (view) => String(view.retainedBytes + view.queuedBytes),
  'subscriptions/count': (view) => String(view.subscriptions - view.sharedSubscriptions),
  'shared_subscriptions/count': (view) => String(view.sharedSubscriptions),
  'retained messages/count': (view) => String(view.retainedCount),
  'heap/current': (view) => String(heapBytes(view)),
} as const satisfies Record<string, (view: GatewayView) => string>;

const HEAP_MAXIMUM = 'heap/maximum';

function storedCount(view: GatewayView): number {
  return view.retainedCount + view.queuedMessages + view.inflight;
}

function heapBytes(view: GatewayView): number {
  return view.heapUsedBytes + view.externalBytes;
}

function sum(counters: Counters, indices: readonly number[]): number {
  return indices.reduce((total, index) => total + (counters[index] ?? 0), 0);
}

/** Every topic that is published. */
export const SYS_TOPICS: readonly string[] = [
  ...Object.keys(FIGURES),
  HEAP_MAXIMUM,
  ...Object.keys(TOTALS),
  ...Object.keys(LOADS).flatMap((load) => LOAD_WINDOW_NAMES.map((window) => `load/${load}/${window}`)),
].map((name) => ROOT + name);

export interface SysTopicsOptions {
  view(): GatewayView;
  readonly counters: Counters;
  publish(topic: string, payload: string, retain: true): void;
  /** Seconds between updates; 0 is off. */
  readonly intervalS: number;
  readonly clock: Pick<Clock, 'now'>;
}

export interface SysTopics {
  /** Publishes every topic. Without effect where `intervalS` is 0 or it has started. */
  start(): void;
  /** To be called some times a second: publishes what changed, once the interval has passed. */
  tick(): void;
  /** Nothing is published afterwards. What is retained stays. Idempotent. */
  stop(): void;
}

export function createSysTopics(options: SysTopicsOptions): SysTopics {
  return new Publisher(options);
}

class Publisher implements SysTopics {
  readonly #options: SysTopicsOptions;
  readonly #published = new Map<string, string>();
  readonly #loads = new Map<string, { indices: readonly number[]; average: LoadAverage }>();
  #lastAt: number | undefined;
  #heapMaxBytes = 0;

  constructor(options: SysTopicsOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, counters, intervalS } = this.#options;
    if (intervalS === 0 || this.#lastAt !== undefined) return;
    this.#lastAt = clock.now();
    this.#published.clear();
    for (const [load, indices] of Object.entries(LOADS)) {
      this.#loads.set(load, { indices, average: new LoadAverage(sum(counters, indices)) });
    }
    this.#update();
  }

  tick(): void {
    if (this.#lastAt === undefined) return;
    const { clock, counters, intervalS } = this.#options;
    const now = clock.now();
    const elapsedS = (now - this.#lastAt) / 1000;
    if (elapsedS < intervalS) return;
    this.#lastAt = now;
    for (const { indices, average } of this.#loads.values()) average.update(sum(counters, indices), elapsedS);
    this.#update();
  }

  stop(): void {
    this.#lastAt = undefined;
  }

  #update(): void {
    const { counters } = this.#options;
    const view = this.#options.view();
    this.#heapMaxBytes = Math.max(this.#heapMaxBytes, heapBytes(view));
    for (const [name, text] of Object.entries(FIGURES)) this.#put(name, text(view));
    this.#put(HEAP_MAXIMUM, String(this.#heapMaxBytes));
    for (const [name, indices] of Object.entries(TOTALS)) this.#put(name, String(sum(counters, indices)));
    for (const [load, { average }] of this.#loads) {
      for (const window of LOAD_WINDOW_NAMES)
        this.#put(`load/${load}/${window}`, average.of(window).toFixed(2));
    }
  }

  #put(name: string, payload: string): void {
    if (this.#published.get(name) === payload) return;
    this.#published.set(name, payload);
    this.#options.publish(ROOT + name, payload, true);
  }
}
