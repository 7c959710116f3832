import fc from 'fast-check';
import t from 'tap';
import { PacketIdSet } from '../../../lib/session/packet-id-set.js';

t.test('a new set has nothing', async (t) => {
  const ids = new PacketIdSet();
  t.equal(ids.size, 0);
  t.equal(ids.has(1), false);
  t.equal(ids.delete(1), false);
});

t.test('every id fits, and all of them at once', async (t) => {
  const ids = new PacketIdSet();
  for (let id = 1; id <= 65_535; id++) ids.add(id);
  t.equal(ids.size, 65_535);
  t.ok(ids.has(1) && ids.has(65_535) && ids.has(32_768));
  for (let id = 1; id <= 65_535; id++) if (!ids.delete(id)) t.fail(`${id} is missing`);
  t.equal(ids.size, 0);
  t.equal(ids.has(65_535), false);
  ids.add(7);
  t.ok(ids.has(7), 'an emptied set starts anew');
});

t.test('a set of ids does what a Set does, few or many', async () => {
  const id = fc.integer({ min: 1, max: 200 });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), id), { maxLength: 400, size: 'max' }), (steps) => {
      const ids = new PacketIdSet();
      const model = new Set<number>();
      for (const [add, value] of steps) {
        if (add && !model.has(value)) {
          ids.add(value);
          model.add(value);
        } else if (ids.delete(value) !== model.delete(value)) {
          throw new Error(`delete of ${value}`);
        }
        if (ids.size !== model.size || ids.has(value) !== model.has(value)) throw new Error(`after ${value}`);
      }
    }),
  );
});
