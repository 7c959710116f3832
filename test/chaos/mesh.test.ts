import t, { test } from 'tap';
import { mesh } from './mesh.js';
import { judge } from './short-form.js';

// On a machine that has other work, too.
t.setTimeout(300_000);

const SHORT = { gateways: 4, rounds: 1, seed: 1, backlog: 5000, topics: 3000 };

test('gateways of a mesh that are killed, stopped and cut off lose and double nothing', async (t) => {
  judge(t, await mesh({ ...SHORT, only: 'kill two at once,partition in two,all at once without DHT' }));
});

test('what waits on both sides of a partition is delivered in order when it ends', async (t) => {
  judge(t, await mesh({ ...SHORT, gateways: 3, only: 'backlog' }));
});
