/** One timer for all that is due, and one run for all that happens in a turn. */
import t from 'tap';
import { Alarm } from '../../../../mesh/node/alarm.js';
import { EndOfTurn } from '../../../../mesh/node/end-of-turn.js';
import { allTurns, Scheduler } from '../../../sim/scheduler.js';

function create(): { scheduler: Scheduler; alarm: Alarm; rang: number[]; state: { timers: number } } {
  const scheduler = new Scheduler(allTurns);
  const rang: number[] = [];
  const state = { timers: 0 };
  const timers = {
    after: (delayMs: number, fire: () => void) => {
      let isCancelled = false;
      state.timers++;
      scheduler.after(delayMs, 'timer', () => {
        if (isCancelled) return;
        state.timers--;
        fire();
      });
      return {
        cancel: () => {
          if (!isCancelled) state.timers--;
          isCancelled = true;
        },
      };
    },
  };
  return { scheduler, rang, state, alarm: new Alarm(scheduler, timers, () => rang.push(scheduler.now())) };
}

t.test('an alarm rings once, at the earliest time that was asked for', async (t) => {
  const { scheduler, alarm, rang, state } = create();
  const began = scheduler.now();
  for (const at of [50, 20, 30]) alarm.by(began + at);
  t.equal(state.timers, 1);
  await scheduler.advance(100);
  t.same(rang, [began + 20]);
  alarm.by(began + 110);
  await scheduler.advance(20);
  t.same(rang, [began + 20, began + 110], 'and again, when it was set anew');
  alarm.by(began);
  await scheduler.advance(10);
  t.equal(rang.at(-1), began + 120, 'what has passed is now');
});

t.test('an alarm that has ended does not ring any more', async (t) => {
  const { scheduler, alarm, rang, state } = create();
  alarm.by(scheduler.now() + 20);
  alarm.end();
  alarm.by(scheduler.now() + 10);
  await scheduler.advance(100);
  t.same([rang, state.timers], [[], 0]);
});

t.test('the end of a turn comes once for all that happened in it', (t) => {
  const turns: (() => void)[] = [];
  let count = 0;
  const turn = new EndOfTurn(
    (run) => turns.push(run),
    () => count++,
  );
  turn.soon();
  turn.soon();
  t.same([turns.length, count], [1, 0]);
  turns.shift()?.();
  t.equal(count, 1);
  turn.soon();
  t.equal(turns.length, 1, 'and again for the next');
  t.end();
});
