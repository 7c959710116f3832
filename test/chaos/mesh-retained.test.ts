import t, { test } from 'tap';
import { mesh } from './mesh.js';
import { judge } from './short-form.js';

// On a machine that has other work, too.
t.setTimeout(300_000);

const SHORT = { gateways: 3, rounds: 1, seed: 1, backlog: 0, topics: 3000 };

test('what was retained on both sides of a partition is the same everywhere soon after it', async (t) => {
  judge(t, await mesh({ ...SHORT, only: 'retained' }));
});
