import t from 'tap';
import type { Log } from '../../../storage/log/log.js';
import { RECORD_HEADER_BYTES } from '../../../storage/log/record.js';
import { FaultyFiles } from '../../support/faulty-files.js';
import { append, committed, openLog, readAll } from '../../support/log-bench.js';

/** A log whose turns and timers the test ends by hand. */
class Bench {
  /** Asked for at the end of the turn. */
  scheduled: (() => void)[] = [];
  timers: { readonly delayMs: number; readonly fire: () => void; cancelled: boolean }[] = [];

  constructor(
    readonly log: Log,
    readonly files: FaultyFiles,
  ) {}

  static async open(): Promise<Bench> {
    const files = new FaultyFiles();
    const log = await openLog(files, {
      segmentMaxBytes: 1 << 20,
      schedule: (run) => bench.scheduled.push(run),
      timers: {
        after: (delayMs, fire) => {
          const timer = { delayMs, fire, cancelled: false };
          bench.timers.push(timer);
          return { cancel: () => (timer.cancelled = true) };
        },
      },
    });
    const bench = new Bench(log, files);
    return bench;
  }

  appendUnawaited(text: string): number {
    const body = Buffer.from(text);
    const chunk = this.log.reserve(body.length);
    chunk.buffer.set(body, chunk.length + RECORD_HEADER_BYTES);
    return this.log.appendUnawaited(chunk, 3, body.length);
  }

  endTurn(): void {
    for (const run of this.scheduled.splice(0)) run();
  }

  /** Those that run. */
  get waits(): readonly number[] {
    return this.timers.filter(({ cancelled }) => !cancelled).map(({ delayMs }) => delayMs);
  }

  fireTimers(): void {
    for (const { fire, cancelled } of this.timers.splice(0)) if (!cancelled) fire();
  }

  async commit(position: number): Promise<void> {
    this.endTurn();
    await committed(this.log, position);
    // The log is open again when whoever waited has been told.
    await new Promise(setImmediate);
  }

  async close(): Promise<void> {
    const closed = this.log.close();
    this.endTurn();
    await closed;
  }
}

t.test(
  'what nobody waits for asks for no commit, and goes with the next that somebody waits for',
  async (t) => {
    const bench = await Bench.open();
    const { log } = bench;
    for (let n = 0; n < 5; n++) bench.appendUnawaited(`passed ${n}`);
    t.same(bench.scheduled, []);
    t.same(bench.waits, [1000], 'one timer for all');
    t.equal(log.awaited, 0);
    const position = append(log, 1, Buffer.from('awaited'));
    t.equal(log.awaited, 6);
    t.same(bench.waits, [], 'nor is there anything left to do in a second');
    await bench.commit(position);
    t.equal(log.figures.commits, 1);
    t.equal(log.unawaitedCount, 5);
    const { records } = await readAll(log);
    t.same(
      [...records.values()].map(({ type, body }) => `${type} ${body}`),
      ['3 passed 0', '3 passed 1', '3 passed 2', '3 passed 3', '3 passed 4', '1 awaited'],
    );
    await bench.close();
  },
);

t.test('where nobody waits for anything it is committed a second after the first of it', async (t) => {
  const bench = await Bench.open();
  const { log } = bench;
  for (let round = 1; round <= 3; round++) {
    for (let n = 0; n < 4; n++) bench.appendUnawaited('x');
    t.same(bench.waits, [1000]);
    bench.fireTimers();
    await bench.commit(round * 4);
    t.equal(log.figures.commits, round);
    t.same(bench.waits, [], 'an idle log does nothing');
  }
  await bench.close();
});

t.test('much of it does not wait for a second', async (t) => {
  const bench = await Bench.open();
  const { log } = bench;
  const text = 'x'.repeat(1000);
  let position = 0;
  while (bench.scheduled.length === 0) position = bench.appendUnawaited(text);
  t.ok(log.pendingBytes >= 262_144 && log.pendingBytes < 264_000, `${log.pendingBytes} bytes`);
  await bench.commit(position);
  t.equal(log.figures.commits, 1);
  await bench.close();
});

t.test('what comes while something is committed makes no commit of its own', async (t) => {
  const bench = await Bench.open();
  const { log, files } = bench;
  files.onEffect = (operation) => {
    if (operation === 'sync') bench.appendUnawaited('later');
  };
  append(log, 1, Buffer.from('first'));
  await bench.commit(1);
  files.onEffect = () => undefined;
  t.equal(log.figures.commits, 1);
  t.ok(log.committed < log.position, 'it waits');
  t.same(bench.waits, [1000]);
  bench.fireTimers();
  await bench.commit(log.position);
  t.equal(log.figures.commits, 2);
  await bench.close();
});

t.test('a flush, a hurry and the end of the log take it along', async (t) => {
  const bench = await Bench.open();
  const { log, files } = bench;
  bench.appendUnawaited('one');
  const flushed = log.flush();
  bench.endTurn();
  await flushed;
  t.equal(log.committed, 1);
  bench.appendUnawaited('two');
  log.hurry();
  t.equal(log.awaited, 2);
  await bench.commit(2);
  log.hurry();
  t.same(bench.scheduled, [], 'there is nothing to hurry');
  bench.appendUnawaited('three');
  await bench.close();
  t.same(bench.waits, [], 'no timer is left behind');
  const again = await openLog(files);
  t.equal(again.committed, 3);
  await again.close();
});

t.test('after a fault of the disk it is written with all else', async (t) => {
  const files = new FaultyFiles();
  const log = await openLog(files);
  const body = Buffer.from('passed');
  const chunk = log.reserve(body.length);
  chunk.buffer.set(body, chunk.length + RECORD_HEADER_BYTES);
  log.appendUnawaited(chunk, 3, body.length);
  let faults = 0;
  files.onOperation = (operation) => {
    if (operation === 'sync' && faults++ === 0) throw new Error('EIO');
  };
  await committed(log, append(log, 1, Buffer.from('awaited')));
  t.ok(faults > 1);
  t.equal(log.unawaitedCount, 1);
  const { records, lost } = await readAll(log);
  t.same(lost, []);
  t.same(
    [...records.values()].map(({ body: text }) => text),
    ['passed', 'awaited'],
  );
  await log.close();
});
