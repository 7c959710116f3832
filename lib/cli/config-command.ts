import { configJsonSchema, parseConfig, renderConfig, resolveConfig } from '../config/index.js';
import { realClock } from '../real-clock.js';
import type { Invocation, World } from './command.js';
import { configSources } from './config-sources.js';
import { ExitCode } from './exit-code.js';

/** `config check`: says whether `up` would accept the configuration and the files that it names. @throws SprawlError as `up` */
export async function runConfigCheck(invocation: Invocation, world: World): Promise<number> {
  const config = parseConfig(configSources(invocation, world));
  const { checkConfiguredFiles } = await import('../configured-files.js');
  for (const warning of await checkConfiguredFiles(config, realClock.wall()))
    world.stderr.write(`warning: ${warning}\n`);
  world.stdout.write('configuration ok\n');
  return ExitCode.done;
}

/** `config show`: the effective values and their sources. */
export async function runConfigShow(invocation: Invocation, world: World): Promise<number> {
  world.stdout.write(renderConfig(resolveConfig(configSources(invocation, world))));
  return ExitCode.done;
}

/** `config schema`: the JSON Schema of the file. */
export async function runConfigSchema(_invocation: Invocation, world: World): Promise<number> {
  world.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
  return ExitCode.done;
}
