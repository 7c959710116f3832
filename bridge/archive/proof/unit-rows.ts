/** The rows of an entry or a merge as they are compared with the log, in the order of their positions. */
import type { LogPosition } from '../../../lib/contracts/store.js';
import { parseObjectKey } from '../object-key.js';
import type { ObjectStore } from '../object-store.js';
import { readRows } from '../reading/archive-reader.js';
import { type CatalogObject, type CatalogUnit, objectsOf } from '../reading/catalog.js';
import { mergedBatches } from '../reading/merged-batches.js';
import { chained, overlapping } from '../reading/object-range.js';
import type { StoredRow } from '../reading/stored-row.js';
import { digestOf } from './log-mark.js';

export interface RowMark {
  readonly sequence: LogPosition;
  readonly origin: string;
  /** Counter of the life. */
  readonly epoch: number;
  readonly timeMs: number;
  readonly topic: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly digest: string;
  /** Its payload is of a line of JSON: where it is JSON it has no line ends. */
  readonly isLine: boolean;
}

/**
 * In memory is a row group of each object that has to be read at the same time.
 * @param from what the log begins with: rows of the unit before it are left out, and objects that end before it are not read
 * @throws ObjectDamage, ObjectFault
 */
export async function* unitRows(
  store: ObjectStore,
  unit: CatalogUnit,
  from: LogPosition,
): AsyncGenerator<readonly RowMark[]> {
  const wanted = objectsOf(unit).filter(
    ({ object }) => (parseObjectKey(object.key)?.last ?? Infinity) >= from,
  );
  for (const group of overlapping(wanted)) {
    const chains = chained(group).map((chain) =>
      chainRows(store, chain, ({ sequence }) => sequence >= from || sequence <= unit.after),
    );
    yield* mergedBatches(chains, ({ sequence }) => sequence);
  }
}

async function* chainRows(
  store: ObjectStore,
  chain: readonly CatalogObject[],
  isWanted: (row: StoredRow) => boolean,
): AsyncGenerator<readonly RowMark[]> {
  for (const { object, place } of chain) {
    const isLine = place.format === 'ndjson';
    for await (const rows of readRows(store, object))
      yield rows
        .filter(isWanted)
        .map(({ sequence, facts, timeMs, topic, qos, retain, properties, payload }) => ({
          ...{ sequence, timeMs, topic, qos, retain, isLine },
          ...{ origin: facts.origin, epoch: facts.epoch.counter },
          digest: digestOf(properties, payload),
        }));
  }
}
