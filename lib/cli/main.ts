import process from 'node:process';
import { nearest } from '../config/nearest.js';
import { version } from '../version.js';
import { SprawlError } from '../contracts/errors.js';
import { parseArguments, usageError } from './arguments.js';
import type { Command, World } from './command.js';
import { COMMANDS } from './commands.js';
import { ExitCode } from './exit-code.js';
import { renderCommandHelp, renderHelp } from './help.js';

const SYNONYMS: ReadonlyMap<string, string> = new Map([
  ['--help', 'help'],
  ['-h', 'help'],
  ['--version', 'version'],
]);

function unknownCommand(words: readonly string[]): SprawlError {
  const [first = '', second] = words;
  const within = COMMANDS.filter((command) => command.name.startsWith(`${first} `));
  if (within.length > 0) {
    const near =
      second === undefined
        ? undefined
        : nearest(
            `${first} ${second}`,
            within.map(({ name }) => name),
          );
    const hint = near ?? within.map(({ name }) => name).join(', ');
    return usageError(
      undefined,
      second === undefined
        ? `"${first}" needs one more word: ${hint}`
        : `unknown command "${first} ${second}": did you mean ${hint}?`,
    );
  }
  const near = nearest(first, [...COMMANDS.map(({ name }) => name), 'help', 'version']);
  return usageError(
    undefined,
    `unknown command ${JSON.stringify(first)}${near === undefined ? '' : `: did you mean "${near}"?`}`,
  );
}

/** The command that `args` begin with, and its arguments. @throws SprawlError USAGE */
export function findCommand(args: readonly string[]): [Command, readonly string[]] {
  for (const words of [2, 1]) {
    const name = args.slice(0, words).join(' ');
    const command = COMMANDS.find((candidate) => candidate.name === name);
    if (command !== undefined) return [command, args.slice(words)];
  }
  throw unknownCommand(args);
}

function help(topic: readonly string[], world: World): number {
  world.stdout.write(topic.length === 0 ? renderHelp(COMMANDS) : renderCommandHelp(findCommand(topic)[0]));
  return ExitCode.done;
}

function report(world: World, error: unknown, usageExitCode: number): number {
  if (!(error instanceof SprawlError)) {
    world.stderr.write(
      `sprawl-edge: a bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    return ExitCode.bug;
  }
  world.stderr.write(`sprawl-edge: ${error.message}\n`);
  if (error.code === 'USAGE') return usageExitCode;
  return error.kind === 'config' ? ExitCode.usage : ExitCode.failed;
}

/** Runs one command line and resolves to its exit code; what goes wrong is one line on standard error. */
export async function main(args: readonly string[], world: World): Promise<number> {
  const [first, ...rest] = args;
  let usageExitCode: number = ExitCode.usage;
  try {
    const name = first === undefined ? undefined : (SYNONYMS.get(first) ?? first);
    if (name === undefined) throw usageError(undefined, 'a command is missing');
    if (name === 'help') return help(rest, world);
    if (name === 'version') {
      world.stdout.write(`sprawl-edge ${version}\n`);
      return ExitCode.done;
    }
    const [command, commandArgs] = findCommand(args);
    usageExitCode = command.usageExitCode;
    const invocation = parseArguments(command, commandArgs);
    if (invocation.has('help')) return help([command.name], world);
    return await command.run(invocation, world);
  } catch (error) {
    return report(world, error, usageExitCode);
  }
}

/** Runs the command line of this process and ends it. */
export async function runProcess(): Promise<void> {
  const { stdin, stdout, stderr, env } = process;
  stdout.on('error', () => process.exit(ExitCode.brokenPipe));
  stderr.on('error', () => undefined); // Whoever read the log is gone; the gateway goes on without.
  const code = await main(process.argv.slice(2), { stdin, stdout, stderr, env, process });
  process.exit(code);
}
