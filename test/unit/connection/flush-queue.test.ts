import t from 'tap';
import { FlushQueue } from '../../../lib/connection/flush-queue.js';
import { BufferPool, MemoryBudget, Outbox } from '../../../lib/connection/outbox.js';
import { createCounters } from '../../../lib/telemetry/counters.js';
import { FakeTransport } from '../delivery/lane-world.js';

class Bench {
  readonly pool = new BufferPool();
  readonly budget = new MemoryBudget(1_000_000);
  readonly counters = createCounters();
  readonly scheduled: (() => void)[] = [];
  readonly flushQueue = new FlushQueue((flush) => this.scheduled.push(flush));
  readonly transport = new FakeTransport();
  readonly outbox = new Outbox(this.transport, this);

  say(text = 'x'): void {
    this.outbox.append(Buffer.from(text), true);
  }

  read(text?: string): void {
    this.flushQueue.readBegins();
    if (text !== undefined) this.say(text);
    this.flushQueue.readDone();
  }

  endTurn(): void {
    for (const flush of this.scheduled.splice(0)) flush();
  }

  /** What has left since the last call. */
  left(): string {
    return this.transport.takeAll().toString();
  }
}

/** Reads until the queue asks for the end of the turn, as it does now and then while it is quiet. */
function readUntilSampled(bench: Bench): number {
  for (let reads = 1; reads <= 100; reads++) {
    bench.read('x');
    bench.left();
    if (bench.scheduled.length > 0) return reads;
  }
  throw new Error('the end of a turn was never asked for');
}

t.test(
  'output of a read that is alone in its turn leaves with it, without waiting for the turn',
  async (t) => {
    const bench = new Bench();
    bench.read('a');
    t.equal(bench.left(), 'a');
    t.equal(bench.scheduled.length, 0, 'and nothing is asked of the event loop');
  },
);

t.test('output that no read led to leaves at the end of the turn', async (t) => {
  const bench = new Bench();
  bench.say('timer');
  t.equal(bench.left(), '');
  t.equal(bench.scheduled.length, 1);
  bench.say(' again');
  t.equal(bench.scheduled.length, 1, 'one end for all');
  bench.endTurn();
  t.equal(bench.left(), 'timer again');
});

t.test(
  'a turn in which more reads follow is noticed within a few reads; then output waits for its end',
  async (t) => {
    const bench = new Bench();
    t.ok(readUntilSampled(bench) <= 16);
    bench.read('b');
    t.equal(bench.left(), '', 'the second read of a turn that is watched waits');
    bench.endTurn();
    t.equal(bench.left(), 'b');
    bench.read('c');
    t.equal(bench.left(), '', 'the last turn had two reads');
    bench.read('d');
    bench.endTurn();
    t.equal(bench.left(), 'cd', 'one write');
  },
);

t.test('after a turn with one read it is quiet again', async (t) => {
  const bench = new Bench();
  readUntilSampled(bench);
  bench.read('b');
  bench.endTurn();
  bench.left();
  bench.read('c');
  bench.endTurn();
  t.equal(bench.left(), 'c');
  bench.read('d');
  t.equal(bench.left(), 'd', 'at once');
  t.equal(bench.scheduled.length, 0);
});

t.test('reads that lead to nothing ask for nothing', async (t) => {
  const bench = new Bench();
  for (let reads = 0; reads < 100; reads++) bench.read();
  t.equal(bench.scheduled.length, 0);
});

t.test('a read in the turn of a timer leaves at once, with what the timer left', async (t) => {
  const bench = new Bench();
  bench.say('timer,');
  bench.read('read');
  t.equal(bench.left(), 'timer,read');
  bench.endTurn();
  t.equal(bench.left(), '');
});

t.test('a transport that answers during a flush loses nothing', async (t) => {
  const bench = new Bench();
  const transport = new FakeTransport();
  const other = new Outbox(transport, bench);
  bench.transport.write = () => {
    bench.flushQueue.readBegins();
    other.append(Buffer.from('answer'), true);
    bench.flushQueue.readDone();
  };
  bench.read('x');
  t.equal(bench.scheduled.length, 1);
  bench.endTurn();
  t.same(transport.log, ['write 6']);
});

t.test('what is added after a read that came from inside another still leaves', async (t) => {
  const bench = new Bench();
  bench.flushQueue.readBegins();
  bench.read('inner,');
  bench.say('outer');
  bench.flushQueue.readDone();
  bench.endTurn();
  t.equal(bench.left(), 'inner,outer');
});
