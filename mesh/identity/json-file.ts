/**
 * The form of the small files of the mesh: a line of JSON, and a line with a checksum over it. A file that was cut, mixed up or
 * edited by hand does not have it.
 */
import { createHash } from 'node:crypto';
import { SprawlError } from '../../lib/contracts/errors.js';

export const MESH_FORMAT_VERSION = 1;
const CHECK_DIGITS = 16;

export function checkOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, CHECK_DIGITS);
}

/** @param value what JSON can say, without `version` */
export function sealJson(value: Readonly<Record<string, unknown>>): Uint8Array {
  const body = JSON.stringify({ version: MESH_FORMAT_VERSION, ...value });
  return Buffer.from(`${body}\n${checkOf(body)}\n`, 'utf8');
}

/** @returns undefined where the bytes are damaged. @throws SprawlError STORAGE_FORMAT_NEWER. @param path for the error */
export function unsealJson(
  bytes: Uint8Array,
  path: string,
): Readonly<Record<string, unknown>> | undefined {
  const [body = '', check = '', rest, ...more] = Buffer.from(bytes).toString('utf8').split('\n');
  if (check !== checkOf(body) || rest !== '' || more.length > 0) return undefined;
  const value = JSON.parse(body) as Record<string, unknown>;
  const { version } = value;
  if (typeof version !== 'number' || version > MESH_FORMAT_VERSION) {
    throw new SprawlError(
      'STORAGE_FORMAT_NEWER',
      `${path} has format ${String(version)}, this version reads up to ${MESH_FORMAT_VERSION}; start the version that wrote it, or restore a backup`,
      { details: { path, version } },
    );
  }
  return value;
}
