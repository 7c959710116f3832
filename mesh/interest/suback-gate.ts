/**
 * Holds each SUBACK until all reachable peers have the version of the interest that contains its filters, but not for long: a peer
 * that is slow, or gone and not yet known to be, delays nobody's subscription by more than `maxHoldMs`.
 *
 * Versions are acknowledged in order, so those which wait are a queue that empties from its front. Each knows how many peers lack it:
 * an acknowledgement counts down the versions it is about, once for each peer and version, which is as often as an update was sent.
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { SUBACK_HOLD_MAX_MS } from './limits.js';

interface Hold {
  readonly deadline: number;
  /** undefined: it has been released. */
  release: (() => void) | undefined;
  readonly waiting: Waiting;
}

interface Waiting {
  readonly version: number;
  readonly holds: Hold[];
  /** Peers that lack the version. */
  lacking: number;
  /** Holds that were not released. */
  heldCount: number;
}

export class SubackGate {
  readonly #maxHoldMs: number;
  /** The newest version that each has; -1: none yet. */
  readonly #peers = new Map<GatewayId, number>();
  /** By version, ascending. */
  #waiting: Waiting[] = [];
  /** In the order in which they came, which is that of their deadlines; those before `#firstHold` are done with. */
  #holds: Hold[] = [];
  #firstHold = 0;
  /** Released because every peer had the version, then or later, or was gone. */
  releasedByAcknowledgement = 0;
  /** Released because the time was over. */
  releasedByTime = 0;
  /** Released because there was nobody to wait for. */
  releasedWithoutPeers = 0;

  constructor(maxHoldMs = SUBACK_HOLD_MAX_MS) {
    this.#maxHoldMs = maxHoldMs;
  }

  /** SUBACKs that wait. */
  get heldCount(): number {
    return this.#waiting.reduce((sum, { heldCount }) => sum + heldCount, 0);
  }

  /** When the first is released at the latest; undefined: none waits. */
  get nextDeadlineMs(): number | undefined {
    this.#skipReleased();
    return this.#holds[this.#firstHold]?.deadline;
  }

  /** Its link is past hello. @param version that it has; -1: none that is known */
  peerReached(peer: GatewayId, version: number): void {
    this.peerGone(peer);
    this.#peers.set(peer, version);
    for (const waiting of this.#waiting) if (waiting.version > version) waiting.lacking++;
  }

  /** Nobody waits for it any more. */
  peerGone(peer: GatewayId): void {
    if (!this.#peers.has(peer)) return;
    this.acknowledged(peer, Infinity);
    this.#peers.delete(peer);
  }

  /** The peer has this version and those before it. */
  acknowledged(peer: GatewayId, version: number): void {
    const before = this.#peers.get(peer);
    if (before === undefined || version <= before) return;
    this.#peers.set(peer, version);
    for (let i = this.#indexAfter(before); i < this.#waiting.length; i++) {
      const waiting = this.#waiting[i];
      if (waiting === undefined || waiting.version > version) break;
      waiting.lacking--;
    }
    this.#releaseFront();
  }

  /**
   * @param version that contains the filters: the latest `versionOf` of them
   * @param release is called once, at once or later, also from inside the other methods; it may call back
   */
  hold(version: number, now: number, release: () => void): void {
    if (this.#peers.size === 0) {
      this.releasedWithoutPeers++;
      release();
      return;
    }
    const waiting = this.#waitingFor(version);
    if (waiting === undefined) {
      this.releasedByAcknowledgement++;
      release();
      return;
    }
    const hold: Hold = { deadline: now + this.#maxHoldMs, release, waiting };
    waiting.holds.push(hold);
    waiting.heldCount++;
    this.#holds.push(hold);
  }

  tick(now: number): void {
    const releasedBefore = this.releasedByTime;
    for (;;) {
      this.#skipReleased();
      const hold = this.#holds[this.#firstHold];
      if (hold === undefined || hold.deadline > now) break;
      this.#firstHold++;
      this.releasedByTime++;
      free(hold);
    }
    if (this.releasedByTime === releasedBefore) return;
    this.#waiting = this.#waiting.filter(({ heldCount }) => heldCount > 0);
  }

  /** undefined: every peer has the version. */
  #waitingFor(version: number): Waiting | undefined {
    const index = this.#indexAfter(version - 1);
    const known = this.#waiting[index];
    if (known?.version === version) return known;
    let lacking = 0;
    for (const has of this.#peers.values()) if (has < version) lacking++;
    if (lacking === 0) return undefined;
    const waiting: Waiting = { version, holds: [], lacking, heldCount: 0 };
    this.#waiting.splice(index, 0, waiting);
    return waiting;
  }

  /** Of the first that waits for a version beyond this one. */
  #indexAfter(version: number): number {
    let low = 0;
    let high = this.#waiting.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#waiting[middle]?.version ?? Infinity) > version) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Whoever has a version has those before it: only the first ones can be complete. */
  #releaseFront(): void {
    let count = 0;
    while (this.#waiting[count]?.lacking === 0) count++;
    if (count === 0) return;
    for (const { holds } of this.#waiting.splice(0, count))
      for (const hold of holds) {
        if (hold.release === undefined) continue;
        this.releasedByAcknowledgement++;
        free(hold);
      }
    this.#skipReleased();
  }

  #skipReleased(): void {
    for (;;) {
      const hold = this.#holds[this.#firstHold];
      if (hold === undefined || hold.release !== undefined) break;
      this.#firstHold++;
    }
    if (this.#firstHold < 1024 && this.#firstHold < this.#holds.length) return;
    this.#holds = this.#holds.slice(this.#firstHold);
    this.#firstHold = 0;
  }
}

function free(hold: Hold): void {
  const { release } = hold;
  hold.release = undefined;
  hold.waiting.heldCount--;
  release?.();
}
