/**
 * Merges the small objects of an archive, and removes what was replaced long enough ago. Several may do so at the same time, beside gateways that
 * archive and beside readers.
 *
 *     manifest, merges ─▶ plan ─▶ objects, read back ─▶ merge record N, created once ─▶ … grace … ─▶ old objects removed
 *
 * Before the record is there nobody reads the new objects; whoever comes second with number N begins again with what the first one left.
 */
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import { TRUSTED_FROM_MS } from '../clock-steps.js';
import { Merges } from '../merges.js';
import type { ArchivedObject } from '../manifest-entry.js';
import type { ObjectStore } from '../object-store.js';
import type { ParquetOptions } from '../parquet-options.js';
import { Catalog, type CatalogUnit } from '../reading/catalog.js';
import { ObjectDamage } from '../reading/checked-object.js';
import type { Spool } from '../spool.js';
import { type MergeLimits, type MergePlan, MergeRuns, planMerges } from './merge-plan.js';
import { mergePile } from './pile-merger.js';
import { type Amount, type Removed, removeReplaced } from './removal.js';

export interface CompactionOptions {
  readonly limits: Omit<MergeLimits, 'isOutdated'>;
  /** Id of the master key that every object is to be encrypted with; undefined: each stays as it is until it is merged. */
  readonly rekeyTo?: string | undefined;
  /** So long after a merge readers may still read what it replaced. */
  readonly graceMs: number;
  /** See RemovalOptions. */
  readonly isAlone: boolean;
  /** Nothing is written or removed. */
  readonly isDry: boolean;
  readonly parquet: Omit<ParquetOptions, 'columns'>;
  /** Who is written down as the one who merged: 1 to 200 characters. */
  readonly by: string;
}

export interface CompactionPorts {
  readonly store: ObjectStore;
  readonly spool: Spool;
  /** Milliseconds since 1970. */
  wallMs(): number;
  /** Sources that were read so far; often. */
  onProgress(progress: { readonly merges: number; readonly bytes: number }): void;
}

export interface CompactedOrigin {
  readonly origin: GatewayId;
  /** That were written; that would be, where nothing is. */
  readonly merges: number;
  /** Entries that these replace. */
  readonly entries: number;
  readonly before: Amount;
  /** What the objects of `before` are now; undefined: nothing was written. */
  readonly after: Amount | undefined;
  /** undefined: others merged at the same time, and nothing was removed. */
  readonly removed: Removed | undefined;
}

/** The clock of this machine cannot be right: when a merge was written decides how long what it replaced stays. */
export class ClockNotSet extends Error {
  constructor(wallMs: number) {
    super(`the clock of this machine says that it is before 2026 (${wallMs} ms after 1970): set it`);
    this.name = 'ClockNotSet';
  }
}

export const COMPACTION_DEFAULTS = {
  minBytes: 16 * 1024 * 1024,
  targetBytes: 128 * 1024 * 1024,
  /** Ten days of quarters of an hour: a merge record stays small, and is written again with what is new so many times at most. */
  entriesMaxCount: 1024,
  graceMs: 24 * 3_600_000,
} as const;

/** No file is being written for as long. */
const PART_MAX_AGE_MS = 24 * 3_600_000;
/** So often it begins again because others were faster. */
const ATTEMPTS_MAX_COUNT = 8;

/** @throws ClockNotSet, ObjectDamage, ManifestFault, MergeFault, ObjectFault; what is written by then is whole */
export async function compactArchive(
  ports: CompactionPorts,
  origins: readonly GatewayId[],
  options: CompactionOptions,
): Promise<readonly CompactedOrigin[]> {
  const { store } = ports;
  const { graceMs, isAlone, isDry } = options;
  if (ports.wallMs() < TRUSTED_FROM_MS) throw new ClockNotSet(ports.wallMs());
  const remove = (): Promise<ReadonlyMap<GatewayId, Removed>> =>
    removeReplaced(store, origins, { graceMs, isAlone, isDry, nowMs: ports.wallMs() });
  // What a merge that died has left may be damaged, and in the way of the next one with the same rows.
  const first = isAlone && !isDry ? await remove() : undefined;
  const compaction = new Compaction(ports, options);
  const merged: Omit<CompactedOrigin, 'removed'>[] = [];
  for (const origin of origins) merged.push(await compaction.origin(origin));
  const then = await remove();
  if (!isDry) await store.removeParts?.(ports.wallMs() - PART_MAX_AGE_MS);
  return merged.map((one) => ({ ...one, removed: together(first?.get(one.origin), then.get(one.origin)) }));
}

function together(first: Removed | undefined, then: Removed | undefined): Removed | undefined {
  if (first === undefined || then === undefined) return then;
  const sum = (a: Amount, b: Amount): Amount => ({
    ...{ objects: a.objects + b.objects, bytes: a.bytes + b.bytes },
  });
  return {
    ...then,
    replaced: sum(first.replaced, then.replaced),
    litter: sum(first.litter, then.litter),
  };
}

interface Sums {
  merges: number;
  entries: number;
  readonly before: { objects: number; bytes: number };
  readonly after: { objects: number; bytes: number };
}

class Compaction {
  readonly #ports: CompactionPorts;
  readonly #options: CompactionOptions;
  readonly #limits: MergeLimits;
  #bytes = 0;
  #merges = 0;

  constructor(ports: CompactionPorts, options: CompactionOptions) {
    this.#ports = ports;
    this.#options = options;
    const { limits, rekeyTo } = options;
    this.#limits =
      rekeyTo === undefined ? limits : { ...limits, isOutdated: ({ keyId }) => keyId !== rekeyTo };
  }

  async origin(origin: GatewayId): Promise<Omit<CompactedOrigin, 'removed'>> {
    const sums: Sums = {
      ...{ merges: 0, entries: 0, before: { objects: 0, bytes: 0 }, after: { objects: 0, bytes: 0 } },
    };
    for (let attempt = 1; attempt <= ATTEMPTS_MAX_COUNT; attempt++) if (await this.#pass(origin, sums)) break;
    const { merges, entries, before, after } = sums;
    return { origin, merges, entries, before, after: this.#options.isDry ? undefined : after };
  }

  /** @returns false: somebody else has merged meanwhile */
  async #pass(origin: GatewayId, sums: Sums): Promise<boolean> {
    const merges = new Merges(this.#ports.store, origin);
    await merges.read();
    for await (const run of this.#runs(origin, merges))
      for (const plan of planMerges(run, this.#limits))
        if (!(await this.#merge(merges, plan, sums))) return false;
    return true;
  }

  async *#runs(origin: GatewayId, merges: Merges): AsyncGenerator<readonly CatalogUnit[]> {
    const runs = new MergeRuns(this.#limits);
    for await (const unit of new Catalog(this.#ports.store).units(origin, merges.standing)) {
      const run = runs.take(unit);
      if (run !== undefined) yield run;
    }
    yield runs.end();
  }

  /** @returns false: see #pass */
  async #merge(merges: Merges, plan: MergePlan, sums: Sums): Promise<boolean> {
    const { first, last, rows, kept } = plan;
    const { isDry, by } = this.#options;
    const sources = plan.piles.flatMap(({ sources: some }) => some);
    const made = isDry ? [] : await this.#objectsOf(merges, plan);
    if (made === 'overtaken') return false;
    if (!isDry) {
      // Some sources may stay: one object of them would have been several.
      if (made.length >= sources.length && !plan.piles.some(({ isOutdated }) => isOutdated)) return true;
      const atMs = Math.max(this.#ports.wallMs(), ...merges.standing.map((merge) => merge.atMs));
      const objects = [...kept, ...made].sort((a, b) => (a.key < b.key ? -1 : 1));
      if (!(await merges.append({ first, last, objects, rows, atMs, by }))) return false;
    }
    this.#merges++;
    sums.merges++;
    sums.entries += last - first + 1;
    add(sums.before, sources);
    add(sums.after, made);
    return true;
  }

  async #objectsOf(merges: Merges, plan: MergePlan): Promise<readonly ArchivedObject[] | 'overtaken'> {
    const { origin, epoch } = plan;
    const { store, spool, onProgress } = this.#ports;
    const { parquet } = this.#options;
    const { number } = merges.tip;
    const onRead = (bytes: number): void => {
      this.#bytes += bytes;
      onProgress({ merges: this.#merges, bytes: this.#bytes });
    };
    const made: ArchivedObject[] = [];
    try {
      for (const pile of plan.piles) {
        const options = { origin, epoch, merge: number + 1, parquet };
        made.push(...((await mergePile({ store, spool, onRead }, pile, options)) ?? pile.sources));
      }
      return made;
    } catch (error) {
      if (!(error instanceof ObjectDamage)) throw error;
      // What is missing may have been removed by somebody who merged it.
      const now = new Merges(store, origin);
      await now.read();
      if (now.tip.number > number) return 'overtaken';
      throw error;
    }
  }
}

function add(sum: { objects: number; bytes: number }, objects: readonly ArchivedObject[]): void {
  sum.objects += objects.length;
  for (const { length } of objects) sum.bytes += length;
}
