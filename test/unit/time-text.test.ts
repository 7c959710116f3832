import t from 'tap';
import { parseTimeText } from '../../lib/time-text.js';

const NOW_MS = Date.UTC(2026, 10, 29, 12);

t.test('times are written as ISO 8601, or as how long ago', (t) => {
  const cases: readonly (readonly [string, number])[] = [
    ['2026-11-29', Date.UTC(2026, 10, 29)],
    ['2028-02-29', Date.UTC(2028, 1, 29)],
    ['2026-11-29T07:30', Date.UTC(2026, 10, 29, 7, 30)],
    ['2026-11-29T07:30:15', Date.UTC(2026, 10, 29, 7, 30, 15)],
    ['2026-11-29T07:30:15.5Z', Date.UTC(2026, 10, 29, 7, 30, 15, 500)],
    ['2026-11-29T07:30:15+02:00', Date.UTC(2026, 10, 29, 5, 30, 15)],
    ['now', NOW_MS],
    ['-90s', NOW_MS - 90_000],
    ['-15m', NOW_MS - 900_000],
    ['-2h', NOW_MS - 7_200_000],
    ['-1.5d', NOW_MS - 129_600_000],
    ['-1w', NOW_MS - 604_800_000],
  ];
  for (const [text, timeMs] of cases) t.equal(parseTimeText(text, NOW_MS), timeMs, text);
  for (const text of [
    '',
    'yesterday',
    '2h',
    '-2',
    '-2y',
    '2026',
    '2026-13-01',
    '2026-11-31',
    '2026-02-30',
    '2027-02-29',
    '2026-11-31T07:30:00Z',
    '2026-11-00',
    '29.11.2026',
    '2026-11-29Z',
    ' now',
  ])
    t.equal(parseTimeText(text, NOW_MS), undefined, text);
  t.end();
});
