import t from 'tap';
import { editDistance, nearest } from '../../../lib/config/nearest.js';

t.test('edits are inserts, deletes, replacements and swaps of neighbours', async (t) => {
  const cases: [string, string, number][] = [
    ['', '', 0],
    ['abc', '', 3],
    ['abc', 'abc', 0],
    ['abc', 'abd', 1],
    ['abc', 'acb', 1],
    ['abc', 'abxc', 1],
    ['kitten', 'sitting', 3],
  ];
  for (const [left, right, distance] of cases) {
    t.equal(editDistance(left, right), distance, `${left} ${right}`);
    t.equal(editDistance(right, left), distance, `${right} ${left}`);
  }
});

t.test('the nearest name is suggested, and none where nothing is near', async (t) => {
  const names = ['pub', 'sub', 'passwd', 'up'];
  t.equal(nearest('passwrd', names), 'passwd');
  t.equal(nearest('PUB', names), 'pub');
  t.equal(nearest('publish', names), undefined);
  t.equal(nearest('x', names), undefined);
  t.equal(nearest('x'.repeat(100_000), names), undefined);
});
