import { CONFIG_KEYS, readConfigFile, type ConfigSources, type FlagSetting } from '../config/index.js';
import { usageError } from './arguments.js';
import type { Invocation, OptionSpec, World } from './command.js';

/** The values of a flag that is repeated are one list: later settings of a key would take the place of earlier ones. */
function listText(invocation: Invocation, { key, long }: OptionSpec): string | undefined {
  if (key === undefined || CONFIG_KEYS.get(key)?.reading !== 'list') return undefined;
  return invocation.valuesOf(long).join(',');
}

function flagSettings(invocation: Invocation): FlagSetting[] {
  return invocation.given.flatMap(({ spec, written, values }): FlagSetting[] => {
    const [text = 'true'] = values;
    if (spec.key !== undefined)
      return [{ flag: written, key: spec.key, text: listText(invocation, spec) ?? text }];
    if (spec.long !== 'set') return [];
    const equals = text.indexOf('=');
    if (equals <= 0)
      throw usageError(invocation.command, `--set needs KEY=VALUE, not ${JSON.stringify(text)}`);
    return [{ flag: written, key: text.slice(0, equals), text: text.slice(equals + 1) }];
  });
}

/** What the command line, the environment and the file say. @throws SprawlError USAGE, CONFIG_FILE_UNREADABLE */
export function configSources(invocation: Invocation, world: World): ConfigSources {
  const path = invocation.value('config');
  return {
    file: path === undefined ? undefined : readConfigFile(path),
    env: world.env,
    flags: flagSettings(invocation),
  };
}
