/** The suite of several servers at its smallest, and what a row says of what is not there. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { FORMATIONS, FORMATION_NAMES, type FormationName } from './formations.js';
import { meshRows } from './mesh-rows.js';
import { oneOfEachKind } from './kinds.js';
import { parseOptions } from './options.js';
import { spawnPlain } from './plain-process.js';
import { judge, rowLines, skipReason } from './report.js';
import type { Row, Sample } from './row.js';

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));
const options = parseOptions(['mesh', '--small']);

// On a machine that has other work, too.
t.setTimeout(300_000);

t.test('a small run of the mesh suite has figures for all that is there', { timeout: 180_000 }, async (t) => {
  const ids = oneOfEachKind(meshRows(options)).map(({ id }) => id);
  const child = spawnPlain(process.execPath, [MAIN, 'mesh', '--small', '--only', ids.join()]);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = await once(child, 'close');
  t.same(output.match(/^.*(?:no figures|NaN|failed \d).*$/gm), null, 'no run failed');
  t.equal(code, 0, 'no run of ours went wrong');
  for (const id of ids) t.match(output, `[${id}]`, `row ${id}`);
  const isThere = (name: FormationName): boolean => FORMATIONS[name].version() !== undefined;
  for (const name of FORMATION_NAMES.filter((formation) => !formation.endsWith('-kept'))) {
    const line = new RegExp(`^  ${name} +${isThere(name) ? 'delivered' : 'missing'}`, 'm');
    t.match(output, line, name);
  }
  if (!t.passing()) t.comment(output);
});

t.test('every budget names cells of its row', async (t) => {
  for (const { id, cells, budgets } of meshRows(options)) {
    const names = cells.map(({ name }) => name);
    for (const budget of budgets)
      t.ok(
        budget.cells.every((cell) => names.includes(cell)),
        `${id}: ${budget.text}`,
      );
  }
});

t.test('what was skipped is neither a figure nor a failure, and its budget is open', async (t) => {
  const row = meshRows(options).find(({ id }) => id === 'mesh-dht') as Row;
  const skipped: Sample = { kind: 'skipped', reason: 'it is not there' };
  const samples = { row, rounds: [new Map([['ours', skipped]])], missing: [] };
  t.equal(skipReason(samples, 'ours'), 'it is not there');
  t.match(rowLines(samples).join('\n'), /ours +skipped: it is not there/);
  t.same(
    judge(samples).map(({ outcome }) => outcome),
    ['missing'],
  );
  const measured: Sample = { kind: 'figures', figures: { p50Ms: 1, p99Ms: 60, firstMs: 2 } };
  const both = { ...samples, rounds: [...samples.rounds, new Map([['ours', measured]])] };
  t.equal(skipReason(both, 'ours'), undefined, 'it was there once');
  t.same(
    judge(both).map(({ outcome }) => outcome),
    ['not met'],
  );
});
