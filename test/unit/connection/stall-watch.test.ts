import t from 'tap';
import { StallWatch } from '../../../lib/connection/stall-watch.js';

const BEGAN = 1000;

function watched(timeoutMs = 500) {
  const outbox = { isBehind: false, takenCount: 0 };
  return { outbox, watch: new StallWatch(outbox, timeoutMs, BEGAN) };
}

t.test('output that nobody takes for the whole time ends the connection', async (t) => {
  const { outbox, watch } = watched();
  outbox.isBehind = true;
  t.equal(watch.check(BEGAN + 100), undefined);
  t.equal(watch.check(BEGAN + 499), undefined);
  t.match(watch.check(BEGAN + 500), {
    code: 0x98,
    text: 'nothing was taken of the output for 0.5 s (delivery.writeTimeoutMs)',
  });
});

t.test('the time begins when there was nothing to take for the last time', async (t) => {
  const { outbox, watch } = watched();
  t.equal(watch.check(BEGAN + 10_000), undefined);
  outbox.isBehind = true;
  t.equal(watch.check(BEGAN + 10_499), undefined);
  t.ok(watch.check(BEGAN + 10_500));
});

t.test('a client that takes something now and then is slow and stays', async (t) => {
  const { outbox, watch } = watched();
  outbox.isBehind = true;
  for (let now = BEGAN; now < BEGAN + 5000; now += 400) {
    outbox.takenCount++;
    t.equal(watch.check(now), undefined);
    t.equal(watch.check(now + 399), undefined);
  }
});

t.test('without a time a client that does not read is kept', async (t) => {
  const { outbox, watch } = watched(0);
  outbox.isBehind = true;
  t.equal(watch.check(BEGAN), undefined);
  t.equal(watch.check(BEGAN + 1e9), undefined);
});
