import { spawnSync } from 'node:child_process';
import t from 'tap';
import { kill } from './kill.js';
import { judge } from './short-form.js';

// On a machine that has other work, too.
t.setTimeout(300_000);

const skip = spawnSync('strace', ['-V']).status === 0 ? false : 'there is no strace';

t.test('kill -9 at random moments loses and doubles nothing that was acknowledged', async (t) => {
  judge(t, await kill({ rounds: 5, seed: 1, only: 'random' }));
});

t.test('kill -9 at an fdatasync loses and doubles nothing that was acknowledged', { skip }, async (t) => {
  judge(t, await kill({ rounds: 4, seed: 2, only: 'fdatasync' }));
});
