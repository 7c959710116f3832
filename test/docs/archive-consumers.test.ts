/** What docs/archive-consumers.md tells others to run is run, as far as it can be had here. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { asyncBufferFromFile, parquetMetadataAsync } from 'hyparquet';
import t, { type Test } from 'tap';
import { COMPACTION_DEFAULTS } from '../../bridge/archive/compaction/compactor.js';
import { FileObjectStore } from '../../bridge/archive/file-object-store.js';
import { PARQUET_DEFAULTS } from '../../bridge/archive/parquet-options.js';
import { cleanEnvironment } from '../support/clean-process.js';
import { ArchiveWorld, ORIGIN, OTHER, rowOf, rowsOf } from '../support/archive-world.js';
import { compact, GRACE_MS, NOW_MS } from '../support/compaction-world.js';
import { S3Server } from '../support/s3-server.js';

const run = promisify(execFile);
const page = readFileSync(new URL('../../../docs/archive-consumers.md', import.meta.url), 'utf8');
const PYTHON = process.env['SPRAWL_PYTHON'] ?? 'python3';
const PYTHON_MAX_MS = 120_000;

/** The blocks of a language in a section, where `folder` is the archive. */
function blocksOf(section: string, language: string, folder: string): string[] {
  const [, rest = ''] = page.split(new RegExp(`^## ${section}$`, 'm'));
  const [text = ''] = rest.split(/^## /m);
  return [...text.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, block = '']) =>
    block.replaceAll('/var/lib/sprawl/archive', folder),
  );
}

interface Archive {
  readonly folder: string;
  readonly store: FileObjectStore;
  readonly world: ArchiveWorld;
}

/** Larger files are not merged. */
const LARGE_BYTES = 10_000;
const COLUMNS = [{ name: 'celsius', path: ['celsius'], type: 'double' }] as const;

function newArchive(t: Test): Archive {
  const folder = join(t.testdir(), 'archive');
  const store = new FileObjectStore(folder);
  const parquet = { ...PARQUET_DEFAULTS, columns: COLUMNS };
  return { folder, store, world: new ArchiveWorld(t, store, { parquet }) };
}

/**
 * Two gateways. One has merged files beside those that they replace, a large one that its merge names once more, litter, a payload that is
 * no text, and a prefix that is escaped.
 */
async function mixedArchive(t: Test): Promise<Archive> {
  const archive = newArchive(t);
  const { folder, store, world } = archive;
  const isLarge = { topic: 'site/a', payload: randomBytes(2 * LARGE_BYTES) };
  await world.cut(3, [...rowsOf(1, 2), rowOf(3, isLarge)]);
  for (const n of [2, 3]) await world.cut(3 * n, rowsOf(3 * n - 2, 3 * n));
  const [merged] = await compact(store, NOW_MS, {
    limits: { ...COMPACTION_DEFAULTS, minBytes: LARGE_BYTES },
  });
  if (merged?.merges !== 1) throw new Error('nothing was merged');
  await world.cut(12, rowsOf(10, 12, { payload: Buffer.from('{"celsius":21.5}') }));
  await world.cut(13, [rowOf(13, { topic: 'site/d d/e', payload: Buffer.from([0, 255, 1]) })]);
  // An earlier version of the configuration had no column.
  await new ArchiveWorld(t, store, {}, OTHER).cut(1, [rowOf(1, { topic: 'site/a' })]);
  litter(folder, world.keys[0] ?? '');
  return archive;
}

function litter(folder: string, key: string): void {
  copyFileSync(join(folder, key), join(folder, key.replace(/[^/]+$/, 'litter.parquet')));
}

/** What every program has to find in it behind 2026-11-29: messages of each topic, and the mean of what has a temperature. */
const FOUND = [
  { topic: 'site/a', messages: 5, celsius: 21.5 },
  { topic: 'site/b', messages: 4, celsius: 21.5 },
  { topic: 'site/c', messages: 4, celsius: 21.5 },
  { topic: 'site/d d/e', messages: 1, celsius: null },
];

async function connection(t: Test): Promise<DuckDBConnection> {
  const db = await (await DuckDBInstance.create(':memory:')).connect();
  t.teardown(() => db.closeSync());
  return db;
}

async function ask(db: DuckDBConnection, sql: string): Promise<Record<string, unknown>[]> {
  const rows = (await db.runAndReadAll(sql)).getRowObjectsJson();
  return rows.map((row) => ('messages' in row ? { ...row, messages: Number(row['messages']) } : row));
}

t.test('DuckDB reads an archive as the page says', async (t) => {
  const { folder } = await mixedArchive(t);
  const [all = '', named = '', summary = '', ...others] = blocksOf('DuckDB', 'sql', folder);
  t.same(others, []);
  const db = await connection(t);
  await db.run(all);
  await db.run(named.replace("getvariable('files'),", "getvariable('files'), union_by_name = true,"));
  t.same(await ask(db, 'SELECT count(*)::INTEGER AS n FROM messages'), [{ n: 23 }], 'litter and all');
  t.same(await ask(db, 'SELECT count(*)::INTEGER AS n FROM archived'), [{ n: 14 }]);
  t.same(await ask(db, summary), FOUND);
  const decoded = `SELECT count(*)::INTEGER AS n FROM archived WHERE prefix = 'site/d d'`;
  t.same(await ask(db, decoded), [{ n: 1 }]);
});

t.test('DuckDB reads what was merged once, before and after the old files are gone', async (t) => {
  const { folder, store, world } = newArchive(t);
  const [, named = ''] = blocksOf('DuckDB', 'sql', folder);
  const count = async (): Promise<unknown> => {
    const db = await (await DuckDBInstance.create(':memory:')).connect();
    try {
      await db.run(named);
      return await ask(
        db,
        'SELECT count(*)::INTEGER AS n, count(DISTINCT sequence)::INTEGER AS d FROM archived',
      );
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

/** Types of Hive by those of Parquet. */
function hiveTypeOf({ type, converted_type: converted }: { type?: string; converted_type?: string }): string {
  const types: Readonly<Record<string, string>> = {
    'INT64 TIMESTAMP_MICROS': 'timestamp',
    'BYTE_ARRAY UTF8': 'string',
    BYTE_ARRAY: 'binary',
    ...{ INT64: 'bigint', INT32: 'int', BOOLEAN: 'boolean', DOUBLE: 'double' },
  };
  return types[[type, converted].filter((one) => one !== undefined).join(' ')] ?? `unknown ${type}`;
}

async function columnsOf(folder: string, key: string): Promise<string[]> {
  const metadata = await parquetMetadataAsync(await asyncBufferFromFile(join(folder, key)));
  return metadata.schema.slice(1).map((column) => `${column.name} ${hiveTypeOf(column)}`);
}

t.test('columns and types of Athena and Spark are those of a file', async (t) => {
  const { folder, world } = newArchive(t);
  await world.cut(3, rowsOf(1, 3));
  const [key = ''] = world.keys;
  const columns = await columnsOf(folder, key);
  const [messages = ''] = blocksOf('Athena and Trino', 'sql', folder);
  const [body = '', partitions = ''] = messages.split('PARTITIONED BY');
  const definitions = (text: string): string[] =>
    [...text.matchAll(/`(\w+)` (\w+)/g)].map(([, name, type]) => `${name} ${type}`);
  t.same(definitions(body), columns);
  t.same(definitions(partitions), ['date string']);
  const [, , template = ''] =
    /'storage.location.template' = '(s3:\/\/[^/]+\/edge\/)(.*)'/.exec(messages) ?? [];
  t.ok(key.startsWith(template.replace('${date}', '2026-11-29')), key);
  const [spark = ''] = blocksOf('Spark', 'python', folder);
  const [, schema = ''] = /schema\(\s*"""(.*?)"""/s.exec(spark) ?? [];
  t.same(
    schema.split(',').map((one) => one.trim().toLowerCase()),
    [...columns, 'date date', 'prefix string'],
  );
  const [, table = ''] = page.split(/^## Columns$/m);
  const named = [...(table.split(/^## /m)[0] ?? '').matchAll(/^\| `(\w+)`\s+\| (\w+)/gm)];
  t.same(
    named.map(([, name, type]) => `${name} ${type}`),
    (await parquetMetadataAsync(await asyncBufferFromFile(join(folder, key)))).schema
      .slice(1, -COLUMNS.length)
      .map(({ name, type }) => `${name} ${type}`),
    'the table of the page',
  );
});

t.test('the view of Athena and Trino counts each message once, in DuckDB', async (t) => {
  const { folder } = await mixedArchive(t);
  const [, , view = '', summary = ''] = blocksOf('Athena and Trino', 'sql', folder);
  const db = await connection(t);
  // As its SerDe would find them: every file of the manifest, pages and configurations included.
  mkdirSync(join(folder, 'manifest', OTHER, 'configs'), { recursive: true });
  writeFileSync(join(folder, 'manifest', OTHER, 'configs', '00.json'), '{"format":1,"topics":["#"]}\n');
  mkdirSync(join(folder, 'manifest', OTHER, 'pages'), { recursive: true });
  copyFileSync(
    join(folder, 'manifest', OTHER, 'entries', '000000000001.json'),
    join(folder, 'manifest', OTHER, 'pages', '000000000001.jsonl'),
  );
  await db.run(`CREATE VIEW manifests AS FROM read_json('${folder}/manifest/*/*/*.json*', columns = {
    origin: 'VARCHAR', number: 'BIGINT', "first": 'BIGINT', "last": 'BIGINT', objects: 'STRUCT(key VARCHAR)[]'
  })`);
  await db.run(`CREATE VIEW messages AS SELECT * RENAME (filename AS "$path")
    FROM read_parquet('${folder}/data/**/*.parquet', filename = true, union_by_name = true)`);
  // There an array of rows becomes the columns of the rows.
  await db.run(view.replace('UNNEST(objects)', 'UNNEST(list_transform(objects, lambda o: o.key))'));
  t.same(await ask(db, 'SELECT count(*)::INTEGER AS n FROM archived'), [{ n: 14 }]);
  t.same(await ask(db, summary.replace('json_extract_scalar', 'json_extract_string')), FOUND);
});

/** Why Python cannot run it; undefined: it can. */
async function missing(...modules: string[]): Promise<string | undefined> {
  try {
    await run(PYTHON, ['-c', `import ${modules.join(', ')}`], { timeout: PYTHON_MAX_MS });
    return undefined;
  } catch {
    return `${PYTHON} has not all of ${modules.join(', ')} (SPRAWL_PYTHON names another one)`;
  }
}

/** @returns what the last line says */
async function python(folder: string, ...blocks: readonly string[]): Promise<unknown> {
  const file = join(dirname(folder), 'page.py');
  writeFileSync(file, blocks.join('\n'));
  const { stdout } = await run(PYTHON, [file], { env: cleanEnvironment(), timeout: PYTHON_MAX_MS });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}

const skipped = (reason: string | undefined): { skip?: string } =>
  reason === undefined ? {} : { skip: reason };
// Spark takes half a minute to start on a busy machine.
t.setTimeout(3 * PYTHON_MAX_MS);
const PANDAS = 'pandas and pyarrow';

t.test('pandas reads an archive as the page says', skipped(await missing('pandas', 'pyarrow')), async (t) => {
  const { folder } = await mixedArchive(t);
  const found = await python(folder, ...blocksOf(PANDAS, 'python', folder));
  t.same(
    found,
    Object.fromEntries(
      FOUND.map(({ topic, messages, celsius }) => [topic, { size: messages, mean: celsius }]),
    ),
  );
});

t.test('pyarrow reads a bucket', skipped(await missing('pandas', 'pyarrow')), async (t) => {
  const { folder } = await mixedArchive(t);
  const access = { accessKeyId: 'AKTEST', secretAccessKey: 'very secret' };
  const server = new S3Server({ bucket: 'plant-archive', ...access });
  await server.listen();
  t.teardown(() => server.close());
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
    if (/\.(json|parquet)$/.test(path)) server.objects.set(`edge/${path}`, readFileSync(join(folder, path)));
  const query = `region=eu-west-1&scheme=http&endpoint_override=${new URL(server.endpoint).host}`;
  const blocks = blocksOf(PANDAS, 'python', folder).map((block) =>
    block.replace(`file://${folder}`, `s3://plant-archive/edge?${query}`),
  );
  const file = join(dirname(folder), 'bucket.py');
  writeFileSync(file, blocks.join('\n'));
  const env = { AWS_ACCESS_KEY_ID: access.accessKeyId, AWS_SECRET_ACCESS_KEY: access.secretAccessKey };
  const { stdout } = await run(PYTHON, [file], {
    env: { ...cleanEnvironment(), ...env },
    timeout: PYTHON_MAX_MS,
  });
  t.same(
    Object.keys(JSON.parse(stdout) as object),
    FOUND.map(({ topic }) => topic),
  );
});

t.test(
  'pyarrow reads entries that a page has from the page',
  skipped(await missing('pyarrow')),
  async (t) => {
    const { folder, world } = newArchive(t);
    for (let n = 1; n <= 258; n++) await world.cut(n, [rowOf(n, { topic: 'site/a' })]);
    await world.manifest.writePage(256);
    t.same(readdirSync(join(folder, 'manifest', ORIGIN, 'pages')), ['000000000001.jsonl']);
    // The page alone has these.
    for (const name of readdirSync(join(folder, 'manifest', ORIGIN, 'entries')).slice(0, 256))
      writeFileSync(join(folder, 'manifest', ORIGIN, 'entries', name), 'not asked for\n');
    const [archived = ''] = blocksOf(PANDAS, 'python', folder);
    const end = `print(len(set(archived("file://${folder}")[2])))`;
    t.equal(await python(folder, archived, end), 258);
  },
);

t.test('polars reads an archive as the page says', skipped(await missing('polars', 'pyarrow')), async (t) => {
  const { folder } = await mixedArchive(t);
  const [archived = ''] = blocksOf(PANDAS, 'python', folder);
  t.same(await python(folder, archived, ...blocksOf('polars', 'python', folder)), FOUND);
});

t.test(
  'Spark reads an archive as the page says',
  skipped((await missing('pyspark', 'pyarrow')) ?? (await withoutJava())),
  async (t) => {
    const { folder } = await mixedArchive(t);
    const [archived = ''] = blocksOf(PANDAS, 'python', folder);
    const end = `print("[" + ",".join(summary.toJSON().collect()) + "]")`;
    const found = await python(folder, archived, ...blocksOf('Spark', 'python', folder), end);
    // Its JSON leaves out what is null.
    t.same(
      found,
      FOUND.map(({ celsius, ...others }) => (celsius === null ? others : { ...others, celsius })),
    );
  },
);

async function withoutJava(): Promise<string | undefined> {
  return run('java', ['-version']).then(
    () => undefined,
    () => 'Java is not there',
  );
}

t.test('ClickHouse reads an archive as the page says', skipped(await missing('chdb')), async (t) => {
  const { folder } = await mixedArchive(t);
  const [view = '', summary = ''] = blocksOf('ClickHouse', 'sql', folder).map((sql) =>
    sql.replace(/;\s*$/, ''),
  );
  const found = await python(
    folder,
    ...['import json', 'from chdb import session', 'clickhouse = session.Session()'],
    `clickhouse.query(${JSON.stringify(view)})`,
    `print(json.dumps([json.loads(line) for line in str(clickhouse.query(${JSON.stringify(summary)}, "JSONEachRow")).splitlines() if line]))`,
  );
  t.same(
    found,
    FOUND.map((row) => ({ ...row })),
  );
});

interface Followed {
  readonly origin: string;
  readonly epoch: number;
  readonly sequence: number;
  readonly topic: string;
  readonly time: string;
  readonly base64: string;
}

t.test('a program that follows an archive gets each message once, also where files are merged', async (t) => {
  const { folder, store, world } = newArchive(t);
  const other = new ArchiveWorld(t, store, {}, OTHER);
  const program = join(dirname(folder), 'follow.mjs');
  const state = join(dirname(folder), 'state.json');
  writeFileSync(program, blocksOf('Following an archive', 'js', folder).join('\n'));
  const follow = async (): Promise<Followed[]> => {
    const { stdout } = await run(process.execPath, [program, folder, state], { env: cleanEnvironment() });
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Followed);
  };
  const sequencesOf = (rows: readonly Followed[]): number[] =>
    rows.map(({ sequence }) => sequence).toSorted((a, b) => a - b);

  await world.cut(3, rowsOf(1, 3, { payload: Buffer.from([0, 255]) }));
  const [first] = await follow();
  t.match(first, { origin: ORIGIN, epoch: 1, topic: /^site\//, base64: 'AP8=' });
  t.match(first?.time, /^2026-11-29T00:00:0\dZ|^2026-11-29T00:00:0\d\.000Z/);
  t.same(await follow(), [], 'nothing is new');

  // Entries 2 to 4 come, and are merged with the first; the files of the entries go.
  for (const n of [2, 3, 4]) await world.cut(3 * n, rowsOf(3 * n - 2, 3 * n));
  litter(folder, world.keys[0] ?? '');
  await compact(store, NOW_MS);
  const [merged] = await compact(store, NOW_MS + 2 * GRACE_MS);
  t.ok((merged?.removed?.replaced.objects ?? 0) > 0, 'they are gone');
  await world.cut(15, rowsOf(13, 15));
  await other.cut(2, rowsOf(1, 2));
  const rows = await follow();
  t.same(
    sequencesOf(rows.filter(({ origin }) => origin === ORIGIN)),
    [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  );
  t.same(sequencesOf(rows.filter(({ origin }) => origin === OTHER)), [1, 2]);
  t.same(await follow(), []);
  t.same(JSON.parse(readFileSync(state, 'utf8')), { [ORIGIN]: 5, [OTHER]: 1 });

  // A state that was not written: the last entry comes once more, and nothing else.
  writeFileSync(state, JSON.stringify({ [ORIGIN]: 4, [OTHER]: 1 }));
  t.same(sequencesOf(await follow()), [13, 14, 15]);
});
