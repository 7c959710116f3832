import t from 'tap';
import { createEventLoopMonitor } from '../../../lib/telemetry/index.js';

class FakeHistogram {
  count = 10;
  p50 = 21e6;
  p99 = 120e6;
  resets = 0;
  disabled = 0;

  percentile(percentile: number): number {
    return percentile === 50 ? this.p50 : this.p99;
  }

  reset(): void {
    this.resets++;
    this.count = 0;
  }

  disable(): boolean {
    this.disabled++;
    return true;
  }
}

function createWorld() {
  const world = { now: 0, histogram: new FakeHistogram() };
  const clock = { now: () => world.now, wall: () => 0 };
  return { world, monitor: createEventLoopMonitor(clock, world.histogram) };
}

t.test('the sampling interval is not lag', (t) => {
  const { world, monitor } = createWorld();
  t.strictSame(monitor.read(), { p50S: 0.001, p99S: 0.1 });
  world.histogram.p50 = 19e6;
  t.equal(monitor.read().p50S, 0, 'and lag is never negative');
  world.histogram.count = 0;
  world.histogram.p99 = NaN;
  t.strictSame(monitor.read(), { p50S: 0, p99S: 0 }, 'nothing sampled yet');
  t.end();
});

t.test('readers that come often share a window', (t) => {
  const { world, monitor } = createWorld();
  world.now = 10_000;
  t.strictSame(monitor.read(), { p50S: 0.001, p99S: 0.1 });
  t.equal(world.histogram.resets, 1);
  world.histogram.count = 10;
  world.histogram.p99 = 30e6;
  world.now = 19_999;
  t.equal(monitor.read().p99S, 0.1, 'the figures of the window that ended');
  world.now = 20_000;
  t.equal(monitor.read().p99S, 0.01);
  t.equal(world.histogram.resets, 2);
  t.end();
});

t.test('after the close the last figures stand', (t) => {
  const { world, monitor } = createWorld();
  monitor.close();
  monitor.close();
  world.histogram.p99 = 900e6;
  world.now = 50_000;
  t.strictSame(monitor.read(), { p50S: 0.001, p99S: 0.1 });
  t.equal(world.histogram.disabled, 1);
  t.end();
});

t.test('a loop that is held up shows', async (t) => {
  const monitor = createEventLoopMonitor({ now: () => 0, wall: () => 0 });
  t.teardown(() => monitor.close());
  while (monitor.read().p99S < 0.03) {
    const until = performance.now() + 60;
    while (performance.now() < until);
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.ok(monitor.read().p99S < 30);
});
