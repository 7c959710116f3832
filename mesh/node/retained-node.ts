/**
 * What is retained, as the mesh keeps it the same everywhere: changes travel on the streams; here is what makes up for what they missed,
 * and what remembers removals. One for all peers.
 */
import type { Clock } from '../../lib/contracts/clock.js';
import type { Epoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { MeshHost } from '../../lib/contracts/mesh-port.js';
import type { LogPosition, Store } from '../../lib/contracts/store.js';
import type { MessageSource, RetainedVersion } from '../../lib/contracts/streams.js';
import { createMessage, type Message } from '../../lib/message/message.js';
import {
  compareVersions,
  RetainedIndex,
  RetainedMerge,
  RetainedSync,
  type TombstoneImage,
  TombstoneKeeper,
} from '../retained/index.js';

const NO_BYTES = new Uint8Array(0);
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
  random(): number;
  readonly store: Pick<Store, 'committed'>;
  readonly host: MeshHost;
  /** The other members of the roster: all that were ever met and not evicted. */
  members(): Iterable<GatewayId>;
  rosterVersion(): number;
  /** What this gateway keeps to itself, and what it does not want of others. */
  mayExport(topic: string): boolean;
  mayImport(topic: string): boolean;
  coveredOf(member: GatewayId): LogPosition;
  sourceOf(origin: GatewayId, epoch: Epoch): MessageSource;
  /** The log of `origin` up to now has this message: it is not to be taken from its stream again. */
  noteHave(origin: GatewayId, sequence: LogPosition): void;
  /** The image is durable before the tombstones that it tells of are gone. */
  remember(image: RetainedImage): void;
}

export class RetainedNode {
  readonly index = new RetainedIndex();
  readonly #merge: RetainedMerge;
  readonly #keeper: TombstoneKeeper;
  readonly #ports: RetainedNodePorts;

  constructor(ports: RetainedNodePorts, epoch: Epoch, image: RetainedImage | undefined) {
    this.#ports = ports;
    this.#merge = new RetainedMerge(image?.floor);
    this.#keeper = new TombstoneKeeper(
      {
        self: ports.self,
        members: () => ports.members(),
        rosterVersion: () => ports.rosterVersion(),
        coveredOf: (member) => ports.coveredOf(member),
        drop: (topic, version) => this.#drop(topic, version),
        remember: (remembered) => ports.remember({ ...remembered, floor: this.#merge.floor }),
      },
      { firstTick: epoch.counter * TICKS_OF_EPOCH, image },
    );
    const { host } = ports;
    host.retained.forEach(({ topic }) => this.#changed(topic));
    host.retained.forEachTombstone(({ topic }) => this.#changed(topic));
    host.onRetainedChange = (topic) => this.#changed(topic);
  }

  get floor(): number {
    return this.#merge.floor;
  }

  get tombstoneCount(): number {
    return this.#keeper.count;
  }

  /** Whether a message of a stream, of a topic of which nothing is known, may have been removed long ago: then it is not retained. */
  isSuspect({ topic, source, sequence, retainedCounter }: Message): boolean {
    if (source === undefined || this.index.versionOf(topic) !== undefined) return false;
    return this.#keeper.isSuspect(source.origin, sequence, retainedCounter, this.#merge.floor);
  }

  createSync(peer: GatewayId, send: (frame: Uint8Array) => boolean): RetainedSync {
    const { self, clock, host, store } = this.#ports;
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
      whenDurable: (done) => host.whenCommitted(done),
      sourceOf: (origin, epoch) => this.#ports.sourceOf(origin, epoch),
      head: () => store.committed,
      rosterVersion: () => this.#ports.rosterVersion(),
      completed: () => undefined,
    });
  }

  /** Now and then: streams come along, and tombstones may go. */
  sweep(): void {
    this.#keeper.sweep();
  }

  memberLeft(id: GatewayId): void {
    this.#keeper.memberLeft(id);
  }

  /** @returns whether it won */
  #apply(topic: string, version: RetainedVersion, message: Message | undefined): boolean {
    const verdict = this.#merge.judge(this.index.versionOf(topic), version, message === undefined);
    if (verdict !== 'wins') return false;
    if (!this.#ports.mayImport(topic) || this.#hasNewer(topic, version)) {
      // The others are not to send it again, and get nothing for it.
      this.#ports.noteHave(version.origin, version.sequence);
      this.index.changed(topic, version, 'shadow');
      return true;
    }
    const arrived = message ?? tombstoneOf(topic);
    const { origin, epoch, sequence, counter } = version;
    arrived.source = this.#ports.sourceOf(origin, epoch);
    arrived.sequence = sequence;
    arrived.retainedCounter = counter;
    this.#ports.noteHave(origin, sequence);
    if (!this.#ports.host.mergeRetained(arrived, true)) return false;
    // It found no room: others are not to send it again and again.
    if (!isSame(this.index.versionOf(topic), version)) this.index.changed(topic, version, 'shadow');
    return true;
  }

  #changed(topic: string): void {
    if (topic.startsWith('$')) return;
    const { host } = this.#ports;
    const message = host.retained.get(topic);
    const tombstone = message === undefined ? host.retained.tombstone(topic) : undefined;
    const here = message ?? tombstone;
    if (here !== undefined && this.#isPrivate(here)) {
      const ofOthers = this.index.versionOf(topic);
      this.#keeper.unburied(topic);
      this.index.changed(topic, ofOthers, 'shadow');
      // Nobody else has to hear of the removal.
      if (tombstone !== undefined && ofOthers === undefined) host.discardRetained(topic);
    } else if (message !== undefined) {
      this.#keeper.unburied(topic);
      this.index.changed(topic, host.versionOf(message));
    } else if (tombstone !== undefined) {
      const version = host.versionOf(tombstone);
      this.#keeper.buried(topic, version);
      this.index.changed(topic, version, 'tombstone');
    } else {
      // It has expired, or is not to be known any more.
      const version = this.index.versionOf(topic);
      if (version !== undefined) this.#merge.forgot(version);
      this.#keeper.unburied(topic);
      this.index.changed(topic, undefined);
    }
  }

  /** Published here, of a topic that is not exported. */
  #isPrivate(message: Message): boolean {
    const { self, host, mayExport } = this.#ports;
    return !mayExport(message.topic) && host.versionOf(message).origin === self;
  }

  /** What is private is in no comparison, and may be newer all the same. */
  #hasNewer(topic: string, version: RetainedVersion): boolean {
    const { retained, versionOf } = this.#ports.host;
    const here = retained.get(topic) ?? retained.tombstone(topic);
    return here !== undefined && compareVersions(versionOf(here), version) >= 0;
  }

  #drop(topic: string, version: RetainedVersion): void {
    this.#merge.forgot(version);
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
