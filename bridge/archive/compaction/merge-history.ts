/** Which objects of a manifest are read, and which ones a merge has replaced, and when. */
import { createHash } from 'node:crypto';
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { ArchivedObject, ManifestEntry, ManifestTip } from '../manifest-entry.js';
import { EMPTY_TIP } from '../manifest-entry.js';
import type { MergeRecord } from '../merge-record.js';
import { Merges } from '../merges.js';
import type { ObjectStore } from '../object-store.js';
import { Catalog } from '../reading/catalog.js';

/** What is known of an object that is read. */
export interface LiveObject {
  readonly object: ArchivedObject;
  /** Of the entry that names it, or of the first one of the merge that does. */
  readonly first: number;
  readonly last: number;
}

/** Of the name of a replaced object enough to know it again: of all that were ever replaced, names take much room. */
const NAME_CHARACTERS = 16;

export class MergeHistory {
  /** By key. */
  readonly live = new Map<string, LiveObject>();
  readonly origin: GatewayId;
  readonly merges: Merges;
  #tip: Pick<ManifestTip, 'epoch' | 'upTo'> = EMPTY_TIP;
  /** In order of their numbers, which are their indices and one. */
  readonly #records: MergeRecord[] = [];
  readonly #keysOf = new Map<number, ReadonlySet<string>>();
  readonly #replaced = new Map<string, MergeRecord>();

  private constructor(store: ObjectStore, origin: GatewayId) {
    this.origin = origin;
    this.merges = new Merges(store, origin, (record) => this.#records.push(record));
  }

  /** @throws see Catalog.units */
  static async read(store: ObjectStore, origin: GatewayId): Promise<MergeHistory> {
    const history = new MergeHistory(store, origin);
    await history.#read(store);
    return history;
  }

  /** As far as the manifest goes. */
  get tip(): Pick<ManifestTip, 'epoch' | 'upTo'> {
    return this.#tip;
  }

  /** The merge since which nobody reads an object; undefined: none has replaced it. */
  replacedBy(key: string): MergeRecord | undefined {
    return this.live.has(key) ? undefined : this.#replaced.get(nameOf(key));
  }

  async #read(store: ObjectStore): Promise<void> {
    await this.merges.read();
    const { standing } = this.merges;
    for (const record of this.#records) this.#keysOf.set(record.number, keysIn(record.objects));
    for (const record of this.#records)
      this.#leave(
        record.objects,
        this.#records.slice(record.number).find((later) => covers(later, record)),
      );
    let at = 0;
    let family: readonly MergeRecord[] | undefined;
    const onEntry = (entry: ManifestEntry): void => {
      this.#tip = entry;
      for (let merge = standing[at]; merge !== undefined && merge.last < entry.number; merge = standing[++at])
        family = undefined;
      const merge = standing[at];
      if (merge === undefined || entry.number < merge.first) return;
      family ??= this.#records.filter((record) => covers(merge, record));
      this.#leave(
        entry.objects,
        family.find(({ first, last }) => first <= entry.number && entry.number <= last),
      );
    };
    for await (const { first, last, objects } of new Catalog(store).units(this.origin, standing, onEntry))
      for (const object of objects) this.live.set(object.key, { object, first, last });
  }

  /** What the merge that came next does not name again was replaced by it. */
  #leave(objects: readonly ArchivedObject[], next: MergeRecord | undefined): void {
    if (next === undefined) return;
    const named = this.#keysOf.get(next.number);
    for (const { key } of objects) {
      const name = nameOf(key);
      if (named?.has(name) !== true) this.#replaced.set(name, next);
    }
  }
}

function covers(outer: MergeRecord, inner: MergeRecord): boolean {
  return outer.first <= inner.first && inner.last <= outer.last;
}

const keysIn = (objects: readonly ArchivedObject[]): ReadonlySet<string> =>
  new Set(objects.map(({ key }) => nameOf(key)));

function nameOf(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, NAME_CHARACTERS);
}
