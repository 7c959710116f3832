import t from 'tap';
import { race, type Way } from '../../../../mesh/transport/race.js';
import { VirtualTime } from './virtual-time.js';

/** Fails when it is given up, and listens for that as a dial does. */
function hanging(delayMs: number): Way {
  return {
    delayMs,
    attempt: (signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve('given up'), { once: true })),
  };
}

t.test('many ways at the same time are no leak for Node.js', async (t) => {
  const warnings: Error[] = [];
  const warned = (warning: Error): unknown => warnings.push(warning);
  process.on('warning', warned);
  t.teardown(() => process.off('warning', warned));
  const time = new VirtualTime();
  const works: Way = { delayMs: 400, attempt: async () => undefined };
  const ways = [
    ...Array.from({ length: 6 }, () => hanging(0)),
    ...Array.from({ length: 5 }, () => hanging(150)),
  ];
  const won = race([...ways, works], time, new AbortController().signal);
  await time.advance(400);
  t.equal(await won, undefined);
  await new Promise(setImmediate);
  t.same(warnings, []);
  t.equal(time.pending, 0);
});

t.test('ways that wait for their turn when the race is given up are not begun late', async (t) => {
  const time = new VirtualTime();
  const giveUp = new AbortController();
  const late: Way = { delayMs: 150, attempt: async (signal) => (signal.aborted ? 'given up' : undefined) };
  const lost = race([hanging(0), late], time, giveUp.signal);
  await time.advance(10);
  giveUp.abort();
  t.equal(await lost, 'given up');
  t.equal(time.pending, 0);
});
