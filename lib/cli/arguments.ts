import { parseArgs } from 'node:util';
import { nearest } from '../config/nearest.js';
import { SprawlError } from '../contracts/errors.js';
import { Invocation, type Command, type GivenOption, type OptionSpec } from './command.js';

/** @throws SprawlError USAGE */
export function usageError(command: Pick<Command, 'name'> | undefined, message: string): SprawlError {
  const help = command === undefined ? 'sprawl-edge --help' : `sprawl-edge help ${command.name}`;
  return new SprawlError('USAGE', `${message} (see "${help}")`);
}

/** Every command has it; `-h` is the host in `pub` and `sub`, as with mosquitto. */
export function helpOption(command: Pick<Command, 'options'>): OptionSpec {
  const taken = command.options.some((option) => option.short === 'h');
  return { long: 'help', ...(taken ? {} : { short: 'h' }), description: 'Show this help.' };
}

/** How an option is written in texts: `-t, --topic TOPIC`. */
export function writtenOption(spec: OptionSpec): string {
  const short = spec.short === undefined ? '' : `-${spec.short}, `;
  return `${short}--${[spec.long, ...(spec.values ?? [])].join(' ')}`;
}

type ParserOptions = Record<string, { type: 'string' | 'boolean'; short?: string; multiple: true }>;

function parserOptions(specs: readonly OptionSpec[]): ParserOptions {
  return Object.fromEntries(
    specs.map((spec) => [
      spec.long,
      {
        type: spec.values === undefined ? ('boolean' as const) : ('string' as const),
        multiple: true as const,
        ...(spec.short === undefined ? {} : { short: spec.short }),
      },
    ]),
  );
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly index: number;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function specOf(command: Command, specs: readonly OptionSpec[], token: OptionToken): OptionSpec {
  const spec = specs.find((candidate) => candidate.long === token.name);
  if (spec !== undefined) return spec;
  const known = specs.map((candidate) => `--${candidate.long}`);
  const near = token.rawName.startsWith('--') ? nearest(token.rawName, known) : undefined;
  const hint = near === undefined ? '' : `: did you mean ${near}?`;
  throw usageError(command, `unknown option ${token.rawName}${hint}`);
}

/** The values of one option and where the arguments after them begin. */
function valuesOf(
  command: Command,
  spec: OptionSpec,
  token: OptionToken,
  args: readonly string[],
): [string[], number] {
  const afterName = token.index + (token.inlineValue === true ? 1 : 2);
  if (spec.values === undefined) {
    if (token.value !== undefined) throw usageError(command, `${token.rawName} takes no value`);
    return [[], token.index + 1];
  }
  const first = token.value === undefined ? [] : [token.value];
  let values = [...first, ...args.slice(afterName, afterName + spec.values.length - 1)];
  let end = afterName + spec.values.length - 1;
  const more = values.length < spec.values.length ? 0 : (spec.moreValues?.(values) ?? 0);
  values = [...values, ...args.slice(end, end + more)];
  end += more;
  if (values.length < spec.values.length + more) {
    throw usageError(
      command,
      `${token.rawName} needs ${spec.values.length + more === 1 ? 'a value' : 'more values'}: ${writtenOption(spec)}`,
    );
  }
  return [values, end];
}

/**
 * Parses what follows the name of a command. An option that takes a value takes the next argument whatever it looks like,
 * as getopt does: `-m -5` is the message "-5".
 * @throws SprawlError USAGE
 */
export function parseArguments(command: Command, args: readonly string[]): Invocation {
  const specs = [...command.options, helpOption(command)];
  const options = parserOptions(specs);
  const given: GivenOption[] = [];
  const positionals: string[] = [];
  let rest = args;
  for (let parsed = false; !parsed;) {
    parsed = true;
    const { tokens } = parseArgs({
      args: [...rest],
      options,
      strict: false,
      allowPositionals: true,
      tokens: true,
    });
    for (const token of tokens) {
      if (token.kind === 'positional') positionals.push(token.value);
      if (token.kind !== 'option') continue;
      const spec = specOf(command, specs, token);
      const [values, end] = valuesOf(command, spec, token, rest);
      given.push({ spec, written: token.rawName, values });
      if (values.length <= 1) continue;
      // parseArgs knows of one value only: what follows further ones is parsed anew.
      rest = rest.slice(end);
      parsed = false;
      break;
    }
  }
  const invocation = new Invocation(command, given, positionals);
  if (!invocation.has('help')) checkPositionals(invocation);
  return invocation;
}

function checkPositionals({ command, positionals }: Invocation): void {
  const { min, max } = command.positionals;
  const extra = positionals[max];
  if (extra !== undefined) throw usageError(command, `unexpected argument ${JSON.stringify(extra)}`);
  if (positionals.length < min)
    throw usageError(command, `too few arguments: sprawl-edge ${command.name} ${command.usage}`);
}
