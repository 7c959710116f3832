import t from 'tap';
import { parseArguments } from '../../../lib/cli/arguments.js';
import { COMMANDS } from '../../../lib/cli/commands.js';
import { SprawlError } from '../../../lib/contracts/errors.js';

function command(name: string) {
  const found = COMMANDS.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no command ${name}`);
  return found;
}

function refused(name: string, ...args: string[]): string {
  try {
    parseArguments(command(name), args);
  } catch (error) {
    if (error instanceof SprawlError && error.code === 'USAGE') return error.message;
    throw error;
  }
  throw new Error('the command line was accepted');
}

t.test('options are taken in every way that getopt allows', async (t) => {
  for (const args of [
    ['-t', 'a', '-q', '1', '-r'],
    ['-ta', '-q1', '-r'],
    ['--topic', 'a', '--qos=1', '--retain'],
    ['-rq1', '-t', 'a'],
  ]) {
    const invocation = parseArguments(command('pub'), args);
    t.equal(invocation.value('topic'), 'a', args.join(' '));
    t.equal(invocation.value('qos'), '1');
    t.ok(invocation.has('retain'));
    t.notOk(invocation.has('debug'));
  }
});

t.test('an option that takes a value takes whatever follows', async (t) => {
  const invocation = parseArguments(command('pub'), ['-m', '-5', '-t', '--', '-x', '-1']);
  t.equal(invocation.value('message'), '-5');
  t.equal(invocation.value('topic'), '--');
  t.equal(invocation.value('session-expiry-interval'), '-1');
});

t.test('repeated options are all kept, and the last counts where one is asked for', async (t) => {
  const invocation = parseArguments(command('sub'), ['-t', 'a', '-t', 'b', '-q', '0', '-q', '2']);
  t.strictSame(invocation.valuesOf('topic'), ['a', 'b']);
  t.equal(invocation.value('qos'), '2');
});

t.test('-D takes three values, or four for user-property, and what follows is parsed on', async (t) => {
  const args = [
    '-r',
    '-D',
    'publish',
    'user-property',
    '-a',
    '-b',
    '-D',
    'publish',
    'content-type',
    '-x',
    '-t',
    'topic',
  ];
  const invocation = parseArguments(command('pub'), args);
  t.strictSame(invocation.tuplesOf('property'), [
    ['publish', 'user-property', '-a', '-b'],
    ['publish', 'content-type', '-x'],
  ]);
  t.equal(invocation.value('topic'), 'topic');
  t.ok(invocation.has('retain'));
});

t.test('what cannot be understood is one line with the way out', async (t) => {
  t.equal(
    refused('sub', '--topix', 'a'),
    'unknown option --topix: did you mean --topic? (see "sprawl-edge help sub")',
  );
  t.equal(refused('sub', '-Z'), 'unknown option -Z (see "sprawl-edge help sub")');
  t.equal(refused('sub', '-t'), '-t needs a value: -t, --topic FILTER (see "sprawl-edge help sub")');
  t.equal(refused('sub', '--verbose=1'), '--verbose takes no value (see "sprawl-edge help sub")');
  t.match(
    refused('pub', '-D', 'publish', 'content-type'),
    /^-D needs more values: -D, --property COMMAND PROPERTY VALUE /,
  );
  t.match(refused('pub', '-D', 'publish', 'user-property', 'a'), /^-D needs more values/);
  t.equal(refused('up', 'now'), 'unexpected argument "now" (see "sprawl-edge help up")');
  t.match(refused('passwd', 'file'), /^too few arguments: sprawl-edge passwd /);
});

t.test('--help is an option of every command, -h where it is not the host', async (t) => {
  for (const each of COMMANDS) t.ok(parseArguments(each, ['--help']).has('help'), each.name);
  t.ok(parseArguments(command('up'), ['-h']).has('help'));
  t.equal(parseArguments(command('sub'), ['-h', 'x']).value('host'), 'x');
});

t.test(
  'no command has two options of one name or letter, and every configuration option has its key',
  async (t) => {
    for (const { name, options } of COMMANDS) {
      const longs = options.map((option) => option.long);
      const shorts = options.flatMap((option) => option.short ?? []);
      t.equal(new Set(longs).size, longs.length, name);
      t.equal(new Set(shorts).size, shorts.length, name);
    }
  },
);
