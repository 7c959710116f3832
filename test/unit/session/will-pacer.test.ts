import t from 'tap';
import { TimerQueue } from '../../../lib/session/timer-queue.js';
import { WillPacer } from '../../../lib/session/will-pacer.js';

function pacerOf(perSecondMax: number) {
  let now = 0;
  const timers = new TimerQueue();
  const clock = { now: () => now, wall: () => 0 };
  const published: number[] = [];
  const pacer = new WillPacer({ clock, timers, perSecondMax });
  return {
    pacer,
    published,
    submit: (count: number, from = 0) => {
      for (let will = from; will < from + count; will++)
        pacer.submit(`client ${will}`, () => published.push(will));
    },
    wait: (ms: number) => {
      for (const end = now + ms; now < end;) {
        now = Math.min(end, now + 50);
        timers.runDue(now);
      }
    },
  };
}

t.test("a second's worth of wills is published at once, the rest in order as time passes", async (t) => {
  const { pacer, published, submit, wait } = pacerOf(100);
  submit(350);
  t.equal(published.length, 100);
  t.equal(pacer.waitingCount, 250);
  wait(1000);
  t.ok(published.length >= 175 && published.length <= 200, `${published.length} after a second`);
  wait(2000);
  t.equal(published.length, 350);
  t.same(
    published,
    Array.from({ length: 350 }, (_, index) => index),
  );
});

t.test('a will that comes while others wait does not overtake them', async (t) => {
  const { published, submit, wait } = pacerOf(10);
  submit(12);
  wait(200);
  submit(1, 12);
  t.equal(published.length, 10);
  wait(1000);
  t.same(published.slice(10), [10, 11, 12]);
});

t.test('the will of a client that is back, or leaves again, comes before its turn', async (t) => {
  const { pacer, published, submit, wait } = pacerOf(1);
  submit(4);
  pacer.hurry('client 2');
  pacer.hurry('client 2');
  t.same(published, [0, 2]);
  pacer.submit('client 3', () => published.push(30));
  t.same(published, [0, 2, 3]);
  wait(5000);
  t.same(published, [0, 2, 3, 1, 30]);
});

t.test('without a limit every will is published at once', async (t) => {
  const { published, submit } = pacerOf(0);
  submit(5000);
  t.equal(published.length, 5000);
});

t.test('a gateway that stops publishes what waits', async (t) => {
  const { pacer, published, submit } = pacerOf(10);
  submit(25);
  pacer.flush();
  t.equal(published.length, 25);
  t.equal(pacer.waitingCount, 0);
});
