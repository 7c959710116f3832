/**
 * Opens the segments of a log after whatever happened to them. Nothing is deleted but what was never acknowledged: the torn end of the
 * last commit, and a last segment whose creation did not finish. Everything else that is wrong is reported by its positions.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { FileSystem } from '../files/file-system.js';
import {
  parseSegmentFileName,
  SEGMENT_HEADER_BYTES,
  segmentFileName,
  type SegmentHeader,
  UNFINISHED_SUFFIX,
} from './segment-header.js';
import { repairSegmentHeader } from './header-repair.js';
import type { RecordCipher } from './record-cipher.js';
import { readSeal, readSegmentHeader, type Segment } from './segment.js';
import { SegmentIndex } from './segment-index.js';
import { scanSegment, type ScanResult } from './segment-scan.js';

/** Positions `first` to `last` are not to be had. */
export interface Loss {
  readonly first: LogPosition;
  readonly last: LogPosition;
  readonly path: string;
  /** `missingEnd`: the newest segment is missing; what was in it behind `last` is not known. */
  readonly cause: 'damaged' | 'missing' | 'missingEnd';
}

export interface RecoveryReport {
  readonly losses: readonly Loss[];
  /** Bytes at the end of the last commit that were cut off: nobody was told that they were stored. */
  readonly tornBytes: number;
  /** Segments with a damaged header, of which nothing else is missing. */
  readonly headersMadeAgain: readonly string[];
  /** Segments without a readable header or record, moved to `<name>.bad`. */
  readonly setAside: readonly string[];
}

export interface RecoveredLog {
  /** Oldest first. */
  readonly segments: Segment[];
  /** The last position that is stored; 0 in an empty log. */
  readonly last: LogPosition;
  /** Chain after `last`; where damage hides it, that of the records that are left. */
  readonly chain: number;
  /** Whether more records may be appended to the last segment. */
  readonly lastIsOpen: boolean;
  readonly floor: LogPosition;
  readonly report: RecoveryReport;
}

interface Found {
  readonly path: string;
  readonly header: SegmentHeader;
}

interface FoundSegments {
  readonly found: readonly Found[];
  /** Where the last one was to begin that holds nothing, and was removed. */
  readonly unfinished: LogPosition | undefined;
}

/** @throws SprawlError STORAGE_FORMAT_NEWER, STORAGE_FOREIGN (segments of another log), STORAGE_IO */
export async function recoverLog(
  files: FileSystem,
  folder: string,
  identity: Uint8Array,
  seed: number,
  cipher?: RecordCipher,
): Promise<RecoveredLog> {
  const setAside: string[] = [];
  const headersMadeAgain: string[] = [];
  const { found, unfinished } = await findSegments(files, folder, identity, { setAside, headersMadeAgain });
  const segments: Segment[] = [];
  const losses: Loss[] = [];
  let tornBytes = 0;
  let chain = 0;
  let lastIsOpen = false;
  for (const [i, { path, header }] of found.entries()) {
    const following = found[i + 1]?.header.first;
    const opened = await openSegment(files, path, header, following, seed, cipher);
    const { segment } = opened;
    segments.push(segment);
    const before = segments[i - 1];
    if (before !== undefined && before.next < header.first)
      losses.push({ first: before.next, last: header.first - 1, path: before.path, cause: 'missing' });
    for (const { first, last } of segment.damage) losses.push({ first, last, path, cause: 'damaged' });
    if (following === undefined) {
      ({ chain, tornBytes } = opened);
      lastIsOpen = !opened.sealed && segment.damage.length === 0;
      // Only one that another follows is sealed.
      const { next } = segment;
      if (opened.sealed && next !== unfinished)
        losses.push({
          first: next,
          last: next,
          path: `${folder}/${segmentFileName(next)}`,
          cause: 'missingEnd',
        });
    }
  }
  const last = segments[segments.length - 1];
  if (last !== undefined && tornBytes > 0 && lastIsOpen) await cutTail(files, last);
  return {
    segments,
    last: last === undefined ? 0 : last.next - 1,
    chain,
    lastIsOpen,
    floor: last?.header.floor ?? 1,
    report: { losses, tornBytes, setAside, headersMadeAgain },
  };
}

async function findSegments(
  files: FileSystem,
  folder: string,
  identity: Uint8Array,
  report: { readonly setAside: string[]; readonly headersMadeAgain: string[] },
): Promise<FoundSegments> {
  const found: Found[] = [];
  let unfinished: LogPosition | undefined;
  const all = await files.list(folder);
  // Of a compaction that did not finish, what it was made from is there; in a segment that was not begun there is nothing.
  for (const name of all) if (name.endsWith(UNFINISHED_SUFFIX)) await files.remove(`${folder}/${name}`);
  const names = all.filter((name) => parseSegmentFileName(name) !== undefined);
  for (const [i, name] of names.entries()) {
    const path = `${folder}/${name}`;
    const file = await files.open(path, 'read');
    let header: SegmentHeader | undefined;
    let size: number;
    try {
      header = await readSegmentHeader(file, path);
      size = await file.size();
    } finally {
      await file.close();
    }
    if (header === undefined || header.first !== parseSegmentFileName(name)) {
      // The last one with no more than a header was never finished, and holds nothing.
      if (i === names.length - 1 && size <= SEGMENT_HEADER_BYTES) {
        unfinished = parseSegmentFileName(name);
        await files.remove(path);
      } else if (await repairSegmentHeader(files, path, parseSegmentFileName(name) as number, identity, 0)) {
        report.headersMadeAgain.push(path);
        found.push({ path, header: await headerOf(files, path) });
        continue;
      } else {
        report.setAside.push(path);
        await files.rename(path, `${path}.bad`);
      }
      await files.syncFolder(folder);
      continue;
    }
    if (Buffer.compare(header.identity, identity) !== 0) {
      throw new SprawlError(
        'STORAGE_FOREIGN',
        `${path} belongs to the log of another gateway; move it away, or start with the data folder that it came from`,
        { details: { path } },
      );
    }
    found.push({ path, header });
  }
  return { found, unfinished };
}

async function headerOf(files: FileSystem, path: string): Promise<SegmentHeader> {
  const file = await files.open(path, 'read');
  try {
    const header = await readSegmentHeader(file, path);
    if (header === undefined)
      throw new SprawlError('STORAGE_IO', `the disk lost what was just written to ${path}`);
    return header;
  } finally {
    await file.close();
  }
}

export interface OpenedSegment {
  readonly segment: Segment;
  readonly chain: number;
  readonly tornBytes: number;
  readonly sealed: boolean;
}

/** By its seal where it has one and is not the last, else by reading it; nothing is changed. `following`: first position of the next segment. */
export async function openSegment(
  files: FileSystem,
  path: string,
  header: SegmentHeader,
  following: LogPosition | undefined,
  seed: number,
  cipher: RecordCipher | undefined,
): Promise<OpenedSegment> {
  const file = await files.open(path, 'read');
  try {
    const size = await file.size();
    // The seal says where the records are, not that they are whole: the last segment is read, the others when they are needed.
    const seal = following === undefined ? undefined : await readSeal(file, header, seed);
    if (seal !== undefined) {
      const { index, chain, next } = seal;
      const segment: Segment = {
        path,
        header,
        next: limit(next, following),
        end: size - seal.size,
        index,
        damage: [],
      };
      return { segment, chain, tornBytes: 0, sealed: true };
    }
    const index = new SegmentIndex(header.first);
    const range = {
      offset: SEGMENT_HEADER_BYTES,
      position: header.first,
      end: size,
      chain: header.chainBefore,
      // A segment is begun when everything before it was synced.
      isCommitted: following !== undefined,
      index,
    };
    const result = await scanSegment(file, range, seed, () => undefined, cipher);
    const segment: Segment = {
      path,
      header,
      next: limit(result.next, following),
      ...endBefore(following, result),
      index,
    };
    return { segment, chain: result.chain, tornBytes: result.tornBytes, sealed: result.sealed };
  } finally {
    await file.close();
  }
}

/** What a segment holds beyond the beginning of the next one was written again there, after a fault. */
function limit(next: LogPosition, following: LogPosition | undefined): LogPosition {
  return following === undefined ? next : Math.min(next, following);
}

/**
 * There it may be torn, too: a write that failed leaves any of its parts, and nobody was told of them. The segment ends before what is
 * torn, so that nobody looks at it again.
 */
function endBefore(
  following: LogPosition | undefined,
  { end, damage }: ScanResult,
): Pick<Segment, 'end' | 'damage'> {
  if (following === undefined) return { end, damage };
  return {
    end: damage.find(({ first }) => first >= following)?.from ?? end,
    damage: damage
      .filter(({ first }) => first < following)
      .map((one) => ({ ...one, last: Math.min(one.last, following - 1) })),
  };
}

async function cutTail(files: FileSystem, segment: Segment): Promise<void> {
  const file = await files.open(segment.path, 'write');
  try {
    await file.truncate(segment.end);
    await file.sync();
  } finally {
    await file.close();
  }
}
