import t, { test } from 'tap';
import { mesh } from './mesh.js';
import { judge } from './short-form.js';

// On a machine that has other work, too.
t.setTimeout(300_000);

const SHORT = { gateways: 3, rounds: 1, seed: 1, backlog: 0, topics: 0 };

test('a data folder that is copied or put back is noticed, an evicted gateway is refused, and the others lose nothing', async (t) => {
  judge(t, await mesh({ ...SHORT, only: 'clone,restore,evict' }));
});
