/**
 * How long removals are remembered, and who must not bring back what was removed.
 *
 * Each gateway counts its tombstones: its ticks. Of each gateway it knows two ticks, and tells them in each round:
 *
 *     known[g]     this gateway has all tombstones of g up to here, or something newer, or they went when everybody had them.
 *                  Grows when a round is complete: the peer's are its own from then on
 *     dropped[g]   g let tombstones go up to here. Known from the first frame of a round on
 *
 * A tombstone goes when every other member of the roster says, in the state that it tells, `known[this gateway]` beyond it, with the same
 * roster in mind, and this gateway has the member's stream up to where its log ended then: what a stream brings later was published by
 * somebody who knew of the removal. So no member has anything older under the topic, and none will get it: whoever gave it away before
 * knows of the removal by now, and waits for those to whom it gave. Over the limit the oldest go without that.
 *
 * Whoever has `known[g] < dropped[g]` for a g of which the other knows may have slept through a removal that nobody remembers: a
 * member that was evicted and is back, one that was away while there were too many tombstones, one whose folder was put back to an older
 * state. It has to resync: where the two differ its messages are not taken, and it discards them; but not those
 *
 * - whose counter is above the other's floor: no tombstone that went was as high;
 * - which its clients published since the round began;
 * - which are its own where it has never completed a round with anybody: they are what it brings into the mesh.
 *
 * Its tombstones are taken as ever. What it published meanwhile below the floor is lost: nobody can tell it from what was removed.
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { RetainedVersion } from '../../lib/contracts/streams.js';
import { TICKS_MAX_COUNT, TOMBSTONES_MAX_COUNT } from './limits.js';
import type { Ticks, PeerState } from './retained-frames.js';

export interface TombstoneKeeperPorts {
  readonly self: GatewayId;
  /** Milliseconds; where tombstones have an age. */
  now?(): number;
  /** The other members of the roster; without who was evicted. */
  members(): Iterable<GatewayId>;
  rosterVersion(): number;
  /** Up to where this gateway has what it wanted of the member's log. */
  coveredOf(member: GatewayId): LogPosition;
  /** Forget the tombstone of the topic, tell the index, and `forgot` of RetainedMerge. */
  drop(topic: string, version: RetainedVersion): void;
  /** Before tombstones go: the image has to be durable before that is. */
  remember(image: TombstoneImage): void;
}

/** What outlives a restart. The tombstones themselves are the store's: they are buried again, and are as if they came then. */
export interface TombstoneImage {
  readonly known: Ticks;
  readonly dropped: Ticks;
}

export interface TombstoneKeeperOptions {
  /** Greater than any tick of lives before: 2^32 times the counter of the epoch. */
  readonly firstTick: number;
  readonly image?: TombstoneImage | undefined;
  readonly maxCount?: number | undefined;
  /** None goes that is younger, but for want of room: until then what is known of others is durable everywhere. Default 0. */
  readonly minAgeMs?: number | undefined;
}

interface Tombstone {
  readonly version: RetainedVersion;
  readonly tick: number;
  /** On the clock of the gateway. */
  readonly at: number;
}

/** What a member said; it counts when its stream has come as far. */
interface Claim {
  readonly tick: number;
  readonly head: LogPosition;
}

const FORCED_PART = 100;

export class TombstoneKeeper {
  readonly #ports: TombstoneKeeperPorts;
  readonly #maxCount: number;
  readonly #minAgeMs: number;
  /** In the order of their ticks. */
  readonly #tombstones = new Map<string, Tombstone>();
  readonly #known: Map<GatewayId, number>;
  readonly #dropped: Map<GatewayId, number>;
  readonly #confirmed = new Map<GatewayId, number>();
  readonly #claims = new Map<GatewayId, Claim>();
  /**
   * Of all tombstones that this gateway was offered or that are gone: it may have done without some as it had nothing under their
   * topics, and what they removed may still be on its way in a stream.
   */
  readonly #horizon = new Map<GatewayId, number>();
  /** What each member told last. */
  readonly #heard = new Map<GatewayId, Pick<PeerState, 'known' | 'head'>>();
  /** What a member published up to here it may have published without knowing of a removal within the horizon. */
  readonly #suspectUpTo = new Map<GatewayId, LogPosition>();
  #tick: number;
  /** Tombstones that went before every member had them. */
  forcedCount = 0;

  constructor(ports: TombstoneKeeperPorts, options: TombstoneKeeperOptions) {
    this.#ports = ports;
    this.#maxCount = options.maxCount ?? TOMBSTONES_MAX_COUNT;
    this.#minAgeMs = options.minAgeMs ?? 0;
    this.#tick = options.firstTick;
    this.#known = new Map(options.image?.known);
    this.#dropped = new Map(options.image?.dropped);
    for (const [gateway, tick] of [...this.#known, ...this.#dropped]) raise(this.#horizon, gateway, tick);
  }

  get count(): number {
    return this.#tombstones.size;
  }

  /** Whether it has never completed a round with anybody. */
  get isNewcomer(): boolean {
    return this.#known.size === 0;
  }

  /** With this gateway's own. */
  get known(): Ticks {
    return [[this.#ports.self, this.#tick], ...this.#known];
  }

  get dropped(): Ticks {
    return [...this.#dropped];
  }

  versionOf(topic: string): RetainedVersion | undefined {
    return this.#tombstones.get(topic)?.version;
  }

  /** The topic has a tombstone now, or a newer one. */
  buried(topic: string, version: RetainedVersion): void {
    this.#tombstones.delete(topic);
    this.#tombstones.set(topic, { version, tick: ++this.#tick, at: this.#ports.now?.() ?? 0 });
    if (this.#tombstones.size > this.#maxCount) this.#force();
  }

  /** The topic retains a message again, or nothing at all. */
  unburied(topic: string): void {
    this.#tombstones.delete(topic);
  }

  /** What a peer tells of itself when a round begins. */
  learned(id: GatewayId, { known, dropped, head, rosterVersion }: PeerState): void {
    this.#heard.set(id, { known, head });
    const { self } = this.#ports;
    this.#extend(known.filter(([gateway]) => gateway !== self));
    this.#learnDropped(dropped);
    this.#trust(id, Math.min(head, this.#suspectUpTo.get(id) ?? Infinity));
    if (rosterVersion !== this.#ports.rosterVersion()) return;
    const tick = known.find(([gateway]) => gateway === this.#ports.self)?.[1] ?? 0;
    // The first that waits stays: of a stream that is always a little behind no later one would ever count.
    if (!this.#claims.has(id) && tick > (this.#confirmed.get(id) ?? 0)) this.#claims.set(id, { tick, head });
    this.sweep();
  }

  /**
   * A round is complete: this gateway has, durably, all that the peer had when it began, but for what the peer let go meanwhile.
   * @param first what the peer told then. @param last what it tells now
   */
  completed(first: PeerState, last: PeerState): void {
    const before = new Map(first.dropped);
    const meanwhile = new Set<GatewayId>();
    for (const [gateway, tick] of last.dropped)
      if (tick > Math.max(before.get(gateway) ?? 0, this.#known.get(gateway) ?? 0)) meanwhile.add(gateway);
    this.#learnDropped(last.dropped);
    for (const [gateway, tick] of first.known)
      if (gateway !== this.#ports.self && !meanwhile.has(gateway)) raise(this.#known, gateway, tick);
  }

  /** It is evicted. */
  memberLeft(id: GatewayId): void {
    this.#confirmed.delete(id);
    this.#claims.delete(id);
    this.#heard.delete(id);
    this.#suspectUpTo.delete(id);
    this.sweep();
  }

  peerMustResync(peerKnown: Ticks): boolean {
    return isBehind(new Map(peerKnown), this.#dropped);
  }

  /** Whether this gateway has to, towards a peer that tells this. */
  mustResync(peerDropped: Ticks): boolean {
    return isBehind(new Map(this.known), new Map(peerDropped));
  }

  /**
   * Whether a message from a member's stream, of a topic of which nothing is known, is not to be retained, as it may have been removed
   * long ago; a round brings it if it was not. @param floor of RetainedMerge
   */
  isSuspect(origin: GatewayId, sequence: LogPosition, counter: number, floor: number): boolean {
    if (counter > floor) return false;
    return sequence <= (this.#suspectUpTo.get(origin) ?? Infinity);
  }

  /** Lets go what may go. After changes of the roster, and now and then: streams come along. */
  sweep(): void {
    let horizon = this.#tick;
    for (const id of this.#ports.members()) horizon = Math.min(horizon, this.#confirm(id));
    const gone: [string, Tombstone][] = [];
    const bornBefore = (this.#ports.now?.() ?? 0) - this.#minAgeMs;
    for (const one of this.#tombstones) {
      if (one[1].tick > horizon || one[1].at > bornBefore) break;
      gone.push(one);
    }
    this.#drop(gone);
  }

  #learnDropped(dropped: Ticks): void {
    for (const [gateway, tick] of dropped) raise(this.#dropped, gateway, tick);
    this.#extend(dropped);
  }

  /** What was trusted for a nearer horizon has to be shown anew, by what each told last. */
  #extend(ticks: Ticks): void {
    let isFarther = false;
    for (const [gateway, tick] of ticks) isFarther = raise(this.#horizon, gateway, tick) || isFarther;
    if (isFarther) for (const [id, { head }] of this.#heard) this.#trust(id, head);
  }

  #trust(id: GatewayId, upTo: LogPosition): void {
    const isKnowing = !isBehind(new Map(this.#heard.get(id)?.known), this.#horizon);
    this.#suspectUpTo.set(id, isKnowing ? upTo : Infinity);
  }

  #confirm(id: GatewayId): number {
    const claim = this.#claims.get(id);
    const confirmed = this.#confirmed.get(id) ?? 0;
    if (claim === undefined || this.#ports.coveredOf(id) < claim.head) return confirmed;
    this.#claims.delete(id);
    this.#confirmed.set(id, Math.max(confirmed, claim.tick));
    return Math.max(confirmed, claim.tick);
  }

  /** Some at once: each time the image is written. */
  #force(): void {
    this.sweep();
    const tooMany = this.#tombstones.size - this.#maxCount;
    if (tooMany <= 0) return;
    const count = tooMany + Math.floor(this.#maxCount / FORCED_PART);
    const gone: [string, Tombstone][] = [];
    for (const one of this.#tombstones) {
      if (gone.length >= count) break;
      gone.push(one);
    }
    this.forcedCount += gone.length;
    this.#drop(gone);
  }

  #drop(gone: readonly [string, Tombstone][]): void {
    const last = gone.at(-1);
    if (last === undefined) return;
    this.#learnDropped([[this.#ports.self, last[1].tick]]);
    this.#ports.remember({ known: [...this.#known], dropped: this.dropped });
    for (const [topic, { version }] of gone) {
      this.#tombstones.delete(topic);
      this.#ports.drop(topic, version);
    }
  }
}

/** @returns whether it was less. Of more gateways than there can be nothing is learnt: what is known of those that are there stays. */
function raise(ticks: Map<GatewayId, number>, gateway: GatewayId, tick: number): boolean {
  const known = ticks.get(gateway);
  if (tick <= (known ?? 0)) return false;
  // The own one comes on top.
  if (known === undefined && ticks.size >= TICKS_MAX_COUNT - 1) return false;
  ticks.set(gateway, tick);
  return true;
}

function isBehind(known: ReadonlyMap<GatewayId, number>, dropped: ReadonlyMap<GatewayId, number>): boolean {
  for (const [gateway, tick] of dropped) if ((known.get(gateway) ?? 0) < tick) return true;
  return false;
}
