import type { DropEvent } from '../event.js';
import { matches, parseFilter, type ParsedFilter } from '../topic-match.js';

interface Entry {
  readonly atMs: number;
  readonly cid: string | undefined;
  readonly filter: ParsedFilter | undefined;
  left: number;
}

/** Drops that the broker has owned up to: each excuses one message that somebody did not get. */
export class DropLedger {
  readonly #entries: Entry[] = [];

  add({ cid, f, n }: DropEvent, atMs: number): void {
    if (n <= 0) return;
    const filter = f === undefined ? undefined : parseFilter(f);
    this.#entries.push({ atMs, cid, filter, left: n });
    // Those that say for whom are used up first: the others are left for those whom nobody named.
    this.#entries.sort((a, b) => weightOf(b) - weightOf(a) || a.atMs - b.atMs);
  }

  /** How many messages for the client are left to be excused. */
  leftFor(cid: string): number {
    return this.#entries.reduce(
      (sum, one) => sum + (one.cid === undefined || one.cid === cid ? one.left : 0),
      0,
    );
  }

  /** @param sentAtMs of the message: it cannot have been dropped before. */
  excuse(cid: string, topic: string, sentAtMs: number): boolean {
    const index = this.#entries.findIndex(
      (one) =>
        one.atMs > sentAtMs &&
        (one.cid === undefined || one.cid === cid) &&
        (one.filter === undefined || matches(one.filter, topic)),
    );
    const entry = this.#entries[index];
    if (entry === undefined) return false;
    if (--entry.left === 0) this.#entries.splice(index, 1);
    return true;
  }
}

const weightOf = ({ cid, filter }: Entry): number =>
  (cid === undefined ? 0 : 2) + (filter === undefined ? 0 : 1);
