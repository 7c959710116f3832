import t from 'tap';
import { gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import {
  entryKey,
  Manifest,
  type ManifestDraft,
  PAGE_ENTRIES,
  pageKey,
} from '../../../bridge/archive/manifest.js';
import {
  decodeEntry,
  encodeEntry,
  hashOf,
  type ManifestEntry,
} from '../../../bridge/archive/manifest-entry.js';
import { bodyOf } from '../../../bridge/archive/object-store.js';
import { MemoryObjectStore } from '../../support/memory-object-store.js';

const ORIGIN = gatewayIdOf(new Uint8Array(32).fill(1));
const OTHER = gatewayIdOf(new Uint8Array(32).fill(2));
const FIRST_LIFE = { counter: 1, nonce: '00000000000000aa' };
const SECOND_LIFE = { counter: 2, nonce: '00000000000000bb' };
const OBJECT = { key: 'data/a.parquet', length: 10, rows: 3, sha256: hashOf(Buffer.from('object')) };

function draft(after: number, upTo: number, more: Partial<ManifestDraft> = {}): ManifestDraft {
  return {
    ...{ epoch: FIRST_LIFE, after, upTo, lost: [], config: 'c1', rows: 3, objects: [OBJECT], by: ORIGIN },
    ...more,
  };
}

async function rangesOf(manifest: Manifest): Promise<string[]> {
  const ranges: string[] = [];
  for await (const { number, after, upTo } of manifest.read()) ranges.push(`${number}: (${after}, ${upTo}]`);
  return ranges;
}

t.test('entries follow each other, and come back as they were', async (t) => {
  const store = new MemoryObjectStore();
  const manifest = new Manifest(store, ORIGIN);
  t.same(await rangesOf(new Manifest(store, ORIGIN)), []);
  t.equal(await manifest.append(draft(0, 10)), true);
  t.equal(await manifest.append(draft(10, 10, { rows: 0, objects: [], lost: [[3, 4]] })), true);
  t.equal(await manifest.append(draft(10, 12, { by: OTHER })), true);
  t.match(manifest.tip, { number: 3, upTo: 12, epoch: FIRST_LIFE });
  const reader = new Manifest(store, ORIGIN);
  const entries: ManifestEntry[] = [];
  for await (const entry of reader.read()) entries.push(entry);
  t.same(reader.tip, manifest.tip);
  t.match(entries, [
    { number: 1, previous: '', after: 0, upTo: 10, objects: [OBJECT] },
    { number: 2, lost: [[3, 4]], objects: [] },
    { number: 3, by: OTHER },
  ]);
  t.equal(entries[1]?.previous, hashOf(encodeEntry(entries[0] as ManifestEntry)));
  // Whoever knows how far it came reads what is new.
  await new Manifest(store, ORIGIN, manifest.tip).append(draft(12, 20));
  t.same(await rangesOf(reader), ['4: (12, 20]']);
});

t.test('an answer that was lost is asked for again, with the same draft', async (t) => {
  const store = new MemoryObjectStore();
  const manifest = new Manifest(store, ORIGIN);
  for (const when of ['before', 'after'] as const) {
    const { upTo } = manifest.tip;
    store.fault = (operation) => (operation === 'create' ? { when, kind: 'unknown' } : undefined);
    await t.rejects(manifest.append(draft(upTo, upTo + 5)), { kind: 'unknown', message: /made to fail/ });
    t.equal(manifest.tip.upTo, upTo);
    store.fault = () => undefined;
    t.equal(await manifest.append(draft(upTo, upTo + 5)), true);
    t.equal(manifest.tip.upTo, upTo + 5);
  }
  t.same(await rangesOf(new Manifest(store, ORIGIN)), ['1: (0, 5]', '2: (5, 10]']);
});

t.test('of two who write the same number one comes second, and goes on from there', async (t) => {
  const store = new MemoryObjectStore();
  const [one, other] = [new Manifest(store, ORIGIN), new Manifest(store, ORIGIN)];
  t.equal(await one.append(draft(0, 10)), true);
  t.equal(await other.append(draft(0, 7, { by: OTHER })), false);
  t.same(other.tip, one.tip);
  t.equal(await other.append(draft(10, 17, { by: OTHER })), true);
  t.equal(await one.append(draft(10, 20)), false);
  t.same(await rangesOf(new Manifest(store, ORIGIN)), ['1: (0, 10]', '2: (10, 17]']);
});

t.test('what cannot stand behind the last entry is not written', async (t) => {
  const store = new MemoryObjectStore();
  const manifest = new Manifest(store, ORIGIN);
  await manifest.append(draft(0, 10, { epoch: SECOND_LIFE }));
  const cases: readonly (readonly [ManifestDraft, RegExp])[] = [
    [draft(11, 20, { epoch: SECOND_LIFE }), /begins behind 11, and what came before ends at 10/],
    [draft(9, 20, { epoch: SECOND_LIFE }), /everything up to 10 is archived already/],
    [draft(10, 9, { epoch: SECOND_LIFE }), /ends before it begins/],
    [draft(10, 20), /is of life 1, and 2 had begun/],
    [draft(10, 20, { epoch: { counter: 2, nonce: '00000000000000cc' } }), /two gateways use one identity/],
  ];
  for (const [wrong, message] of cases)
    await t.rejects(manifest.append(wrong), { name: 'ManifestFault', message });
  t.equal(manifest.tip.number, 1);
  // Put back to an old image it goes on where that ended, in a new life.
  t.equal(await manifest.append(draft(6, 12, { epoch: { counter: 3, nonce: '00000000000000cc' } })), true);
});

t.test('what somebody changed, took away or put in is found', async (t) => {
  const store = new MemoryObjectStore();
  const manifest = new Manifest(store, ORIGIN);
  for (let n = 0; n < 4; n++) await manifest.append(draft(n * 10, n * 10 + 10));
  const second = entryKey(ORIGIN, 2);
  const genuine = Buffer.from(store.objects.get(second) ?? []);
  const changes: readonly (readonly [string, RegExp])[] = [
    [
      genuine.toString().replace('"upTo":20', '"upTo":21'),
      /entry 3 of the manifest of 0101\w+ does not follow/,
    ],
    [genuine.toString().replace('"rows":3', '"rows":4'), /entry 2 .* is no entry/],
    [genuine.toString().replace('"by"', '"also":1,"by"'), /entry 2 .* was changed/],
    [genuine.toString().slice(0, -1), /is not whole/],
    ['{\n', /is no JSON/],
    ['[]\n', /is no entry/],
    ['{"format":3}\n', /has format 3, and this version of sprawl-edge knows 2: update it/],
    [genuine.toString().replace('"format":1', '"format":2'), /was changed/],
    [genuine.toString().replace('"sha256"', '"keyId":"x","sha256"'), /is no entry/],
    [genuine.toString().replace('"number":2', '"number":7'), /says that it is entry 7 of 0101/],
    [genuine.toString().replace('"lost":[]', '"lost":[[5,3]]'), /is no entry/],
    [genuine.toString().replace(OBJECT.sha256, 'x'), /is no entry/],
    [genuine.toString().replace('"nonce":"', '"nonce":"x'), /is no entry/],
    [genuine.toString().replace('"objects":[{', '"objects":[1,{'), /is no entry/],
  ];
  for (const [text, message] of changes) {
    store.objects.set(second, Buffer.from(text));
    await t.rejects(rangesOf(new Manifest(store, ORIGIN)), { name: 'ManifestFault', message }, text);
  }
  store.objects.delete(second);
  t.same(await rangesOf(new Manifest(store, ORIGIN)), ['1: (0, 10]'], 'it ends there');
  t.throws(() => decodeEntry(OTHER, 2, genuine), { message: /says that it is entry 2 of 0101/ });
});

t.test('an entry that goes while it is looked at is no entry', async (t) => {
  const store = new MemoryObjectStore();
  await new Manifest(store, ORIGIN).append(draft(0, 1));
  store.fault = (operation, key) => {
    if (operation === 'read') store.objects.delete(key);
    return undefined;
  };
  await t.rejects(new Manifest(store, ORIGIN).append(draft(0, 2)), { message: /was there, and is gone/ });
});

t.test('pages hold the same bytes, whoever makes them, and are read in place of the entries', async (t) => {
  const store = new MemoryObjectStore();
  const manifest = new Manifest(store, ORIGIN);
  for (let n = 0; n < PAGE_ENTRIES + 2; n++) await manifest.append(draft(n, n + 1));
  const all = await rangesOf(new Manifest(store, ORIGIN));
  t.equal(all.length, PAGE_ENTRIES + 2);
  await t.rejects(manifest.writePage(PAGE_ENTRIES + 1), { message: /no page ends with entry 257/ });
  await t.rejects(manifest.writePage(2 * PAGE_ENTRIES), { message: /entry 259 .* is missing/ });
  await Promise.all([manifest.writePage(PAGE_ENTRIES), new Manifest(store, ORIGIN).writePage(PAGE_ENTRIES)]);
  await manifest.writePage(PAGE_ENTRIES);
  store.asked.length = 0;
  t.same(await rangesOf(new Manifest(store, ORIGIN)), all);
  t.equal(store.asked.length, 5, 'two pages, of which one is not there, and so of three entries');
  // Whoever knows a part of the page goes on with entries.
  const behind = new Manifest(store, ORIGIN);
  for await (const { number } of behind.read()) if (number === 3) break;
  t.equal(behind.tip.number, 3);
  t.same(await rangesOf(behind), all.slice(3));
  const page = store.objects.get(pageKey(ORIGIN, 1)) ?? new Uint8Array(0);
  store.objects.delete(pageKey(ORIGIN, 1));
  await store.create(pageKey(ORIGIN, 1), bodyOf(page.subarray(0, -1)));
  await t.rejects(rangesOf(new Manifest(store, ORIGIN)), { message: /entry 256 .* is not whole/ });
  store.objects.set(pageKey(ORIGIN, 1), page.subarray(0, 600));
  await t.rejects(rangesOf(new Manifest(store, ORIGIN)), {
    message: /begins a page of \d+ entries and not 256/,
  });
});
