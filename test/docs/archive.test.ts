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

const page = readFileSync(new URL('../../../docs/archive.md', import.meta.url), 'utf8');

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
