import assert from 'node:assert/strict';
import t from 'tap';
import { runRetained, type Situation } from './run.js';

const SITUATIONS: Readonly<Record<string, Omit<Situation, 'seed'>>> = {
  'links break': { evictions: false, tombstonesMaxCount: 1_000 },
  'gateways are evicted and come back': { evictions: true, tombstonesMaxCount: 1_000 },
  'there are too many tombstones': { evictions: false, tombstonesMaxCount: 3 },
  'all of it': { evictions: true, tombstonesMaxCount: 3 },
};
const SEEDS = 60;

for (const [name, situation] of Object.entries(SITUATIONS)) {
  t.test(
    `all gateways retain the same, and nothing that was removed comes back, where ${name}`,
    async (t) => {
      const total = { drops: 0, discards: 0, suspects: 0, cuts: 0, forced: 0 };
      for (let seed = 1; seed <= SEEDS; seed++) {
        const { violations, ...outcome } = runRetained({ ...situation, seed });
        assert.deepEqual(violations, [], `seed ${seed}`);
        for (const key of ['drops', 'discards', 'suspects', 'cuts', 'forced'] as const)
          total[key] += outcome[key];
      }
      t.ok(total.drops > 100, 'tombstones went');
      t.ok(total.cuts > 100, 'links broke');
      t.equal(total.forced > 0, situation.tombstonesMaxCount < 10);
      if (situation.evictions || situation.tombstonesMaxCount < 10)
        t.ok(total.discards > 0, 'somebody resynced');
    },
  );
}

t.test('the same seed is the same run', async (t) => {
  const once = runRetained({ seed: 7, evictions: true, tombstonesMaxCount: 5 });
  t.same(runRetained({ seed: 7, evictions: true, tombstonesMaxCount: 5 }), once);
  t.not(runRetained({ seed: 8, evictions: true, tombstonesMaxCount: 5 }).digest, once.digest);
});

for (const mutant of ['tombstones are ignored', 'nobody resyncs', 'no floor'] as const) {
  t.test(`it is found when ${mutant}`, async (t) => {
    let found = 0;
    for (let seed = 1; seed <= 30; seed++)
      if (runRetained({ seed, mutant, evictions: false, tombstonesMaxCount: 3 }).violations.length > 0)
        found++;
    t.ok(found > 0);
  });
}
