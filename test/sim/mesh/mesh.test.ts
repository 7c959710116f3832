import t from 'tap';
import { InvariantViolation } from '../violation.js';
import { runMeshSeed } from './mesh-run.js';
import { MESH_SITUATIONS, MeshSituations } from './mesh-situations.js';

const SEEDS = 7;

const describe = (failure: Error): string =>
  failure instanceof InvariantViolation ? failure.message : `${failure.stack}`;

// On a machine that has other work, too.
t.setTimeout(300_000);

t.test('what was acknowledged at one gateway of a mesh is true at all, whatever goes wrong', async (t) => {
  const met = new MeshSituations();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const gateways = 3 + (seed % 3);
    const result = await runMeshSeed(seed, undefined, { gateways });
    met.add(result.situations);
    if (result.failure !== undefined)
      t.fail(
        `node dist/test/sim/main.js mesh --seed ${seed} --seeds 1 --gateways ${gateways}: ${describe(result.failure)}`,
      );
  }
  // The long form has to meet all of them.
  for (const situation of MESH_SITUATIONS) t.comment(`${met.counts.get(situation) ?? 0}  ${situation}`);
});

t.test('one seed is one history of a mesh', async (t) => {
  const [first, second] = [await runMeshSeed(5), await runMeshSeed(5)];
  t.equal(first.digest, second.digest);
  t.equal(first.steps, second.steps);
});
