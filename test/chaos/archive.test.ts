import t from 'tap';
import { archive } from './archive.js';
import { judge } from './short-form.js';

// On a machine that has other work, too.
t.setTimeout(300_000);

t.test(
  'whatever the store does and wherever the gateway dies, the archive has each message once',
  async (t) => {
    judge(t, await archive({ rounds: 3, seed: 1 }));
  },
);
