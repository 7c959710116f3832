/**
 * What an archive has, as its manifests and their merges say: nothing else is looked at, and no object is opened. Everything is told as it is read; an
 * archive may have hundreds of thousands of entries.
 */
import type { Epoch } from '../../../lib/contracts/epoch.js';
import { type GatewayId, parseGatewayId } from '../../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../../lib/contracts/store.js';
import { entryKey, Manifest } from '../manifest.js';
import type { MergeRecord } from '../merge-record.js';
import { Merges } from '../merges.js';
import { type ArchivedObject, type ManifestEntry, ManifestFault } from '../manifest-entry.js';
import type { ObjectStore } from '../object-store.js';
import { CoveredEntries } from './covered-entries.js';
import { overlapping } from './object-range.js';
import { EVERYTHING, mayHold, type ObjectPlace, parsePlace, type Selection } from './object-place.js';

/** An object that is to be read, and what is known of the rows in it. */
export interface CatalogObject {
  readonly origin: GatewayId;
  readonly epoch: Epoch;
  /** Number of the manifest entry that names it; of a merge, of the first one that it replaces. */
  readonly entry: number;
  /** The same one, or the last one that the merge replaces. */
  readonly lastEntry: number;
  /** All rows are behind this position, */
  readonly after: LogPosition;
  /** and up to this one. */
  readonly upTo: LogPosition;
  readonly object: ArchivedObject;
  readonly place: ObjectPlace;
}

/** An entry, or entries that a merge replaces. */
export interface CatalogUnit {
  readonly origin: GatewayId;
  readonly epoch: Epoch;
  /** Numbers of entries, both included. */
  readonly first: number;
  readonly last: number;
  readonly after: LogPosition;
  readonly upTo: LogPosition;
  readonly rows: number;
  readonly objects: readonly ArchivedObject[];
  /** undefined: it is an entry. */
  readonly merge: MergeRecord | undefined;
}

/** Objects whose rows are in order only all together: those of one entry, or of a merge those whose positions overlap. */
export interface CatalogGroup {
  readonly origin: GatewayId;
  readonly objects: readonly CatalogObject[];
}

/** An archive has nothing of what was asked for. */
export class NothingArchived extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NothingArchived';
  }
}

/** Not what somebody has copied to a folder below. */
const ENTRY = /\/entries\/\d{12}\.json$/;

export class Catalog {
  readonly store: ObjectStore;

  constructor(store: ObjectStore) {
    this.store = store;
  }

  /** Whose manifests there are, in the order of their ids. @param prefix first characters of the id @throws ObjectFault */
  async *origins(prefix = ''): AsyncGenerator<GatewayId> {
    let after = '';
    for (;;) {
      const key = await this.#firstKey(`manifest/${prefix}`, after);
      if (key === undefined) return;
      const name = key.split('/')[1] ?? '';
      const origin = parseGatewayId(name);
      if (origin !== undefined) yield origin;
      // Behind everything below its folder: `0` comes next to `/`.
      after = `manifest/${name}0`;
    }
  }

  /**
   * The entries of an origin, in order.
   * @throws ObjectFault; ManifestFault where one is not what was written, or is missing before others
   */
  async *entries(origin: GatewayId): AsyncGenerator<ManifestEntry> {
    const manifest = new Manifest(this.store, origin);
    yield* manifest.read();
    const { number } = manifest.tip;
    const next = entryKey(origin, number + 1);
    const beyond = await this.#firstKey(entriesPrefix(origin), next, ENTRY);
    // One that was written while the last ones were read is not missing.
    if (beyond !== undefined && (await this.store.stat(next)) === undefined)
      throw new ManifestFault(origin, number + 1, 'is missing, and there are entries behind it');
  }

  /**
   * Entries, and in the place of those that were merged the merge.
   * @param merges as they were read, before this is called; default: they are read
   * @param onEntry hears of each entry, also of those that were merged
   * @throws see entries; MergeFault where a merge is not what was written, or does not fit what it replaces
   */
  async *units(
    origin: GatewayId,
    merges?: readonly MergeRecord[],
    onEntry: (entry: ManifestEntry) => void = () => undefined,
  ): AsyncGenerator<CatalogUnit> {
    const standing = merges ?? (await this.#standing(origin));
    const covered = new CoveredEntries(standing);
    for await (const entry of this.entries(origin)) {
      onEntry(entry);
      const unit = covered.take(entry);
      if (unit !== undefined) yield unit;
    }
    covered.end();
  }

  /**
   * The objects to read, entry by entry and merge by merge; those without any are left out.
   * @throws NothingArchived where no origin is meant; see units
   */
  async *groups(selection: Selection = EVERYTHING): AsyncGenerator<CatalogGroup> {
    for await (const origin of this.#selected(selection)) yield* this.groupsOf(origin, selection);
  }

  /** @throws see units */
  async *groupsOf(origin: GatewayId, selection: Selection = EVERYTHING): AsyncGenerator<CatalogGroup> {
    for await (const unit of this.units(origin)) {
      const objects = objectsOf(unit).filter(({ place }) => mayHold(place, selection));
      const groups = unit.merge === undefined ? [objects] : overlapping(objects);
      for (const group of groups) if (group.length > 0) yield { origin, objects: group };
    }
  }

  /** The same one by one. @throws see groups */
  async *objects(selection: Selection = EVERYTHING): AsyncGenerator<CatalogObject> {
    for await (const { objects } of this.groups(selection)) yield* objects;
  }

  /** @throws NothingArchived, ObjectFault */
  async selectedOrigins(selection: Selection): Promise<readonly GatewayId[]> {
    const found: GatewayId[] = [];
    for await (const origin of this.#selected(selection)) found.push(origin);
    return found;
  }

  async #standing(origin: GatewayId): Promise<readonly MergeRecord[]> {
    const merges = new Merges(this.store, origin);
    await merges.read();
    return merges.standing;
  }

  async *#selected({ origins }: Selection): AsyncGenerator<GatewayId> {
    const prefixes = origins.length === 0 ? [''] : origins;
    const seen = new Set<GatewayId>();
    for (const prefix of prefixes) {
      let isThere = false;
      for await (const origin of this.origins(prefix)) {
        isThere = true;
        if (!seen.has(origin)) yield origin;
        seen.add(origin);
      }
      if (isThere) continue;
      throw new NothingArchived(
        prefix === ''
          ? `there is no archive in ${this.store.name}`
          : `no gateway whose id begins with ${prefix} has archived anything in ${this.store.name}`,
      );
    }
  }

  async #firstKey(prefix: string, after: string, like?: RegExp): Promise<string | undefined> {
    for await (const { key } of this.store.list(prefix, after)) if (like?.test(key) !== false) return key;
    return undefined;
  }
}

export function entriesPrefix(origin: GatewayId): string {
  return `manifest/${origin}/entries/`;
}

export function objectsOf({
  origin,
  epoch,
  first,
  last,
  after,
  upTo,
  objects,
}: CatalogUnit): CatalogObject[] {
  return objects.map((object) => ({
    ...{ origin, epoch, entry: first, lastEntry: last, after, upTo, object },
    place: parsePlace(object.key),
  }));
}
