/** What clients do, at random, until the run heals. */
import type { QoS, SubscriptionRequest, Will } from '../../lib/protocol/index.js';
import type { SimClient } from './client.js';
import { WRONG_PASSWORD } from './door.js';
import { createPayload } from './payload.js';
import type { Random } from './random.js';
import type { SimWorld } from './world.js';

const FILTERS = ['t/a', 't/b', 't/+', 't/#', '#', '+/c', 'forbidden/x'] as const;
const TOPICS = ['t/a', 't/b', 't/c', 't/d/e'] as const;
const QOS: readonly [QoS, ...QoS[]] = [0, 1, 1, 2, 2];

export class Workload {
  readonly #world: SimWorld;
  readonly #random: Random;

  constructor(world: SimWorld) {
    this.#world = world;
    this.#random = world.random('workload');
  }

  start(): void {
    for (const client of this.#world.clients) this.#next(client);
    if (this.#world.plan.storeFills) this.#fillStore();
  }

  #next(client: SimClient): void {
    this.#world.scheduler.after(this.#random.delay(300), 'client acts', () => {
      if (this.#world.healing) return;
      this.#act(client);
      this.#next(client);
    });
  }

  #act(client: SimClient): void {
    if (client.connection === undefined) {
      if (this.#random.chance(0.6)) this.#connect(client);
      return;
    }
    const faults = this.#world.plan.networkFaults ? 1 : 0;
    const action = this.#random.weighted({
      publish: 40,
      burst: 4,
      repeat: 4,
      subscribe: 12,
      unsubscribe: 3,
      disconnect: 3,
      endSession: 1,
      reset: 2 * faults,
      fin: 2 * faults,
      vanish: 2 * faults,
      takeOver: 3 * faults,
      pause: 3 * faults,
      garbage: this.#world.plan.rude ? 1 : 0,
      nothing: 10,
    });
    switch (action) {
      case 'publish':
        this.#publish(client, 1);
        break;
      case 'burst':
        this.#publish(client, this.#random.integer(3, 30));
        break;
      case 'repeat':
        client.repeat();
        break;
      case 'subscribe':
        this.#subscribe(client);
        break;
      case 'unsubscribe':
        this.#unsubscribe(client);
        break;
      case 'disconnect':
        client.disconnect(client.profile.version === 5 && this.#random.chance(0.4) ? 4 : 0);
        break;
      case 'endSession':
        if (client.connected && client.isDurable)
          client.disconnect(0, client.profile.version === 5 ? this.#random.pick([0, 1, 5]) : undefined);
        break;
      case 'reset':
        client.connection.reset();
        break;
      case 'fin':
        client.connection.close();
        break;
      case 'vanish':
        this.#world.sometimes.saw('half-open connection');
        client.connection.vanish();
        break;
      case 'takeOver':
        this.#connect(client);
        break;
      case 'pause':
        this.#pause(client);
        break;
      case 'garbage':
        this.#garbage(client);
        break;
      case 'nothing':
        break;
    }
  }

  #connect(client: SimClient): void {
    const random = this.#random;
    const cleanStart = !client.isDurable || random.chance(client.profile.version === 5 ? 0.1 : 0.05);
    const wrong = random.chance(0.04);
    const willMid = random.chance(0.4) ? client.nextWillMid() : '';
    client.connect({
      cleanStart,
      ...(client.profile.version === 5 && random.chance(0.1) ? { expiryS: random.pick([0, 1, 2]) } : {}),
      will: willMid === '' ? undefined : this.#will(client, willMid),
      willMid,
      ...(wrong ? { password: WRONG_PASSWORD } : {}),
    });
  }

  #will(client: SimClient, mid: string): Will {
    const delayS = client.profile.version === 5 ? this.#random.pick([0, 0, 1, 3]) : 0;
    return {
      topic: `will/${client.profile.id}`,
      payload: createPayload(mid, 0),
      qos: this.#random.pick(QOS),
      retain: false,
      properties: delayS === 0 ? {} : { willDelayInterval: delayS },
    };
  }

  #publish(client: SimClient, count: number): void {
    const random = this.#random;
    const topic = random.chance(0.01) ? 'forbidden/x' : random.pick(TOPICS);
    if (topic === 'forbidden/x' && client.profile.version < 5) return;
    const qos = random.pick(QOS);
    for (let i = 0; i < count; i++) {
      client.publish({
        topic,
        qos: topic === 'forbidden/x' ? 1 : qos,
        retain: random.chance(0.1),
        expiryS: random.chance(0.05) ? 2 : undefined,
        paddingBytes: random.chance(0.05) ? random.integer(100, 3000) : random.integer(0, 40),
      });
    }
  }

  #subscribe(client: SimClient): void {
    const random = this.#random;
    const requests: SubscriptionRequest[] = [];
    for (let i = random.integer(1, 3); i > 0; i--) {
      const filter = random.pick(FILTERS);
      const { shared, version } = client.profile;
      requests.push({
        filter: shared ? `$share/g/${filter}` : filter,
        qos: random.pick(QOS),
        noLocal: version === 5 && !shared && random.chance(0.1),
        retainAsPublished: false,
        retainHandling: version === 5 ? random.pick([0, 1, 2]) : 0,
      });
    }
    const seen = new Set<string>();
    client.subscribe(requests.filter(({ filter }) => !seen.has(filter) && seen.add(filter)));
  }

  #unsubscribe(client: SimClient): void {
    const [filter] = client.filters;
    client.unsubscribe([filter ?? 't/none']);
  }

  #pause(client: SimClient): void {
    const { connection } = client;
    if (connection === undefined) return;
    connection.link.stopReading();
    this.#world.scheduler.after(this.#random.delay(4000), 'reads again', () => {
      if ((connection.served?.connection.outbox.pending ?? 0) > 0)
        this.#world.sometimes.saw('client stopped reading with output pending');
      connection.link.startReading();
    });
  }

  #garbage(client: SimClient): void {
    const { connection } = client;
    if (connection === undefined) return;
    connection.rude = true;
    const bytes = Uint8Array.from({ length: this.#random.integer(1, 30) }, () =>
      this.#random.integer(0, 255),
    );
    // A type that does not exist comes first, so that the rest is never an honest packet by chance.
    bytes[0] = 0x00;
    connection.link.send(bytes);
  }

  #fillStore(): void {
    this.#world.scheduler.after(this.#random.delay(3000), 'store full', () => {
      if (this.#world.healing) return;
      this.#world.store.full = true;
      this.#world.scheduler.after(this.#random.delay(1000), 'store has room', () => {
        this.#world.store.full = false;
        this.#fillStore();
      });
    });
  }
}
