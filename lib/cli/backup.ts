import { resolve } from 'node:path';
import { type Config, parseConfig } from '../config/index.js';
import { shortId } from '../contracts/gateway-id.js';
import { backupFolder, restoreFolder, toolPartsOf } from '../storage-tools.js';
import { DURATION_FORMS, parseDurationText } from '../time-text.js';
import { originPrefixes } from './archive-selection.js';
import { usageError } from './arguments.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { nowAndThen } from './now-and-then.js';
import { size } from './size.js';
import { progressLines } from './storage-progress.js';

/** `backup`: copies a data folder, also under a running gateway. @throws SprawlError BACKUP_FOLDER_REFUSED and others of storage */
export async function runBackup(invocation: Invocation, world: World): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  const target = resolve(invocation.positionals[0] ?? '');
  const parts = toolPartsOf(config, progressLines(world.stderr));
  const { manifest, bytes, knownBytes, warnings } = await backupFolder(parts, target);
  for (const warning of warnings) world.stderr.write(`warning: ${warning}\n`);
  const known = knownBytes === 0 ? '' : `, ${size(knownBytes)} of which were there`;
  const upTo = manifest.last === 0 ? 'nothing was stored yet' : `everything up to position ${manifest.last}`;
  world.stdout.write(
    `backed up ${config.dataDir} to ${target}: ${upTo}, ${manifest.files.length} files, ${size(bytes)}${known}, read back\n`,
  );
  return ExitCode.done;
}

async function restoreArchived(invocation: Invocation, world: World, config: Config): Promise<number> {
  const { restoreFromArchive } = await import('../archive-restore.js');
  const tell = nowAndThen(world.stderr);
  const { origin, rows, retained, history } = await restoreFromArchive(config, {
    origins: originPrefixes(invocation),
    historyMs: historyOf(invocation),
    onProgress: (progress) =>
      tell(() =>
        progress.history === 0
          ? `${progress.rows} messages were looked at`
          : `${progress.history} messages of the history are restored`,
      ),
  });
  world.stdout.write(
    `restored ${resolve(config.dataDir)} from what ${shortId(origin)} archived: ${retained} retained messages, and ${history} that can be looked up, of ${rows} messages\n`,
  );
  return ExitCode.done;
}

function historyOf(invocation: Invocation): number | undefined {
  const text = invocation.value('history');
  if (text === undefined) return undefined;
  const historyMs = parseDurationText(text);
  if (historyMs !== undefined) return historyMs;
  throw usageError(invocation.command, `--history must be ${DURATION_FORMS}; not ${JSON.stringify(text)}`);
}

/** `restore`: makes a data folder from a backup. @throws SprawlError BACKUP_FOLDER_REFUSED, BACKUP_UNFINISHED and others of storage */
export async function runRestore(invocation: Invocation, world: World): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  const isFromArchive = invocation.has('from-archive');
  if (isFromArchive === invocation.positionals.length > 0)
    throw usageError(invocation.command, 'it takes the FOLDER of a backup, or --from-archive');
  if (isFromArchive) {
    if (invocation.has('force'))
      throw usageError(
        invocation.command,
        `--force goes with the FOLDER of a backup; move ${resolve(config.dataDir)} aside yourself`,
      );
    return restoreArchived(invocation, world, config);
  }
  if (invocation.has('history'))
    throw usageError(invocation.command, '--history goes with --from-archive: a backup has all of it');
  for (const option of ['origin', 'target'])
    if (invocation.has(option))
      throw usageError(
        invocation.command,
        `--${option} goes with --from-archive: a backup is of one gateway`,
      );
  const source = resolve(invocation.positionals[0] ?? '');
  const folder = resolve(config.dataDir);
  const parts = { ...toolPartsOf(config, progressLines(world.stderr)), folder };
  const time = new Date().toISOString().replaceAll(/[:.]/g, '-');
  const aside = invocation.has('force') ? `${folder}.before-restore-${time}` : undefined;
  const report = await restoreFolder(parts, source, aside);
  const { manifest, bytes, knownBytes, movedTo } = report;
  if (movedTo !== undefined) world.stdout.write(`moved what was there to ${movedTo}\n`);
  const known = knownBytes === 0 ? '' : `, ${size(knownBytes)} of which were there`;
  world.stdout.write(
    `restored ${folder} from the backup of ${new Date(manifest.madeAtMs).toISOString()}: everything up to position ${manifest.last}, ${size(bytes)}${known}\n`,
  );
  return ExitCode.done;
}
