/**
 * Positions of this gateway's log that only say how much of other logs is here, or are of the archive alone. They are covered with whatever comes next: were others
 * told of each, they would write that down, and tell of it in turn, and an idle mesh would never come to rest.
 */
import type { LogPosition } from '../../lib/contracts/store.js';

export class Bookkeeping {
  #positions: LogPosition[] = [];
  #committed: LogPosition = 0;
  #worthUpTo: LogPosition = 0;
  #passedCount = 0;

  /** Behind it the log has nothing else: up to here others are told of it before long, and wait for no more. */
  get worthUpTo(): LogPosition {
    return this.#worthUpTo;
  }

  /** There is no link: each begins with all that is there. */
  begin(committed: LogPosition, passedCount: number): void {
    this.#committed = committed;
    this.#passedCount = passedCount;
    this.#worthUpTo = committed;
  }

  recorded(position: LogPosition): LogPosition {
    if (position > 0) this.#positions.push(position);
    return position;
  }

  /**
   * The log is committed up to here. @param passedCount how many of all positions are of the archive alone
   * @returns whether with anything else since the last time
   */
  committed(position: LogPosition, passedCount: number): boolean {
    let count = 0;
    for (let at = this.#positions[0]; at !== undefined && at <= position; at = this.#positions[count])
      count++;
    this.#positions.splice(0, count);
    const isMore = position - this.#committed > count + passedCount - this.#passedCount;
    this.#passedCount = passedCount;
    this.#committed = position;
    if (isMore) this.#worthUpTo = position;
    return isMore;
  }
}
