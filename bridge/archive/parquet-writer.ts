/**
 * Rows as a Parquet file. What is in memory is one row group: those are small, as a gateway is, and as large as readers need to skip
 * what they do not want. The same rows make the same bytes.
 */
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { snappyCompress } from 'hyparquet-writer/src/snappy.js';
import {
  type ArchiveRow,
  type ByteSink,
  extract,
  type ExtractedColumn,
  type ExtractedType,
  type FileFacts,
  jsonOf,
  type RowWriter,
  type WrittenFile,
} from './row.js';
import { PARQUET_DEFAULTS, type ParquetOptions } from './parquet-options.js';
import { RowGroup } from './row-group.js';
import type { Rest } from './turns.js';
import { zstdCompressSync } from './zstd.js';

type Schema = ConstructorParameters<typeof ParquetWriter>[0]['schema'];
type SchemaElement = Schema[number];
type ColumnSource = Parameters<ParquetWriter['write']>[0]['columnData'][number];

const MICROS_PER_MS = 1000n;
/** Enough to tell topics apart that begin alike. */
const STATISTICS_MAX_BYTES = 64;
/** What is compressed, hashed or written in one go. */
const PIECE_BYTES = 131_072;
const PAGE_BYTES = PIECE_BYTES;
const REST_EVERY_ROWS = 256;
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
  constructor(
    private readonly sink: ByteSink,
    private readonly rest: Rest,
  ) {
    super();
  }

  flush(): void {
    if (this.index === 0) return;
    for (let start = 0; start < this.index; start += PIECE_BYTES) {
      this.sink(new Uint8Array(this.buffer, start, Math.min(PIECE_BYTES, this.index - start)));
      this.rest();
    }
    this.index = 0;
  }

  override finish(): void {
    this.flush();
  }
}

type Compress = (bytes: Uint8Array) => Uint8Array;

function rested(compress: Compress, rest: Rest): Compress {
  return (bytes) => {
    rest();
    return compress(bytes);
  };
}

export class ParquetRows implements RowWriter {
  readonly #facts: FileFacts;
  readonly #options: ParquetOptions;
  readonly #out: SinkWriter;
  readonly #parquet: ParquetWriter;
  readonly #rest: Rest;
  #group = new RowGroup();
  #count = 0;

  /** @param rest called between two pieces of work */
  constructor(
    sink: ByteSink,
    facts: FileFacts,
    options: ParquetOptions = PARQUET_DEFAULTS,
    rest: Rest = () => undefined,
  ) {
    this.#facts = facts;
    this.#options = options;
    this.#rest = rest;
    this.#out = new SinkWriter(sink, rest);
    this.#parquet = new ParquetWriter({
      writer: this.#out,
      schema: schemaOf(options.columns),
      codec: CODECS[options.compression],
      compressors: { SNAPPY: rested(snappyCompress, rest), ZSTD: rested(zstdCompressSync, rest) },
      statisticsTruncateLength: STATISTICS_MAX_BYTES,
      createdBy: 'sprawl-edge',
      kvMetadata: [{ key: 'sprawl-edge.format', value: '1' }],
    });
  }

  get pendingBytes(): number {
    return this.#group.heldBytes;
  }

  add(row: ArchiveRow): void {
    const group = this.#group;
    group.add(row);
    const { groupMaxRows, groupMaxBytes } = this.#options;
    if (group.count < groupMaxRows && group.bytes < groupMaxBytes) return;
    this.#writeGroup();
    group.clear();
  }

  /** Its room is given up as well. */
  flush(): void {
    if (this.#group.count === 0) return;
    this.#writeGroup();
    this.#group = new RowGroup();
  }

  finish(): WrittenFile {
    this.flush();
    void this.#parquet.finish();
    return { rows: this.#count, length: this.#out.offset };
  }

  #writeGroup(): void {
    const group = this.#group;
    const { site, origin, epoch } = this.#facts;
    const { count } = group;
    // Not BigInt64Array: the library looks at each value several times, and each look would make it anew.
    const time: bigint[] = [];
    const sequence: bigint[] = [];
    const qos = new Int32Array(count);
    const retain: boolean[] = [];
    const payload: Uint8Array[] = [];
    const json: (Uint8Array | undefined)[] = [];
    for (let i = 0; i < count; i++) {
      time.push(BigInt(Math.trunc(group.timeOf(i))) * MICROS_PER_MS);
      sequence.push(BigInt(group.sequenceOf(i)));
      qos[i] = group.qosOf(i);
      retain.push(group.retainOf(i));
      const bytes = group.payloadOf(i);
      payload.push(bytes);
      json.push(group.isJsonAt(i) ? bytes : undefined);
      if (i % REST_EVERY_ROWS === 0) this.#rest();
    }
    // What grows from row to row takes a byte or two as the step to the one before.
    const growing = { encoding: 'DELTA_BINARY_PACKED' } as const;
    // Nobody looks for the least payload.
    const unsorted = { statistics: false } as const;
    const columnData: ColumnSource[] = [
      { name: 'time', data: time, ...growing },
      { name: 'site', data: new Array<string>(count).fill(site) },
      { name: 'origin', data: new Array<string>(count).fill(origin) },
      { name: 'epoch', data: new Array<bigint>(count).fill(BigInt(epoch.counter)) },
      { name: 'sequence', data: sequence, ...growing },
      { name: 'topic', data: [...group.topics] },
      { name: 'qos', data: qos },
      { name: 'retain', data: retain },
      { name: 'properties', data: [...group.properties], ...unsorted },
      { name: 'payload', data: payload, ...unsorted },
      { name: 'json', data: json, ...unsorted },
      ...this.#extractedColumns(json),
    ];
    void this.#parquet.write({ columnData, rowGroupSize: count, pageSize: PAGE_BYTES });
    this.#count += count;
  }

  /** Whoever wants fields needs the values of the JSON; where a file is made of others they come along. */
  #extractedColumns(json: readonly (Uint8Array | undefined)[]): ColumnSource[] {
    const { columns } = this.#options;
    if (columns.length === 0) return [];
    const { extracted } = this.#group;
    const values = json.map((bytes, i) =>
      bytes === undefined || extracted[i] !== undefined ? undefined : jsonOf(bytes),
    );
    return columns.map((column, c) => ({
      name: column.name,
      data: values.map((one, i) => {
        const known = extracted[i];
        if (known !== undefined) return known[c] ?? null;
        return one === undefined ? null : extract(one.value, column);
      }),
    }));
  }
}
