/**
 * Removes what nobody reads any more. Each object of the store is one of these:
 *
 *     read            stays. One that is missing or has another length ends everything: nothing is removed of what is not complete
 *     replaced        by a merge: goes when the merge is older than the grace, and what has its rows now was read and is what was written
 *     of a merge      that was not written: goes when the number that it was made for is taken, for no merge can name it then; else somebody
 *                     may be about to
 *     of an entry     that was not written: goes when the manifest has come as far, for no entry can name it then
 *     anything else   stays
 */
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { MergeRecord } from '../merge-record.js';
import { originStart, parseObjectKey, type ParsedKey } from '../object-key.js';
import { keyFault, type ObjectStat, type ObjectStore } from '../object-store.js';
import { ObjectDamage, openChecked } from '../reading/checked-object.js';
import { type LiveObject, MergeHistory } from './merge-history.js';

export interface RemovalOptions {
  /** So long after a merge readers may still read what it replaced. */
  readonly graceMs: number;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Nobody else is merging: what was made for a merge to come is litter, too. */
  readonly isAlone: boolean;
  /** Nothing is removed. */
  readonly isDry: boolean;
}

export interface Amount {
  readonly objects: number;
  readonly bytes: number;
}

export interface Removed {
  readonly replaced: Amount;
  readonly litter: Amount;
  /** Replaced, and younger than the grace. */
  readonly waiting: Amount;
  /** When the last of it may go, milliseconds since 1970; undefined: nothing waits. */
  readonly waitsUntilMs: number | undefined;
  /** Made for a merge to come, or left by one that died. */
  readonly underWay: Amount;
}

/** @returns by origin; without those whose merges went on meanwhile @throws ObjectDamage, ManifestFault, MergeFault, ObjectFault */
export async function removeReplaced(
  store: ObjectStore,
  origins: readonly GatewayId[],
  options: RemovalOptions,
): Promise<ReadonlyMap<GatewayId, Removed>> {
  const removals: OriginRemoval[] = [];
  for (const origin of origins)
    removals.push(new OriginRemoval(store, await MergeHistory.read(store, origin), options));
  const byStart = new Map<string, OriginRemoval>();
  const starts = removals.map(({ start }) => start);
  for (const one of removals)
    // Of two whose names begin alike nobody knows whose an object is.
    if (starts.indexOf(one.start) === starts.lastIndexOf(one.start)) byStart.set(one.start, one);
  for await (const stat of store.list('data/')) {
    // What cannot be a key is of somebody else, as the copy of a folder, whatever its last name says.
    const parsed = keyFault(stat.key) === undefined ? parseObjectKey(stat.key) : undefined;
    if (parsed !== undefined) byStart.get(parsed.originStart)?.look(stat, parsed);
  }
  const removed = new Map<GatewayId, Removed>();
  const complete: OriginRemoval[] = [];
  for (const one of byStart.values()) if (await one.isComplete()) complete.push(one);
  for (const one of complete) removed.set(one.origin, await one.remove());
  return removed;
}

class Sum implements Amount {
  objects = 0;
  bytes = 0;

  add({ length }: ObjectStat): void {
    this.objects++;
    this.bytes += length;
  }
}

interface Candidate {
  readonly stat: ObjectStat;
  readonly parsed: ParsedKey;
  readonly by: MergeRecord;
}

class OriginRemoval {
  readonly start: string;
  readonly #store: ObjectStore;
  readonly #history: MergeHistory;
  readonly #options: RemovalOptions;
  readonly #missing: Set<string>;
  #damage: ObjectDamage | undefined;
  readonly #candidates: Candidate[] = [];
  readonly #litter: ObjectStat[] = [];
  readonly #waiting = new Sum();
  readonly #underWay = new Sum();
  readonly #proven = new Set<string>();
  #waitsUntilMs: number | undefined;
  #byPartition: Map<string, LiveObject[]> | undefined;

  constructor(store: ObjectStore, history: MergeHistory, options: RemovalOptions) {
    this.#store = store;
    this.#history = history;
    this.#options = options;
    this.start = originStart(history.origin);
    this.#missing = new Set(history.live.keys());
  }

  get origin(): GatewayId {
    return this.#history.origin;
  }

  look(stat: ObjectStat, parsed: ParsedKey): void {
    const { key, length } = stat;
    const live = this.#history.live.get(key);
    if (live !== undefined) {
      this.#missing.delete(key);
      if (live.object.length !== length)
        this.#damage ??= new ObjectDamage(
          key,
          `has ${length} bytes, and ${live.object.length} were archived: nothing is removed`,
        );
      return;
    }
    const by = this.#history.replacedBy(key);
    if (by !== undefined) this.#lookAtReplaced({ stat, parsed, by });
    else if (parsed.merge === undefined) {
      if (this.#isBehind(parsed)) this.#litter.push(stat);
    } else if (parsed.merge <= this.#history.merges.tip.number || this.#options.isAlone)
      this.#litter.push(stat);
    else this.#underWay.add(stat);
  }

  /** @returns false: somebody has merged meanwhile, and what is known is old @throws ObjectDamage where an object is not there */
  async isComplete(): Promise<boolean> {
    // Objects with names of others' making are in no list of this origin.
    for (const key of this.#missing) {
      const object = this.#history.live.get(key)?.object;
      const found = await this.#store.stat(key);
      if (found !== undefined && found.length === object?.length) continue;
      this.#damage ??= new ObjectDamage(
        key,
        `is missing, or has another length, in ${this.#store.name}: nothing is removed`,
      );
      break;
    }
    if (this.#damage === undefined) return true;
    const { merges } = this.#history;
    const { number } = merges.tip;
    await merges.read();
    if (merges.tip.number === number) throw this.#damage;
    return false;
  }

  async remove(): Promise<Removed> {
    const [replaced, litter] = [new Sum(), new Sum()];
    for (const { stat, parsed, by } of this.#candidates) {
      if (!this.#options.isDry) {
        await this.#prove(parsed, stat.key, by);
        await this.#store.remove(stat.key);
      }
      replaced.add(stat);
    }
    for (const stat of this.#litter) {
      if (!this.#options.isDry) await this.#store.remove(stat.key);
      litter.add(stat);
    }
    const [waiting, underWay] = [this.#waiting, this.#underWay];
    return { replaced, litter, waiting, waitsUntilMs: this.#waitsUntilMs, underWay };
  }

  #lookAtReplaced(candidate: Candidate): void {
    const untilMs = candidate.by.atMs + this.#options.graceMs;
    if (this.#options.nowMs >= untilMs) {
      this.#candidates.push(candidate);
      return;
    }
    this.#waiting.add(candidate.stat);
    this.#waitsUntilMs = Math.max(this.#waitsUntilMs ?? 0, untilMs);
  }

  /** An uploader names only what is behind the tip of the manifest. */
  #isBehind({ epoch, last }: ParsedKey): boolean {
    const { epoch: life, upTo } = this.#history.tip;
    return life !== undefined && (epoch < life.counter || (epoch === life.counter && last <= upTo));
  }

  /** Reads what has the rows of a replaced object now: those of its folder, of the same entries. @throws ObjectDamage */
  async #prove({ partition, first, last }: ParsedKey, key: string, by: MergeRecord): Promise<void> {
    let isFound = false;
    for (const live of this.#liveIn(partition)) {
      if (live.first > by.first || live.last < by.last) continue;
      const place = parseObjectKey(live.object.key);
      if (place !== undefined && (place.first > last || place.last < first)) continue;
      isFound = true;
      if (this.#proven.has(live.object.key)) continue;
      await openChecked(this.#store, live.object);
      this.#proven.add(live.object.key);
    }
    if (!isFound)
      throw new ObjectDamage(key, `was replaced by merge ${by.number}, and nothing has its rows: it stays`);
  }

  #liveIn(partition: string): readonly LiveObject[] {
    if (this.#byPartition === undefined) {
      this.#byPartition = new Map();
      for (const live of this.#history.live.values()) {
        const { partition: own = '' } = parseObjectKey(live.object.key) ?? {};
        const others = this.#byPartition.get(own);
        if (others === undefined) this.#byPartition.set(own, [live]);
        else others.push(live);
      }
    }
    return this.#byPartition.get(partition) ?? [];
  }
}
