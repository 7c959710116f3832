import t from 'tap';
import { retryDelayMs } from '../../../lib/delivery/retry-policy.js';

t.test('the wait doubles with each attempt up to the maximum', async (t) => {
  const policy = { retryInitialMs: 100, retryMaxMs: 1000 };
  t.same(
    [1, 2, 3, 4, 5, 6, 100].map((attempt) => retryDelayMs(attempt, policy)),
    [100, 200, 400, 800, 1000, 1000, 1000],
  );
});

t.test('no attempt makes the wait anything but a finite number up to the maximum', async (t) => {
  const policy = { retryInitialMs: 1, retryMaxMs: Number.MAX_SAFE_INTEGER };
  for (const attempt of [31, 32, 255, 100_000]) t.equal(retryDelayMs(attempt, policy), 2 ** 30);
  t.equal(
    retryDelayMs(1, { retryInitialMs: 50, retryMaxMs: 10 }),
    10,
    'also where the first wait is beyond it',
  );
});
