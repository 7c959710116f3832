/**
 * What must become of each will [MQTT 5, 3.1.2.5]: nothing after DISCONNECT 0x00 or when the session is resumed within the delay;
 * published once after the delay, or when the session ends, otherwise.
 */
import type { Sometimes } from './sometimes.js';

/** The fate of a will: `either` where a resume and the end of the delay fall into one tick. */
type Fate = 'armed' | 'due' | 'discarded' | 'withdrawn' | 'either';

interface WillEntry {
  readonly mid: string;
  readonly sessionKey: number;
  readonly delayS: number;
  fate: Fate;
  dueAt: number;
  /** Before `dueAt` where a clean start may have ended the session without coming through. */
  earliestAt: number;
  publishedAt: number[];
}

export interface WillEnd {
  readonly now: number;
  /** The client sent DISCONNECT with reason code 0x00 and the gateway got it. */
  readonly discarded: boolean;
  /** Session Expiry Interval in force at the end. */
  readonly expiryS: number;
}

export class WillLedger {
  readonly #entries = new Map<string, WillEntry>();
  readonly #pending = new Map<number, WillEntry>();
  readonly #sometimes: Sometimes;
  readonly #toleranceMs: number;

  constructor(sometimes: Sometimes, toleranceMs: number) {
    this.#sometimes = sometimes;
    this.#toleranceMs = toleranceMs;
  }

  accepted(mid: string, sessionKey: number, delayS: number): void {
    this.#entries.set(mid, {
      mid,
      sessionKey,
      delayS,
      fate: 'armed',
      dueAt: Infinity,
      earliestAt: Infinity,
      publishedAt: [],
    });
  }

  connectionEnded(mid: string, end: WillEnd): void {
    const entry = this.#entries.get(mid);
    if (entry === undefined) return;
    if (end.discarded) {
      entry.fate = 'discarded';
      this.#sometimes.saw('will discarded by DISCONNECT');
      return;
    }
    const delayMs = Math.min(entry.delayS, end.expiryS) * 1000;
    entry.fate = 'due';
    entry.dueAt = end.now + delayMs;
    entry.earliestAt = entry.dueAt;
    this.#sometimes.saw(delayMs === 0 ? 'will published at once' : 'will published after its delay');
    if (delayMs > 0) this.#pending.set(entry.sessionKey, entry);
  }

  /** A connection has the session of an earlier one. */
  sessionResumed(sessionKey: number, now: number): void {
    const entry = this.#take(sessionKey);
    if (entry === undefined) return;
    if (now < entry.dueAt) {
      entry.fate = 'withdrawn';
      this.#sometimes.saw('will withdrawn by a resume');
    } else if (now <= entry.dueAt + this.#toleranceMs) {
      entry.fate = 'either';
    }
  }

  /** A clean start asks for the client id: the session may end now or when another connection comes through. */
  sessionMayEnd(sessionKey: number, now: number): void {
    const entry = this.#pending.get(sessionKey);
    if (entry !== undefined) entry.earliestAt = Math.min(entry.earliestAt, now);
  }

  /** The session is gone: its will may not wait any longer. */
  sessionEnded(sessionKey: number, now: number): void {
    const entry = this.#take(sessionKey);
    if (entry === undefined) return;
    entry.dueAt = Math.min(entry.dueAt, now);
    entry.earliestAt = Math.min(entry.earliestAt, now);
  }

  published(mid: string, now: number): void {
    this.#entries.get(mid)?.publishedAt.push(now);
  }

  /** One line for every will whose fate is not what it should be at `now`. */
  faults(now: number): { missing: string[]; wrong: string[] } {
    const missing: string[] = [];
    const wrong: string[] = [];
    for (const { mid, fate, dueAt, earliestAt, publishedAt } of this.#entries.values()) {
      const [first] = publishedAt;
      if (publishedAt.length > 1) {
        wrong.push(`will ${mid} was published ${publishedAt.length} times`);
      } else if (first !== undefined) {
        if (fate === 'armed' || fate === 'discarded' || fate === 'withdrawn')
          wrong.push(`will ${mid}, ${fate}, was published`);
        else if (first < earliestAt && fate === 'due')
          wrong.push(`will ${mid} was published ${(dueAt - first).toFixed(0)} ms early`);
      } else if (fate === 'due' && now > dueAt + this.#toleranceMs) {
        missing.push(`will ${mid}, due at ${dueAt.toFixed(0)}, was not published`);
      }
    }
    return { missing, wrong };
  }

  #take(sessionKey: number): WillEntry | undefined {
    const entry = this.#pending.get(sessionKey);
    this.#pending.delete(sessionKey);
    return entry;
  }
}
