import { parseConfig } from '../config/index.js';
import { repairFolder, toolPartsOf } from '../storage-tools.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { progressLines } from './storage-progress.js';
import { faultLines, noteLines } from './storage-text.js';

/** `storage repair`: makes a damaged data folder one that a gateway starts on. @throws SprawlError STORAGE_LOCKED and others of storage */
export async function runStorageRepair(invocation: Invocation, world: World): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  const { done, lost, survey } = await repairFolder(toolPartsOf(config, progressLines(world.stderr)));
  const lines = [
    ...(done.length === 0 ? ['there was nothing to repair'] : done),
    ...noteLines(survey.notes),
    ...faultLines(lost).map((line) => line.replace(/^damaged: /, 'lost: ')),
    lost.length === 0
      ? `${survey.folder} is whole`
      : `${survey.folder} is without what is named here, and a gateway starts on it; a backup may have it still`,
  ];
  world.stdout.write(`${lines.join('\n')}\n`);
  return ExitCode.done;
}
