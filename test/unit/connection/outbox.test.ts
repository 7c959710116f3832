import t from 'tap';
import {
  BUFFER_BYTES,
  BufferPool,
  SMALL_BUFFER_BYTES,
  MemoryBudget,
  Outbox,
} from '../../../lib/connection/outbox.js';
import { FlushQueue } from '../../../lib/connection/flush-queue.js';
import { C, createCounters } from '../../../lib/telemetry/counters.js';
import { FakeTransport } from '../delivery/lane-world.js';

/** From this size on stable bytes are handed over as they are. */
const PASS_THROUGH = 16_384;

/** Counts what is taken and given back. */
class CountingPool extends BufferPool {
  out = 0;
  readonly seen = new Set<Uint8Array>();
  override take(size: number): Uint8Array {
    this.out++;
    const buffer = super.take(size);
    this.seen.add(buffer);
    return buffer;
  }
  override give(buffer: Uint8Array): void {
    this.out--;
    super.give(buffer);
  }
}

class Bench {
  readonly pool = new CountingPool();
  readonly budget = new MemoryBudget(1_000_000);
  readonly counters = createCounters();
  scheduled: (() => void)[] = [];
  readonly flushQueue = new FlushQueue((flush) => this.scheduled.push(flush));
  readonly transport = new FakeTransport();
  readonly outbox = new Outbox(this.transport, this);

  endTurn(): void {
    const scheduled = this.scheduled;
    this.scheduled = [];
    for (const flush of scheduled) flush();
  }
}

const fill = (size: number, value: number): Buffer => Buffer.alloc(size, value);

t.test('what a turn produces leaves as one write at its end, in order', async (t) => {
  const bench = new Bench();
  const { outbox, transport } = bench;
  outbox.append(Buffer.from('one,'), true);
  outbox.append(Buffer.from('two,'), false);
  const at = outbox.reserve(5);
  outbox.buffer.set(Buffer.from('three'), at);
  outbox.commit(5);
  t.equal(outbox.pending, 13);
  t.same(transport.log, []);
  t.equal(bench.scheduled.length, 1, 'one flush for all');
  bench.endTurn();
  t.same(transport.log, ['write 13']);
  t.equal(outbox.pending, 13, 'not taken yet');
  t.equal(bench.budget.used, 13);
  t.equal(transport.takeAll().toString(), 'one,two,three');
  t.equal(outbox.pending, 0);
  t.equal(bench.budget.used, 0);
  t.equal(bench.pool.out, 0, 'an idle connection holds no buffer');
  t.equal(bench.counters[C.bytesSent], 13);
});

t.test('a write is not changed by what is gathered after it', async (t) => {
  const bench = new Bench();
  for (const size of [100, 20_000]) {
    bench.outbox.append(fill(size, 1), false);
    bench.endTurn();
    bench.outbox.append(fill(size, 2), false);
    t.same(bench.transport.takeOne(), fill(size, 1), `${size} bytes`);
    t.same(bench.transport.takeAll(), fill(size, 2));
  }
});

t.test('bytes that somebody may still change are copied, whatever their size', async (t) => {
  for (const size of [10, PASS_THROUGH, BUFFER_BYTES, BUFFER_BYTES + 1]) {
    const bench = new Bench();
    const bytes = fill(size, 1);
    bench.outbox.append(bytes, false);
    bytes.fill(2);
    bench.endTurn();
    t.same(bench.transport.takeAll(), fill(size, 1), `${size} bytes`);
    t.equal(bench.pool.out, 0);
  }
});

t.test('many stable bytes are handed over at once and not copied, behind what was gathered', async (t) => {
  const bench = new Bench();
  const { outbox, transport } = bench;
  const stable = fill(PASS_THROUGH, 7);
  outbox.append(Buffer.from('before'), true);
  outbox.append(stable, true);
  t.same(transport.log, ['write 6', `write ${PASS_THROUGH}`], 'without waiting for the end of the turn');
  t.equal(transport.writes[1]?.bytes, stable, 'the very bytes');
  outbox.append(Buffer.from('after'), true);
  bench.endTurn();
  t.same(transport.takeAll(), Buffer.concat([Buffer.from('before'), stable, Buffer.from('after')]));
  t.equal(bench.budget.used, 0);
});

t.test('one byte less is gathered', async (t) => {
  const bench = new Bench();
  bench.outbox.append(fill(PASS_THROUGH - 1, 7), true);
  t.same(bench.transport.log, []);
  bench.endTurn();
  t.equal(bench.transport.takeAll().length, PASS_THROUGH - 1);
});

t.test('a full buffer is handed over and the next one begun', async (t) => {
  const bench = new Bench();
  const { outbox, transport } = bench;
  const part = 10_000;
  for (let index = 0; index < 20; index++) outbox.append(fill(part, index), false);
  t.same(transport.log, ['write 60000', 'write 60000', 'write 60000']);
  t.equal(outbox.pending, 200_000);
  bench.endTurn();
  const all = transport.takeAll();
  for (let index = 0; index < 20; index++) t.equal(all[index * part + 1], index);
  t.equal(bench.pool.out, 0);
  t.ok(bench.pool.seen.size <= 4);
});

t.test('exactly what a buffer holds fits it', async (t) => {
  const bench = new Bench();
  const at = bench.outbox.reserve(BUFFER_BYTES);
  t.equal(at, 0);
  bench.outbox.commit(BUFFER_BYTES);
  t.equal(bench.outbox.reserve(1), 0, 'a new buffer');
  t.same(bench.transport.log, [`write ${BUFFER_BYTES}`]);
});

t.test(
  'while the transport is behind small output gathers, and leaves when the last write was taken',
  async (t) => {
    const bench = new Bench();
    const { outbox, transport } = bench;
    outbox.append(Buffer.from('a'), true);
    bench.endTurn();
    for (const text of ['b', 'c', 'd']) {
      outbox.append(Buffer.from(text), true);
      bench.endTurn();
    }
    t.same(transport.log, ['write 1'], 'one write at a time');
    t.equal(outbox.pending, 4);
    t.ok(outbox.isBehind);
    t.equal(outbox.takenCount, 0);
    transport.takeOne();
    t.equal(outbox.takenCount, 1);
    t.same(transport.log, ['write 1', 'write 3']);
    t.equal(transport.takeAll().toString(), 'bcd');
    t.notOk(outbox.isBehind);
    t.equal(outbox.takenCount, 2);
    t.equal(outbox.pending, 0);
  },
);

t.test('whoever waits for the client to catch up is called whenever something was taken', async (t) => {
  const bench = new Bench();
  const { outbox, transport } = bench;
  let calls = 0;
  outbox.onTaken = () => calls++;
  outbox.append(fill(PASS_THROUGH, 1), true);
  outbox.append(fill(PASS_THROUGH, 2), true);
  outbox.append(Buffer.from('rest'), true);
  bench.endTurn();
  transport.takeOne();
  t.equal(calls, 1);
  t.equal(transport.log.length, 2, 'the rest waits for the last write');
  transport.takeOne();
  t.equal(calls, 2);
  t.equal(transport.log.length, 3, 'the rest has been handed over');
  transport.takeOne();
  t.equal(calls, 3);
  t.equal(outbox.pending, 0);
});

t.test('a flush with nothing to send does nothing', async (t) => {
  const bench = new Bench();
  bench.outbox.append(Buffer.from('x'), true);
  bench.outbox.end();
  bench.endTurn();
  bench.outbox.flush();
  t.same(bench.transport.log, ['write 1', 'end']);
});

t.test('end sends what is gathered, then closes, once; nothing follows', async (t) => {
  const bench = new Bench();
  const { outbox, transport } = bench;
  outbox.append(Buffer.from('last'), true);
  outbox.end();
  outbox.end();
  t.same(transport.log, ['write 4', 'end']);
  outbox.append(Buffer.from('too late'), true);
  outbox.append(fill(PASS_THROUGH, 1), true);
  bench.endTurn();
  t.equal(transport.takeAll().toString(), 'last');
  t.same(transport.log, ['write 4', 'end']);
  outbox.close();
  t.equal(bench.budget.used, 0);
  t.equal(bench.pool.out, 0);
});

t.test('end while the transport is behind also sends what has gathered since', async (t) => {
  const bench = new Bench();
  bench.outbox.append(Buffer.from('a'), true);
  bench.endTurn();
  bench.outbox.append(Buffer.from('b'), true);
  bench.outbox.end();
  t.equal(bench.transport.takeAll().toString(), 'ab');
  t.same(bench.transport.log, ['write 1', 'write 1', 'end']);
});

const STATES: readonly [string, (bench: Bench) => void][] = [
  ['that never sent', () => {}],
  ['with gathered output', ({ outbox }) => outbox.append(Buffer.from('x'), true)],
  [
    'with a small write under way',
    (bench) => {
      bench.outbox.append(Buffer.from('x'), true);
      bench.endTurn();
    },
  ],
  [
    'with large writes under way and more gathered',
    (bench) => {
      for (let index = 0; index < 20; index++) bench.outbox.append(fill(10_000, 1), false);
      bench.outbox.append(fill(PASS_THROUGH, 1), true);
      bench.endTurn();
      bench.outbox.append(Buffer.from('x'), true);
    },
  ],
  [
    'that has ended',
    (bench) => {
      bench.outbox.append(Buffer.from('x'), true);
      bench.outbox.end();
    },
  ],
  ['that is closed', ({ outbox }) => outbox.close()],
];
for (const [state, prepare] of STATES) {
  t.test(`closing an outbox ${state} gives the whole budget back, and late news does no harm`, async (t) => {
    const bench = new Bench();
    const { outbox, transport } = bench;
    prepare(bench);
    const [late] = transport.writes;
    outbox.onTaken = () => t.fail('called after close');
    outbox.close();
    t.equal(bench.budget.used, 0);
    t.equal(outbox.pending, 0);
    late?.taken();
    bench.endTurn();
    outbox.append(Buffer.from('after'), true);
    bench.endTurn();
    outbox.end();
    outbox.close();
    t.equal(bench.budget.used, 0);
    t.equal(outbox.pending, 0);
    t.notOk(transport.log.slice(-1).includes('write 5'));
  });
}

t.test(
  'a pool hands the same buffers out again, keeps a bounded number, and none of another size',
  async (t) => {
    const pool = new BufferPool();
    for (const [size, length, kept] of [
      [1, SMALL_BUFFER_BYTES, 1024],
      [SMALL_BUFFER_BYTES, SMALL_BUFFER_BYTES, 1024],
      [SMALL_BUFFER_BYTES + 1, BUFFER_BYTES, 64],
    ] as const) {
      const first = pool.take(size);
      t.equal(first.length, length);
      pool.give(first);
      t.equal(pool.take(size), first);
      pool.give(new Uint8Array(10));
      t.equal(pool.take(size).length, length);
      const many = Array.from({ length: 1100 }, () => pool.take(size));
      for (const buffer of many) pool.give(buffer);
      const known = new Set(many);
      const again = Array.from({ length: 1100 }, () => pool.take(size));
      t.equal(again.filter((buffer) => known.has(buffer)).length, kept);
    }
  },
);

t.test('what outgrows a small buffer moves to a large one and stays in order', async (t) => {
  const bench = new Bench();
  const sent: number[] = [];
  for (let part = 0; part < 12; part++) {
    bench.outbox.append(fill(1000, part), false);
    sent.push(...fill(1000, part));
  }
  bench.endTurn();
  t.same(bench.transport.log, ['write 12000'], 'as one write');
  t.same([...bench.transport.takeAll()], sent);
  t.equal(bench.pool.out, 0);
});

t.test('outboxes that become dirty during a flush leave with the next one', async (t) => {
  const bench = new Bench();
  const other = new Outbox(new FakeTransport(), bench);
  bench.transport.write = () => other.append(Buffer.from('y'), true);
  bench.outbox.append(Buffer.from('x'), true);
  bench.endTurn();
  t.equal(bench.scheduled.length, 1);
  t.equal(other.pending, 1);
  bench.endTurn();
  t.equal(bench.budget.used, 2);
});

t.test('the budget is exhausted at its limit', async (t) => {
  const budget = new MemoryBudget(10);
  t.notOk(budget.exhausted);
  budget.used = 9;
  t.notOk(budget.exhausted);
  budget.used = 10;
  t.ok(budget.exhausted);
});
