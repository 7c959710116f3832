import { parseConfig } from '../config/index.js';
import { realClock } from '../real-clock.js';
import { type FolderSurvey, recordTypeName, surveyFolder, toolPartsOf } from '../storage-tools.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { columns, duration, size } from './size.js';
import { progressLines } from './storage-progress.js';
import { databaseText, logText, noteLines, snapshotsText } from './storage-text.js';

/** `storage stats`: what a data folder holds. @throws SprawlError STORAGE_MISSING and others of storage */
export async function runStorageStats(invocation: Invocation, world: World): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  const survey = await surveyFolder(toolPartsOf(config, progressLines(world.stderr)));
  const text = invocation.has('json')
    ? JSON.stringify(forPrograms(survey), undefined, 2)
    : describe(survey).join('\n');
  world.stdout.write(`${text}\n`);
  return ExitCode.done;
}

function describe(survey: FolderSurvey): string[] {
  const { log, state, faults, notes } = survey;
  const now = realClock.wall();
  const rows: (readonly [string, string])[] = [
    ['folder', `${survey.folder}${survey.isInUse ? ', in use by a gateway' : ''}`],
    ['identity', `${hex(survey.identity)}, format ${survey.formatVersion}`],
    ['log', logText(log)],
    ...log.segments.map(({ path, bytes, first, last, newestMs }): readonly [string, string] => {
      const age =
        newestMs === undefined ? '' : `, newest ${duration(Math.max(0, now - newestMs) / 1000)} old`;
      const range = last < first ? 'no records' : `positions ${first} to ${last}`;
      return [`  ${path.slice(path.lastIndexOf('/') + 1)}`, `${size(bytes)}, ${range}${age}`];
    }),
    [
      'records',
      [...log.types].map(([type, { count }]) => `${count} ${recordTypeName(type)}`).join(', ') || 'none',
    ],
    ['database', databaseText(survey)],
  ];
  if (state !== undefined) {
    rows.push(
      ['  sessions', `${state.sessions}, ${state.parked} of them away; ${state.subscriptions} subscriptions`],
      [
        '  messages',
        `${state.waiting} wait, ${state.inFlight} are in flight, ${state.retained} are retained`,
      ],
      [
        '  blocks',
        `${state.blocks} of queues (${size(state.blockBytes)}), ${state.topicKeys} of the index of topics`,
      ],
    );
  }
  rows.push(
    ['snapshots', snapshotsText(survey)],
    ['ballast', size(survey.ballastBytes)],
    ['free', `${size(survey.freeBytes)} of the file system`],
  );
  const found =
    faults.length === 0 ? [] : [`${faults.length} faults: "sprawl-edge storage verify" names them`];
  return [...columns(rows), ...noteLines(notes), ...found];
}

function hex(identity: Uint8Array | undefined): string {
  return identity === undefined ? 'unknown' : Buffer.from(identity).toString('hex');
}

function forPrograms(survey: FolderSurvey): unknown {
  const { log, state, snapshots } = survey;
  return {
    folder: survey.folder,
    inUse: survey.isInUse,
    identity: survey.identity === undefined ? null : hex(survey.identity),
    formatVersion: survey.formatVersion,
    log: {
      bytes: log.bytes,
      records: log.recordCount,
      leftOut: log.skippedCount,
      first: log.first,
      last: log.last,
      segments: log.segments.map(({ path, bytes, first, last, isSealed, oldestMs, newestMs }) => ({
        path,
        bytes,
        first,
        last,
        sealed: isSealed,
        oldestMs: oldestMs ?? null,
        newestMs: newestMs ?? null,
      })),
      types: Object.fromEntries([...log.types].map(([type, counts]) => [recordTypeName(type), counts])),
    },
    database: {
      state: survey.database,
      bytes: survey.databaseBytes,
      ...(state === undefined
        ? {}
        : {
            applied: state.inspection.head?.applied ?? null,
            sessions: state.sessions,
            sessionsAway: state.parked,
            subscriptions: state.subscriptions,
            waiting: state.waiting,
            inFlight: state.inFlight,
            retained: state.retained,
            blocks: state.blocks,
            topicKeys: state.topicKeys,
          }),
    },
    snapshots: snapshots.map(({ path, position, bytes, entries }) => ({ path, position, bytes, entries })),
    ballastBytes: survey.ballastBytes,
    freeBytes: survey.freeBytes,
    faults: survey.faults.length,
    notes: survey.notes,
  };
}
