import { writeFile } from 'node:fs/promises';
import { resolveConfig } from '../../config/index.js';
import { SprawlError } from '../../contracts/errors.js';
import type { Invocation, World } from '../command.js';
import { ExitCode } from '../exit-code.js';
import { readConf } from './conf-files.js';
import { needsAttention } from './outcome.js';
import { planImport } from './plan.js';
import { checkSecurityFiles } from './security-files.js';
import { type Finding, summaryJson, summaryText } from './summary.js';
import { renderYaml } from './yaml-text.js';

/** What `config check` would say about the file that was made. */
function checkMade(path: string, text: string): Finding[] {
  try {
    resolveConfig({ file: { path, text } });
    return [];
  } catch (error) {
    if (error instanceof SprawlError) return [`the configuration that was made is refused: ${error.message}`];
    throw error;
  }
}

/** @throws SprawlError USAGE where the file is there, or cannot be written */
async function writeOut(path: string, text: string, force: boolean): Promise<void> {
  try {
    await writeFile(path, text, { flag: force ? 'w' : 'wx' });
  } catch (error) {
    const isThere = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    const reason = error instanceof Error ? error.message : String(error);
    throw new SprawlError(
      'USAGE',
      isThere
        ? `${path} is there already: name another file, or overwrite it with --force`
        : `cannot write ${path}: ${reason}`,
      { cause: error },
    );
  }
}

/** `import`: a configuration out of a mosquitto.conf. @throws SprawlError CONFIG_FILE_UNREADABLE, USAGE */
export async function runImport(invocation: Invocation, world: World): Promise<number> {
  const source = invocation.positionals[0] ?? '';
  const out = invocation.value('out');
  const plan = planImport(readConf(source));
  const yaml = renderYaml(plan, source);
  const findings = [...(await checkSecurityFiles(plan.settings)), ...checkMade(out ?? 'configuration', yaml)];
  if (out !== undefined) await writeOut(out, yaml, invocation.has('force'));
  if (invocation.has('json')) world.stdout.write(summaryJson(plan, findings, yaml));
  else if (out === undefined) world.stdout.write(yaml);
  world.stderr.write(summaryText(plan, findings));
  const isClean = findings.length === 0 && !plan.lines.some(({ outcome }) => needsAttention(outcome));
  return isClean ? ExitCode.done : ExitCode.failed;
}
