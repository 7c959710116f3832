/**
 * Which filters the clients of this gateway hold, as other gateways are told of them: each once, with its highest QoS, only as far as
 * the import filters reach. Filters that begin with `$` stay here; `$share/<group>/<filter>` is announced as `<filter>`, as whoever
 * gets the message here is decided here.
 *
 *     held      '#' (QoS 1)   'lab/+' (QoS 2)   '$SYS/#'
 *     imported  'site/#'      'lab/door'
 *     announced 'site/#' (1)  'lab/door' (2)
 *
 * The announced set has a version. What changes between two `flush` is one version more; the changes of past versions are kept for those
 * who have an older one, as long as they are fewer than what is announced.
 */
import type { QoS } from '../../lib/protocol/packet.js';
import { isShared, parseSharedFilter } from '../../lib/protocol/topic.js';
import { intersect } from './intersection.js';
import { HISTORY_MAX_VERSIONS, WHOLE_SET_MAX_COUNT } from './limits.js';
import { TopicFilters } from './topic-filters.js';

/** What became of an announced filter: its QoS now; undefined: it is gone. */
export type InterestChanges = ReadonlyMap<string, QoS | undefined>;

export interface LocalInterestOptions {
  /**
   * Which life of this gateway it is, below 2^48: another one each time that the versions begin anew, so that nobody takes an old version
   * for a new one of the same number. The first twelve digits of the nonce of the epoch are one.
   */
  readonly life: number;
  /** What may come in from others. */
  readonly importFilters: readonly string[];
  /** What may leave to others. */
  readonly exportFilters: readonly string[];
}

class Counts {
  /** How often the filter is held with QoS 0, 1, 2. */
  readonly #of = [0, 0, 0];
  /** The version that told others of the highest QoS. */
  since = 0;

  add(qos: QoS, by: 1 | -1): void {
    this.#of[qos] = (this.#of[qos] ?? 0) + by;
  }

  has(qos: QoS): boolean {
    return (this.#of[qos] ?? 0) > 0;
  }

  get highest(): QoS | undefined {
    return this.has(2) ? 2 : this.has(1) ? 1 : this.has(0) ? 0 : undefined;
  }
}

interface Held {
  readonly counts: Counts;
  /** What of it is announced. */
  readonly parts: readonly string[];
}

interface VersionChanges {
  readonly version: number;
  readonly changes: InterestChanges;
}

export class LocalInterest {
  life: number;
  readonly #imports: TopicFilters;
  readonly #exports: TopicFilters;
  readonly #held = new Map<string, Held>();
  readonly #announced = new Map<string, Counts>();
  /** As others know it: without what changed since `flush`. */
  readonly #told = new Map<string, QoS>();
  readonly #touched = new Set<string>();
  #history: VersionChanges[] = [];
  #historyCount = 0;
  #version = 0;

  constructor(options: LocalInterestOptions) {
    this.life = options.life;
    this.#imports = new TopicFilters(options.importFilters);
    this.#exports = new TopicFilters(options.exportFilters);
  }

  /** Of what others are told. */
  get version(): number {
    return this.#version;
  }

  /**
   * Before anybody is told: versions go on beyond this one. A backfill outlives the process that asked for it and is known by its version:
   * one that is asked for later must have a greater one.
   */
  beginBeyond(version: number): void {
    if (version <= this.#version) return;
    this.#version = version;
    this.#history = [];
    this.#historyCount = 0;
  }

  /** What others are told at `version`. Changes with `flush`. */
  get told(): ReadonlyMap<string, QoS> {
    return this.#told;
  }

  /** Whether a message of another gateway on the topic may come in. */
  mayImport(topic: string): boolean {
    return this.#imports.allows(topic);
  }

  /** Whether a message on the topic may leave this gateway. */
  mayExport(topic: string): boolean {
    return this.#exports.allows(topic);
  }

  /** Whether everything that a filter matches may leave. False also where several export filters together would let it. */
  mayExportAll(filter: string): boolean {
    return (
      !filter.startsWith('$') &&
      this.#exports.filters.some((exported) => intersect(filter, exported) === filter)
    );
  }

  /** @param filter valid, as the client wrote it */
  add(filter: string, qos: QoS): void {
    const plain = plainFilter(filter);
    if (plain === undefined) return;
    let held = this.#held.get(plain);
    if (held === undefined) {
      held = { counts: new Counts(), parts: this.#partsOf(plain) };
      this.#held.set(plain, held);
    }
    held.counts.add(qos, 1);
    for (const part of held.parts) this.#count(part, qos, 1);
  }

  /** @param qos as it was added with; what was not added is a bug */
  remove(filter: string, qos: QoS): void {
    const plain = plainFilter(filter);
    if (plain === undefined) return;
    const held = this.#held.get(plain);
    if (held === undefined || !held.counts.has(qos))
      throw new RangeError(`${filter} is not held with QoS ${qos}`);
    held.counts.add(qos, -1);
    if (held.counts.highest === undefined) this.#held.delete(plain);
    for (const part of held.parts) this.#count(part, qos, -1);
  }

  /** The version from which on others know of the filter with the QoS that it has now; later than `version`: of the next `flush`. 0: nobody is told. */
  versionOf(filter: string): number {
    const plain = plainFilter(filter);
    let version = 0;
    if (plain === undefined) return version;
    for (const part of this.#held.get(plain)?.parts ?? [])
      version = Math.max(version, this.#announced.get(part)?.since ?? 0);
    return version;
  }

  /** Makes what changed a version. @returns whether there is a new one */
  flush(): boolean {
    if (this.#touched.size === 0) return false;
    this.#version++;
    const changes = new Map<string, QoS | undefined>();
    for (const filter of this.#touched) {
      const qos = this.#announced.get(filter)?.highest;
      if (qos === this.#told.get(filter)) continue;
      changes.set(filter, qos);
      if (qos === undefined) this.#told.delete(filter);
      else this.#told.set(filter, qos);
    }
    this.#touched.clear();
    this.#remember(changes);
    return true;
  }

  /** What became of the filters since `version`; undefined: that is not known any more, or never was. */
  changesSince(version: number): InterestChanges | undefined {
    const missing = this.#version - version;
    if (missing < 0 || missing > this.#history.length) return undefined;
    const [only] = missing === 1 ? this.#history.slice(-1) : [];
    if (only !== undefined) return only.changes;
    const merged = new Map<string, QoS | undefined>();
    for (const { changes } of this.#history.slice(this.#history.length - missing))
      for (const [filter, qos] of changes) merged.set(filter, qos);
    return merged;
  }

  #partsOf(filter: string): string[] {
    const parts = new Set<string>();
    for (const imported of this.#imports.filters) {
      const part = intersect(filter, imported);
      if (part !== undefined) parts.add(part);
    }
    return [...parts];
  }

  #count(filter: string, qos: QoS, by: 1 | -1): void {
    let counts = this.#announced.get(filter);
    if (counts === undefined) {
      counts = new Counts();
      this.#announced.set(filter, counts);
    }
    const before = counts.highest;
    counts.add(qos, by);
    const after = counts.highest;
    if (after === undefined) this.#announced.delete(filter);
    if (before === after) return;
    this.#touched.add(filter);
    if (by > 0) counts.since = this.#version + 1;
  }

  /** More changes than there are filters are not worth keeping: the whole set is smaller. */
  #remember(changes: InterestChanges): void {
    this.#history.push({ version: this.#version, changes });
    this.#historyCount += changes.size;
    const maxCount = Math.max(WHOLE_SET_MAX_COUNT, this.#told.size);
    let gone = 0;
    while (this.#historyCount > maxCount || this.#history.length - gone > HISTORY_MAX_VERSIONS) {
      this.#historyCount -= this.#history[gone]?.changes.size ?? 0;
      gone++;
    }
    if (gone > 0) this.#history = this.#history.slice(gone);
  }
}

/** undefined: it is nobody else's business. */
function plainFilter(filter: string): string | undefined {
  const plain = isShared(filter) ? parseSharedFilter(filter)?.filter : filter;
  return plain === undefined || plain.startsWith('$') ? undefined : plain;
}
