import t from 'tap';
import type { LogFields } from '../../../lib/contracts/logger.js';
import { ArchiveRunner, type RunnerStatus } from '../../../bridge/archive/archive-runner.js';
import type { ArchiveStep } from '../../../bridge/archive/archiver.js';
import { ManifestFault } from '../../../bridge/archive/manifest-entry.js';
import { ObjectFault } from '../../../bridge/archive/object-store.js';
import { gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import { nullLogger } from '../../support/null-logger.js';

type Planned = ArchiveStep | Error;

class Bench {
  now = 1000;
  readonly steps: Planned[] = [];
  readonly said: string[] = [];
  nextAt: number | undefined;
  asked = 0;
  /** Of the last timer; undefined: none is set. */
  timer: { at: number; fire: () => void } | undefined;
  hold: Promise<void> | undefined;
  readonly runner: ArchiveRunner;

  constructor(random = 0.5) {
    const say = (level: string) => (message: string, fields?: LogFields) => {
      this.said.push(`${level} ${message} ${JSON.stringify(fields)}`);
    };
    this.runner = new ArchiveRunner({
      clock: { now: () => this.now, wall: () => this.now + 1_000_000 },
      timers: {
        after: (delayMs, fire) => {
          const timer = { at: this.now + delayMs, fire };
          this.timer = timer;
          return {
            cancel: () => {
              if (this.timer === timer) this.timer = undefined;
            },
          };
        },
      },
      random: () => random,
      logger: { ...nullLogger, info: say('info'), warn: say('warn') },
      step: async () => {
        this.asked++;
        const planned = this.steps.shift() ?? 'idle';
        await this.hold;
        if (planned instanceof Error) throw planned;
        return planned;
      },
      nextAt: () => this.nextAt,
    });
  }

  async settle(): Promise<RunnerStatus> {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    return this.runner.status;
  }

  async fire(): Promise<RunnerStatus> {
    const { timer } = this;
    if (timer === undefined) throw new Error('no timer is set');
    this.timer = undefined;
    this.now = timer.at;
    timer.fire();
    return this.settle();
  }
}

const busy = (): ObjectFault => new ObjectFault('busy', 'slow down');

t.test('it works while there is something, and rests until it is woken or it is time', async (t) => {
  const bench = new Bench();
  bench.steps.push('done', 'overtaken', 'done');
  bench.nextAt = 5000;
  bench.runner.wake();
  t.equal(bench.asked, 0, 'it has not been started');
  bench.runner.start();
  bench.runner.start();
  t.match(await bench.settle(), { state: 'idle', doneCount: 3, fault: undefined });
  t.equal(bench.asked, 4);
  t.equal(bench.timer?.at, 5000);
  bench.steps.push('done');
  bench.runner.wake();
  t.match(await bench.settle(), { state: 'idle', doneCount: 4 });
  bench.nextAt = undefined;
  t.match(await bench.fire(), { state: 'idle', doneCount: 4 });
  t.equal(bench.timer, undefined);
  t.same(bench.said, []);
});

t.test('what is woken in the middle of a step looks again', async (t) => {
  const bench = new Bench();
  let release: () => void = () => undefined;
  bench.hold = new Promise((resolve) => (release = resolve));
  bench.runner.start();
  await bench.settle();
  bench.runner.wake();
  bench.steps.push('done');
  release();
  bench.hold = undefined;
  t.match(await bench.settle(), { state: 'idle', doneCount: 1 });
  t.equal(bench.asked, 3);
});

t.test('a store that fails is asked ever more rarely, and the log hears of it once', async (t) => {
  const bench = new Bench();
  for (let n = 0; n < 10; n++) bench.steps.push(busy());
  bench.runner.start();
  await bench.settle();
  const waits: number[] = [];
  for (let n = 0; n < 9; n++) {
    waits.push((bench.timer?.at ?? 0) - bench.now);
    bench.runner.wake();
    t.equal((await bench.settle()).state, 'failing', 'waking does not ask a failing store');
    await bench.fire();
  }
  t.same(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 45_000, 45_000, 45_000]);
  t.match(bench.runner.status, {
    state: 'failing',
    fault: { kind: 'busy', text: 'slow down', count: 10, sinceMs: 1_001_000 },
  });
  bench.steps.push('done');
  t.match(await bench.fire(), { state: 'idle', fault: undefined, doneCount: 1 });
  t.match(bench.said, [
    /^warn messages cannot be archived; they stay in the log .*"busy".*slow down/,
    /^info the archive can be reached again .*"failures":10/,
  ]);
});

t.test('what needs a person is not asked again at once', async (t) => {
  const bench = new Bench(0);
  const origin = gatewayIdOf(new Uint8Array(32));
  bench.steps.push(
    new ObjectFault('denied', 'no'),
    new ManifestFault(origin, 7, 'was changed'),
    new Error('EIO'),
  );
  bench.runner.start();
  t.match((await bench.settle()).fault, { kind: 'denied', count: 1 });
  t.equal((bench.timer?.at ?? 0) - bench.now, 30_000);
  t.match((await bench.fire()).fault, { kind: 'manifest', text: /entry 7 .* was changed/, count: 2 });
  t.match((await bench.fire()).fault, { kind: 'local', text: 'EIO', count: 3 });
  t.equal(bench.said.length, 3, 'each kind is said');
});

t.test('it stops when what is under way is over, whatever comes of it', async (t) => {
  for (const outcome of ['done', busy()] as const) {
    const bench = new Bench();
    let release: () => void = () => undefined;
    bench.hold = new Promise((resolve) => (release = resolve));
    bench.steps.push(outcome);
    bench.runner.start();
    await bench.settle();
    let isStopped = false;
    const stopping = bench.runner.stop().then(() => (isStopped = true));
    await bench.settle();
    t.notOk(isStopped);
    release();
    await stopping;
    t.equal(bench.runner.status.state, 'stopped');
    t.equal(bench.timer, undefined);
    t.equal(bench.asked, 1);
    bench.runner.wake();
    await bench.settle();
    t.equal(bench.asked, 1);
  }
  const resting = new Bench();
  resting.nextAt = 9000;
  resting.runner.start();
  await resting.settle();
  const { timer } = resting;
  await resting.runner.stop();
  timer?.fire();
  await resting.settle();
  t.equal(resting.asked, 1);
});
