/** Every kind of damage is found and named, and hides nothing else. */
import t, { type Test } from 'tap';
import { encodeEntry, type ManifestEntry } from '../../../bridge/archive/manifest-entry.js';
import { entryKey, PAGE_ENTRIES, pageKey } from '../../../bridge/archive/manifest.js';
import {
  checkArchive,
  type CheckedOrigin,
  type Finding,
} from '../../../bridge/archive/reading/archive-check.js';
import { mergeKey } from '../../../bridge/archive/merges.js';
import { Catalog } from '../../../bridge/archive/reading/catalog.js';
import { SequenceSet } from '../../../bridge/archive/reading/sequence-set.js';
import type { FileFormat } from '../../../bridge/archive/object-key.js';
import { ArchiveWorld, FIRST_LIFE, ORIGIN, OTHER, rowOf, rowsOf } from '../../support/archive-world.js';
import { MemoryObjectStore } from '../../support/memory-object-store.js';

interface Checked {
  readonly origins: readonly CheckedOrigin[];
  readonly faults: readonly string[];
  readonly notes: readonly string[];
}

async function check(store: MemoryObjectStore, isDeep: boolean, origins: string[] = []): Promise<Checked> {
  const findings: Finding[] = [];
  const checked = await checkArchive(
    store,
    { isDeep, origins },
    { onFinding: (finding) => findings.push(finding), onProgress: () => undefined },
  );
  const text = ({ kind, key, text }: Finding): string => `${kind} ${key}: ${text}`;
  return {
    origins: checked,
    faults: findings.filter(({ isFault }) => isFault).map(text),
    notes: findings.filter(({ isFault }) => !isFault).map(text),
  };
}

async function archive(t: Test, format: FileFormat = 'parquet'): Promise<[MemoryObjectStore, ArchiveWorld]> {
  const store = new MemoryObjectStore();
  const world = new ArchiveWorld(t, store, { format });
  await world.cut(10, rowsOf(1, 10));
  await world.cut(20, rowsOf(11, 18), { lost: [[19, 20]] });
  await world.cut(30, rowsOf(21, 30));
  return [store, world];
}

for (const format of ['parquet', 'ndjson'] as const)
  t.test(
    `${format}: an archive that is whole is complete, and tells what had been lost before`,
    async (t) => {
      const [store] = await archive(t, format);
      await new ArchiveWorld(t, store, { format }, OTHER).cut(3, rowsOf(1, 3));
      for (const isDeep of [false, true]) {
        const { origins, faults, notes } = await check(store, isDeep);
        t.same(faults, []);
        t.same(notes, [
          `lost ${entryKey(ORIGIN, 2)}: positions 19 to 20 had been lost before they were archived`,
        ]);
        t.match(origins, [
          { origin: ORIGIN, entries: 3, objects: 9, rows: 28, lostCount: 2, upTo: 30, faultCount: 0 },
          { origin: OTHER, entries: 1, objects: 3, rows: 3 },
        ]);
      }
      t.equal((await check(store, true, ['cd'])).origins.length, 1);
      await t.rejects(check(new MemoryObjectStore(), false), { name: 'NothingArchived' });
    },
  );

t.test('an object that is missing, longer or shorter is found by its name and length', async (t) => {
  const [store, world] = await archive(t);
  const [first = '', second = '', third = ''] = world.keys;
  store.objects.delete(first);
  store.objects.set(
    second,
    Buffer.concat([store.objects.get(second) ?? new Uint8Array(0), Buffer.from('x')]),
  );
  store.objects.set(third, (store.objects.get(third) ?? new Uint8Array(0)).subarray(0, 100));
  for (const isDeep of [false, true]) {
    const { faults, origins } = await check(store, isDeep);
    t.equal(faults.length, 3);
    t.match(faults[0], new RegExp(`^object ${first}: is missing`));
    t.match(faults[1], new RegExp(`^object ${second}: has \\d+ bytes.*, and \\d+ were archived`));
    t.match(faults[2], new RegExp(`^object ${third}: has 100 bytes`));
    t.equal(origins[0]?.faultCount, 3);
  }
});

t.test('a byte that was changed is found when every byte is read', async (t) => {
  const [store, world] = await archive(t);
  const [key = ''] = world.keys;
  const bytes = Buffer.from(store.objects.get(key) ?? []);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0x10;
  store.objects.set(key, bytes);
  t.same((await check(store, false)).faults, []);
  const { faults } = await check(store, true);
  t.equal(faults.length, 1);
  t.match(faults[0], new RegExp(`^object ${key}: was changed`));
});

for (const format of ['parquet', 'ndjson'] as const)
  t.test(`${format}: rows that are not those of their entry are found`, async (t) => {
    const store = new MemoryObjectStore();
    const world = new ArchiveWorld(t, store, { format });
    await world.cut(10, rowsOf(1, 11));
    await world.cut(20, [...rowsOf(11, 14), rowOf(13, { topic: 'site/z' }), rowOf(10)]);
    await world.cut(30, rowsOf(21, 30), { rows: 9 });
    await world.cut(31, [rowOf(31)], { epoch: { counter: 2, nonce: '00000000000000bb' } });
    const plain = (await check(store, false)).faults;
    t.same(plain, [], 'names and lengths are right');
    const { faults } = await check(store, true);
    t.match(faults, [
      /^rows .*: has a row of position 11, and its entry is of \(0, 10\]$/,
      /^rows .*: has a row of position 10, and its entry is of \(10, 20\]$/,
      /^rows .*site%2Fz.*: has position 13, which comes twice in its entry$/,
      /^rows .*: has \d rows, and 9 were archived$/,
      /^rows .*: has \d rows, and 9 were archived$/,
      /^rows .*: has \d rows, and 9 were archived$/,
    ]);
    t.equal(faults.length, 6);
  });

t.test('rows of another gateway or another life are found, and not all of them are told', async (t) => {
  const store = new MemoryObjectStore();
  const partitions = { by: 'day' as const, topicLevels: 0 };
  const world = new ArchiveWorld(t, store, { partitions });
  await world.cut(50, rowsOf(1, 50));
  const other = new ArchiveWorld(t, store, { partitions }, OTHER);
  const [entry] = await entriesOf(store);
  if (entry === undefined) throw new Error('it has one');
  const { objects, rows } = entry;
  const draft = { after: 0, upTo: 50, lost: [], config: 'c', rows, objects, by: OTHER };
  await other.manifest.append({ ...draft, epoch: FIRST_LIFE });
  const strange = await check(store, true, ['cd']);
  t.equal(strange.faults.length, 11);
  t.match(strange.faults[0], `has a row of another gateway: ${ORIGIN}`);
  t.match(strange.faults[10], 'and 40 more such faults');
  const third = new MemoryObjectStore();
  for (const [key, bytes] of store.objects) if (key.startsWith('data/')) third.objects.set(key, bytes);
  const epoch = { counter: 7, nonce: '00000000000000cc' };
  await new ArchiveWorld(t, third).manifest.append({ ...draft, epoch });
  t.match((await check(third, true)).faults[0], 'has a row of life 1, and its entry is of life 7');
});

async function entriesOf(store: MemoryObjectStore): Promise<ManifestEntry[]> {
  const entries: ManifestEntry[] = [];
  for await (const entry of new Catalog(store).entries(ORIGIN)) entries.push(entry);
  return entries;
}

t.test(
  'an entry that was changed, exchanged or taken away is found, and the rest is looked at',
  async (t) => {
    const [whole, world] = await archive(t);
    await world.cut(40, rowsOf(31, 40));
    const [, second] = await entriesOf(whole);
    if (second === undefined) throw new Error('there are four');
    const key = entryKey(ORIGIN, 2);
    const cases: readonly (readonly [string, Uint8Array | undefined, readonly RegExp[]])[] = [
      ['taken away', undefined, [/^manifest .*000000000002.json: is missing$/]],
      ['no entry', Buffer.from('{}\n'), [/^manifest .*000000000002.json: entry 2 .* is no entry$/]],
      [
        'another gap',
        encodeEntry({ ...second, after: 12 }),
        [
          /000000000002.json: begins behind 12, and what came before ends at 10/,
          /^rows .*: has a row of position 12, and its entry is of \(12, 20\]/,
          /^rows .*: has a row of position 11, and its entry is of \(12, 20\]/,
          /000000000003.json: does not follow the one before it/,
        ],
      ],
      [
        'without an object',
        encodeEntry({
          ...second,
          objects: second.objects.slice(1),
          rows: second.rows - (second.objects[0]?.rows ?? 0),
        }),
        [/000000000003.json: does not follow the one before it/],
      ],
    ];
    for (const [name, bytes, expected] of cases) {
      const store = new MemoryObjectStore();
      for (const [at, value] of whole.objects) store.objects.set(at, value);
      if (bytes === undefined) store.objects.delete(key);
      else store.objects.set(key, bytes);
      const { faults, origins, notes } = await check(store, true);
      t.equal(faults.length, expected.length, `${name}: ${faults.join('; ')}`);
      for (const [i, pattern] of expected.entries()) t.match(faults[i], pattern, name);
      t.equal(origins[0]?.upTo, 40, 'it goes on behind it');
      t.ok(
        notes.some((note) => note.startsWith('litter data/')) || name === 'another gap',
        'what it named is litter now',
      );
    }
  },
);

t.test('what no manifest names is litter, and no fault', async (t) => {
  const [store] = await archive(t);
  store.objects.set('data/date=2026-11-29/x.parquet', Buffer.from('litter'));
  store.objects.set(`manifest/${ORIGIN}/entries/readme.txt`, Buffer.from('litter'));
  store.objects.set(`manifest/${ORIGIN}/pages/000000000002.jsonl`, Buffer.from('litter'));
  const { faults, notes } = await check(store, false);
  t.same(faults, []);
  const litter = notes.filter((note) => note.startsWith('litter'));
  t.match(litter, [
    /pages\/000000000002.jsonl: is no page of a manifest/,
    /entries\/readme.txt: is no entry of a manifest/,
    /^litter data\/date=2026-11-29\/x.parquet: 6 bytes that no manifest names$/,
  ]);
  t.equal(litter.length, 3);
  t.equal((await check(store, false, ['ab'])).notes.filter((note) => note.includes('x.parquet')).length, 0);
});

t.test('a number that is far too large is one fault, and what is missing before it another', async (t) => {
  const last = 999_999_999_999;
  const lastPage = last - ((last - 1) % PAGE_ENTRIES);
  const garbage = Buffer.from('{}\n');
  const cases: readonly (readonly [string, string, readonly RegExp[]])[] = [
    [
      'entry',
      entryKey(ORIGIN, last),
      [
        /000000000004.json: is missing; and all up to entry 999999999998 are missing, too$/,
        /999999999999.json: entry 999999999999 .* is no entry$/,
      ],
    ],
    [
      'page',
      pageKey(ORIGIN, lastPage),
      [
        new RegExp(`000000000004.json: is missing; and all up to entry ${lastPage - 1} are missing, too$`),
        new RegExp(`pages/${lastPage}.jsonl: has 1 entries and not 256`),
      ],
    ],
    [
      'merge',
      mergeKey(ORIGIN, last),
      [
        /merges\/000000000001.json: is missing; and all up to merge 999999999998 are missing, too$/,
        /merges\/999999999999.json: merge 999999999999 .* names no origin$/,
      ],
    ],
  ];
  for (const [name, key, expected] of cases) {
    const [store] = await archive(t);
    store.objects.set(key, garbage);
    const { faults, origins } = await check(store, false);
    for (const pattern of expected)
      t.equal(
        faults.filter((fault) => pattern.test(fault)).length,
        1,
        `${name}: ${faults.slice(0, 3).join('; ')}`,
      );
    t.ok(faults.length < 2 * PAGE_ENTRIES, `${faults.length} faults`);
    t.equal(origins[0]?.upTo, 30, 'what is there is counted');
  }
});

t.test(
  'entries that are missing over several pages are told once, and a page behind them is read',
  async (t) => {
    const store = new MemoryObjectStore();
    const world = new ArchiveWorld(t, store);
    for (let n = 1; n <= 4 * PAGE_ENTRIES; n++) await world.cut(n, []);
    await world.manifest.writePage(4 * PAGE_ENTRIES);
    for (let n = PAGE_ENTRIES + 1; n <= 4 * PAGE_ENTRIES; n++) store.objects.delete(entryKey(ORIGIN, n));
    const { faults, origins } = await check(store, false);
    t.match(faults[0], /000000000257.json: is missing; and all up to entry 768 are missing, too$/);
    t.match(faults[1], /000000000769.json: is missing; its page has it$/);
    t.equal(faults.length, 1 + PAGE_ENTRIES);
    t.equal(origins[0]?.entries, 2 * PAGE_ENTRIES);
    t.equal(origins[0]?.upTo, 4 * PAGE_ENTRIES, 'as its page says');
  },
);

t.test('pages have to be the same as the entries', async (t) => {
  const store = new MemoryObjectStore();
  const world = new ArchiveWorld(t, store);
  for (let n = 1; n <= PAGE_ENTRIES + 2; n++) await world.cut(n, []);
  await world.manifest.writePage(PAGE_ENTRIES);
  t.same((await check(store, false)).faults, []);
  t.same((await check(store, true)).faults, []);
  store.asked.length = 0;
  await check(store, false);
  t.ok(store.asked.length < 20, 'entries of a page are listed, not read');

  const tenth = entryKey(ORIGIN, 10);
  const genuine = store.objects.get(tenth) ?? new Uint8Array(0);
  const changed = Buffer.from(Buffer.from(genuine).toString().replace('"config":"c"', '"config":"d"'));
  store.objects.set(tenth, changed);
  t.same((await check(store, false)).faults, [], 'of the same length');
  t.match((await check(store, true)).faults[0], /000000000010.json: is not the same in the page that has it/);
  store.objects.set(tenth, changed.subarray(1));
  t.match((await check(store, false)).faults, [/000000000010.json: has \d+ bytes, and \d+ in the page/]);
  store.objects.delete(tenth);
  const gone = await check(store, true);
  t.match(gone.faults, [/000000000010.json: is missing; its page has it/]);
  t.equal(gone.origins[0]?.entries, PAGE_ENTRIES + 2);
  store.objects.set(tenth, genuine);

  const page = store.objects.get(pageKey(ORIGIN, 1)) ?? new Uint8Array(0);
  store.objects.set(pageKey(ORIGIN, 1), page.subarray(0, page.indexOf(0x0a) + 1));
  t.match((await check(store, false)).faults, [/pages\/000000000001.jsonl: has 1 entries and not 256/]);
  store.objects.set(pageKey(ORIGIN, 1), page);
  store.fault = (operation, key) => {
    if (operation === 'read' && key === tenth) store.objects.delete(tenth);
    return undefined;
  };
  t.match((await check(store, true)).faults, [/000000000010.json: is gone while it is read/]);
});

t.test('a store that does not answer is no damage', async (t) => {
  const [store] = await archive(t);
  store.fault = (operation) => (operation === 'read' ? { when: 'before', kind: 'unreachable' } : undefined);
  await t.rejects(check(store, true), { name: 'ObjectFault', kind: 'unreachable' });
});

t.test('positions are remembered one by one', (t) => {
  const set = new SequenceSet();
  for (const sequence of [1, 0, 7, 8, 65_535, 65_536, 2 ** 40]) t.equal(set.add(sequence), true);
  for (const sequence of [8, 0, 65_536, 2 ** 40]) t.equal(set.add(sequence), false);
  t.equal(set.add(9), true);
  t.end();
});
