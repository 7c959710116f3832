import t from 'tap';
import { DrainRate } from '../../../bridge/archive/drain-rate.js';

interface World {
  nowMs: number;
  messages: number;
  committed: number;
  readonly rate: DrainRate;
}

const POSITION_BYTES = 100;

function world(): World {
  const one = { nowMs: 0, messages: 0, committed: 0 };
  const log = {
    get committed() {
      return one.committed;
    },
    bytesBetween: (after: number, upTo: number) => (upTo - after) * POSITION_BYTES,
  };
  const rate = new DrainRate({ now: () => one.nowMs, wall: () => 0 }, log, () => one.messages);
  return Object.assign(one, { rate });
}

const MIB = 1_048_576;

t.test('while nobody is served a backlog goes as fast as it can', async (t) => {
  const one = world();
  t.equal(one.rate.perSecond, Infinity);
  one.nowMs = 10_000;
  // Of the archive itself.
  one.committed = 10;
  t.equal(one.rate.perSecond, Infinity);
});

t.test('beside clients it goes slowly, and at full speed again when they are silent', async (t) => {
  const one = world();
  t.equal(one.rate.perSecond, Infinity);
  one.messages = 1;
  t.equal(one.rate.perSecond, Infinity, 'it is not looked all the time');
  one.nowMs = 500;
  t.equal(one.rate.perSecond, 4 * MIB);
  t.ok(one.rate.isGentle);
  one.nowMs = 900;
  t.equal(one.rate.perSecond, 4 * MIB);
  one.nowMs = 1000;
  t.equal(one.rate.perSecond, Infinity);
  t.notOk(one.rate.isGentle);
});

t.test('it is four times as fast as what comes in, whatever that is', async (t) => {
  const one = world();
  t.equal(one.rate.perSecond, Infinity);
  for (const perSecond of [100, 2 * MIB, 50 * MIB]) {
    one.nowMs += 500;
    one.messages += 1;
    one.committed += perSecond / 2 / POSITION_BYTES;
    t.equal(Math.round(one.rate.perSecond), Math.max(4 * MIB, 4 * perSecond));
    // Who rested would not keep up.
    t.equal(one.rate.isGentle, perSecond <= MIB);
  }
});
