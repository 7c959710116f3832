import t from 'tap';
import { InvariantViolation } from '../violation.js';
import { FAULT_KINDS, type FaultKind } from './mesh-plan.js';
import { runMeshSeed } from './mesh-run.js';

const describe = (failure: Error): string =>
  failure instanceof InvariantViolation ? failure.message : `${failure.stack}`;

/** Without the island, which came later: what older seeds decide. */
const OLDER: readonly FaultKind[] = FAULT_KINDS.filter((kind) => kind !== 'island');

/** What each found, in the order in which they did. */
const FOUND: readonly [seed: number, what: string, faults?: readonly FaultKind[]][] = [
  [280, 'a gateway was its own peer after its removal came back'],
  [127, 'of two histories of a disk the rule knew one', OLDER],
  [25, 'an UNSUBSCRIBE left what SUBSCRIBEs before it were owed'],
  [321, 'two later lives were written down at once', OLDER],
  [1007, 'a loss with messages between it threw'],
  [1048, 'lives of others were known before their reset was in the log'],
  [1064, 'the number of a source was used again that nothing knew any more'],
  [208, 'what may have been removed was not retained before the next comparison', OLDER],
  [203, 'a replay gave sessions what had come behind a newer one', OLDER],
  [241, 'what was delivered and not retained was delivered again after a restart', OLDER],
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
