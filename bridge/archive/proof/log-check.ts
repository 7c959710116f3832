/**
 * Whether an archive has what its gateway took in, each message once and as it was. Manifests prove that nothing of what was archived is gone; the log
 * proves what there should be.
 *
 *     archive     (0, 90] (90, 140] (140, 200]           entry by entry, merges in the place of theirs
 *     log               100 ─────────────── 200 ── 230   from the first position that it still has
 *                 alone │ compared          │ backlog
 */
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../../lib/contracts/store.js';
import { readConfig } from '../archive-config.js';
import { entryKey } from '../manifest.js';
import { type ManifestEntry, ManifestFault } from '../manifest-entry.js';
import { MergeFault } from '../merge-record.js';
import type { ObjectStore } from '../object-store.js';
import type { Finding } from '../reading/archive-check.js';
import { Catalog, type CatalogUnit, entriesPrefix } from '../reading/catalog.js';
import { ObjectDamage } from '../reading/checked-object.js';
import { EVERYTHING } from '../reading/object-place.js';
import { rowFilterOf } from '../reading/stored-row.js';
import { compare, ComparedCounts, type Section } from './comparison.js';
import type { ProofKind } from './finding-runs.js';
import { type GatewayLog, sharedUpTo } from './log-mark.js';
import { LogReport } from './log-report.js';
import { type RowMark, unitRows } from './unit-rows.js';

export interface CheckedLog {
  readonly origin: GatewayId;
  /** The first and the last position of the log. */
  readonly first: LogPosition;
  readonly committed: LogPosition;
  /** Messages of the log that are in the archive as they are in the log. */
  readonly same: number;
  /** Positions, by what is wrong with them. */
  readonly wrong: Readonly<Record<ProofKind, number>>;
  readonly faultCount: number;
  /** What waits to be archived; bytes of payload. */
  readonly backlog: { readonly messages: number; readonly bytes: number };
}

export interface LogCheckPorts {
  onFinding(finding: Finding): void;
  /** Messages that were compared and are the same, so far; often. */
  onProgress(messages: number): void;
}

type IsArchived = (topic: string) => boolean;
type Range = Pick<CatalogUnit, 'epoch' | 'after' | 'upTo'>;

/** @throws ObjectFault, and what the log does */
export function checkAgainstLog(
  store: ObjectStore,
  log: GatewayLog,
  ports: LogCheckPorts,
): Promise<CheckedLog> {
  return new LogCheck(store, log, ports).run();
}

class LogCheck {
  readonly #store: ObjectStore;
  readonly #log: GatewayLog;
  readonly #ports: LogCheckPorts;
  readonly #report: LogReport;
  readonly #counts = new ComparedCounts();
  /** By fingerprint; undefined: the archive does not have it. */
  readonly #configs = new Map<string, IsArchived | undefined>();
  /** Where the first entry that speaks of this log begins; undefined: none does. */
  #begin: LogPosition | undefined;
  /** Of the log up to here entries speak. */
  #covered: LogPosition = 0;
  /** The last of them. */
  #last: ManifestEntry | undefined;
  /** Of all entries, the number of the last one. */
  #lastNumber = 0;

  constructor(store: ObjectStore, log: GatewayLog, ports: LogCheckPorts) {
    this.#store = store;
    this.#log = log;
    this.#ports = ports;
    this.#report = new LogReport(log, ports.onFinding);
  }

  async run(): Promise<CheckedLog> {
    const { origin, first, committed } = this.#log;
    const isWhole = await this.#compareUnits();
    this.#report.bounds(this.#begin);
    // Behind a fault of the manifest nobody knows what is archived.
    const backlog = isWhole ? await this.#backlog() : { messages: 0, bytes: 0 };
    this.#report.sums(this.#counts, backlog);
    const { wrong, faultCount } = this.#report;
    return { origin, first, committed, same: this.#counts.same, wrong, faultCount, backlog };
  }

  /** @returns false: the manifest cannot be read to its end */
  async #compareUnits(): Promise<boolean> {
    const { origin } = this.#log;
    const entries: ManifestEntry[] = [];
    const units = new Catalog(this.#store).units(origin, undefined, (entry) => {
      entries.push(entry);
      this.#lastNumber = entry.number;
    });
    try {
      for await (const unit of units) await this.#compareUnit(unit, entries.splice(0));
      this.#lookAtEnd();
      return true;
    } catch (error) {
      if (!(error instanceof ManifestFault || error instanceof MergeFault)) throw error;
      this.#report.fault(
        'manifest',
        entriesPrefix(origin),
        `${error.message}: what is behind it was not compared with the log`,
      );
      return false;
    }
  }

  /** What was removed from the end of a manifest nothing in it tells. */
  #lookAtEnd(): void {
    const { origin, lastEntry = 0 } = this.#log;
    if (lastEntry <= this.#lastNumber) return;
    this.#report.fault(
      'manifest',
      entryKey(origin, this.#lastNumber + 1),
      `is missing: the gateway has seen entries up to ${lastEntry} there`,
    );
  }

  async #compareUnit(unit: CatalogUnit, entries: readonly ManifestEntry[]): Promise<void> {
    const { lineage, first } = this.#log;
    const shared = sharedUpTo(lineage, unit.epoch);
    const end = Math.min(unit.upTo, shared);
    if (end <= unit.after && unit.after < unit.upTo) {
      this.#counts.ofOtherLives += unit.rows;
      return;
    }
    await this.#lookAtGapBefore(unit);
    this.#begin ??= unit.after;
    this.#covered = Math.max(this.#covered, end);
    this.#last = entries.at(-1);
    if (end < first) return;
    const sections: Section[] = [];
    for (const entry of entries) sections.push(await this.#sectionOf(entry));
    const rows = unitRows(this.#store, unit, Math.max(first, unit.after + 1));
    try {
      await this.#compare(unit, sections, rows, shared);
    } catch (error) {
      if (!(error instanceof ObjectDamage)) throw error;
      const text = `${error.reason}: not all of positions ${unit.after + 1} to ${unit.upTo} were compared with the log`;
      this.#report.fault('object', error.key, text);
    }
  }

  /** No entry speaks of what is between the ones before and this one: what belongs there is missing. */
  async #lookAtGapBefore({ after, epoch }: Range): Promise<void> {
    const entry = this.#last;
    if (entry === undefined) return;
    if (after < this.#covered) this.#report.again(after + 1, this.#covered, epoch);
    if (after <= this.#covered) return;
    const gap = { epoch: entry.epoch, after: this.#covered, upTo: after };
    const section = { ...(await this.#sectionOf(entry)), ...gap, lost: [] };
    await this.#compare(gap, [section], noRows(), Infinity);
  }

  async #compare(
    { epoch, after, upTo }: Range,
    sections: readonly Section[],
    rows: AsyncIterable<readonly RowMark[]>,
    shared: LogPosition,
  ): Promise<void> {
    const { origin } = this.#log;
    const report = this.#report;
    await compare(
      { origin, epoch: epoch.counter, sections, sharedUpTo: shared },
      rows,
      this.#log.read(after, Math.min(upTo, shared)),
      {
        onRun: (run, { number }) => report.run(run, number, epoch),
        onLost: (positions) => report.lost(positions),
        onBlock: () => this.#ports.onProgress(this.#counts.same),
      },
      this.#counts,
    );
  }

  /** What the log has behind all entries. */
  async #backlog(): Promise<CheckedLog['backlog']> {
    const { first, committed } = this.#log;
    const isArchived = this.#last === undefined ? undefined : (await this.#sectionOf(this.#last)).isArchived;
    const after = this.#begin === undefined ? first - 1 : this.#covered;
    let [messages, bytes] = [0, 0];
    for await (const { marks } of this.#log.read(after, committed)) {
      for (const mark of marks) {
        if (isArchived?.(mark.topic) === false) continue;
        messages++;
        bytes += mark.bytes;
      }
      this.#ports.onProgress(this.#counts.same);
    }
    return { messages, bytes };
  }

  async #sectionOf(entry: ManifestEntry): Promise<Section> {
    const { number, after, upTo, lost, config } = entry;
    if (!this.#configs.has(config)) this.#configs.set(config, await this.#readConfig(entry));
    return { number, after, upTo, lost, isArchived: this.#configs.get(config) };
  }

  async #readConfig(entry: ManifestEntry): Promise<IsArchived | undefined> {
    const { origin, number } = entry;
    try {
      const config = await readConfig(this.#store, origin, entry);
      if (config === undefined) {
        this.#report.withoutConfig(entry);
        return undefined;
      }
      return rowFilterOf({ ...EVERYTHING, filters: config.topics }).isWanted;
    } catch (error) {
      if (!(error instanceof ManifestFault)) throw error;
      this.#report.fault('manifest', entryKey(origin, number), error.message);
      return undefined;
    }
  }
}

async function* noRows(): AsyncGenerator<never> {}
