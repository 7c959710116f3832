import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { FileSystem } from '../files/file-system.js';
import { listSnapshots, readSnapshot } from '../state/snapshot.js';
import { sizeOf } from './data-folder.js';
import type { Fault } from './fault.js';

export interface SnapshotSurvey {
  readonly path: string;
  readonly position: LogPosition;
  readonly bytes: number;
  readonly entries: number;
  /** undefined: it is whole. */
  readonly fault: Fault | undefined;
}

/** Newest first, each read to its end. @throws SprawlError STORAGE_FORMAT_NEWER */
export async function surveySnapshots(
  files: FileSystem,
  folder: string,
  identity: Uint8Array | undefined,
): Promise<SnapshotSurvey[]> {
  const surveys: SnapshotSurvey[] = [];
  for (const snapshot of await listSnapshots(files, folder)) {
    const { path, position } = snapshot;
    let entries = 0;
    let fault: Fault | undefined;
    try {
      if (identity === undefined) continue;
      await readSnapshot(files, snapshot, identity, () => {
        entries++;
      });
    } catch (error) {
      if (!(error instanceof SprawlError) || error.code === 'STORAGE_FORMAT_NEWER') throw error;
      // A running gateway has made a newer one.
      if (error.code === 'STORAGE_MISSING') continue;
      fault = {
        kind: error.code === 'STORAGE_FOREIGN' ? 'foreign' : 'snapshot',
        path,
        text: error.message,
      };
    }
    surveys.push({ path, position, bytes: await sizeOf(files, path), entries, fault });
  }
  return surveys;
}

/** Files of snapshots that were not finished when the process ended. */
export async function unfinishedSnapshots(files: FileSystem, folder: string): Promise<string[]> {
  return (await files.list(folder))
    .filter((name) => name.endsWith('.snapshot.new'))
    .map((name) => `${folder}/${name}`);
}
