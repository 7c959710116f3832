import t from 'tap';
import { ClockSteps, TRUSTED_FROM_MS } from '../../../bridge/archive/clock-steps.js';

const AT_MS = TRUSTED_FROM_MS + 1e9;

t.test('what came before the clock was set is moved by the step', async (t) => {
  let now = 0;
  let wall = 5000;
  const steps = new ClockSteps({ now: () => now, wall: () => wall }, []);
  t.equal(steps.isTrusted, false);
  t.equal(steps.look(1), false);
  now = 60_000;
  wall = 65_000;
  t.equal(steps.look(10), false, 'it goes on, and is as wrong as it was');
  now = 61_000;
  wall = TRUSTED_FROM_MS + 66_000;
  t.equal(steps.isTrusted, true);
  t.equal(steps.look(12), true);
  t.same(steps.steps, [{ upTo: 12, deltaMs: TRUSTED_FROM_MS }]);
  t.equal(steps.look(13), false, 'once');
  t.equal(steps.timeOf(3, 7000, AT_MS), TRUSTED_FROM_MS + 7000);
  t.equal(steps.timeOf(13, TRUSTED_FROM_MS + 66_001, AT_MS), TRUSTED_FROM_MS + 66_001);
  t.equal(steps.timeOf(13, 7000, AT_MS), AT_MS, 'nobody knows when that was');
  t.equal(steps.timeOf(3, 2e9, AT_MS), AT_MS, 'not later than it was cut');
});

t.test('each of several starts without a clock has its step', async (t) => {
  let wall = 0;
  const steps = new ClockSteps({ now: () => 0, wall: () => wall }, [{ upTo: 10, deltaMs: 1e12 }]);
  steps.look(11);
  wall = TRUSTED_FROM_MS;
  t.equal(steps.look(20), true);
  t.equal(steps.timeOf(10, 1e12, AT_MS), Math.min(2e12, AT_MS));
  t.equal(steps.timeOf(11, 1, AT_MS), TRUSTED_FROM_MS + 1);
});

t.test('a clock that was always right has no steps', async (t) => {
  let wall = TRUSTED_FROM_MS;
  const steps = new ClockSteps({ now: () => 0, wall: () => wall }, []);
  for (const later of [0, 3_600_000, -3_600_000]) {
    wall = TRUSTED_FROM_MS + 1e8 + later;
    t.equal(steps.look(5), false);
  }
  t.same(steps.steps, []);
});
