import { SprawlError } from '../../lib/contracts/errors.js';
import type { FileSystem } from '../files/file-system.js';
import { readText, replaceText } from '../files/text-file.js';
import { crc32c } from '../log/crc32c.js';
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
  /** What was wrong with the file, so that it was made again from the data; undefined: nothing, or there is no data. */
  readonly fault: string | undefined;
}

/**
 * Reads who the data folder belongs to; makes an identity for a new one. Where the file is gone or damaged and there is data, the
 * data tells.
 *
 * @throws SprawlError STORAGE_FORMAT_NEWER, STORAGE_IO, STORAGE_FULL
 */
export async function openIdentity(
  files: FileSystem,
  layout: Layout,
  randomBytes: (size: number) => Uint8Array,
): Promise<Identity> {
  let fault = 'it is missing';
  let isNew = false;
  try {
    const known = await readIdentity(files, layout);
    if (known !== undefined) return { id: known, isNew: false, fault: undefined };
    isNew = true;
  } catch (error) {
    if (!(error instanceof SprawlError) || error.code !== 'STORAGE_CORRUPT') throw error;
    fault = 'it is damaged';
  }
  const adopted = await identityOfData(files, layout);
  const id = adopted ?? randomBytes(LOG_IDENTITY_BYTES);
  await writeIdentity(files, layout, id);
  return { id, isNew: isNew && adopted === undefined, fault: adopted === undefined ? undefined : fault };
}

/** @throws SprawlError BACKUP_UNFINISHED where somebody has begun to make the folder, and not finished; STORAGE_IO */
export async function expectFinished(files: FileSystem, layout: Layout): Promise<void> {
  if ((await readText(files, layout.restoring)) === undefined) return;
  throw new SprawlError(
    'BACKUP_UNFINISHED',
    `${layout.folder} is only half restored: run the same "sprawl-edge restore" again`,
    { details: { folder: layout.folder } },
  );
}

/** @returns undefined where there is no such file. @throws SprawlError STORAGE_CORRUPT, STORAGE_FORMAT_NEWER, STORAGE_IO */
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
    const { id, formatVersion, crc } = JSON.parse(text) as Partial<Record<string, unknown>>;
    const bytes = typeof id === 'string' ? Buffer.from(id, 'hex') : undefined;
    if (
      bytes?.length === LOG_IDENTITY_BYTES &&
      typeof formatVersion === 'number' &&
      crc === crcOf(bytes, formatVersion)
    )
      return { id: bytes, formatVersion };
  } catch {
    // Said below.
  }
  throw new SprawlError(
    'STORAGE_CORRUPT',
    `${path} is damaged; the next start makes it again from the data`,
    { details: { path } },
  );
}

/** @throws SprawlError STORAGE_FULL, STORAGE_IO */
export async function writeIdentity(files: FileSystem, layout: Layout, id: Uint8Array): Promise<void> {
  const formatVersion = STORE_FORMAT_VERSION;
  const identity = { id: Buffer.from(id).toString('hex'), formatVersion, crc: crcOf(id, formatVersion) };
  await replaceText(files, layout.identity, `${JSON.stringify(identity)}\n`);
}

/** A changed digit would make the data that of another gateway, or of a newer version: every version writes this, in this way. */
function crcOf(id: Uint8Array, formatVersion: number): number {
  const text = Buffer.from(`${Buffer.from(id).toString('hex')} ${formatVersion}`, 'latin1');
  return crc32c(text, 0, text.length);
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
