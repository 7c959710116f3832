import t from 'tap';
import {
  afterRoundTrip,
  confirmationsExpected,
  loadIntervalMs,
  probeTimeoutMs,
  retransmitLimit,
  scaledByHealth,
  suspicionTimeoutMs,
} from '../../../../mesh/membership/index.js';

t.test('a suspicion is short when as many share it as can be expected, and long when nobody does', (t) => {
  t.equal(suspicionTimeoutMs(600, 1200, 0, 3), 1200);
  t.equal(suspicionTimeoutMs(600, 1200, 3, 3), 600);
  t.equal(suspicionTimeoutMs(600, 1200, 9, 3), 600);
  t.equal(suspicionTimeoutMs(600, 1200, 0, 0), 600, 'there is nobody to ask');
  const steps = [0, 1, 2, 3].map((n) => suspicionTimeoutMs(600, 1200, n, 3));
  t.same(
    steps,
    [...steps].sort((a, b) => b - a),
  );
  t.equal(suspicionTimeoutMs(600, 1200, 1, 3), 900, 'log(2) is half of log(4)');
  t.end();
});

t.test('only those who are neither accuser nor accused can confirm', (t) => {
  t.same(
    [1, 2, 3, 4, 5, 100].map((n) => confirmationsExpected(n, 3)),
    [0, 0, 1, 2, 3, 3],
  );
  t.end();
});

t.test('times grow with the doubt about oneself', (t) => {
  t.same(
    [0, 1, 8].map((score) => scaledByHealth(150, score)),
    [150, 300, 1350],
  );
  t.end();
});

t.test('news is told more often in a larger mesh, by the logarithm of its size', (t) => {
  t.same(
    [1, 2, 9, 10, 99, 1000].map((n) => retransmitLimit(4, n)),
    [4, 4, 4, 8, 8, 16],
  );
  t.end();
});

t.test('the time for an answer follows the round trips between a floor and a ceiling', (t) => {
  t.equal(probeTimeoutMs(undefined, 150, 1000), 300);
  t.equal(probeTimeoutMs(undefined, 800, 1000), 1000);
  t.equal(probeTimeoutMs({ smoothMs: 1, variationMs: 1 }, 150, 1000), 150);
  t.equal(probeTimeoutMs({ smoothMs: 300, variationMs: 50 }, 150, 1000), 500);
  t.equal(probeTimeoutMs({ smoothMs: 3000, variationMs: 50 }, 150, 1000), 1000);
  let trip = afterRoundTrip(undefined, 100);
  t.same(trip, { smoothMs: 100, variationMs: 50 });
  for (let n = 0; n < 100; n++) trip = afterRoundTrip(trip, 20);
  t.ok(Math.abs(trip.smoothMs - 20) < 1 && trip.variationMs < 1);
  t.end();
});

t.test('in a large mesh each load is told less often', (t) => {
  t.same(
    [1, 32, 320].map((n) => loadIntervalMs(1000, n)),
    [1000, 1000, 10_000],
  );
  t.end();
});
