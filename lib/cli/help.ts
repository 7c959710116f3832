import { helpOption, writtenOption } from './arguments.js';
import type { Command, OptionSpec } from './command.js';

const WIDTH_CHARS = 92;
const OPTION_CHARS = 34;

/** Breaks `text` into lines of at most `width` characters, each behind `indent`. */
function wrap(text: string, width: number, indent: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((each) => indent + each).join('\n');
}

function row(name: string, text: string, nameChars: number): string {
  const indent = ' '.repeat(nameChars + 2);
  const body = wrap(text, WIDTH_CHARS - nameChars - 2, indent);
  const head = `  ${name}`;
  return head.length < indent.length - 1
    ? head.padEnd(indent.length) + body.slice(indent.length)
    : `${head}\n${body}`;
}

function optionRow(spec: OptionSpec): string {
  const name = writtenOption(spec);
  return row(spec.short === undefined ? `    ${name}` : name, spec.description, OPTION_CHARS);
}

/** The help of one command. */
export function renderCommandHelp(command: Command): string {
  const options = [...command.options, helpOption(command)].map(optionRow);
  const examples = command.examples.map(({ purpose, line }) => `  # ${purpose}\n  ${line}`);
  return [
    `${command.summary}\n`,
    `Usage: sprawl-edge ${`${command.name} ${command.usage}`.trim()}\n`,
    ...command.details.map((paragraph) => `${wrap(paragraph, WIDTH_CHARS, '')}\n`),
    `Options:\n${options.join('\n')}\n`,
    ...(examples.length === 0 ? [] : [`Examples:\n${examples.join('\n\n')}\n`]),
  ].join('\n');
}

/** What `sprawl-edge --help` prints. */
export function renderHelp(commands: readonly Command[]): string {
  const nameChars = Math.max(...commands.map((command) => command.name.length), 'help [COMMAND]'.length) + 2;
  const rows = commands.map((command) => row(command.name, command.summary, nameChars));
  return `Sprawl Edge is an MQTT broker for gateways: devices connect to the gateway of their site.

Usage: sprawl-edge COMMAND [OPTIONS]

Commands:
${rows.join('\n')}
${row('help [COMMAND]', 'Show this help, or that of a command.', nameChars)}
${row('version', 'Show the version.', nameChars)}

First steps:
  # Start a gateway for programs on this machine (MQTT on 1883, WebSocket on 8083, HTTP on 8880)
  sprawl-edge up

  # In another terminal: watch every topic, then send something
  sprawl-edge sub -v -t '#'
  sprawl-edge pub -t greeting -m hello

  # Let devices of the network in, with passwords
  sprawl-edge passwd -c passwords alice
  sprawl-edge up --listen 0.0.0.0 --password-file passwords

  # Make this gateway the first of a mesh; join it from another machine
  sprawl-edge init --site harbour
  sprawl-edge join - --site greenhouse

"sprawl-edge help COMMAND" explains a command and its options.
`;
}
