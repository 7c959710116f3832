import t from 'tap';
import { BACKLOG_BATCH_BYTES, BACKLOG_MIN_BYTES } from '../../../../mesh/forward/limits.js';
import { backlogBytesAfter, SendWindow } from '../../../../mesh/forward/send-window.js';

const BATCH = BACKLOG_MIN_BYTES / 2;
const CREDIT = 4 * 1024 * 1024;

/** A receiver that takes `bytesPerMs`, one frame after the other, and a backlog that never ends. @param live messages beside it */
function mostOnItsWay(
  window: SendWindow,
  bytesPerMs: number,
  rounds: number,
  live: 'live' | 'alone' = 'live',
): number {
  const due: { readonly at: number; readonly bytes: number }[] = [];
  let now = 0;
  let busyUntil = 0;
  let most = 0;
  const send = (bytes: number, isBacklog: boolean): void => {
    window.sent(bytes, now, 1, isBacklog);
    busyUntil = Math.max(busyUntil, now) + bytes / bytesPerMs;
    due.push({ at: busyUntil, bytes });
  };
  for (let i = 0; i < rounds; i++) {
    while (window.room(true, now) > 0) send(BATCH, true);
    if (live === 'live' && i % 5 === 0) send(1, false);
    // What the start makes of it is another matter.
    if (i > rounds / 2) most = Math.max(most, window.unackedBytes);
    const first = due.shift();
    if (first === undefined) continue;
    now = first.at;
    window.returned(first.bytes, now);
  }
  return most;
}

t.test('a backlog begins with two batches, whatever is granted', async (t) => {
  const window = new SendWindow(0, 0);
  window.open(CREDIT, 0);
  for (let n = 0; n < 2; n++) {
    t.ok(window.room(true, 0) > 0);
    window.sent(BATCH, 0, 1, true);
  }
  t.equal(window.room(true, 0), 0);
  t.equal(window.room(false, 0), CREDIT - 2 * BATCH, 'live messages may have what is granted');
});

t.test('a backlog has on its way what its receiver is done with in a short time', async (t) => {
  const quick = new SendWindow(0, 0);
  quick.open(CREDIT, 0);
  const atQuick = mostOnItsWay(quick, 100_000, 500);
  t.ok(atQuick > 8 * 100_000 * 0.5 && atQuick < 8 * 100_000 * 2, `${atQuick} bytes at 100 MB/s`);
  const slow = new SendWindow(0, 0);
  slow.open(CREDIT, 0);
  const atSlow = mostOnItsWay(slow, 500, 500);
  t.ok(slow.backlogBatchBytes < 1.5 * BATCH, `${slow.backlogBatchBytes} bytes in a batch`);
  t.ok(quick.backlogBatchBytes === BACKLOG_BATCH_BYTES);
  t.ok(atSlow <= 4 * BATCH, `${atSlow} bytes at 500 kB/s`);
});

t.test('where nothing live goes it may take longer, and makes room when something does', async (t) => {
  const window = new SendWindow(0, 0);
  window.open(CREDIT, 0);
  const alone = mostOnItsWay(window, 10_000, 2000, 'alone');
  t.ok(alone > 50 * 10_000 * 0.5 && alone < 50 * 10_000 * 2, `${alone} bytes at 10 MB/s`);
  while (window.unackedBytes > 0) window.returned(BATCH, 1e6);
  const shared = mostOnItsWay(window, 10_000, 500);
  t.ok(shared < alone / 2 && shared < 8 * 10_000 * 3, `${shared} bytes at 10 MB/s`);
});

t.test('a receiver that becomes slow has less on its way soon, and never nothing', async (t) => {
  const window = new SendWindow(0, 0);
  window.open(CREDIT, 0);
  mostOnItsWay(window, 100_000, 200, 'alone');
  while (window.unackedBytes > 0) window.returned(BATCH, 1e6);
  let now = 1e6;
  for (let round = 0; round < 12; round++) {
    let frames = 0;
    for (; window.room(true, now) > 0; frames++) window.sent(BATCH, now, 1, true);
    t.ok(frames > 0);
    now += 500;
    for (; frames > 0; frames--) window.returned(BATCH, now);
  }
  window.sent(BATCH, now, 1, true);
  t.ok(window.room(true, now + 500) > 0, 'one is what the receiver is busy with');
  window.sent(BATCH, now, 1, true);
  t.equal(window.room(true, now), 0, 'two batches at a time');
});

t.test('what a backlog does not use does not grow', async (t) => {
  const window = new SendWindow(0, 0);
  window.open(CREDIT, 0);
  for (let i = 0; i < 100; i++) {
    window.sent(100, i, 1, true);
    window.returned(100, i);
  }
  window.sent(BATCH, 100, 1, true);
  window.sent(BATCH, 100, 1, true);
  t.equal(window.room(true, 100), 0);
});

t.test('a round of acknowledgements changes it by no more than twice and half', async (t) => {
  t.equal(backlogBytesAfter(1000, 1000, 0, 10), 2000);
  t.equal(backlogBytesAfter(1000, 1000, 10, 10), 1000);
  t.equal(backlogBytesAfter(1000, 1000, 1e6, 10), 500);
});

t.test('credit that was not used is no credit', async (t) => {
  const window = new SendWindow(0, 0);
  window.open(CREDIT, 0);
  window.sent(100, 0);
  t.notOk(window.returned(99, 1));
  t.notOk(window.returned(200, 1));
});
