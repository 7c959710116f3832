import { test } from 'tap';
import { gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import { RandomPunches } from '../../../../mesh/transport/random-punches.js';
import { Reason } from '../../../../mesh/transport/reasons.js';

const idOf = (byte: number): ReturnType<typeof gatewayIdOf> => gatewayIdOf(new Uint8Array(32).fill(byte));
const [LESSER, OWN, GREATER] = [idOf(1), idOf(2), idOf(3)];

function create(): { punches: RandomPunches; clock: { nowMs: number } } {
  const clock = { nowMs: 1000 };
  return { punches: new RandomPunches(OWN, { now: () => clock.nowMs }), clock };
}

test('of a pair the one with the greater key tries ports at random', async (t) => {
  const { punches } = create();
  t.equal(punches.begin(GREATER), Reason.randomThere);
  t.equal(punches.begin(LESSER), undefined);
});

test('one search at a time, and twenty seconds between two', async (t) => {
  const { punches, clock } = create();
  t.equal(punches.begin(LESSER), undefined);
  t.equal(punches.begin(idOf(0)), Reason.randomLater);
  punches.ended(LESSER, true);
  clock.nowMs += 19_999;
  t.equal(punches.begin(idOf(0)), Reason.randomLater);
  clock.nowMs += 1;
  t.equal(punches.begin(idOf(0)), undefined);
});

test('what does not work is tried ever more rarely, an hour apart in the end, and anew after it worked', async (t) => {
  const { punches, clock } = create();
  const pauses = [30, 60, 120, 240, 480, 960, 1920, 3600, 3600];
  for (const pauseS of pauses) {
    t.equal(punches.begin(LESSER), undefined);
    punches.ended(LESSER, false);
    clock.nowMs += pauseS * 1000 - 1;
    t.equal(punches.begin(LESSER), Reason.randomLater, `not before ${pauseS} s`);
    clock.nowMs += 1;
  }
  t.equal(punches.begin(LESSER), undefined);
  punches.ended(LESSER, true);
  clock.nowMs += 20_000;
  t.equal(punches.begin(LESSER), undefined);
  punches.ended(LESSER, false);
  clock.nowMs += 30_000;
  t.equal(punches.begin(LESSER), undefined);
});
