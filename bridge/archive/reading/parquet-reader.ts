/**
 * Rows of a Parquet file, one row group after the other. Columns are read as bytes, and only for row groups that have a row that is wanted:
 * by the least and greatest time of the group, then by time and topic of each row.
 */
import {
  type AsyncBuffer,
  type FileMetaData,
  parquetMetadataAsync,
  type ParquetParsers,
  type ParquetScan,
  parquetScan,
} from 'hyparquet';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ColumnValue, ExtractedColumn, ExtractedType } from '../row.js';
import { zstdDecompressSync } from '../zstd.js';
import type { CheckedObject } from './checked-object.js';
import { FactsOf, type RowBatch, type RowFilter, type StoredRow } from './stored-row.js';

type RowGroup = FileMetaData['row_groups'][number];
type Column = Awaited<ReturnType<ParquetScan['readColumn']>>;

/** Where a row is, and to whom it belongs: what a check of completeness asks. */
export interface RowPlaces {
  readonly count: number;
  readonly sequences: ArrayLike<number>;
  /** Counters of lives. */
  readonly epochs: ArrayLike<number>;
  origin(row: number): string;
}

const MICROS_PER_MS = 1000;
const NO_BYTES = new Uint8Array(0);

const PARSERS: Partial<ParquetParsers> = {
  // Until 2255 a number holds them exactly.
  timestampFromMicroseconds: (micros: bigint) => Number(micros) / MICROS_PER_MS,
  // Texts stay bytes: most are copied as they are, and those of a dictionary are one and the same object.
  stringFromBytes: (bytes: Uint8Array) => bytes,
};

/** How many columns every file has; behind them are those that were extracted. */
const OWN_COLUMNS = 11;

/**
 * @param columns those whose values are wanted with each row, as `parquetColumns` found them; undefined: none
 * @throws what hyparquet does where it is no such file; ObjectFault, ObjectDamage
 */
export async function* readParquet(
  object: CheckedObject,
  filter: RowFilter,
  columns?: readonly ExtractedColumn[],
): AsyncGenerator<RowBatch> {
  const file = new WindowedFile(object);
  const metadata = await parquetMetadataAsync(file, { parsers: PARSERS });
  const scan = await scanOf(file, metadata);
  const facts = new FactsOf();
  let start = 0;
  for (const group of metadata.row_groups) {
    const end = start + Number(group.num_rows);
    if (isInTime(group, filter)) {
      await file.load(group);
      // To unpack it takes some tens of milliseconds, in which nobody else has a turn.
      await nextTurn();
      const rows = await rowsOf(new GroupColumns(scan, start, end), filter, facts, columns);
      if (rows.length > 0) yield rows;
    }
    start = end;
  }
}

/** The extracted columns of a file; from where in the payload they came it does not say. @throws see readParquet */
export async function parquetColumns(object: CheckedObject): Promise<readonly ExtractedColumn[]> {
  const { schema } = await parquetMetadataAsync(new WindowedFile(object), { parsers: PARSERS });
  return schema
    .slice(1 + OWN_COLUMNS)
    .map(({ name, type }) => ({ name, path: [], type: columnTypeOf(type) }));
}

function columnTypeOf(type: string | undefined): ExtractedType {
  switch (type) {
    case 'DOUBLE':
      return 'double';
    case 'INT64':
      return 'integer';
    case 'BOOLEAN':
      return 'boolean';
    case 'BYTE_ARRAY':
      return 'text';
    default:
      throw new Error(`a column is of type ${type}`);
  }
}

/** The same without topics and payloads. @throws see readParquet */
export async function* readParquetPlaces(object: CheckedObject): AsyncGenerator<RowPlaces> {
  const file = new WindowedFile(object);
  const metadata = await parquetMetadataAsync(file, { parsers: PARSERS });
  const scan = await scanOf(file, metadata);
  let start = 0;
  for (const { num_rows: count } of metadata.row_groups) {
    const columns = new GroupColumns(scan, start, start + Number(count));
    const sequences = await columns.integers('sequence');
    const epochs = await columns.integers('epoch');
    const origin = await columns.texts('origin');
    yield { count: Number(count), sequences, epochs, origin };
    start += Number(count);
  }
}

function scanOf(file: AsyncBuffer, metadata: FileMetaData): Promise<ParquetScan> {
  const compressors = { ZSTD: zstdDecompressSync };
  return parquetScan({ file, metadata, parsers: PARSERS, utf8: false, compressors, useOffsetIndex: false });
}

function isInTime({ columns }: RowGroup, { fromMs, toMs }: RowFilter): boolean {
  const time = columns.find(({ meta_data: meta }) => meta?.path_in_schema[0] === 'time');
  const { min_value: least, max_value: greatest } = time?.meta_data?.statistics ?? {};
  if (typeof least !== 'number' || typeof greatest !== 'number') return true;
  return least < toMs && greatest >= fromMs;
}

/** Columns of one row group. */
class GroupColumns {
  readonly #scan: ParquetScan;
  readonly #start: number;
  readonly #end: number;

  constructor(scan: ParquetScan, start: number, end: number) {
    this.#scan = scan;
    this.#start = start;
    this.#end = end;
  }

  column(name: string): Promise<Column> {
    return this.#scan.readColumn({ column: name, rowStart: this.#start, rowEnd: this.#end });
  }

  async integers(name: string): Promise<Float64Array> {
    const column = await this.column(name);
    const numbers = new Float64Array(column.length);
    for (let i = 0; i < numbers.length; i++) numbers[i] = Number(column[i]);
    return numbers;
  }

  async texts(name: string): Promise<(row: number) => string> {
    const column = await this.column(name);
    const known = new Map<unknown, string>();
    return (row) => {
      const bytes: unknown = column[row];
      let text = known.get(bytes);
      if (text === undefined) {
        text = textOf(bytes);
        known.set(bytes, text);
      }
      return text;
    };
  }
}

async function rowsOf(
  group: GroupColumns,
  filter: RowFilter,
  factsOf: FactsOf,
  columns: readonly ExtractedColumn[] | undefined,
): Promise<StoredRow[]> {
  const times = await group.column('time');
  const topic = await group.texts('topic');
  const wanted = wantedOf(times, topic, filter);
  if (wanted.length === 0) return [];
  const sequences = await group.integers('sequence');
  const epochs = await group.integers('epoch');
  const [site, origin] = [await group.texts('site'), await group.texts('origin')];
  const [qos, retain] = [await group.column('qos'), await group.column('retain')];
  const properties = await group.column('properties');
  const json = await group.column('json');
  // JSON has the same bytes as the payload: where all of it is, the payloads need not be unpacked, which halves the time of reading them.
  const isAllJson = wanted.every((i) => json[i] instanceof Uint8Array);
  const payloads = isAllJson ? json : await group.column('payload');
  const extracted = columns === undefined ? undefined : await extractedOf(group, columns);
  const rows: StoredRow[] = new Array<StoredRow>(wanted.length);
  for (let n = 0; n < wanted.length; n++) {
    const i = wanted[n] ?? 0;
    const propertyBytes: unknown = properties[i];
    rows[n] = {
      facts: factsOf.get(site(i), origin(i), epochs[i] ?? 0),
      timeMs: Number(times[i]),
      sequence: sequences[i] ?? 0,
      topic: topic(i),
      qos: Number(qos[i]),
      retain: retain[i] === true,
      properties: propertyBytes instanceof Uint8Array ? textOf(propertyBytes) : undefined,
      payload: bytesOf(payloads[i]),
      isJson: json[i] instanceof Uint8Array,
      ...(extracted === undefined ? {} : { extracted: extracted(i) }),
    };
  }
  return rows;
}

async function extractedOf(
  group: GroupColumns,
  columns: readonly ExtractedColumn[],
): Promise<(row: number) => readonly ColumnValue[]> {
  const values: Column[] = [];
  for (const { name } of columns) values.push(await group.column(name));
  return (row) => values.map((column) => columnValueOf(column[row]));
}

function columnValueOf(value: unknown): ColumnValue {
  if (value instanceof Uint8Array) return textOf(value);
  return typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean' ? value : null;
}

function wantedOf(times: Column, topic: (row: number) => string, filter: RowFilter): number[] {
  const { fromMs, toMs, isWanted } = filter;
  const wanted: number[] = [];
  for (let i = 0; i < times.length; i++) {
    const timeMs = Number(times[i]);
    if (timeMs < fromMs || timeMs >= toMs) continue;
    if (isWanted === undefined || isWanted(topic(i))) wanted.push(i);
  }
  return wanted;
}

function bytesOf(value: unknown): Uint8Array {
  return value instanceof Uint8Array ? value : NO_BYTES;
}

function textOf(value: unknown): string {
  const { buffer, byteOffset, length } = bytesOf(value);
  return Buffer.from(buffer, byteOffset, length).toString('utf8');
}

/** Of an object that is not whole in memory the row group that is read: one request, whatever its columns are. */
class WindowedFile implements AsyncBuffer {
  readonly byteLength: number;
  readonly #object: CheckedObject;
  #window: Uint8Array = NO_BYTES;
  #windowStart = 0;

  constructor(object: CheckedObject) {
    this.#object = object;
    this.byteLength = object.length;
  }

  async load({ columns }: RowGroup): Promise<void> {
    if (this.#object.isWhole) return;
    let [start, end] = [this.byteLength, 0];
    for (const { meta_data: meta } of columns) {
      if (meta === undefined) continue;
      const offset = Number(meta.dictionary_page_offset ?? meta.data_page_offset);
      start = Math.min(start, offset);
      end = Math.max(end, offset + Number(meta.total_compressed_size));
    }
    this.#window = await this.#object.read(start, Math.max(0, end - start));
    this.#windowStart = start;
  }

  async slice(start: number, end = this.byteLength): Promise<ArrayBuffer> {
    const from = start - this.#windowStart;
    const isLoaded = from >= 0 && end - this.#windowStart <= this.#window.length;
    const bytes = isLoaded
      ? this.#window.subarray(from, end - this.#windowStart)
      : await this.#object.read(start, end - start);
    return Uint8Array.from(bytes).buffer;
  }
}
