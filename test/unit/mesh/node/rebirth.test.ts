/** When a gateway that runs goes on in another life. */
import t from 'tap';
import { EPOCH_COUNTER_MAX } from '../../../../lib/contracts/epoch.js';
import { LIVES_MAX_COUNT } from '../../../../mesh/node/limits.js';
import { Rebirth } from '../../../../mesh/node/rebirth.js';

const life = (counter: number) => ({ counter, nonce: 'a'.repeat(16), after: 0 });

function create(counter: number): {
  lineage: { present: ReturnType<typeof life> };
  rebirth: Rebirth;
  born: number[];
} {
  const lineage = { present: life(counter) };
  const born: number[] = [];
  return { lineage, born, rebirth: new Rebirth(lineage, (beyond) => born.push(beyond)) };
}

t.test('a later life that others know makes one that is later still begin, once', (t) => {
  const { lineage, rebirth, born } = create(3);
  t.equal(rebirth.heardOf(life(2)), false, 'that is an earlier one');
  t.equal(rebirth.isUnderWay, false);
  t.equal(rebirth.heardOf(life(5)), true);
  t.equal(rebirth.isUnderWay, true);
  t.equal(rebirth.heardOf(life(5)), false, 'it is on its way');
  t.equal(rebirth.heardOf(life(4)), false);
  lineage.present = life(6);
  rebirth.begun();
  t.equal(rebirth.isUnderWay, false);
  t.equal(rebirth.heardOf(life(5)), false);
  t.equal(rebirth.heardOf(life(6)), true, 'another one with the number of the present life');
  t.same(born, [5, 6]);
  t.end();
});

t.test('a life further away than anybody lives is not believed, nor the last that there can be', (t) => {
  const { rebirth, born } = create(3);
  t.equal(rebirth.heardOf(life(3 + LIVES_MAX_COUNT + 1)), false);
  t.equal(rebirth.heardOf(life(3 + LIVES_MAX_COUNT)), true);
  const late = create(EPOCH_COUNTER_MAX - 1);
  t.equal(late.rebirth.heardOf(life(EPOCH_COUNTER_MAX)), false);
  t.equal(late.rebirth.heardOf(life(EPOCH_COUNTER_MAX - 1)), true);
  t.same([born, late.born], [[3 + LIVES_MAX_COUNT], [EPOCH_COUNTER_MAX - 1]]);
  t.end();
});
