import { spawnSync } from 'node:child_process';
import t from 'tap';
import { failingSyncs, slowDisk } from './disk/failing-disk.js';
import { fullDisk } from './disk/full-disk.js';
import { twoProcesses } from './disk/two-processes.js';
import { judge } from './short-form.js';

// On a machine that has other work, too.
t.setTimeout(300_000);

const skip = spawnSync('strace', ['-V']).status === 0 ? false : 'there is no strace';
const SEED = 1;

t.test('a full disk costs nothing that was acknowledged', async (t) =>
  judge(t, await fullDisk({ runningPages: 3, startingPages: 1, seed: SEED })),
);

t.test('a sync that fails is never believed', { skip }, async (t) =>
  judge(t, await failingSyncs({ rounds: 3, step: 9, seed: SEED })),
);

t.test('a slow disk keeps only those waiting who asked for it', { skip }, async (t) =>
  judge(t, await slowDisk({ seconds: 1, seed: SEED })),
);

t.test('a second process on a data folder says so and leaves', async (t) =>
  judge(t, await twoProcesses(1, SEED)),
);
