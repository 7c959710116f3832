import fc from 'fast-check';
import t from 'tap';
import { TimerQueue } from '../../../lib/session/timer-queue.js';

t.test(
  'timers fire in the order of their time, those of one moment in the order in which they were set',
  async (t) => {
    const timers = new TimerQueue();
    const fired: string[] = [];
    timers.at(20, () => fired.push('late'));
    timers.at(10, () => fired.push('first'));
    timers.at(10, () => fired.push('second'));
    timers.at(2 ** 40, () => fired.push('in decades'));
    t.equal(timers.size, 4);
    t.equal(timers.nextAt, 10);
    timers.runDue(9);
    t.same(fired, []);
    timers.runDue(20);
    t.same(fired, ['first', 'second', 'late']);
    t.equal(timers.size, 1);
    t.equal(timers.nextAt, 2 ** 40);
  },
);

t.test('an empty queue has nothing due, ever', async (t) => {
  const timers = new TimerQueue();
  timers.runDue(Infinity);
  t.equal(timers.nextAt, Infinity);
});

t.test('a cancelled timer does not fire, and may be cancelled again, also after it fired', async (t) => {
  const timers = new TimerQueue();
  let fired = 0;
  const kept = timers.at(1, () => fired++);
  const cancelled = timers.at(1, () => t.fail('cancelled'));
  cancelled.cancel();
  cancelled.cancel();
  timers.runDue(1);
  kept.cancel();
  t.equal(fired, 1);
  t.equal(timers.size, 0);
});

t.test('what a timer sets fires in the same run where it is due, and it may cancel others', async (t) => {
  const timers = new TimerQueue();
  const fired: number[] = [];
  const victim = timers.at(3, () => t.fail('cancelled by another'));
  timers.at(1, () => {
    fired.push(1);
    victim.cancel();
    timers.at(2, () => fired.push(2));
    timers.at(9, () => t.fail('not due'));
  });
  timers.runDue(5);
  t.same(fired, [1, 2]);
  t.equal(timers.size, 1);
});

t.test('any mix of timers and cancellations fires what is left, in order', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(50), fc.boolean()), { maxLength: 100, size: 'max' }),
      fc.array(fc.nat(99)),
      (entries, cancels) => {
        const timers = new TimerQueue();
        const fired: number[] = [];
        const handles = entries.map(([at], index) => timers.at(at, () => fired.push(index)));
        const cancelled = new Set(cancels);
        for (const index of cancels) handles[index]?.cancel();
        const expected = entries
          .map(([at], index) => ({ at, index }))
          .filter(({ index }) => !cancelled.has(index))
          .sort((a, b) => a.at - b.at || a.index - b.index)
          .map(({ index }) => index);
        if (timers.size !== expected.length) throw new Error(`${timers.size} of ${expected.length}`);
        timers.runDue(50);
        if (fired.join() !== expected.join()) throw new Error(`${fired.join()} for ${expected.join()}`);
      },
    ),
  );
});
