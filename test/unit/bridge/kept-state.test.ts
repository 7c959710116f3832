import t from 'tap';
import { noRows, packRows, unpackRows } from '../../../bridge/archive/row-columns.js';
import { encodeChunk } from '../../../bridge/archive/standby/copy-chunk.js';
import { KeptRows } from '../../../bridge/archive/standby/kept-rows.js';
import {
  floorOf,
  isNextChunk,
  type KeptState,
  sharedUpTo,
  takeChunk,
  takeOffer,
} from '../../../bridge/archive/standby/kept-state.js';
import { createMessage } from '../../../lib/message/message.js';
import { ArchivingOrigin } from '../../support/archiving-origin.js';
import { KeptStore } from '../../support/kept-store.js';

const START = { run: 1, scanned: 0, claimed: 0 };
const life = (counter: number, after: number) => ({ counter, nonce: `${counter}`.padStart(16, '0'), after });

/** Copies of so many positions, ten in each. */
function keptOf(count: number, store: KeptStore): KeptState {
  const { offer } = new ArchivingOrigin();
  let { state } = takeOffer(undefined, offer, START);
  for (let from = 0; from < count; from += 10) {
    const messages = Array.from({ length: 10 }, (_, i) => {
      const payload = Buffer.from(`${from + i + 1}`);
      const message = createMessage({
        topic: 'a',
        topicBytes: Buffer.from('\0\u0001a'),
        payload,
        qos: 1,
        retain: false,
      });
      message.position = from + i + 1;
      return message;
    });
    const indexes = messages.map((_, i) => i);
    const chunk = { from, to: from + 10, head: count, lost: [], rows: packRows(messages, indexes, () => 0) };
    const bytes = encodeChunk(chunk);
    store.appendOther();
    const position = store.appendKept('copies', bytes);
    state = takeChunk(state, chunk, position, bytes.length);
  }
  store.commit();
  return { ...state, scanned: store.committed };
}

async function readAll(state: KeptState, store: KeptStore, from: number): Promise<number[]> {
  const rows = new KeptRows({ log: store, through: async () => undefined }, 'copies', state, false);
  const found: number[] = [];
  for (let at = from; at < state.upTo;) {
    const read = await rows.read({ upTo: state.upTo, atMs: 0 }, at);
    found.push(...unpackRows(read.rows).map(({ sequence }) => sequence));
    at = read.next - 1;
  }
  return found;
}

const numbers = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);

t.test('of many copies some are remembered, and all are found', async (t) => {
  const store = new KeptStore();
  const state = keptOf(2000, store);
  t.ok(state.marks.length <= 65, `${state.marks.length} of 200`);
  t.equal(state.marks[0]?.[0], 0);
  t.same(await readAll(state, store, 0), numbers(1, 2000));
  t.same(await readAll(state, store, 1234), numbers(1235, 2000), 'from within one, too');
});

t.test('what is archived meanwhile is not held any more, and the rest is', async (t) => {
  const store = new KeptStore();
  const kept = keptOf(2000, store);
  for (const done of [5, 10, 11, 999, 1995]) {
    const offer = { ...kept.offer, done };
    const { state, restart } = takeOffer(kept, offer, START);
    t.equal(restart, undefined);
    t.match(state, { after: done, upTo: 2000, head: 2000, run: 1 });
    t.ok(state.bytes < kept.bytes && state.bytes > 0);
    store.setFloor('copies', floorOf(state));
    store.checkpoint();
    t.same(await readAll(state, store, done), numbers(done + 1, 2000), `behind ${done}`);
    t.same(await readAll(state, store, 0), numbers(done + 1, 2000), 'what was done is nothing');
  }
  const { state } = takeOffer(kept, { ...kept.offer, done: 2500 }, START);
  t.match(state, { after: 2500, upTo: 2500, marks: [], bytes: 0, head: 2500 });
  t.equal(floorOf(state), undefined);
});

t.test('a gateway that knows less than it did is believed what it said', (t) => {
  const kept = keptOf(20, new KeptStore());
  const tip = { number: 4, hash: 'a'.repeat(64) };
  const known = takeOffer(kept, { ...kept.offer, done: 12, tip }, START).state;
  const { state } = takeOffer(known, { ...kept.offer, done: 3 }, START);
  t.match(state, { after: 12, offer: { done: 12, tip } });
  t.end();
});

t.test('copies of another path, another archive or other topics are of no use', (t) => {
  const kept = keptOf(20, new KeptStore());
  const { offer } = kept;
  const [first] = offer.lineage;
  const cases = [
    ['target', { target: 'file:///b' }],
    ['target', { begin: 2 }],
    ['topics', { config: { ...offer.config, topics: ['x'] } }],
    ['past', { lineage: [...offer.lineage, life(2, 15)] }],
    ['lives', { lineage: [life(7, 15)] }],
    [undefined, { lineage: [...offer.lineage, life(2, 20)] }],
    [undefined, { config: { ...offer.config, format: 'parquet' as const } }],
  ] as const;
  for (const [restart, change] of cases) {
    const taken = takeOffer(kept, { ...offer, ...change }, { ...START, run: 9 });
    t.equal(taken.restart, restart);
    t.equal(taken.state.run, restart === undefined ? 1 : 9);
    t.equal(taken.state.upTo, restart === undefined ? 20 : 0);
  }
  const claimed = takeOffer(
    kept,
    { ...offer, lineage: [first ?? life(1, 0), life(2, 20)] },
    { ...START, claimed: 25 },
  );
  t.equal(claimed.restart, 'past', 'also where they are not durable yet');
  t.end();
});

t.test('paths of lives are one up to where the first of them leaves', (t) => {
  const [a, b, c] = [life(1, 0), life(2, 100), life(3, 200)];
  t.equal(sharedUpTo([a, b], [a, b, c]), 200);
  t.equal(sharedUpTo([a, b, c], [a, life(4, 60)]), 60);
  t.equal(sharedUpTo([a], [a]), Infinity);
  t.equal(sharedUpTo([a, b, c], [a, b, life(4, 250), life(5, 150)]), 150, 'a log that became shorter later');
  t.equal(sharedUpTo([a], [life(9, 0)]), undefined);
  t.end();
});

t.test('a chunk goes on where the copies end, or not', (t) => {
  const kept = keptOf(20, new KeptStore());
  const chunk = (from: number, to: number) => ({ from, to, head: to, lost: [], rows: noRows() });
  t.equal(isNextChunk(kept, chunk(20, 21)), true);
  t.equal(isNextChunk(kept, chunk(15, 21)), true);
  t.equal(isNextChunk(kept, chunk(10, 20)), false);
  t.equal(isNextChunk(kept, chunk(21, 30)), false);
  t.end();
});

t.test('what is beyond is told as lost where that is wanted, as far as it is known', async (t) => {
  const store = new KeptStore();
  const state = { ...keptOf(20, store), head: 30 };
  const rows = new KeptRows({ log: store, through: async () => undefined }, 'copies', state, true);
  t.equal(rows.end, 30);
  t.match(await rows.read({ upTo: 25, atMs: 0 }, 20), { lost: [[21, 25]], next: 26 });
  t.match(await rows.read({ upTo: 99, atMs: 0 }, 20), { lost: [[21, 30]], next: 31 });
  t.equal(await rows.hasRows(20, 25), true);
  await t.rejects(rows.read({ upTo: 40, atMs: 0 }, 30), /positions 31 to 40 are not in the log/);
});
