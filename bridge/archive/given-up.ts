/** Positions of the log that were given up before they were archived: they are told as lost in the entry that comes to them. */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { PositionRange } from './manifest-entry.js';

export class GivenUp {
  readonly #save: (ranges: readonly PositionRange[]) => void;
  #ranges: readonly PositionRange[];

  /** @param ranges that are not told yet @param save is told each time that they change */
  constructor(ranges: readonly PositionRange[], save: (ranges: readonly PositionRange[]) => void) {
    this.#ranges = ranges;
    this.#save = save;
  }

  /** That are not told yet. */
  get ranges(): readonly PositionRange[] {
    return this.#ranges;
  }

  /** As they were once. */
  restore(ranges: readonly PositionRange[]): void {
    this.#set(ranges);
  }

  add(from: LogPosition, to: LogPosition): void {
    this.#set([...this.#ranges, [from, to]]);
  }

  /** Everything before a position that is not archived by now. */
  addAllBefore(position: LogPosition): void {
    if (position > 1) this.#set([[1, position - 1]]);
  }

  /** Everything up to here is archived, or told. */
  told(upTo: LogPosition): void {
    const untold = this.#ranges.filter(([, to]) => to > upTo);
    if (untold.length < this.#ranges.length) this.#set(untold);
  }

  /** What of it is behind `after` and up to `upTo`. */
  between(after: LogPosition, upTo: LogPosition): PositionRange[] {
    return this.#ranges
      .map(([from, to]): PositionRange => [Math.max(from, after + 1), Math.min(to, upTo)])
      .filter(([from, to]) => from <= to);
  }

  #set(ranges: readonly PositionRange[]): void {
    this.#ranges = ranges;
    this.#save(ranges);
  }
}
