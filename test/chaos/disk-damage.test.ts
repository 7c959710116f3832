import t from 'tap';
import { Random } from '../sim/random.js';
import { bitFlips, deletedFiles, tornTails } from './disk/damage.js';
import { Original } from './disk/original.js';
import type { ProofReport } from './report.js';

// On a machine that has other work, too.
t.setTimeout(300_000);

const SEED = 1;

t.test('what is left of a damaged data folder is whole, and what is not is reported', async (t) => {
  const original = await Original.create(SEED);
  t.teardown(() => original.close());
  const proofs: readonly (readonly [title: string, proof: () => Promise<ProofReport>])[] = [
    ['a torn record costs itself and nothing else', () => tornTails(original, 16)],
    ['a changed bit is noticed', () => bitFlips(original, 40, new Random(SEED, 'flips'))],
    ['a file that is gone is made again or reported', () => deletedFiles(original, 4)],
  ];
  for (const [title, proof] of proofs) {
    await t.test(title, async (t) => {
      const { figures, failures } = await proof();
      t.comment(figures);
      t.same(failures, []);
    });
  }
});
