import t from 'tap';
import { CommitQueue } from '../../../lib/ingest/commit-queue.js';

function world(): {
  store: { committed: number };
  queue: CommitQueue;
  ran: number[];
  wait(at: number): void;
} {
  const store = { committed: 0 };
  const queue = new CommitQueue(store);
  const ran: number[] = [];
  const wait = (at: number): void => queue.after(at, { committed: () => ran.push(at) });
  return { store, queue, ran, wait };
}

t.test('what is durable already does not wait, unless something older does', async (t) => {
  const { store, queue, ran, wait } = world();
  store.committed = 5;
  wait(5);
  t.same(ran, [5]);
  wait(6);
  wait(4);
  t.same(ran, [5], 'behind position 6');
  t.equal(queue.length, 2);
  store.committed = 6;
  queue.drain();
  t.same(ran, [5, 6, 4]);
  t.equal(queue.length, 0);
});

t.test('a drain stops at what is not durable yet', async (t) => {
  const { store, queue, ran, wait } = world();
  for (let at = 1; at <= 4; at++) wait(at);
  store.committed = 2;
  queue.drain();
  t.same(ran, [1, 2]);
  queue.drain();
  t.same(ran, [1, 2]);
  store.committed = 4;
  queue.drain();
  t.same(ran, [1, 2, 3, 4]);
});

t.test('a waiter may wait again, commit more and drain from inside, and each runs once', async (t) => {
  const { store, queue, ran, wait } = world();
  queue.after(1, {
    committed: () => {
      ran.push(1);
      wait(3);
      store.committed = 3;
      queue.drain();
    },
  });
  wait(2);
  store.committed = 1;
  queue.drain();
  t.same(ran, [1, 2, 3]);
  t.equal(queue.length, 0);
});

t.test('what a waiter writes that is durable at once does not wait for the next commit', async (t) => {
  const { store, queue, ran, wait } = world();
  queue.after(1, {
    committed: () => {
      store.committed = 2;
      wait(2);
    },
  });
  wait(1);
  store.committed = 1;
  queue.drain();
  t.same(ran, [1, 2]);
  t.equal(queue.length, 0);
});

t.test('a queue that is never quite empty does not keep what has run', async (t) => {
  const { store, queue, ran, wait } = world();
  for (let at = 1; at <= 10_000; at++) {
    wait(at);
    store.committed = at - 1;
    queue.drain();
  }
  t.equal(ran.length, 9999);
  t.equal(queue.length, 1);
  for (let at = 10_001; at <= 20_000; at++) wait(at);
  store.committed = 15_000;
  queue.drain();
  t.equal(queue.length, 5000);
  store.committed = 20_000;
  queue.drain();
  t.equal(ran.length, 20_000);
  t.same(ran.slice(-2), [19_999, 20_000]);
});
