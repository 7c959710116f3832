/**
 * A data folder, read to its last byte, with what is wrong with it: what `stats` and `verify` tell, and what `repair` goes by. Nothing
 * is changed.
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import { STORE_FORMAT_VERSION } from '../disk/identity.js';
import type { Layout } from '../disk/layout.js';
import type { FileSystem } from '../files/file-system.js';
import { readText } from '../files/text-file.js';
import type { KeyValueStore } from '../state/key-value-store.js';
import {
  expectDataFolder,
  openVault,
  sizeOf,
  sizeOfAll,
  type ToolParts,
  unsealed,
  whileLooking,
} from './data-folder.js';
import { type Fault, type PositionRange, rangesText } from './fault.js';
import { lookAtIdentity } from './folder-identity.js';
import { type LogSurvey, surveyLog } from './log-survey.js';
import { type SnapshotSurvey, surveySnapshots, unfinishedSnapshots } from './snapshot-survey.js';
import { type Reference, type StateSurvey, surveyState } from './state-survey.js';

/** `none`: there is none, a start makes it. `inUse`: the gateway has it open. `unopened`: it does not open. */
export type DatabaseState = 'looked' | 'none' | 'inUse' | 'unopened';

export interface FolderSurvey {
  readonly folder: string;
  readonly isInUse: boolean;
  /** Undefined: nothing tells. */
  readonly identity: Uint8Array | undefined;
  readonly formatVersion: number;
  readonly log: LogSurvey;
  /** Newest first. */
  readonly snapshots: readonly SnapshotSurvey[];
  readonly database: DatabaseState;
  readonly databaseBytes: number;
  /** undefined: the database was not looked at, or does not open. */
  readonly state: StateSurvey | undefined;
  readonly ballastBytes: number;
  readonly freeBytes: number;
  readonly faults: readonly FaultAndOwners[];
  readonly notes: readonly string[];
}

export interface FaultAndOwners extends Fault {
  /** Who has to do without the positions; undefined: not known, or there are none. */
  readonly references?: readonly Reference[];
  /** A sentence about what the positions were, where it is known or why it is not. */
  readonly meaning?: string;
}

/** @throws SprawlError STORAGE_MISSING, STORAGE_FORMAT_NEWER, STORAGE_IO */
export async function surveyFolder(parts: ToolParts): Promise<FolderSurvey> {
  const layout = await expectDataFolder(parts);
  return whileLooking(parts, layout, (isInUse) => survey(parts, layout, isInUse, copyOf(parts, layout)));
}

/** Looks at a database through a copy. */
function copyOf(parts: ToolParts, layout: Layout): DatabaseLook {
  return async (look) => {
    const copy = await parts.copyDatabase(layout.index);
    try {
      return await look(copy);
    } finally {
      await copy.close();
      await copy.destroy();
    }
  };
}

/** Calls `look` with the database, closed. */
export type DatabaseLook = <T>(look: (database: KeyValueStore) => Promise<T>) => Promise<T>;

/** For those who hold the folder. */
export async function survey(
  parts: ToolParts,
  layout: Layout,
  isInUse: boolean,
  withDatabase: DatabaseLook,
): Promise<FolderSurvey> {
  const { files } = parts;
  const { id, fault } = await lookAtIdentity(files, layout);
  const vault = await openVault(parts, layout);
  // Before the log: on a folder in use the log is never behind a snapshot that was there before.
  const snapshots = await surveySnapshots(files, layout.snapshots, id);
  const log = await surveyLog(parts, layout.log, id, isInUse, vault);
  const lost = log.faults.flatMap(({ positions }) => positions ?? []);
  // Before and behind the log nothing is, and the database may know of it.
  lost.push({ first: 1, last: log.first - 1 }, { first: log.last + 1, last: Infinity });
  const database = await lookAtDatabase(parts, layout, isInUse, lost, (look) =>
    withDatabase((inner) => look(unsealed(inner, vault))),
  );
  const { state } = database;
  const faults = [
    ...(fault === undefined ? [] : [fault]),
    ...(await keyFaults(files, layout)),
    ...log.faults,
    ...snapshots.flatMap((snapshot) => snapshot.fault ?? []),
    ...database.faults,
  ];
  if (!isInUse) faults.push(...missingOf(layout, log, snapshots, state));
  const leftovers = await unfinishedSnapshots(files, layout.snapshots);
  return {
    folder: layout.folder,
    isInUse,
    identity: id,
    formatVersion: STORE_FORMAT_VERSION,
    log,
    snapshots,
    database: database.look,
    databaseBytes: await sizeOfAll(files, layout.index),
    state,
    ballastBytes: await sizeOf(files, layout.ballast),
    freeBytes: await files.freeBytes(layout.folder),
    faults: faults.map((one) => withOwners(one, state, database.look)),
    notes: [
      ...log.notes,
      ...(isInUse ? [] : leftovers.map((path) => `${path} is a snapshot that was not finished`)),
    ],
  };
}

/** Either of the two files with the keys is enough, while there are two. */
async function keyFaults(files: FileSystem, layout: Layout): Promise<Fault[]> {
  const copy = `${layout.keys}.copy`;
  const [text, other] = [await readText(files, layout.keys), await readText(files, copy)];
  if (text === other) return [];
  const path = other === undefined ? copy : layout.keys;
  const why = text === undefined || other === undefined ? 'it is missing' : 'it is not as its copy is';
  return [{ kind: 'keys', path, text: `${why}: a gateway starts as long as one of the two is whole` }];
}

interface DatabaseFindings {
  readonly look: DatabaseState;
  readonly state: StateSurvey | undefined;
  readonly faults: readonly Fault[];
}

async function lookAtDatabase(
  parts: ToolParts,
  layout: Layout,
  isInUse: boolean,
  lost: readonly PositionRange[],
  withDatabase: DatabaseLook,
): Promise<DatabaseFindings> {
  const nothing = { state: undefined, faults: [] };
  const path = layout.index;
  if (isInUse) return { ...nothing, look: 'inUse' };
  if (!(await isThere(parts, layout))) return { ...nothing, look: 'none' };
  return withDatabase(async (database): Promise<DatabaseFindings> => {
    try {
      await database.open(false);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const text = `the database does not open (${reason}); a start makes it again from the newest snapshot and the log`;
      return { look: 'unopened', state: undefined, faults: [{ kind: 'database', path, text }] };
    }
    try {
      const state = await surveyState(database, lost);
      return { look: 'looked', state, faults: databaseFaults(path, state) };
    } finally {
      await database.close();
    }
  });
}

async function isThere({ files }: ToolParts, layout: Layout): Promise<boolean> {
  return (await files.list(layout.folder)).some((name) => name === 'index' || name.startsWith('index/'));
}

function databaseFaults(path: string, { inspection, lostBlocks }: StateSurvey): Fault[] {
  const fault = (text: string): Fault => ({ kind: 'database', path, text });
  return [
    ...inspection.doubts.map((doubt) => fault(`the database cannot be trusted: ${doubt}`)),
    ...inspection.damagedKeys.map((key) => fault(`the value of ${JSON.stringify(key)} is damaged`)),
    ...lostBlocks.map(({ session, blocks, count }) =>
      fault(
        `${count} messages that wait for ${JSON.stringify(session.image.clientId)} are in blocks that cannot be read (${blocks.join(', ')})`,
      ),
    ),
  ];
}

/** Positions that were stored, as database and snapshots know, and that the log does not have. */
function missingOf(
  layout: Layout,
  log: LogSurvey,
  snapshots: readonly SnapshotSurvey[],
  state: StateSurvey | undefined,
): Fault[] {
  const faults: Fault[] = [];
  const newest = snapshots.find(({ fault }) => fault === undefined)?.position ?? 0;
  const trusted = isTrusted(state) ? (state?.inspection.head?.applied ?? 0) : 0;
  const known = Math.max(newest, trusted);
  if (known > log.last) {
    faults.push({
      kind: 'missing',
      path: layout.log,
      text: 'the end of the log is missing: the database or a snapshot knows of these',
      positions: { first: log.last + 1, last: known },
    });
  }
  const base = trusted > 0 ? trusted : newest;
  if (log.first > base + 1 && log.last >= log.first) {
    faults.push({
      kind: 'missing',
      path: layout.log,
      text: 'the log does not reach back to the database or a snapshot',
      positions: { first: base + 1, last: log.first - 1 },
    });
  }
  const gone = state?.references.filter(
    ({ kind, positions }) => kind !== 'retained' && (positions[0]?.first ?? Infinity) < log.first,
  );
  if (isTrusted(state) && gone !== undefined && gone.length > 0) {
    faults.push({
      kind: 'missing',
      path: layout.log,
      text: 'the log begins behind messages that somebody waits for',
      positions: {
        first: gone.reduce((low, one) => Math.min(low, one.positions[0]?.first ?? low), Infinity),
        last: log.first - 1,
      },
    });
  }
  return faults;
}

/** Whether a start would take the database as it is. */
export function isTrusted(state: StateSurvey | undefined): boolean {
  if (state === undefined) return false;
  const { doubts, damagedKeys } = state.inspection;
  return doubts.length === 0 && !damagedKeys.some((key) => key.startsWith('l/') || key.startsWith('!'));
}

function withOwners(fault: Fault, state: StateSurvey | undefined, look: DatabaseState): FaultAndOwners {
  const { positions } = fault;
  if (positions === undefined) return fault;
  if (state === undefined || !isTrusted(state)) {
    const why: Record<DatabaseState, string> = {
      inUse: 'the gateway has it open',
      none: 'there is none',
      unopened: 'it does not open',
      looked: 'it is damaged',
    };
    return { ...fault, meaning: `who waits for them only the database could tell, and ${why[look]}` };
  }
  const references = state.references.flatMap((reference) => {
    const within = reference.positions.flatMap(({ first, last }) =>
      last < positions.first || first > positions.last
        ? []
        : [{ first: Math.max(first, positions.first), last: Math.min(last, positions.last) }],
    );
    return within.length === 0 ? [] : [{ ...reference, positions: within }];
  });
  const applied = state.inspection.head?.applied ?? 0;
  const meaning = meaningOf(positions, applied, references);
  return { ...fault, references, ...(meaning === undefined ? {} : { meaning }) };
}

function meaningOf(
  positions: PositionRange,
  applied: LogPosition,
  references: readonly Reference[],
): string | undefined {
  if (positions.last > applied) {
    const since = { first: Math.max(positions.first, applied + 1), last: positions.last };
    return `${rangesText([since])}: written after the state was last written down (${applied}); what they were is lost`;
  }
  return references.some(({ kind }) => kind !== 'retained')
    ? undefined
    : 'nobody waits for them, and their effect on sessions is in the database';
}
