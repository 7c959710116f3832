/**
 * What is retained, as the mesh keeps it the same everywhere: changes travel on the streams; here is what makes up for what they missed,
 * and what remembers removals. One for all peers.
 */
import type { Clock } from '../../lib/contracts/clock.js';
import type { Epoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { MeshHost } from '../../lib/contracts/mesh-port.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import { compareVersions, type MessageSource, type RetainedVersion } from '../../lib/contracts/streams.js';
import { createMessage, type Message } from '../../lib/message/message.js';
import {
  RetainedIndex,
  type RetainedKind,
  RetainedMerge,
  RetainedSync,
  type TombstoneImage,
  TombstoneKeeper,
} from '../retained/index.js';

const NO_BYTES = new Uint8Array(0);
/**
 * A day. What a gateway knows of the removals of others is durable a minute after it said so; one that lost its power before would have to give up
 * what it retained itself, were those removals forgotten by then.
 */
const TOMBSTONE_MIN_AGE_MS = 86_400_000;
/** Ticks of one epoch: those of the next one are above all of them. */
const TICKS_OF_EPOCH = 2 ** 32;

/** What outlives a restart besides the messages and tombstones themselves. */
export interface RetainedImage extends TombstoneImage {
  /** No counter of a version begins below it. */
  readonly floor: number;
}

export interface RetainedNodePorts {
  readonly self: GatewayId;
  readonly clock: Pick<Clock, 'now'>;
  readonly tombstoneMinAgeMs: number | undefined;
  random(): number;
  /** Of the own log, as far as others are told of it. */
  head(): LogPosition;
  readonly host: MeshHost;
  /** What others are to have of this gateway's own, and what is let in. */
  mayExport(topic: string): boolean;
  mayImport(topic: string): boolean;
  /** The other members of the roster: all that were ever met and not evicted. */
  members(): Iterable<GatewayId>;
  rosterVersion(): number;
  coveredOf(member: GatewayId): LogPosition;
  /** Whether the streams of all that are to be reached have brought what was there when their links began, or take long for it. */
  isCaughtUp(): boolean;
  /** Whether the stream of its origin is to bring it, before long. */
  isToCome(version: RetainedVersion): boolean;
  sourceOf(origin: GatewayId, epoch: Epoch): MessageSource;
  /** The log of `origin` up to now has this message: it is not to be taken from its stream again. */
  noteHave(origin: GatewayId, sequence: LogPosition): void;
  /**
   * The image is durable before the tombstones that it tells of are gone: those go with the checkpoint that writes it, or a later one. What it tells of
   * the tombstones of others is in the log soon: they rely on it.
   */
  remember(image: RetainedImage): void;
}

export class RetainedNode {
  readonly index = new RetainedIndex();
  /** What is retained, or removed, and is ahead of its stream: by topic. */
  readonly #ahead = new Map<string, RetainedVersion>();
  readonly #merge: RetainedMerge;
  readonly #keeper: TombstoneKeeper;
  readonly #ports: RetainedNodePorts;

  constructor(ports: RetainedNodePorts, epoch: Epoch, image: RetainedImage | undefined) {
    this.#ports = ports;
    this.#merge = new RetainedMerge(image?.floor);
    this.#keeper = new TombstoneKeeper(
      {
        self: ports.self,
        now: () => ports.clock.now(),
        members: () => ports.members(),
        rosterVersion: () => ports.rosterVersion(),
        coveredOf: (member) => ports.coveredOf(member),
        drop: (topic, version) => this.#drop(topic, version),
        remember: (remembered) => ports.remember({ ...remembered, floor: this.#merge.floor }),
      },
      {
        firstTick: epoch.counter * TICKS_OF_EPOCH,
        image,
        minAgeMs: ports.tombstoneMinAgeMs ?? TOMBSTONE_MIN_AGE_MS,
      },
    );
    const { host } = ports;
    const isKnown = (newest: Message): void => this.#changed(newest.topic, newest);
    host.retained.forEach(isKnown);
    host.retained.forEachTombstone(isKnown);
    host.onRetainedChange = (topic, newest) => this.#changed(topic, newest);
  }

  get floor(): number {
    return this.#merge.floor;
  }

  get tombstoneCount(): number {
    return this.#keeper.count;
  }

  /** Whether a message of a stream, of a topic of which nothing is known, may have been removed long ago: then it is not retained. */
  isSuspect({ topic, source, sequence, retainedCounter }: Message): boolean {
    if (source === undefined) return false;
    const isSuspect = this.#keeper.isSuspect(source.origin, sequence, retainedCounter, this.#merge.floor);
    return isSuspect && this.index.versionOf(topic) === undefined;
  }

  /** What the streams bring or clients here publish, and what finds no room or is not let in. */
  notRetained(message: Message): void {
    const { topic } = message;
    if (topic.startsWith('$')) return;
    const version = this.#ports.host.versionOf(message);
    const known = this.index.versionOf(topic);
    if (known === undefined || compareVersions(version, known) > 0)
      this.index.changed(topic, version, 'shadow');
  }

  createSync(peer: GatewayId, send: (frame: Uint8Array) => boolean): RetainedSync {
    const { self, clock, host } = this.#ports;
    return new RetainedSync(self, peer, {
      ...{ index: this.index, merge: this.#merge, keeper: this.#keeper, send },
      now: () => clock.now(),
      random: () => this.#ports.random(),
      read: (topic) => host.retained.get(topic),
      apply: (topic, version, message) => this.#apply(topic, version, message),
      discard: (topic) => {
        host.discardRetained(topic);
        this.index.changed(topic, undefined);
      },
      isCaughtUp: () => this.#ports.isCaughtUp(),
      whenDurable: (done) => host.whenCommitted(done),
      sourceOf: (origin, epoch) => this.#ports.sourceOf(origin, epoch),
      head: () => this.#ports.head(),
      rosterVersion: () => this.#ports.rosterVersion(),
      completed: () => this.#remember(),
    });
  }

  /** Now and then: streams come along, and tombstones may go. */
  sweep(): void {
    this.#keeper.sweep();
  }

  /** Now and then: what was ahead of a stream that is not to bring it after all. */
  deliverOverdue(): void {
    const overdue = this.#overdue();
    if (overdue.length === 0) return;
    const { host } = this.#ports;
    // What a stream has brought may wait for its commit.
    host.whenCommitted(() => {
      for (const [topic, { origin, sequence }] of this.#overdue()) {
        this.#ports.noteHave(origin, sequence);
        host.deliverAhead(topic);
      }
    });
  }

  #overdue(): [topic: string, version: RetainedVersion][] {
    const overdue: [string, RetainedVersion][] = [];
    for (const [topic, version] of this.#ahead)
      if (!this.#ports.isToCome(version)) overdue.push([topic, version]);
    return overdue;
  }

  memberLeft(id: GatewayId): void {
    this.#keeper.memberLeft(id);
  }

  /** What a comparison taught, and which counters are used up, outlives a restart: what is published after it, before the next one, counts. */
  #remember(): void {
    const { floor } = this.#merge;
    const { known, dropped } = this.#keeper;
    this.#ports.remember({ known: known.filter(([id]) => id !== this.#ports.self), dropped, floor });
  }

  #forgot(version: RetainedVersion): void {
    const { floor } = this.#merge;
    this.#merge.forgot(version);
    if (this.#merge.floor > floor) this.#remember();
  }

  /** @returns whether it won */
  #apply(topic: string, version: RetainedVersion, message: Message | undefined): boolean {
    const verdict = this.#merge.judge(this.index.versionOf(topic), version, message === undefined);
    if (verdict !== 'wins') return false;
    const { origin, epoch, sequence, counter } = version;
    const arrived = message ?? tombstoneOf(topic);
    arrived.source = this.#ports.sourceOf(origin, epoch);
    arrived.sequence = sequence;
    arrived.retainedCounter = counter;
    if (origin !== this.#ports.self && !this.#ports.mayImport(topic)) {
      this.index.changed(topic, version, 'shadow');
      return true;
    }
    const { host } = this.#ports;
    const doubtful = host.retained.doubtful(topic);
    const order = doubtful === undefined ? 1 : compareVersions(version, host.versionOf(doubtful));
    // Subscribers have a newer one: where that does not stand, nor does this.
    if (order < 0) return false;
    const isDelivered = order === 0;
    // Subscribers are owed what its stream brings before it.
    arrived.aheadOfStream = !isDelivered && this.#ports.isToCome(version);
    if (!arrived.aheadOfStream) this.#ports.noteHave(origin, sequence);
    host.mergeRetained(arrived, isDelivered);
    // It found no room: others are not to send it again and again.
    if (!isSame(this.index.versionOf(topic), version)) this.index.changed(topic, version, 'shadow');
    return true;
  }

  /** @param newest what is known of the topic: a message, or its removal */
  #changed(topic: string, newest: Message | undefined): void {
    if (topic.startsWith('$')) return;
    if (newest === undefined) {
      // It has expired, or is not to be known any more.
      const version = this.index.versionOf(topic);
      if (version !== undefined) this.#forgot(version);
      this.#keeper.unburied(topic);
      this.index.changed(topic, undefined);
      this.#ahead.delete(topic);
      return;
    }
    const version = this.#ports.host.versionOf(newest);
    const isTombstone = newest.payloadLength === 0;
    if (!isTombstone) this.#keeper.unburied(topic);
    else if (!isSame(this.#keeper.versionOf(topic), version)) this.#keeper.buried(topic, version);
    this.index.changed(topic, version, this.#kindOf(newest, isTombstone ? 'tombstone' : 'message'));
    if (newest.aheadOfStream) this.#ahead.set(topic, version);
    else this.#ahead.delete(topic);
  }

  #kindOf({ topic, source }: Message, kind: RetainedKind): RetainedKind {
    return source === undefined && !this.#ports.mayExport(topic) ? 'shadow' : kind;
  }

  #drop(topic: string, version: RetainedVersion): void {
    this.#forgot(version);
    this.index.changed(topic, undefined);
    if (this.#ports.host.retained.tombstone(topic) !== undefined) this.#ports.host.discardRetained(topic);
  }
}

function isSame(a: RetainedVersion | undefined, b: RetainedVersion): boolean {
  return a?.counter === b.counter && a.origin === b.origin && a.sequence === b.sequence;
}

function tombstoneOf(topic: string): Message {
  const utf8 = Buffer.from(topic, 'utf8');
  const topicBytes = new Uint8Array(utf8.length + 2);
  topicBytes[0] = utf8.length >> 8;
  topicBytes[1] = utf8.length & 0xff;
  topicBytes.set(utf8, 2);
  return createMessage({ topic, topicBytes, payload: NO_BYTES, qos: 0, retain: true });
}
