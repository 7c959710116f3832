/** Where an archive is, as people write it down. */
import { fileURLToPath } from 'node:url';
import { FileObjectStore } from './file-object-store.js';
import type { ObjectStore } from './object-store.js';

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

const S3 = /^s3:\/\/([^/]+)(?:\/(.*?))?\/*$/;

/** @throws RangeError for a target that the configuration should not have let through */
export async function openTarget({ target, s3 }: TargetSettings): Promise<OpenTarget> {
  if (target.startsWith('file://'))
    return { objects: new FileObjectStore(fileURLToPath(target)), close: () => undefined };
  const [, bucket, prefix = ''] = S3.exec(target) ?? [];
  if (bucket === undefined) throw new RangeError(`${target} is no target of an archive`);
  // Some thirty megabytes that nobody needs who writes to a folder.
  const { S3ObjectStore } = await import('./s3-object-store.js');
  const { endpoint, region = '', pathStyle = endpoint !== undefined, ca, timeoutMs, partBytes } = s3;
  const objects = new S3ObjectStore({
    bucket,
    prefix,
    region,
    endpoint,
    pathStyle,
    ca,
    timeoutMs,
    partBytes,
  });
  return { objects, close: () => objects.close() };
}
