/** Archives for tests, made as a gateway makes them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BuilderOptions, CutBuilder } from '../../bridge/archive/cut-builder.js';
import { SealedSpool } from '../../bridge/archive/encryption/sealed-spool.js';
import { Manifest } from '../../bridge/archive/manifest.js';
import { type PositionRange, writtenObject } from '../../bridge/archive/manifest-entry.js';
import type { ObjectStore } from '../../bridge/archive/object-store.js';
import { PARQUET_DEFAULTS } from '../../bridge/archive/parquet-options.js';
import type { ArchiveRow } from '../../bridge/archive/row.js';
import { FolderSpool, type Spool } from '../../bridge/archive/spool.js';
import type { Epoch } from '../../lib/contracts/epoch.js';
import { type GatewayId, gatewayIdOf } from '../../lib/contracts/gateway-id.js';

export const ORIGIN = gatewayIdOf(new Uint8Array(32).fill(0xab));
export const OTHER = gatewayIdOf(new Uint8Array(32).fill(0xcd));
export const FIRST_LIFE: Epoch = { counter: 1, nonce: '00000000000000aa' };
/** 2026-11-29T00:00:00Z. */
export const START_MS = Date.UTC(2026, 10, 29);
export const HOUR_MS = 3_600_000;

export function rowOf(sequence: number, more: Partial<ArchiveRow> = {}): ArchiveRow {
  return {
    ...{ timeMs: START_MS + sequence * 1000, sequence, topic: `site/${'abc'[sequence % 3]}`, qos: 1 },
    ...{ retain: false, properties: undefined, payload: Buffer.from(`{"n":${sequence}}`) },
    ...more,
  };
}

export const rowsOf = (first: number, last: number, more: Partial<ArchiveRow> = {}): ArchiveRow[] =>
  Array.from({ length: last - first + 1 }, (_, n) => rowOf(first + n, more));

export interface CutOptions {
  readonly epoch?: Epoch;
  readonly lost?: readonly PositionRange[];
  /** What the manifest says where it is not what was built. */
  readonly after?: number;
  readonly rows?: number;
  /** Fingerprint. */
  readonly config?: string;
}

/** What one gateway archives. */
export class ArchiveWorld {
  readonly manifest: Manifest;
  /** Keys of the objects, in the order in which they were made. */
  readonly keys: string[] = [];
  readonly #store: ObjectStore;
  readonly #options: BuilderOptions;
  readonly #spool: Spool;

  constructor(
    t: { teardown(done: () => void): void },
    store: ObjectStore,
    options: Partial<BuilderOptions> = {},
    origin: GatewayId = ORIGIN,
    manifest = new Manifest(store, origin),
  ) {
    const folder = mkdtempSync(join(tmpdir(), 'sprawl-archive-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    this.#spool = new SealedSpool(new FolderSpool(join(folder, 'spool')), () => store.keys?.[0]);
    this.#store = store;
    this.manifest = manifest;
    this.#options = {
      ...{ site: 'harbour', origin, format: 'parquet', parquet: PARQUET_DEFAULTS },
      ...{ partitions: { by: 'day', topicLevels: 2 }, pendingMaxBytes: 1_000_000 },
      ...options,
    };
  }

  /** One entry that ends at `upTo` and has these rows. */
  async cut(upTo: number, rows: readonly ArchiveRow[], options: CutOptions = {}): Promise<void> {
    const { epoch = FIRST_LIFE, lost = [], after = this.manifest.tip.upTo, config = 'c' } = options;
    const read = async function* () {
      yield { rows, lost };
    };
    const builder = new CutBuilder({ spool: this.#spool, read }, this.#options);
    const cut = { epoch, after, upTo, atMs: 0, config };
    const built = await builder.build(cut);
    for (const { key, body } of built.objects) {
      await this.#store.create(key, body);
      this.keys.push(key);
    }
    const objects = built.objects.map((object) =>
      writtenObject({ ...object, rows: options.rows ?? object.rows }),
    );
    const sum = objects.reduce((total, { rows: count }) => total + count, 0);
    await this.manifest.append({ ...cut, lost: built.lost, rows: sum, objects, by: this.#options.origin });
    await built.dispose();
  }
}
