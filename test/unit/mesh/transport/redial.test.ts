import { test } from 'tap';
import { race } from '../../../../mesh/transport/race.js';
import { Redial } from '../../../../mesh/transport/redial.js';
import { VirtualTime } from './virtual-time.js';

function createRedial(results: (string | undefined)[]): {
  redial: Redial;
  time: VirtualTime;
  tries: number[];
  aborted: () => number;
} {
  const time = new VirtualTime();
  const tries: number[] = [];
  let aborted = 0;
  const redial = new Redial({
    startMs: 250,
    capMs: () => 15_000,
    timers: time,
    random: () => 1,
    attempt: async (signal) => {
      tries.push(time.now());
      signal.addEventListener('abort', () => aborted++);
      return results.shift();
    },
  });
  return { redial, time, tries, aborted: () => aborted };
}

function gaps(times: readonly number[]): number[] {
  return times.slice(1).map((time, index) => time - (times[index] ?? 0));
}

test('it is tried ever more rarely until it works, and then no more', async (t) => {
  const { redial, time, tries } = createRedial([...Array.from({ length: 9 }, () => 'no'), undefined]);
  redial.start(0);
  await time.advance(200_000);
  t.same(gaps(tries), [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  t.equal(redial.state, 'idle');
  t.equal(redial.lastFailure, 'no');
});

test('what did not last is tried again after a wait, what lasted at once', async (t) => {
  const { redial, time, tries } = createRedial([undefined, undefined, undefined]);
  redial.start(0);
  await time.advance(1);
  redial.start(0);
  await time.advance(1000);
  t.same(gaps(tries), [251]);
  redial.reset();
  redial.start(200);
  redial.start(0);
  await time.advance(200);
  t.equal(tries.length, 3);
});

test('news make it come sooner', async (t) => {
  const { redial, time, tries } = createRedial(['no', 'no', 'no', 'no', 'no', undefined]);
  redial.hurry();
  redial.start(0);
  await time.advance(4000);
  t.equal(tries.length, 5);
  redial.hurry();
  await time.advance(249);
  redial.hurry();
  t.equal(tries.length, 5);
  await time.advance(1);
  t.equal(tries.length, 6, 'more news do not put it off');
});

test('when it is stopped the attempt that is under way is given up', async (t) => {
  const { redial, time, tries, aborted } = createRedial(['no']);
  redial.start(0);
  await time.advance(0);
  t.equal(redial.state, 'waiting');
  redial.stop();
  await time.advance(100_000);
  t.equal(tries.length, 1);
  const never = new Redial({
    startMs: 1,
    capMs: () => 1,
    timers: time,
    random: () => 1,
    attempt: (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve('aborted'))),
  });
  never.start(0);
  await time.advance(1);
  t.equal(never.state, 'trying');
  never.stop();
  await time.advance(1000);
  t.equal(never.state, 'idle');
  t.equal(never.lastFailure, undefined);
  t.equal(aborted(), 0);
});

test('of several ways the first that works wins, and the others are given up', async (t) => {
  const time = new VirtualTime();
  const log: string[] = [];
  const way = (name: string, delayMs: number, tookMs: number, result: string | undefined) => ({
    delayMs,
    attempt: (signal: AbortSignal) =>
      new Promise<string | undefined>((resolve) => {
        if (signal.aborted) return resolve('aborted');
        log.push(`${name} begins`);
        signal.addEventListener('abort', () => log.push(`${name} is given up`));
        time.after(tookMs, () => resolve(result));
      }),
  });
  const ways = [
    way('tcp', 50, 500, undefined),
    way('udx', 200, 50, undefined),
    way('dht', 450, 5, undefined),
  ];
  const result = race(ways, time, new AbortController().signal);
  await time.advance(1000);
  t.equal(await result, undefined);
  t.same(log, ['tcp begins', 'udx begins', 'tcp is given up', 'udx is given up']);
});

test('when none works the reasons are told, each once', async (t) => {
  const time = new VirtualTime();
  const ways = ['no route', 'refused', 'no route', 'x', 'y'].map((failure) => ({
    delayMs: 0,
    attempt: async () => failure,
  }));
  t.equal(await race(ways, time, new AbortController().signal), 'no route; refused; x');
});

test('a race that is given up gives up its ways, also those that have not begun', async (t) => {
  const time = new VirtualTime();
  const outside = new AbortController();
  const begun: string[] = [];
  const attempt = (signal: AbortSignal): Promise<string> => {
    begun.push(signal.aborted ? 'aborted' : 'running');
    return new Promise((resolve) => {
      if (signal.aborted) resolve('given up');
      signal.addEventListener('abort', () => resolve('given up'));
    });
  };
  const result = race(
    [
      { delayMs: 0, attempt },
      { delayMs: 100, attempt },
    ],
    time,
    outside.signal,
  );
  await time.advance(1);
  outside.abort();
  t.equal(await result, 'given up');
  t.same(begun, ['running', 'aborted']);
  t.equal(time.pending, 0);
});
