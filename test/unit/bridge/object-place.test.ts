/** What a key says of the rows in an object, against what the rows are. */
import fc from 'fast-check';
import t from 'tap';
import { NOTHING, objectKey, partitionOf } from '../../../bridge/archive/object-key.js';
import { EVERYTHING, mayHold, parsePlace } from '../../../bridge/archive/reading/object-place.js';
import { isValidTopicName, topicMatchesFilter } from '../../../lib/protocol/topic.js';
import { HOUR_MS, ORIGIN, START_MS } from '../../support/archive-world.js';

const keyOf = (by: 'day' | 'hour', topicLevels: number, timeMs: number, topic: string): string =>
  objectKey(partitionOf({ by, topicLevels }, timeMs, topic), {
    ...{ origin: ORIGIN, epoch: 3, first: 7, last: 9, sha256: 'ef'.repeat(32), format: 'parquet' },
  });

t.test('a key says date, hour, the first levels of the topic and the format', (t) => {
  t.match(parsePlace(keyOf('day', 2, START_MS + 5 * HOUR_MS, 'site/Süd é/x')), {
    ...{ format: 'parquet', date: '2026-11-29', hour: undefined, topic: 'site/Süd é' },
    ...{ fromMs: START_MS, toMs: START_MS + 24 * HOUR_MS },
  });
  t.match(parsePlace(keyOf('hour', 0, START_MS + 7.5 * HOUR_MS, 'a')), {
    ...{ date: '2026-11-29', hour: '07', topic: undefined },
    ...{ fromMs: START_MS + 7 * HOUR_MS, toMs: START_MS + 8 * HOUR_MS },
  });
  t.equal(parsePlace(keyOf('day', 1, START_MS, '/x')).topic, '', 'an empty level has a name with Hive');
  t.equal(parsePlace(keyOf('day', 1, START_MS, `${NOTHING}/x`)).topic, NOTHING, 'and one may be called so');
  t.equal(parsePlace(keyOf('day', 1, START_MS, 'ä'.repeat(200))).topic, undefined, 'a long one was cut');
  t.equal(parsePlace(keyOf('day', 1, START_MS, `a~${'0'.repeat(16)}`)).topic, undefined, 'or looks like it');
  const unknown = { format: undefined, date: undefined, topic: undefined, fromMs: -Infinity, toMs: Infinity };
  t.match(parsePlace('data/elsewhere.orc'), unknown);
  t.match(parsePlace('data/date=2026-99-99/prefix=%E4/x.parquet'), {
    ...{ format: 'parquet', topic: undefined, fromMs: -Infinity, toMs: Infinity },
  });
  t.end();
});

t.test('times choose what may have a row of them', (t) => {
  const place = parsePlace(keyOf('hour', 0, START_MS + HOUR_MS, 'a'));
  const from = (fromMs: number, toMs: number): boolean => mayHold(place, { ...EVERYTHING, fromMs, toMs });
  t.equal(from(START_MS, START_MS + HOUR_MS), false, 'the end is not included');
  t.equal(from(START_MS, START_MS + HOUR_MS + 1), true);
  t.equal(from(START_MS + 2 * HOUR_MS - 1, Infinity), true);
  t.equal(from(START_MS + 2 * HOUR_MS, Infinity), false);
  t.equal(mayHold(parsePlace('data/x.parquet'), { ...EVERYTHING, fromMs: 1, toMs: 2 }), true);
  t.end();
});

const level = fc.constantFrom('a', 'b', '', '$x', 'Ä é', '~', 'x'.repeat(70), NOTHING);
const topics = fc
  .array(level, { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join('/'))
  .filter((topic) => isValidTopicName(topic));
const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.boolean())
  .map(([levels, isOpen]) => [...levels, ...(isOpen ? ['#'] : [])].join('/'))
  .filter((filter) => filter !== '');

t.test('no object is left out that has a row of the topic', (t) => {
  let prunedCount = 0;
  fc.assert(
    fc.property(topics, filters, fc.integer({ min: 0, max: 4 }), (topic, filter, topicLevels) => {
      const place = parsePlace(keyOf('day', topicLevels, START_MS, topic));
      const isThere = mayHold(place, { ...EVERYTHING, filters: [filter] });
      if (!isThere) prunedCount++;
      return isThere || !topicMatchesFilter(topic, filter);
    }),
    { numRuns: 3000 },
  );
  t.ok(prunedCount > 300, `and ${prunedCount} are`);
  t.end();
});

t.test('what cannot match is left out', (t) => {
  const place = parsePlace(keyOf('day', 2, START_MS, 'site/a/x'));
  const held = (...filters: string[]): boolean => mayHold(place, { ...EVERYTHING, filters });
  for (const filter of ['#', 'site/#', 'site/a', 'site/a/x/y', '+/a', 'site/+/+'])
    t.equal(held(filter), true, filter);
  for (const filter of ['site', 'site/b/#', '+', 'other/#', 'site/A']) t.equal(held(filter), false, filter);
  t.equal(held('site/b', 'site/a/#'), true, 'one of several');
  const system = parsePlace(keyOf('day', 1, START_MS, '$SYS/x'));
  t.equal(mayHold(system, { ...EVERYTHING, filters: ['#', '+/x'] }), false);
  t.equal(mayHold(system, { ...EVERYTHING, filters: ['$SYS/#'] }), true);
  t.end();
});
