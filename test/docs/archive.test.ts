/** What docs/archive.md tells others to run is run. */
import { readFileSync, writeFileSync } from 'node:fs';
import { DuckDBInstance } from '@duckdb/node-api';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { FileObjectStore } from '../../bridge/archive/file-object-store.js';
import { ARCHIVE_COMMANDS } from '../../lib/cli/archive-commands.js';
import { parseKeyFile } from '../../lib/contracts/master-key.js';
import { runHere } from '../integration/cli-in-process.js';
import { ArchiveWorld, rowsOf } from '../support/archive-world.js';
import { compact, GRACE_MS, NOW_MS } from '../support/compaction-world.js';

const page = readFileSync(new URL('../../../docs/archive.md', import.meta.url), 'utf8');

t.test('DuckDB reads an archive as the page says', async (t) => {
  const folder = join(t.testdir(), 'archive');
  const world = new ArchiveWorld(t, new FileObjectStore(folder));
  await world.cut(6, rowsOf(1, 6));
  await world.cut(9, rowsOf(7, 9, { payload: Buffer.from('{"celsius":21.5}') }));
  const [key = ''] = world.keys;
  writeFileSync(join(folder, key.replace(/[^/]+$/, 'litter.parquet')), readFileSync(join(folder, key)));
  const blocks = [...page.matchAll(/```sql\n(.*?)```/gs)].map(([, sql = '']) =>
    sql.replaceAll('/var/lib/sprawl/archive', folder),
  );
  t.equal(blocks.length, 3);
  const db = await (await DuckDBInstance.create(':memory:')).connect();
  t.teardown(() => db.closeSync());
  for (const sql of blocks.slice(0, 2)) await db.run(sql);
  const ask = async (sql: string) => (await db.runAndReadAll(sql)).getRowObjectsJson();
  t.same(await ask('SELECT count(*)::INTEGER AS n FROM messages'), [{ n: 11 }], 'litter and all');
  t.same(await ask('SELECT count(*)::INTEGER AS n FROM archived'), [{ n: 9 }]);
  const summary = await ask(blocks[2] ?? '');
  t.same(
    summary,
    ['a', 'b', 'c'].map((letter) => ({ topic: `site/${letter}`, messages: '3', celsius: 21.5 })),
  );
});

t.test('DuckDB reads what cat prints of an encrypted archive', async (t) => {
  const dir = t.testdir();
  const [folder, keys, printed] = ['archive', 'keys', 'printed'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(keys, '11'.repeat(32));
  const key = parseKeyFile(readFileSync(keys, 'utf8'), keys, 'archive');
  const world = new ArchiveWorld(t, new FileObjectStore(folder, undefined, key));
  await world.cut(6, rowsOf(1, 6));
  const target = ['--target', pathToFileURL(folder).href, '--set', `archive.encryptionKeyFile=${keys}`];
  writeFileSync(printed, (await runHere(['archive', 'cat', ...target])).out);
  const statements = [...page.matchAll(/\| duckdb -c "(.*)"$/gm)].map(([, sql = '']) =>
    sql.replace('/dev/stdin', printed).replace('yesterday.parquet', join(dir, 'yesterday.parquet')),
  );
  t.equal(statements.length, 2);
  const db = await (await DuckDBInstance.create(':memory:')).connect();
  t.teardown(() => db.closeSync());
  const ask = async (sql: string) => (await db.runAndReadAll(sql)).getRowObjectsJson();
  t.equal((await ask(statements[0] ?? '')).length, 3, 'topics');
  await db.run(statements[1] ?? '');
  t.same(await ask(`SELECT count(*)::INTEGER AS n FROM '${join(dir, 'yesterday.parquet')}'`), [{ n: 6 }]);
});

t.test('DuckDB reads what was merged once, before and after the old files are gone', async (t) => {
  const folder = join(t.testdir(), 'archive');
  const store = new FileObjectStore(folder);
  const world = new ArchiveWorld(t, store);
  const [sql = ''] = [...page.matchAll(/```sql\n(SET VARIABLE.*?)```/gs)].map(([, text = '']) =>
    text.replaceAll('/var/lib/sprawl/archive', folder),
  );
  const count = async (): Promise<unknown> => {
    const db = await (await DuckDBInstance.create(':memory:')).connect();
    try {
      await db.run(sql);
      const query = 'SELECT count(*)::INTEGER AS n, count(DISTINCT sequence)::INTEGER AS d FROM archived';
      return (await db.runAndReadAll(query)).getRowObjectsJson();
    } finally {
      db.closeSync();
    }
  };
  for (const n of [1, 2, 3, 4]) {
    for (const m of [1, 2, 3])
      await world.cut((3 * (n - 1) + m) * 3, rowsOf(9 * n - 9 + 3 * m - 2, 9 * n - 9 + 3 * m));
    t.same(await count(), [{ n: 9 * n, d: 9 * n }]);
    const [merged] = await compact(store, NOW_MS + n * GRACE_MS);
    t.equal(merged?.merges, 1);
    t.equal(merged?.removed?.replaced.objects, n === 1 ? 0 : n === 2 ? 9 : 12);
    t.same(await count(), [{ n: 9 * n, d: 9 * n }]);
  }
});

t.test('the page shows every command that it is about', (t) => {
  for (const { name } of ARCHIVE_COMMANDS) t.match(page, `sprawl-edge ${name}`);
  t.end();
});

interface Policy {
  readonly Statement: readonly { readonly Action: readonly string[]; readonly Resource: string | string[] }[];
}

t.test('the policies allow what is asked for, and no more', (t) => {
  const [writer = [], reader = [], merger = [], rules = []] = [...page.matchAll(/```json\n(.*?)```/gs)].map(
    ([, json = '']) =>
      [...new Set((JSON.parse(json) as Policy).Statement.flatMap(({ Action }) => Action))].sort(),
  );
  const source = (name: string): string =>
    readFileSync(new URL(`../../../bridge/archive/${name}.ts`, import.meta.url), 'utf8');
  t.strictSame(
    rules,
    [...new Set([...source('s3-lifecycle').matchAll(/'(s3:\w+)'/g)].map(([, action]) => action))].sort(),
    'those that the errors name',
  );
  const asked = [...source('s3-object-store').matchAll(/new (\w+)Command\(/g)].map(([, name = '']) => name);
  const permissionOf = (name: string): string =>
    `s3:${{ HeadObject: 'GetObject', ListObjectsV2: 'ListBucket' }[name] ?? name.replace(/^(Create|Complete)MultipartUpload$|^UploadPart$/, 'PutObject')}`;
  const needed = [...new Set(asked.map(permissionOf))].sort();
  t.strictSame(writer, needed);
  t.strictSame(merger, needed);
  t.strictSame(reader, ['s3:GetObject', 's3:ListBucket']);
  t.end();
});
