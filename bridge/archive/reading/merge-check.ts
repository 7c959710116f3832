/** The merges of a manifest, read without belief, going on behind a fault; Merges.read ends at the first one. */
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { ManifestEntry } from '../manifest-entry.js';
import {
  decodeMerge,
  MergeFault,
  type MergeRecord,
  mergeSuccessionFault,
  type MergeTip,
  mergeTipOf,
  NO_MERGES,
  withMerge,
} from '../merge-record.js';
import { mergeKey, mergeNumberOf, mergesPrefix } from '../merges.js';
import type { ObjectStore } from '../object-store.js';
import { missingText } from './checked-object.js';
import type { ManifestFinding } from './manifest-check.js';
import type { Stretch } from './stretch-rows.js';

export interface CheckedMerges {
  /** Those that count, in order of their entries. */
  readonly standing: readonly MergeRecord[];
  /** Of objects of earlier merges by key the merge that has replaced them. */
  readonly replaced: ReadonlyMap<string, MergeRecord>;
  /** Number of the last one; 0: there is none. */
  readonly last: number;
}

/** @throws ObjectFault */
export async function checkedMerges(
  store: ObjectStore,
  origin: GatewayId,
  onFinding: (finding: ManifestFinding) => void,
): Promise<CheckedMerges> {
  let standing: readonly MergeRecord[] = [];
  const replaced = new Map<string, MergeRecord>();
  /** undefined: what came before is not known. */
  let tip: MergeTip | undefined = NO_MERGES;
  let last = 0;
  for (const number of await mergeNumbers(store, origin, onFinding)) {
    if (number > last + 1) {
      const key = mergeKey(origin, last + 1);
      const more = number > last + 2 ? `; and all up to merge ${number - 1} are missing, too` : '';
      onFinding({ key, text: (await missingText(store, key)) + more, isFault: true });
      tip = undefined;
    }
    last = number;
    const key = mergeKey(origin, number);
    const fault = (text: string): void => onFinding({ key, text, isFault: true });
    const bytes = await store.read(key);
    if (bytes === undefined) {
      fault('is gone while it is read');
      tip = undefined;
      continue;
    }
    try {
      const merge = decodeMerge(origin, number, bytes);
      const before: MergeTip = tip ?? { number: number - 1, hash: merge.previous };
      tip = mergeTipOf(merge, bytes);
      const text = mergeSuccessionFault(before, standing, merge);
      if (text !== undefined) fault(text);
      // One that overlaps others in part cannot count beside them.
      if (mergeSuccessionFault({ number, hash: merge.previous }, standing, merge) !== undefined) continue;
      for (const { objects, first, last: end } of standing)
        if (merge.first <= first && end <= merge.last)
          for (const { key: old } of objects) replaced.set(old, merge);
      standing = withMerge(standing, merge);
    } catch (error) {
      if (!(error instanceof MergeFault)) throw error;
      fault(error.message);
      tip = undefined;
    }
  }
  return { standing, replaced, last };
}

async function mergeNumbers(
  store: ObjectStore,
  origin: GatewayId,
  onFinding: (finding: ManifestFinding) => void,
): Promise<readonly number[]> {
  const numbers: number[] = [];
  for await (const { key } of store.list(mergesPrefix(origin))) {
    const number = mergeNumberOf(key);
    if (number === undefined) onFinding({ key, text: 'is no merge of a manifest', isFault: false });
    else numbers.push(number);
  }
  return numbers;
}

/** A merge, once all of its entries were read. */
export interface CoveredMerge {
  readonly merge: MergeRecord;
  readonly faults: readonly string[];
  readonly stretch: Stretch;
}

/** Collects what is known of the entries that merges replace. */
export class MergeCovers {
  readonly #merges: readonly MergeRecord[];
  #at = 0;
  #entries: ManifestEntry[] = [];

  constructor(standing: readonly MergeRecord[]) {
    this.#merges = standing;
  }

  /** Merges whose entries are all before this number. */
  before(number: number): readonly CoveredMerge[] {
    const done: CoveredMerge[] = [];
    for (
      let merge = this.#merges[this.#at];
      merge !== undefined && merge.last < number;
      merge = this.#merges[++this.#at]
    ) {
      done.push(coveredOf(merge, this.#entries));
      this.#entries = [];
    }
    return done;
  }

  /** @returns the merge that replaces the entry; undefined: none does */
  take(entry: ManifestEntry): MergeRecord | undefined {
    const merge = this.#merges[this.#at];
    if (merge === undefined || entry.number < merge.first) return undefined;
    this.#entries.push(entry);
    return merge;
  }
}

function coveredOf(merge: MergeRecord, entries: readonly ManifestEntry[]): CoveredMerge {
  const { origin, number, first, last, rows, objects } = merge;
  const [begin, end] = [entries.at(0), entries.at(-1)];
  const count = last - first + 1;
  const sum = entries.reduce((total, entry) => total + entry.rows, 0);
  const faults: string[] = [];
  if (entries.length < count)
    faults.push(`replaces entries ${first} to ${last}, and ${count - entries.length} of them cannot be read`);
  else if (sum !== rows) faults.push(`has ${rows} rows, and the entries that it replaces have ${sum}`);
  const other = entries.find(({ epoch }) => epoch.counter !== begin?.epoch.counter);
  if (other !== undefined) faults.push(`replaces entries of two lives: see entry ${other.number}`);
  const stretch = {
    ...{ origin, objects, what: `merge ${number}`, epoch: begin?.epoch ?? { counter: 0, nonce: '' } },
    // Where the first or the last entry is not known, nobody knows where it begins or ends.
    after: begin?.number === first ? begin.after : -1,
    upTo: end?.number === last ? end.upTo : Infinity,
  };
  return { merge, faults, stretch };
}
