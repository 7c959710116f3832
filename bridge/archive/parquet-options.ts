/** How Parquet files are written. The gateway knows this; the writer itself only its thread loads. */
import type { ExtractedColumn } from './row.js';

export type Compression = 'snappy' | 'zstd' | 'none';

export interface ParquetOptions {
  readonly compression: Compression;
  /** Of one row group. */
  readonly groupMaxRows: number;
  /** Of the payloads of one row group. */
  readonly groupMaxBytes: number;
  readonly columns: readonly ExtractedColumn[];
}

export const PARQUET_DEFAULTS: ParquetOptions = {
  compression: 'snappy',
  groupMaxRows: 8192,
  groupMaxBytes: 8 * 1024 * 1024,
  columns: [],
};
