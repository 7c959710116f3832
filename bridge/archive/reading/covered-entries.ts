/** Puts merges in the place of the entries that they replace, and finds those that do not fit. */
import { type ManifestEntry } from '../manifest-entry.js';
import { MergeFault, type MergeRecord } from '../merge-record.js';
import type { CatalogUnit } from './catalog.js';

export class CoveredEntries {
  readonly #merges: readonly MergeRecord[];
  #at = 0;
  /** The first entry of the merge that is under way. */
  #begin: ManifestEntry | undefined;
  #rows = 0;
  #lastNumber = 0;

  /** @param merges those that count, in order of their entries */
  constructor(merges: readonly MergeRecord[]) {
    this.#merges = merges;
  }

  /** @param entry the next one @returns what is to be read, once all of it is known @throws MergeFault */
  take(entry: ManifestEntry): CatalogUnit | undefined {
    this.#lastNumber = entry.number;
    const merge = this.#merges[this.#at];
    if (merge === undefined || entry.number < merge.first) return unitOf(entry);
    this.#begin ??= entry;
    const begin = this.#begin;
    this.#rows += entry.rows;
    const { origin, number, first, last, rows, objects } = merge;
    if (entry.epoch.counter !== begin.epoch.counter)
      throw new MergeFault(origin, number, `replaces entries of two lives: see entry ${entry.number}`);
    if (entry.number < last) return undefined;
    if (rows !== this.#rows)
      throw new MergeFault(origin, number, `has ${rows} rows, and the entries have ${this.#rows}`);
    this.#at++;
    this.#begin = undefined;
    this.#rows = 0;
    const { epoch, after } = begin;
    return { origin, epoch, first, last, after, upTo: entry.upTo, rows, objects, merge };
  }

  /** No entry comes any more. @throws MergeFault */
  end(): void {
    const merge = this.#merges[this.#at];
    if (merge === undefined) return;
    throw new MergeFault(
      merge.origin,
      merge.number,
      `replaces entries up to ${merge.last}, and the manifest ends at ${this.#lastNumber}`,
    );
  }
}

export function unitOf({ origin, epoch, number, after, upTo, rows, objects }: ManifestEntry): CatalogUnit {
  return { origin, epoch, first: number, last: number, after, upTo, rows, objects, merge: undefined };
}
