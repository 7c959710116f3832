import t from 'tap';
import { realClock } from '../../../lib/real-clock.js';
import { Pace } from '../../../lib/cli/pace.js';

/** A pace whose waiting moves its clock. */
function paceOf(speed: number): {
  pace: Pace;
  clock: { now(): number };
  waited: number[];
  pass(ms: number): void;
} {
  let now = 1000;
  const waited: number[] = [];
  const clock = { now: () => now };
  const pass = (ms: number): void => void (now += ms);
  const pace = new Pace(speed, clock, (ms) => {
    waited.push(ms);
    pass(ms);
    return Promise.resolve();
  });
  return { pace, clock, waited, pass };
}

const { signal } = new AbortController();

t.test('what came later is due later, by the speed', async (t) => {
  for (const speed of [1, 10, 0.5]) {
    const { pace, waited } = paceOf(speed);
    t.equal(pace.isDue(5000), true, 'the first one at once');
    t.equal(pace.isDue(5100), false);
    await pace.until(5100, signal);
    t.equal(pace.isDue(5100), true);
    await pace.until(5300, signal);
    t.same(waited, [100 / speed, 200 / speed]);
    t.equal(pace.isDue(4000), true, 'one that came before at once');
  }
});

t.test('a message that is late makes none after it late', async (t) => {
  const { pace, waited, pass } = paceOf(1);
  pace.isDue(0);
  pass(150);
  t.equal(pace.isDue(100), true);
  await pace.until(200, signal);
  t.same(waited, [50]);
});

t.test('without pauses everything is due', (t) => {
  const { pace } = paceOf(Infinity);
  for (const timeMs of [0, 1e12, 5]) t.equal(pace.isDue(timeMs), true);
  t.end();
});

t.test('a signal ends a pause', async (t) => {
  const pace = new Pace(1, realClock);
  pace.isDue(0);
  const stop = new AbortController();
  const waiting = pace.until(1e15, stop.signal);
  stop.abort();
  await waiting;
  await pace.until(1e15, stop.signal);
  await pace.until(1, signal);
  t.equal(pace.isDue(1), true);
});
