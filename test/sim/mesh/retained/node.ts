/** One simulated gateway, as far as it retains messages: store, log of its own publishes, and what mesh/retained needs. */
import type { Epoch } from '../../../../lib/contracts/epoch.js';
import { gatewayIdOf, type GatewayId } from '../../../../lib/contracts/gateway-id.js';
import type { RetainedVersion } from '../../../../lib/contracts/streams.js';
import { createMessage, type Message } from '../../../../lib/message/message.js';
import {
  RetainedIndex,
  RetainedMerge,
  RetainedSync,
  type RetainedSyncPorts,
  TombstoneKeeper,
} from '../../../../mesh/retained/index.js';

/** What `judge` of RetainedMerge is replaced with, to see that the checks find it. */
export type Mutant = 'none' | 'epoch is ignored' | 'tombstones are ignored' | 'nobody resyncs' | 'no floor';

export interface LogRecord {
  readonly topic: string;
  readonly version: RetainedVersion;
  readonly payload: string | undefined;
}

export interface Retained {
  readonly version: RetainedVersion;
  /** undefined: a tombstone. */
  readonly payload: string | undefined;
}

/** What live subscribers are sent. */
export interface Winner {
  readonly topic: string;
  readonly key: string;
  readonly payload: string | undefined;
}

export interface NodeWorld {
  now(): number;
  random(): number;
  /** Members but this one; empty for one that is none. */
  membersBut(id: GatewayId): GatewayId[];
  rosterVersion(): number;
  send(from: SimNode, to: GatewayId, frame: Uint8Array): boolean;
  whenDurable(done: () => void): void;
  /** A version was published with this known, and so in its place. */
  issued(
    version: RetainedVersion,
    topic: string,
    known: RetainedVersion | undefined,
    isRemoval: boolean,
  ): void;
  /** By its own gateway: it is lost. */
  discarded(version: RetainedVersion): void;
  readonly mutant: Mutant;
  readonly tombstonesMaxCount: number;
}

export function keyOf({ counter, origin, epoch, sequence }: RetainedVersion): string {
  return `${counter} ${origin.slice(0, 2)} ${epoch.counter} ${sequence}`;
}

export class SimNode {
  readonly id: GatewayId;
  readonly index = new RetainedIndex();
  readonly merge = new RetainedMerge();
  readonly keeper: TombstoneKeeper;
  readonly store = new Map<string, Retained>();
  readonly log: LogRecord[] = [];
  readonly winners: Winner[] = [];
  readonly covered = new Map<GatewayId, number>();
  readonly syncs = new Map<GatewayId, RetainedSync>();
  epoch: Epoch = { counter: 1, nonce: '0'.repeat(16) };
  dropCount = 0;
  discardCount = 0;
  suspectCount = 0;

  constructor(
    number: number,
    readonly world: NodeWorld,
  ) {
    this.id = gatewayIdOf(new Uint8Array(32).fill(number + 1));
    this.keeper = new TombstoneKeeper(
      {
        self: this.id,
        members: () => world.membersBut(this.id),
        rosterVersion: () => world.rosterVersion(),
        coveredOf: (member) => this.covered.get(member) ?? 0,
        drop: (topic, version) => {
          this.dropCount++;
          this.store.delete(topic);
          if (world.mutant !== 'no floor') this.merge.forgot(version);
          this.index.changed(topic, undefined);
        },
        remember: () => undefined,
      },
      { firstTick: 2 ** 32, maxCount: world.tombstonesMaxCount },
    );
    if (world.mutant === 'nobody resyncs') {
      this.keeper.mustResync = () => false;
      this.keeper.peerMustResync = () => false;
      this.keeper.isSuspect = () => false;
    }
  }

  /** A client publishes, or removes. */
  publish(topic: string, payload: string | undefined): void {
    const known = this.index.versionOf(topic);
    if (payload === undefined && this.store.get(topic)?.payload === undefined) return;
    const sequence = this.log.length + 1;
    const counter = this.merge.nextCounter(known);
    const version: RetainedVersion = { counter, origin: this.id, epoch: this.epoch, sequence };
    this.world.issued(version, topic, known, payload === undefined);
    this.log.push({ topic, version, payload });
    this.#install(topic, version, payload);
  }

  /** From the stream of the origin. */
  streamed({ topic, version, payload }: LogRecord): void {
    const known = this.index.versionOf(topic);
    const { origin, sequence, counter } = version;
    if (
      known === undefined &&
      payload !== undefined &&
      this.keeper.isSuspect(origin, sequence, counter, this.merge.floor)
    )
      this.suspectCount++;
    else this.take(topic, version, payload);
    this.covered.set(origin, sequence);
    this.keeper.sweep();
  }

  take(topic: string, version: RetainedVersion, payload: string | undefined): boolean {
    const known = this.index.versionOf(topic);
    if (this.#judge(known, version, payload === undefined) !== 'wins') return false;
    this.#install(topic, version, payload);
    return true;
  }

  syncWith(peer: GatewayId): RetainedSync {
    let sync = this.syncs.get(peer);
    if (sync === undefined) {
      sync = new RetainedSync(this.id, peer, this.#portsFor(peer));
      this.syncs.set(peer, sync);
    }
    return sync;
  }

  messageOf(topic: string): Message | undefined {
    const payload = this.store.get(topic)?.payload;
    if (payload === undefined) return undefined;
    return createMessage({
      topic,
      topicBytes: new Uint8Array(0),
      payload: Buffer.from(payload),
      qos: 1,
      retain: true,
    });
  }

  #judge(known: RetainedVersion | undefined, version: RetainedVersion, isTombstone: boolean) {
    const { mutant } = this.world;
    if (mutant === 'tombstones are ignored' && isTombstone) return 'loses';
    if (
      mutant === 'epoch is ignored' &&
      known?.counter === version.counter &&
      known.origin === version.origin
    )
      return 'loses';
    return this.merge.judge(known, version, isTombstone);
  }

  #install(topic: string, version: RetainedVersion, payload: string | undefined): void {
    this.store.set(topic, { version, payload });
    this.index.changed(topic, version, payload === undefined ? 'tombstone' : 'message');
    this.winners.push({ topic, key: keyOf(version), payload });
    if (payload === undefined) this.keeper.buried(topic, version);
    else this.keeper.unburied(topic);
  }

  #portsFor(peer: GatewayId): RetainedSyncPorts {
    return {
      index: this.index,
      merge: this.merge,
      keeper: this.keeper,
      now: () => this.world.now(),
      random: () => this.world.random(),
      send: (frame) => this.world.send(this, peer, frame),
      read: (topic) => this.messageOf(topic),
      apply: (topic, version, message) =>
        this.take(
          topic,
          version,
          message === undefined ? undefined : Buffer.from(message.payload).toString(),
        ),
      isCaughtUp: () => true,
      discard: (topic) => {
        this.discardCount++;
        const version = this.index.versionOf(topic);
        if (version?.origin === this.id) this.world.discarded(version);
        this.store.delete(topic);
        this.index.changed(topic, undefined);
        this.winners.push({ topic, key: 'none', payload: undefined });
      },
      whenDurable: (done) => this.world.whenDurable(done),
      sourceOf: (origin, epoch) => ({ origin, epoch }),
      head: () => this.log.length,
      rosterVersion: () => this.world.rosterVersion(),
      completed: () => undefined,
    };
  }
}
