/**
 * Tells one peer of the interest of this gateway, over one link after the other. What goes out is a whole set or what changed since the
 * version that went out before: the link keeps order, so nothing waits for the answer. The peer answers each version.
 *
 *     idle ── start ──▶ telling ──(nothing new)──▶ told ── flush, pump ──▶ telling
 *                          ▲                         │
 *                          └── the base is missing ──┤
 *                    refused ◀── it is too much ─────┘     until the set is smaller, or there is another link
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import { MalformedFrame } from '../wire/bytes.js';
import { encodeUpdate, type AnswerFrame, type FilterChange, type Refusal } from './interest-frames.js';
import type { LocalInterest } from './local-interest.js';
import { CHANGE_WORTH, WHOLE_SET_MAX_COUNT } from './limits.js';

/** Which interest of another gateway somebody has: a version of one of its lives. */
export interface InterestImage {
  readonly life: number;
  readonly version: number;
}

export interface InterestSenderPorts {
  /** On the channel `interest` of the link. @returns false: `pump` is called when there is room again */
  send(frame: Uint8Array): boolean;
  /** Up to where this gateway has what it wanted of the peer's log. */
  covered(): LogPosition;
  /** The peer has the version, and matches with it what comes behind `head` in its log. */
  acknowledged(version: number, head: LogPosition): void;
  /** The peer stays with the version it had: it does not answer to new ones, and nobody should wait for it. */
  refused(version: number, verdict: Refusal): void;
}

export class InterestSender {
  readonly #interest: LocalInterest;
  readonly #ports: InterestSenderPorts;
  #isLinked = false;
  /** Frames of an update that did not fit in the link yet. */
  #frames: Iterator<Uint8Array> | undefined;
  /** The last version that went out, or is about to; undefined: the peer is to have the whole set. */
  #sent: number | undefined;
  #wholeSent = -1;
  #acknowledged = -1;
  /** How many filters were too many. */
  #refusedCount = Infinity;
  #isFull = false;

  constructor(interest: LocalInterest, ports: InterestSenderPorts) {
    this.#interest = interest;
    this.#ports = ports;
  }

  /** The newest version that the peer has; -1: none that is known over this link. */
  get acknowledgedVersion(): number {
    return this.#acknowledged;
  }

  /** The link has passed hello. @param held what the peer says that it has of this gateway's interest */
  start(held: InterestImage | undefined): void {
    this.stop();
    this.#isLinked = true;
    // What it has may be the present version: it is told so, and answers, as with any other.
    if (held?.life === this.#interest.life && this.#interest.changesSince(held.version) !== undefined)
      this.#sent = held.version;
    this.#tell();
    this.#pump();
  }

  /** The link is gone. */
  stop(): void {
    this.#isLinked = false;
    this.#frames = undefined;
    this.#sent = undefined;
    this.#wholeSent = -1;
    this.#acknowledged = -1;
    this.#refusedCount = Infinity;
    this.#isFull = false;
  }

  /** After `flush`. */
  changed(): void {
    if (this.#isLinked && !this.#isFull) this.#pump();
  }

  /** The link has room again. */
  drained(): void {
    this.#isFull = false;
    if (this.#isLinked) this.#pump();
  }

  /** @throws MalformedFrame */
  answered({ version, verdict, head }: AnswerFrame): void {
    if (!this.#isLinked) return;
    if (version > this.#interest.version)
      throw new MalformedFrame(`an answer to the unknown version ${version}`);
    switch (verdict) {
      case 'applied':
        this.#acknowledged = Math.max(this.#acknowledged, version);
        this.#ports.acknowledged(version, head);
        break;
      case 'baseMissing':
        // Of several changes that lacked their base one is answered with the whole set.
        if (version <= this.#wholeSent) return;
        // What is on its way goes out to its end: an update never begins within another.
        this.#sent = undefined;
        this.changed();
        break;
      case 'tooManyFilters':
      case 'tooManyBytes':
        this.#refusedCount = this.#interest.told.size;
        this.#sent = undefined;
        this.#ports.refused(version, verdict);
        break;
    }
  }

  #pump(): void {
    for (;;) {
      while (this.#frames !== undefined) {
        const { done, value } = this.#frames.next();
        if (done === true) {
          this.#frames = undefined;
          break;
        }
        if (this.#ports.send(value)) continue;
        this.#isFull = true;
        return;
      }
      const { version, told } = this.#interest;
      if (this.#sent === version || told.size >= this.#refusedCount) return;
      this.#tell();
    }
  }

  #tell(): void {
    const { life, version, told } = this.#interest;
    const since = this.#ports.covered();
    const base = this.#sent;
    const changes = base === undefined ? undefined : this.#interest.changesSince(base);
    this.#refusedCount = Infinity;
    this.#sent = version;
    if (changes !== undefined && isWorth(changes.size, told.size)) {
      this.#frames = encodeUpdate({ life, base, version, since }, changes);
      return;
    }
    this.#wholeSent = version;
    // A copy: the set may change before the link has taken all of it.
    const whole: FilterChange[] = [...told];
    this.#frames = encodeUpdate({ life, base: undefined, version, since }, whole);
  }
}

function isWorth(changeCount: number, wholeCount: number): boolean {
  if (wholeCount <= WHOLE_SET_MAX_COUNT) return changeCount * CHANGE_WORTH <= wholeCount;
  return changeCount < wholeCount;
}
