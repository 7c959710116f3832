/**
 * What decides which messages of a gateway are rows of its archive, and how they are laid out. Entries of the manifest name it by its fingerprint, and the
 * archive has it under that name: whoever looks whether the archive is complete, or finishes it for a gateway that is gone, knows what belongs there.
 *
 *     manifest/<origin>/configs/3f2a9c0d11e84b57.json
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { hashOf, isCount, isRecord, ManifestFault } from './manifest-entry.js';
import type { FileFormat, PartitionScheme } from './object-key.js';
import { bodyOf, type ObjectStore } from './object-store.js';
import type { Compression } from './parquet-options.js';
import type { ExtractedColumn } from './row.js';

export interface ArchiveConfig {
  /** Filters. */
  readonly topics: readonly string[];
  readonly format: FileFormat;
  readonly compression: Compression;
  readonly partitions: PartitionScheme;
  readonly columns: readonly ExtractedColumn[];
  readonly site: string;
}

const FORMAT = 1;
const FINGERPRINT_CHARACTERS = 16;
const FORMATS: readonly FileFormat[] = ['parquet', 'ndjson'];
const COMPRESSIONS: readonly Compression[] = ['snappy', 'zstd', 'none'];
const TYPES: readonly ExtractedColumn['type'][] = ['double', 'integer', 'boolean', 'text'];

/** Always the same bytes for the same settings. */
export function encodeConfig(config: ArchiveConfig): Uint8Array {
  const { topics, format: written, compression, partitions, columns, site } = config;
  const text = JSON.stringify({
    ...{ format: FORMAT, topics, files: written, compression },
    partitions: { by: partitions.by, topicLevels: partitions.topicLevels },
    columns: columns.map(({ name, path, type }) => ({ name, path, type })),
    site,
  });
  return Buffer.from(`${text}\n`, 'utf8');
}

/** See ManifestEntry.config. */
export function fingerprintOf(config: ArchiveConfig): string {
  return hashOf(encodeConfig(config)).slice(0, FINGERPRINT_CHARACTERS);
}

/** Is there before the first entry that names it. @throws ObjectFault */
export async function keepConfig(
  objects: ObjectStore,
  origin: GatewayId,
  config: ArchiveConfig,
): Promise<void> {
  await objects.create(configKey(origin, fingerprintOf(config)), bodyOf(encodeConfig(config)));
}

/**
 * @returns undefined: it is not there. Versions up to 0.1.0 kept none.
 * @throws ObjectFault; ManifestFault where it is not what was written. `number` of it is that of the entry that asks
 */
export async function readConfig(
  objects: ObjectStore,
  origin: GatewayId,
  { config: fingerprint, number }: { readonly config: string; readonly number: number },
): Promise<ArchiveConfig | undefined> {
  const bytes = await objects.read(configKey(origin, fingerprint));
  if (bytes === undefined) return undefined;
  const config = decodeConfig(bytes);
  if (config === undefined || fingerprintOf(config) !== fingerprint)
    throw new ManifestFault(origin, number, `was made with configuration ${fingerprint}, which was changed`);
  return config;
}

function configKey(origin: GatewayId, fingerprint: string): string {
  return `manifest/${origin}/configs/${fingerprint}.json`;
}

/** @returns undefined: they are not what `encodeConfig` made */
export function decodeConfig(bytes: Uint8Array): ArchiveConfig | undefined {
  let fields: unknown;
  try {
    fields = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isRecord(fields) || fields['format'] !== FORMAT) return undefined;
  const { topics, files, compression, partitions, columns, site } = fields;
  const format = FORMATS.find((one) => one === files);
  const packed = COMPRESSIONS.find((one) => one === compression);
  const scheme = isRecord(partitions) ? schemeOf(partitions) : undefined;
  if (!isTexts(topics) || format === undefined || packed === undefined || scheme === undefined)
    return undefined;
  if (!Array.isArray(columns) || !columns.every(isColumn) || typeof site !== 'string') return undefined;
  return { topics, format, compression: packed, partitions: scheme, columns, site };
}

function schemeOf({ by, topicLevels }: Readonly<Record<string, unknown>>): PartitionScheme | undefined {
  return (by === 'day' || by === 'hour') && isCount(topicLevels) ? { by, topicLevels } : undefined;
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');
const isColumn = (value: unknown): value is ExtractedColumn =>
  isRecord(value) &&
  typeof value['name'] === 'string' &&
  isTexts(value['path']) &&
  TYPES.some((one) => one === value['type']);
