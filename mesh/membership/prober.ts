import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { RELAYED_MAX_COUNT } from './limits.js';
import type { LocalHealth } from './local-health.js';
import type { Evidence } from './member.js';
import { firstAfter, type MemberTable } from './member-table.js';
import type { MembershipOptions } from './options.js';
import { afterRoundTrip, probeTimeoutMs, type RoundTrip, scaledByHealth } from './timing.js';

export interface ProberPorts {
  readonly random: () => number;
  ping(target: GatewayId, sequence: number): void;
  /** The same on the link, if there is one: where datagrams do not pass. */
  pingByFrame(target: GatewayId, sequence: number): void;
  pingFor(relay: GatewayId, target: GatewayId, sequence: number): void;
  /** To one for which this gateway pinged. */
  answer(asker: GatewayId, sequence: number, isThere: boolean): void;
  silent(target: GatewayId, evidence: Evidence): void;
}

/**
 *     direct: a ping ──no answer──▶ indirect: relays and the link ──no answer──▶ silent
 */
interface Probe {
  readonly target: GatewayId;
  readonly sequence: number;
  readonly evidence: Evidence;
  readonly sentAt: number;
  stage: 'direct' | 'indirect';
  deadline: number;
  readonly relays: Set<GatewayId>;
  readonly nacks: Set<GatewayId>;
}

/** A ping for another gateway. */
interface Relayed {
  readonly asker: GatewayId;
  readonly askerSequence: number;
  readonly target: GatewayId;
  /** After that the asker is told that there was no answer. */
  readonly deadline: number;
}

/** Asks members in turn whether they are there, and finds out about those that do not answer. */
export class Prober {
  readonly #self: GatewayId;
  readonly #table: MemberTable;
  readonly #health: LocalHealth;
  readonly #options: MembershipOptions;
  readonly #ports: ProberPorts;
  readonly #probes = new Map<number, Probe>();
  readonly #relayed = new Map<number, Relayed>();
  readonly #trips = new Map<GatewayId, RoundTrip>();
  #turn: GatewayId[] = [];
  #sequence = 0;
  #nextPeriodAt: number;
  #periods = 0;

  constructor(
    self: GatewayId,
    table: MemberTable,
    health: LocalHealth,
    options: MembershipOptions,
    ports: ProberPorts,
    now: number,
  ) {
    this.#self = self;
    this.#table = table;
    this.#health = health;
    this.#options = options;
    this.#ports = ports;
    this.#sequence = Math.floor(ports.random() * 0x1_0000_0000);
    this.#nextPeriodAt = now + ports.random() * options.probePeriodMs;
  }

  get nextDeadlineMs(): number {
    let next = this.#nextPeriodAt;
    for (const probe of this.#probes.values()) next = Math.min(next, probe.deadline);
    for (const relayed of this.#relayed.values()) next = Math.min(next, relayed.deadline);
    return next;
  }

  tick(now: number): void {
    for (const probe of [...this.#probes.values()]) if (probe.deadline <= now) this.#missed(probe, now);
    for (const [sequence, relayed] of this.#relayed) {
      if (relayed.deadline > now) continue;
      this.#relayed.delete(sequence);
      this.#ports.answer(relayed.asker, relayed.askerSequence, false);
    }
    if (now < this.#nextPeriodAt) return;
    this.#nextPeriodAt = now + this.#options.probePeriodMs;
    this.#period(now);
  }

  /** This gateway stood still: that nobody answered says nothing about the others. */
  discard(now: number): void {
    this.#probes.clear();
    this.#relayed.clear();
    this.#nextPeriodAt = now + this.#options.probePeriodMs;
  }

  /** Asks one at once, and all ways at once if its link broke. */
  probe(target: GatewayId, evidence: Evidence, now: number): void {
    for (const probe of this.#probes.values())
      if (probe.target === target && (probe.evidence === evidence || evidence === 'silent')) return;
    const probe: Probe = {
      target,
      sequence: this.#nextSequence(),
      evidence,
      sentAt: now,
      stage: 'direct',
      deadline: now + this.#timeout(target),
      relays: new Set(),
      nacks: new Set(),
    };
    this.#probes.set(probe.sequence, probe);
    this.#ports.ping(target, probe.sequence);
    if (evidence === 'closed') this.#askOthers(probe, now);
  }

  /** @param isDatagram whether the time that it took tells something */
  acknowledged(from: GatewayId, sequence: number, isDatagram: boolean, now: number): void {
    const relayed = this.#relayed.get(sequence);
    if (relayed !== undefined && relayed.target === from) {
      this.#relayed.delete(sequence);
      this.#ports.answer(relayed.asker, relayed.askerSequence, true);
      return;
    }
    const probe = this.#probes.get(sequence);
    if (probe === undefined || (from !== probe.target && !probe.relays.has(from))) return;
    this.#probes.delete(sequence);
    this.#health.change(-1);
    if (from === probe.target && isDatagram)
      this.#trips.set(from, afterRoundTrip(this.#trips.get(from), now - probe.sentAt));
  }

  notAcknowledged(from: GatewayId, sequence: number): void {
    const probe = this.#probes.get(sequence);
    if (probe?.relays.has(from) === true) probe.nacks.add(from);
  }

  pingFor(asker: GatewayId, askerSequence: number, target: GatewayId, now: number): void {
    if (this.#relayed.size >= RELAYED_MAX_COUNT) return;
    const sequence = this.#nextSequence();
    // Its answer has to reach the asker before that gives up.
    const deadline = now + this.#timeout(target) * 0.8;
    this.#relayed.set(sequence, { asker, askerSequence, target, deadline });
    this.#ports.ping(target, sequence);
  }

  /** Nothing is asked of it any more. */
  forget(id: GatewayId): void {
    this.#trips.delete(id);
    for (const [sequence, probe] of this.#probes) if (probe.target === id) this.#probes.delete(sequence);
  }

  #period(now: number): void {
    this.#periods++;
    const next = this.#nextInTurn();
    if (next !== undefined) this.probe(next, 'silent', now);
    const neighbour = this.#neighbour();
    if (neighbour !== undefined && neighbour !== next) this.probe(neighbour, 'silent', now);
    if (this.#periods % 4 === 0) this.#knock();
  }

  /** Each present member once, then all anew in another order: none waits longer than two rounds. */
  #nextInTurn(): GatewayId | undefined {
    for (let round = 0; round < 2; round++) {
      for (let id = this.#turn.pop(); id !== undefined; id = this.#turn.pop()) {
        const status = this.#table.get(id)?.status;
        if (status === 'alive' || status === 'suspect') return id;
      }
      this.#turn = this.#table.ring.filter((id) => id !== this.#self);
      shuffle(this.#turn, this.#ports.random);
    }
    return undefined;
  }

  /**
   * The next alive one in the order of ids that does not leave a ping unanswered now: so each is asked by one gateway in every period, in a
   * mesh of any size, also when many go at once.
   */
  #neighbour(): GatewayId | undefined {
    const { ring } = this.#table;
    const start = firstAfter(ring, this.#self);
    for (let n = 0; n < Math.min(ring.length, 16); n++) {
      const id = ring[(start + n) % ring.length];
      if (id === undefined || id === this.#self) return undefined;
      if (this.#table.get(id)?.status === 'alive' && !this.#isInDoubt(id)) return id;
    }
    return undefined;
  }

  #isInDoubt(id: GatewayId): boolean {
    for (const { target, stage } of this.#probes.values())
      if (target === id && stage === 'indirect') return true;
    return false;
  }

  /** One that is held dead may have come back, and be told how to say so. */
  #knock(): void {
    const dead: GatewayId[] = [];
    for (const member of this.#table.absent()) if (member.status === 'dead') dead.push(member.id);
    const id = dead[Math.floor(this.#ports.random() * dead.length)];
    if (id !== undefined) this.#ports.ping(id, this.#nextSequence());
  }

  #missed(probe: Probe, now: number): void {
    if (probe.stage === 'direct') {
      this.#askOthers(probe, now);
      return;
    }
    this.#probes.delete(probe.sequence);
    // Those that were asked answered, so this gateway hears others well.
    this.#health.change(probe.relays.size === 0 ? 1 : probe.relays.size - probe.nacks.size);
    this.#ports.silent(probe.target, probe.evidence);
  }

  #askOthers(probe: Probe, now: number): void {
    probe.stage = 'indirect';
    probe.deadline = now + 2 * this.#timeout(probe.target);
    for (let n = 0; n < this.#options.relayCount; n++) {
      const relay = this.#relayFor(probe);
      if (relay === undefined) break;
      probe.relays.add(relay);
      this.#ports.pingFor(relay, probe.target, probe.sequence);
    }
    this.#ports.pingByFrame(probe.target, probe.sequence);
  }

  /** One that is alive, from anywhere in the ring on. */
  #relayFor({ target, relays }: Probe): GatewayId | undefined {
    const { ring } = this.#table;
    const start = Math.floor(this.#ports.random() * ring.length);
    for (let n = 0; n < ring.length; n++) {
      const id = ring[(start + n) % ring.length];
      if (id === undefined || id === this.#self || id === target || relays.has(id)) continue;
      if (this.#table.get(id)?.status === 'alive') return id;
    }
    return undefined;
  }

  #timeout(target: GatewayId): number {
    const { probeTimeoutMinMs, probeTimeoutMaxMs } = this.#options;
    const trip = this.#trips.get(target);
    return scaledByHealth(probeTimeoutMs(trip, probeTimeoutMinMs, probeTimeoutMaxMs), this.#health.score);
  }

  #nextSequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0;
    return this.#sequence;
  }
}

function shuffle(ids: GatewayId[], random: () => number): void {
  for (let last = ids.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const [a, b] = [ids[last], ids[other]];
    if (a === undefined || b === undefined) return;
    ids[last] = b;
    ids[other] = a;
  }
}
