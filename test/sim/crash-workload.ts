/** What clients do at random until the run heals. */
import type { WillChoices } from '../history/client-session.js';
import type { EventQoS } from '../history/event.js';
import { isShortOfMemory } from './crash-plan.js';
import type { CrashClient } from './crash-client.js';
import type { CrashWorld } from './crash-world.js';
import type { Random } from './random.js';

const FILTERS = ['t/a', 't/b', 't/+', 't/#', 'r/#', 'r/x', 'will/#'] as const;
const TOPICS = ['t/a', 't/b', 't/c', 'r/x', 'r/y', 'r/z'] as const;
const QUIET_FILTERS = ['q/x', 'q/#'] as const;
const QUIET_TOPIC = 'q/x';
const QOS: readonly [EventQoS, ...EventQoS[]] = [0, 1, 1, 2, 2, 2];

export class CrashWorkload {
  readonly #world: CrashWorld;
  readonly #random: Random;

  constructor(world: CrashWorld) {
    this.#world = world;
    this.#random = world.random('workload');
  }

  start(): void {
    for (const client of this.#world.clients) this.#next(client);
  }

  #next(client: CrashClient): void {
    this.#world.scheduler.after(this.#random.delay(250), 'client acts', () => {
      if (this.#world.isHealing) return;
      this.#act(client);
      this.#next(client);
    });
  }

  #act(client: CrashClient): void {
    const random = this.#random;
    if (client.isIdle) {
      if (random.chance(client.profile.eagerness)) this.#connect(client);
      return;
    }
    if (!client.isConnected) return;
    if (client.filters.size === 0 && random.chance(0.7)) {
      this.#subscribe(client);
      return;
    }
    const { cleanShare, eagerness, group, quiet } = client.profile;
    // Those that stay away do not publish what nobody will know the end of.
    const action = random.weighted({
      publish: 30,
      burst: eagerness === 1 ? 6 : 1,
      subscribe: quiet ? 1 : 8,
      unsubscribe: group === undefined ? 2 : 0,
      leave: 1 + 3 * (1 - eagerness),
      endSession: cleanShare > 0 ? 0.5 : 0,
      cut: 2 + 3 * (1 - eagerness),
      vanish: 1,
      nothing: 10,
    });
    switch (action) {
      case 'publish':
        this.#publish(client, 1);
        break;
      case 'burst':
        this.#publish(client, random.integer(2, this.#world.plan.burstMaxCount));
        break;
      case 'subscribe':
        this.#subscribe(client);
        break;
      case 'unsubscribe': {
        const [filter] = client.filters;
        if (filter !== undefined) client.unsubscribe(filter);
        break;
      }
      case 'leave':
        if (this.#mayBeHeld(client)) client.cut();
        else client.leave(random.chance(0.3) ? 4 : 0, undefined);
        break;
      case 'endSession':
        if (client.isDurable && !this.#mayBeHeld(client)) client.leave(0, random.pick([0, 1]));
        break;
      case 'cut':
        client.cut();
        break;
      case 'vanish':
        client.vanish();
        break;
      case 'nothing':
        break;
    }
  }

  /** Input of a 3.1.1 client whose message cannot be stored waits, also its DISCONNECT. */
  #mayBeHeld({ profile, pendingCount }: CrashClient): boolean {
    const { plan } = this.#world;
    const refuses = isShortOfMemory(plan) || plan.faultShare > 0 || plan.diskFills;
    return refuses && profile.version === 4 && pendingCount > 0;
  }

  #connect(client: CrashClient): void {
    const random = this.#random;
    const clean = random.chance(client.profile.cleanShare);
    // A will that ends with its connection is lost with the gateway.
    const hasWill = client.isDurable && !clean && random.chance(0.4);
    client.connect({ clean, ...(hasWill && { will: this.#will(client) }) });
  }

  #will(client: CrashClient): WillChoices {
    const random = this.#random;
    return {
      topic: `will/${client.profile.id}`,
      qos: random.pick([1, 2, 2]),
      retain: random.chance(0.2),
      delayS: random.pick([0, 0, 1, 2]),
    };
  }

  #publish(client: CrashClient, count: number): void {
    const random = this.#random;
    if (client.pendingCount > 40) return;
    const topic = count === 1 && random.chance(0.15) ? QUIET_TOPIC : random.pick(TOPICS);
    const qos = random.pick(QOS);
    const { faultShare, diskFills } = this.#world.plan;
    // A retained message of QoS 0 is not stored where the disk takes nothing.
    const mayRetain = qos > 0 || (faultShare === 0 && !diskFills);
    const retain = mayRetain && topic.startsWith('r/') && random.chance(0.6);
    const big = random.chance(0.1);
    for (let i = 0; i < count; i++) {
      client.publish({
        ...{ topic, qos, retain },
        ...(retain && random.chance(0.15) && { empty: true }),
        ...(random.chance(0.03) && { expiryS: 2 }),
        paddingBytes: big ? random.integer(100, 4000) : random.integer(0, 60),
      });
    }
  }

  #subscribe(client: CrashClient): void {
    const random = this.#random;
    const { group, version, quiet } = client.profile;
    const v5 = version === 5;
    client.subscribe(group ?? random.pick(quiet ? QUIET_FILTERS : FILTERS), {
      qos: group === undefined ? random.pick(QOS) : random.pick([1, 2]),
      ...(v5 &&
        group === undefined && { noLocal: random.chance(0.1), retainAsPublished: random.chance(0.1) }),
      ...(v5 && { retainHandling: random.pick([0, 0, 1, 2] as const) }),
    });
  }
}
