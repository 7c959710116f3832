import t from 'tap';
import { type MergeLimits, MergeRuns, planMerges } from '../../../bridge/archive/compaction/merge-plan.js';
import type { ArchivedObject } from '../../../bridge/archive/manifest-entry.js';
import { objectKey } from '../../../bridge/archive/object-key.js';
import type { CatalogUnit } from '../../../bridge/archive/reading/catalog.js';
import { FIRST_LIFE, ORIGIN } from '../../support/archive-world.js';

const LIMITS: MergeLimits = { minBytes: 100, targetBytes: 150, entriesMaxCount: 1000 };

/** Each entry as the bytes of its objects by folder; a row for each. */
function unitsOf(...entries: readonly Readonly<Record<string, number>>[]): CatalogUnit[] {
  return entries.map((lengths, at) => {
    const number = at + 1;
    const objects = Object.entries(lengths).map(([partition, length]) => {
      const sha256 = String(number).padStart(64, '0');
      const name = {
        epoch: 1,
        first: number * 10,
        last: number * 10 + 9,
        sha256,
        format: 'parquet' as const,
      };
      return { key: objectKey(partition, { ...name, origin: ORIGIN }), length, rows: 1, sha256 };
    });
    return {
      ...{ origin: ORIGIN, epoch: FIRST_LIFE, first: number, last: number, merge: undefined, objects },
      ...{ after: number * 10, upTo: number * 10 + 9, rows: objects.length },
    };
  });
}

/** `first-last folder:entries,… | kept` of each merge. */
function planned(units: readonly CatalogUnit[], limits: Partial<MergeLimits> = {}): string[] {
  return planMerges(units, { ...LIMITS, ...limits }).map(({ first, last, piles, kept, rows }) => {
    const text = piles.map(
      ({ partition, sources }) => `${partition}:${sources.map(({ sha256 }) => Number(sha256)).join('+')}`,
    );
    return `${first}-${last} ${text.join(' ')} | ${kept.length} kept, ${rows} rows`;
  });
}

t.test('small objects of a folder become one, as much as one may have', (t) => {
  t.same(planned(unitsOf({ a: 9, b: 9 }, { a: 9 }, { b: 9 })), ['1-3 a:1+2 b:1+3 | 0 kept, 4 rows']);
  t.same(planned(unitsOf({ a: 60 }, { a: 60 }, { a: 60 }, { a: 60 })), [
    '1-2 a:1+2 | 0 kept, 2 rows',
    '3-4 a:3+4 | 0 kept, 2 rows',
  ]);
  t.end();
});

t.test('what is large stays, and is named again', (t) => {
  t.same(planned(unitsOf({ a: 100, b: 1 }, { a: 5, b: 1 }, { a: 5 })), ['1-3 b:1+2 a:2+3 | 1 kept, 5 rows']);
  t.same(planned(unitsOf({ a: 5 }, { a: 100 }, { a: 5 })), [], 'a large one between two small ones');
  t.end();
});

t.test('what is outdated is written again, also alone and however large', (t) => {
  const isOutdated = ({ sha256 }: ArchivedObject): boolean => Number(sha256) === 2;
  t.same(planned(unitsOf({ a: 5 }), { isOutdated }), []);
  t.same(planned(unitsOf({ a: 5 }, { b: 5 }), { isOutdated }), ['2-2 b:2 | 0 kept, 1 rows']);
  t.same(planned(unitsOf({ a: 5 }, { a: 500 }, { a: 5 }), { isOutdated }), ['2-2 a:2 | 0 kept, 1 rows']);
  t.same(planned(unitsOf({ a: 5 }, { a: 5, b: 500 }, { b: 5 }), { isOutdated }), [
    '1-2 a:1+2 b:2 | 0 kept, 3 rows',
  ]);
  t.end();
});

t.test('where nothing is to be won nothing is done', (t) => {
  t.same(planned(unitsOf({ a: 5 })), []);
  t.same(planned(unitsOf({ a: 5 }, { b: 5 }, {}, { c: 5 })), []);
  t.same(planned([]), []);
  t.same(planned(unitsOf({ a: 99 }, { a: 99 })), [], 'two would be too much');
  t.end();
});

t.test('entries between are replaced with the others; those before and behind are not', (t) => {
  t.same(planned(unitsOf({ z: 1 }, { a: 5 }, { b: 7 }, { a: 5 }, { y: 1 }, { c: 1 }, { c: 1 })), [
    '2-4 a:2+4 | 1 kept, 3 rows',
    '6-7 c:6+7 | 0 kept, 2 rows',
  ]);
  t.end();
});

t.test('what has a strange name stays as it is', (t) => {
  const units = unitsOf({ a: 5 }, { a: 5 }, { a: 5 }).map((unit) =>
    unit.first === 2
      ? { ...unit, objects: unit.objects.map((object) => ({ ...object, key: 'data/a/x.parquet' })) }
      : unit,
  );
  t.same(planned(units), ['1-3 a:1+3 | 1 kept, 3 rows']);
  t.end();
});

t.test('runs end with a life, and with so many entries', (t) => {
  const units = unitsOf({}, {}, {}, {}, {}).map((unit) =>
    unit.first > 3 ? { ...unit, epoch: { ...FIRST_LIFE, counter: 2 } } : unit,
  );
  const runs = new MergeRuns({ ...LIMITS, entriesMaxCount: 2 });
  const found = [...units.map((unit) => runs.take(unit)), runs.end()];
  t.same(
    found.flatMap((run) => (run === undefined ? [] : [run.map(({ first }) => first)])),
    [[1, 2], [3], [4, 5]],
  );
  t.end();
});
