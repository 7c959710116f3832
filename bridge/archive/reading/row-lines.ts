/** Rows as the lines of JSON that ndjson-writer.ts writes, whatever file they come from. */
import { NdjsonRows } from '../ndjson-writer.js';
import type { RowBatch, RowFacts } from './stored-row.js';

/** Rows go out at the latest when so many bytes wait. */
const OUT_BYTES = 65_536;

/** @param limit rows at most @returns some lines at a time, those of a batch at the latest when it ends */
export async function* linesOf(
  batches: AsyncIterable<RowBatch>,
  limit = Infinity,
): AsyncGenerator<Uint8Array> {
  let ready: Uint8Array[] = [];
  let facts: RowFacts | undefined;
  let writer: NdjsonRows | undefined;
  let left = limit;
  if (left <= 0) return;
  for await (const rows of batches) {
    for (const row of rows) {
      if (writer === undefined || row.facts !== facts) {
        writer?.flush();
        ({ facts } = row);
        writer = new NdjsonRows((bytes) => void ready.push(bytes), facts);
      }
      writer.add(row, row.isJson);
      if (--left === 0) break;
      if (ready.length > 0 && (ready[0]?.length ?? 0) >= OUT_BYTES) {
        yield* ready;
        ready = [];
      }
    }
    writer?.flush();
    yield* ready;
    ready = [];
    if (left === 0) return;
  }
}
