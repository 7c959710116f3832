/**
 * Which of two things that a topic is to retain stands. A removal is a version like any other: a tombstone.
 *
 * A tombstone goes when every member has it (see TombstoneKeeper). Then the topic begins anew; so that what is published next is not
 * taken for older than a tombstone which somebody else still has, no counter begins below the highest one that was ever forgotten:
 * the floor. It is told to others with each comparison.
 */
import { compareVersions, nextRetainedCounter, type RetainedVersion } from '../../lib/contracts/streams.js';

export type MergeVerdict = 'wins' | 'loses' | 'same';

export class RetainedMerge {
  #floor: number;

  /** @param floor as it was before a restart */
  constructor(floor = 0) {
    this.#floor = floor;
  }

  /** To be kept over a restart. Only rises. */
  get floor(): number {
    return this.#floor;
  }

  /** Another gateway forgot versions up to here. @param counter at most RETAINED_COUNTER_MAX */
  raiseFloor(counter: number): void {
    if (counter > this.#floor) this.#floor = counter;
  }

  /** The topic retains nothing any more, and there is no tombstone: that went, or the message expired. */
  forgot(version: RetainedVersion): void {
    this.raiseFloor(version.counter);
  }

  /**
   * @param known what the topic has, message or tombstone
   * @returns `loses` also for a tombstone without anything to remove that may have been here before: it would go round for ever
   */
  judge(known: RetainedVersion | undefined, arriving: RetainedVersion, isTombstone: boolean): MergeVerdict {
    if (known === undefined)
      return isTombstone && isNeedless(arriving.counter, this.#floor) ? 'loses' : 'wins';
    const order = compareVersions(arriving, known);
    return order === 0 ? 'same' : order > 0 ? 'wins' : 'loses';
  }

  /** Of what is published or removed here. @param known what the topic has, a tombstone counts */
  nextCounter(known: RetainedVersion | undefined): number {
    return nextRetainedCounter(known?.counter ?? 0, this.#floor);
  }
}

/** Whether a gateway that has nothing under the topic can do without the tombstone: whoever has it waits for all who have something. */
export function isNeedless(tombstoneCounter: number, floor: number): boolean {
  return tombstoneCounter <= floor;
}
