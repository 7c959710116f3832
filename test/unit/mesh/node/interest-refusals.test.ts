/** What people are told of a link over which an interest was refused. */
import t from 'tap';
import type { LogFields, Logger } from '../../../../lib/contracts/logger.js';
import { InterestRefusals } from '../../../../mesh/node/interest-refusals.js';
import { nullLogger } from '../../../support/null-logger.js';
import { idOf } from './fake-link.js';

function create(): { refusals: InterestRefusals; warned: unknown[] } {
  const warned: unknown[] = [];
  const logger: Logger = {
    ...nullLogger,
    warn: (message: string, fields?: LogFields) => void warned.push([message, fields]),
  };
  return { refusals: new InterestRefusals(idOf(9), logger), warned };
}

t.test(
  'what the peer wants and is not taken is told until it wants less, and whether anything is sent',
  (t) => {
    const { refusals, warned } = create();
    t.same([refusals.isHere, refusals.textOf(true)], [false, undefined]);
    refusals.refusedHere('tooManyFilters');
    t.equal(refusals.isHere, true);
    t.match(refusals.textOf(true), /wants more .* 100000 filters: nothing is sent to it; narrow its mesh/);
    t.match(refusals.textOf(false), /: what it wanted before is sent to it;/);
    const fields = { gateway: idOf(9), reason: 'more than 100000 filters', narrow: 'mesh.importFilters' };
    t.same(warned, [['it wants more than is taken of one gateway', fields]]);
    refusals.takenHere();
    t.same([refusals.isHere, refusals.textOf(true)], [false, undefined]);
    t.end();
  },
);

t.test('what is wanted here and the peer does not take is told behind what is refused here', (t) => {
  const { refusals, warned } = create();
  refusals.refusedThere('tooManyBytes');
  t.equal(refusals.isHere, false);
  t.match(refusals.textOf(false), /^it does not take what is wanted here, filters of more than \d+ bytes/);
  refusals.refusedHere('tooManyFilters');
  t.match(refusals.textOf(false), /^it wants more/);
  refusals.takenHere();
  t.match(refusals.textOf(false), /^it does not take/);
  refusals.takenThere();
  t.equal(refusals.textOf(false), undefined);
  t.equal(warned.length, 2);
  t.end();
});

t.test('with the link both end', (t) => {
  const { refusals } = create();
  refusals.refusedHere('tooManyBytes');
  refusals.refusedThere('tooManyBytes');
  refusals.linkDown();
  t.same([refusals.isHere, refusals.textOf(true)], [false, undefined]);
  t.end();
});
