/**
 * Makes a stopped data folder as small as it may be:
 *
 *     database ─▶ snapshot ─▶ segments that nobody needs are removed ─▶ tables are written anew
 *
 * What the log has after the last checkpoint, as after a crash, stays for the next start: only a gateway can tell what it means.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { Vault } from '../crypto/vault.js';
import { readIdentity } from '../disk/identity.js';
import type { Layout } from '../disk/layout.js';
import { MeshState } from '../disk/mesh-state.js';
import { heldFrom } from '../disk/segment-care.js';
import { encodeLogFloor, LOG_FLOOR_KEY } from '../disk/session-table.js';
import { type Changes, StateIndex } from '../disk/state-index.js';
import { TOPIC_BLOCK_PREFIX, TopicIndex } from '../disk/topic-index.js';
import { Log } from '../log/log.js';
import {
  expectDataFolder,
  openVault,
  sizeOfAll,
  type ToolParts,
  unsealed,
  withFolderLock,
} from './data-folder.js';
import { isTrusted } from './survey.js';
import { surveyState } from './state-survey.js';

export interface KeepLimits {
  /** Messages that nobody waits for are kept up to it. */
  readonly keepMaxBytes: number;
  readonly keepMaxAgeMs: number;
  /** What other gateways have not fetched is kept up to it. */
  readonly floorsMaxBytes: number;
}

export interface FolderSizes {
  readonly logBytes: number;
  readonly databaseBytes: number;
  readonly snapshotBytes: number;
}

export interface CompactReport {
  readonly before: FolderSizes;
  readonly after: FolderSizes;
  readonly droppedSegments: number;
  /** The snapshot is of this position. */
  readonly snapshot: LogPosition;
  /** Positions after it, which the next start takes in. */
  readonly left: number;
}

/** @throws SprawlError STORAGE_LOCKED, STORAGE_MISSING, STORAGE_CORRUPT (to be repaired first), STORAGE_FULL, STORAGE_IO */
export async function compactFolder(parts: ToolParts, keep: KeepLimits): Promise<CompactReport> {
  const layout = await expectDataFolder(parts);
  return withFolderLock(parts, layout, () => compact(parts, layout, keep));
}

async function compact(parts: ToolParts, layout: Layout, keep: KeepLimits): Promise<CompactReport> {
  const { files, openDatabase, compactDatabase, logger } = parts;
  const identity = await readIdentity(files, layout);
  if (identity === undefined) throw toBeRepaired(layout, 'identity.json is missing');
  const before = await sizesOf(parts, layout);
  const vault = await openVault(parts, layout);
  const needed = await floorOf(parts, layout, vault);
  const topics = new TopicIndex();
  const mesh = new MeshState();
  const index = new StateIndex({
    files,
    database: unsealed(openDatabase(layout.index), vault),
    vault,
    snapshotFolder: layout.snapshots,
    identity,
    logger,
  });
  await index.open(
    false,
    (key, value) => {
      if (key.startsWith(TOPIC_BLOCK_PREFIX)) topics.restore(key, value);
      else mesh.restore(key, value);
    },
    () => {
      topics.reset();
      mesh.reset();
    },
  );
  let droppedSegments = 0;
  let left = 0;
  let snapshot = 0;
  try {
    snapshot = index.applied;
    if (index.newestSnapshot !== snapshot) await index.snapshot();
    const log = await openLog(parts, layout, identity, vault, Math.max(snapshot, index.newestSnapshot));
    try {
      left = log.committed - snapshot;
      const { floor, archiveFloor } = mesh;
      const held = Math.min(archiveFloor, heldFrom(log.segments, floor, keep.floorsMaxBytes));
      droppedSegments = await prune(parts, log, index, topics, Math.min(needed, index.floor, held), keep);
    } finally {
      await log.close();
    }
  } finally {
    await index.close();
  }
  await compactDatabase(layout.index);
  return { before, after: await sizesOf(parts, layout), droppedSegments, snapshot, left };
}

/** The oldest position that a session needs. */
async function floorOf(
  { openDatabase }: ToolParts,
  layout: Layout,
  vault: Vault | undefined,
): Promise<LogPosition> {
  const database = unsealed(openDatabase(layout.index), vault);
  try {
    await database.open(false);
  } catch (error) {
    if (!(error instanceof SprawlError) || error.code !== 'STORAGE_CORRUPT') throw error;
    throw toBeRepaired(layout, error.message);
  }
  try {
    const state = await surveyState(database, []);
    const { doubts, damagedKeys } = state.inspection;
    const [why] = [
      ...doubts,
      ...damagedKeys,
      ...state.lostBlocks.map(({ session }) => session.image.clientId),
    ];
    if (!isTrusted(state) || why !== undefined) throw toBeRepaired(layout, `${why} is damaged or missing`);
    return state.floor;
  } finally {
    await database.close();
  }
}

function toBeRepaired({ folder }: Layout, why: string): SprawlError {
  return new SprawlError(
    'STORAGE_CORRUPT',
    `${folder} is damaged (${why}) and is not compacted: run "sprawl-edge storage repair" first`,
    { details: { folder, why } },
  );
}

function openLog(
  { files, clock, timers, logger, schedule }: ToolParts,
  layout: Layout,
  identity: Uint8Array,
  cipher: Vault | undefined,
  continueAfter: LogPosition,
): Promise<Log> {
  return Log.open({
    files,
    folder: layout.log,
    identity,
    clock,
    timers,
    logger,
    schedule,
    // Nothing is appended.
    segmentMaxBytes: 0,
    commitDelayMs: 0,
    cipher,
    continueAfter,
  });
}

/** By the rule of a running gateway. @returns how many segments were dropped */
async function prune(
  { clock }: ToolParts,
  log: Log,
  index: StateIndex,
  topics: TopicIndex,
  needed: LogPosition,
  { keepMaxBytes, keepMaxAgeMs }: KeepLimits,
): Promise<number> {
  const count = log.segments.length;
  let bytes = log.storedBytes;
  let floor = 0;
  for (const { next, end } of log.segments) {
    const age = clock.wall() - (topics.timeOf(next - 1) ?? Infinity);
    if (next > needed || (bytes <= keepMaxBytes && age <= keepMaxAgeMs)) break;
    floor = next;
    bytes -= end;
  }
  if (floor === 0) return 0;
  // Before: what is missing at the beginning of the log beyond this was not dropped.
  await index.write(index.applied, new Map([[LOG_FLOOR_KEY, encodeLogFloor(floor)]]));
  await log.dropBefore(floor);
  const changes: Changes = new Map();
  for (const key of await topics.dropBefore(index, floor)) changes.set(key, null);
  if (changes.size > 0) await index.write(index.applied, changes);
  return count - log.segments.length;
}

async function sizesOf({ files }: ToolParts, layout: Layout): Promise<FolderSizes> {
  return {
    logBytes: await sizeOfAll(files, layout.log),
    databaseBytes: await sizeOfAll(files, layout.index),
    snapshotBytes: await sizeOfAll(files, layout.snapshots),
  };
}
