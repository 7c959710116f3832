import t from 'tap';
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

const MUTANTS: readonly ForwardMutant[] = ['ack before commit', 'no have', 'express unblocked'];
for (const mutant of MUTANTS)
  t.test(`a mistake is found: ${mutant}`, async (t) => {
    let found = 0;
    for (let seed = 1; seed <= SEEDS && found === 0; seed++) {
      try {
        runForward(seed, mutant);
      } catch {
        found = seed;
      }
    }
    t.ok(found > 0, `with seed ${found}`);
  });
