/** What is told of a data folder, in lines. */
import { type FaultAndOwners, type FolderSurvey, rangesText, type Reference } from '../storage-tools.js';
import { size } from './size.js';

/** So many owners of lost positions are named; of more, how many there are. */
const OWNERS_MAX_COUNT = 50;

export function faultLines(faults: readonly FaultAndOwners[]): string[] {
  return faults.flatMap((fault) => [`damaged: ${faultText(fault)}`, ...ownerLines(fault)]);
}

function faultText({ path, text, bytes, positions }: FaultAndOwners): string {
  const where = bytes === undefined ? '' : `, bytes ${bytes.from} to ${bytes.to - 1}`;
  const what = positions === undefined ? '' : `; positions ${rangesText([positions])}`;
  return `${text.includes(path) ? '' : `${path}${where}: `}${text}${what}`;
}

function ownerLines({ references = [], meaning }: FaultAndOwners): string[] {
  const lines = references.slice(0, OWNERS_MAX_COUNT).map((reference) => `  ${referenceText(reference)}`);
  if (references.length > OWNERS_MAX_COUNT)
    lines.push(`  and ${references.length - OWNERS_MAX_COUNT} more clients or topics`);
  return meaning === undefined ? lines : [...lines, `  ${meaning}`];
}

function referenceText({ kind, of, positions }: Reference): string {
  const name = JSON.stringify(of);
  switch (kind) {
    case 'waiting':
      return `client ${name} waits for ${rangesText(positions)}`;
    case 'inFlight':
      return `client ${name} has not acknowledged ${rangesText(positions)}`;
    case 'retained':
      return `${rangesText(positions)} is the retained message of ${name}: the database has it still`;
  }
}

export function noteLines(notes: readonly string[]): string[] {
  return notes.map((note) => `note: ${note}`);
}

export function logText({
  segments,
  recordCount,
  skippedCount,
  bytes,
  first,
  last,
}: FolderSurvey['log']): string {
  if (segments.length === 0) return 'empty';
  const skipped = skippedCount === 0 ? '' : ` (${skippedCount} were left out by compaction)`;
  const range =
    last < first ? 'no records' : `${recordCount} records, positions ${first} to ${last}${skipped}`;
  return `${segments.length} segments, ${size(bytes)}, ${range}`;
}

export function databaseText({ database, state, databaseBytes }: FolderSurvey): string {
  switch (database) {
    case 'inUse':
      return 'not looked at: a gateway uses it';
    case 'none':
      return 'none yet: a start makes it from snapshot and log';
    case 'unopened':
      return 'does not open';
    case 'looked':
      return state === undefined
        ? 'damaged'
        : `${size(databaseBytes)}, up to position ${state.inspection.head?.applied ?? '?'}, ${state.sessions} sessions, ${state.waiting} messages wait, ${state.retained} are retained`;
  }
}

export function snapshotsText({ snapshots }: FolderSurvey): string {
  if (snapshots.length === 0) return 'none yet';
  return snapshots.map(({ position, bytes }) => `position ${position} (${size(bytes)})`).join(', ');
}
