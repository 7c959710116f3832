/** Rows of an archive: of one object, of a selection object by object, or of a selection in the order in which they came. */
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import type { ArchivedObject } from '../manifest-entry.js';
import { ObjectFault, type ObjectStore } from '../object-store.js';
import type { ExtractedColumn } from '../row.js';
import type { Catalog, CatalogGroup, CatalogObject } from './catalog.js';
import { type CheckedObject, ObjectDamage } from './checked-object.js';
import { readNdjson } from './ndjson-reader.js';
import { chained } from './object-range.js';
import { openObject } from './opened-object.js';
import { parsePlace, type Selection } from './object-place.js';
import { parquetColumns, readParquet, readParquetPlaces, type RowPlaces } from './parquet-reader.js';
import { EVERY_ROW, type RowBatch, type RowFilter, rowFilterOf } from './stored-row.js';
import { mergedBatches } from './merged-batches.js';

/** @throws ObjectDamage where the object is not what was archived: before the first row; ObjectFault, KeyMissing */
export async function* readRows(
  store: ObjectStore,
  object: ArchivedObject,
  filter: RowFilter = EVERY_ROW,
): AsyncGenerator<RowBatch> {
  const checked = await openObject(store, object);
  yield* ofFormat(
    checked,
    () => readParquet(checked, filter),
    () => readNdjson(checked, filter),
  );
}

/** All that is in an object. */
export interface WholeObject {
  /** Those that were extracted, without where they came from. */
  readonly columns: readonly ExtractedColumn[];
  /** Their rows have the values of the columns. @throws see readRows */
  readonly batches: AsyncGenerator<RowBatch>;
}

/** For those who write the rows again. @throws see readRows */
export async function readWhole(store: ObjectStore, object: ArchivedObject): Promise<WholeObject> {
  const checked = await openObject(store, object);
  let columns: readonly ExtractedColumn[] = [];
  try {
    if (parsePlace(object.key).format === 'parquet') columns = await parquetColumns(checked);
  } catch (error) {
    throw unreadable(object.key, error);
  }
  const batches = ofFormat(
    checked,
    () => readParquet(checked, EVERY_ROW, columns),
    () => readNdjson(checked, EVERY_ROW),
  );
  return { columns, batches };
}

/** Positions of the rows alone, for those who count them. @throws see readRows */
export async function* readPlaces(store: ObjectStore, object: ArchivedObject): AsyncGenerator<RowPlaces> {
  const checked = await openObject(store, object);
  yield* ofFormat(
    checked,
    () => readParquetPlaces(checked),
    () => placesOf(readNdjson(checked, EVERY_ROW)),
  );
}

/** By origin, then entry by entry and object by object. @throws see readRows and Catalog.groups */
export async function* readSelection(catalog: Catalog, selection: Selection): AsyncGenerator<RowBatch> {
  const filter = rowFilterOf(selection);
  for await (const { object } of catalog.objects(selection)) yield* readRows(catalog.store, object, filter);
}

/**
 * In the order in which each origin took its messages in, and between origins by time. In memory are, of each origin, the objects of one entry,
 * or of the larger ones a row group each.
 * @throws see readRows and Catalog.groups
 */
export async function* readInOrder(catalog: Catalog, selection: Selection): AsyncGenerator<RowBatch> {
  const filter = rowFilterOf(selection);
  const origins = await catalog.selectedOrigins(selection);
  const ofOrigin = async function* (origin: GatewayId): AsyncGenerator<RowBatch> {
    for await (const group of catalog.groupsOf(origin, selection))
      yield* groupInOrder(catalog.store, group, filter);
  };
  yield* mergedBatches(origins.map(ofOrigin), ({ timeMs }) => timeMs);
}

function groupInOrder(
  store: ObjectStore,
  { objects }: CatalogGroup,
  filter: RowFilter,
): AsyncGenerator<RowBatch> {
  const batches = chained(objects).map((chain) => readChain(store, chain, filter));
  return mergedBatches(batches, ({ sequence }) => sequence);
}

/** Objects one behind the other: none is opened before the one before it was read. */
async function* readChain(
  store: ObjectStore,
  chain: readonly CatalogObject[],
  filter: RowFilter,
): AsyncGenerator<RowBatch> {
  for (const { object } of chain) yield* readRows(store, object, filter);
}

async function* ofFormat<T>(
  { key }: CheckedObject,
  parquet: () => AsyncGenerator<T>,
  ndjson: () => AsyncGenerator<T>,
): AsyncGenerator<T> {
  const { format } = parsePlace(key);
  if (format === undefined) throw new ObjectDamage(key, 'is neither .parquet nor .ndjson');
  if (format === 'ndjson') {
    yield* ndjson();
    return;
  }
  try {
    yield* parquet();
  } catch (error) {
    throw unreadable(key, error);
  }
}

function unreadable(key: string, error: unknown): unknown {
  if (error instanceof ObjectDamage || error instanceof ObjectFault) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new ObjectDamage(key, `cannot be read: ${reason}`, { cause: error });
}

async function* placesOf(batches: AsyncIterable<RowBatch>): AsyncGenerator<RowPlaces> {
  for await (const rows of batches)
    yield {
      count: rows.length,
      sequences: rows.map(({ sequence }) => sequence),
      epochs: rows.map(({ facts }) => facts.epoch.counter),
      origin: (row) => rows[row]?.facts.origin ?? '',
    };
}
