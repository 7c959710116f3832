/**
 * Up to where the log here and what a peer has of it are one, where the log was put back: both see it, and the peer remembers more of the
 * lives that were lost. For one link after the other.
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { Loss } from '../identity/meeting.js';

export class SharedLog {
  #rolledBackTo: LogPosition | undefined;
  #hasUpTo: LogPosition | undefined;

  /** The peer has said who it is. @param rolledBackTo what its hello tells; undefined: nothing was put back */
  linkBegan(rolledBackTo: LogPosition | undefined): void {
    this.#rolledBackTo = rolledBackTo;
    this.#hasUpTo = undefined;
  }

  /** How much the peer has, as it says with what it wants; the first word on a link counts. */
  told(hasUpTo: LogPosition): void {
    this.#hasUpTo ??= hasUpTo;
  }

  /**
   * @param covered how much the peer had when it greeted; it may have found since that less of that is in this log
   * @returns undefined: all of it is
   */
  upTo(covered: LogPosition): LogPosition | undefined {
    const hasUpTo = this.#hasUpTo ?? covered;
    if (hasUpTo >= covered) return this.#rolledBackTo;
    return Math.min(hasUpTo, this.#rolledBackTo ?? hasUpTo);
  }
}

/** @param loss what is missing here of what a peer has. @returns undefined: nothing is */
export function sharedUpTo({ lostFrom, lostTo }: Loss): LogPosition | undefined {
  return lostTo === 0 ? undefined : Math.max(0, lostFrom - 1);
}
