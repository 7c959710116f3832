/** The devices of all sites, which send what the data set says when it says so, and a subscriber at each site. */
import { connectAsync, type MqttClient } from 'mqtt';
import type { Account } from './account.js';
import type { Device, Qos } from './device.js';
import { MqttJsDevice } from './mqttjs-device.js';
import { RawDevice } from './raw-device.js';
import { type Reading, type Site, SITES } from './readings.js';

export interface FleetOptions {
  readonly readings: readonly Reading[];
  /** Where the gateway of each site is. */
  readonly ports: Readonly<Record<Site, number>>;
  readonly account: Account;
}

interface Sender {
  readonly device: Device;
  readonly qos: Qos;
}

interface Due {
  readonly atMs: number;
  readonly reading: Reading;
}

const TICK_MS = 20;
const SECOND_MS = 1000;
const SESSION_S = 600;
const CONNECTING_AT_ONCE = 50;
export const TOPICS = 'site/#';

export class DemoFleet {
  readonly #options: FleetOptions;
  readonly #senders = new Map<string, Sender>();
  readonly #subscribers: MqttClient[] = [];
  readonly #pending = new Set<Promise<void>>();
  #isStopped = false;

  constructor(options: FleetOptions) {
    const { readings, ports } = options;
    this.#options = options;
    for (const { site, device } of readings) {
      if (this.#senders.has(device)) continue;
      const n = this.#senders.size;
      const Kind = n % 2 === 0 ? MqttJsDevice : RawDevice;
      const qos = (Math.floor(n / 3) % 3) as Qos;
      this.#senders.set(device, { device: new Kind({ clientId: device, port: ports[site] }), qos });
    }
  }

  get size(): number {
    return this.#senders.size;
  }

  /** Subscribers first: from then on nothing is missed. */
  async start(): Promise<void> {
    for (const site of SITES) await this.#subscribe(site);
    const devices = [...this.#senders.values()].map(({ device }) => device);
    while (devices.length > 0)
      await Promise.all(devices.splice(0, CONNECTING_AT_ONCE).map((device) => device.start()));
  }

  /** Resolves when the last reading was sent. */
  replay(): Promise<void> {
    const { readings } = this.#options;
    const due = readings.map((reading) => ({ atMs: momentOf(reading), reading }));
    due.sort((a, b) => a.atMs - b.atMs);
    const beganAt = performance.now();
    return new Promise((resolve) => {
      const tick = (): void => {
        const now = performance.now() - beganAt;
        while (due.length > 0 && (due[0] as Due).atMs <= now) this.#send((due.shift() as Due).reading);
        if (due.length > 0 && !this.#isStopped) setTimeout(tick, TICK_MS);
        else resolve();
      };
      tick();
    });
  }

  /** Resolves when everything that was sent is acknowledged. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all([...this.#senders.values()].map(({ device }) => device.stop()));
    await Promise.all(this.#subscribers.map((client) => client.endAsync(true)));
  }

  #send({ site, device, quantity, second, value, unit }: Reading): void {
    const { account } = this.#options;
    const { device: sender, qos } = this.#senders.get(device) as Sender;
    const id = `${device}-${second}`;
    const sent = sender.publish(
      `site/${site}/${device}/${quantity}`,
      JSON.stringify({ id, second, value, unit }),
      qos,
    );
    if (qos > 0) account.published(site, qos, id);
    const done = sent
      .then((isSent) => {
        if (!isSent) return;
        if (qos === 0) account.published(site, qos, id);
        account.acknowledged(site, qos, id);
      })
      .finally(() => this.#pending.delete(done));
    this.#pending.add(done);
  }

  async #subscribe(at: Site): Promise<void> {
    const { account, ports } = this.#options;
    const client = await connectAsync({
      ...{ host: '127.0.0.1', port: ports[at], clientId: `reader-${at}`, protocolVersion: 5, clean: false },
      ...{ reconnectPeriod: 250, properties: { sessionExpiryInterval: SESSION_S } },
    });
    client.on('error', () => undefined);
    client.on('message', (topic, payload, { qos }) => {
      const [, name] = topic.split('/');
      const site = SITES.find((one) => one === name);
      if (site === undefined || site === at) return;
      const { id } = JSON.parse(payload.toString()) as { id: string };
      account.delivered(at, site, qos, id);
    });
    await client.subscribeAsync(TOPICS, { qos: 2 });
    this.#subscribers.push(client);
  }
}

/** Not all devices at the same time: each has its place within the second. */
function momentOf({ device, second }: Reading): number {
  let hash = 0;
  for (let i = 0; i < device.length; i++) hash = Math.imul(hash, 31) + device.charCodeAt(i);
  return second * SECOND_MS + (Math.abs(hash) % SECOND_MS);
}
