import t from 'tap';
import { PAGE_ENTRIES, entryKey } from '../../../bridge/archive/manifest.js';
import { Catalog } from '../../../bridge/archive/reading/catalog.js';
import { EVERYTHING, type Selection } from '../../../bridge/archive/reading/object-place.js';
import { ArchiveWorld, HOUR_MS, ORIGIN, OTHER, rowsOf, START_MS } from '../../support/archive-world.js';
import { MemoryObjectStore } from '../../support/memory-object-store.js';

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

async function keysOf(catalog: Catalog, selection: Partial<Selection> = {}): Promise<string[]> {
  const objects = await all(catalog.objects({ ...EVERYTHING, ...selection }));
  return objects.map(({ object }) => object.key.replace(/\/[^/]*$/, '').slice('data/date=2026-11-'.length));
}

t.test('origins are found without a look at their entries', async (t) => {
  const store = new MemoryObjectStore();
  for (const origin of [OTHER, ORIGIN]) {
    const world = new ArchiveWorld(t, store, {}, origin);
    for (let n = 1; n <= 5; n++) await world.cut(n, []);
  }
  store.objects.set('manifest/note/x', new Uint8Array(1));
  const catalog = new Catalog(store);
  store.asked.length = 0;
  t.same(await all(catalog.origins()), [ORIGIN, OTHER]);
  t.ok(store.asked.length <= 5, 'some listings, each of one name');
  t.same(await all(catalog.origins('cd')), [OTHER]);
  t.same(await all(catalog.origins('abc')), []);
  const picked = { ...EVERYTHING, origins: ['cd', 'ab', 'a'] };
  t.same(await catalog.selectedOrigins(picked), [OTHER, ORIGIN], 'each once, in the order asked for');
});

t.test('objects come by origin and entry, with what is known of them', async (t) => {
  const store = new MemoryObjectStore();
  const world = new ArchiveWorld(t, store);
  await new ArchiveWorld(t, store, {}, OTHER).cut(4, rowsOf(1, 4));
  await world.cut(6, rowsOf(1, 6));
  await world.cut(7, []);
  await world.cut(9, rowsOf(8, 9, { timeMs: START_MS + 30 * HOUR_MS }));
  const objects = await all(new Catalog(store).objects());
  t.same(
    objects.map(({ origin, entry, after, upTo, object }) => [
      origin === ORIGIN,
      entry,
      after,
      upTo,
      object.rows,
    ]),
    [
      ...[0, 1, 2].map(() => [true, 1, 0, 6, 2]),
      ...[0, 1].map(() => [true, 3, 7, 9, 1]),
      ...[1, 2, 1].map((rows) => [false, 1, 0, 4, rows]),
    ],
  );
  t.match(objects[0], { epoch: { counter: 1 }, place: { date: '2026-11-29', topic: 'site/a' } });
});

t.test('what a selection cannot find is left out by the folders', async (t) => {
  const store = new MemoryObjectStore();
  const world = new ArchiveWorld(t, store);
  await world.cut(6, rowsOf(1, 6));
  await world.cut(12, rowsOf(7, 12, { timeMs: START_MS + 30 * HOUR_MS }));
  const catalog = new Catalog(store);
  const a = '29/prefix=site%2Fa';
  t.equal((await keysOf(catalog)).length, 6);
  t.same(await keysOf(catalog, { filters: ['site/a/#'] }), [a, a.replace('29', '30')]);
  t.same(await keysOf(catalog, { filters: ['site/a/#'], toMs: START_MS + 24 * HOUR_MS }), [a]);
  t.same(await keysOf(catalog, { fromMs: START_MS + 48 * HOUR_MS }), []);
});

t.test('where nothing is archived that is said', async (t) => {
  const store = new MemoryObjectStore();
  const empty = { name: 'NothingArchived', message: 'there is no archive in memory' };
  await t.rejects(keysOf(new Catalog(store)), empty);
  await new ArchiveWorld(t, store).cut(1, []);
  t.same(await keysOf(new Catalog(store)), [], 'an entry without messages is something');
  await t.rejects(keysOf(new Catalog(store), { origins: ['ab', 'ee'] }), {
    message: /no gateway whose id begins with ee/,
  });
});

t.test('an entry that is missing before others ends nothing silently', async (t) => {
  const store = new MemoryObjectStore();
  const world = new ArchiveWorld(t, store);
  for (let n = 1; n <= 4; n++) await world.cut(n, rowsOf(n, n));
  store.objects.delete(entryKey(ORIGIN, 4));
  store.objects.set(`manifest/${ORIGIN}/entries/readme.txt`, new Uint8Array(1));
  t.equal((await keysOf(new Catalog(store))).length, 3, 'the last one was never there');
  store.objects.delete(entryKey(ORIGIN, 2));
  await t.rejects(keysOf(new Catalog(store)), {
    ...{
      name: 'ManifestFault',
      number: 2,
      message: /entry 2 .* is missing, and there are entries behind it/,
    },
  });
});

t.test('an entry that was written meanwhile is not missing', async (t) => {
  const store = new MemoryObjectStore();
  const world = new ArchiveWorld(t, store);
  await world.cut(1, rowsOf(1, 1));
  const later = new MemoryObjectStore();
  const other = new ArchiveWorld(t, later);
  for (let n = 1; n <= 3; n++) await other.cut(n, rowsOf(n, n));
  store.fault = (operation, key) => {
    if (operation === 'list' && key.includes('/entries/'))
      for (const [name, bytes] of later.objects) store.objects.set(name, bytes);
    return undefined;
  };
  t.equal((await keysOf(new Catalog(store))).length, 1);
});

t.test('pages are read in place of entries, however many there are', async (t) => {
  const store = new MemoryObjectStore();
  const world = new ArchiveWorld(t, store);
  for (let n = 1; n <= PAGE_ENTRIES + 1; n++) await world.cut(n, []);
  await world.manifest.writePage(PAGE_ENTRIES);
  store.asked.length = 0;
  t.equal((await all(new Catalog(store).entries(ORIGIN))).length, PAGE_ENTRIES + 1);
  t.ok(store.asked.length < 8, store.asked.join(', '));
});
