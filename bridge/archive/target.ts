/** Where an archive is, as people write it down. */
import { fileURLToPath } from 'node:url';
import type { MasterKey } from '../../lib/contracts/master-key.js';
import { FILE_CHUNK_BYTES, FileObjectStore, rootFault } from './file-object-store.js';
import type { ObjectStore } from './object-store.js';
import type { S3Options } from './s3-connection.js';
import type { S3Lifecycle } from './s3-lifecycle.js';

export interface TargetSettings {
  /** `file:///folder` or `s3://bucket/prefix`. */
  readonly target: string;
  readonly s3: S3Settings;
}

export interface S3Settings {
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  /** Default: true where there is an endpoint. */
  readonly pathStyle?: boolean | undefined;
  /** PEM. */
  readonly ca?: string | undefined;
  readonly timeoutMs: number;
  readonly partBytes: number;
}

export interface OpenTarget {
  readonly objects: ObjectStore;
  close(): void;
}

const FILES = 'file://';
const S3 = /^s3:\/\/([^/]+)(?:\/(.*?))?\/*$/;

/**
 * @param keys see ObjectStore.keys
 * @throws RangeError for a target that the configuration should not have let through
 */
export async function openTarget(
  { target, s3 }: TargetSettings,
  keys: readonly MasterKey[] = [],
): Promise<OpenTarget> {
  if (target.startsWith(FILES))
    return { objects: new FileObjectStore(fileURLToPath(target), undefined, keys), close: () => undefined };
  const options = s3OptionsOf(target, s3);
  // Some thirty megabytes that nobody needs who writes to a folder.
  const { S3ObjectStore } = await import('./s3-object-store.js');
  const objects = new S3ObjectStore(options, keys);
  return { objects, close: () => objects.close() };
}

/** Where it is a folder, why none can be begun there: `rootFault`. Else undefined. */
export async function folderFault(target: string): Promise<string | undefined> {
  return target.startsWith(FILES) ? rootFault(fileURLToPath(target)) : undefined;
}

/** What the store reads of a body at once at most. */
export function pieceBytesOf({ target, s3 }: TargetSettings): number {
  return target.startsWith(FILES) ? FILE_CHUNK_BYTES : s3.partBytes;
}

/** @returns undefined: it is a folder, which has no rules @throws RangeError as `openTarget` */
export async function openLifecycle({ target, s3 }: TargetSettings): Promise<S3Lifecycle | undefined> {
  if (target.startsWith(FILES)) return undefined;
  const options = s3OptionsOf(target, s3);
  const { S3Lifecycle } = await import('./s3-lifecycle.js');
  return new S3Lifecycle(options);
}

function s3OptionsOf(target: string, s3: S3Settings): S3Options {
  const [, bucket, prefix = ''] = S3.exec(target) ?? [];
  if (bucket === undefined) throw new RangeError(`${target} is no target of an archive`);
  const { endpoint, region = '', pathStyle = endpoint !== undefined, ca, timeoutMs, partBytes } = s3;
  return { bucket, prefix, region, endpoint, pathStyle, ca, timeoutMs, partBytes };
}
