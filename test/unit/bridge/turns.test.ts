import t from 'tap';
import { Turns } from '../../../bridge/archive/turns.js';

interface World {
  nowMs: number;
  readonly slept: number[];
  readonly turns: Turns;
}

function world(): World {
  const slept: number[] = [];
  const one = { nowMs: 0, slept };
  const sleep = (ms: number): void => {
    slept.push(ms);
    one.nowMs += ms;
  };
  return Object.assign(one, { turns: new Turns({ now: () => one.nowMs, sleep }) });
}

/** Pieces of a fifth of a millisecond. */
function work(one: World, ms: number): void {
  for (let done = 0; done < ms * 5; done++) {
    one.nowMs += 0.2;
    one.turns.rest();
  }
}

t.test('while nobody is served there is no rest', async (t) => {
  const one = world();
  work(one, 100);
  t.same(one.slept, []);
});

t.test('beside clients it sleeps twice as long as it works', async (t) => {
  const one = world();
  one.turns.areShort = true;
  work(one, 100);
  t.ok(one.slept.length >= 80 && one.slept.length <= 101, `${one.slept.length} rests`);
  const slept = one.slept.reduce((sum, ms) => sum + ms, 0);
  t.ok(slept / one.nowMs > 0.6, `${slept} of ${one.nowMs} ms`);
});

t.test('a piece that took longer than a turn is rested from once', async (t) => {
  const one = world();
  one.turns.areShort = true;
  one.nowMs += 50;
  one.turns.rest();
  one.turns.rest();
  t.equal(one.slept.length, 1);
});
