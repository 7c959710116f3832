/** What goes wrong: with machines, and with the network between them. Ends with the healing of a run. */
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { Random } from '../random.js';
import { pairs } from './invariants.js';
import type { MeshGateway } from './mesh-gateway.js';
import type { FaultKind } from './mesh-plan.js';
import type { MeshWorld } from './mesh-world.js';

const DAY_MS = 86_400_000;

export class MeshFaults {
  readonly #world: MeshWorld;
  readonly #random: Random;
  readonly #kinds: readonly FaultKind[];
  #isCut: 'no' | 'both ways' | 'one way' = 'no';

  constructor(world: MeshWorld) {
    this.#world = world;
    this.#random = world.random('faults');
    this.#kinds = [...world.plan.faults];
  }

  start(): void {
    if (this.#kinds.length > 0) this.#next();
  }

  /** Everything is well from here on. */
  end(): void {
    const { gateways } = this.#world;
    this.#heal();
    for (const gateway of gateways) {
      this.#thaw(gateway);
      gateway.start();
    }
  }

  #next(): void {
    const { scheduler, plan } = this.#world;
    scheduler.after(20 + this.#random.float() * plan.faultEveryMaxMs, 'fault', () => {
      if (this.#world.isHealing) return;
      const [first, ...rest] = this.#kinds;
      if (first !== undefined) this.#happen(this.#random.pick([first, ...rest]));
      this.#next();
    });
  }

  #happen(kind: FaultKind): void {
    const random = this.#random;
    switch (kind) {
      case 'kill':
      case 'power':
        return this.#crash(this.#anyone(), kind === 'power');
      case 'restartAll':
        if (!random.chance(0.3)) return;
        this.#world.situations.saw('all gateways restarted at once');
        for (const gateway of this.#world.gateways) this.#crash(gateway, random.chance(0.5));
        return;
      case 'flap':
        return this.#flap();
      case 'double': {
        const [a, b] = this.#pair();
        this.#world.network.double(a, b);
        return;
      }
      case 'partition':
      case 'oneWay':
        return this.#cut(kind === 'oneWay');
      case 'freeze':
        return this.#freeze(this.#anyone());
      case 'clock':
        return this.#jump(this.#anyone());
      case 'rollback':
        return this.#rollBack(this.#anyone());
      case 'island':
        return this.#island(this.#anyone());
    }
  }

  #anyone(): MeshGateway {
    return this.#random.pick(this.#world.gateways as [MeshGateway, ...MeshGateway[]]);
  }

  #pair(): [GatewayId, GatewayId] {
    const a = this.#anyone();
    let b = this.#anyone();
    while (b === a) b = this.#anyone();
    return [a.id, b.id];
  }

  #crash(gateway: MeshGateway, power: boolean): void {
    if (gateway.process === undefined) return;
    gateway.crash(power);
    this.#startSoon(gateway);
  }

  #startSoon(gateway: MeshGateway): void {
    const delayMs = this.#random.pick([10, 100, 1500]) * this.#random.float();
    this.#world.scheduler.after(delayMs, 'gateway starts', () => gateway.start());
  }

  #flap(): void {
    const [a, b] = this.#pair();
    this.#say('fault', 'flap', []);
    this.#world.network.flap(a, b);
    this.#say('heal', 'flap', []);
    this.#world.situations.saw('link lost');
  }

  #cut(oneWay: boolean): void {
    if (this.#isCut !== 'no') return;
    const random = this.#random;
    const { gateways, network, scheduler } = this.#world;
    // Two groups, one alone, or any pairs.
    const how = random.pick(['groups', 'groups', 'alone', 'pairs'] as const);
    const alone = this.#anyone();
    const groups = new Map(
      gateways.map((one) => [one, how === 'alone' ? one === alone : random.chance(0.5)]),
    );
    for (const a of gateways)
      for (const b of gateways) {
        if (a.number >= b.number) continue;
        const isCut = how === 'pairs' ? random.chance(0.3) : groups.get(a) !== groups.get(b);
        if (!isCut) continue;
        const flip = groups.get(a) === true;
        if (!oneWay || !flip) network.cut(a.id, b.id);
        if (!oneWay || flip) network.cut(b.id, a.id);
      }
    this.#isCut = oneWay ? 'one way' : 'both ways';
    this.#say('fault', 'partition', []);
    scheduler.after(random.pick([200, 1000, 5000]) * random.float(), 'partition heals', () => this.#heal());
  }

  /**
   * A machine is put back when others know more of it than its image, and it has taken in what nobody else knows: a later process begins, it
   * is cut off from all, and works on alone until the image is put back.
   */
  #island(gateway: MeshGateway): void {
    if (!gateway.isServing || gateway.isFrozen) return;
    const random = this.#random;
    const { scheduler } = this.#world;
    gateway.takeImage();
    if (random.chance(0.7)) this.#crash(gateway, random.chance(0.5));
    scheduler.after(random.pick([200, 600]) * (0.5 + random.float()), 'island', () => {
      if (this.#world.isHealing || this.#isCut !== 'no') return;
      this.#cutOff(gateway);
      scheduler.after(random.pick([200, 800]) * (0.5 + random.float()), 'island is put back', () => {
        if (!this.#world.isHealing) this.#putBack(gateway);
        this.#heal();
      });
    });
  }

  #cutOff(gateway: MeshGateway): void {
    const { gateways, network } = this.#world;
    for (const { id } of gateways)
      if (id !== gateway.id) {
        network.cut(gateway.id, id);
        network.cut(id, gateway.id);
      }
    this.#isCut = 'both ways';
    this.#say('fault', 'partition', []);
  }

  #heal(): void {
    if (this.#isCut === 'no') return;
    const { situations, network } = this.#world;
    if (this.#isCut === 'one way') situations.saw('one-way partition healed');
    else
      for (const { gateway, other } of pairs(this.#world))
        if (
          !network.isOpen(gateway.id, other.id) &&
          this.#waits(gateway, other) &&
          this.#waits(other, gateway)
        )
          situations.saw('partition healed with messages waiting on both sides');
    this.#isCut = 'no';
    network.heal();
    this.#say('heal', 'partition', []);
  }

  /** Something for the other one. */
  #waits({ mesh }: MeshGateway, { id }: MeshGateway): boolean {
    for (const { gateway, sender } of mesh?.peers ?? [])
      if (gateway === id && (sender?.status.pendingMessages ?? 0) > 0) return true;
    return false;
  }

  #freeze(gateway: MeshGateway): void {
    if (!gateway.isServing || gateway.isFrozen) return;
    gateway.freeze();
    const forMs = this.#random.pick([100, 1000, 7000]) * this.#random.float();
    this.#world.scheduler.after(forMs, 'goes on', () => this.#thaw(gateway));
  }

  #thaw(gateway: MeshGateway): void {
    if (gateway.thaw()) this.#world.situations.saw('frozen gateway came back');
  }

  #jump(gateway: MeshGateway): void {
    const random = this.#random;
    gateway.jump((random.float() * 2 - 1) * random.pick([5000, DAY_MS, 20_000 * DAY_MS]));
    this.#world.situations.saw('clock jumped');
  }

  /** First an image is made, and some time later its machine is put back to it. */
  #rollBack(gateway: MeshGateway): void {
    if (gateway.hasImage) this.#putBack(gateway);
    else gateway.takeImage();
  }

  #putBack(gateway: MeshGateway): void {
    if (!gateway.hasImage) return;
    this.#world.mayLose = true;
    if (gateway.process !== undefined) gateway.crash(false);
    gateway.rollBack();
    for (const one of this.#world.clients)
      if (one.gateway === gateway) Object.assign(one, { mustForget: true, isForgetting: false });
    this.#startSoon(gateway);
  }

  #say(e: 'fault' | 'heal', what: string, nodes: readonly string[]): void {
    this.#world.write('nemesis', { e, what, nodes });
  }
}
