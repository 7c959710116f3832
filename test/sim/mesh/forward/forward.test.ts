import t from 'tap';
import { InvariantViolation } from '../../violation.js';
import type { ForwardPlan } from './plan.js';
import { FORWARD_SITUATIONS, type ForwardMutant, type ForwardSituation, runForward } from './world.js';

const SEEDS = 50;

t.test(
  'whatever gets lost, each wanted message comes into the log of the receiver once and in order',
  async (t) => {
    const met = new Set<ForwardSituation>();
    let delivered = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      try {
        const result = runForward(seed);
        delivered += result.delivered;
        for (const situation of result.met.keys()) met.add(situation);
      } catch (error) {
        t.fail(`runForward(${seed}): ${String(error)}`);
      }
    }
    t.ok(delivered > SEEDS * 100, `${delivered} records`);
    t.same(
      FORWARD_SITUATIONS.filter((situation) => !met.has(situation)),
      [],
      'every situation was met',
    );
  },
);

t.test('one seed is one history', async (t) => {
  for (const seed of [3, 17]) t.equal(runForward(seed).digest, runForward(seed).digest);
  t.not(runForward(3).digest, runForward(17).digest);
});

t.test('the seeds that found something stay quiet', async (t) => {
  for (const seed of FOUND) t.doesNotThrow(() => runForward(seed), `runForward(${seed})`);
});

/** In the order in which they were found. */
const FOUND = [46, 13, 966, 2137, 1376, 688, 833, 1025, 757, 405, 438];

/** Where a crash often takes back what was about to be committed, and nothing is pruned that is needed. */
const LOSING: Partial<ForwardPlan> = {
  linkLossEveryMs: 800,
  receiverCrashEveryMs: 300,
  commitMaxMs: 100,
  delayMaxMs: 1,
  pruneChance: 0,
  durationMs: 8000,
};

t.test('where crashes take much back, nothing is forgotten too early', async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++)
    t.doesNotThrow(() => runForward(seed, undefined, LOSING), `runForward(${seed}, undefined, LOSING)`);
});

const MUTANTS: readonly [ForwardMutant, Partial<ForwardPlan>][] = [
  ['ack before commit', {}],
  ['ack before commit, unwatched', LOSING],
  ['no have', {}],
  ['express unblocked', {}],
];
for (const [mutant, change] of MUTANTS)
  t.test(`a mistake is found: ${mutant}`, async (t) => {
    let found = 0;
    for (let seed = 1; seed <= SEEDS && found === 0; seed++) {
      try {
        runForward(seed, mutant, change);
      } catch (error) {
        if (!(error instanceof InvariantViolation)) throw error;
        found = seed;
      }
    }
    t.ok(found > 0, `with seed ${found}`);
  });
