/** Up to where a log that was put back is what the other gateway has of it. */
import t from 'tap';
import { SharedLog, sharedUpTo } from '../../../../mesh/node/shared-log.js';

t.test('a log that was not put back is all shared', (t) => {
  const shared = new SharedLog();
  shared.linkBegan(undefined);
  t.equal(shared.upTo(10), undefined);
  shared.told(12);
  t.equal(shared.upTo(10), undefined, 'it has more by now');
  t.end();
});

t.test('a log that was put back is shared up to where either side knows that it was', (t) => {
  const shared = new SharedLog();
  shared.linkBegan(7);
  t.equal(shared.upTo(10), 7);
  shared.told(5);
  t.equal(shared.upTo(10), 5, 'the other remembers more of the lost lives');
  shared.linkBegan(undefined);
  shared.told(8);
  t.equal(shared.upTo(10), 8, 'the other alone has found it');
  shared.linkBegan(7);
  shared.told(8);
  t.equal(shared.upTo(10), 7);
  t.end();
});

t.test('the first word on a link counts, and none of an earlier link', (t) => {
  const shared = new SharedLog();
  shared.linkBegan(undefined);
  shared.told(5);
  shared.told(3);
  t.equal(shared.upTo(10), 5);
  shared.linkBegan(undefined);
  t.equal(shared.upTo(10), undefined);
  t.end();
});

t.test('what is missing is not shared, and what is before it is', (t) => {
  t.equal(sharedUpTo({ lostFrom: 0, lostTo: 0 }), undefined);
  t.equal(sharedUpTo({ lostFrom: 8, lostTo: 9 }), 7);
  t.equal(sharedUpTo({ lostFrom: 1, lostTo: 9 }), 0);
  t.end();
});
