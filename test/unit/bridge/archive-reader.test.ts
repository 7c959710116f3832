/** What was archived comes back as it was, from both formats, and only what was asked for. */
import t, { type Test } from 'tap';
import type { BuilderOptions } from '../../../bridge/archive/cut-builder.js';
import { PARQUET_DEFAULTS } from '../../../bridge/archive/parquet-options.js';
import { hashOf } from '../../../bridge/archive/manifest-entry.js';
import {
  readInOrder,
  readPlaces,
  readRows,
  readSelection,
} from '../../../bridge/archive/reading/archive-reader.js';
import { Catalog } from '../../../bridge/archive/reading/catalog.js';
import { openChecked } from '../../../bridge/archive/reading/checked-object.js';
import { mergedBatches } from '../../../bridge/archive/reading/merged-batches.js';
import { EVERYTHING, type Selection } from '../../../bridge/archive/reading/object-place.js';
import { linesOf } from '../../../bridge/archive/reading/row-lines.js';
import { readParquet } from '../../../bridge/archive/reading/parquet-reader.js';
import {
  EVERY_ROW,
  type RowBatch,
  rowFilterOf,
  type StoredRow,
} from '../../../bridge/archive/reading/stored-row.js';
import type { ArchiveRow } from '../../../bridge/archive/row.js';
import { HAS_ZSTD, zstdDecompressSync } from '../../../bridge/archive/zstd.js';
import {
  ArchiveWorld,
  HOUR_MS,
  ORIGIN,
  OTHER,
  rowOf,
  rowsOf,
  START_MS,
} from '../../support/archive-world.js';
import { MemoryObjectStore } from '../../support/memory-object-store.js';

const FORMATS = ['parquet', 'ndjson'] as const;

async function rowsIn(batches: AsyncIterable<RowBatch>): Promise<StoredRow[]> {
  const rows: StoredRow[] = [];
  for await (const batch of batches) rows.push(...batch);
  return rows;
}

async function sequencesOf(batches: AsyncIterable<RowBatch>): Promise<number[]> {
  return (await rowsIn(batches)).map(({ sequence }) => sequence);
}

async function archived(
  t: Test,
  rows: readonly ArchiveRow[],
  options: Partial<BuilderOptions> = {},
): Promise<{ store: MemoryObjectStore; catalog: Catalog; world: ArchiveWorld }> {
  const store = new MemoryObjectStore();
  const world = new ArchiveWorld(t, store, options);
  await world.cut(rows.at(-1)?.sequence ?? 0, rows);
  return { store, catalog: new Catalog(store), world };
}

const ODD_ROWS: readonly ArchiveRow[] = [
  rowOf(1, { topic: 'a', payload: Buffer.from('{"n":1,"big":12345678901234567890,"d":1.0}') }),
  rowOf(2, { topic: 'a', payload: Buffer.from('Süd "quoted" \\ and\nmore'), qos: 0, retain: true }),
  rowOf(3, { topic: 'a', payload: Buffer.from([0xff, 0x00, 0x80]), qos: 2 }),
  rowOf(4, { topic: 'a', payload: Buffer.alloc(0) }),
  rowOf(5, { topic: 'a/"b"\\/ü', properties: '{"contentType":"}\\"{","userProperties":[["json","{"]]}' }),
  rowOf(6, { topic: 'a', payload: Buffer.from('"text"'), timeMs: START_MS + 999 }),
  rowOf(7, { topic: 'a', payload: Buffer.from('[]'), timeMs: START_MS - 86_400_000 }),
];

for (const format of FORMATS) {
  t.test(`${format}: every column comes back as it was`, async (t) => {
    const columns = [{ name: 'n', path: ['n'], type: 'integer' as const }];
    const { catalog } = await archived(t, ODD_ROWS, {
      ...{ format, site: 'Süd "1"', partitions: { by: 'day', topicLevels: 0 } },
      parquet: { ...PARQUET_DEFAULTS, columns },
    });
    const rows = await rowsIn(readSelection(catalog, EVERYTHING));
    rows.sort((one, other) => one.sequence - other.sequence);
    t.same(
      rows.map(({ facts: _facts, isJson: _isJson, payload, ...row }) => ({
        ...row,
        payload: Buffer.from(payload),
      })),
      ODD_ROWS.map((row) => ({ ...row, payload: Buffer.from(row.payload) })),
    );
    t.same(
      rows.map(({ isJson }) => isJson),
      [true, false, false, false, true, true, true],
    );
    for (const { facts } of rows) t.same(facts, { site: 'Süd "1"', origin: ORIGIN, epoch: { counter: 1 } });
    t.equal(rows[0]?.facts, rows[1]?.facts, 'what is the same is one object');
  });

  t.test(`${format}: only what is wanted comes`, async (t) => {
    const parquet = { ...PARQUET_DEFAULTS, groupMaxRows: 10 };
    const { catalog } = await archived(t, rowsOf(1, 100), {
      ...{ format, parquet, partitions: { by: 'day', topicLevels: 0 } },
    });
    const found = (selection: Partial<Selection>): Promise<number[]> =>
      sequencesOf(readSelection(catalog, { ...EVERYTHING, ...selection }));
    t.equal((await found({})).length, 100);
    t.same(await found({ fromMs: START_MS + 41_000, toMs: START_MS + 44_000 }), [41, 42, 43]);
    t.same(await found({ filters: ['site/a'], toMs: START_MS + 10_000 }), [3, 6, 9]);
    t.same(await found({ filters: ['+/b', 'site/c'], fromMs: START_MS + 97_000 }), [97, 98, 100]);
    t.same(await found({ filters: ['other/#'] }), []);
    t.same(await found({ fromMs: START_MS + HOUR_MS }), []);
  });

  t.test(`${format}: an object that is missing, shorter or changed has no rows`, async (t) => {
    const { store, catalog, world } = await archived(t, rowsOf(3, 3), { format });
    const [key = ''] = world.keys;
    const whole = Buffer.from(store.objects.get(key) ?? []);
    const failed = async (message: RegExp): Promise<void> => {
      let count = 0;
      const reading = async (): Promise<void> => {
        for await (const rows of readSelection(catalog, EVERYTHING)) count += rows.length;
      };
      await t.rejects(reading(), { name: 'ObjectDamage', key, message });
      t.equal(count, 0);
    };
    store.objects.set(key, whole.subarray(0, -1));
    await failed(/has \d+ bytes in memory, and \d+ were archived/);
    const changed = Buffer.from(whole);
    changed[40] = (changed[40] ?? 0) ^ 1;
    store.objects.set(key, changed);
    await failed(/was changed in memory: its SHA-256 is/);
    store.objects.delete(key);
    await failed(/is missing in memory/);
    store.objects.set(key, whole);
    store.fault = (operation, name) => {
      if (operation === 'read' && name === key) store.objects.delete(key);
      return undefined;
    };
    await failed(/is gone, or shorter, while it is read/);
  });
}

t.test('lines are the same bytes that the writer made, whatever the format', async (t) => {
  const partitions = { by: 'day' as const, topicLevels: 0 };
  const rows = ODD_ROWS.slice(0, 6);
  const { store, world } = await archived(t, rows, { format: 'ndjson', partitions });
  const written = Buffer.from(store.objects.get(world.keys[0] ?? '') ?? []).toString();
  for (const format of FORMATS) {
    const { catalog } = await archived(t, rows, { format, partitions });
    const text = async (limit?: number): Promise<string> => {
      const parts: Uint8Array[] = [];
      for await (const part of linesOf(readSelection(catalog, EVERYTHING), limit)) parts.push(part);
      return Buffer.concat(parts).toString();
    };
    t.equal(await text(), written);
    t.equal(await text(2), `${written.split('\n').slice(0, 2).join('\n')}\n`);
    t.equal(await text(0), '');
  }
});

t.test('lines of several gateways say whose they are, and large batches go out in parts', async (t) => {
  const store = new MemoryObjectStore();
  const payload = Buffer.alloc(50_000, '1');
  await new ArchiveWorld(t, store).cut(9, rowsOf(1, 9, { payload }));
  await new ArchiveWorld(t, store, { site: 'north' }, OTHER).cut(1, rowsOf(1, 1));
  const parts: string[] = [];
  for await (const part of linesOf(readSelection(new Catalog(store), EVERYTHING)))
    parts.push(Buffer.from(part).toString());
  t.ok(parts.length > 4);
  t.same(
    parts
      .join('')
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { site: string }).site),
    [...Array<string>(9).fill('harbour'), 'north'],
  );
});

t.test('of a large object a row group is read at a time, in one request', async (t) => {
  const parquet = { ...PARQUET_DEFAULTS, groupMaxRows: 100 };
  const partitions = { by: 'day' as const, topicLevels: 0 };
  const { store, catalog } = await archived(t, rowsOf(1, 1000), { parquet, partitions });
  const objects: { key: string; length: number; rows: number; sha256: string }[] = [];
  for await (const { object } of catalog.objects()) objects.push(object);
  const checked = await openChecked(store, objects[0] ?? { key: 'x', length: 0, rows: 0, sha256: '' }, 1000);
  t.equal(checked.isWhole, false);
  const reads = (): number => store.asked.filter((asked) => asked.startsWith('read data/')).length;
  const before = reads();
  t.equal((await rowsIn(readParquet(checked, EVERY_ROW))).length, 1000);
  t.ok(reads() - before <= 12, `${reads() - before} reads for ten row groups and the footer`);
  const some = rowFilterOf({ ...EVERYTHING, fromMs: START_MS + 950_000, filters: ['site/a'] });
  const behind = reads();
  t.equal((await rowsIn(readParquet(checked, some))).length, 17);
  t.ok(reads() - behind <= 3, 'the others are left out by their times');
});

t.test('others have a turn between two row groups, also where nothing is found', async (t) => {
  const parquet = { ...PARQUET_DEFAULTS, groupMaxRows: 100 };
  const partitions = { by: 'day' as const, topicLevels: 0 };
  const { catalog } = await archived(t, rowsOf(1, 1000), { parquet, partitions });
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  count();
  t.same(await sequencesOf(readSelection(catalog, { ...EVERYTHING, filters: ['nowhere'] })), []);
  isOver = true;
  t.ok(turns >= 10, `${turns} turns`);
});

t.test('what is no file of its format is damaged', async (t) => {
  const store = new MemoryObjectStore();
  const objectOf = (key: string, text: string) => {
    const bytes = Buffer.from(text);
    store.objects.set(key, bytes);
    return { key, length: bytes.length, rows: 1, sha256: hashOf(bytes) };
  };
  const head = `{"time":"2026-11-29T00:00:00.000Z","site":"s","origin":"${ORIGIN}","epoch":1,"sequence":1,"topic":"a","qos":1,"retain":false,`;
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['data/x.orc', '', /is neither .parquet nor .ndjson/],
    ['data/x.parquet', 'rubbish rubbish', /cannot be read: /],
    ['data/a.ndjson', `${head}"json":1}\nrubbish\n`, /has no row in line 2/],
    ['data/b.ndjson', `${head}"json":1`, /has no row in line 1/],
    ['data/c.ndjson', `${head}"other":1}`, /has no row in line 1/],
    ['data/d.ndjson', `${head}"text":1}`, /has no row in line 1/],
    ['data/e.ndjson', `${head}"text":"x}`, /has no row in line 1/],
    ['data/f.ndjson', `${head}"properties":{"a":1`, /has no row in line 1/],
    ['data/g.ndjson', `${head.replace('2026-11-29', '2026-99-29')}"json":1}`, /has no row in line 1/],
  ];
  for (const [key, text, message] of cases)
    await t.rejects(rowsIn(readRows(store, objectOf(key, text))), { name: 'ObjectDamage', message }, key);
  t.same(await rowsIn(readRows(store, objectOf('data/empty.ndjson', ''))), []);
});

t.test('lines that are cut by the parts in which they are read are whole', async (t) => {
  const payload = Buffer.alloc(300_000, 'ä');
  const rows = rowsOf(1, 9, { payload, topic: 'a' });
  const { catalog } = await archived(t, rows, { format: 'ndjson' });
  const read = await rowsIn(readSelection(catalog, EVERYTHING));
  t.equal(read.length, 9);
  for (const row of read) t.ok(payload.equals(row.payload));
});

t.test('places of rows are told without their payloads', async (t) => {
  for (const format of FORMATS) {
    const { store, catalog } = await archived(t, rowsOf(1, 30), { format });
    for await (const { object } of catalog.objects()) {
      for await (const { count, sequences, epochs, origin } of readPlaces(store, object)) {
        t.equal(count, 10);
        t.equal((sequences[9] ?? 0) - (sequences[0] ?? 0), 27);
        t.same([epochs[0], origin(0)], [1, ORIGIN]);
      }
    }
  }
});

t.test('in order: by position within an origin, by time between them', async (t) => {
  const store = new MemoryObjectStore();
  const one = new ArchiveWorld(t, store);
  const other = new ArchiveWorld(t, store, {}, OTHER);
  await one.cut(30, rowsOf(1, 30));
  await one.cut(50, rowsOf(31, 50));
  await other.cut(
    20,
    rowsOf(1, 20).map((row) => ({ ...row, timeMs: row.timeMs + 24_500 })),
  );
  const catalog = new Catalog(store);
  const rows = await rowsIn(readInOrder(catalog, EVERYTHING));
  t.equal(rows.length, 70);
  t.same(
    rows.map(({ timeMs }) => timeMs),
    rows.map(({ timeMs }) => timeMs).sort((a, b) => a - b),
  );
  t.same(
    rows.filter(({ facts }) => facts.origin === ORIGIN).map(({ sequence }) => sequence),
    Array.from({ length: 50 }, (_, n) => n + 1),
  );
  const some = { ...EVERYTHING, filters: ['site/a'], origins: ['ab'] };
  t.same(
    await sequencesOf(readInOrder(catalog, some)),
    Array.from({ length: 16 }, (_, n) => 3 * n + 3),
  );
});

t.test(
  'streams that are not sorted keep their order, and are ended with the one who reads them',
  async (t) => {
    let endedCount = 0;
    const stream = async function* (...batches: number[][]): AsyncGenerator<RowBatch> {
      const facts = { site: '', origin: ORIGIN, epoch: { counter: 1 } };
      try {
        for (const sequences of batches)
          yield sequences.map((sequence) => ({ ...rowOf(sequence), facts, isJson: true }));
      } finally {
        endedCount++;
      }
    };
    const key = ({ sequence }: StoredRow): number => sequence;
    const merged = mergedBatches([stream([5, 1], [], [6]), stream([2, 7]), stream(), stream([6, 9])], key);
    t.same(await sequencesOf(merged), [2, 5, 1, 6, 6, 7, 9]);
    t.equal(endedCount, 4);
    const many = Array.from({ length: 3000 }, (_, n) => n);
    const sizes: number[] = [];
    for await (const { length } of mergedBatches([stream(many), stream(many)], key)) {
      sizes.push(length);
      if (sizes.length === 2) break;
    }
    t.same(sizes, [1024, 1024]);
    t.equal(endedCount, 6);
  },
);

t.test('zstd is read where Node.js knows it', async (t) => {
  if (!HAS_ZSTD) {
    t.throws(() => zstdDecompressSync(new Uint8Array(1)), { message: /needs Node.js 22.15/ });
    return;
  }
  const parquet = { ...PARQUET_DEFAULTS, compression: 'zstd' as const };
  const { catalog } = await archived(t, rowsOf(1, 300), { parquet });
  t.equal((await rowsIn(readSelection(catalog, EVERYTHING))).length, 300);
});

t.test('the answers for topics are remembered, and not for ever', (t) => {
  const { isWanted } = rowFilterOf({ ...EVERYTHING, filters: ['a/+'] });
  for (let n = 0; n < 10_050; n++) if (isWanted?.(`a/${n}`) !== true) t.fail('wanted');
  t.equal(isWanted?.('a/1/2'), false);
  t.end();
});
