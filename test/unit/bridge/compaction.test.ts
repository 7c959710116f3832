/** What a compaction keeps as it was, what it refuses, and what it removes when. */
import { existsSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import t, { type Test } from 'tap';
import { FileObjectStore } from '../../../bridge/archive/file-object-store.js';
import type { FileFormat } from '../../../bridge/archive/object-key.js';
import { entryKey } from '../../../bridge/archive/manifest.js';
import { encodeMerge } from '../../../bridge/archive/merge-record.js';
import { mergeKey, Merges } from '../../../bridge/archive/merges.js';
import type { ObjectStore } from '../../../bridge/archive/object-store.js';
import { PARQUET_DEFAULTS } from '../../../bridge/archive/parquet-options.js';
import type { ExtractedColumn } from '../../../bridge/archive/row.js';
import { ArchiveWorld, ORIGIN, OTHER, rowOf, rowsOf } from '../../support/archive-world.js';
import { compact, GRACE_MS, NOW_MS, OPTIONS, rowTexts, verify } from '../../support/compaction-world.js';
import { MemoryObjectStore } from '../../support/memory-object-store.js';

async function archive(t: Test, format: FileFormat = 'parquet'): Promise<[MemoryObjectStore, ArchiveWorld]> {
  const store = new MemoryObjectStore();
  const world = new ArchiveWorld(t, store, { format });
  await world.cut(10, rowsOf(1, 10));
  await world.cut(20, rowsOf(11, 18), { lost: [[19, 20]] });
  await world.cut(30, rowsOf(21, 30));
  return [store, world];
}

const dataKeys = ({ objects }: MemoryObjectStore): string[] =>
  [...objects.keys()].filter((key) => key.startsWith('data/')).sort();

for (const format of ['parquet', 'ndjson'] as const)
  t.test(`${format}: three entries of three folders become three objects`, async (t) => {
    const [store] = await archive(t, format);
    const odd = rowOf(31, { payload: Buffer.from([0xff, 0]), properties: '{"contentType":"x"}', qos: 2 });
    await new ArchiveWorld(t, store, {}, OTHER).cut(3, rowsOf(1, 3));
    const world = new ArchiveWorld(t, store, { format });
    for await (const { upTo } of world.manifest.read()) if (upTo < 0) break;
    await world.cut(31, [odd]);
    const before = (await rowTexts(store)).sort();
    const old = dataKeys(store);
    const [done, other] = await compact(store, NOW_MS);
    t.match(done, {
      ...{ merges: 1, entries: 4, before: { objects: 10 }, after: { objects: 3 } },
      removed: { replaced: { objects: 0 }, waiting: { objects: 10 }, waitsUntilMs: NOW_MS + GRACE_MS },
    });
    t.match(other, { merges: 0, removed: { waiting: { objects: 0 } } }, 'one entry is nothing to merge');
    t.same((await rowTexts(store)).sort(), before);
    for (const isDeep of [false, true]) {
      const { faults, notes, origins } = await verify(store, isDeep);
      t.same(faults, []);
      t.match(origins[0], { entries: 4, objects: 3, rows: 29, upTo: 31 });
      const replaced = notes.filter((note) => note.startsWith('replaced'));
      t.equal(replaced.length, 10);
      t.match(replaced[0], /bytes that merge 1 of 2026-11-30T00:00:00.000Z replaced: "archive compact"/);
      t.notOk(notes.some((note) => note.startsWith('litter')));
    }
    t.match(await compact(store, NOW_MS + GRACE_MS - 1), [
      { merges: 0, removed: { replaced: { objects: 0 } } },
      {},
    ]);
    const [last] = await compact(store, NOW_MS + GRACE_MS);
    t.match(last, { merges: 0, removed: { replaced: { objects: 10 }, waiting: { objects: 0 } } });
    t.equal(dataKeys(store).filter((key) => old.includes(key)).length, 3, 'those of the other gateway');
    t.same((await rowTexts(store)).sort(), before);
    t.match(await verify(store), { faults: [], notes: [/^lost /] });
  });

t.test('what a crash has left half-written in a folder goes after a day', async (t) => {
  const folder = t.testdir();
  const store = new FileObjectStore(folder);
  await new ArchiveWorld(t, store).cut(10, rowsOf(1, 10));
  const part = join(folder, 'data', '.0123456789abcdef.part');
  writeFileSync(part, 'half of a file');
  utimesSync(part, NOW_MS / 1000, NOW_MS / 1000);
  const day = 24 * 3_600_000;
  await compact(store, NOW_MS + day);
  t.ok(existsSync(part));
  await compact(store, NOW_MS + day + 1, { isDry: true });
  t.ok(existsSync(part));
  await compact(store, NOW_MS + day + 1);
  t.notOk(existsSync(part));
});

t.test('extracted columns keep their values, whatever is configured now', async (t) => {
  const store = new MemoryObjectStore();
  const column = (name: string, type: ExtractedColumn['type']): ExtractedColumn => ({
    name,
    path: [name],
    type,
  });
  const columns = [
    column('n', 'integer'),
    column('x', 'double'),
    column('b', 'boolean'),
    column('s', 'text'),
  ];
  const partitions = { by: 'day' as const, topicLevels: 0 };
  const world = new ArchiveWorld(t, store, { partitions, parquet: { ...PARQUET_DEFAULTS, columns } });
  const values = [{ n: 1, x: 1.5, b: true, s: 'ä' }, {}, { n: 3, x: 'no', b: false, s: '' }];
  for (const [i, value] of values.entries())
    await world.cut(i + 1, [rowOf(i + 1, { payload: Buffer.from(JSON.stringify(value)) })]);
  await compact(store, NOW_MS);
  const merged = dataKeys(store).filter((key) => key.includes('-m1-'));
  t.equal(merged.length, 1);
  const file = Uint8Array.from(store.objects.get(merged[0] ?? '') ?? []).buffer;
  const rows = await parquetReadObjects({ file });
  t.match(rows, [
    { n: 1n, x: 1.5, b: true, s: 'ä' },
    { n: null, x: null, b: null, s: null },
    { n: 3n, x: null, b: false, s: '' },
  ]);
  t.equal(rows.length, 3);
});

t.test('files of other columns or another name of the site are not mixed', async (t) => {
  const store = new MemoryObjectStore();
  const column: ExtractedColumn = { name: 'n', path: ['n'], type: 'integer' };
  const partitions = { by: 'day' as const, topicLevels: 0 };
  const shapes = [
    {},
    {},
    { site: 'plant' },
    { site: 'plant' },
    ...[1, 2].map(() => ({ site: 'plant', parquet: { ...PARQUET_DEFAULTS, columns: [column] } })),
  ];
  for (const [i, shape] of shapes.entries()) {
    const world = new ArchiveWorld(t, store, { partitions, ...shape });
    for await (const { upTo } of world.manifest.read()) if (upTo < 0) break;
    await world.cut(i + 1, [rowOf(i + 1)]);
  }
  const before = await rowTexts(store);
  t.match(await compact(store, NOW_MS), [{ merges: 1, before: { objects: 6 }, after: { objects: 3 } }]);
  t.match(await compact(store, NOW_MS), [{ merges: 0 }], 'three stay three');
  t.same(await rowTexts(store), before);
});

t.test('a source that was changed or is missing ends it, and nothing is replaced', async (t) => {
  const [store, world] = await archive(t);
  const [, second = '', , fourth = ''] = world.keys;
  const genuine = store.objects.get(second) ?? new Uint8Array(0);
  const bytes = Buffer.from(genuine);
  bytes[50] = (bytes[50] ?? 0) ^ 1;
  store.objects.set(second, bytes);
  await t.rejects(compact(store, NOW_MS), { name: 'ObjectDamage', key: second, message: /was changed/ });
  store.objects.set(second, genuine);
  store.objects.delete(fourth);
  await t.rejects(compact(store, NOW_MS), { name: 'ObjectDamage', key: fourth, message: /is missing/ });
  t.notOk([...store.objects.keys()].some((key) => key.includes('/merges/')));
});

t.test('what the store does not give back as it was written replaces nothing', async (t) => {
  const [store] = await archive(t);
  store.fault = (operation, key) => {
    if (operation !== 'read' || !key.includes('-m1-')) return undefined;
    const bytes = Buffer.from(store.objects.get(key) ?? []);
    bytes[9] = (bytes[9] ?? 0) ^ 1;
    store.objects.set(key, bytes);
    return undefined;
  };
  await t.rejects(compact(store, NOW_MS), { name: 'ObjectDamage', message: /-m1-.* was changed/ });
  t.notOk([...store.objects.keys()].some((key) => key.includes('/merges/')));
  store.fault = () => undefined;
  await t.rejects(compact(store, NOW_MS), { name: 'ObjectDamage' }, 'it is still there under its name');
  const [done] = await compact(store, NOW_MS, { isAlone: true });
  t.match(done, { merges: 1, removed: { litter: { objects: 1 } } });
  t.same((await verify(store)).faults, []);
});

t.test('nothing is removed of an archive that is not complete', async (t) => {
  const [store] = await archive(t);
  await compact(store, NOW_MS);
  const whole = new Map(store.objects);
  const merged = dataKeys(store).filter((key) => key.includes('-m1-'));
  const late = NOW_MS + GRACE_MS;
  const cases: readonly (readonly [string, string, (bytes: Uint8Array) => Uint8Array | undefined])[] = [
    ['ObjectDamage', merged[0] ?? '', () => undefined],
    ['ObjectDamage', merged[1] ?? '', (bytes) => bytes.subarray(1)],
    ['ManifestFault', entryKey(ORIGIN, 2), (bytes) => bytes.subarray(1)],
    ['MergeFault', mergeKey(ORIGIN, 1), (bytes) => bytes.subarray(1)],
    ['MergeFault', entryKey(ORIGIN, 3), () => undefined],
  ];
  for (const [name, key, change] of cases) {
    const bytes = change(whole.get(key) ?? new Uint8Array(0));
    if (bytes === undefined) store.objects.delete(key);
    else store.objects.set(key, bytes);
    const before = dataKeys(store);
    await t.rejects(compact(store, late), { name }, `${name} ${key}`);
    t.same(dataKeys(store), before);
    t.not((await verify(store)).faults.length, 0, 'verify finds it, too');
    store.objects.clear();
    for (const [one, value] of whole) store.objects.set(one, value);
  }
  // Of the same length: only who reads it finds it.
  const bytes = Buffer.from(whole.get(merged[0] ?? '') ?? []);
  bytes[40] = (bytes[40] ?? 0) ^ 1;
  store.objects.set(merged[0] ?? '', bytes);
  await t.rejects(compact(store, late), { name: 'ObjectDamage', key: merged[0] });
  store.objects.set(merged[0] ?? '', whole.get(merged[0] ?? '') ?? new Uint8Array(0));
  t.match(await compact(store, late), [{ removed: { replaced: { objects: 9 } } }]);
});

/** A store whose first such request waits for something else. */
function delayed(
  store: MemoryObjectStore,
  operation: 'create' | 'read',
  part: string,
  first: () => Promise<unknown>,
): ObjectStore {
  let isFirst = true;
  const wait = async (asked: string, key: string): Promise<void> => {
    if (!isFirst || asked !== operation || !key.includes(part)) return;
    isFirst = false;
    await first();
  };
  return {
    name: store.name,
    createsOnce: () => store.createsOnce(),
    create: (key, body) => wait('create', key).then(() => store.create(key, body)),
    read: (key, range) => wait('read', key).then(() => store.read(key, range)),
    stat: (key) => store.stat(key),
    list: (prefix, after) => store.list(prefix, after),
    remove: (key) => store.remove(key),
  };
}

t.test('what somebody is about to name is not removed by others', async (t) => {
  const [store] = await archive(t);
  const before = await rowTexts(store);
  const other = (): Promise<unknown> =>
    compact(store, NOW_MS, { limits: { ...OPTIONS.limits, minBytes: 1 } });
  for (const [operation, part] of [
    ['read', '-m1-'],
    ['create', '/merges/'],
  ] as const) {
    t.match(await compact(delayed(store, operation, part, other), NOW_MS), [{ removed: { underWay: {} } }]);
    t.same((await rowTexts(store)).sort(), [...before].sort());
    t.same((await verify(store)).faults, []);
    const [, , ...rest] = [...store.objects.keys()].filter((key) => key.includes('/merges/'));
    t.same(rest, []);
    store.objects.delete(mergeKey(ORIGIN, 1));
    for (const key of dataKeys(store)) if (key.includes('-m1-')) store.objects.delete(key);
  }
});

t.test('who comes second begins again, also where his sources are gone', async (t) => {
  for (const [operation, part] of [
    ['read', 'data/'],
    ['read', '-m1-'],
    ['create', '/merges/'],
  ] as const) {
    const [store, world] = await archive(t);
    const before = (await rowTexts(store)).sort();
    const other = async (): Promise<void> => {
      await world.cut(40, rowsOf(31, 40));
      await compact(store, NOW_MS, { graceMs: 0 });
    };
    const [done] = await compact(delayed(store, operation, part, other), NOW_MS, { graceMs: 0 });
    t.match(done, { merges: 0 });
    t.equal((await rowTexts(store)).length, before.length + 10);
    t.match(await verify(store), { faults: [], notes: [/^lost /] });
  }
});

t.test('litter goes when nobody can name it any more', async (t) => {
  const [store] = await archive(t);
  const start = ORIGIN.slice(0, 16);
  const name = (rest: string): string => `data/date=2026-11-29/prefix=site%2Fa/${rest}.parquet`;
  const goes = [`${start}-1-1-10-00000000`, `${start}-0-1-99-00000000`, `${start}-1-1-2-m1-00000000`].map(
    name,
  );
  const stays = [
    ...[`${start}-1-1-31-00000000`, `${start}-2-1-2-00000000`, `${OTHER.slice(0, 16)}-1-1-2-00000000`],
    'readme',
  ].map(name);
  const alone = name(`${start}-1-1-2-m2-00000000`);
  for (const key of [...goes, ...stays, alone]) store.objects.set(key, new Uint8Array(7));
  const dry = await compact(store, NOW_MS, { isDry: true });
  t.match(dry, [
    { merges: 1, after: undefined, removed: { litter: { objects: 2 }, underWay: { objects: 2 } } },
  ]);
  t.ok(goes.every((key) => store.objects.has(key)));
  t.notOk(store.objects.has(mergeKey(ORIGIN, 1)));
  t.match(await compact(store, NOW_MS), [
    { merges: 1, removed: { litter: { objects: 3, bytes: 21 }, underWay: { objects: 1 } } },
  ]);
  t.notOk(goes.some((key) => store.objects.has(key)));
  t.ok([...stays, alone].every((key) => store.objects.has(key)));
  t.ok((await verify(store)).notes.includes(`litter ${alone}: 7 bytes that a merge was to name, or will`));
  await compact(store, NOW_MS, { isAlone: true });
  t.notOk(store.objects.has(alone));
  t.ok(stays.every((key) => store.objects.has(key)));
});

t.test('a copy that somebody made of a folder of the archive stays, and is in nobody’s way', async (t) => {
  const [store] = await archive(t);
  const copy = `data/date=2026-11-29 (copy)/${ORIGIN.slice(0, 16)}-1-1-10-00000000.parquet`;
  store.objects.set(copy, new Uint8Array(7));
  t.match(await compact(store, NOW_MS), [{ merges: 1, removed: { litter: { objects: 0 } } }]);
  t.ok(store.objects.has(copy));
  t.ok((await verify(store)).notes.includes(`litter ${copy}: 7 bytes that no manifest names`));
});

t.test('copies that somebody made of entries and merges, beside them, are read by nobody', async (t) => {
  const [store] = await archive(t);
  await compact(store, NOW_MS);
  const before = await rowTexts(store);
  for (const [key, bytes] of [...store.objects]) {
    const copy = key.replace(/(entries|merges)\//, '$1/old/');
    if (copy !== key) store.objects.set(copy, bytes);
  }
  t.same(await rowTexts(store), before);
  const { faults, notes } = await verify(store);
  t.same(faults, []);
  t.equal(notes.filter((note) => /old.* is no (entry|merge) of a manifest$/.test(note)).length, 4);
});

t.test('a clock that was not set compacts nothing', async (t) => {
  const [store] = await archive(t);
  await t.rejects(compact(store, 0), { name: 'ClockNotSet' });
  await compact(store, NOW_MS + 5000);
  await new ArchiveWorld(t, store).manifest.read().next();
  const merges = new Merges(store, ORIGIN);
  await merges.read();
  t.equal(merges.standing[0]?.atMs, NOW_MS + 5000);
});

t.test('verify finds merges that are not what was written, and goes on behind them', async (t) => {
  const [store] = await archive(t);
  await compact(store, NOW_MS);
  const merges = new Merges(store, ORIGIN);
  await merges.read();
  const [merge] = merges.standing;
  if (merge === undefined) throw new Error('it has one');
  const key = mergeKey(ORIGIN, 1);
  const [object] = merge.objects;
  if (object === undefined) throw new Error('it has objects');
  const fewer = merge.objects.slice(1);
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [Buffer.from('{}\n'), /^manifest .*merge 1 .* names no origin/],
    [encodeMerge({ ...merge, last: 4 }), /replaces entries 1 to 4, and 1 of them cannot be read/],
    [
      encodeMerge({ ...merge, objects: fewer, rows: merge.rows - object.rows }),
      /has \d+ rows, and the entries that it replaces have 28/,
    ],
    [encodeMerge({ ...merge, previous: 'ab'.repeat(32) }), /does not follow the one before it/],
    [encodeMerge({ ...merge, first: 2 }), /has 28 rows, and the entries that it replaces have 18/],
  ];
  for (const [bytes, reason] of cases) {
    store.objects.set(key, bytes);
    const { faults, origins } = await verify(store);
    t.match(faults[0], reason);
    t.equal(origins[0]?.entries, 3);
  }
  store.objects.set(key, encodeMerge(merge));
  store.objects.set(mergeKey(ORIGIN, 3), Buffer.from('x'));
  store.objects.set(`manifest/${ORIGIN}/merges/readme.txt`, Buffer.from('x'));
  const { faults, notes } = await verify(store);
  t.match(faults, [/merges\/000000000002.json: is missing/, /000000000003.json: merge 3 .* is not whole/]);
  t.ok(notes.some((note) => note.includes('is no merge of a manifest')));
});
