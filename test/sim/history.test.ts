import t from 'tap';
import { SessionHistory, type Publication } from './history.js';

t.test('own messages that No Local withholds are owed in no order', async (t) => {
  const session = new SessionHistory(1, 'c1', false);
  const span = { filter: 't/+', qos: 1, noLocal: true, from: 1, until: Infinity } as const;
  session.spans.push(span);
  const sentBy = (publisher: string): Publication => ({
    ...{ mid: `${publisher}-1`, publisher, sequence: 1, topic: 't/b', qos: 1, retain: false, expires: false },
    ...{ sentAt: 2, sends: 2, outcome: 'acknowledged', acknowledgedAt: 3, sessionKeys: new Set([1]) },
  });
  t.equal(session.wasSubscribed(sentBy('c2'), 1, 4), true);
  t.equal(session.wasSubscribed(sentBy('c1'), 1, 4), false);
  t.same(session.spansOwed(sentBy('c2')), [span]);
  t.same(session.spansOwed(sentBy('c1')), []);
  session.spans.push({ ...span, noLocal: false });
  t.equal(session.wasSubscribed(sentBy('c1'), 1, 4), true, 'by another subscription');
});
