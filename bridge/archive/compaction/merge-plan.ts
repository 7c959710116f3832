/**
 * Which entries of a manifest are merged, and which of their objects into one: a pure function of what the manifest says. Nothing is read.
 *
 *     entries      1      2      3      4      5
 *     folder A    a1 ─── a2 ─── a3 ────────── a5      one pile: a1 a2 a3 a5
 *     folder B                  B3     b4 ─── b5      B3 is large: it stays; one pile: b4 b5
 *
 * Piles that touch the same entry belong to one merge, since a merge replaces entries as a whole.
 */
import type { Epoch } from '../../../lib/contracts/epoch.js';
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { ArchivedObject } from '../manifest-entry.js';
import { parseObjectKey } from '../object-key.js';
import type { CatalogUnit } from '../reading/catalog.js';

export interface MergeLimits {
  /** A smaller object is merged with others of its folder: bytes. */
  readonly minBytes: number;
  /** What goes into one merged object at most, as long as it is in several: bytes. */
  readonly targetBytes: number;
  /** Entries that one merge replaces at most. */
  readonly entriesMaxCount: number;
  /** Whether an object is to be written once more, however large it is: it is encrypted with an older key. Default: none is. */
  readonly isOutdated?: (object: ArchivedObject) => boolean;
}

/** Objects that become one: of one folder and one format, in order of their positions. At least two, or one that is outdated. */
export interface Pile {
  readonly partition: string;
  readonly sources: readonly ArchivedObject[];
  /** They are written again also where they do not become fewer. */
  readonly isOutdated: boolean;
}

export interface MergePlan {
  readonly origin: GatewayId;
  readonly epoch: Epoch;
  /** Numbers of entries, both included. */
  readonly first: number;
  readonly last: number;
  readonly rows: number;
  readonly piles: readonly Pile[];
  /** Objects that stay as they are. */
  readonly kept: readonly ArchivedObject[];
}

/** Takes units one by one and gives runs of them that one merge may replace: of one life, and not too many entries. */
export class MergeRuns {
  readonly #entriesMaxCount: number;
  #run: CatalogUnit[] = [];

  constructor({ entriesMaxCount }: MergeLimits) {
    this.#entriesMaxCount = entriesMaxCount;
  }

  /** @returns a run that is over */
  take(unit: CatalogUnit): readonly CatalogUnit[] | undefined {
    const run = this.#run;
    const [begin] = run;
    if (
      begin === undefined ||
      (begin.epoch.counter === unit.epoch.counter && unit.last - begin.first < this.#entriesMaxCount)
    ) {
      run.push(unit);
      return undefined;
    }
    this.#run = [unit];
    return run;
  }

  /** @returns what is left */
  end(): readonly CatalogUnit[] {
    return this.#run;
  }
}

interface PlacedPile extends Pile {
  /** Indices of the units that have its first and its last source. */
  readonly from: number;
  readonly to: number;
}

/** @param run consecutive units of one life, see MergeRuns @returns merges in order of their entries; none: nothing is to be won */
export function planMerges(run: readonly CatalogUnit[], limits: MergeLimits): readonly MergePlan[] {
  const plans: MergePlan[] = [];
  let piles: PlacedPile[] = [];
  let [from, to] = [0, -1];
  for (const pile of pilesOf(run, limits)) {
    if (pile.from > to) {
      if (piles.length > 0) plans.push(planOf(run.slice(from, to + 1), piles));
      piles = [];
      ({ from } = pile);
    }
    piles.push(pile);
    to = Math.max(to, pile.to);
  }
  if (piles.length > 0) plans.push(planOf(run.slice(from, to + 1), piles));
  return plans;
}

function planOf(units: readonly CatalogUnit[], piles: readonly PlacedPile[]): MergePlan {
  const [begin, end] = [units.at(0), units.at(-1)];
  if (begin === undefined || end === undefined) throw new Error('a pile has units');
  const piled = new Set(piles.flatMap(({ sources }) => sources));
  return {
    ...{ origin: begin.origin, epoch: begin.epoch, first: begin.first, last: end.last },
    rows: units.reduce((sum, { rows }) => sum + rows, 0),
    piles: piles.map(({ partition, sources, isOutdated }) => ({ partition, sources, isOutdated })),
    kept: units.flatMap(({ objects }) => objects).filter((object) => !piled.has(object)),
  };
}

interface OpenPile {
  readonly partition: string;
  readonly sources: ArchivedObject[];
  readonly from: number;
  to: number;
  bytes: number;
  /** Position of its last row. */
  last: number;
}

/** In order of their first units. */
function pilesOf(run: readonly CatalogUnit[], limits: MergeLimits): PlacedPile[] {
  const { minBytes, targetBytes, isOutdated = () => false } = limits;
  const done: PlacedPile[] = [];
  const open = new Map<string, OpenPile>();
  const close = (key: string): void => {
    const pile = open.get(key);
    open.delete(key);
    if (pile === undefined) return;
    const isDue = pile.sources.some(isOutdated);
    if (isDue || pile.sources.length > 1) done.push({ ...pile, isOutdated: isDue });
  };
  for (const [at, { objects }] of run.entries()) {
    for (const { object, partition, format, first, last } of inOrder(objects)) {
      const key = `${partition}.${format}`;
      const { length } = object;
      const pile = open.get(key);
      const isFit = pile !== undefined && first > pile.last && pile.bytes + length <= targetBytes;
      if (!isFit || length >= minBytes) close(key);
      // What is large ends a pile: the objects of a folder stay in order of their positions.
      if (length >= minBytes) {
        if (isOutdated(object))
          done.push({ partition, sources: [object], isOutdated: true, from: at, to: at });
        continue;
      }
      if (pile === undefined || !isFit)
        open.set(key, { partition, sources: [object], from: at, to: at, bytes: length, last });
      else {
        pile.sources.push(object);
        pile.to = at;
        pile.bytes += length;
        pile.last = last;
      }
    }
  }
  for (const key of [...open.keys()]) close(key);
  return done.sort((a, b) => a.from - b.from);
}

/** Those whose names say where they are, by their positions; others stay as they are. */
function inOrder(objects: readonly ArchivedObject[]) {
  return objects
    .flatMap((object) => {
      const parsed = parseObjectKey(object.key);
      return parsed === undefined ? [] : [{ ...parsed, object }];
    })
    .sort((a, b) => a.first - b.first);
}
