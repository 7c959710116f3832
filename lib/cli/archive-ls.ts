import {
  Catalog,
  type CatalogObject,
  mayHold,
  objectsOf,
  type Selection,
  withArchive,
} from '../archive-tools.js';
import { parseConfig } from '../config/index.js';
import { archiveSelection } from './archive-selection.js';
import { writeChunks } from './chunk-output.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { size, table } from './size.js';

/** `archive ls`: what is in an archive, as its manifests say. @throws SprawlError ARCHIVE_… */
export async function runArchiveLs(invocation: Invocation, world: World): Promise<number> {
  const selection = archiveSelection(invocation);
  const isJson = invocation.has('json');
  const config = parseConfig(configSources(invocation, world));
  await withArchive(config, async (store) => {
    const catalog = new Catalog(store);
    if (invocation.has('objects')) {
      await writeChunks(world, objectLines(catalog, selection, isJson ? objectJson : objectText));
      return;
    }
    const origins = await summaries(catalog, selection);
    const text = isJson ? JSON.stringify(origins, undefined, 2) : table(summaryRows(origins)).join('\n');
    world.stdout.write(`${text}\n`);
  });
  return ExitCode.done;
}

interface OriginSummary {
  readonly origin: string;
  /** Those that have objects of the selection; of a merge all that it replaces. */
  entries: number;
  objects: number;
  rows: number;
  bytes: number;
  /** Of partitions. */
  firstDate: string | null;
  lastDate: string | null;
  /** Counter of the life that is archived last. */
  epoch: number;
  /** Everything that the origin took in up to this position of that life is archived. */
  upTo: number;
  /** Of the master keys without which not all of it can be read. */
  keyIds: string[];
}

async function summaries(catalog: Catalog, selection: Selection): Promise<OriginSummary[]> {
  const found: OriginSummary[] = [];
  const { filters, fromMs, toMs } = selection;
  const isAll = filters.length === 0 && fromMs === -Infinity && toMs === Infinity;
  for (const origin of await catalog.selectedOrigins(selection)) {
    const sum: OriginSummary = {
      ...{ origin, entries: 0, objects: 0, rows: 0, bytes: 0 },
      ...{ firstDate: null, lastDate: null, epoch: 0, upTo: 0, keyIds: [] },
    };
    for await (const unit of catalog.units(origin)) {
      const objects = objectsOf(unit).filter(({ place }) => mayHold(place, selection));
      if (isAll || objects.length > 0) sum.entries += unit.last - unit.first + 1;
      for (const one of objects) add(sum, one);
      sum.epoch = unit.epoch.counter;
      sum.upTo = unit.upTo;
    }
    found.push(sum);
  }
  return found;
}

function add(sum: OriginSummary, { object, place }: CatalogObject): void {
  const { date } = place;
  const { keyId } = object;
  if (keyId !== undefined && !sum.keyIds.includes(keyId)) sum.keyIds.push(keyId);
  sum.objects++;
  sum.rows += object.rows;
  sum.bytes += object.length;
  if (date === undefined) return;
  if (sum.firstDate === null || date < sum.firstDate) sum.firstDate = date;
  if (sum.lastDate === null || date > sum.lastDate) sum.lastDate = date;
}

function summaryRows(origins: readonly OriginSummary[]): string[][] {
  // Most archives are not encrypted.
  const hasKeys = origins.some(({ keyIds }) => keyIds.length > 0);
  return [
    [
      ...['origin', 'entries', 'objects', 'rows', 'size', 'from', 'to', 'up to position'],
      ...(hasKeys ? ['keys'] : []),
    ],
    ...origins.map(({ origin, entries, objects, rows, bytes, firstDate, lastDate, epoch, upTo, keyIds }) => [
      origin,
      ...[entries, objects, rows].map(String),
      size(bytes),
      firstDate ?? '-',
      lastDate ?? '-',
      `${upTo} of life ${epoch}`,
      ...(hasKeys ? [keyIds.join(' ') || '-'] : []),
    ]),
  ];
}

const LINES_AT_ONCE = 256;

async function* objectLines(
  catalog: Catalog,
  selection: Selection,
  lineOf: (object: CatalogObject) => string,
): AsyncGenerator<Uint8Array> {
  let lines: string[] = [];
  for await (const object of catalog.objects(selection)) {
    lines.push(`${lineOf(object)}\n`);
    if (lines.length < LINES_AT_ONCE) continue;
    yield Buffer.from(lines.join(''));
    lines = [];
  }
  yield Buffer.from(lines.join(''));
}

function objectText({ object, entry, lastEntry, after, upTo }: CatalogObject): string {
  const { key, rows, length, keyId } = object;
  const entries = entry === lastEntry ? `entry ${entry}` : `entries ${entry} to ${lastEntry}`;
  const sealed = keyId === undefined ? '' : `  key ${keyId}`;
  return `${key}  ${rows} rows  ${size(length)}  ${entries}: (${after}, ${upTo}]${sealed}`;
}

function objectJson({ origin, epoch, entry, lastEntry, after, upTo, object, place }: CatalogObject): string {
  const { date = null, hour = null, topic = null } = place;
  const { key, rows, length, sha256, keyId = null } = object;
  return JSON.stringify({
    ...{ origin, epoch: epoch.counter, entry, lastEntry, after, upTo, date, hour },
    ...{ topic, key, rows, bytes: length, sha256, keyId },
  });
}
