import t from 'tap';
import { keepAliveTimeout } from '../../../lib/connection/keep-alive.js';

t.test('a client may be silent for one and a half keep alives, and no longer', async (t) => {
  for (const [keepAliveS, silentMs] of [
    [1, 1500],
    [60, 90_000],
    [65_535, 98_302_500],
  ] as const) {
    t.equal(keepAliveTimeout(0, keepAliveS), undefined);
    t.equal(keepAliveTimeout(silentMs, keepAliveS), undefined);
    t.match(keepAliveTimeout(silentMs + 0.1, keepAliveS), { code: 0x8d });
  }
});

t.test('the reason says how long, and what was agreed', async (t) => {
  t.equal(keepAliveTimeout(91_234, 60)?.text, 'nothing was received for 91.2 s, the keep alive is 60 s');
});

t.test('without a keep alive silence is no fault', async (t) => {
  t.equal(keepAliveTimeout(1e12, 0), undefined);
});
