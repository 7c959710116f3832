import { parseConfig } from '../config/index.js';
import { surveyFolder, toolPartsOf } from '../storage-tools.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';
import { columns } from './size.js';
import { progressLines } from './storage-progress.js';
import { databaseText, faultLines, logText, noteLines, snapshotsText } from './storage-text.js';

/** `storage verify`: reads every byte of a data folder and names what is damaged. Resolves to 1 where something is. */
export async function runStorageVerify(invocation: Invocation, world: World): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  const survey = await surveyFolder(toolPartsOf(config, progressLines(world.stderr)));
  const { faults, notes } = survey;
  const lines = [
    ...columns([
      ['log', logText(survey.log)],
      ['database', databaseText(survey)],
      ['snapshots', snapshotsText(survey)],
    ]),
    ...noteLines(notes),
    ...faultLines(faults),
    faults.length === 0
      ? `${survey.folder}: everything that was read is whole`
      : `${survey.folder}: ${faults.length === 1 ? 'one fault' : `${faults.length} faults`}; with the gateway stopped, "sprawl-edge storage repair" puts right what can be, and loses nothing that can be read`,
  ];
  world.stdout.write(`${lines.join('\n')}\n`);
  return faults.length === 0 ? ExitCode.done : ExitCode.failed;
}
