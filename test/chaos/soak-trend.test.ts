import t from 'tap';
import { Random } from '../sim/random.js';
import { heapKindsOf } from './soak/heap-kinds.js';
import { growthBetween, growthOf, type Point, trendOf } from './soak/trend.js';

const SEEDS = Array.from({ length: 50 }, (_, i) => i + 1);
const MINUTES = 180;

/** A sample each minute for three hours. */
function series(valueAt: (minute: number) => number, minutes = MINUTES): Point[] {
  return Array.from({ length: minutes + 1 }, (_, minute) => ({
    hours: minute / 60,
    value: valueAt(minute),
  }));
}

/** About a normal distribution. */
const noise = (random: Random): number =>
  Array.from({ length: 12 }, () => random.float()).reduce((sum, one) => sum + one, -6);

/** By seed, with what the noise adds to 30 MB. */
const kindsOf = (valueAt: (minute: number, random: Random) => number): string[] =>
  SEEDS.map((seed) => {
    const random = new Random(seed, 'trend');
    return growthOf(trendOf(series((minute) => 30 + valueAt(minute, random)))).kind;
  });

const count = (kinds: readonly string[], kind: string): number => kinds.filter((one) => one === kind).length;

t.test('the slope is that of the second half, whatever single samples say', (t) => {
  const { slope, low, high, points } = trendOf(
    series((minute) => (minute < 90 ? 5 * minute : 450 + minute / 60 + (minute % 30 === 0 ? 100 : 0))),
  );
  t.equal(points, 91);
  t.ok(Math.abs(slope - 1) < 0.01, `${slope}`);
  t.ok(low <= slope && slope <= high);
  t.end();
});

t.test('flat noise is no growth', (t) => {
  t.equal(
    count(
      kindsOf((_, random) => noise(random) * 0.5),
      'steady',
    ),
    SEEDS.length,
  );
  t.end();
});

t.test('a load that comes and goes is no growth', (t) => {
  const kinds = kindsOf((minute, random) => 0.5 * Math.sin(minute / 4) + 0.2 * noise(random));
  t.equal(count(kinds, 'grows'), 0);
  t.end();
});

t.test('noise that goes on from sample to sample is hardly ever called growth', (t) => {
  const kinds = SEEDS.map((seed) => {
    const random = new Random(seed, 'trend');
    let value = 0;
    return growthOf(
      trendOf(
        series(() => {
          value = 0.7 * value + 0.2 * noise(random);
          return 30 + value;
        }),
      ),
    ).kind;
  });
  t.ok(count(kinds, 'grows') <= 1, `${count(kinds, 'grows')}`);
  t.end();
});

t.test('what grows in the first half, and then no more, is no growth', (t) => {
  const kinds = kindsOf((minute, random) => Math.min(minute, 60) / 6 + 0.3 * noise(random));
  t.equal(count(kinds, 'steady'), SEEDS.length);
  t.end();
});

t.test('1 MB an hour is found within three hours', (t) => {
  t.equal(
    count(
      kindsOf((minute, random) => minute / 60 + 0.5 * noise(random)),
      'grows',
    ),
    SEEDS.length,
  );
  const kinds = kindsOf((minute, random) => minute / 60 + 0.3 * Math.sin(minute / 4) + 0.2 * noise(random));
  t.equal(count(kinds, 'grows'), SEEDS.length, 'beside a load that comes and goes');
  t.end();
});

t.test('less than is said to be growth is none', (t) => {
  t.equal(
    count(
      kindsOf((minute, random) => 0.1 * (minute / 60) + 0.1 * noise(random)),
      'grows',
    ),
    0,
  );
  t.end();
});

t.test('a run that is too short, or too noisy to show 1 MB an hour, proves nothing', (t) => {
  t.match(growthOf(trendOf(series((minute) => minute, 3))), {
    kind: 'short',
    reason: /^the second half has 2 samples of 1\.0 minutes/,
  });
  t.match(growthOf(trendOf([])), { kind: 'short' });
  const random = new Random(1, 'trend');
  t.match(growthOf(trendOf(series(() => 30 + 10 * noise(random)))), {
    kind: 'inconclusive',
    reason: /MB\/h wide/,
  });
  t.end();
});

t.test('between snapshots it grows that is more than noise', (t) => {
  const kindOf = (hours: number, mb: number): string =>
    growthBetween([0, 0.5, 1].map((share) => ({ hours: share * hours, value: 27 + share * mb }))).kind;
  t.equal(kindOf(0.4, 5), 'short');
  t.equal(growthBetween([]).kind, 'short');
  t.equal(kindOf(1.5, 0.5), 'steady');
  t.equal(kindOf(1.5, 0.7), 'grows');
  t.equal(kindOf(1.5, -1), 'steady');
  t.end();
});

t.test('a heap snapshot tells data from what is kept for code', (t) => {
  const strings = ['Map', 'system / WeakArrayList', 'system / PropertyArray', 'run'];
  const types = ['object', 'code', 'object shape', 'hidden', 'native'];
  const meta = { node_fields: ['type', 'name', 'id', 'self_size'], node_types: [types] as const };
  const nodes = [
    ...[
      [0, 0],
      [1, 3],
      [2, 0],
      [3, 1],
      [3, 2],
      [4, 0],
    ].flatMap(([type = 0, name = 0], i) => [type, name, i, 10 ** i]),
  ];
  t.same(heapKindsOf({ snapshot: { meta }, nodes, strings }), { dataBytes: 10_001, codeBytes: 1110 });
  const other = { node_fields: ['type'], node_types: [types] as const };
  t.throws(
    () => heapKindsOf({ snapshot: { meta: other }, nodes, strings }),
    /a heap snapshot of another format: type/,
  );
  t.end();
});
