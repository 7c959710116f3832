/**
 * One gateway of a mesh, without sockets and timers of its own: the lanes and the store on one side, links to other gateways on the
 * other. Real ones are put to it by MeshService, simulated ones by test/sim/mesh.
 */
import type { Clock, TimerHandle, Timers } from '../../lib/contracts/clock.js';
import type { Epoch, Lineage } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { MeshHost, MeshPort, RemoteTarget } from '../../lib/contracts/mesh-port.js';
import type { LogPosition, Store } from '../../lib/contracts/store.js';
import type {
  DurableStreams,
  MessageSource,
  RetainedVersion,
  StreamImage,
  StreamRecord,
} from '../../lib/contracts/streams.js';
import type { Run } from '../../lib/delivery/fan-out.js';
import type { Message } from '../../lib/message/message.js';
import type { QoS } from '../../lib/protocol/packet.js';
import type { Roster } from '../admission/roster.js';
import type { ReceiverGreeting } from '../forward/frames.js';
import { TEXT_SLOTS } from '../forward/limits.js';
import { TextCache } from '../forward/text-cache.js';
import type { SignedCloneReport } from '../identity/clone-report.js';
import { type Departure, encodeDepartures } from '../identity/departure.js';
import { epochText, lineageHas, presentOf } from '../identity/lineage.js';
import { judge, type Verdict, type WeAreRolledBack } from '../identity/meeting.js';
import { meetingText } from '../identity/meeting-text.js';
import { LocalInterest, RemoteInterest, SubackGate } from '../interest/index.js';
import { Channel, FRAME_MAX_BYTES, type PeerLink } from '../link/peer-link.js';
import { isPresent, type Member, Membership, type MembershipOptions } from '../membership/index.js';
import { Admission } from './admission.js';
import { archiveFrameMaxBytes, ArchiveLane } from './archive-lane.js';
import { Bookkeeping } from './bookkeeping.js';
import { CarriedChannel, wireLane } from './carried-channel.js';
import { CloneWatch } from './clone-watch.js';
import { Departures } from './departures.js';
import { encodeHello, EPOCH_COUNTER_MAX, HELLO_VERSION, type Hello } from './hello.js';
import { AHEAD_EVERY_MS, AHEAD_MAX_MS, PEERS_MAX_COUNT, SWEEP_EVERY_MS, TICK_MS } from './limits.js';
import { linkEndOf, REBORN } from './link-end.js';
import type { NodeLimits, NodeParts } from './node-parts.js';
import { OwnLineage } from './own-lineage.js';
import { Peer, type PeerEvents } from './peer.js';
import { floorName, gatewayOfFloor } from './peer-floors.js';
import { Relay } from './relay.js';
import { RetainedMemory } from './retained-memory.js';
import { RetainedNode } from './retained-node.js';
import { RUN_MAX_BYTES } from './runs.js';
import { Sources } from './sources.js';

export interface MeshNodeOptions {
  readonly self: GatewayId;
  readonly site: string;
  readonly software: string;
  /** Of earlier processes. */
  readonly lineage: Lineage;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly store: Store;
  readonly host: MeshHost;
  readonly membership?: Partial<MembershipOptions>;
  /** The members that should have a link. */
  readonly wanted: (ids: Iterable<GatewayId>) => void;
  /** Where a member says that it is reached, each time that this changes. */
  readonly heardOf?: (id: GatewayId, addresses: readonly string[]) => void;
  /** Calls back once, after everything that is already in the current turn. */
  readonly schedule: (run: () => void) => void;
  readonly limits: NodeLimits;
  readonly importFilters: readonly string[];
  readonly exportFilters: readonly string[];
  /** `host:port` at which others may reach it. */
  readonly addresses: () => readonly string[];
  /** The lives of others, as they told them last. */
  readonly lineages: ReadonlyMap<GatewayId, Lineage>;
  readonly saveLineages: (lineages: ReadonlyMap<GatewayId, Lineage>) => void;
  readonly roster: Roster | undefined;
  readonly matchesAdmin: (publicKey: Uint8Array, salt: Uint8Array) => boolean;
  readonly saveRoster: (roster: Roster) => void;
  /** Others know a later life of this gateway: `begin` is to be called again, with one whose counter is beyond this. */
  readonly bearAnew: (beyond: number) => void;
  /** It takes part no more: for `reason`, which people are to see. */
  readonly stopped: (reason: string) => void;
}

/** What the store keeps for it. */
const LIVES_NOTE = 'lives';
const DEPARTURES_NOTE = 'departures';
/** As long as what is retained since then is known by the life in which it was published. */
const LIVES_MAX_COUNT = 4096;
const HAS_LEFT = 'it has left the mesh';

export class MeshNode implements MeshPort, DurableStreams, PeerEvents {
  onRemoteChange: ((filter: string) => void) | undefined;
  readonly self: GatewayId;
  readonly #options: MeshNodeOptions;
  readonly #parts: NodeParts;
  readonly #local: LocalInterest;
  readonly #peers = new Map<GatewayId, Peer>();
  /** SUBACKs of this turn. */
  #answers: (() => void)[] = [];
  #isScheduled = false;
  #isOver = false;
  readonly #relay: Relay;
  readonly admission: Admission;
  /** For frames that go when a link has little else to do. */
  readonly archive: CarriedChannel;
  /** For frames that go at once. */
  readonly wire = new CarriedChannel(FRAME_MAX_BYTES, wireLane);
  #retained: RetainedNode | undefined;
  readonly #lineages: Map<GatewayId, Lineage>;
  /** As they are written down. */
  readonly #savedLineages: Map<GatewayId, Lineage>;
  readonly #sources = new Sources();
  readonly #clones: CloneWatch;
  readonly #memory: RetainedMemory;
  #membership: Membership | undefined;
  /** From `begin` on. */
  #departures: Departures | undefined;
  #imageFloor: number | undefined;
  #bornBeyond = 0;
  /** A later life is being written down: until it begins no other gateway is met, as what it would be sent is of no life yet. */
  #isBearing = false;
  /** Peers, and which later life each of them knows. */
  readonly #saidWeAreBack = new Set<string>();
  #sweptAt = 0;
  #aheadAt = 0;
  #timer: TimerHandle | undefined;
  #wakesAt = Infinity;

  constructor(options: MeshNodeOptions) {
    this.self = options.self;
    this.#options = options;
    const { importFilters, exportFilters, lineage, self, clock, logger, store, host, limits } = options;
    this.#local = new LocalInterest({ life: 0, importFilters, exportFilters });
    this.#parts = {
      ...{ clock, logger, store, host, limits, local: this.#local },
      remote: new RemoteInterest((filter) => this.onRemoteChange?.(filter)),
      gate: new SubackGate(Math.max(0, limits.interestWaitMs - TICK_MS)),
      lineage: new OwnLineage(self, lineage, () => this.#earlierLives()),
      bookkeeping: new Bookkeeping(),
      texts: new TextCache(TEXT_SLOTS),
    };
    this.archive = new CarriedChannel(
      archiveFrameMaxBytes(limits.linkMaxBytesPerSecond),
      (peer) => new ArchiveLane(peer),
    );
    this.#memory = new RetainedMemory(store, this.#parts.bookkeeping);
    this.#clones = new CloneWatch({
      ...{ self, logger, lineage: this.#parts.lineage },
      passOn: (frame, from) => this.#passOn(Channel.clones, frame, from),
      isClone: (reason) => this.#stopAsClone(reason),
    });
    this.#lineages = new Map(options.lineages);
    this.#savedLineages = new Map(options.lineages);
    this.admission = new Admission(options.roster, {
      matchesAdmin: options.matchesAdmin,
      save: options.saveRoster,
      evicted: (id, reason) => this.#evicted(id, reason),
    });
    this.#relay = new Relay({
      ...{ self, clock, isWilling: limits.relay },
      random: () => options.random(),
      direct: (id) => this.#peers.get(id)?.direct,
      neighbours: () =>
        [...this.#peers.values()].filter(({ direct }) => direct).map(({ gateway }) => gateway),
      isLinked: (id) => this.#peers.get(id)?.isReachable === true,
      linkUp: (link) => this.linkUp(link),
    });
  }

  // Life.

  /** A life of this gateway begins: it is durable, and the store is open. @param lineage with it as its last */
  begin(lineage: Lineage): void {
    this.#isBearing = false;
    this.#parts.lineage.begin(lineage);
    // With the next checkpoint is soon enough: the newest 64 are in a file of their own, each before it begins.
    const lives = this.#parts.lineage.known.slice(-LIVES_MAX_COUNT);
    this.#options.store.setNote(LIVES_NOTE, Buffer.from(JSON.stringify(lives), 'utf8'));
    const { committed, passedCount } = this.#options.store;
    this.#parts.bookkeeping.begin(committed, passedCount);
    this.#departures = this.#createDepartures();
    this.#forgetGone();
    const retained = this.#createRetained();
    this.#retained = retained;
    for (const peer of this.#peers.values()) {
      peer.close(REBORN);
      peer.begin(retained);
      this.#local.beginBeyond(peer.receiver.image?.backfill?.id ?? 0);
    }
    this.#local.life = Number.parseInt(this.#parts.lineage.present.nonce.slice(0, 12), 16);
    const { self, site, software, addresses, clock, random, membership } = this.#options;
    const { counter, nonce } = this.#parts.lineage.present;
    this.#membership = new Membership(
      { id: self, epoch: { counter, nonce }, site, software, addresses: addresses() },
      {
        ...{ clock, random },
        sendDatagram: (to, bytes) => this.#peers.get(to)?.link?.sendDatagram(bytes),
        pushFrame: (to, bytes) => void this.#peers.get(to)?.link?.send(Channel.membership, bytes),
        onChange: (member, before) => this.#memberChanged(member, before),
        onConflict: (id, known, told) => this.#conflict(id, known, told),
      },
      membership,
    );
    this.#wakeAt(clock.now());
  }

  #createRetained(): RetainedNode {
    const { self, clock, random, host } = this.#options;
    return new RetainedNode(
      {
        ...{ self, clock, random, host, tombstoneMinAgeMs: this.#options.limits.tombstoneMinAgeMs },
        head: () => this.#parts.bookkeeping.worthUpTo,
        mayExport: (topic) => this.#local.mayExport(topic),
        mayImport: (topic) => this.#local.mayImport(topic),
        members: () => [...this.#lineages.keys()].filter((id) => !this.admission.isEvicted(id)),
        rosterVersion: () => Number.parseInt(this.admission.version.slice(0, 12), 16) || 0,
        coveredOf: (id) => this.#peers.get(id)?.receiver.status.covered ?? 0,
        isCaughtUp: () => this.#isCaughtUp(),
        isToCome: (version) => this.#isToCome(version),
        sourceOf: (origin, epoch) => this.#sources.of(origin, epoch),
        noteHave: (origin, sequence) => {
          // Of one that was never met everything up to its head is passed over when it is.
          if (origin !== self) this.#peers.get(origin)?.receiver.replayForwarded(sequence);
        },
        remember: (image) => this.#memory.remember(image),
      },
      this.#parts.lineage.present,
      this.#memory.image,
    );
  }

  #isCaughtUp(): boolean {
    for (const { isReachable, receiver } of this.#peers.values())
      if (isReachable && receiver.isCatchingUp) return false;
    return true;
  }

  /** Whether the stream of another gateway is to bring what it retained, unless it is not to be reached for long. */
  #isToCome({ origin, epoch, sequence }: RetainedVersion): boolean {
    const peer = this.#peers.get(origin);
    // Of one that was never met nothing is owed, and what came before the first meeting is not sent.
    if (peer?.receiver.isMet !== true || sequence <= peer.receiver.durable) return false;
    if (peer.unreachableForMs > AHEAD_MAX_MS) return false;
    const lineage = this.#lineages.get(origin) ?? [];
    return lineageHas(lineage, epoch) || epoch.counter > (lineage.at(-1)?.counter ?? 0);
  }

  #createDepartures(): Departures {
    const { store } = this.#options;
    return new Departures(
      {
        present: (id) => {
          if (id === this.self) return { epoch: this.epoch, isLinked: true };
          const epoch = this.#lineages.get(id)?.at(-1);
          return epoch && { epoch, isLinked: this.#peers.get(id)?.isReachable === true };
        },
        save: (frame) => {
          store.setNote(DEPARTURES_NOTE, frame);
          store.recordNote(DEPARTURES_NOTE);
        },
      },
      store.note(DEPARTURES_NOTE),
    );
  }

  #earlierLives(): Lineage {
    const note = this.#options.store.note(LIVES_NOTE);
    return note === undefined ? [] : (JSON.parse(Buffer.from(note).toString('utf8')) as Lineage);
  }

  get retainedFloor(): number {
    // Before it takes part, too, clients publish.
    return this.#retained?.floor ?? (this.#imageFloor ??= this.#memory.image?.floor ?? 0);
  }

  doubted(message: Message): void {
    this.#compareSoon(message.source?.origin);
  }

  /** Whether the message of this gateway is still retained, it knows best; without a link to it, the others. */
  #compareSoon(origin: GatewayId | undefined): void {
    const peer = origin === undefined ? undefined : this.#peers.get(origin);
    if (peer?.isReachable === true) peer.requestRound();
    else for (const one of this.#peers.values()) one.requestRound();
  }

  notRetained(message: Message): void {
    this.#retained?.notRetained(message);
  }

  /** A message of another gateway, in its stream. @returns where it is in the log here; 0: in none */
  took(message: Message): LogPosition {
    const { host } = this.#options;
    // What is retained goes to everybody, whatever they let in.
    if (message.retain && !this.#local.mayImport(message.topic)) {
      this.notRetained(message);
      return 0;
    }
    if (message.retain) message.mayBeRemoved = this.#retained?.isSuspect(message) === true;
    return host.publishForwarded(message);
  }

  get membership(): Membership {
    if (this.#membership === undefined) throw new Error('the node has not begun');
    return this.#membership;
  }

  /** Tells all that this gateway goes. Links are closed with `end`, a moment later. */
  leave(): void {
    if (this.#membership === undefined) return;
    this.#membership.leave();
    this.#wakeAt(this.#options.clock.now());
  }

  /** Tells all that it goes for good: nothing is to be kept for it. @param departure of this gateway in its present life */
  depart(departure: Departure): void {
    // The goodbye goes first: nobody is to dial it again.
    this.leave();
    this.#passOn(Channel.departures, encodeDepartures([departure]), undefined);
  }

  /** After `end`, for good: nobody comes for what is kept here for others. */
  forgetAll(): void {
    const { store } = this.#options;
    for (const peer of this.#peers.values()) peer.forget();
    for (const id of [...this.#peers.keys(), ...this.#lineages.keys()]) store.forgetStream(id);
    this.#peers.clear();
    for (const name of [...store.floors.keys()])
      if (gatewayOfFloor(name) !== undefined) store.setFloor(name, undefined);
  }

  /** Whether it has left for good, as it says. */
  hasLeft(id: GatewayId): boolean {
    return this.#departures?.has(id) === true;
  }

  /** Every link is closed, and none is taken any more. */
  end(reason: string): void {
    this.#isOver = true;
    this.#timer?.cancel();
    for (const peer of this.#peers.values()) peer.close(reason);
    for (const answer of this.#answers.splice(0)) answer();
  }

  /** One timer for everything: what is due earlier moves it. */
  #wakeAt(at: number): void {
    if (at >= this.#wakesAt || this.#isOver) return;
    this.#timer?.cancel();
    this.#wakesAt = at;
    const { clock, timers } = this.#options;
    this.#timer = timers.after(Math.max(0, at - clock.now()), () => this.#wake());
  }

  #wake(): void {
    this.#wakesAt = Infinity;
    const now = this.#options.clock.now();
    const { gate } = this.#parts;
    gate.tick(now);
    for (const peer of this.#peers.values()) peer.tick(now);
    const membership = this.#membership;
    // A SUBACK may wait before the mesh has begun.
    if (membership === undefined) {
      this.#wakeAt(now + TICK_MS);
      return;
    }
    this.#relay.tick(this.#present());
    this.archive.tick();
    if (now - this.#sweptAt >= SWEEP_EVERY_MS) {
      this.#sweptAt = now;
      this.#retained?.sweep();
      this.#memory.record(now);
    }
    if (now - this.#aheadAt >= AHEAD_EVERY_MS) {
      this.#aheadAt = now;
      this.#retained?.deliverOverdue();
    }
    if (now >= membership.nextDeadlineMs) membership.tick(now);
    this.#wakeAt(Math.min(now + TICK_MS, Math.max(now, membership.nextDeadlineMs)));
  }

  #membershipHeard(): void {
    this.#wakeAt(Math.max(this.membership.nextDeadlineMs, this.#options.clock.now()));
  }

  #memberChanged(member: Member, before: Member | undefined): void {
    const { id, status } = member;
    if (id === this.self) return;
    if (before?.status !== status)
      this.#options.logger.info('a gateway of the mesh', { gateway: id, status, site: member.metadata.site });
    if (before === undefined || before.status !== status) this.#tellWanted();
    // After a return, too: the one that came back may have been elsewhere before.
    const { addresses } = member.metadata;
    const isNews = before?.status !== status || before.metadata.addresses !== addresses;
    if (isPresent(status) && addresses.length > 0 && isNews) this.#options.heardOf?.(id, addresses);
  }

  *#present(): Iterable<GatewayId> {
    for (const { id, status } of this.membership.members()) if (isPresent(status)) yield id;
  }

  #tellWanted(): void {
    const wanted: GatewayId[] = [];
    for (const { id, status } of this.membership.members())
      if (id !== this.self && status !== 'left' && !this.hasLeft(id)) wanted.push(id);
    this.#options.wanted(wanted);
  }

  /** Two lives of one gateway are told of, of which neither is the earlier. */
  #conflict(id: GatewayId, known: Epoch, told: Epoch): void {
    if (id === this.self) {
      // It may be what others still remember of the time before this data folder was put back, or a copy that is alive: `beyond` tells.
      this.#beyond(told);
      return;
    }
    this.#options.logger.warn(
      'two lives of a gateway are told of: its data folder was copied, or put back to an old image',
      {
        gateway: id,
        known: epochText(known),
        told: epochText(told),
      },
    );
  }

  /**
   * Others know a life of this gateway that it does not know itself: it goes on in one that is later.
   * @returns whether such a one is to begin
   */
  #beyond(known: Epoch): boolean {
    const { present } = this.#parts.lineage;
    if (known.counter < present.counter || this.#bornBeyond >= known.counter) return false;
    // Nobody has lived so often meanwhile: whoever says so would take the counters away that are left.
    if (known.counter - present.counter > LIVES_MAX_COUNT || known.counter >= EPOCH_COUNTER_MAX) return false;
    this.#bornBeyond = known.counter;
    this.#isBearing = true;
    // What is committed while it is written down is of the new life: it must not leave as of this one.
    this.#options.schedule(() => {
      if (this.#isOver) return;
      for (const peer of this.#peers.values()) peer.close(REBORN);
      this.#options.bearAnew(known.counter);
    });
    return true;
  }

  /** All lives of this gateway that are known, the present one last. */
  get lineage(): Lineage {
    return this.#parts.lineage.known;
  }

  /** The archive knows a life of this gateway with this counter that the gateway does not know itself. */
  archiveKnows(counter: number): void {
    this.#beyond({ counter, nonce: '' });
  }

  /** The present life of this gateway. */
  get epoch(): Epoch {
    return this.#parts.lineage.present;
  }

  /** Two live processes with one key; it may be this gateway's. @param address of the second one */
  sawTwins(report: SignedCloneReport, address: string): void {
    this.#clones.heard(report, address);
  }

  /** The same key at two live processes: this one takes part no more. */
  #stopAsClone(reason: string): void {
    if (this.#isOver) return;
    this.#options.logger.error(reason, { gateway: this.self });
    this.end(reason);
    this.#options.stopped(reason);
  }

  get hasBegun(): boolean {
    return this.#membership !== undefined;
  }

  /** Why there is no way through other gateways; undefined: none was looked for. */
  relayFailureOf(id: GatewayId): string | undefined {
    return this.#relay.failureOf(id);
  }

  get peers(): Iterable<Peer> {
    return this.#peers.values();
  }

  linkUp(link: PeerLink): void {
    if (this.#isOver || this.#membership === undefined || link.peer === this.self) {
      link.close(link.peer === this.self ? 'this is the same gateway' : 'this gateway is not in the mesh');
      return;
    }
    if (this.#isBearing) {
      link.close(REBORN);
      return;
    }
    if (!this.#peers.has(link.peer) && this.#peers.size >= PEERS_MAX_COUNT) {
      link.close(
        `it knows ${PEERS_MAX_COUNT} gateways, which is the limit: evict those that will not come back`,
      );
      return;
    }
    const peer = this.#peerOf(link.peer);
    // A link of its own is better than one through another gateway.
    if (link.path === 'relayed' && peer.direct !== undefined) {
      link.close('there is a direct link');
      return;
    }
    peer.linkUp(link, (greeting) => this.#hello(peer, greeting));
  }

  #peerOf(id: GatewayId): Peer {
    let peer = this.#peers.get(id);
    if (peer === undefined) {
      peer = new Peer(id, this.#parts, this);
      this.#peers.set(id, peer);
      if (this.#retained !== undefined) peer.begin(this.#retained);
    }
    return peer;
  }

  #hello(peer: Peer, greeting: ReceiverGreeting): Uint8Array {
    const { site, software, addresses, store } = this.#options;
    return encodeHello({
      version: HELLO_VERSION,
      ...{ software, site, addresses: addresses(), greeting },
      lineage: this.#parts.lineage.all,
      head: store.committed,
      knownEpoch: peer.receiver.image?.epoch,
      interest: peer.interestImage,
      rosterVersion: this.admission.version,
      admin: this.admission.admin,
    });
  }

  // What peers tell.

  greeted(peer: Peer, hello: Hello): string | undefined {
    const { admission, self } = this;
    admission.learnAdmin(hello.admin);
    if (admission.isEvicted(peer.gateway)) return `evicted: ${admission.reasonOf(peer.gateway)}`;
    const { lineage } = this.#parts;
    const { image } = peer.receiver;
    const { covered } = hello.greeting;
    const theirImage =
      hello.knownEpoch === undefined || covered === undefined
        ? undefined
        : { epoch: hello.knownEpoch, covered };
    const verdict = judge({
      own: { id: self, lineage: lineage.all, head: this.#options.store.committed },
      other: { id: peer.gateway, lineage: hello.lineage, head: hello.head },
      ...{ image, theirImage, remembered: this.#lineages.get(peer.gateway) },
      ...{ liveEpochs: [], isOldAlive: false },
    });
    const weAreBack = verdict.kind === 'weAreRolledBack' ? verdict : undefined;
    // Now or never: the other may take this life for what we are, and find nothing wrong with the next one.
    if (weAreBack !== undefined) this.#sayWeAreBack(peer, weAreBack);
    if (this.#isBearing) return REBORN;
    if (this.#departures?.arrives(peer.gateway, presentOf(hello.lineage)) === false) {
      // It has not closed yet what it has.
      peer.close(HAS_LEFT);
      this.#peers.delete(peer.gateway);
      return HAS_LEFT;
    }
    // The two meet again when it has begun; what follows is for that meeting.
    if (weAreBack !== undefined && this.#beyond(weAreBack.known)) return REBORN;
    this.#lineages.set(peer.gateway, hello.lineage);
    const standing = weAreBack?.other ?? verdict;
    const resetAt =
      standing.kind === 'rolledBack' ? peer.receiver.reset(standing.covered, standing.present) : 0;
    // Where it was put back, that is in the log before its new lives are known: with them alone nobody could tell any more where.
    this.#options.host.whenCommitted(() => this.#saveLineage(peer.gateway, hello.lineage), resetAt);
    const text = weAreBack === undefined ? this.#sayMeeting(peer, verdict) : undefined;
    if (verdict.kind === 'clone') return text;
    const rolledBackTo = weAreBack === undefined ? undefined : Math.max(0, weAreBack.lostFrom - 1);
    peer.helloCame(hello, weAreBack === undefined || weAreBack.lostTo === 0 ? undefined : rolledBackTo);
    const departures = this.#departures?.frame;
    if (departures !== undefined) peer.link?.send(Channel.departures, departures);
    if (hello.rosterVersion !== admission.version)
      for (const frame of admission.frames()) peer.link?.send(Channel.roster, frame);
    this.archive.linked(peer);
    this.membership.linkUp(peer.gateway);
    this.#membershipHeard();
    this.#flushSoon();
    return undefined;
  }

  #sayMeeting(peer: Peer, verdict: Verdict): string | undefined {
    const text = meetingText(verdict, { other: peer.gateway, address: peer.link?.remoteAddress ?? '' });
    if (text !== undefined) this.#options.logger.error(text, { gateway: peer.gateway });
    return text;
  }

  /** Once for what a peer knows: the same is found again in the life that begins because of it. */
  #sayWeAreBack(peer: Peer, verdict: WeAreRolledBack): void {
    const what = `${peer.gateway} ${epochText(verdict.known)}`;
    if (this.#saidWeAreBack.has(what)) return;
    this.#saidWeAreBack.add(what);
    this.#sayMeeting(peer, verdict);
  }

  up(peer: Peer): void {
    this.wire.linked(peer);
    this.#flushSoon();
  }

  apart(peer: Peer, reason: string): void {
    this.wire.unlinked(peer.gateway);
    this.membership.linkDown(peer.gateway, linkEndOf(reason));
    this.#relay.lost(peer.gateway);
    this.archive.unlinked(peer.gateway);
    this.#membershipHeard();
  }

  frame(peer: Peer, channel: Channel, frame: Uint8Array): void {
    if (channel === Channel.membership) {
      this.membership.onFrame(peer.gateway, frame);
      this.#membershipHeard();
    } else if (channel === Channel.archive) this.archive.received(peer, frame);
    else if (channel === Channel.relay) this.#relay.onFrame(peer.gateway, frame);
    else if (channel === Channel.clones) this.#clones.told(frame, peer);
    else if (channel === Channel.departures) this.#departed(peer, frame);
    else if (channel === Channel.wire) this.wire.received(peer, frame);
    else if (channel === Channel.roster && this.admission.merge(frame))
      this.#passOn(Channel.roster, frame, peer);
  }

  /** Whether everything that the filter matches may leave this gateway. */
  mayLeave(filter: string): boolean {
    return this.#local.mayExportAll(filter);
  }

  /** A statement of the administrator that was given here. @throws MalformedFrame @returns whether it was news */
  takeStatement(frame: Uint8Array): boolean {
    if (!this.admission.merge(frame)) return false;
    this.#passOn(Channel.roster, frame, undefined);
    return true;
  }

  #passOn(channel: Channel, frame: Uint8Array, from: Peer | undefined): void {
    for (const peer of this.#peers.values())
      if (peer !== from && peer.isReachable) peer.link?.send(channel, frame);
  }

  #departed(from: Peer, frame: Uint8Array): void {
    const news = (this.#departures?.merge(frame) ?? []).filter(({ gateway }) => gateway !== this.self);
    if (news.length === 0) return;
    this.#passOn(Channel.departures, encodeDepartures(news), from);
    for (const { gateway } of news) {
      this.#options.logger.info('a gateway has left the mesh for good: nothing is kept for it any more', {
        gateway,
      });
      this.#forget(gateway);
    }
    this.#tellWanted();
  }

  #evicted(id: GatewayId, reason: string): void {
    this.#options.logger.warn('a gateway was evicted from the mesh', { gateway: id, reason });
    if (id === this.self) {
      this.#stopAsEvicted(reason);
      return;
    }
    const peer = this.#peers.get(id);
    const statement = this.admission.statementOn(id);
    // It is told, too: else it would take all others for dead, and try for ever.
    if (peer?.isReachable === true && statement !== undefined) peer.link?.send(Channel.roster, statement);
    this.#membership?.forget(id);
    this.#forget(id);
    this.wire.evicted(id);
    if (this.hasBegun) this.#tellWanted();
  }

  /** It is no member any more: nothing is kept for it. */
  #forget(id: GatewayId): void {
    const { store, host } = this.#options;
    this.#peers.get(id)?.forget();
    this.#peers.delete(id);
    store.setFloor(floorName(id), undefined);
    store.forgetStream(id);
    this.#retained?.memberLeft(id);
    if (this.#lineages.delete(id)) host.whenCommitted(() => this.#saveLineage(id, undefined));
  }

  /** Of one gateway at a time: what is known of another one may wait for its own record. */
  #saveLineage(id: GatewayId, lineage: Lineage | undefined): void {
    if (lineage === undefined) this.#savedLineages.delete(id);
    else this.#savedLineages.set(id, lineage);
    this.#options.saveLineages(this.#savedLineages);
  }

  /** What was kept for those that are gone for good when the last process ended, perhaps before it had written that down. */
  #forgetGone(): void {
    const known = new Set([...this.#peers.keys(), ...this.#lineages.keys()]);
    for (const name of this.#options.store.floors.keys()) {
      const id = gatewayOfFloor(name);
      if (id !== undefined) known.add(id);
    }
    for (const id of known) if (this.admission.isEvicted(id) || this.hasLeft(id)) this.#forget(id);
  }

  #stopAsEvicted(reason: string): void {
    const why = reason === '' ? '' : ` (${reason})`;
    const text = `this gateway was evicted from the mesh${why}: its own clients are served on`;
    this.end(text);
    this.#options.stopped(text);
  }

  /** @returns whether it was evicted in an earlier life: then it takes part no more */
  endIfEvicted(): boolean {
    if (!this.admission.isEvicted(this.self)) return false;
    this.#stopAsEvicted(this.admission.reasonOf(this.self));
    return true;
  }

  drained(peer: Peer): void {
    this.#relay.drained(peer.gateway);
    this.archive.drained(peer.gateway);
  }

  datagram(peer: Peer, bytes: Uint8Array): void {
    this.membership.onDatagram(peer.gateway, bytes);
    this.#membershipHeard();
  }

  // What the store asks and tells.

  *images(): Iterable<StreamImage> {
    for (const { receiver } of this.#peers.values()) {
      const { image } = receiver;
      if (image !== undefined) yield image;
    }
  }

  restoreStream(image: StreamImage): void {
    this.#peerOf(image.origin).receiver.restore(image);
  }

  replayStream(record: StreamRecord): void {
    this.#peerOf(record.origin).receiver.replay(record);
  }

  replayForwarded({ origin }: MessageSource, sequence: LogPosition): void {
    // Its own came back where it had been forgotten here: it has no stream to itself.
    if (origin === this.self) return;
    this.#peerOf(origin).receiver.replayForwarded(sequence);
  }

  // What the lanes ask and tell.

  sourceAt(position: LogPosition): MessageSource {
    return this.#parts.lineage.sourceAt(position);
  }

  subscribed(filter: string, qos: QoS): void {
    this.#local.add(filter, qos);
    this.#flushSoon();
  }

  unsubscribed(filter: string, qos: QoS): void {
    this.#local.remove(filter, qos);
    this.#flushSoon();
  }

  whenKnown(answer: () => void): void {
    this.#answers.push(answer);
    this.#flushSoon();
  }

  targets(topic: string): readonly RemoteTarget[] {
    if (topic.startsWith('$') || !this.#local.mayExport(topic)) return [];
    const targets: RemoteTarget[] = [];
    this.#parts.remote.match(topic, (id, qos) => targets.push({ gateway: id, qos }));
    return targets;
  }

  forward(message: Message, targets: readonly RemoteTarget[]): void {
    if (message.topic.startsWith('$') || !this.#local.mayExport(message.topic)) return;
    this.#flushSoon();
    if (message.retain) {
      // What is in no log comes with a comparison, alone: it would else come twice.
      for (const peer of this.#peers.values())
        if (message.position > 0) peer.sender?.committed(message);
        else peer.requestRound();
      return;
    }
    const isAcknowledged = message.position > 0 && message.qos > 0;
    if (isAcknowledged && targets.length < this.#peers.size) this.#notWanted(message, targets);
    for (const { gateway, qos } of targets) {
      const peer = this.#peers.get(gateway);
      if (peer === undefined) continue;
      if (isAcknowledged) peer.sender?.committed(message, qos);
      else peer.passing.send(message);
    }
  }

  /** Those that do not want it now may come to want it before they have come to it. */
  #notWanted(message: Message, targets: readonly RemoteTarget[]): void {
    for (const { gateway, sender } of this.#peers.values())
      if (!targets.some((target) => target.gateway === gateway)) sender?.notWanted(message);
  }

  forwardRun(run: Run, _topicBytes: Uint8Array, targets: readonly RemoteTarget[]): void {
    const { bytes, v5, publisher, count } = run;
    this.#flushSoon();
    for (const { gateway } of targets) {
      const peer = this.#peers.get(gateway);
      if (peer === undefined) continue;
      if (bytes.length <= RUN_MAX_BYTES) peer.passing.sendRun(v5, publisher, bytes, count);
      else for (const message of run.messages()) peer.passing.send(message);
    }
  }

  committed(position: LogPosition, passedCount: number): void {
    const isOfOthers = !this.#parts.bookkeeping.committed(position, passedCount);
    for (const peer of this.#peers.values()) peer.committed(position, isOfOthers);
    this.#flushSoon();
  }

  // The end of a turn.

  #flushSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.schedule(() => this.#flush());
  }

  #flush(): void {
    this.#isScheduled = false;
    const now = this.#options.clock.now();
    if (this.#local.flush()) for (const { interestOut } of this.#peers.values()) interestOut.changed();
    const answers = this.#answers;
    this.#answers = [];
    const { gate } = this.#parts;
    for (const answer of answers) gate.hold(this.#local.version, now, answer);
    if (gate.nextDeadlineMs !== undefined) this.#wakeAt(gate.nextDeadlineMs);
    for (const peer of this.#peers.values()) peer.flush();
  }
}
