/**
 * Whether an archive is complete: what every manifest says follows from itself, and every object that is named is there. With each row read it
 * is a proof; without, it is as good as the store.
 */
import { createHash } from 'node:crypto';
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import { entryKey } from '../manifest.js';
import type { ManifestEntry, PositionRange } from '../manifest-entry.js';
import type { ObjectStore } from '../object-store.js';
import { readPlaces } from './archive-reader.js';
import { Catalog } from './catalog.js';
import { ObjectDamage } from './checked-object.js';
import { checkedEntries } from './manifest-check.js';
import { EVERYTHING } from './object-place.js';
import type { RowPlaces } from './parquet-reader.js';
import { SequenceSet } from './sequence-set.js';

/**
 * `manifest`: an entry or page is not what was written, or missing. `object`: one that is named is missing or was changed. `rows`: an object
 * does not hold what its entry says. `lost`: positions that the log of the origin had lost, as an entry tells; no fault of the archive.
 * `litter`: what no manifest names; no fault.
 */
export type FindingKind = 'manifest' | 'object' | 'rows' | 'lost' | 'litter';

export interface Finding {
  readonly kind: FindingKind;
  readonly isFault: boolean;
  /** Of an object of the store. */
  readonly key: string;
  readonly origin: GatewayId | undefined;
  readonly text: string;
  /** Of `lost`. */
  readonly positions?: PositionRange;
}

export interface CheckedOrigin {
  readonly origin: GatewayId;
  readonly entries: number;
  readonly objects: number;
  readonly rows: number;
  readonly bytes: number;
  /** Positions that were lost before they were archived. */
  readonly lostCount: number;
  readonly upTo: number;
  readonly faultCount: number;
}

export interface CheckPorts {
  onFinding(finding: Finding): void;
  /** What was looked at so far; often. */
  onProgress(progress: CheckProgress): void;
}

export interface CheckProgress {
  readonly objects: number;
  /** Read, or only looked at. */
  readonly bytes: number;
}

export interface CheckOptions {
  readonly isDeep: boolean;
  /** First characters of the ids of origins; none: all, and litter is looked for. */
  readonly origins: readonly string[];
}

/** Requests at the same time. */
const LOOKS_AT_ONCE = 16;
/** So many faults of the rows of one object are told; of more, that there are more. */
const ROW_FAULTS_MAX_COUNT = 10;
const NAME_BYTES = 6;

/** @throws NothingArchived, ObjectFault */
export async function checkArchive(
  store: ObjectStore,
  { isDeep, origins }: CheckOptions,
  ports: CheckPorts,
): Promise<readonly CheckedOrigin[]> {
  const check = new ArchiveCheck(store, isDeep, ports);
  const checked: CheckedOrigin[] = [];
  for (const origin of await new Catalog(store).selectedOrigins({ ...EVERYTHING, origins }))
    checked.push(await check.origin(origin));
  if (origins.length === 0) await check.litter();
  return checked;
}

class ArchiveCheck {
  readonly #store: ObjectStore;
  readonly #isDeep: boolean;
  readonly #ports: CheckPorts;
  /** Hashes of the keys that entries name: some forty bytes for each object. Two keys with the same one hide litter at most. */
  readonly #named = new Set<number>();
  #faultCount = 0;
  #objects = 0;
  #bytes = 0;

  constructor(store: ObjectStore, isDeep: boolean, ports: CheckPorts) {
    this.#store = store;
    this.#isDeep = isDeep;
    this.#ports = ports;
  }

  async origin(origin: GatewayId): Promise<CheckedOrigin> {
    const before = this.#faultCount;
    let [entries, objects, rows, bytes, lostCount, upTo] = [0, 0, 0, 0, 0, 0];
    const found = checkedEntries(this.#store, origin, this.#isDeep, ({ key, text, isFault }) =>
      this.#tell({ kind: isFault ? 'manifest' : 'litter', isFault, key, origin, text }),
    );
    for await (const entry of found) {
      entries++;
      objects += entry.objects.length;
      rows += entry.rows;
      bytes += entry.objects.reduce((sum, { length }) => sum + length, 0);
      lostCount += this.#tellLost(entry);
      upTo = entry.upTo;
      for (const { key } of entry.objects) this.#named.add(numberOf(key));
      await (this.#isDeep ? this.#readEntry(entry) : this.#lookAtEntry(entry));
    }
    return { origin, entries, objects, rows, bytes, lostCount, upTo, faultCount: this.#faultCount - before };
  }

  /** What no entry names, of all origins. */
  async litter(): Promise<void> {
    for await (const { key, length } of this.#store.list('data/'))
      if (!this.#named.has(numberOf(key)))
        this.#tell({
          ...{ kind: 'litter', isFault: false, key, origin: undefined },
          text: `${length} bytes that no manifest names`,
        });
  }

  #tellLost({ origin, number, lost }: ManifestEntry): number {
    let count = 0;
    for (const positions of lost) {
      const [first, last] = positions;
      count += last - first + 1;
      const text = `positions ${first} to ${last} had been lost before they were archived`;
      this.#tell({ kind: 'lost', isFault: false, key: entryKey(origin, number), origin, text, positions });
    }
    return count;
  }

  async #lookAtEntry({ origin, objects }: ManifestEntry): Promise<void> {
    for (let at = 0; at < objects.length; at += LOOKS_AT_ONCE) {
      const some = objects.slice(at, at + LOOKS_AT_ONCE);
      const stats = await Promise.all(some.map(({ key }) => this.#store.stat(key)));
      for (const [i, { key, length }] of some.entries()) {
        const found = stats[i];
        if (found === undefined) this.#tellObject(origin, key, 'is missing');
        else if (found.length !== length)
          this.#tellObject(origin, key, `has ${found.length} bytes, and ${length} were archived`);
        this.#progress(length);
      }
    }
  }

  async #readEntry(entry: ManifestEntry): Promise<void> {
    const rows = new EntryRows(entry);
    for (const object of entry.objects) {
      const { key } = object;
      try {
        let count = 0;
        for await (const places of readPlaces(this.#store, object)) {
          count += places.count;
          rows.add(places);
        }
        if (count !== object.rows) rows.tell(`has ${count} rows, and ${object.rows} were archived`);
      } catch (error) {
        if (!(error instanceof ObjectDamage)) throw error;
        this.#tellObject(entry.origin, key, error.reason);
      }
      for (const text of rows.take())
        this.#tell({ kind: 'rows', isFault: true, key, origin: entry.origin, text });
      this.#progress(object.length);
    }
  }

  #tellObject(origin: GatewayId, key: string, text: string): void {
    this.#tell({ kind: 'object', isFault: true, key, origin, text });
  }

  #tell(finding: Finding): void {
    if (finding.isFault) this.#faultCount++;
    this.#ports.onFinding(finding);
  }

  #progress(bytes: number): void {
    this.#objects++;
    this.#bytes += bytes;
    this.#ports.onProgress({ objects: this.#objects, bytes: this.#bytes });
  }
}

/** What is wrong with the rows of an entry. Across entries no position comes twice: each has positions of its own. */
class EntryRows {
  #faults: string[] = [];
  #moreCount = 0;
  readonly #entry: ManifestEntry;
  readonly #seen = new SequenceSet();

  constructor(entry: ManifestEntry) {
    this.#entry = entry;
  }

  add({ count, sequences, epochs, origin }: RowPlaces): void {
    for (let i = 0; i < count; i++) {
      const fault = this.#faultOf(sequences[i] ?? NaN, epochs[i] ?? NaN, origin(i));
      if (fault !== undefined) this.tell(fault);
    }
  }

  tell(fault: string): void {
    if (this.#faults.length < ROW_FAULTS_MAX_COUNT) this.#faults.push(fault);
    else this.#moreCount++;
  }

  /** What was found since the last time. */
  take(): readonly string[] {
    const told = this.#faults;
    if (this.#moreCount > 0) told.push(`and ${this.#moreCount} more such faults`);
    this.#faults = [];
    this.#moreCount = 0;
    return told;
  }

  #faultOf(sequence: number, epoch: number, rowOrigin: string): string | undefined {
    const { origin, epoch: life, after, upTo } = this.#entry;
    if (rowOrigin !== origin) return `has a row of another gateway: ${rowOrigin}`;
    if (epoch !== life.counter) return `has a row of life ${epoch}, and its entry is of life ${life.counter}`;
    if (!(sequence > after && sequence <= upTo))
      return `has a row of position ${sequence}, and its entry is of (${after}, ${upTo}]`;
    if (!this.#seen.add(sequence)) return `has position ${sequence}, which comes twice in its entry`;
    return undefined;
  }
}

function numberOf(key: string): number {
  return createHash('sha256').update(key).digest().readUIntBE(0, NAME_BYTES);
}
