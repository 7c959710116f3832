import { writeFileSync } from 'node:fs';
import { argv } from 'node:process';
import { pathToFileURL } from 'node:url';
import { helpOption, writtenOption } from './arguments.js';
import type { Command } from './command.js';
import { COMMANDS } from './commands.js';

const INTRODUCTION = `# Command line

<!-- Written by lib/cli/reference.ts from the command table; do not edit by hand. -->

\`sprawl-edge help COMMAND\` prints what stands here. Everything that goes wrong is one line on standard error; the exit code is

- 0: done;
- 1: it could not be done (a port is in use, a file cannot be written);
- 2: the command line or the configuration is wrong, and nothing was started;
- 70: a bug; the process stopped rather than go on in an unknown state;
- 141: whoever read what was still being printed went away (\`sub\` and \`pub\`, too);
- 130, 143: ended at once by SIGINT or SIGTERM (\`up\`: by the second one; the first drains and ends with 0).

\`pub\` and \`sub\` have the exit codes of mosquitto_pub and mosquitto_sub, as said there.
`;

function commandText(command: Command): string {
  const options = [...command.options, helpOption(command)].map(
    (spec) => `- \`${writtenOption(spec)}\`: ${spec.description}`,
  );
  const examples = command.examples.map(({ purpose, line }) => `# ${purpose}\n${line}`).join('\n\n');
  return [
    `## ${command.name}`,
    command.summary,
    `\`\`\`sh\nsprawl-edge ${`${command.name} ${command.usage}`.trim()}\n\`\`\``,
    ...command.details,
    `Options:`,
    options.join('\n'),
    ...(examples === '' ? [] : [`Examples:`, `\`\`\`sh\n${examples}\n\`\`\``]),
  ].join('\n\n');
}

/** The page docs/cli.md. */
export function renderCliReference(): string {
  return `${[INTRODUCTION.trimEnd(), ...COMMANDS.map(commandText)].join('\n\n')}\n`;
}

if (import.meta.url === pathToFileURL(argv[1] ?? '').href) {
  writeFileSync(new URL('../../../docs/cli.md', import.meta.url), renderCliReference());
}
