import fc from 'fast-check';
import t from 'tap';
import { comparePlaces, RecentRows } from '../../../bridge/archive/reading/recent-rows.js';

t.test('the newest rows that fit are kept, to the size of a chunk', (t) => {
  const sizes = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 50 }), isNewLife: fc.boolean() }));
  fc.assert(
    fc.property(sizes, fc.nat(400), (rows, maxBytes) => {
      const recent = new RecentRows(maxBytes, 20);
      let epoch = 1;
      const places = rows.map(({ bytes, isNewLife }, i) => {
        if (isNewLife) epoch++;
        // A new life may begin before where the one before it ended.
        const place = { epoch, sequence: isNewLife ? 1 + (i % 3) : 10 + i };
        recent.add(place, bytes);
        return { ...place, bytes };
      });
      const { first } = recent;
      const kept = places.filter((place) => first !== undefined && comparePlaces(place, first) >= 0);
      const sum = (some: readonly { readonly bytes: number }[]): number =>
        some.reduce((total, { bytes }) => total + bytes, 0);
      if (sum(kept) > maxBytes) return false;
      // What was left out does not fit, but for less than what a chunk may have.
      return kept.length === places.length || sum(kept) + 70 > maxBytes;
    }),
    { numRuns: 500 },
  );
  t.equal(new RecentRows(10).first, undefined);
  t.end();
});
