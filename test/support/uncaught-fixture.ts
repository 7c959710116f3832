/** A test file of its own, run by unit/lean-tap.test.ts: its assertions are right, and it leaves an error that nobody catches, as it is told to. */
import { setTimeout as elapse } from 'node:timers/promises';
import t from 'tap';

const how = process.argv[2];
const fail = (): never => {
  throw new Error('nobody catches this');
};

t.test('one that leaves something behind', async (t) => {
  if (how === 'timer') setTimeout(fail, 1);
  if (how === 'promise') void elapse(1).then(fail);
  if (how === 'later') setTimeout(fail, 100);
  await elapse(50);
  t.pass();
});
