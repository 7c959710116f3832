/** Makes the objects of a cut: one for each partition that its rows are in, the same of the same rows. */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { ArchiveConfig } from './archive-config.js';
import type { BuiltCut, BuiltObject, Cut } from './archiver.js';
import type { PositionRange } from './manifest-entry.js';
import { NdjsonRows } from './ndjson-writer.js';
import { type FileFormat, objectKey, Partitions, type PartitionScheme } from './object-key.js';
import { PARQUET_DEFAULTS, type ParquetOptions } from './parquet-options.js';
import { ParquetRows } from './parquet-writer.js';
import type { ArchiveRow, RowWriter } from './row.js';
import type { Spool, SpoolFile } from './spool.js';
import type { Rest } from './turns.js';

/** What is read of the log at once. */
export interface RowBatch {
  /** Those that are to be archived, in order. */
  readonly rows: readonly ArchiveRow[];
  readonly lost: readonly PositionRange[];
}

export interface BuilderOptions {
  readonly site: string;
  readonly origin: GatewayId;
  readonly format: FileFormat;
  readonly partitions: PartitionScheme;
  readonly parquet: ParquetOptions;
  /** What may wait in memory, of all partitions together: bytes. */
  readonly pendingMaxBytes: number;
}

/** What may wait in memory to be written, on a small machine. */
const PENDING_MAX_BYTES = 16 * 1_048_576;
const ROW_GROUP_MAX_BYTES = 4 * 1_048_576;

export function builderOptionsOf(origin: GatewayId, config: ArchiveConfig): BuilderOptions {
  const { site, format, partitions, compression, columns } = config;
  const parquet = { ...PARQUET_DEFAULTS, compression, columns, groupMaxBytes: ROW_GROUP_MAX_BYTES };
  return { site, origin, format, partitions, parquet, pendingMaxBytes: PENDING_MAX_BYTES };
}

export interface BuilderPorts {
  readonly spool: Spool;
  read(cut: Cut): AsyncIterable<RowBatch>;
  /** Default: none. */
  readonly rest?: Rest;
}

interface OpenFile {
  readonly file: SpoolFile;
  readonly writer: RowWriter;
  readonly first: LogPosition;
  last: LogPosition;
}

export class CutBuilder {
  readonly #ports: BuilderPorts;
  readonly #options: BuilderOptions;
  readonly #partitions: Partitions;
  readonly #rest: Rest;

  constructor(ports: BuilderPorts, options: BuilderOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#rest = ports.rest ?? (() => undefined);
    this.#partitions = new Partitions(options.partitions);
  }

  /** @throws what the log and the spool do; nothing of it is left then */
  async build(cut: Cut): Promise<BuiltCut> {
    const files = new Map<string, OpenFile>();
    const dispose = async (): Promise<void> => {
      for (const { file } of files.values()) await file.remove();
    };
    try {
      const lost: PositionRange[] = [];
      for await (const batch of this.#ports.read(cut)) {
        for (const row of batch.rows) {
          this.#add(files, cut, row);
          this.#rest();
        }
        lost.push(...batch.lost);
      }
      const partitions = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
      const objects: BuiltObject[] = [];
      for (const [partition, open] of partitions) objects.push(await this.#finish(partition, open, cut));
      return { objects, lost, dispose };
    } catch (error) {
      await dispose();
      throw error;
    }
  }

  #add(files: Map<string, OpenFile>, cut: Cut, row: ArchiveRow): void {
    const { pendingMaxBytes } = this.#options;
    const partition = this.#partitions.of(row.timeMs, row.topic);
    let open = files.get(partition);
    if (open === undefined) {
      open = this.#open(cut, row.sequence);
      files.set(partition, open);
    }
    open.writer.add(row);
    open.last = row.sequence;
    if (open.writer.pendingBytes * files.size >= pendingMaxBytes) this.#relieve(files);
  }

  /** Whoever has most in memory writes it, where all together are too much. */
  #relieve(files: ReadonlyMap<string, OpenFile>): void {
    let sum = 0;
    let largest: RowWriter | undefined;
    for (const { writer } of files.values()) {
      sum += writer.pendingBytes;
      if (largest === undefined || writer.pendingBytes > largest.pendingBytes) largest = writer;
    }
    if (sum >= this.#options.pendingMaxBytes) largest?.flush();
  }

  #open({ epoch }: Cut, first: LogPosition): OpenFile {
    const { site, origin, format, parquet } = this.#options;
    const file = this.#ports.spool.create();
    const sink = (bytes: Uint8Array): void => file.append(bytes);
    const facts = { site, origin, epoch };
    const writer =
      format === 'parquet' ? new ParquetRows(sink, facts, parquet, this.#rest) : new NdjsonRows(sink, facts);
    return { file, writer, first, last: first };
  }

  async #finish(
    partition: string,
    { file, writer, first, last }: OpenFile,
    { epoch }: Cut,
  ): Promise<BuiltObject> {
    const { rows } = writer.finish();
    const { body, sha256, keyId } = await file.finish();
    const { origin, format } = this.#options;
    const key = objectKey(partition, { origin, epoch: epoch.counter, first, last, sha256, format });
    return { key, length: body.length, rows, sha256, keyId, body };
  }
}
