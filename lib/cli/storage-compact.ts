import { parseConfig } from '../config/index.js';
import { compactFolder, type FolderSizes, toolPartsOf } from '../storage-tools.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { columns, size } from './size.js';
import { progressLines } from './storage-progress.js';

/** `storage compact`: makes a data folder as small as it may be. @throws SprawlError STORAGE_LOCKED, STORAGE_CORRUPT and others of storage */
export async function runStorageCompact(invocation: Invocation, world: World): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  const { keepMaxBytes, keepMaxAgeS } = config.storage;
  const keep = {
    keepMaxBytes,
    keepMaxAgeMs: keepMaxAgeS * 1000,
    floorsMaxBytes: config.mesh.peerKeepMaxBytes,
  };
  const report = await compactFolder(toolPartsOf(config, progressLines(world.stderr)), keep);
  const { before, after, droppedSegments, snapshot, left } = report;
  const row = (name: string, of: (sizes: FolderSizes) => number): readonly [string, string] => [
    name,
    `${size(of(before))} before, ${size(of(after))} after`,
  ];
  const lines = [
    ...columns([
      row('log', ({ logBytes }) => logBytes),
      row('database', ({ databaseBytes }) => databaseBytes),
      row('snapshots', ({ snapshotBytes }) => snapshotBytes),
      row('all', (sizes) => sizes.logBytes + sizes.databaseBytes + sizes.snapshotBytes),
    ]),
    `${droppedSegments} segments were removed that nobody needs; the newest snapshot is of position ${snapshot}`,
    ...(left === 0 ? [] : [`${left} records after it stay in the log: the next start takes them in`]),
  ];
  world.stdout.write(`${lines.join('\n')}\n`);
  return ExitCode.done;
}
