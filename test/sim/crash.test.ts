import t from 'tap';
import { runCrashSeed } from './crash-run.js';
import { CrashSituations } from './crash-situations.js';
import { InvariantViolation } from './violation.js';

const SEEDS = 30;
/** Situations that are too rare for so few seeds; the long form has to meet them. */
const RARE: ReadonlySet<string> = new Set([
  'session expired',
  'damaged snapshot passed over',
  'database failed to write',
  'will waited for its turn over a crash',
]);

const describe = (failure: Error): string =>
  failure instanceof InvariantViolation ? failure.message : `${failure.stack}`;

// On a machine that has other work, too.
t.setTimeout(300_000);

t.test('what was acknowledged is true after every crash of a few dozen seeds', async (t) => {
  const met = new CrashSituations();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = await runCrashSeed(seed);
    met.add(result.situations);
    if (result.failure !== undefined)
      t.fail(`node dist/test/sim/main.js crash --seed ${seed} --seeds 1: ${describe(result.failure)}`);
  }
  t.same(
    met.missing.filter((situation) => !RARE.has(situation)),
    [],
    'every situation was met',
  );
});

t.test('one seed is one history of crashes', async (t) => {
  const [first, second] = [await runCrashSeed(5), await runCrashSeed(5)];
  t.equal(first.digest, second.digest);
  t.equal(first.steps, second.steps);
});
