/**
 * Makes one object of several: reads their rows, checked against their SHA-256, writes them once more, and reads back what the store has of it
 * before anybody builds on it. In memory is one source of up to 16 MiB, or a row group of a larger one, and a row group of what is written.
 */
import { createHash, type Hash } from 'node:crypto';
import type { Epoch } from '../../../lib/contracts/epoch.js';
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import { type ArchivedObject, writtenObject } from '../manifest-entry.js';
import { NdjsonRows } from '../ndjson-writer.js';
import { type FileFormat, objectKey, parseObjectKey } from '../object-key.js';
import type { ObjectBody, ObjectStore } from '../object-store.js';
import type { ParquetOptions } from '../parquet-options.js';
import { ParquetRows } from '../parquet-writer.js';
import type { ExtractedColumn, RowWriter } from '../row.js';
import type { Spool, SpoolFile } from '../spool.js';
import { readWhole } from '../reading/archive-reader.js';
import { ObjectDamage } from '../reading/checked-object.js';
import { SequenceSet } from '../reading/sequence-set.js';
import type { StoredRow } from '../reading/stored-row.js';
import type { Pile } from './merge-plan.js';

export interface PileMergerPorts {
  readonly store: ObjectStore;
  readonly spool: Spool;
  /** Bytes of sources that were read. */
  onRead(bytes: number): void;
}

export interface PileOptions {
  readonly origin: GatewayId;
  readonly epoch: Epoch;
  /** Number of the merge that will name the objects. */
  readonly merge: number;
  /** Columns are those of the sources. */
  readonly parquet: Omit<ParquetOptions, 'columns'>;
}

interface BuiltFile extends ArchivedObject {
  readonly body: ObjectBody;
}

/**
 * @returns the objects that have the rows now, each there for good and read back; undefined: they would not be fewer
 * @throws ObjectDamage for a source, or for what was written; ObjectFault. Nothing names what was made then
 */
export async function mergePile(
  ports: PileMergerPorts,
  pile: Pile,
  options: PileOptions,
): Promise<readonly ArchivedObject[] | undefined> {
  const build = new PileBuild(ports, pile, options);
  try {
    const files = await build.run();
    if (files.length >= pile.sources.length && !pile.isOutdated) return undefined;
    for (const { key, body } of files) await ports.store.create(key, body);
    const objects = files.map(writtenObject);
    await readBack(ports.store, objects, build.seen, build.digest());
    return objects;
  } finally {
    await build.dispose();
  }
}

/** @throws ObjectDamage where the rows are not exactly those that were read, each once and in order */
async function readBack(
  store: ObjectStore,
  objects: readonly ArchivedObject[],
  expected: SequenceSet,
  digest: string,
): Promise<void> {
  const seen = new SequenceSet();
  const rows = new RowDigest();
  for (const object of objects) {
    const fault = (reason: string): never => {
      throw new ObjectDamage(object.key, `was written by the merge, and ${reason}: nothing was replaced`);
    };
    let count = 0;
    for await (const batch of (await readWhole(store, object)).batches)
      for (const row of batch) {
        count++;
        if (!expected.has(row.sequence)) fault(`has position ${row.sequence}, which no source has`);
        if (!seen.add(row.sequence)) fault(`has position ${row.sequence} twice`);
        rows.add(row);
      }
    if (count !== object.rows) fault(`has ${count} rows and not ${object.rows}`);
  }
  const [last] = objects.slice(-1);
  if (last === undefined || seen.count !== expected.count || rows.finish() !== digest)
    throw new ObjectDamage(
      last?.key ?? '',
      'and the others of its merge do not have the rows of their sources',
    );
}

interface OpenFile {
  readonly site: string;
  readonly layout: string;
  readonly file: SpoolFile;
  readonly writer: RowWriter;
  readonly first: number;
  last: number;
}

class PileBuild {
  readonly seen = new SequenceSet();
  readonly #ports: PileMergerPorts;
  readonly #pile: Pile;
  readonly #options: PileOptions;
  readonly #format: FileFormat;
  readonly #rows = new RowDigest();
  readonly #spooled: SpoolFile[] = [];
  readonly #closed: OpenFile[] = [];
  #open: OpenFile | undefined;
  #last = -1;

  constructor(ports: PileMergerPorts, pile: Pile, options: PileOptions) {
    this.#ports = ports;
    this.#pile = pile;
    this.#options = options;
    this.#format = parseObjectKey(pile.sources[0]?.key ?? '')?.format ?? 'parquet';
  }

  async run(): Promise<readonly BuiltFile[]> {
    for (const source of this.#pile.sources) {
      const { columns, batches } = await readWhole(this.#ports.store, source);
      const layout = JSON.stringify(columns);
      let count = 0;
      for await (const batch of batches) {
        for (const row of batch) this.#add(row, source.key, columns, layout);
        count += batch.length;
      }
      if (count !== source.rows)
        throw new ObjectDamage(source.key, `has ${count} rows, and ${source.rows} were archived`);
      this.#ports.onRead(source.length);
    }
    this.#close();
    const built: BuiltFile[] = [];
    for (const file of this.#closed) built.push(await this.#finish(file));
    return built;
  }

  digest(): string {
    return this.#rows.finish();
  }

  async dispose(): Promise<void> {
    for (const file of this.#spooled) await file.remove();
  }

  #add(row: StoredRow, key: string, columns: readonly ExtractedColumn[], layout: string): void {
    const { sequence, facts } = row;
    const { origin, epoch } = this.#options;
    if (facts.origin !== origin || facts.epoch.counter !== epoch.counter)
      throw new ObjectDamage(key, `has a row of ${facts.origin} in life ${facts.epoch.counter}`);
    if (sequence <= this.#last)
      throw new ObjectDamage(key, `has position ${sequence} behind position ${this.#last}`);
    let open = this.#open;
    // A file has one name of the gateway, and the same columns in all rows.
    if (open === undefined || open.site !== facts.site || open.layout !== layout) {
      this.#close();
      open = this.#create(facts.site, columns, layout, sequence);
      this.#open = open;
    }
    open.writer.add(row);
    open.last = sequence;
    this.#last = sequence;
    this.seen.add(sequence);
    this.#rows.add(row);
  }

  #create(site: string, columns: readonly ExtractedColumn[], layout: string, first: number): OpenFile {
    const { origin, epoch, parquet } = this.#options;
    const file = this.#ports.spool.create();
    this.#spooled.push(file);
    const sink = (bytes: Uint8Array): void => file.append(bytes);
    const facts = { site, origin, epoch };
    const writer =
      this.#format === 'parquet'
        ? new ParquetRows(sink, facts, { ...parquet, columns })
        : new NdjsonRows(sink, facts);
    return { site, layout, file, writer, first, last: first };
  }

  /** Nothing comes into the open file any more. */
  #close(): void {
    if (this.#open !== undefined) this.#closed.push(this.#open);
    this.#open?.writer.flush();
    this.#open = undefined;
  }

  async #finish({ file, writer, first, last }: OpenFile): Promise<BuiltFile> {
    const { rows } = writer.finish();
    const { body, sha256, keyId } = await file.finish();
    const { origin, epoch, merge } = this.#options;
    const name = { origin, epoch: epoch.counter, first, last, sha256, format: this.#format, merge };
    const key = objectKey(this.#pile.partition, name);
    return { key, length: body.length, rows, sha256, keyId, body };
  }
}

/** SHA-256 of everything that is in rows, in their order. */
class RowDigest {
  readonly #hash: Hash = createHash('sha256');

  add({ facts, timeMs, sequence, topic, qos, retain, properties, payload, extracted }: StoredRow): void {
    const values = extracted?.map((value) => (typeof value === 'bigint' ? `${value}n` : value));
    const fields = [facts.site, timeMs, sequence, topic, qos, retain, properties, values, payload.length];
    this.#hash.update(JSON.stringify(fields)).update(payload);
  }

  finish(): string {
    return this.#hash.digest('hex');
  }
}
