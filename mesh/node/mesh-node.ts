/**
 * One gateway of a mesh, without sockets and timers of its own: the lanes and the store on one side, links to other gateways on the
 * other. Real ones are put to it by mesh/mesh.ts, simulated ones by test/sim/mesh.
 *
 *     lanes ⇄ MeshNode ─┬─ Peers           one for each other gateway, with the streams between the two
 *     store ⇄           ├─ Reception       which links are taken, and what the two are to each other
 *     links ⇄           ├─ MemberWatch     who is there, who is to have a link       FormerMembers  who is to be kept nothing for
 *                       ├─ Outgoing        what leaves, and by which lane            RetainedLives  what is retained everywhere
 *                       ├─ Relay, CloneWatch, Admission, and channels for frames that are not the mesh's own
 *                       └─ Rebirth, LivesOfOthers: lives of this gateway, and of others
 *
 * What happens is passed on to those whom it concerns, in an order that matters: that is all that is decided here. The file is long because
 * lanes, store, links and the transport all meet the mesh in this one object.
 */
import type { Epoch, Lineage } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { MeshPort, RemoteTarget } from '../../lib/contracts/mesh-port.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type {
  DurableStreams,
  MessageSource,
  StreamImage,
  StreamRecord,
} from '../../lib/contracts/streams.js';
import type { Run } from '../../lib/delivery/fan-out.js';
import type { Message } from '../../lib/message/message.js';
import type { QoS } from '../../lib/protocol/packet.js';
import { TEXT_SLOTS } from '../forward/limits.js';
import { TextCache } from '../forward/text-cache.js';
import type { SignedCloneReport } from '../identity/clone-report.js';
import type { Departure } from '../identity/departure.js';
import { LocalInterest, RemoteInterest, SubackGate } from '../interest/index.js';
import { Channel, FRAME_MAX_BYTES, type PeerLink } from '../link/peer-link.js';
import type { Membership } from '../membership/index.js';
import { Admission } from './admission.js';
import { Alarm } from './alarm.js';
import { archiveFrameMaxBytes, ArchiveLane } from './archive-lane.js';
import { Bookkeeping } from './bookkeeping.js';
import { CarriedChannel, wireLane } from './carried-channel.js';
import { CloneWatch } from './clone-watch.js';
import { EndOfTurn } from './end-of-turn.js';
import { FormerMembers } from './former-members.js';
import type { Hello } from './hello.js';
import { TICK_MS } from './limits.js';
import { linkEndOf, REBORN } from './link-end.js';
import { LivesOfOthers } from './lives-of-others.js';
import { MemberWatch } from './member-watch.js';
import type { MeshNodeOptions } from './node-options.js';
import type { NodeParts } from './node-parts.js';
import { Outgoing } from './outgoing.js';
import { OwnLineage } from './own-lineage.js';
import type { Peer, PeerEvents } from './peer.js';
import { Peers } from './peers.js';
import { Rebirth } from './rebirth.js';
import { Reception } from './reception.js';
import { Relay } from './relay.js';
import { RetainedLives } from './retained-lives.js';

export class MeshNode implements MeshPort, DurableStreams, PeerEvents {
  onRemoteChange: ((filter: string) => void) | undefined;
  readonly self: GatewayId;
  /** For frames that go when a link has little else to do. */
  readonly archive: CarriedChannel;
  /** For frames that go at once. */
  readonly wire = new CarriedChannel(FRAME_MAX_BYTES, wireLane);
  readonly admission: Admission;
  readonly #options: MeshNodeOptions;
  readonly #parts: NodeParts;
  readonly #peers: Peers;
  readonly #rebirth: Rebirth;
  readonly #retained: RetainedLives;
  readonly #former: FormerMembers;
  readonly #members: MemberWatch;
  readonly #reception: Reception;
  readonly #clones: CloneWatch;
  readonly #relay: Relay;
  readonly #outgoing: Outgoing;
  readonly #turn: EndOfTurn;
  readonly #alarm: Alarm;
  /** SUBACKs of this turn. */
  #answers: (() => void)[] = [];
  #isOver = false;

  constructor(options: MeshNodeOptions) {
    const { self, clock, timers, random, logger, limits, host } = options;
    this.self = self;
    this.#options = options;
    const node = this.#createParts();
    const { lineage } = node;
    const peers = new Peers(node, this);
    this.#parts = node;
    this.#peers = peers;
    this.#turn = new EndOfTurn(options.schedule, () => this.#flush());
    this.#alarm = new Alarm(clock, timers, () => this.#wake());
    this.archive = new CarriedChannel(
      archiveFrameMaxBytes(limits.linkMaxBytesPerSecond),
      (peer) => new ArchiveLane(peer),
    );
    const admission = new Admission(options.roster, {
      matchesAdmin: options.matchesAdmin,
      save: options.saveRoster,
      evicted: (id, reason) => this.#evicted(id, reason),
    });
    this.admission = admission;
    const lives = new LivesOfOthers(host, options.lineages, options.saveLineages);
    const rebirth = new Rebirth(lineage, (beyond) => this.#bear(beyond));
    const retained = new RetainedLives({ node, peers, lives, admission, random });
    const former = new FormerMembers({ node, admission, peers, lives, retained });
    this.#rebirth = rebirth;
    this.#retained = retained;
    this.#former = former;
    this.#members = new MemberWatch({ node, options, peers, former, rebirth, alarm: this.#alarm });
    this.#reception = new Reception({ node, options, admission, peers, lives, former, rebirth });
    this.#outgoing = new Outgoing(node, peers, this.#turn);
    this.#clones = new CloneWatch({
      ...{ self, logger, lineage },
      passOn: (frame, from) => peers.tell(Channel.clones, frame, from),
      isClone: (reason) => this.#stopAsClone(reason),
    });
    this.#relay = new Relay({
      ...{ self, clock, random, isWilling: limits.relay },
      direct: (id) => peers.get(id)?.direct,
      neighbours: () => [...peers].filter(({ direct }) => direct).map(({ gateway }) => gateway),
      isLinked: (id) => peers.reachable(id) !== undefined,
      linkUp: (link) => this.linkUp(link),
    });
  }

  #createParts(): NodeParts {
    const { importFilters, exportFilters, lineage, self, clock, logger, store, host, limits } = this.#options;
    return {
      ...{ clock, logger, store, host, limits },
      local: new LocalInterest({ life: 0, importFilters, exportFilters }),
      remote: new RemoteInterest((filter) => this.onRemoteChange?.(filter)),
      gate: new SubackGate(Math.max(0, limits.interestWaitMs - TICK_MS)),
      lineage: new OwnLineage(self, lineage, store),
      bookkeeping: new Bookkeeping(),
      texts: new TextCache(TEXT_SLOTS),
    };
  }

  // Its lives.

  /** A life of this gateway begins: it is durable, and the store is open. @param lineage with it as its last */
  begin(lineage: Lineage): void {
    const { lineage: own, bookkeeping, store, local } = this.#parts;
    this.#rebirth.begun();
    own.begin(lineage);
    bookkeeping.begin(store.committed, store.passedCount);
    this.#former.begin();
    this.#peers.begin(this.#retained.begin());
    local.life = Number.parseInt(own.present.nonce.slice(0, 12), 16);
    this.#members.begin();
  }

  get hasBegun(): boolean {
    return this.#members.hasBegun;
  }

  /** The present life of this gateway. */
  get epoch(): Epoch {
    return this.#parts.lineage.present;
  }

  /** All lives of this gateway that are known, the present one last. */
  get lineage(): Lineage {
    return this.#parts.lineage.known;
  }

  /** The archive knows a life of this gateway with this counter that the gateway does not know itself. */
  archiveKnows(counter: number): void {
    this.#rebirth.heardOf({ counter, nonce: '' });
  }

  #bear(beyond: number): void {
    // What is committed while it is written down is of the new life: it must not leave as of this one.
    this.#options.schedule(() => {
      if (this.#isOver) return;
      this.#peers.close(REBORN);
      this.#options.bearAnew(beyond);
    });
  }

  // How it ends.

  /** Tells all that this gateway goes. Links are closed with `end`, a moment later. */
  leave(): void {
    this.#members.leave();
  }

  /** Tells all that it goes for good: nothing is to be kept for it. @param departure of this gateway in its present life */
  depart(departure: Departure): void {
    // The goodbye goes first: nobody is to dial it again.
    this.leave();
    this.#former.depart(departure);
  }

  /** After `end`, for good: nobody comes for what is kept here for others. */
  forgetAll(): void {
    this.#former.forgetAll();
  }

  /** Every link is closed, and none is taken any more. */
  end(reason: string): void {
    this.#isOver = true;
    this.#alarm.end();
    this.#peers.close(reason);
    for (const answer of this.#answers.splice(0)) answer();
  }

  /** @returns whether it was evicted in an earlier life: then it takes part no more */
  endIfEvicted(): boolean {
    if (!this.admission.isEvicted(this.self)) return false;
    this.#stopAsEvicted(this.admission.reasonOf(this.self));
    return true;
  }

  #stopAsEvicted(reason: string): void {
    const why = reason === '' ? '' : ` (${reason})`;
    this.#stop(`this gateway was evicted from the mesh${why}: its own clients are served on`);
  }

  /** The same key at two live processes: this one takes part no more. */
  #stopAsClone(reason: string): void {
    if (this.#isOver) return;
    this.#options.logger.error(reason, { gateway: this.self });
    this.#stop(reason);
  }

  #stop(reason: string): void {
    this.end(reason);
    this.#options.stopped(reason);
  }

  // What there is to see.

  get peers(): Iterable<Peer> {
    return this.#peers;
  }

  get membership(): Membership {
    return this.#members.membership;
  }

  /** Whether it has left for good, as it says. */
  hasLeft(id: GatewayId): boolean {
    return this.#former.hasLeft(id);
  }

  /** Why there is no way through other gateways; undefined: none was looked for. */
  relayFailureOf(id: GatewayId): string | undefined {
    return this.#relay.failureOf(id);
  }

  /** Whether everything that the filter matches may leave this gateway. */
  mayLeave(filter: string): boolean {
    return this.#parts.local.mayExportAll(filter);
  }

  // Links, and what peers tell.

  linkUp(link: PeerLink): void {
    if (link.peer === this.self) link.close('this is the same gateway');
    else if (this.#isOver || !this.hasBegun) link.close('this gateway is not in the mesh');
    else this.#reception.linkUp(link);
  }

  greeted(peer: Peer, hello: Hello): string | undefined {
    const welcome = this.#reception.greeted(peer, hello);
    if (typeof welcome === 'string') return welcome;
    peer.helloCame(hello, welcome.rolledBackTo);
    this.#former.tell(peer);
    if (hello.rosterVersion !== this.admission.version)
      for (const frame of this.admission.frames()) peer.link?.send(Channel.roster, frame);
    this.archive.linked(peer);
    this.#members.linkUp(peer.gateway);
    this.#turn.soon();
    return undefined;
  }

  up(peer: Peer): void {
    this.wire.linked(peer);
    this.#turn.soon();
  }

  apart({ gateway }: Peer, reason: string): void {
    this.wire.unlinked(gateway);
    this.#members.linkDown(gateway, linkEndOf(reason));
    this.#relay.lost(gateway);
    this.archive.unlinked(gateway);
    this.#members.heard();
  }

  /** Of the channels that are not of one peer alone. */
  frame(peer: Peer, channel: Channel, frame: Uint8Array): void {
    const { gateway } = peer;
    switch (channel) {
      case Channel.membership:
        this.#members.onFrame(gateway, frame);
        break;
      case Channel.relay:
        this.#relay.onFrame(gateway, frame);
        break;
      case Channel.roster:
        if (this.admission.merge(frame)) this.#peers.tell(Channel.roster, frame, peer);
        break;
      case Channel.clones:
        this.#clones.told(frame, peer);
        break;
      case Channel.departures:
        if (this.#former.told(frame, peer)) this.#members.tellWanted();
        break;
      case Channel.archive:
        this.archive.received(peer, frame);
        break;
      case Channel.wire:
        this.wire.received(peer, frame);
        break;
      default: // Of a later version.
    }
  }

  datagram({ gateway }: Peer, bytes: Uint8Array): void {
    this.#members.onDatagram(gateway, bytes);
  }

  drained({ gateway }: Peer): void {
    this.#relay.drained(gateway);
    this.archive.drained(gateway);
  }

  /** A message of another gateway, in its stream. @returns where it is in the log here; 0: in none */
  took(message: Message): LogPosition {
    return this.#retained.took(message);
  }

  /** Two live processes with one key; it may be this gateway's. @param address of the second one */
  sawTwins(report: SignedCloneReport, address: string): void {
    this.#clones.heard(report, address);
  }

  /** A statement of the administrator that was given here. @throws MalformedFrame @returns whether it was news */
  takeStatement(frame: Uint8Array): boolean {
    if (!this.admission.merge(frame)) return false;
    this.#peers.tell(Channel.roster, frame);
    return true;
  }

  #evicted(id: GatewayId, reason: string): void {
    this.#options.logger.warn('a gateway was evicted from the mesh', { gateway: id, reason });
    if (id === this.self) {
      this.#stopAsEvicted(reason);
      return;
    }
    const statement = this.admission.statementOn(id);
    // It is told, too: else it would take all others for dead, and try for ever.
    if (statement !== undefined) this.#peers.reachable(id)?.link?.send(Channel.roster, statement);
    this.#members.forget(id);
    this.#former.forget(id);
    this.wire.evicted(id);
    if (this.hasBegun) this.#members.tellWanted();
  }

  // What the store asks and tells.

  *images(): Iterable<StreamImage> {
    for (const { receiver } of this.#peers) {
      const { image } = receiver;
      if (image !== undefined) yield image;
    }
  }

  restoreStream(image: StreamImage): void {
    this.#peers.of(image.origin).receiver.restore(image);
  }

  replayStream(record: StreamRecord): void {
    this.#peers.of(record.origin).receiver.replay(record);
  }

  replayForwarded({ origin }: MessageSource, sequence: LogPosition): void {
    // Its own came back where it had been forgotten here: it has no stream to itself.
    if (origin === this.self) return;
    this.#peers.of(origin).receiver.replayForwarded(sequence);
  }

  // What the lanes ask and tell.

  sourceAt(position: LogPosition): MessageSource {
    return this.#parts.lineage.sourceAt(position);
  }

  subscribed(filter: string, qos: QoS): void {
    this.#parts.local.add(filter, qos);
    this.#turn.soon();
  }

  unsubscribed(filter: string, qos: QoS): void {
    this.#parts.local.remove(filter, qos);
    this.#turn.soon();
  }

  whenKnown(answer: () => void): void {
    this.#answers.push(answer);
    this.#turn.soon();
  }

  targets(topic: string): readonly RemoteTarget[] {
    return this.#outgoing.targets(topic);
  }

  forward(message: Message, targets: readonly RemoteTarget[]): void {
    this.#outgoing.forward(message, targets);
  }

  forwardRun(run: Run, _topicBytes: Uint8Array, targets: readonly RemoteTarget[]): void {
    this.#outgoing.forwardRun(run, targets);
  }

  committed(position: LogPosition, passedCount: number): void {
    const isOfOthers = !this.#parts.bookkeeping.committed(position, passedCount);
    for (const peer of this.#peers) peer.committed(position, isOfOthers);
    this.#turn.soon();
  }

  doubted(message: Message): void {
    this.#retained.doubted(message);
  }

  notRetained(message: Message): void {
    this.#retained.notRetained(message);
  }

  get retainedFloor(): number {
    return this.#retained.floor;
  }

  // Time.

  /** The end of a turn. */
  #flush(): void {
    const { clock, gate, local } = this.#parts;
    const now = clock.now();
    if (local.flush()) for (const { interestOut } of this.#peers) interestOut.changed();
    const answers = this.#answers;
    this.#answers = [];
    for (const answer of answers) gate.hold(local.version, now, answer);
    if (gate.nextDeadlineMs !== undefined) this.#alarm.by(gate.nextDeadlineMs);
    for (const peer of this.#peers) peer.flush();
  }

  #wake(): void {
    const { clock, gate } = this.#parts;
    const now = clock.now();
    gate.tick(now);
    for (const peer of this.#peers) peer.tick(now);
    // A SUBACK may wait before the mesh has begun.
    if (!this.hasBegun) {
      this.#alarm.by(now + TICK_MS);
      return;
    }
    this.#relay.tick(this.#members.present());
    this.archive.tick();
    this.#retained.tick(now);
    this.#members.tick(now);
    this.#alarm.by(Math.min(now + TICK_MS, Math.max(now, this.membership.nextDeadlineMs)));
  }
}
