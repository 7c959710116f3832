import t from 'tap';
import { GivenUp } from '../../../bridge/archive/given-up.js';
import type { PositionRange } from '../../../bridge/archive/manifest-entry.js';

function world(ranges: readonly PositionRange[] = []): {
  given: GivenUp;
  saved: (readonly PositionRange[])[];
} {
  const saved: (readonly PositionRange[])[] = [];
  return { given: new GivenUp(ranges, (untold) => saved.push(untold)), saved };
}

t.test('what was given up is told in the entries that come to it', async (t) => {
  const { given, saved } = world([[5, 9]]);
  given.add(20, 29);
  t.same(saved, [
    [
      [5, 9],
      [20, 29],
    ],
  ]);
  t.same(given.between(0, 4), []);
  t.same(given.between(0, 100), [
    [5, 9],
    [20, 29],
  ]);
  t.same(given.between(6, 24), [
    [7, 9],
    [20, 24],
  ]);
});

t.test('it is forgotten when everything up to it is told, and not before', async (t) => {
  const { given, saved } = world([
    [5, 9],
    [20, 29],
  ]);
  given.told(8);
  t.same(saved, []);
  given.told(9);
  t.same(saved, [[[20, 29]]]);
  given.told(29);
  t.same(saved.at(-1), []);
  t.same(given.between(0, 100), []);
});

t.test('where an archive was left everything before is given up', async (t) => {
  const { given, saved } = world([[5, 9]]);
  given.addAllBefore(1);
  t.same(saved, []);
  given.addAllBefore(50);
  t.same(saved, [[[1, 49]]]);
});
