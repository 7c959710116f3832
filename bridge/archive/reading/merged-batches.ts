/** Sorted streams of rows as one that is sorted. */
/** Rows that are handed on at once. */
const BATCH_ROWS = 1024;

interface Cursor<Row> {
  readonly batches: AsyncIterator<readonly Row[]>;
  batch: readonly Row[];
  at: number;
}

/**
 * Rows that are not in the order of their key within one stream stay in the order of that stream. What was begun is ended when nobody reads on.
 * @param keyOf what the rows of each stream are sorted by
 */
export async function* mergedBatches<Row>(
  streams: readonly AsyncIterable<readonly Row[]>[],
  keyOf: (row: Row) => number,
): AsyncGenerator<readonly Row[]> {
  const cursors: Cursor<Row>[] = [];
  try {
    for (const stream of streams) {
      const cursor: Cursor<Row> = { batches: stream[Symbol.asyncIterator](), batch: [], at: 0 };
      cursors.push(cursor);
      if (!(await refill(cursor))) cursors.pop();
    }
    let merged: Row[] = [];
    while (cursors.length > 0) {
      const { first, nextKey } = leastOf(cursors, keyOf);
      // A run of one stream, as long as no other one comes before it.
      while (first.at < first.batch.length && merged.length < BATCH_ROWS) {
        const row = first.batch[first.at];
        if (row === undefined || keyOf(row) > nextKey) break;
        merged.push(row);
        first.at++;
      }
      if (merged.length >= BATCH_ROWS) {
        yield merged;
        merged = [];
      }
      if (first.at >= first.batch.length && !(await refill(first))) cursors.splice(cursors.indexOf(first), 1);
    }
    if (merged.length > 0) yield merged;
  } finally {
    for (const { batches } of cursors) await batches.return?.();
  }
}

/** @returns false: the stream is over */
async function refill<Row>(cursor: Cursor<Row>): Promise<boolean> {
  do {
    const { done, value } = await cursor.batches.next();
    if (done === true) return false;
    cursor.batch = value;
    cursor.at = 0;
  } while (cursor.batch.length === 0);
  return true;
}

/** The stream whose row comes next, and the key of the row that comes after those of it. */
function leastOf<Row>(
  cursors: readonly Cursor<Row>[],
  keyOf: (row: Row) => number,
): { readonly first: Cursor<Row>; readonly nextKey: number } {
  let first: Cursor<Row> | undefined;
  let [leastKey, nextKey] = [Infinity, Infinity];
  for (const cursor of cursors) {
    const row = cursor.batch[cursor.at];
    const key = row === undefined ? Infinity : keyOf(row);
    if (first === undefined || key < leastKey) {
      nextKey = Math.min(nextKey, leastKey);
      leastKey = key;
      first = cursor;
    } else nextKey = Math.min(nextKey, key);
  }
  if (first === undefined) throw new Error('a stream is left');
  return { first, nextKey };
}
