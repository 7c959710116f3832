/**
 * Everything that clients do all day, at a rate that a machine beside it does not notice, and none of which may leave anything: publishers of each
 * QoS on topics that stay and on topics that are new; visitors with wildcards, who publish; sessions that are away and come back to a backlog, and such as
 * expire; retained messages that are set and removed; filters that come and go; scrapes over HTTP. Most of it at one gateway, some at its neighbour.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as elapse } from 'node:timers/promises';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import type { Random } from '../../sim/random.js';

const PUBLISH_EVERY_MS = 10;
const PUBLISH_ABROAD_EVERY_MS = 40;
const OPEN_MAX_COUNT = 100;
const CONNECTING_MAX_COUNT = 20;
const TOPICS = 50;
const RETAINED_TOPICS = 200;
const PAYLOAD_MAX_BYTES = 500;
/** One topic in so many is used once and never again. */
const NEW_TOPIC_CHANCE = 0.1;
const VISIT_EVERY_MS = 400;
const VISIT_MAX_MS = 3000;
const VISIT_ABROAD_CHANCE = 0.3;
const AWAY_MAX_MS = 8000;
const EXPIRES_S = 5;
const RETAIN_EVERY_MS = 50;
const CHURN_EVERY_MS = 50;
const SCRAPE_EVERY_MS = 5000;
/** The first sessions are away for less, so that a short run has all of it. */
const FIRST_AWAY_MS = 1000;

export interface LoadCounts {
  /** Publishes that the gateway answered; of QoS 0 those that left. */
  readonly published: [qos0: number, qos1: number, qos2: number];
  received: number;
  /** To sessions that were away. */
  backlog: number;
  /** By one who stays at the neighbour. */
  abroad: number;
  visits: number;
  returns: number;
  expiring: number;
  retained: number;
  removed: number;
  filters: number;
  scrapes: number;
}

export interface LoadTarget {
  readonly host: string;
  readonly port: number;
  readonly httpPort: number;
}

export class MixedLoad {
  readonly counts: LoadCounts = {
    published: [0, 0, 0],
    ...{ received: 0, backlog: 0, abroad: 0, visits: 0, returns: 0, expiring: 0, retained: 0, removed: 0 },
    ...{ filters: 0, scrapes: 0 },
  };
  readonly faults: string[] = [];
  readonly #home: LoadTarget;
  readonly #neighbour: LoadTarget;
  readonly #random: Random;
  readonly #clients = new Set<MqttClient>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #over = new AbortController();
  readonly #work: Promise<void>[] = [];
  readonly #open = [0, 0, 0];
  #topics = 0;
  #visitors = 0;
  #isPaused = false;

  /** @param targets two; most is done at the first */
  constructor([home, neighbour]: readonly LoadTarget[], random: Random) {
    if (home === undefined || neighbour === undefined) throw new Error('two gateways');
    this.#home = home;
    this.#neighbour = neighbour;
    this.#random = random;
    // As many as wait at a time.
    setMaxListeners(0, this.#over.signal);
  }

  async start(): Promise<void> {
    const staying = await this.#connect(
      'staying',
      { clean: false },
      this.#home,
      () => this.counts.received++,
    );
    await staying.subscribeAsync('soak/#', { qos: 2 });
    const abroad = await this.#connect(
      'abroad',
      { clean: false },
      this.#neighbour,
      () => this.counts.abroad++,
    );
    await abroad.subscribeAsync('soak/#', { qos: 1 });
    const publishers = await Promise.all([0, 1, 2].map((qos) => this.#connect(`publisher-${qos}`, {})));
    const foreigner = await this.#connect('foreigner', {}, this.#neighbour);
    const churner = await this.#connect('churner', {});
    const keeper = await this.#connect('keeper', {});
    this.#every(PUBLISH_EVERY_MS, () =>
      publishers.forEach((client, qos) => this.#publish(client, qos as 0 | 1 | 2)),
    );
    this.#every(PUBLISH_ABROAD_EVERY_MS, () => this.#publish(foreigner, 1));
    this.#every(RETAIN_EVERY_MS, () => this.#retain(this.#random.chance(0.8) ? keeper : foreigner));
    this.#every(CHURN_EVERY_MS, () => this.#work.push(this.#guarded(() => this.#churn(churner))));
    this.#every(VISIT_EVERY_MS, () => this.#work.push(this.#guarded(() => this.#visit())));
    this.#every(SCRAPE_EVERY_MS, () => this.#work.push(this.#guarded(() => this.#scrape())));
    for (const name of ['parked-0', 'parked-1', 'parked-2'])
      this.#work.push(this.#guarded(() => this.#comeAndGo(name)));
  }

  /**
   * Fills what is meant to be bounded in number, so that it does not look like growth later: as many publishers as given at each gateway, then as
   * many topics from each, which are used once, each for a session at each gateway that is away and comes for them.
   */
  async fillCaches({
    topics,
    publishers,
  }: {
    readonly topics: number;
    readonly publishers: number;
  }): Promise<void> {
    for (let n = 0; n < publishers; n += CONNECTING_MAX_COUNT)
      // So many are under way at once.
      // eslint-disable-next-line no-await-in-loop
      await Promise.all(
        Array.from({ length: CONNECTING_MAX_COUNT }, async (_, k) => {
          const client = await this.#connect(`once-${n + k}`, {}, k % 2 === 0 ? this.#home : this.#neighbour);
          await client.publishAsync('fill/publishers', 'x', { qos: 1 });
          this.#clients.delete(client);
          await client.endAsync();
        }),
      );
    const parked = [this.#home, this.#neighbour].map((at, i) => ({ at, clientId: `filled-${i}` }));
    const visit = async ({ at, clientId }: (typeof parked)[number], count: number): Promise<void> => {
      const properties = { sessionExpiryInterval: count === 0 ? 3600 : 1 };
      let left = count;
      let done = (): void => undefined;
      const all = new Promise<void>((resolve) => (done = resolve));
      const client = await this.#connect(clientId, { clean: false, properties }, at, () => {
        if (--left === 0) done();
      });
      if (count === 0) await client.subscribeAsync('fill/#', { qos: 1 });
      else await all;
      this.#clients.delete(client);
      await client.endAsync();
    };
    await Promise.all(parked.map((one) => visit(one, 0)));
    await Promise.all(
      parked.map(async ({ at }, i) => {
        const client = await this.#connect(`filler-${i}`, {}, at);
        for (let n = 0; n < topics; n += OPEN_MAX_COUNT) {
          const batch = Math.min(OPEN_MAX_COUNT, topics - n);
          // So many are under way at once.
          // eslint-disable-next-line no-await-in-loop
          await Promise.all(
            Array.from({ length: batch }, (_, k) =>
              client.publishAsync(`fill/${i}/${n + k}`, 'x', { qos: 1 }),
            ),
          );
        }
        this.#clients.delete(client);
        await client.endAsync();
      }),
    );
    await Promise.all(parked.map((one) => visit(one, 2 * topics)));
  }

  /** Nothing new begins; who is there stays for as long as it wanted to. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
  }

  async stop(): Promise<void> {
    this.#over.abort();
    for (const timer of this.#timers) clearInterval(timer);
    for (const client of this.#clients) client.end(true);
    await Promise.all(this.#work);
  }

  #every(everyMs: number, act: () => void): void {
    this.#timers.push(
      setInterval(() => {
        if (!this.#isPaused) act();
        // What is over is of no interest, and would add up.
        if (this.#work.length > 10_000) this.#work.splice(0, 5_000);
      }, everyMs),
    );
  }

  /** What the end of the run breaks is no fault. */
  async #guarded(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (!this.#over.signal.aborted) this.#fault(String(error));
    }
  }

  #fault(text: string): void {
    if (this.faults.length < 20) this.faults.push(text);
  }

  /** @param onMessage also for what comes in one read with the CONNACK */
  async #connect(
    clientId: string,
    options: IClientOptions,
    at = this.#home,
    onMessage?: () => void,
  ): Promise<MqttClient> {
    const client = mqtt.connect({
      ...{ host: at.host, port: at.port, protocolVersion: 5, clientId, reconnectPeriod: 0 },
      ...options,
    });
    if (onMessage !== undefined) client.on('message', onMessage);
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.once('error', reject);
    });
    this.#clients.add(client);
    // Of those that are leaving: their stream is gone.
    client.on('error', (error) => {
      if (this.#clients.has(client) && !this.#over.signal.aborted)
        this.#fault(`${clientId}: ${error.message}`);
    });
    return client;
  }

  async #leave(client: MqttClient): Promise<void> {
    this.#clients.delete(client);
    if (this.#random.chance(0.5)) await client.endAsync();
    else {
      // As a client whose network is gone.
      client.stream.destroy();
      await client.endAsync(true);
    }
  }

  #publish(client: MqttClient, qos: 0 | 1 | 2): void {
    if ((this.#open[qos] ?? 0) >= OPEN_MAX_COUNT || this.#over.signal.aborted) return;
    const isNew = this.#random.chance(NEW_TOPIC_CHANCE);
    const topic = isNew ? `soak/new/${++this.#topics}` : `soak/${this.#random.integer(0, TOPICS - 1)}/value`;
    const text = 'x'.repeat(this.#random.integer(1, PAYLOAD_MAX_BYTES));
    this.#open[qos] = (this.#open[qos] ?? 0) + 1;
    client.publish(topic, JSON.stringify({ celsius: this.#random.float(), text }), { qos }, (error) => {
      this.#open[qos] = (this.#open[qos] ?? 1) - 1;
      if (error === undefined || error === null) this.counts.published[qos]++;
      else if (!this.#over.signal.aborted) this.#fault(`a publish of QoS ${qos}: ${error.message}`);
    });
  }

  /** As often set as removed. */
  #retain(client: MqttClient): void {
    const isRemoval = this.#random.chance(0.5);
    const topic = `soak/retained/${this.#random.integer(0, RETAINED_TOPICS - 1)}`;
    const payload = isRemoval ? '' : 'r'.repeat(this.#random.integer(1, PAYLOAD_MAX_BYTES));
    client.publish(topic, payload, { qos: 1, retain: true }, () => {
      if (isRemoval) this.counts.removed++;
      else this.counts.retained++;
    });
  }

  /** A filter that nobody had before, and that is gone soon. */
  async #churn(client: MqttClient): Promise<void> {
    const filter = `soak/${this.#random.pick(['+', 'new', 'retained', '#'])}`;
    const name = filter.endsWith('#') ? filter : `${filter}/${this.#random.u32()}/#`;
    await client.subscribeAsync(name, { qos: 1 });
    await client.unsubscribeAsync(name);
    this.counts.filters++;
  }

  /** Somebody who was never there before: a visitor, a member of a group, or a session that expires by itself. */
  async #visit(): Promise<void> {
    const expires = this.#random.chance(0.3);
    const options: IClientOptions = {
      protocolVersion: expires || this.#random.chance(0.5) ? 5 : 4,
      clean: !expires,
      ...(expires && { properties: { sessionExpiryInterval: EXPIRES_S } }),
    };
    const at = this.#random.chance(VISIT_ABROAD_CHANCE) ? this.#neighbour : this.#home;
    const client = await this.#connect(
      `visitor-${++this.#visitors}`,
      options,
      at,
      () => this.counts.received++,
    );
    const filters = ['soak/+/value', 'soak/#', 'soak/retained/+', '$share/visitors/soak/#'] as const;
    await client.subscribeAsync(this.#random.pick(filters), { qos: this.#random.pick([0, 1, 2]) });
    await client.publishAsync('soak/visits', 'here', { qos: this.#random.pick([0, 1, 2]) });
    await this.#wait(this.#random.integer(100, VISIT_MAX_MS));
    await this.#leave(client);
    this.counts.visits++;
    if (expires) this.counts.expiring++;
  }

  /** One session that is there, then away, then takes what has waited. */
  async #comeAndGo(clientId: string): Promise<void> {
    for (let away = 0; !this.#over.signal.aborted; away++) {
      const client = await this.#connect(
        clientId,
        { clean: false, properties: { sessionExpiryInterval: 3600 } },
        this.#home,
        () => this.counts.backlog++,
      );
      if (away === 0) await client.subscribeAsync('soak/+/value', { qos: 2 });
      else this.counts.returns++;
      await this.#wait(this.#random.integer(200, VISIT_MAX_MS));
      await this.#leave(client);
      await this.#wait(away === 0 ? FIRST_AWAY_MS : this.#random.integer(200, AWAY_MAX_MS));
    }
  }

  async #scrape(): Promise<void> {
    for (const path of ['metrics', 'status', 'readyz']) {
      const response = await fetch(`http://${this.#home.host}:${this.#home.httpPort}/${path}`);
      await response.text();
      if (response.status !== 200) this.#fault(`/${path} answered ${response.status}`);
    }
    this.counts.scrapes++;
  }

  async #wait(ms: number): Promise<void> {
    await elapse(ms, undefined, { signal: this.#over.signal }).catch(() => undefined);
  }
}
