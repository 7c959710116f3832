/** The log of a data folder that no gateway uses, for those who read what its gateway took in. Nothing is changed, and nothing repaired. */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { OwnMessages, OwnReadOptions } from '../../lib/contracts/streams.js';
import type { Layout } from '../disk/layout.js';
import { readOwn } from '../disk/own-reader.js';
import type { FileSystem } from '../files/file-system.js';
import { crc32c } from '../log/crc32c.js';
import { LogReader } from '../log/log-reader.js';
import { openSegment } from '../log/recovery.js';
import { parseSegmentFileName, type SegmentHeader } from '../log/segment-header.js';
import { readSegmentHeader, type Segment } from '../log/segment.js';
import { TextCache } from '../records/text-cache.js';
import { expectDataFolder, openVault, type ToolParts, whileLooking } from './data-folder.js';
import { lookAtIdentity } from './folder-identity.js';

/** Topics and client ids that are decoded once. */
const TEXTS_MAX_COUNT = 16_384;

export interface FolderLog {
  /** The first position that the log still has. */
  readonly first: LogPosition;
  /** The last one; 0: the log is empty. */
  readonly committed: LogPosition;
  /** As Store.readOwn. @throws SprawlError STORAGE_IO */
  readOwn(from: LogPosition, maxBytes: number, options?: OwnReadOptions): Promise<OwnMessages>;
}

/**
 * Runs `task` on the log, and no gateway starts on the folder meanwhile.
 * @param task `undefined`: a gateway uses the folder
 * @throws SprawlError STORAGE_MISSING, STORAGE_CORRUPT where nothing tells whose the log is, STORAGE_FORMAT_NEWER, STORAGE_IO, STORAGE_KEY_…
 */
export async function withOwnLog<T>(
  parts: ToolParts,
  task: (log: FolderLog | undefined) => Promise<T>,
): Promise<T> {
  const layout = await expectDataFolder(parts);
  return whileLooking(parts, layout, async (isInUse) => {
    if (isInUse) return task(undefined);
    const reader = await openReader(parts, layout);
    try {
      return await task(reader.log);
    } finally {
      await reader.close();
    }
  });
}

async function openReader(
  parts: ToolParts,
  layout: Layout,
): Promise<{ readonly log: FolderLog; close(): Promise<void> }> {
  const { files } = parts;
  const { id } = await lookAtIdentity(files, layout);
  if (id === undefined)
    throw new SprawlError(
      'STORAGE_CORRUPT',
      `nothing in ${layout.folder} tells whose log it has: "sprawl-edge storage verify" says what is damaged`,
      { details: { folder: layout.folder } },
    );
  const vault = await openVault(parts, layout);
  const seed = crc32c(id, 0, id.length);
  const found = await findSegments(files, layout.log, id);
  const segments: Segment[] = [];
  for (const [i, { path, header }] of found.entries()) {
    const following = found[i + 1]?.header.first;
    segments.push((await openSegment(files, path, header, following, seed, vault)).segment);
  }
  const committed = (segments.at(-1)?.next ?? 1) - 1;
  const reader = new LogReader(files, segments, seed, () => committed, vault);
  const readable = { log: { reader, committed }, texts: new TextCache(TEXTS_MAX_COUNT) };
  const log: FolderLog = {
    ...{ first: reader.first, committed },
    readOwn: (from, maxBytes, options) => readOwn(readable, from, maxBytes, options),
  };
  return { log, close: () => reader.close() };
}

/** Those whose header is whole, oldest first: what is in others is missing. */
async function findSegments(
  files: FileSystem,
  folder: string,
  identity: Uint8Array,
): Promise<readonly { readonly path: string; readonly header: SegmentHeader }[]> {
  const found: { path: string; header: SegmentHeader }[] = [];
  for (const name of await files.list(folder)) {
    const first = parseSegmentFileName(name);
    if (first === undefined) continue;
    const path = `${folder}/${name}`;
    const file = await files.open(path, 'read');
    try {
      const header = await readSegmentHeader(file, path);
      if (header?.first === first && Buffer.compare(header.identity, identity) === 0)
        found.push({ path, header });
    } finally {
      await file.close();
    }
  }
  return found;
}
