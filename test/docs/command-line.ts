/** Whether the command line takes what a page shows. */
import { parseArguments } from '../../lib/cli/arguments.js';
import { findCommand } from '../../lib/cli/main.js';
import { CONFIG_KEYS } from '../../lib/config/index.js';

const BUILT_IN = new Set(['help', 'version', '--help', '--version', '-h']);
/** Texts of prose name a command and leave its arguments out. */
const IS_SHORTENED = /^too few arguments|needs (?:a value|more values)/;

/** What is wrong with the arguments of `sprawl-edge`; undefined: nothing. */
export function faultOf(args: readonly string[], { mayBeShort = false } = {}): string | undefined {
  if (BUILT_IN.has(args[0] ?? '')) return undefined;
  try {
    const invocation = parseArguments(...findCommand(args));
    for (const text of invocation.valuesOf('set')) {
      const [, key = '', equals] = /^([^=]*)(=?)/.exec(text) ?? [];
      if (!CONFIG_KEYS.has(key)) return `--set ${text}: there is no key ${JSON.stringify(key)}`;
      if (equals === '' && !mayBeShort) return `--set ${text}: it needs KEY=VALUE`;
    }
    return undefined;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return mayBeShort && IS_SHORTENED.test(message) ? undefined : message;
  }
}
