/**
 * Clients at home at each gateway, who publish for all others and hear all others: QoS 0, 1 and 2, both versions, with sessions that
 * outlive their connections and without, some of them away for a while. No shared groups: what a group gets of several gateways is
 * counted for each of them.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as elapse } from 'node:timers/promises';
import type { EventQoS } from '../history/event.js';
import type { HistorySink } from '../history/history-writer.js';
import { RecordingClient, type RecordingClientOptions } from '../history/recording-client.js';
import type { Random } from '../sim/random.js';
import type { MeshGateway } from './mesh-gateway.js';

/** Of one publisher: what waits while its gateway is away stays little. */
const OPEN_MAX_COUNT = 24;
const RETAIN_SHARE = 0.08;
const QOS: readonly [EventQoS, ...EventQoS[]] = [0, 1, 1, 2, 2];
const LEAVES = [0, 1, 2] as const;
const CHANGING = ['t/g1/#', 't/+/0', 'c/#'] as const;

export interface MeshFleetOptions {
  readonly history: HistorySink;
  readonly gateways: readonly MeshGateway[];
  readonly random: Random;
  /** In front of client ids, and what publishers are counted from: where there are several fleets. */
  readonly name?: string;
  readonly number?: number;
}

/** What one gateway heard of another one. */
interface Route {
  readonly from: MeshGateway;
  readonly to: MeshGateway;
  heardAtMs: number;
  longestMs: number;
}

export class MeshFleet {
  readonly clients: RecordingClient[] = [];
  /** Publishes that were acknowledged. */
  settledCount = 0;
  readonly #options: MeshFleetOptions;
  readonly #homes: MeshGateway[] = [];
  readonly #publishers: RecordingClient[];
  readonly #stayers: RecordingClient[];
  readonly #parked: RecordingClient[];
  readonly #churner: RecordingClient;
  readonly #absent = new Set<RecordingClient>();
  readonly #routes = new Map<string, Route>();
  #ticks: NodeJS.Timeout | undefined;
  #heardAtMs = 0;
  #changing: Promise<unknown> = Promise.resolve();

  constructor(options: MeshFleetOptions) {
    this.#options = options;
    const { gateways } = options;
    this.#publishers = gateways.map((home) => this.#create('p', home));
    this.#stayers = gateways.map((home) => this.#create('s', home, { receiveMaximum: 20 }));
    this.#parked = gateways.map((home) => this.#create('k', home, { version: 4 }));
    this.#churner = this.#create('churn', gateways[gateways.length - 1] as MeshGateway);
  }

  /** Connects everybody and makes the subscriptions that stay. The gateways have met. */
  async start(): Promise<void> {
    const { gateways } = this.#options;
    const old = gateways.map((home) => this.#create('w', home, { version: 4 }));
    const brief = gateways.map((home) => this.#create('z', home, { clean: true, expiryS: 0 }));
    for (const client of this.clients) client.start();
    await Promise.all([
      ...this.#stayers.flatMap((client) => [
        client.subscribe('t/#', { qos: 2 }),
        client.subscribe('r/#', { qos: 2 }),
      ]),
      ...this.#parked.map((client) => client.subscribe('t/+/0', { qos: 2 })),
      ...old.flatMap((client) => [
        client.subscribe('t/+/1', { qos: 1 }),
        client.subscribe('c/#', { qos: 2 }),
      ]),
      ...brief.flatMap((client) => [
        client.subscribe('t/+/2', { qos: 0 }),
        client.subscribe('r/#', { qos: 1 }),
      ]),
      this.#churner.subscribe('c/#', { qos: 1 }),
    ]);
  }

  /** Each publisher publishes so often. */
  load(everyMs: number): void {
    this.pause();
    this.#ticks = setInterval(() => this.#publishOnce(), everyMs);
  }

  pause(): void {
    clearInterval(this.#ticks);
    this.#ticks = undefined;
  }

  #publishOnce(): void {
    const { random } = this.#options;
    for (const publisher of this.#publishers) {
      if (publisher.pendingCount >= OPEN_MAX_COUNT) continue;
      const home = this.#homes[this.clients.indexOf(publisher)]?.name ?? '';
      const leaf = random.pick(LEAVES);
      const retain = random.chance(RETAIN_SHARE);
      const common = random.chance(0.2) ? `c/${leaf}` : `t/${home}/${leaf}`;
      const qos = retain ? 1 : random.pick(QOS);
      const topic = retain ? `r/${home}/${leaf}` : common;
      const published = publisher.publish({ topic, qos, retain, paddingBytes: random.integer(0, 200) });
      void published.then((outcome) => {
        if (outcome === 'ok') this.settledCount++;
      });
    }
  }

  /** One of those that come and go comes or goes; subscriptions change; a connection breaks. */
  disturb(): void {
    const { random } = this.#options;
    const parked = random.pick(this.#parked as [RecordingClient, ...RecordingClient[]]);
    if (this.#absent.delete(parked)) {
      parked.start();
    } else if (parked.connected) {
      parked.leave();
      this.#absent.add(parked);
    }
    if (this.#churner.connected) {
      const filter = random.pick(CHANGING);
      const change = random.chance(0.5)
        ? this.#churner.subscribe(filter, { qos: random.chance(0.5) ? 2 : 1 })
        : this.#churner.unsubscribe(filter);
      this.#changing = Promise.all([this.#changing, change]);
    }
    if (random.chance(0.3)) random.pick(this.#publishers as [RecordingClient, ...RecordingClient[]]).cut();
    if (random.chance(0.3)) random.pick(this.#stayers as [RecordingClient, ...RecordingClient[]]).cut();
  }

  /** From now on gaps in what gateways hear of each other are measured. */
  watch(): void {
    const now = performance.now();
    for (const route of this.#routes.values()) {
      route.heardAtMs = now;
      route.longestMs = 0;
    }
  }

  /** Since `watch`: the longest time that one of these has heard nothing of another one, and who. */
  longestGap(who: readonly MeshGateway[]): { readonly ms: number; readonly who: string } {
    const now = performance.now();
    let longest = { ms: 0, who: 'nobody' };
    for (const from of who)
      for (const to of who) {
        const route = this.#routes.get(`${from.name} ${to.name}`);
        const ms = route === undefined ? Infinity : Math.max(route.longestMs, now - route.heardAtMs);
        if (ms > longest.ms) longest = { ms, who: `${to.name} of ${from.name}` };
      }
    return longest;
  }

  /** Every gateway has heard every other one of these since `watch`. */
  hasHeard(who: readonly MeshGateway[]): boolean {
    return who.every((from) =>
      who.every((to) => (this.#routes.get(`${from.name} ${to.name}`)?.longestMs ?? 0) > 0),
    );
  }

  /** No more work: everybody connected, everything acknowledged. */
  async drain(): Promise<void> {
    this.pause();
    this.#absent.clear();
    for (const client of this.clients) client.start();
    await Promise.all(this.clients.map((client) => client.whenConnected()));
    await Promise.all(this.clients.map((client) => client.whenSettled()));
    await this.#changing;
  }

  /** New clients, one at each gateway, get what is retained. */
  async readRetained(): Promise<void> {
    const { gateways } = this.#options;
    const readers = gateways.map((home) => this.#create('reader', home, { clean: true, expiryS: 0 }));
    for (const reader of readers) reader.start();
    await Promise.all(readers.map((reader) => reader.subscribe('r/#', { qos: 2 })));
  }

  /** Resolves when nobody has got anything for so long. Not later than `maxMs`. */
  async whenQuiet(forMs: number, maxMs: number): Promise<void> {
    const startedAtMs = performance.now();
    this.#heardAtMs = startedAtMs;
    while (performance.now() - this.#heardAtMs < forMs && performance.now() - startedAtMs < maxMs)
      // eslint-disable-next-line no-await-in-loop
      await elapse(forMs / 10);
  }

  leave(): void {
    this.pause();
    for (const client of this.clients) client.leave();
  }

  /** What gateways did against the protocol. */
  get faults(): string[] {
    return this.clients.flatMap(({ faults }) => faults);
  }

  #create(name: string, home: MeshGateway, changes: Partial<RecordingClientOptions> = {}): RecordingClient {
    const { history, random, name: fleet, number = 0 } = this.#options;
    const clientId = `${fleet === undefined ? '' : `${fleet}-`}${name}-${home.name}`;
    const client = new RecordingClient({
      ...{
        history,
        actor: clientId,
        publisher: number + this.clients.length,
        clientId,
        endpoint: home.endpoint,
      },
      ...{ reconnectMinMs: 20, reconnectMaxMs: 300, inflightMax: 12, keepAliveS: 20 },
      random: () => random.float(),
      ...changes,
      onMessage: (mid) => {
        this.#heardAtMs = performance.now();
        const from = mid === null ? undefined : this.#homes[mid.pub - number];
        if (name === 's' && from !== undefined) this.#heard(from, home);
      },
    });
    this.clients.push(client);
    this.#homes.push(home);
    return client;
  }

  #heard(from: MeshGateway, to: MeshGateway): void {
    const key = `${from.name} ${to.name}`;
    const now = performance.now();
    const route = this.#routes.get(key);
    if (route === undefined) {
      this.#routes.set(key, { from, to, heardAtMs: now, longestMs: 0 });
      return;
    }
    route.longestMs = Math.max(route.longestMs, now - route.heardAtMs);
    route.heardAtMs = now;
  }
}
