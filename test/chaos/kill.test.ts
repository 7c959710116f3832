import { spawnSync } from 'node:child_process';
import t from 'tap';
import { kill } from './kill.js';

const skip = spawnSync('strace', ['-V']).status === 0 ? false : 'there is no strace';

t.test('kill -9 at random moments loses and doubles nothing that was acknowledged', async (t) => {
  const { figures, failures } = await kill({ rounds: 5, seed: 1, only: 'random' });
  t.comment(figures);
  t.same(failures, []);
});

t.test('kill -9 at an fdatasync loses and doubles nothing that was acknowledged', { skip }, async (t) => {
  const { figures, failures } = await kill({ rounds: 4, seed: 2, only: 'fdatasync' });
  t.comment(figures);
  t.same(failures, []);
});
