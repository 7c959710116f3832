import t from 'tap';
import { runSeed } from './run.js';
import { Sometimes } from './sometimes.js';
import { runTakeover } from './takeover.js';
import { InvariantViolation } from './violation.js';

const SEEDS = 100;

const describe = (failure: Error): string =>
  failure instanceof InvariantViolation ? failure.message : `${failure.stack}`;

// On a machine that has other work, too.
t.setTimeout(300_000);

t.test('the lanes keep their promises under every interleaving of a hundred seeds', async (t) => {
  const met = new Sometimes();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = await runSeed(seed);
    met.add(result.sometimes);
    if (result.failure !== undefined)
      t.fail(`node dist/test/sim/main.js --seed ${seed} --seeds 1: ${describe(result.failure)}`);
  }
  t.same(met.missing, [], 'every situation was met');
});

t.test('one seed is one history', async (t) => {
  for (const seed of [3, 77, 1234]) {
    const [first, second] = [await runSeed(seed), await runSeed(seed)];
    t.equal(first.digest, second.digest, `seed ${seed}`);
    t.equal(first.steps, second.steps);
  }
  const [one, other] = [await runSeed(1), await runSeed(2)];
  t.not(one.digest, other.digest, 'seeds differ');
});

t.test(
  'eight simultaneous CONNECTs of one id with slow credentials and slow storage leave one connection',
  async (t) => {
    for (let seed = 1; seed <= 1000; seed++) {
      const { failure } = await runTakeover(seed);
      if (failure !== undefined) t.fail(`takeover seed ${seed}: ${describe(failure)}`);
    }
    t.pass('1000 seeds');
  },
);
