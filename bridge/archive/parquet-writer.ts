/**
 * Rows as a Parquet file. What is in memory is one row group: those are small, as a gateway is, and as large as readers need to skip
 * what they do not want. The same rows make the same bytes.
 */
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import {
  type ArchiveRow,
  type ByteSink,
  extract,
  type ExtractedColumn,
  type ExtractedType,
  type FileFacts,
  isJson,
  jsonOf,
  type RowWriter,
  type WrittenFile,
} from './row.js';
import { PARQUET_DEFAULTS, type ParquetOptions } from './parquet-options.js';
import { zstdCompressSync } from './zstd.js';

type Schema = ConstructorParameters<typeof ParquetWriter>[0]['schema'];
type SchemaElement = Schema[number];
type ColumnSource = Parameters<ParquetWriter['write']>[0]['columnData'][number];

const MICROS_PER_MS = 1000n;
/** Of a row besides its payload. */
const ROW_BYTES = 200;
/** Enough to tell topics apart that begin alike. */
const STATISTICS_MAX_BYTES = 64;
const CODECS = { snappy: 'SNAPPY', zstd: 'ZSTD', none: 'UNCOMPRESSED' } as const;
const TEXT: Pick<SchemaElement, 'type' | 'converted_type'> = { type: 'BYTE_ARRAY', converted_type: 'UTF8' };
const TYPES: Readonly<Record<ExtractedType, Pick<SchemaElement, 'type' | 'converted_type'>>> = {
  double: { type: 'DOUBLE' },
  integer: { type: 'INT64' },
  boolean: { type: 'BOOLEAN' },
  text: TEXT,
};

function schemaOf(columns: readonly ExtractedColumn[]): Schema {
  const required = { repetition_type: 'REQUIRED' } as const;
  const optional = { repetition_type: 'OPTIONAL' } as const;
  const time: SchemaElement = {
    name: 'time',
    type: 'INT64',
    converted_type: 'TIMESTAMP_MICROS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
    repetition_type: 'REQUIRED',
  };
  const all: SchemaElement[] = [
    time,
    { name: 'site', ...TEXT, ...required },
    { name: 'origin', ...TEXT, ...required },
    { name: 'epoch', type: 'INT64', ...required },
    { name: 'sequence', type: 'INT64', ...required },
    { name: 'topic', ...TEXT, ...required },
    { name: 'qos', type: 'INT32', ...required },
    { name: 'retain', type: 'BOOLEAN', ...required },
    { name: 'properties', ...TEXT, ...optional },
    { name: 'payload', type: 'BYTE_ARRAY', ...required },
    { name: 'json', ...TEXT, ...optional },
    ...columns.map(({ name, type }) => ({ name, ...TYPES[type], ...optional })),
  ];
  return [{ name: 'messages', num_children: all.length }, ...all];
}

/** Hands on what is written with each row group. */
class SinkWriter extends ByteWriter {
  constructor(private readonly sink: ByteSink) {
    super();
  }

  flush(): void {
    if (this.index === 0) return;
    this.sink(new Uint8Array(this.buffer, 0, this.index));
    this.index = 0;
  }

  override finish(): void {
    this.flush();
  }
}

export class ParquetRows implements RowWriter {
  readonly #facts: FileFacts;
  readonly #options: ParquetOptions;
  readonly #out: SinkWriter;
  readonly #parquet: ParquetWriter;
  #rows: ArchiveRow[] = [];
  #groupBytes = 0;
  #count = 0;

  constructor(sink: ByteSink, facts: FileFacts, options: ParquetOptions = PARQUET_DEFAULTS) {
    this.#facts = facts;
    this.#options = options;
    this.#out = new SinkWriter(sink);
    this.#parquet = new ParquetWriter({
      writer: this.#out,
      schema: schemaOf(options.columns),
      codec: CODECS[options.compression],
      compressors: options.compression === 'zstd' ? { ZSTD: zstdCompressSync } : {},
      statisticsTruncateLength: STATISTICS_MAX_BYTES,
      createdBy: 'sprawl-edge',
      kvMetadata: [{ key: 'sprawl-edge.format', value: '1' }],
    });
  }

  get pendingBytes(): number {
    return this.#groupBytes + this.#rows.length * ROW_BYTES;
  }

  add(row: ArchiveRow): void {
    this.#rows.push(row);
    this.#groupBytes += row.payload.length;
    if (this.#rows.length >= this.#options.groupMaxRows || this.#groupBytes >= this.#options.groupMaxBytes)
      this.flush();
  }

  flush(): void {
    if (this.#rows.length > 0) this.#writeGroup();
  }

  finish(): WrittenFile {
    this.flush();
    void this.#parquet.finish();
    return { rows: this.#count, length: this.#out.offset };
  }

  #writeGroup(): void {
    const rows = this.#rows;
    const { site, origin, epoch } = this.#facts;
    const { columns } = this.#options;
    const count = rows.length;
    const time = new BigInt64Array(count);
    const sequence = new BigInt64Array(count);
    const qos = new Int32Array(count);
    // Whoever wants fields needs the values; the text is the payload itself.
    const isKnown = rows.every(({ extracted }) => extracted !== undefined);
    const values = columns.length === 0 || isKnown ? undefined : rows.map(({ payload }) => jsonOf(payload));
    const json = rows.map(({ payload }, i) =>
      (values === undefined ? isJson(payload) : values[i] !== undefined) ? payload : undefined,
    );
    for (const [i, row] of rows.entries()) {
      time[i] = BigInt(Math.trunc(row.timeMs)) * MICROS_PER_MS;
      sequence[i] = BigInt(row.sequence);
      qos[i] = row.qos;
    }
    // What grows from row to row takes a byte or two as the step to the one before.
    const growing = { encoding: 'DELTA_BINARY_PACKED' } as const;
    // Nobody looks for the least payload.
    const unsorted = { statistics: false } as const;
    const columnData: ColumnSource[] = [
      { name: 'time', data: time, ...growing },
      { name: 'site', data: new Array<string>(count).fill(site) },
      { name: 'origin', data: new Array<string>(count).fill(origin) },
      { name: 'epoch', data: new BigInt64Array(count).fill(BigInt(epoch.counter)) },
      { name: 'sequence', data: sequence, ...growing },
      { name: 'topic', data: rows.map(({ topic }) => topic) },
      { name: 'qos', data: qos },
      { name: 'retain', data: rows.map(({ retain }) => retain) },
      { name: 'properties', data: rows.map(({ properties }) => properties), ...unsorted },
      { name: 'payload', data: rows.map(({ payload }) => payload), ...unsorted },
      { name: 'json', data: json, ...unsorted },
      ...columns.map((column, c) => ({
        name: column.name,
        data: rows.map(({ extracted }, i) => {
          if (extracted !== undefined) return extracted[c] ?? null;
          const one = values?.[i];
          return one === undefined ? null : extract(one.value, column);
        }),
      })),
    ];
    void this.#parquet.write({ columnData, rowGroupSize: count });
    this.#count += count;
    this.#rows = [];
    this.#groupBytes = 0;
  }
}
