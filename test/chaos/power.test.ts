import { spawnSync } from 'node:child_process';
import t from 'tap';
import { editedTexts } from '../conformance/mutation.js';
import { POWER_MUTANTS } from './power/mutants.js';
import { power } from './power/power.js';
import { judge } from './short-form.js';

// On a machine that has other work, too.
t.setTimeout(300_000);

const skip = spawnSync('strace', ['-V']).status === 0 ? false : 'there is no strace';

t.test('what an acknowledgement promised is there after a loss of power', { skip }, async (t) => {
  const { report } = await power({ lives: 2, lifeMs: 400, seed: 1, sampleEvery: 10 });
  judge(t, report);
});

t.test('what a break of the gateway replaces stands exactly once in its file', async (t) => {
  for (const { breaks, edits } of POWER_MUTANTS) t.doesNotThrow(() => editedTexts(edits), breaks);
});
