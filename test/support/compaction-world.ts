/** Compactions for tests: of a store in memory, with a clock that is moved by hand. */
import {
  compactArchive,
  type CompactedOrigin,
  COMPACTION_DEFAULTS,
  type CompactionOptions,
} from '../../bridge/archive/compaction/compactor.js';
import { SealedSpool } from '../../bridge/archive/encryption/sealed-spool.js';
import type { ObjectStore } from '../../bridge/archive/object-store.js';
import { PARQUET_DEFAULTS } from '../../bridge/archive/parquet-options.js';
import {
  checkArchive,
  type CheckedOrigin,
  type Finding,
} from '../../bridge/archive/reading/archive-check.js';
import { readSelection } from '../../bridge/archive/reading/archive-reader.js';
import { Catalog } from '../../bridge/archive/reading/catalog.js';
import { EVERYTHING } from '../../bridge/archive/reading/object-place.js';
import type { RowBatch } from '../../bridge/archive/reading/stored-row.js';
import type { ArchiveRow } from '../../bridge/archive/row.js';
import { MemorySpool } from './memory-spool.js';

export const GRACE_MS = 1000;
/** 2026-11-30T00:00:00Z. */
export const NOW_MS = Date.UTC(2026, 10, 30);

export const OPTIONS: CompactionOptions = {
  limits: COMPACTION_DEFAULTS,
  ...{ graceMs: GRACE_MS, isAlone: false, isDry: false, parquet: PARQUET_DEFAULTS, by: 'test' },
};

export async function compact(
  store: ObjectStore,
  wallMs: number,
  options: Partial<CompactionOptions> = {},
): Promise<readonly CompactedOrigin[]> {
  const origins = await new Catalog(store).selectedOrigins(EVERYTHING);
  const files = new MemorySpool();
  const spool = new SealedSpool(files, () => store.keys?.[0]);
  const ports = { store, spool, wallMs: () => wallMs, onProgress: () => undefined };
  const done = compactArchive(ports, origins, { ...OPTIONS, ...options });
  await done.catch(() => undefined);
  if (files.openCount > 0) throw new Error('files are left in the spool');
  return done;
}

export interface Verified {
  readonly origins: readonly CheckedOrigin[];
  readonly faults: readonly string[];
  readonly notes: readonly string[];
}

export async function verify(store: ObjectStore, isDeep = true): Promise<Verified> {
  const findings: Finding[] = [];
  const origins = await checkArchive(
    store,
    { isDeep, origins: [] },
    { onFinding: (finding) => findings.push(finding), onProgress: () => undefined },
  );
  const text = ({ kind, key, text: what }: Finding): string => `${kind} ${key}: ${what}`;
  return {
    origins,
    faults: findings.filter(({ isFault }) => isFault).map(text),
    notes: findings.filter(({ isFault }) => !isFault).map(text),
  };
}

/** Everything that a row says, to be compared. */
export function rowText(row: ArchiveRow, site: string, epoch: number): string {
  const { timeMs, sequence, topic, qos, retain, properties = '', payload } = row;
  const bytes = Buffer.from(payload).toString('hex');
  return [epoch, sequence, site, topic, timeMs, qos, retain, properties, bytes].join(' ');
}

/** In the order in which they come. */
export async function rowTexts(
  store: ObjectStore,
  read: (catalog: Catalog) => AsyncIterable<RowBatch> = (catalog) => readSelection(catalog, EVERYTHING),
): Promise<string[]> {
  const texts: string[] = [];
  for await (const batch of read(new Catalog(store)))
    for (const row of batch) texts.push(rowText(row, row.facts.site, row.facts.epoch.counter));
  return texts;
}
