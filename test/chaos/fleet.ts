/**
 * The clients of a proof and what they do: publishers of QoS 1 and 2, subscribers of both versions, members of a shared
 * group, sessions that are away for a while and come back to their backlog, one that subscribes and unsubscribes, one that begins
 * anew each time. All but the last have sessions that outlive their connections.
 */
import { setTimeout as elapse } from 'node:timers/promises';
import type { HistorySink } from '../history/history-writer.js';
import { RecordingClient, type RecordingClientOptions } from '../history/recording-client.js';
import type { Random } from '../sim/random.js';

/** Publishes that one publisher has open at most: what waits while the gateway is away stays little. */
const OPEN_MAX_COUNT = 24;
const TICK_MS = 5;
const ASK_EVERY_MS = 40;
const TOPICS = ['t/0', 't/1', 't/2', 't/3'] as const;
const RETAINED = ['r/0', 'r/1', 'r/2'] as const;
const CHANGING = ['t/0', 't/+', 'r/#', 'c/#'] as const;

export interface FleetOptions {
  readonly history: HistorySink;
  readonly port: number;
  readonly random: Random;
  /** Bytes that a payload has at most, beyond its name. Default 200. */
  readonly paddingMaxBytes?: number;
}

export class Fleet {
  readonly clients: RecordingClient[] = [];
  readonly publishers: RecordingClient[];
  readonly #options: FleetOptions;
  readonly #parked: RecordingClient[];
  readonly #absent = new Set<RecordingClient>();
  readonly #churner: RecordingClient;
  readonly #fresh: RecordingClient;
  #ticks: NodeJS.Timeout | undefined;
  #okCount = 0;
  #heardAtMs = 0;
  #onOk: (() => void)[] = [];
  #changing: Promise<unknown> = Promise.resolve();

  constructor(options: FleetOptions) {
    this.#options = options;
    this.publishers = [this.#create('p5'), this.#create('p4', { version: 4 }), this.#create('q5')];
    this.#parked = [this.#create('k5'), this.#create('k4', { version: 4 })];
    this.#churner = this.#create('churn');
    this.#fresh = this.#create('fresh', { clean: true, expiryS: 0 });
  }

  /** Publishes that were acknowledged. */
  get okCount(): number {
    return this.#okCount;
  }

  /** Connects everybody and makes the subscriptions that stay. */
  async start(): Promise<void> {
    const all5 = this.#create('all5', { receiveMaximum: 12 });
    const all4 = this.#create('all4', { version: 4 });
    const members = [this.#create('g5'), this.#create('g4', { version: 4 })];
    for (const client of this.clients) client.start();
    await Promise.all([
      all5.subscribe('t/#', { qos: 2 }),
      all5.subscribe('r/#', { qos: 1 }),
      all4.subscribe('t/#', { qos: 1 }),
      ...members.map((member) => member.subscribe('$share/g/t/+', { qos: 2 })),
      ...this.#parked.map((client, i) => client.subscribe('t/#', { qos: i === 0 ? 2 : 1 })),
      this.#churner.subscribe('c/#', { qos: 1 }),
      this.#fresh.subscribe('r/#', { qos: 1 }),
    ]);
  }

  /** Publishes go on until `pause`, as fast as they are acknowledged. */
  load(everyMs = TICK_MS): void {
    this.pause();
    this.#ticks = setInterval(() => this.publishOnce(), everyMs);
  }

  /** A little, while it may be refused: what is refused shows nothing. */
  ask(): void {
    this.load(ASK_EVERY_MS);
  }

  /** One message of each publisher that is not behind. */
  publishOnce(): void {
    const { random, paddingMaxBytes = 200 } = this.#options;
    for (const publisher of this.publishers) {
      if (publisher.pendingCount >= OPEN_MAX_COUNT) continue;
      const retain = random.chance(0.15);
      const published = publisher.publish({
        topic: random.pick(retain ? RETAINED : TOPICS),
        qos: random.chance(0.5) ? 2 : 1,
        retain,
        paddingBytes: random.integer(0, paddingMaxBytes),
      });
      void published.then((outcome) => {
        if (outcome === 'ok') this.#counted();
      });
    }
  }

  pause(): void {
    clearInterval(this.#ticks);
    this.#ticks = undefined;
  }

  /** One of those that come and go comes or goes; subscriptions change; connections break. */
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
    if (random.chance(0.3)) this.#fresh.cut();
    if (random.chance(0.2)) random.pick(this.clients as [RecordingClient, ...RecordingClient[]]).cut();
    // Those that are away stay away: `cut` would have brought them back.
    for (const client of this.#absent) client.cut({ comeBack: false });
  }

  /** While there is load: resolves when something is acknowledged next. */
  served(): Promise<void> {
    return new Promise<void>((resolve) => this.#onOk.push(resolve));
  }

  /** One after the other: how long messages of QoS 0 take to a subscriber. */
  async qos0RoundTrips(count: number, everyMs: number): Promise<number[]> {
    const seen = new Set<number>();
    const subscriber = this.#create('zero', { onMessage: (mid) => mid !== null && seen.add(mid.seq) });
    const publisher = this.#create('nought', {});
    for (const client of [subscriber, publisher]) client.start();
    await subscriber.subscribe('zero', { qos: 0 });
    await publisher.whenConnected();
    const times: number[] = [];
    for (let i = 0; i < count; i++) {
      const startedAtMs = performance.now();
      await publisher.publish({ topic: 'zero', qos: 0 });
      await subscriber.until(() => seen.has(i));
      times.push(performance.now() - startedAtMs);
      await elapse(everyMs);
    }
    return times;
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

  /** Resolves when nobody has got anything for so long: backlogs are empty. Not later than `maxMs`. */
  async whenQuiet(forMs: number, maxMs: number): Promise<void> {
    const startedAtMs = performance.now();
    this.#heardAtMs = startedAtMs;
    while (performance.now() - this.#heardAtMs < forMs && performance.now() - startedAtMs < maxMs)
      await elapse(forMs / 10);
  }

  leave(): void {
    this.pause();
    for (const client of this.clients) client.leave();
  }

  /** What the gateway did against the protocol. */
  get faults(): string[] {
    return this.clients.flatMap(({ faults }) => faults);
  }

  #counted(): void {
    this.#okCount++;
    for (const resume of this.#onOk.splice(0)) resume();
  }

  #create(clientId: string, changes: Partial<RecordingClientOptions> = {}): RecordingClient {
    const { history, port, random } = this.#options;
    const client = new RecordingClient({
      ...{ history, actor: clientId, publisher: this.clients.length, clientId, endpoint: { port } },
      ...{ reconnectMinMs: 10, reconnectMaxMs: 150, inflightMax: 12 },
      random: () => random.float(),
      ...changes,
      onMessage: (mid, topic) => {
        this.#heardAtMs = performance.now();
        changes.onMessage?.(mid, topic);
      },
    });
    this.clients.push(client);
    return client;
  }
}
