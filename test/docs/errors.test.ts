import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ErrorCode } from '../../lib/contracts/errors.js';

const page = readFileSync('docs/errors.md', 'utf8');
const rows = new Map(
  [...page.matchAll(/^\| `([A-Z_]+)` +\| (\w+) +\|/gm)].map(([, code, kind]) => [code, kind]),
);

t.test('docs/errors.md has a line for every error code, with its kind, and no other', async (t) => {
  t.same(Object.fromEntries(rows), { ...ErrorCode });
});

t.test('every error code has a way out', async (t) => {
  const waysOut = [...page.matchAll(/^\| `([A-Z_]+)` .*\| +([^|]*?) +\|$/gm)];
  t.equal(waysOut.length, rows.size);
  for (const [, code = '', wayOut = ''] of waysOut) t.ok(wayOut.length >= 20, `${code}: ${wayOut}`);
});

t.test('every error code is raised somewhere', async (t) => {
  const sources = ['lib', 'mesh', 'storage']
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
    )
    .filter((name) => name.endsWith('.ts') && !name.endsWith(join('contracts', 'errors.ts')))
    .map((name) => readFileSync(name, 'utf8'))
    .join('\n');
  for (const code of Object.keys(ErrorCode)) t.ok(sources.includes(`'${code}'`), code);
});
