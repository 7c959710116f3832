/**
 * Whether an archive is complete: what every manifest says follows from itself, and every object that is named is there. With each row read it
 * is a proof; without, it is as good as the store.
 */
import { createHash } from 'node:crypto';
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import { findKey } from '../encryption/object-keys.js';
import { entryKey } from '../manifest.js';
import type { ArchivedObject, ManifestEntry, PositionRange } from '../manifest-entry.js';
import type { MergeRecord } from '../merge-record.js';
import { mergeKey } from '../merges.js';
import { originStart, parseObjectKey } from '../object-key.js';
import type { ObjectStore } from '../object-store.js';
import type { ProofKind } from '../proof/finding-runs.js';
import { readPlaces } from './archive-reader.js';
import { Catalog } from './catalog.js';
import { missingText, ObjectDamage, openChecked } from './checked-object.js';
import { checkedEntries, type ManifestFinding } from './manifest-check.js';
import { type CoveredMerge, checkedMerges, MergeCovers } from './merge-check.js';
import { EVERYTHING } from './object-place.js';
import { type Stretch, StretchRows } from './stretch-rows.js';

/**
 * `manifest`: an entry or page is not what was written, or missing. `object`: one that is named is missing or was changed. `rows`: an object
 * does not hold what its entry says. `lost`: positions that the log of the origin had lost, as an entry tells; no fault of the archive.
 * `litter`: what no manifest names; no fault. `replaced`: what a merge has replaced, and is still there; no fault. `locked`: objects whose rows
 * were not looked at, since their key was not given; no fault. `log`: what a log says of the archive, no fault; what it says otherwise than the
 * archive is of a ProofKind.
 */
export type FindingKind =
  'manifest' | 'object' | 'rows' | 'lost' | 'litter' | 'replaced' | 'locked' | 'log' | ProofKind;

export interface Finding {
  readonly kind: FindingKind;
  readonly isFault: boolean;
  /** Of an object of the store. */
  readonly key: string;
  readonly origin: GatewayId | undefined;
  readonly text: string;
  /** Of `lost`, and of what a log says. */
  readonly positions?: PositionRange;
  /** Of a ProofKind: how many of the positions are concerned, of which life they are, and some of their topics. */
  readonly proof?: { readonly count: number; readonly epoch: number; readonly topics: readonly string[] };
}

export interface CheckedOrigin {
  readonly origin: GatewayId;
  readonly entries: number;
  readonly objects: number;
  readonly rows: number;
  readonly bytes: number;
  /** Positions that were lost before they were archived. */
  readonly lostCount: number;
  /** Objects whose rows were not looked at: see `locked`. */
  readonly lockedCount: number;
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
  /** Hashes of the keys that entries and merges name: some forty bytes for each object. Two keys with the same one hide litter at most. */
  readonly #named = new Set<number>();
  /** Of objects that a merge replaced, by the same hashes. */
  readonly #replaced = new Map<number, MergeRecord>();
  /** Number of the last merge, by the beginning of the origin. */
  readonly #mergeTips = new Map<string, number>();
  /** Of the origin that is checked, by id of the key that was not given. */
  readonly #locked = new Map<string, { readonly first: string; count: number }>();
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
    const tell = ({ key, text, isFault }: ManifestFinding): void =>
      this.#tell({ kind: isFault ? 'manifest' : 'litter', isFault, key, origin, text });
    // Before the entries: what they replace is there by then.
    const { standing, replaced, last } = await checkedMerges(this.#store, origin, tell);
    this.#mergeTips.set(originStart(origin), last);
    for (const [key, merge] of replaced) this.#replaced.set(numberOf(key), merge);
    const covers = new MergeCovers(standing);
    const look = async (stretch: Stretch): Promise<void> => {
      objects += stretch.objects.length;
      bytes += stretch.objects.reduce((sum, { length }) => sum + length, 0);
      for (const { key } of stretch.objects) this.#named.add(numberOf(key));
      await (this.#isDeep ? this.#readStretch(stretch) : this.#lookAtStretch(stretch));
    };
    const lookAtMerges = async (covered: readonly CoveredMerge[]): Promise<void> => {
      for (const { merge, faults, stretch } of covered) {
        const key = mergeKey(origin, merge.number);
        for (const text of faults) tell({ key, text, isFault: true });
        await look(stretch);
      }
    };
    for await (const entry of checkedEntries(this.#store, origin, this.#isDeep, tell)) {
      entries++;
      rows += entry.rows;
      lostCount += this.#tellLost(entry);
      upTo = entry.upTo;
      await lookAtMerges(covers.before(entry.number));
      const merge = covers.take(entry);
      if (merge === undefined) await look({ ...entry, what: 'entry' });
      else for (const { key } of entry.objects) this.#replaced.set(numberOf(key), merge);
    }
    await lookAtMerges(covers.before(Infinity));
    const lockedCount = this.#tellLocked(origin);
    const faultCount = this.#faultCount - before;
    return { origin, entries, objects, rows, bytes, lostCount, lockedCount, upTo, faultCount };
  }

  /** What nothing names, of all origins, and what is named only by what a merge replaced. */
  async litter(): Promise<void> {
    for await (const { key, length } of this.#store.list('data/')) {
      const number = numberOf(key);
      if (this.#named.has(number)) continue;
      const merge = this.#replaced.get(number);
      if (merge === undefined) {
        const what = this.#isUnderWay(key) ? 'a merge was to name, or will' : 'no manifest names';
        this.#tell({
          ...{ kind: 'litter', isFault: false, key, origin: undefined },
          text: `${length} bytes that ${what}`,
        });
      } else
        this.#tell({
          ...{ kind: 'replaced', isFault: false, key, origin: merge.origin },
          text: `${length} bytes that merge ${merge.number} of ${timeText(merge.atMs)} replaced: "archive compact" removes them when its --grace is over`,
        });
    }
  }

  #isUnderWay(key: string): boolean {
    const { originStart: start = '', merge = 0 } = parseObjectKey(key) ?? {};
    return merge > (this.#mergeTips.get(start) ?? Infinity);
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

  #tellLocked(origin: GatewayId): number {
    let sum = 0;
    for (const [keyId, { first: key, count }] of this.#locked) {
      sum += count;
      const more = count === 1 ? '' : ` (so are ${count - 1} more)`;
      const text = `is encrypted with key ${keyId}${more}, which is not configured (archive.encryptionKeyFile): length and SHA-256 were checked, rows were not`;
      this.#tell({ kind: 'locked', isFault: false, key, origin, text });
    }
    this.#locked.clear();
    return sum;
  }

  async #lookAtStretch({ origin, objects }: Stretch): Promise<void> {
    for (let at = 0; at < objects.length; at += LOOKS_AT_ONCE) {
      const some = objects.slice(at, at + LOOKS_AT_ONCE);
      const stats = await Promise.all(some.map(({ key }) => this.#store.stat(key)));
      for (const [i, { key, length }] of some.entries()) {
        const found = stats[i];
        if (found === undefined) this.#tellObject(origin, key, await missingText(this.#store, key));
        else if (found.length !== length)
          this.#tellObject(origin, key, `has ${found.length} bytes, and ${length} were archived`);
        this.#progress(length);
      }
    }
  }

  async #readStretch(stretch: Stretch): Promise<void> {
    const rows = new StretchRows(stretch);
    for (const object of stretch.objects) {
      const { key } = object;
      try {
        await this.#readRows(object, rows);
      } catch (error) {
        if (!(error instanceof ObjectDamage)) throw error;
        this.#tellObject(stretch.origin, key, error.reason);
      }
      for (const text of rows.take())
        this.#tell({ kind: 'rows', isFault: true, key, origin: stretch.origin, text });
      this.#progress(object.length);
    }
  }

  async #readRows(object: ArchivedObject, rows: StretchRows): Promise<void> {
    const { key, keyId } = object;
    if (keyId !== undefined && findKey(this.#store.keys, keyId) === undefined) {
      await openChecked(this.#store, object);
      const locked = this.#locked.get(keyId);
      if (locked === undefined) this.#locked.set(keyId, { first: key, count: 1 });
      else locked.count++;
      return;
    }
    let count = 0;
    for await (const places of readPlaces(this.#store, object)) {
      count += places.count;
      rows.add(places);
    }
    if (count !== object.rows) rows.tell(`has ${count} rows, and ${object.rows} were archived`);
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

function timeText(timeMs: number): string {
  // oxlint-disable-next-line eslint/no-restricted-globals -- it only writes the time down
  const time = new Date(timeMs);
  return Number.isNaN(time.getTime()) ? `${timeMs} ms after 1970` : time.toISOString();
}

function numberOf(key: string): number {
  return createHash('sha256').update(key).digest().readUIntBE(0, NAME_BYTES);
}
