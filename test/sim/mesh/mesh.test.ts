import t from 'tap';
import { InvariantViolation } from '../violation.js';
import { FAULT_KINDS, type FaultKind } from './mesh-plan.js';
import { runMeshSeed } from './mesh-run.js';
import { MESH_SITUATIONS, MeshSituations } from './mesh-situations.js';

const SEEDS = 20;

const describe = (failure: Error): string =>
  failure instanceof InvariantViolation ? failure.message : `${failure.stack}`;

t.test('what was acknowledged at one gateway of a mesh is true at all, whatever goes wrong', async (t) => {
  const met = new MeshSituations();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = await runMeshSeed(seed);
    met.add(result.situations);
    if (result.failure !== undefined)
      t.fail(`node dist/test/sim/main.js mesh --seed ${seed} --seeds 1: ${describe(result.failure)}`);
  }
  // The long form has to meet all of them.
  for (const situation of MESH_SITUATIONS) t.comment(`${met.counts.get(situation) ?? 0}  ${situation}`);
});

/** Without the island, which came later: what older seeds decide. */
const OLDER: readonly FaultKind[] = FAULT_KINDS.filter((kind) => kind !== 'island');

/** What each found, in the order in which they did. */
const FOUND: readonly [seed: number, what: string, faults?: readonly FaultKind[]][] = [
  [280, 'a gateway was its own peer after its removal came back'],
  [127, 'of two histories of a disk the rule knew one', OLDER],
  [25, 'an UNSUBSCRIBE left what SUBSCRIBEs before it were owed'],
  [321, 'two later lives were written down at once', OLDER],
  [
    1017,
    'two ends of a link took a log to be put back to different places',
    ['rollback', 'island', 'kill', 'flap'],
  ],
];

t.test('the seeds that found something stay quiet', async (t) => {
  for (const [seed, what, faults] of FOUND) {
    const { failure } = await runMeshSeed(seed, undefined, { faults });
    t.equal(failure && describe(failure), undefined, `seed ${seed}: ${what}`);
  }
});

t.test('one seed is one history of a mesh', async (t) => {
  const [first, second] = [await runMeshSeed(5), await runMeshSeed(5)];
  t.equal(first.digest, second.digest);
  t.equal(first.steps, second.steps);
});
