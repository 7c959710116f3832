/**
 * Who is in the mesh and how it is: SWIM with suspicion, made sure by Lifeguard's doubts about oneself. Changes go at once over every link; probes
 * with news on them go by datagram; what was missed is found by comparing.
 *
 * False deaths happen and are healed: who hears that it is held dead says that it is not, with a higher incarnation.
 *
 * The file is longer than others because it is the one place that turns inputs into changes; what can be told apart from that (table, suspicions, probes,
 * what is told to whom, comparisons) has files of its own.
 */
import type { Clock } from '../../lib/contracts/clock.js';
import { type Epoch, isSameEpoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { MalformedFrame } from '../wire/bytes.js';
import { type Body, decodeMessage, type MembershipMessage } from './codec.js';
import { Comparisons } from './comparison.js';
import { CONFLICTS_MAX_COUNT, INCARNATION_MAX } from './limits.js';
import { LocalHealth } from './local-health.js';
import { type Evidence, isPresent, type Member, type MemberRecord, type Metadata } from './member.js';
import { type Applied, MemberTable } from './member-table.js';
import { isSameTexts, tellable } from './metadata.js';
import { MEMBERSHIP_DEFAULTS, type MembershipOptions } from './options.js';
import { Prober } from './prober.js';
import { Suspicions } from './suspicions.js';
import { Teller, type TellerPorts } from './teller.js';
import { loadIntervalMs } from './timing.js';

export interface MembershipPorts extends TellerPorts {
  readonly clock: Pick<Clock, 'now'>;
  /** @param before undefined: it was not known. Called during the input that changed it. */
  onChange(member: Member, before: Member | undefined): void;
  /** A cloned gateway, or one that was put back to what it was: once for each pair of epochs. For this gateway itself `known` is its own. */
  onConflict(id: GatewayId, known: Epoch, told: Epoch): void;
}

export interface MembershipSelf {
  readonly id: GatewayId;
  readonly epoch: Epoch;
  readonly site: string;
  readonly addresses: readonly string[];
  readonly software: string;
}

/** `closed`: the connection broke. `silent`: nothing came for too long. `agreed`: one side wanted it so. */
export type LinkEnd = Evidence | 'agreed';

export interface MembershipCounters {
  malformed: number;
  /** News of gateways for which there was no room. */
  refused: number;
  conflicts: number;
  /** This gateway stood still. */
  stalls: number;
  /** Of this gateway about others. */
  suspicions: number;
  deaths: number;
  /** Accusations of this gateway that it answered. */
  refutations: number;
}

/** A change below it is not worth a message. */
const LOAD_STEP = 0.05;
/** After a pause: what came meanwhile is looked at first. */
const STALL_GRACE_MS = 500;

/** Calls `tick` at `nextDeadlineMs`, which may become earlier with each input: a late call is taken for a pause of the process. */
export class Membership {
  readonly counters: MembershipCounters = {
    malformed: 0,
    refused: 0,
    conflicts: 0,
    stalls: 0,
    suspicions: 0,
    deaths: 0,
    refutations: 0,
  };
  readonly #ports: MembershipPorts;
  readonly #options: MembershipOptions;
  readonly #table: MemberTable;
  readonly #suspicions: Suspicions;
  readonly #teller: Teller;
  readonly #prober: Prober;
  readonly #health: LocalHealth;
  readonly #comparisons: Comparisons;
  readonly #conflicts = new Set<string>();
  #self: Member;
  #wantedLoad: Pick<Metadata, 'load' | 'health'> | undefined;
  #loadAt = 0;
  #graceUntil = 0;
  #expireAt: number;

  constructor(self: MembershipSelf, ports: MembershipPorts, options: Partial<MembershipOptions> = {}) {
    const all = { ...MEMBERSHIP_DEFAULTS, ...options };
    const now = ports.clock.now();
    const { id, epoch, site, addresses, software } = self;
    const metadata = tellable({ version: 1, site, addresses, software, load: 0, health: [] });
    this.#self = { id, epoch, incarnation: 0, status: 'alive', metadata };
    this.#ports = ports;
    this.#options = all;
    this.#table = new MemberTable(all.membersMaxCount, all.forgottenMaxCount);
    this.#table.set(this.#self, now);
    this.#suspicions = new Suspicions(all);
    this.#teller = new Teller(this.#table, this.#suspicions, all, ports);
    this.#health = new LocalHealth(all.healthScoreMax);
    this.#prober = new Prober(id, this.#table, this.#health, all, this.#proberPorts(), now);
    this.#comparisons = new Comparisons(id, this.#table, this.#teller, all, ports.random, now);
    this.#expireAt = now + all.deadKeptMs / 60;
  }

  get self(): Member {
    return this.#self;
  }

  /** All that are known, this one among them, dead and left ones too for a time. */
  members(): IterableIterator<Member> {
    return this.#table.members();
  }

  get(id: GatewayId): Member | undefined {
    return this.#table.get(id);
  }

  /** Alive and suspect ones. */
  get presentCount(): number {
    return this.#table.presentCount;
  }

  /** The same at two gateways that see the same. */
  get view(): number {
    return this.#table.view;
  }

  /** 0: it is well; up to `healthScoreMax`. */
  get localHealth(): number {
    return this.#health.score;
  }

  get sent(): { readonly datagrams: number; readonly frames: number; readonly bytes: number } {
    const { datagramsSent, framesSent, bytesSent } = this.#teller;
    return { datagrams: datagramsSent, frames: framesSent, bytes: bytesSent };
  }

  /** Digests that were sent. */
  get comparisons(): number {
    return this.#comparisons.count;
  }

  get nextDeadlineMs(): number {
    if (this.#self.status === 'left') return this.#teller.nextDeadlineMs;
    return Math.min(
      this.#teller.nextDeadlineMs,
      this.#prober.nextDeadlineMs,
      this.#suspicions.nextDeadlineMs,
      this.#comparisons.nextDeadlineMs,
      this.#wantedLoad === undefined ? Infinity : this.#loadAt,
    );
  }

  tick(now: number): void {
    this.#enter(now);
    if (this.#self.status !== 'left') {
      for (const member of this.#suspicions.takeExpired(now)) this.#died(member, now);
      this.#prober.tick(now);
      if (this.#wantedLoad !== undefined && now >= this.#loadAt) this.#tellLoad(this.#wantedLoad, now);
      this.#comparisons.tick(now);
      if (now >= this.#expireAt) this.#expire(now);
    }
    this.#teller.flush(now);
  }

  /** Both can talk: called on both sides. */
  linkUp(peer: GatewayId): void {
    const now = this.#enter();
    this.#teller.links.add(peer);
    // Whatever it was asked, it is there.
    this.#prober.forget(peer);
    this.#comparisons.linkUp(peer, now);
  }

  /** There is no link to it any more. */
  linkDown(peer: GatewayId, end: LinkEnd): void {
    const now = this.#enter();
    this.#teller.links.delete(peer);
    if (end === 'agreed' || !this.#isWatched(peer)) return;
    // One that stood still finds links closed because it stood still.
    this.#prober.probe(peer, now < this.#graceUntil ? 'silent' : end, now);
  }

  /** The link is there and nothing comes. */
  linkSilent(peer: GatewayId): void {
    const now = this.#enter();
    if (this.#isWatched(peer) && now >= this.#graceUntil) this.#prober.probe(peer, 'silent', now);
  }

  onDatagram(from: GatewayId, bytes: Uint8Array): void {
    this.#receive(from, bytes, true);
  }

  onFrame(from: GatewayId, bytes: Uint8Array): void {
    this.#receive(from, bytes, false);
  }

  /** @param load 0 to 1; small changes are not told, and others at most once a `loadIntervalMs` */
  setLoad(load: number, health: readonly string[]): void {
    const now = this.#enter();
    const { metadata } = this.#self;
    const wanted = tellable({ ...metadata, load, health });
    const isNews =
      !isSameTexts(wanted.health, metadata.health) || Math.abs(wanted.load - metadata.load) >= LOAD_STEP;
    this.#wantedLoad = isNews ? wanted : undefined;
    if (isNews && now >= this.#loadAt) this.#tellLoad(wanted, now);
  }

  setAddresses(addresses: readonly string[]): void {
    const now = this.#enter();
    const told = tellable({ ...this.#self.metadata, addresses });
    if (!isSameTexts(told.addresses, this.#self.metadata.addresses)) this.#setMetadata(told, now);
  }

  setSite(site: string): void {
    const now = this.#enter();
    const told = tellable({ ...this.#self.metadata, site });
    if (told.site !== this.#self.metadata.site) this.#setMetadata(told, now);
  }

  /** Tells all at once that this gateway goes; after that it neither probes nor answers accusations. */
  leave(): void {
    const now = this.#enter();
    if (this.#self.status === 'left') return;
    this.#setSelf({ ...this.#self, incarnation: this.#self.incarnation + 1, status: 'left' }, false, now);
    this.#teller.flush(now, true);
  }

  /** It stays after all. */
  rejoin(): void {
    const now = this.#ports.clock.now();
    if (this.#self.status !== 'left') return;
    this.#prober.discard(now);
    this.#comparisons.postpone(now);
    this.#setSelf({ ...this.#self, incarnation: this.#self.incarnation + 1, status: 'alive' }, true, now);
  }

  /** It was evicted: it is not known any more, and not taken in again by what others say, until `admit`. */
  forget(id: GatewayId): void {
    if (id === this.#self.id) return;
    const before = this.#table.forget(id);
    this.#suspicions.end(id);
    this.#prober.forget(id);
    if (before !== undefined && isPresent(before.status))
      this.#ports.onChange({ ...before, status: 'left' }, before);
  }

  admit(id: GatewayId): void {
    this.#table.admit(id);
  }

  /** What an earlier life knew, or a list of peers: taken as alive until the probes say otherwise, and not told to others. */
  restore(members: Iterable<Member>): void {
    const now = this.#ports.clock.now();
    for (const member of members) {
      const isKnown = member.id === this.#self.id || this.#table.get(member.id) !== undefined;
      if (isKnown || !isPresent(member.status) || this.#table.isForgotten(member.id)) continue;
      if (this.#table.size >= this.#options.membersMaxCount) {
        this.counters.refused++;
        continue;
      }
      const taken: Member = member.status === 'alive' ? member : { ...member, status: 'alive' };
      this.#table.set(taken, now);
      this.#ports.onChange(taken, undefined);
    }
  }

  /** @returns the time, after looking whether this gateway stood still. */
  #enter(now = this.#ports.clock.now()): number {
    const lateMs = now - this.nextDeadlineMs;
    if (lateMs > this.#options.stallMs) {
      this.counters.stalls++;
      this.#health.change(1);
      this.#prober.discard(now);
      this.#suspicions.postpone(lateMs + STALL_GRACE_MS);
      this.#comparisons.postpone(now);
      this.#loadAt = Math.max(this.#loadAt, now);
      this.#graceUntil = now + STALL_GRACE_MS;
      // The next late call is another pause.
      this.#teller.flush(now, true);
    }
    return now;
  }

  #receive(from: GatewayId, bytes: Uint8Array, isDatagram: boolean): void {
    const now = this.#enter();
    if (this.#table.isForgotten(from)) return;
    let message: MembershipMessage | undefined;
    try {
      message = decodeMessage(bytes);
    } catch (error) {
      if (!(error instanceof MalformedFrame)) throw error;
      this.counters.malformed++;
    }
    if (message === undefined) return;
    for (const record of message.records) this.#learn(record, from, now);
    this.#answer(from, message.body, isDatagram, now);
  }

  #answer(from: GatewayId, body: Body, isDatagram: boolean, now: number): void {
    switch (body.kind) {
      case 'ping':
        // For the one that had this address before.
        if (body.target !== this.#self.id || this.#self.status === 'left') return;
        this.#comparisons.ifOther(from, body.view, now);
        this.#send(from, { kind: 'ack', sequence: body.sequence, view: this.#table.view }, isDatagram);
        return;
      case 'ack':
        this.#comparisons.ifOther(from, body.view, now);
        this.#prober.acknowledged(from, body.sequence, isDatagram, now);
        return;
      case 'nack':
        this.#prober.notAcknowledged(from, body.sequence);
        return;
      case 'pingFor':
        if (this.#self.status !== 'left') this.#prober.pingFor(from, body.sequence, body.target, now);
        return;
      case 'view':
        if (body.view !== this.#table.view) this.#comparisons.with(from);
        return;
      case 'digest':
        this.#onDigest(from, body, now);
        return;
      case 'want':
        this.#teller.records(
          from,
          body.ids.flatMap((id) => this.#table.get(id) ?? []),
        );
        return;
      case 'push':
    }
  }

  #learn(record: MemberRecord, from: GatewayId, now: number): void {
    if (record.id === this.#self.id) {
      this.#learnOfSelf(record, from, now);
      return;
    }
    const applied = this.#table.apply(record, now);
    switch (applied.kind) {
      case 'news':
        this.#changed(applied, record, from, now);
        return;
      case 'conflict':
        this.#conflict(record.id, applied.known.epoch, record.epoch);
        return;
      case 'refused':
        this.counters.refused++;
        return;
      case 'known':
      case 'old':
        this.#heardAgain(record, from, now);
    }
  }

  #heardAgain(record: MemberRecord, from: GatewayId, now: number): void {
    const known = this.#table.get(record.id);
    if (known === undefined || known.epoch.counter > record.epoch.counter) return;
    const accuser = record.accuser ?? from;
    const isSame = known.status === record.status && known.incarnation === record.incarnation;
    if (isSame && known.status === 'suspect') {
      if (this.#suspicions.confirm(record.id, accuser, record.evidence, now))
        this.#teller.confirmation(record.id, accuser, from, now);
      else this.#teller.heard(record.id, accuser, from);
    }
    if (isSame) this.#teller.heard(record.id, undefined, from);
    // It does not know what is said of it.
    else if (record.id === from && known.status !== 'alive') this.#teller.records(from, [known]);
  }

  #changed(
    applied: Extract<Applied, { readonly kind: 'news' }>,
    record: MemberRecord,
    from: GatewayId | undefined,
    now: number,
  ): void {
    const { member, before, statusChanged, metadataChanged } = applied;
    if (statusChanged) {
      this.#suspicions.end(member.id);
      if (member.status === 'suspect') {
        const accuser = record.accuser ?? from ?? this.#self.id;
        this.#suspicions.start(member, accuser, record.evidence, this.#table.presentCount, now);
      }
      if (!isPresent(member.status)) this.#prober.forget(member.id);
    }
    this.#teller.news(member.id, metadataChanged, from, now);
    this.#comparisons.changed(true, now);
    this.#ports.onChange(member, before);
  }

  /** What others say of this gateway. */
  #learnOfSelf(record: MemberRecord, from: GatewayId, now: number): void {
    const self = this.#self;
    if (record.epoch.counter < self.epoch.counter) {
      this.#teller.records(from, [self]);
      return;
    }
    if (!isSameEpoch(record.epoch, self.epoch)) {
      this.#conflict(self.id, self.epoch, record.epoch);
      return;
    }
    if (self.status === 'left') return;
    const isAccused = record.status !== 'alive' && record.incarnation >= self.incarnation;
    if (!isAccused && record.incarnation <= self.incarnation) return;
    if (isAccused) {
      this.counters.refutations++;
      this.#health.change(1);
    }
    const incarnation = Math.min(INCARNATION_MAX, record.incarnation + 1);
    this.#setSelf({ ...self, incarnation }, true, now);
  }

  #conflict(id: GatewayId, known: Epoch, told: Epoch): void {
    const key = `${id}/${known.counter}/${known.nonce}/${told.counter}/${told.nonce}`;
    if (this.#conflicts.has(key) || this.#conflicts.size >= CONFLICTS_MAX_COUNT) return;
    this.#conflicts.add(key);
    this.counters.conflicts++;
    this.#ports.onConflict(id, known, told);
  }

  #silent(target: GatewayId, evidence: Evidence): void {
    const now = this.#ports.clock.now();
    const known = this.#table.get(target);
    if (known === undefined || !isPresent(known.status)) return;
    const accuser = this.#self.id;
    if (known.status === 'suspect') {
      if (this.#suspicions.confirm(target, accuser, evidence, now))
        this.#teller.confirmation(target, accuser, undefined, now);
      return;
    }
    this.counters.suspicions++;
    this.#apply({ ...known, status: 'suspect', accuser, evidence, metadata: undefined }, now);
  }

  #died(member: Member, now: number): void {
    this.counters.deaths++;
    this.#apply(
      { ...member, status: 'dead', accuser: undefined, evidence: 'silent', metadata: undefined },
      now,
    );
  }

  /** What this gateway found out itself. */
  #apply(record: MemberRecord, now: number): void {
    const applied = this.#table.apply(record, now);
    if (applied.kind === 'news') this.#changed(applied, record, undefined, now);
  }

  #setMetadata(metadata: Metadata, now: number): void {
    const version = this.#self.metadata.version + 1;
    this.#setSelf({ ...this.#self, metadata: { ...metadata, version } }, true, now);
  }

  #setSelf(self: Member, withMetadata: boolean, now: number): void {
    const before = this.#self;
    this.#self = self;
    this.#table.set(self, now);
    this.#teller.news(self.id, withMetadata, undefined, now);
    this.#comparisons.changed(false, now);
    this.#ports.onChange(self, before);
  }

  #tellLoad({ load, health }: Pick<Metadata, 'load' | 'health'>, now: number): void {
    this.#wantedLoad = undefined;
    this.#loadAt = now + loadIntervalMs(this.#options.loadIntervalMs, this.#table.presentCount);
    this.#setMetadata({ ...this.#self.metadata, load, health }, now);
  }

  #isWatched(peer: GatewayId): boolean {
    const member = this.#table.get(peer);
    return member !== undefined && isPresent(member.status) && this.#self.status !== 'left';
  }

  #onDigest(from: GatewayId, { entries }: Extract<Body, { readonly kind: 'digest' }>, now: number): void {
    const { id, epoch } = this.#self;
    const mine = entries.find((entry) => entry.id === id);
    // Which other life it is does not stand in a digest: it is asked for.
    if (mine !== undefined && mine.counter === epoch.counter)
      this.#learnOfSelf(
        { ...mine, epoch, accuser: undefined, evidence: 'silent', metadata: undefined },
        from,
        now,
      );
    this.#comparisons.answer(from, entries);
  }

  #expire(now: number): void {
    this.#table.expire(now, this.#options.deadKeptMs);
    this.#expireAt = now + this.#options.deadKeptMs / 60;
  }

  #send(to: GatewayId, body: Body, isDatagram: boolean): void {
    if (isDatagram) this.#teller.datagram(to, body);
    else this.#teller.frame(to, body);
  }

  #proberPorts(): ConstructorParameters<typeof Prober>[4] {
    const ping = (target: GatewayId, sequence: number): Body => ({
      kind: 'ping',
      sequence,
      target,
      view: this.#table.view,
    });
    return {
      random: this.#ports.random,
      ping: (target, sequence) => this.#teller.datagram(target, ping(target, sequence)),
      pingByFrame: (target, sequence) => this.#teller.frame(target, ping(target, sequence)),
      pingFor: (relay, target, sequence) =>
        this.#teller.datagram(relay, { kind: 'pingFor', sequence, target }),
      answer: (asker, sequence, isThere) =>
        this.#teller.datagram(
          asker,
          isThere ? { kind: 'ack', sequence, view: this.#table.view } : { kind: 'nack', sequence },
        ),
      silent: (target, evidence) => this.#silent(target, evidence),
    };
  }
}
