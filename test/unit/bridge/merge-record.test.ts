/** A merge record is read as it was written, or not at all; and a plan merges what is worth it. */
import fc from 'fast-check';
import t from 'tap';
import type { ArchivedObject } from '../../../bridge/archive/manifest-entry.js';
import {
  decodeMerge,
  encodeMerge,
  type MergeRecord,
  mergeSuccessionFault,
  mergeTipOf,
  NO_MERGES,
  withMerge,
} from '../../../bridge/archive/merge-record.js';
import { mergeKey, Merges } from '../../../bridge/archive/merges.js';
import { objectKey, parseObjectKey } from '../../../bridge/archive/object-key.js';
import { ORIGIN, OTHER } from '../../support/archive-world.js';
import { MemoryObjectStore } from '../../support/memory-object-store.js';

const SHA = 'ab'.repeat(32);
const objectOf = (key: string, rows: number): ArchivedObject => ({ key, length: 10, rows, sha256: SHA });
const MERGE: MergeRecord = {
  ...{ origin: ORIGIN, number: 1, previous: '', first: 1, last: 4, rows: 5 },
  objects: [objectOf('data/a', 2), objectOf('data/b', 3)],
  ...{ atMs: 1_800_000_000_000, by: 'sprawl-edge 1' },
};
const DRAFT = { first: 1, last: 4, rows: 0, objects: [], atMs: 1, by: 'x' };

t.test('what was written is read, and nothing else', (t) => {
  const bytes = encodeMerge(MERGE);
  t.same(decodeMerge(ORIGIN, 1, bytes), MERGE);
  const text = Buffer.from(bytes).toString();
  const cases: readonly (readonly [string, string | Uint8Array])[] = [
    ['is not whole', text.slice(0, -1)],
    ['is no JSON', '{\n'],
    ['is no merge', '[]\n'],
    ['has format 3, and this version of sprawl-edge knows 2', text.replace('"format":1', '"format":3')],
    ['names no origin', text.replace(ORIGIN, 'x')],
    [`says that it is merge 1 of ${OTHER}`, text.replace(ORIGIN, OTHER)],
    ['says that it is merge 2', text.replace('"number":1', '"number":2')],
    ['has no number', text.replace('"number":1', '"number":0')],
    ['names no merge before it', text.replace('"previous":""', '"previous":"x"')],
    ['replaces no entries', text.replace('"first":1', '"first":5')],
    ['replaces no entries', text.replace('"first":1', '"first":0')],
    ['has no list of objects', text.replace('"length":10', '"length":-1')],
    ['names an object twice', text.replace('data/b', 'data/a')],
    ['has another number of rows than its objects', text.replace('"rows":5', '"rows":6')],
    ['has no time', text.replace('"atMs":18', '"atMs":-18')],
    ['does not say who wrote it', text.replace('sprawl-edge 1', '')],
    ['was changed', text.replace('"by"', '"more":1,"by"')],
  ];
  for (const [reason, changed] of cases)
    t.throws(() => decodeMerge(ORIGIN, 1, Buffer.from(changed)), {
      name: 'MergeFault',
      message: new RegExp(`^merge 1 of the manifest of ${ORIGIN} .*${reason}`),
    });
  t.end();
});

t.test('merges replace others as a whole', (t) => {
  const tip = mergeTipOf(MERGE, encodeMerge(MERGE));
  const next = (first: number, last: number, previous = tip.hash) =>
    mergeSuccessionFault(tip, [MERGE], { ...MERGE, number: 2, previous, first, last });
  for (const [first, last] of [
    [5, 6],
    [1, 4],
    [1, 9],
  ] as const)
    t.equal(next(first, last), undefined);
  for (const [first, last] of [
    [1, 3],
    [2, 9],
    [2, 3],
    [4, 4],
  ] as const)
    t.match(next(first, last), /are a part of what merge 1 replaced/);
  t.match(next(5, 6, ''), /does not follow/);
  t.equal(mergeSuccessionFault(NO_MERGES, [], MERGE), undefined);
  const of = (first: number, last: number): MergeRecord => ({ ...MERGE, first, last });
  const standing = [of(5, 6), of(1, 2), of(9, 9), of(3, 6)].reduce<readonly MergeRecord[]>(withMerge, []);
  t.same(
    standing.map(({ first, last }) => [first, last]),
    [
      [1, 2],
      [3, 6],
      [9, 9],
    ],
  );
  t.end();
});

t.test('one number is written once, and a gap is a fault', async (t) => {
  const store = new MemoryObjectStore();
  const [one, other] = [new Merges(store, ORIGIN), new Merges(store, ORIGIN)];
  t.equal(await one.append(DRAFT), true);
  t.equal(await other.append({ ...DRAFT, last: 5 }), false);
  t.equal(other.tip.number, 0);
  t.equal(await new Merges(store, ORIGIN).append(DRAFT), true, 'the same bytes: whoever asks again');
  await other.read();
  t.same(other.tip, one.tip);
  await t.rejects(other.append({ ...DRAFT, first: 2 }), { name: 'MergeFault', number: 2 });
  await t.rejects(other.append({ ...DRAFT, first: 5, last: 5, rows: 1 }), { message: /rows/ });
  for (let n = 5; n < 40; n++) t.equal(await other.append({ ...DRAFT, first: n, last: n }), true);
  store.objects.set(`manifest/${ORIGIN}/merges/readme.txt`, new Uint8Array(1));
  await one.read();
  t.same(one.tip, other.tip);
  t.equal(one.standing.length, 36);
  store.objects.delete(mergeKey(ORIGIN, 20));
  await t.rejects(new Merges(store, ORIGIN).read(), { message: /^merge 20 .* is missing, and there are/ });
});

t.test('keys of objects say what they were made of', (t) => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.nat(),
      fc.nat(),
      fc.option(fc.nat(), { nil: undefined }),
      fc.constantFrom('parquet' as const, 'ndjson' as const),
      (epoch, first, last, merge, format) => {
        const key = objectKey('date=2026-11-29/prefix=a', {
          ...{ origin: ORIGIN, epoch, first, last, sha256: SHA, format, merge },
        });
        t.strictSame(parseObjectKey(key), {
          ...{ partition: 'date=2026-11-29/prefix=a', originStart: ORIGIN.slice(0, 16) },
          ...{ epoch, first, last, merge, format },
        });
      },
    ),
    { numRuns: 50 },
  );
  for (const key of ['data/x.parquet', 'data/date=2026-11-29/x-1-2-3-abcdabcd.parquet'])
    t.equal(parseObjectKey(key), undefined);
  t.end();
});
