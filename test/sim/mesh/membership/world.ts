/**
 * Gateways that run nothing but membership, and what is between them: datagrams between any two, that get lost, doubled and late; links of which
 * some pairs have one, whose frames come in order, late where the network loses packets, or from some moment on not at all. A process that is killed
 * closes its links; one whose cable is cut does not. Who is frozen gets what came meanwhile at once, its late timers first or last.
 */
import type { GatewayId } from '../../../../lib/contracts/gateway-id.js';
import { parseGatewayId } from '../../../../lib/contracts/gateway-id.js';
import { Membership, type Member, type MembershipOptions } from '../../../../mesh/membership/index.js';
import { Random } from '../../random.js';
import { Scheduler } from '../../scheduler.js';

export interface WorldOptions {
  readonly seed: number;
  readonly gateways: number;
  /** undefined: every pair; otherwise so many of each at random, and a ring. */
  readonly links?: number;
  readonly latencyMaxMs?: number;
  /** Of datagrams; a frame comes later instead. */
  readonly lossShare?: number;
  readonly doubleShare?: number;
  /** How late the ends of a link learn that the process on the other one ended. */
  readonly closedMaxMs?: number;
  readonly membership?: Partial<MembershipOptions>;
}

const RETRANSMIT_MS = 200;
const SILENCE_MIN_MS = 3000;
const SILENCE_MAX_MS = 10_000;
const REDIAL_MAX_MS = 500;

interface Link {
  readonly ends: readonly [Host, Host];
  isBroken: boolean;
  readonly arrivesAt: [number, number];
}

export class Host {
  core: Membership | undefined;
  counter = 0;
  isFrozen = false;
  /** Nothing comes or goes: its power is off. */
  isDark = false;
  readonly links = new Map<Host, Link>();
  readonly waiting: (() => void)[] = [];
  wakeAt = Infinity;

  constructor(
    readonly index: number,
    readonly id: GatewayId,
  ) {}
}

export interface FalseDeath {
  readonly at: number;
  readonly subject: number;
  readonly seenBy: number;
  readonly incarnation: number;
}

export class MembershipWorld {
  readonly steps = new Scheduler();
  readonly hosts: Host[] = [];
  readonly falseDeaths: FalseDeath[] = [];
  readonly conflicts: string[] = [];
  /** Called with each change that a gateway sees. */
  onChange: ((at: Host, member: Member, before: Member | undefined) => void) | undefined;
  lossShare: number;
  delivered = 0;
  readonly #options: WorldOptions;
  readonly #net: Random;
  readonly #cores: Random;
  readonly #pairs: [Host, Host][] = [];
  readonly #byId = new Map<GatewayId, Host>();
  readonly #cut = new Set<string>();
  readonly #falseKeys = new Set<string>();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.lossShare = options.lossShare ?? 0;
    const random = new Random(options.seed, 'membership');
    this.#net = random.fork('net');
    this.#cores = random.fork('cores');
    const ids = random.fork('ids');
    for (let index = 0; index < options.gateways; index++) {
      const words = Array.from({ length: 8 }, () => ids.u32().toString(16).padStart(8, '0'));
      const id = parseGatewayId(words.join(''));
      if (id === undefined) throw new Error('no id');
      const host = new Host(index, id);
      this.hosts.push(host);
      this.#byId.set(id, host);
    }
    this.#choosePairs(random.fork('pairs'));
  }

  get now(): number {
    return this.steps.now();
  }

  get digest(): number {
    return this.steps.digest;
  }

  advance(ms: number): Promise<void> {
    return this.steps.advance(ms);
  }

  host(index: number): Host {
    const host = this.hosts[index];
    if (host === undefined) throw new RangeError(`no gateway ${index}`);
    return host;
  }

  core(index: number): Membership {
    const { core } = this.host(index);
    if (core === undefined) throw new Error(`gateway ${index} does not run`);
    return core;
  }

  running(): Host[] {
    return this.hosts.filter(({ core }) => core !== undefined && core.self.status !== 'left');
  }

  /** A call of who owns the gateway. */
  call(host: Host, act: (core: Membership) => void): void {
    this.#atHost(host, () => {
      if (host.core === undefined) return;
      act(host.core);
      this.#plan(host);
    });
  }

  startAll(): void {
    for (const host of this.hosts) this.start(host);
  }

  start(host: Host): void {
    host.counter++;
    host.isDark = false;
    host.isFrozen = false;
    host.waiting.length = 0;
    const nonce = (host.index * 65_536 + host.counter).toString(16).padStart(16, '0');
    const core = new Membership(
      {
        id: host.id,
        epoch: { counter: host.counter, nonce },
        site: `site ${host.index % 3}`,
        addresses: [`10.0.0.${host.index % 256}:4430`],
        software: '0.1.0',
      },
      {
        clock: this.steps,
        random: () => this.#cores.float(),
        sendDatagram: (to, bytes) => this.#datagram(host, to, bytes),
        pushFrame: (to, bytes) => this.#frame(host, to, bytes),
        onChange: (member, before) => this.#changed(host, member, before),
        onConflict: (id) => this.conflicts.push(`${host.index} ${id}`),
      },
      this.#options.membership ?? {},
    );
    host.core = core;
    host.wakeAt = Infinity;
    this.#plan(host);
    for (const [a, b] of this.#pairs) if (a === host || b === host) this.#dial(a, b);
  }

  /** The process ends: the links close. */
  kill(host: Host): void {
    host.core = undefined;
    host.waiting.length = 0;
    for (const link of [...host.links.values()]) this.#break(link, 'closed');
    host.links.clear();
  }

  /** The power ends: nothing closes. */
  darken(host: Host): void {
    host.core = undefined;
    host.isDark = true;
    host.waiting.length = 0;
    for (const link of [...host.links.values()]) this.#break(link, 'silent');
    host.links.clear();
  }

  freeze(host: Host, ms: number): void {
    if (host.core === undefined || host.isFrozen) return;
    const { core } = host;
    host.isFrozen = true;
    this.steps.after(ms, 'thaw', () => {
      if (host.core !== core) return;
      host.isFrozen = false;
      const inputs = host.waiting.splice(0);
      const timersFirst = this.#net.chance(0.5);
      if (timersFirst) this.#tick(host);
      for (const run of inputs) run();
      if (!timersFirst) this.#tick(host);
      this.#plan(host);
    });
  }

  cut(from: Host, to: Host): void {
    this.#cut.add(`${from.index} ${to.index}`);
  }

  heal(): void {
    this.#cut.clear();
  }

  /** The connection of two breaks, and both go on. */
  breakLink(a: Host, b: Host): void {
    const link = a.links.get(b);
    if (link !== undefined) this.#break(link, 'closed');
  }

  /** What keeps the running gateways from seeing the same, and that all of them run; undefined: nothing. */
  disagreement(): string | undefined {
    const running = this.running();
    for (const at of running)
      for (const of of running) {
        const seen = at.core?.get(of.id);
        const real = of.core?.self;
        const isSame =
          seen?.status === 'alive' &&
          seen.epoch.counter === of.counter &&
          seen.incarnation === real?.incarnation &&
          seen.metadata.version === real.metadata.version;
        if (!isSame)
          return `${at.index} sees ${of.index} as ${JSON.stringify(seen)}, it is ${JSON.stringify(real)}`;
      }
    for (const { index, core } of running)
      if (core?.presentCount !== running.length)
        return `${index} sees ${core?.presentCount} of ${running.length}`;
    return undefined;
  }

  /** Whether all have the links that they should have, and nobody stands still. */
  isLinked(): boolean {
    if (this.hosts.some(({ isFrozen }) => isFrozen)) return false;
    return this.#pairs.every(
      ([a, b]) => a.core === undefined || b.core === undefined || a.links.get(b)?.isBroken === false,
    );
  }

  /** Whether all that run hold it neither alive nor suspect. */
  isGoneForAll(host: Host): boolean {
    return this.running().every(({ core }) => {
      const status = core?.get(host.id)?.status;
      return status !== 'alive' && status !== 'suspect';
    });
  }

  /** All are linked and know each other, without the traffic of getting to know. */
  acquaint(): void {
    const members = this.hosts.flatMap(({ core }) => core?.self ?? []);
    for (const host of this.hosts) this.call(host, (core) => core.restore(members));
  }

  #choosePairs(random: Random): void {
    const { gateways, links } = this.#options;
    const chosen = new Set<string>();
    const add = (a: number, b: number): void => {
      const key = a < b ? `${a} ${b}` : `${b} ${a}`;
      if (a === b || chosen.has(key)) return;
      chosen.add(key);
      this.#pairs.push([this.host(a), this.host(b)]);
    };
    for (let a = 0; a < gateways; a++) {
      if (links === undefined) for (let b = 0; b < a; b++) add(a, b);
      else {
        add(a, (a + 1) % gateways);
        // Each is chosen by others as often as it chooses.
        for (let n = 0; n < links / 2; n++) add(a, random.integer(0, gateways - 1));
      }
    }
  }

  #dial(a: Host, b: Host): void {
    this.steps.after(this.#net.float() * REDIAL_MAX_MS, 'dial', () => {
      if (a.core === undefined || b.core === undefined || a.links.has(b)) return;
      if (a.isFrozen || b.isFrozen || !this.#isOpen(a, b) || !this.#isOpen(b, a)) {
        this.#dial(a, b);
        return;
      }
      const link: Link = { ends: [a, b], isBroken: false, arrivesAt: [0, 0] };
      a.links.set(b, link);
      b.links.set(a, link);
      for (const [here, there] of [
        [a, b],
        [b, a],
      ] as const)
        this.call(here, (core) => core.linkUp(there.id));
    });
  }

  #break(link: Link, end: 'closed' | 'silent'): void {
    if (link.isBroken) return;
    link.isBroken = true;
    const [a, b] = link.ends;
    const wait = (): number =>
      end === 'closed'
        ? this.#net.float() * (this.#options.closedMaxMs ?? 100)
        : SILENCE_MIN_MS + this.#net.float() * (SILENCE_MAX_MS - SILENCE_MIN_MS);
    for (const [here, there] of [
      [a, b],
      [b, a],
    ] as const) {
      const { core } = here;
      if (core === undefined) {
        here.links.delete(there);
        continue;
      }
      this.steps.after(wait(), 'link down', () =>
        this.#atHost(here, () => {
          if (here.links.get(there) !== link || here.core !== core) return;
          here.links.delete(there);
          core.linkDown(there.id, end);
          this.#plan(here);
          this.#dial(a, b);
        }),
      );
    }
  }

  #datagram(from: Host, toId: GatewayId, bytes: Uint8Array): void {
    const to = this.#byId.get(toId);
    if (to === undefined) return;
    const copies = this.#net.chance(this.lossShare)
      ? 0
      : this.#net.chance(this.#options.doubleShare ?? 0)
        ? 2
        : 1;
    for (let n = 0; n < copies; n++)
      this.steps.after(this.#latency(), 'd', () => {
        if (!this.#isOpen(from, to) || to.core === undefined) return;
        this.delivered++;
        this.#atHost(to, () => {
          to.core?.onDatagram(from.id, bytes);
          this.#plan(to);
        });
      });
  }

  #frame(from: Host, toId: GatewayId, bytes: Uint8Array): void {
    const to = this.#byId.get(toId);
    const link = to === undefined ? undefined : from.links.get(to);
    if (to === undefined || link === undefined || link.isBroken) return;
    let delayMs = this.#latency();
    for (let waitMs = RETRANSMIT_MS; waitMs < 10_000 && this.#net.chance(this.lossShare); waitMs *= 2)
      delayMs += waitMs;
    const side = link.ends[0] === from ? 0 : 1;
    const at = Math.max(this.now + delayMs, link.arrivesAt[side]);
    link.arrivesAt[side] = at;
    this.steps.after(at - this.now, 'f', () => {
      if (link.isBroken) return;
      if (!this.#isOpen(from, to)) {
        this.#break(link, 'silent');
        return;
      }
      this.delivered++;
      this.#atHost(to, () => {
        if (to.links.get(from) !== link) return;
        to.core?.onFrame(from.id, bytes);
        this.#plan(to);
      });
    });
  }

  #latency(): number {
    return this.#net.delay(this.#options.latencyMaxMs ?? 2);
  }

  #isOpen(from: Host, to: Host): boolean {
    return !from.isDark && !to.isDark && !this.#cut.has(`${from.index} ${to.index}`);
  }

  #atHost(host: Host, run: () => void): void {
    if (host.isFrozen) host.waiting.push(run);
    else run();
  }

  #tick(host: Host): void {
    if (host.core !== undefined && host.core.nextDeadlineMs <= this.now) host.core.tick(this.now);
  }

  #plan(host: Host): void {
    const { core } = host;
    if (core === undefined) return;
    const at = Math.max(core.nextDeadlineMs, this.now);
    if (at === Infinity || at >= host.wakeAt) return;
    host.wakeAt = at;
    this.steps.after(at - this.now, 't', () => {
      if (host.core !== core || host.wakeAt !== at) return;
      host.wakeAt = Infinity;
      if (host.isFrozen) return;
      this.#tick(host);
      this.#plan(host);
    });
  }

  #changed(at: Host, member: Member, before: Member | undefined): void {
    this.steps.observeText(`${at.index} ${member.id.slice(0, 8)} ${member.status} ${member.incarnation}`);
    const subject = this.#byId.get(member.id);
    if (member.status === 'dead' && subject?.core !== undefined && subject.core.self.status !== 'left') {
      const key = `${subject.index} ${member.epoch.counter} ${member.incarnation}`;
      if (member.epoch.counter === subject.counter && !this.#falseKeys.has(key)) {
        this.#falseKeys.add(key);
        const { incarnation } = member;
        this.falseDeaths.push({ at: this.now, subject: subject.index, seenBy: at.index, incarnation });
      }
    }
    this.onChange?.(at, member, before);
  }
}
