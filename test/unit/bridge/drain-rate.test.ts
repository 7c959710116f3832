import t from 'tap';
import { DrainRate } from '../../../bridge/archive/drain-rate.js';

function world(): { nowMs: number; messages: number; logBytes: number; rate: DrainRate } {
  const one = { nowMs: 0, messages: 0, logBytes: 0 };
  const clock = { now: () => one.nowMs, wall: () => 0 };
  const rate = new DrainRate(clock, { messages: () => one.messages, logBytes: () => one.logBytes });
  return Object.assign(one, { rate });
}

const MIB = 1_048_576;

t.test('while nobody is served a backlog goes as fast as it can', async (t) => {
  const one = world();
  t.equal(one.rate.perSecond, Infinity);
  one.nowMs = 10_000;
  // Of the archive itself.
  one.logBytes = 1000;
  t.equal(one.rate.perSecond, Infinity);
});

t.test('beside clients it goes slowly, and at full speed again when they are silent', async (t) => {
  const one = world();
  one.messages = 1;
  t.equal(one.rate.perSecond, Infinity, 'it is not looked all the time');
  one.nowMs = 500;
  t.equal(one.rate.perSecond, 4 * MIB);
  one.nowMs = 900;
  t.equal(one.rate.perSecond, 4 * MIB);
  one.nowMs = 1000;
  t.equal(one.rate.perSecond, Infinity);
});

t.test('it is four times as fast as what comes in, whatever that is', async (t) => {
  const one = world();
  for (const perSecond of [100, 2 * MIB, 50 * MIB]) {
    one.nowMs += 500;
    one.messages += 1;
    one.logBytes += perSecond / 2;
    t.equal(one.rate.perSecond, Math.max(4 * MIB, 4 * perSecond));
  }
});
