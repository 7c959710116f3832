import { SprawlError } from '../../lib/contracts/errors.js';
import type { FileSystem } from '../files/file-system.js';
import { readText, replaceText } from '../files/text-file.js';
import { LOG_IDENTITY_BYTES, parseSegmentFileName } from '../log/segment-header.js';
import { readSegmentHeader } from '../log/segment.js';
import { listSnapshots, snapshotIdentity } from '../state/snapshot.js';
import type { Layout } from './layout.js';

/** Of everything in the data folder together. */
export const STORE_FORMAT_VERSION = 1;

export interface Identity {
  /** Of LOG_IDENTITY_BYTES. */
  readonly id: Uint8Array;
  /** Nothing was ever stored under it. */
  readonly isNew: boolean;
}

/**
 * Reads who the data folder belongs to; makes an identity for a new one. Where the file is gone and there is data, the data tells.
 *
 * @throws SprawlError STORAGE_FORMAT_NEWER, STORAGE_CORRUPT, STORAGE_IO, STORAGE_FULL, BACKUP_UNFINISHED
 */
export async function openIdentity(
  files: FileSystem,
  layout: Layout,
  randomBytes: (size: number) => Uint8Array,
): Promise<Identity> {
  if ((await readText(files, layout.restoring)) !== undefined) {
    throw new SprawlError(
      'BACKUP_UNFINISHED',
      `${layout.folder} is only half restored from a backup: run "sprawl-edge restore" again, it goes on where it was`,
      { details: { folder: layout.folder } },
    );
  }
  const known = await readIdentity(files, layout);
  if (known !== undefined) return { id: known, isNew: false };
  const adopted = await identityOfData(files, layout);
  const id = adopted ?? randomBytes(LOG_IDENTITY_BYTES);
  await writeIdentity(files, layout, id);
  return { id, isNew: adopted === undefined };
}

/** @returns undefined where there is no such file. @throws SprawlError as `openIdentity` */
export async function readIdentity(files: FileSystem, layout: Layout): Promise<Uint8Array | undefined> {
  const text = await readText(files, layout.identity);
  if (text === undefined) return undefined;
  const { id, formatVersion } = parse(text, layout.identity);
  if (formatVersion > STORE_FORMAT_VERSION) {
    throw new SprawlError(
      'STORAGE_FORMAT_NEWER',
      `${layout.folder} has format ${formatVersion}, this version reads up to ${STORE_FORMAT_VERSION}; start the version that wrote it, or restore a backup`,
      { details: { version: formatVersion, supported: STORE_FORMAT_VERSION } },
    );
  }
  return id;
}

function parse(text: string, path: string): { readonly id: Uint8Array; readonly formatVersion: number } {
  try {
    const { id, formatVersion } = JSON.parse(text) as { id?: unknown; formatVersion?: unknown };
    const bytes = typeof id === 'string' ? Buffer.from(id, 'hex') : undefined;
    if (bytes?.length === LOG_IDENTITY_BYTES && typeof formatVersion === 'number')
      return { id: bytes, formatVersion };
  } catch {
    // Said below.
  }
  throw new SprawlError(
    'STORAGE_CORRUPT',
    `${path} is damaged; remove it: the identity is read from the data then`,
    { details: { path } },
  );
}

/** @throws SprawlError STORAGE_FULL, STORAGE_IO */
export async function writeIdentity(files: FileSystem, layout: Layout, id: Uint8Array): Promise<void> {
  const text = `${JSON.stringify({ id: Buffer.from(id).toString('hex'), formatVersion: STORE_FORMAT_VERSION })}\n`;
  await replaceText(files, layout.identity, text);
}

/** Of the newest segment whose header can be read, or of the newest snapshot. */
export async function identityOfData(files: FileSystem, layout: Layout): Promise<Uint8Array | undefined> {
  const names = (await files.list(layout.log)).filter((name) => parseSegmentFileName(name) !== undefined);
  for (const name of names.reverse()) {
    const path = `${layout.log}/${name}`;
    const file = await files.open(path, 'read');
    try {
      const header = await readSegmentHeader(file, path);
      if (header !== undefined) return Uint8Array.from(header.identity);
    } finally {
      await file.close();
    }
  }
  for (const snapshot of await listSnapshots(files, layout.snapshots)) {
    const identity = await snapshotIdentity(files, snapshot);
    if (identity !== undefined) return identity;
  }
  return undefined;
}
