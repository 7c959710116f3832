import t from 'tap';
import { InvariantViolation } from '../violation.js';
import { FAULT_KINDS, type FaultKind } from './mesh-plan.js';
import { runMeshSeed } from './mesh-run.js';

const describe = (failure: Error): string =>
  failure instanceof InvariantViolation ? failure.message : `${failure.stack}`;

/** Without the island, which came later: what older seeds decide. */
const OLDER: readonly FaultKind[] = FAULT_KINDS.filter((kind) => kind !== 'island');

/** What each found, where no smaller test shows it. */
const FOUND: readonly [seed: number, what: string, faults?: readonly FaultKind[]][] = [
  [280, 'a gateway was its own peer after its removal came back'],
  [127, 'of two histories of a disk the rule knew one', OLDER],
  [1048, 'lives of others were known before their reset was in the log'],
  [1064, 'the number of a source was used again that nothing knew any more'],
  [208, 'what may have been removed was not retained before the next comparison', OLDER],
  [203, 'a replay gave sessions what had come behind a newer one', OLDER],
  [241, 'what was delivered and not retained was delivered again after a restart', OLDER],
  [1036, 'the same, where a checkpoint came between'],
];

// On a machine that has other work, too.
t.setTimeout(300_000);

t.test('the seeds that found something stay quiet', async (t) => {
  for (const [seed, what, faults] of FOUND) {
    const { failure } = await runMeshSeed(seed, undefined, { faults });
    t.equal(failure && describe(failure), undefined, `seed ${seed}: ${what}`);
  }
});
