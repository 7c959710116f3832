/**
 * Makes what two gateways retain the same, over one link after the other. The gateway with the smaller id begins each round: it tells
 * its digest, and where the other's is another one they go down to the buckets that differ; the responder lists those, the initiator
 * decides topic by topic, and only what differs is carried.
 *
 *     initiator   idle ── root ──▶ asked ── groups, buckets ──▶ comparing ── last list ──▶ finishing ── finished ──▶ idle
 *                                    └── equal ─────────────────────────────────────────────────────────────────────▶ idle
 *     responder   idle ── root ──▶ answering ── … ── fin: all has arrived and is durable ── settled ──▶ idle
 *
 * Everything goes on changing meanwhile; a round says nothing of what changed since it began. When it is complete, each side has all that
 * the other had at the beginning of it, or something newer, and durably so: that is what tombstones wait for. Where a round carried
 * something another one follows soon.
 */
import type { Epoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { MessageSource, RetainedVersion } from '../../lib/contracts/streams.js';
import { createMessage, type Message } from '../../lib/message/message.js';
import { ByteReader, MalformedFrame } from '../wire/bytes.js';
import { compareBucket, type Decisions, type Sides } from './bucket-comparison.js';
import { BulkSender } from './bulk-sender.js';
import { type ArrivedEntry, encodeEntries, EntryReader, type OutgoingEntry } from './entry-frames.js';
import {
  BUCKET_COUNT,
  CREDIT_BYTES,
  FIRST_ROUND_WITHIN_MS,
  GROUP_COUNT,
  ROUND_AGAIN_MS,
  ROUND_INTERVAL_MS,
} from './limits.js';
import {
  type ControlFrame,
  decodeControl,
  type DiscardedEntry,
  encodeBuckets,
  encodeCredit,
  encodeDiscard,
  encodeFin,
  encodeGroups,
  encodeLists,
  encodeNudge,
  encodeRoot,
  encodeState,
  encodeWant,
  FrameKind,
  type GroupDigests,
  type ListedBucket,
  type PeerState,
} from './retained-frames.js';
import type { RetainedMerge } from './retained-merge.js';
import type { TombstoneKeeper } from './tombstone-keeper.js';
import {
  bucketOf,
  type Digest,
  type Digests,
  type RetainedEntry,
  type RetainedIndex,
} from './retained-index.js';

export interface CompletedRound {
  readonly peer: PeerState;
  /** What was carried or discarded, here and by order of this side. */
  readonly transferred: number;
}

export interface RetainedSyncPorts {
  readonly index: RetainedIndex;
  readonly merge: RetainedMerge;
  readonly keeper: TombstoneKeeper;
  now(): number;
  /** From 0 to 1. */
  random(): number;
  /** On the channel `retained`. @returns false: `drained` is called when there is room again */
  send(frame: Uint8Array): boolean;
  read(topic: string): Message | undefined;
  /**
   * Judges with `merge`; if it wins stores and delivers it, and tells index and keeper. @param message its bytes are its own;
   * undefined: a removal. @returns whether it won
   */
  apply(topic: string, version: RetainedVersion, message: Message | undefined): boolean;
  /** The topic retains nothing any more, without a tombstone; tells the index. */
  discard(topic: string): void;
  /** Whether the streams have brought what was there when their links began, or take long for it. */
  isCaughtUp(): boolean;
  /** Calls back when all that was applied until now is durable; also at once. */
  whenDurable(done: () => void): void;
  /** One object for each life of a gateway. */
  sourceOf(origin: GatewayId, epoch: Epoch): MessageSource;
  /** Newest position of this gateway's log. */
  head(): LogPosition;
  rosterVersion(): number;
  /** The keeper knows already. */
  completed(round: CompletedRound): void;
}

type RootFrame = Extract<ControlFrame, { kind: 'root' }>;

interface Round {
  readonly number: number;
  /** Of this gateway, when it began. */
  readonly state: PeerState;
  peer: PeerState | undefined;
  transferred: number;
}

export class RetainedSync {
  readonly #self: GatewayId;
  readonly #peer: GatewayId;
  readonly #isInitiator: boolean;
  readonly #ports: RetainedSyncPorts;
  readonly #bulk: BulkSender;
  readonly #reader = new EntryReader();
  #isLinked = false;
  /** Counts links: what is called back for an old one is nobody's. */
  #linkNumber = 0;
  /** The first round of the link may begin then, or earlier; 0: it has. */
  #holdsUntil = 0;
  /** How the other side began it. */
  #heldRoot: RootFrame | undefined;
  #roundNumber = 0;
  #round: Round | undefined;
  #nextRoundAt = Infinity;
  /** Rounds in a row that carried something. */
  #busyRounds = 0;
  /** Another round was asked for during this one. */
  #isWanted = false;
  #arrivedBytes = 0;

  constructor(self: GatewayId, peer: GatewayId, ports: RetainedSyncPorts) {
    this.#self = self;
    this.#peer = peer;
    this.#isInitiator = self < peer;
    this.#ports = ports;
    this.#bulk = new BulkSender((frame) => ports.send(frame));
  }

  get isRunning(): boolean {
    return this.#round !== undefined;
  }

  /** undefined: the other side begins. The first round may begin earlier, with the streams. */
  get nextDeadlineMs(): number | undefined {
    if (this.#holdsUntil > 0) return this.#holdsUntil;
    return this.#nextRoundAt === Infinity ? undefined : this.#nextRoundAt;
  }

  /** The link has passed hello. */
  start(): void {
    this.stop();
    this.#isLinked = true;
    this.#holdsUntil = this.#ports.now() + FIRST_ROUND_WITHIN_MS;
    this.tick(this.#ports.now());
  }

  /** The link is gone. */
  stop(): void {
    this.#isLinked = false;
    this.#linkNumber++;
    this.#holdsUntil = 0;
    this.#heldRoot = undefined;
    this.#round = undefined;
    this.#nextRoundAt = Infinity;
    this.#isWanted = false;
    this.#busyRounds = 0;
    this.#arrivedBytes = 0;
    this.#bulk.reset();
    this.#reader.reset();
  }

  /** A round as soon as may be, for who knows that something differs. */
  requestRound(): void {
    if (!this.#isLinked || (this.#isInitiator && this.#holdsUntil > 0)) return;
    if (this.#round !== undefined) this.#isWanted = true;
    else if (this.#isInitiator) this.#beginRound();
    else this.#bulk.push([encodeNudge()]);
  }

  tick(now: number): void {
    if (!this.#isLinked) return;
    if (this.#holdsUntil > 0 && (now >= this.#holdsUntil || this.#ports.isCaughtUp()))
      this.#beginFirstRound();
    else if (now >= this.#nextRoundAt) this.#beginRound();
  }

  #beginFirstRound(): void {
    this.#holdsUntil = 0;
    if (this.#isInitiator) this.#beginRound();
    else if (this.#heldRoot !== undefined) this.#answerRoot(this.#heldRoot);
    this.#heldRoot = undefined;
  }

  drained(): void {
    if (this.#isLinked) this.#bulk.drained();
  }

  /** @throws MalformedFrame: the owner closes the link */
  received(frame: Uint8Array): void {
    if (!this.#isLinked) return;
    const reader = new ByteReader(frame);
    const kind = reader.u8();
    if (kind !== FrameKind.credit) this.#arrived(frame.length);
    if (kind >= FrameKind.entries && kind <= FrameKind.piece) {
      for (const entry of this.#reader.read(kind, reader)) this.#apply(entry);
    } else this.#control(decodeControl(kind, reader));
  }

  #arrived(bytes: number): void {
    this.#arrivedBytes += bytes;
    if (this.#arrivedBytes < CREDIT_BYTES) return;
    this.#ports.send(encodeCredit(this.#arrivedBytes));
    this.#arrivedBytes = 0;
  }

  #control(frame: ControlFrame): void {
    switch (frame.kind) {
      case 'credit':
        this.#bulk.credit(frame.bytes);
        return;
      case 'nudge':
        if (this.#isInitiator) this.requestRound();
        return;
      case 'root':
        this.#rootCame(frame);
        return;
      default:
        break;
    }
    const round = this.#round;
    if (round?.number !== frame.round) throw new MalformedFrame('a frame of no round');
    if (this.#isInitiator) this.#asInitiator(frame, round);
    else this.#asResponder(frame, round);
  }

  // The initiator.

  #beginRound(): void {
    this.#nextRoundAt = Infinity;
    const { root } = this.#ports.index;
    const round = this.#newRound(++this.#roundNumber);
    this.#whenDurable(round, () =>
      this.#bulk.push([encodeRoot(round.number, { ...round.state, head: this.#ports.head() }, root)]),
    );
  }

  #asInitiator(frame: ControlFrame, round: Round): void {
    switch (frame.kind) {
      case 'equal':
      case 'finished':
        if (frame.kind === 'equal') this.#learn(round, frame.state);
        this.#whenDurable(round, () => {
          if (frame.kind === 'finished') this.#bulk.push([this.#stateFrame('settled', round)]);
          this.#complete(round, frame.state);
        });
        break;
      case 'groups':
        this.#learn(round, frame.state);
        this.#askForBuckets(round, frame.digests);
        break;
      case 'list':
        this.#compare(round, frame.buckets);
        if (frame.last) this.#bulk.push([encodeFin(round.number)]);
        break;
      default:
        throw new MalformedFrame(`a frame ${frame.kind} for who began the round`);
    }
  }

  #askForBuckets(round: Round, digests: readonly Digest[]): void {
    const { groups } = this.#ports.index;
    const differing: number[] = [];
    for (let group = 0; group < GROUP_COUNT; group++)
      if (!isSame(groups, group, digests[group])) differing.push(group);
    this.#bulk.push([encodeBuckets(round.number, differing, this.#ports.index)]);
  }

  #compare(round: Round, buckets: readonly ListedBucket[]): void {
    const decisions: Decisions = { send: [], want: [], discard: [], peerDiscards: [] };
    const sides = this.#sidesOf(round);
    for (const { bucket, entries } of buckets)
      compareBucket(this.#ports.index.entriesOfBucket(bucket), entries, sides, decisions);
    const { send, want, discard, peerDiscards } = decisions;
    round.transferred += send.length + peerDiscards.length;
    if (want.length > 0) this.#bulk.push([encodeWant(round.number, want)]);
    if (peerDiscards.length > 0) this.#bulk.push([encodeDiscard(round.number, peerDiscards)]);
    for (const { topic } of discard) this.#discard(topic, round);
    if (send.length > 0) this.#sendEntries(send);
  }

  // The responder.

  #rootCame(frame: RootFrame): void {
    if (this.#isInitiator || this.#round !== undefined || this.#heldRoot !== undefined)
      throw new MalformedFrame('a round begins out of turn');
    if (this.#holdsUntil > 0) this.#heldRoot = frame;
    else this.#answerRoot(frame);
  }

  #answerRoot({ round: number, state, digest }: RootFrame): void {
    const round = this.#newRound(number);
    this.#learn(round, state);
    const { root } = this.#ports.index;
    if (root.high !== digest.high || root.low !== digest.low) {
      this.#bulk.push([encodeGroups(number, round.state, this.#ports.index)]);
      return;
    }
    this.#whenDurable(round, () => {
      this.#bulk.push([this.#stateFrame('equal', round)]);
      this.#complete(round, state);
    });
  }

  #asResponder(frame: ControlFrame, round: Round): void {
    switch (frame.kind) {
      case 'buckets':
        this.#bulk.push(
          encodeLists(round.number, this.#differing(frame.groups), this.#ports.index, this.#self),
        );
        break;
      case 'want':
        this.#sendWanted(frame.topicHashes);
        break;
      case 'discard':
        this.#discardListed(round, frame.entries);
        break;
      case 'fin':
        this.#whenDurable(round, () => this.#bulk.push([this.#stateFrame('finished', round)]));
        break;
      case 'settled':
        this.#complete(round, frame.state);
        break;
      default:
        throw new MalformedFrame(`a frame ${frame.kind} for who did not begin the round`);
    }
  }

  #differing(groups: readonly GroupDigests[]): number[] {
    const perGroup = BUCKET_COUNT / GROUP_COUNT;
    const buckets: number[] = [];
    for (const { group, digests } of groups)
      for (let n = 0; n < perGroup; n++) {
        const bucket = group * perGroup + n;
        if (!isSame(this.#ports.index.buckets, bucket, digests[n])) buckets.push(bucket);
      }
    return buckets;
  }

  #sendWanted(topicHashes: readonly number[]): void {
    const entries: RetainedEntry[] = [];
    for (const hash of topicHashes)
      for (const entry of this.#entriesOf(hash)) if (entry.kind !== 'shadow') entries.push(entry);
    if (entries.length > 0) this.#sendEntries(entries);
  }

  #entriesOf(topicHash: number): RetainedEntry[] {
    const all: RetainedEntry[] = [];
    for (const entry of this.#ports.index.entriesOfBucket(bucketOf(topicHash)))
      if (entry.topicHash === topicHash) all.push(entry);
    return all;
  }

  // Both.

  #newRound(number: number): Round {
    this.#round = { number, state: this.#stateNow(), peer: undefined, transferred: 0 };
    return this.#round;
  }

  #stateNow(): PeerState {
    const { merge, keeper } = this.#ports;
    const { known, dropped } = keeper;
    const head = this.#ports.head();
    return { floor: merge.floor, head, rosterVersion: this.#ports.rosterVersion(), known, dropped };
  }

  #learn(round: Round, peer: PeerState): void {
    round.peer = peer;
    this.#ports.merge.raiseFloor(peer.floor);
    this.#ports.keeper.learned(this.#peer, peer);
  }

  /** As it is now: what was dropped may be learned of from others in the middle of a round. */
  #sidesOf({ state, peer }: Round): Sides {
    if (peer === undefined) throw new MalformedFrame('a round without a beginning');
    const { keeper, merge } = this.#ports;
    const iResync = keeper.mustResync(peer.dropped);
    const peerResyncs = keeper.peerMustResync(peer.known);
    const peerIsNew = peer.known.length <= 1;
    return {
      isSuspect: ({ kind, version }) =>
        iResync &&
        kind !== 'tombstone' &&
        version.counter <= peer.floor &&
        !(version.origin === this.#self && (keeper.isNewcomer || version.sequence > state.head)),
      isPeerSuspect: ({ kind, counter, isOwn }) =>
        peerResyncs && kind !== 'tombstone' && counter <= merge.floor && !(peerIsNew && isOwn),
      floor: merge.floor,
      peerFloor: peer.floor,
    };
  }

  #discardListed(round: Round, listed: readonly DiscardedEntry[]): void {
    const sides = this.#sidesOf(round);
    for (const { topicHash, high, low } of listed)
      for (const entry of this.#entriesOf(topicHash))
        if (entry.high === high && entry.low === low && sides.isSuspect(entry))
          this.#discard(entry.topic, round);
  }

  #stateFrame(kind: 'equal' | 'finished' | 'settled', { number, state }: Round): Uint8Array {
    return encodeState(kind, number, {
      ...state,
      floor: this.#ports.merge.floor,
      head: this.#ports.head(),
      dropped: this.#ports.keeper.dropped,
    });
  }

  #sendEntries(entries: readonly RetainedEntry[]): void {
    this.#bulk.push(encodeEntries(this.#outgoing(entries), () => this.#ports.now()));
  }

  /** Each as it is when it is sent. */
  *#outgoing(entries: readonly RetainedEntry[]): Generator<OutgoingEntry> {
    for (const { topic } of entries) {
      const entry = this.#ports.index.entryOf(topic);
      if (entry === undefined || entry.kind === 'shadow') continue;
      const { version } = entry;
      if (entry.kind === 'tombstone') yield { topic, version, message: undefined };
      else {
        const message = this.#ports.read(topic);
        if (message !== undefined) yield { topic, version, message };
      }
    }
  }

  #apply({ topic, version, message: arrived }: ArrivedEntry): void {
    const round = this.#round;
    if (round?.peer === undefined) throw new MalformedFrame('an entry outside of a round');
    const { counter, origin } = version;
    // The other side may not have known when it sent this.
    if (arrived !== undefined && counter <= this.#ports.merge.floor) {
      const isOwn = origin === this.#peer;
      if (this.#sidesOf(round).isPeerSuspect({ kind: 'message', counter, isOwn })) return;
    }
    const message = arrived === undefined ? undefined : this.#messageOf(topic, version, arrived);
    if (this.#ports.apply(topic, version, message)) round.transferred++;
  }

  #messageOf(
    topic: string,
    version: RetainedVersion,
    arrived: NonNullable<ArrivedEntry['message']>,
  ): Message {
    const { qos, publisher, expiresInMs, properties, payload } = arrived;
    const topicBytes = Buffer.from(`\0\0${topic}`);
    topicBytes.writeUInt16BE(topicBytes.length - 2);
    const message = createMessage({
      topic,
      topicBytes,
      payload: payload.slice(),
      properties: properties.slice(),
      qos,
      retain: true,
      publisher,
      ...(expiresInMs === undefined ? {} : { expiresAt: this.#ports.now() + expiresInMs }),
    });
    message.retainedCounter = version.counter;
    if (version.origin === this.#self) return message;
    message.source = this.#ports.sourceOf(version.origin, version.epoch);
    message.sequence = version.sequence;
    return message;
  }

  #discard(topic: string, round: Round): void {
    this.#ports.discard(topic);
    round.transferred++;
  }

  #whenDurable(round: Round, done: () => void): void {
    const link = this.#linkNumber;
    this.#ports.whenDurable(() => {
      if (link === this.#linkNumber && this.#round === round) done();
    });
  }

  /** @param last what the peer told last; what it told first says what it had when the round began */
  #complete(round: Round, last: PeerState): void {
    this.#round = undefined;
    this.#busyRounds = round.transferred > 0 ? this.#busyRounds + 1 : 0;
    if (this.#isInitiator)
      this.#nextRoundAt = this.#ports.now() + (this.#isWanted ? ROUND_AGAIN_MS : this.#pauseMs());
    else if (this.#isWanted) this.#bulk.push([encodeNudge()]);
    this.#isWanted = false;
    this.#ports.merge.raiseFloor(last.floor);
    this.#ports.keeper.completed(round.peer ?? last, last);
    this.#ports.completed({ peer: last, transferred: round.transferred });
  }

  #pauseMs(): number {
    const usual = ROUND_INTERVAL_MS * (0.75 + this.#ports.random() / 2);
    return this.#busyRounds === 0 ? usual : Math.min(usual, ROUND_AGAIN_MS * 2 ** (this.#busyRounds - 1));
  }
}

function isSame(digests: Digests, index: number, digest: Digest | undefined): boolean {
  return digest !== undefined && digests.high(index) === digest.high && digests.low(index) === digest.low;
}
