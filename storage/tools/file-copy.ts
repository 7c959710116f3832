import { createHash } from 'node:crypto';
import { SprawlError } from '../../lib/contracts/errors.js';
import type { FileSystem } from '../files/file-system.js';

const BUFFER_BYTES = 1_048_576;

/** Called with the bytes that were read since the last call. */
export type OnBytes = (bytes: number) => void;

export interface Copied {
  readonly bytes: number;
  /** Of what was read, in hexadecimal. */
  readonly sha256: string;
}

/**
 * Copies the first `bytes` of a file, undefined: all of them. `to` has its name only once it is whole and synced. @throws SprawlError STORAGE_MISSING, STORAGE_CORRUPT where the file is shorter, STORAGE_FULL, STORAGE_IO
 */
export async function copyFile(
  files: FileSystem,
  from: string,
  to: string,
  wanted: number | undefined,
  onBytes: OnBytes,
): Promise<Copied> {
  const part = `${to}.part`;
  const folder = to.slice(0, to.lastIndexOf('/'));
  await files.makeFolder(folder);
  await files.remove(part);
  const source = await files.open(from, 'read');
  try {
    const bytes = wanted ?? (await source.size());
    const target = await files.open(part, 'create');
    const hash = createHash('sha256');
    try {
      const buffer = Buffer.allocUnsafe(Math.min(BUFFER_BYTES, Math.max(1, bytes)));
      for (let at = 0; at < bytes;) {
        const length = await source.read(buffer.subarray(0, Math.min(buffer.length, bytes - at)), at);
        if (length === 0) throw tooShort(from, bytes, at);
        hash.update(buffer.subarray(0, length));
        await target.write(buffer.subarray(0, length), at);
        at += length;
        onBytes(length);
      }
      await target.sync();
    } finally {
      await target.close();
    }
    await files.rename(part, to);
    await files.syncFolder(folder);
    return { bytes, sha256: hash.digest('hex') };
  } finally {
    await source.close();
  }
}

/** SHA-256 of the first `bytes`. @returns undefined where the file is shorter or is not there. @throws SprawlError STORAGE_IO */
export async function hashFile(
  files: FileSystem,
  path: string,
  bytes: number,
  onBytes: OnBytes,
): Promise<string | undefined> {
  const file = await files.open(path, 'read').catch((error: unknown) => {
    if (error instanceof SprawlError && error.code === 'STORAGE_MISSING') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(Math.min(BUFFER_BYTES, Math.max(1, bytes)));
    for (let at = 0; at < bytes;) {
      const length = await file.read(buffer.subarray(0, Math.min(buffer.length, bytes - at)), at);
      if (length === 0) return undefined;
      hash.update(buffer.subarray(0, length));
      at += length;
      onBytes(length);
    }
    return hash.digest('hex');
  } finally {
    await file.close();
  }
}

function tooShort(path: string, bytes: number, at: number): SprawlError {
  return new SprawlError('STORAGE_CORRUPT', `${path} ends after ${at} bytes, it should have ${bytes}`, {
    details: { path, bytes, at },
  });
}
