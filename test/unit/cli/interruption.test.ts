import { once } from 'node:events';
import t from 'tap';
import { Interruption } from '../../../lib/cli/interruption.js';
import { FakeWorld } from './fake-world.js';

t.test('the first signal stops, and has its exit code; the second one leaves', (t) => {
  const world = new FakeWorld();
  const interruption = new Interruption(world);
  t.equal(interruption.exitCode, undefined);
  world.process.send('SIGTERM');
  t.match(interruption, { exitCode: 143, stopping: { aborted: true }, leaving: { aborted: false } });
  world.process.send('SIGINT');
  t.match(interruption, { exitCode: 143, leaving: { aborted: true } });
  interruption.release();
  t.equal(world.process.listenerCount('SIGINT') + world.process.listenerCount('SIGTERM'), 0);
  t.end();
});

t.test('nothing is waited for longer than its time', async (t) => {
  const world = new FakeWorld();
  const interruption = new Interruption(world, 1);
  const left = once(interruption.leaving, 'abort');
  world.process.send('SIGINT');
  await left;
  t.equal(interruption.exitCode, 130);
  interruption.release();
});
