/** What the clients of all sites do at random until the run heals. */
import type { WillChoices } from '../../history/client-session.js';
import type { EventQoS } from '../../history/event.js';
import type { Random } from '../random.js';
import type { MeshWorld, SiteClient } from './mesh-world.js';

const FILTERS = ['t/a', 't/b', 't/+', 't/#', '+/a', 'r/#', 'm/#', 'm/x', 'will/#'] as const;
const TOPICS = ['t/a', 't/b', 't/c'] as const;
const QOS: readonly [EventQoS, ...EventQoS[]] = [0, 1, 1, 2, 2, 2];
/** Retained messages that may be published at every site. */
const MANY_SITES = ['m/x', 'm/y'] as const;

export class MeshWorkload {
  readonly #world: MeshWorld;
  readonly #random: Random;

  constructor(world: MeshWorld) {
    this.#world = world;
    this.#random = world.random('workload');
  }

  start(): void {
    for (const one of this.#world.clients) this.#next(one);
  }

  #next(one: SiteClient): void {
    this.#world.scheduler.after(this.#random.delay(this.#world.plan.actEveryMaxMs), 'client acts', () => {
      if (this.#world.isHealing) return;
      this.#act(one);
      this.#next(one);
    });
  }

  #act(one: SiteClient): void {
    const random = this.#random;
    const { client } = one;
    if (client.isIdle) {
      if (random.chance(client.profile.eagerness)) this.connect(one);
      return;
    }
    if (!client.isConnected) return;
    if (one.isForgetting) {
      one.mustForget = false;
      one.isForgetting = false;
    }
    if (client.filters.size === 0 && random.chance(0.7)) {
      this.#subscribe(one);
      return;
    }
    const { eagerness } = client.profile;
    const action = random.weighted({
      publish: 30,
      burst: eagerness === 1 ? 6 : 1,
      subscribe: 6,
      unsubscribe: 2,
      leave: 0.5 + 2 * (1 - eagerness),
      cut: 1 + 2 * (1 - eagerness),
      nothing: 10,
    });
    if (action === 'publish') this.#publish(one, 1);
    else if (action === 'burst') this.#publish(one, random.integer(2, this.#world.plan.burstMaxCount));
    else if (action === 'subscribe') this.#subscribe(one);
    else if (action === 'leave') client.leave(random.chance(0.3) ? 4 : 0, undefined);
    else if (action === 'cut') client.cut();
    else if (action === 'unsubscribe') {
      const [filter] = client.filters;
      if (filter !== undefined) client.unsubscribe(filter);
    }
  }

  connect(one: SiteClient): void {
    const random = this.#random;
    const { client, gateway } = one;
    if (!client.isIdle || !gateway.canDial) return;
    const clean = one.mustForget || (!this.#world.isHealing && random.chance(client.profile.cleanShare));
    one.isForgetting = one.mustForget;
    const hasWill =
      this.#world.plan.hasWills && !this.#world.isHealing && client.isDurable && !clean && random.chance(0.3);
    client.connect({ clean, ...(hasWill && { will: this.#will(one) }) });
  }

  #will({ client }: SiteClient): WillChoices {
    const random = this.#random;
    return {
      topic: `will/${client.profile.id}`,
      qos: random.pick([1, 2, 2]),
      retain: false,
      delayS: random.pick([0, 0, 1]),
    };
  }

  #publish({ client, gateway }: SiteClient, count: number): void {
    const random = this.#random;
    if (client.pendingCount > 40) return;
    const qos = random.pick(QOS);
    const { retained } = this.#world.plan;
    const retain = retained !== 'none' && count === 1 && random.chance(0.4);
    const topic = !retain
      ? random.pick(TOPICS)
      : retained === 'oneSite'
        ? `r/${gateway.node}/${random.pick(['x', 'y'])}`
        : random.pick(MANY_SITES);
    const big = random.chance(0.1);
    for (let i = 0; i < count; i++) {
      client.publish({
        ...{ topic, qos, retain },
        ...(retain && random.chance(0.15) && { empty: true }),
        paddingBytes: big ? random.integer(100, 4000) : random.integer(0, 60),
      });
    }
  }

  #subscribe({ client }: SiteClient): void {
    const random = this.#random;
    const v5 = client.profile.version === 5;
    client.subscribe(random.pick(FILTERS), {
      qos: random.pick(QOS),
      ...(v5 && { noLocal: random.chance(0.1), retainHandling: random.pick([0, 0, 1, 2] as const) }),
    });
  }
}
