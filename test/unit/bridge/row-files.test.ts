/** What an archived file says is what was put into it, as other programs read it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { parquetMetadata } from 'hyparquet';
import t, { type Test } from 'tap';
import { gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import { NdjsonRows } from '../../../bridge/archive/ndjson-writer.js';
import { PARQUET_DEFAULTS, type ParquetOptions } from '../../../bridge/archive/parquet-options.js';
import { ParquetRows } from '../../../bridge/archive/parquet-writer.js';
import {
  type ArchiveRow,
  extract,
  jsonOf,
  type RowWriter,
  type WrittenFile,
} from '../../../bridge/archive/row.js';
import { HAS_ZSTD, zstdCompressSync } from '../../../bridge/archive/zstd.js';

const ORIGIN = gatewayIdOf(new Uint8Array(32).fill(0xab));
const FACTS = { site: 'Süd', origin: ORIGIN, epoch: { counter: 7, nonce: '00000000000000aa' } };
const START_MS = 1_764_460_800_123;

function row(sequence: number, payload: string | Uint8Array, more: Partial<ArchiveRow> = {}): ArchiveRow {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const fixed = {
    timeMs: START_MS + sequence,
    topic: `site/${sequence % 3}`,
    qos: sequence % 3,
    retain: false,
  };
  return { ...fixed, sequence, properties: undefined, payload: bytes, ...more };
}

function write(
  make: (sink: (bytes: Uint8Array) => void) => RowWriter,
  rows: readonly ArchiveRow[],
): [Buffer, WrittenFile] {
  const parts: Buffer[] = [];
  const writer = make((bytes) => parts.push(Buffer.from(bytes)));
  for (const one of rows) writer.add(one);
  const written = writer.finish();
  return [Buffer.concat(parts), written];
}

const parquet = (rows: readonly ArchiveRow[], options: Partial<ParquetOptions> = {}): [Buffer, WrittenFile] =>
  write((sink) => new ParquetRows(sink, FACTS, { ...PARQUET_DEFAULTS, ...options }), rows);

async function query(t: Test, bytes: Uint8Array, name: string, sql: string): Promise<unknown[]> {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-rows-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, name);
  writeFileSync(path, bytes);
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  try {
    const reader = await connection.runAndReadAll(sql.replaceAll('FILE', `'${path}'`));
    return reader.getRowObjectsJson();
  } finally {
    connection.closeSync();
  }
}

t.test('DuckDB reads from Parquet what was archived', async (t) => {
  const rows = [
    row(1, '{"temperature": 21.5, "id": 9007199254740993}', {
      topic: 'a/ü/😀',
      properties: '{"userProperties":[["k","v"]]}',
    }),
    row(2, Uint8Array.of(0, 255, 13)),
    row(3, '', { retain: true }),
    row(4, 'plain text'),
    row(5, ' [1,2] '),
  ];
  const [bytes, written] = parquet(rows);
  t.same(written, { rows: 5, length: bytes.length });
  const read = await query(
    t,
    bytes,
    'a.parquet',
    'SELECT * REPLACE (epoch_ms(time) AS time, hex(payload) AS payload) FROM read_parquet(FILE) ORDER BY sequence',
  );
  t.same(
    read,
    rows.map(({ timeMs, sequence, topic, qos, retain, properties, payload }) => ({
      ...{
        time: `${timeMs}`,
        site: 'Süd',
        origin: ORIGIN,
        epoch: '7',
        sequence: `${sequence}`,
        topic,
        qos,
        retain,
      },
      properties: properties ?? null,
      payload: Buffer.from(payload).toString('hex').toUpperCase(),
      json: [1, 5].includes(sequence) ? Buffer.from(payload).toString() : null,
    })),
  );
  const types = await query(
    t,
    bytes,
    'a.parquet',
    'SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet(FILE))',
  );
  t.same(
    types.map((one) => Object.values(one as object).join(' ')),
    [
      ...[
        'time TIMESTAMP WITH TIME ZONE',
        'site VARCHAR',
        'origin VARCHAR',
        'epoch BIGINT',
        'sequence BIGINT',
      ],
      ...[
        'topic VARCHAR',
        'qos INTEGER',
        'retain BOOLEAN',
        'properties VARCHAR',
        'payload BLOB',
        'json VARCHAR',
      ],
    ],
  );
});

t.test('fields of JSON have columns of their own', async (t) => {
  const columns = [
    { name: 'temperature', path: ['sensor', 'temperature'], type: 'double' },
    { name: 'count', path: ['count'], type: 'integer' },
    { name: 'ok', path: ['ok'], type: 'boolean' },
    { name: 'second', path: ['list', '1'], type: 'text' },
  ] as const;
  const rows = [
    row(1, '{"sensor":{"temperature":21.5},"count":3,"ok":true,"list":["a","b"]}'),
    row(2, '{"sensor":{"temperature":"warm"},"count":3.5,"ok":0,"list":[]}'),
    row(3, 'no json'),
    row(4, '{"sensor":null,"count":1e300}'),
    row(5, '3'),
  ];
  const [bytes] = parquet(rows, { columns });
  const nothing = { temperature: null, count: null, ok: null, second: null };
  t.same(
    await query(
      t,
      bytes,
      'a.parquet',
      'SELECT temperature, count, ok, second FROM read_parquet(FILE) ORDER BY sequence',
    ),
    [{ temperature: 21.5, count: '3', ok: true, second: 'b' }, ...[nothing, nothing, nothing, nothing]],
  );
  t.equal(
    extract({ a: 1 }, { name: 'x', path: ['constructor'], type: 'text' }),
    null,
    'only what is its own',
  );
});

t.test('row groups are small, and their bounds are known', async (t) => {
  const rows = Array.from({ length: 1000 }, (_, n) => row(n + 1, `{"n":${n}}`));
  const groupsOf = (bytes: Buffer): number[] =>
    parquetMetadata(new Uint8Array(bytes).buffer).row_groups.map((group) => Number(group.num_rows));
  t.same(groupsOf(parquet(rows)[0]), [1000]);
  t.same(groupsOf(parquet(rows, { groupMaxRows: 400 })[0]), [400, 400, 200]);
  const large = Array.from({ length: 5 }, (_, n) => row(n + 1, 'x'.repeat(1000)));
  t.same(groupsOf(parquet(large, { groupMaxBytes: 2000 })[0]), [2, 2, 1]);
  const [bytes] = parquet(rows, { groupMaxRows: 400 });
  t.same(
    await query(
      t,
      bytes,
      'a.parquet',
      "SELECT row_group_id AS g, stats_min_value AS low, stats_max_value AS high FROM parquet_metadata(FILE) WHERE path_in_schema = 'sequence' ORDER BY g",
    ),
    [
      { g: '0', low: '1', high: '400' },
      { g: '1', low: '401', high: '800' },
      { g: '2', low: '801', high: '1000' },
    ],
  );
  t.same(
    await query(t, bytes, 'a.parquet', 'SELECT count(*) AS n, sum(sequence) AS s FROM read_parquet(FILE)'),
    [{ n: '1000', s: '500500' }],
  );
});

t.test('the same rows make the same bytes, in each compression, and none is a file too', async (t) => {
  const rows = Array.from({ length: 100 }, (_, n) => row(n + 1, `{"n":${n},"text":"${'abc'.repeat(20)}"}`));
  const sizes: number[] = [];
  for (const compression of ['none', 'snappy', ...(HAS_ZSTD ? (['zstd'] as const) : [])] as const) {
    const [bytes] = parquet(rows, { compression });
    t.ok(bytes.equals(parquet(rows, { compression })[0]));
    sizes.push(bytes.length);
    t.same(await query(t, bytes, 'a.parquet', 'SELECT sum(sequence) AS s FROM read_parquet(FILE)'), [
      { s: '5050' },
    ]);
  }
  t.ok((sizes[1] ?? 0) < (sizes[0] ?? 0));
  if (!HAS_ZSTD) t.throws(() => zstdCompressSync(new Uint8Array(1)), { message: /needs Node.js 22/ });
  const [empty, written] = parquet([]);
  t.same(written, { rows: 0, length: empty.length });
  t.same(await query(t, empty, 'a.parquet', 'SELECT count(*) AS n FROM read_parquet(FILE)'), [{ n: '0' }]);
});

t.test('lines of JSON say the same', async (t) => {
  const rows = [
    row(1, '{"id":9007199254740993,\n "text":"a\\nb"}', {
      properties: '{"contentType":"json"}',
      topic: 'a"b',
    }),
    row(2, Uint8Array.of(0xff, 0)),
    row(3, 'line\nend'),
    row(4, ''),
  ];
  const [bytes, written] = write((sink) => new NdjsonRows(sink, FACTS), rows);
  t.same(written, { rows: 4, length: bytes.length });
  const lines = bytes.toString().trimEnd().split('\n');
  t.equal(lines.length, 4);
  t.match(lines[0], '"json":{"id":9007199254740993,  "text":"a\\nb"}');
  const common = { site: 'Süd', origin: ORIGIN, epoch: 7, retain: false };
  t.match(
    lines.map((line) => JSON.parse(line) as unknown),
    [
      {
        ...common,
        time: '2025-11-30T00:00:00.124Z',
        sequence: 1,
        topic: 'a"b',
        qos: 1,
        properties: { contentType: 'json' },
      },
      { ...common, base64: '/wA=' },
      { ...common, text: 'line\nend' },
      { ...common, text: '' },
    ],
  );
  t.same(await query(t, bytes, 'a.ndjson', 'SELECT sum(sequence) AS s FROM read_json(FILE)'), [{ s: '10' }]);
  const many = Array.from({ length: 2000 }, (_, n) => row(n + 1, `{"n":${n}}`));
  const [long] = write((sink) => new NdjsonRows(sink, FACTS), many);
  t.equal(long.toString().split('\n').length, 2001);
});

t.test('what is JSON and what is not', async (t) => {
  for (const text of ['{}', ' \n[1]', '"x"', '-1.5', 'true', 'null'])
    t.equal(jsonOf(Buffer.from(text))?.text, text);
  for (const text of ['', ' ', 'x', '{', 'nothing', '01', '+1'])
    t.equal(jsonOf(Buffer.from(text)), undefined, text);
  t.equal(jsonOf(Uint8Array.of(0x22, 0xff, 0x22)), undefined, 'no UTF-8');
});

t.test('a group of rows is written in small pieces, with a rest between two, and is the same', async (t) => {
  const payload = (n: number): string => `{"n":${n},"text":"${'x'.repeat(240)}"}`;
  const rows = Array.from({ length: 8192 }, (_, n) => row(n + 1, payload(n)));
  for (const compression of ['snappy', 'none'] as const) {
    let rests = 0;
    const sunk: number[] = [];
    const sizes = (bytes: Uint8Array): void => void sunk.push(bytes.length);
    const options = { ...PARQUET_DEFAULTS, compression };
    const writer = new ParquetRows(sizes, FACTS, options, () => void rests++);
    for (const one of rows) writer.add(one);
    // 2 MiB of payloads twice, in pages and pieces of 128 KiB, and 32 parts of the rows themselves.
    t.ok(rests >= 32 + 32, `${rests} rests`);
    t.ok(Math.max(...sunk) <= 131_072);
    writer.finish();
    const whole = sunk.reduce((sum, bytes) => sum + bytes, 0);
    t.equal(whole, parquet(rows, { compression })[0].length);
  }
});
