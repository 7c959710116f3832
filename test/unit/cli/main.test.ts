import { readFileSync } from 'node:fs';
import t from 'tap';
import { COMMANDS } from '../../../lib/cli/commands.js';
import { main } from '../../../lib/cli/main.js';
import { renderCliReference } from '../../../lib/cli/reference.js';
import { CONFIG_KEYS } from '../../../lib/config/index.js';
import { FakeWorld } from './fake-world.js';

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const world = new FakeWorld();
  const code = await main(args, world);
  return { code, out: world.stdout.text, err: world.stderr.text };
}

t.test('help lists every command, and help of a command its options and examples', async (t) => {
  for (const args of [['help'], ['--help'], ['-h']]) {
    const { code, out, err } = await run(...args);
    t.strictSame([code, err], [0, '']);
    for (const { name } of COMMANDS) t.match(out, `  ${name} `);
  }
  for (const { name, options, examples } of COMMANDS) {
    const { code, out } = await run('help', ...name.split(' '));
    t.equal(code, 0);
    for (const { long } of options) t.match(out, `--${long}`);
    for (const { line } of examples) t.match(out, line);
    t.equal((await run(...name.split(' '), '--help')).out, out);
    t.ok(
      out.split('\n').every((line) => line.length < 180),
      name,
    );
  }
});

t.test('version is that of the package', async (t) => {
  const text = readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8');
  t.strictSame(await run('--version'), {
    code: 0,
    out: `sprawl-edge ${JSON.parse(text).version}\n`,
    err: '',
  });
  t.equal((await run('version')).code, 0);
});

t.test('unknown commands end with 2 and suggest the near one', async (t) => {
  t.strictSame(await run('pubb'), {
    code: 2,
    out: '',
    err: 'sprawl-edge: unknown command "pubb": did you mean "pub"? (see "sprawl-edge --help")\n',
  });
  t.match(await run('config', 'chek'), { code: 2, err: /did you mean config check\?/ });
  t.match(await run('config'), {
    code: 2,
    err: /"config" needs one more word: config check, config show, config schema/,
  });
  t.match(await run('help', 'pubb'), { code: 2, err: /did you mean "pub"\?/ });
  t.match(await run(), { code: 2, err: /a command is missing/ });
  t.match(await run('zzzzzz'), {
    code: 2,
    err: 'sprawl-edge: unknown command "zzzzzz" (see "sprawl-edge --help")\n',
  });
});

t.test('a wrong command line ends with 2, for pub and sub with 1 as with mosquitto', async (t) => {
  t.equal((await run('up', '--nope')).code, 2);
  t.equal((await run('pub', '--nope')).code, 1);
  t.equal((await run('sub', '--nope')).code, 1);
});

t.test('every option that sets a configuration key names one that exists', async (t) => {
  for (const { options } of COMMANDS) {
    for (const { key } of options) if (key !== undefined) t.ok(CONFIG_KEYS.has(key), key);
  }
});

t.test('docs/cli.md is what the command table says (npm run docs writes it)', async (t) => {
  t.equal(readFileSync(new URL('../../../../docs/cli.md', import.meta.url), 'utf8'), renderCliReference());
});
