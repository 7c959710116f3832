/** The benchmark at its smallest, so that it cannot rot: a row of each kind runs and is printed, whatever servers are installed. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { oneOfEachKind } from '../bench/kinds.js';
import { parseOptions } from '../bench/options.js';
import { spawnPlain } from '../bench/plain-process.js';
import { benchRows } from '../bench/rows.js';
import { TARGETS } from '../bench/targets.js';

const MAIN = fileURLToPath(new URL('../bench/main.js', import.meta.url));
/** @param suites default: those of the benchmark */
const idsOf = (...suites: string[]): string[] =>
  oneOfEachKind(benchRows(parseOptions(suites))).map(({ id }) => id);

async function bench(...args: string[]): Promise<{ code: number; output: string }> {
  const child = spawnPlain(process.execPath, [MAIN, ...args]);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = await once(child, 'close');
  return { code: Number(code), output };
}

// On a machine that has other work, too.
t.setTimeout(300_000);

t.test('a small run prints a row of each kind and has a figure for each', { timeout: 180_000 }, async (t) => {
  const file = join(t.testdir(), 'result.json');
  const ids = idsOf();
  const { code, output } = await bench('--small', '--only', ids.join(), '--target', 'ours', '--json', file);
  t.equal(code, 0, 'no run of ours went wrong');
  if (code !== 0) t.comment(output);
  for (const id of ids) t.match(output, `[${id}]`, `row ${id}`);
  const { rows } = JSON.parse(await readFile(file, 'utf8'));
  const written = rows.map(({ id }: { id: string }) => id);
  // Rows whose ids begin alike come with them.
  for (const id of ids) t.ok(written.includes(id), `${id} in the JSON file`);
  t.notMatch(output, /no figures/, 'no run failed');
});

t.test('a server beside ours has its figures in the same row, or is said to be missing', async (t) => {
  const { output } = await bench('mqtt', '--small', '--only', 'qos1-10to10', '--target', 'ours,mosquitto');
  const isMosquittoThere = TARGETS.mosquitto.version() !== undefined;
  t.match(output, /\[qos1-10to10\]/);
  t.match(
    output,
    isMosquittoThere ? /mosquitto, MQTT 3\.1\.1 +delivered/ : /mosquitto, MQTT 3\.1\.1 +missing/,
  );
});

t.test(
  'a small run of the storage suite has figures in a row of each kind',
  { timeout: 180_000 },
  async (t) => {
    const { code, output } = await bench(
      'storage',
      '--small',
      '--only',
      idsOf('storage').join(),
      '--target',
      'ours-disk',
    );
    t.equal(code, 0, 'no run went wrong');
    if (code !== 0) t.comment(output);
    for (const id of idsOf('storage')) t.match(output, `[${id}]`, `row ${id}`);
    t.notMatch(output, /no figures|NaN/);
  },
);

t.test(
  'a small run of the archive suite has figures in a row of each kind',
  { timeout: 180_000 },
  async (t) => {
    const { code, output } = await bench('archive', '--small', '--only', idsOf('archive').join());
    t.equal(code, 0, 'no run went wrong');
    if (code !== 0) t.comment(output);
    for (const id of idsOf('archive')) t.match(output, `[${id}]`, `row ${id}`);
    t.notMatch(output, /no figures|NaN/);
  },
);

t.test('strict mode fails where a budget has nothing to compare with', async (t) => {
  const { code, output } = await bench(
    'mqtt',
    '--small',
    '--strict',
    '--only',
    'start',
    '--target',
    'mosquitto',
  );
  t.equal(code, 1);
  t.match(output, /FAIL start: ours ready, ms: missing/);
});

t.test('an unknown option is one clear line and exit code 2', async (t) => {
  const { code, output } = await bench('--target', 'moskito');
  t.equal(code, 2);
  t.match(output, /^target moskito: one of ours, ours-disk, mosquitto, nats, reflector\n/);
});
