import fc from 'fast-check';
import t from 'tap';
import { createAuthorizer } from '../../lib/security/authorizer.js';
import { AclPolicy } from '../../lib/security/acl-policy.js';
import { FilterSet, intersectFilters } from '../../lib/security/filter-set.js';
import { topicMatchesFilter } from '../../lib/protocol/topic.js';

/**
 * Every topic of up to four levels from those that filters below name, and one that none names. Filters have at most three
 * levels: what holds for all of these topics holds for all topics.
 */
const LEVELS = ['', 'a', 'b', '$s', 'unnamed'];
const TOPICS = [1, 2, 3, 4].flatMap((depth) => topicsOf(depth)).filter((topic) => topic !== '');

function topicsOf(depth: number): string[] {
  if (depth === 1) return LEVELS;
  return topicsOf(depth - 1).flatMap((head) => LEVELS.map((level) => `${head}/${level}`));
}

const filter = fc
  .tuple(
    fc.array(fc.constantFrom('', 'a', 'b', '$s', '+'), { minLength: 0, maxLength: 2 }),
    fc.constantFrom('', 'a', 'b', '$s', '+', '#'),
  )
  .map(([head, last]) => [...head, last].join('/'))
  .filter((text) => text !== '');
const filters = fc.array(filter, { maxLength: 5 });

function setOf(list: readonly string[]): FilterSet {
  const set = new FilterSet();
  for (const each of list) set.add(each);
  return set;
}
const matchesAny = (list: readonly string[], topic: string) =>
  list.some((each) => topicMatchesFilter(topic, each));

t.test('a filter set matches exactly the topics that one of its filters matches', (t) => {
  fc.assert(
    fc.property(filters, (list) => {
      const set = setOf(list);
      return TOPICS.every((topic) => set.matches(topic) === matchesAny(list, topic));
    }),
  );
  t.end();
});

t.test('a filter set contains a filter exactly when it matches all topics that the filter matches', (t) => {
  let contained = 0;
  fc.assert(
    fc.property(filters, filter, (list, asked) => {
      const expected = TOPICS.every((topic) => !topicMatchesFilter(topic, asked) || matchesAny(list, topic));
      contained += expected ? 1 : 0;
      return setOf(list).contains(asked) === expected;
    }),
    { numRuns: 3000 },
  );
  t.ok(contained > 50, `${contained} of the runs were about a contained filter`);
  t.end();
});

t.test('a filter set overlaps a filter exactly when there is a topic that both match', (t) => {
  fc.assert(
    fc.property(filters, filter, (list, asked) => {
      const expected = TOPICS.some((topic) => topicMatchesFilter(topic, asked) && matchesAny(list, topic));
      return setOf(list).overlaps(asked) === expected;
    }),
    { numRuns: 1000 },
  );
  t.end();
});

t.test('the empty topic, which there is not, counts neither for containing nor for overlapping', (t) => {
  t.equal(setOf(['/+/#']).contains('/#'), true);
  t.equal(setOf(['/+']).contains('/#'), false);
  t.equal(setOf(['+/+/#']).contains('+/#'), false, 'here the parent is a topic');
  t.equal(setOf(['+']).overlaps('/#'), false);
  t.equal(setOf(['/#']).overlaps('+'), false);
  t.equal(setOf(['a/#']).overlaps('+'), true);
  t.end();
});

t.test('the intersection of two filters matches exactly what both match', (t) => {
  fc.assert(
    fc.property(filter, filter, (one, other) => {
      const common = intersectFilters(one, other);
      return TOPICS.every((topic) => {
        const both = topicMatchesFilter(topic, one) && topicMatchesFilter(topic, other);
        return both === (common !== undefined && topicMatchesFilter(topic, common));
      });
    }),
    { numRuns: 1000 },
  );
  t.end();
});

t.test(
  'a subscription is granted all, some or none as a walk over all topics says, denials included',
  (t) => {
    const seen = { all: 0, some: 0, none: 0 };
    fc.assert(
      fc.property(filters, fc.array(filter, { maxLength: 3 }), filter, (allow, deny, asked) => {
        const authorizer = createAuthorizer(new AclPolicy(undefined, [{ subscribe: allow, deny }]));
        const who = { clientId: 'c', username: 'u' };
        const wanted = TOPICS.filter((topic) => topicMatchesFilter(topic, asked));
        const readable = wanted.filter((topic) => matchesAny(allow, topic) && !matchesAny(deny, topic));
        const expected = readable.length === 0 ? 'none' : readable.length === wanted.length ? 'all' : 'some';
        seen[expected]++;
        const received = wanted.filter((topic) => authorizer.canReceive(who, topic));
        return authorizer.canSubscribe(who, asked) === expected && received.length === readable.length;
      }),
      { numRuns: 2000 },
    );
    t.ok(
      Object.values(seen).every((count) => count > 50),
      JSON.stringify(seen),
    );
    t.end();
  },
);

t.test(
  'no client id and no user name makes a template allow more, or deny less, than a plain name does',
  (t) => {
    const name = fc.string({
      unit: fc.constantFrom('a', 'b', '+', '#', '/', '$', '%', 'c', 'u'),
      maxLength: 5,
    });
    const template = fc.constantFrom('%c', '%u/x', 'd/%c/x', 'd/%u', 'd/p%c/#', 'd/%u/%c', '%c/#', 'd/%c%u');
    fc.assert(
      fc.property(name, name, template, (clientId, username, text) => {
        const who = { clientId, username };
        const grant = { access: 'readwrite', filter: text, template: true } as const;
        const file = (
          grants: readonly (typeof grant | { access: 'deny'; filter: string; template: true })[],
        ) =>
          createAuthorizer(
            new AclPolicy({ anonymous: [], users: new Map(), everyone: grants }, [
              { publish: ['#', '$s/#'] },
            ]),
          );
        const allowed = createAuthorizer(
          new AclPolicy({ anonymous: [], users: new Map(), everyone: [grant] }, [
            { clients: ['nobody'], publish: ['x'] },
          ]),
        );
        const levels = text.split('/');
        // With names as plain text: a topic level is the template's, character by character.
        const literally = (topic: string) => {
          const parts = topic.split('/');
          const filled = levels.map((level) =>
            level.replace(/%[cu]/g, (which) => (which === '%c' ? clientId : username)),
          );
          return filled.every((level, index) => level === '#' || level === parts[index]);
        };
        const candidates = [
          'a',
          'a/x',
          'd/a/x',
          'd/b',
          'd/pa/b',
          'd/a/b',
          '$s',
          '$s/x',
          'd',
          'x',
          'd/ab',
          'a/b/x',
          'd/a/b/x',
        ];
        const widened = candidates.some((topic) => allowed.canPublish(who, topic) && !literally(topic));
        const denying = file([{ access: 'deny', filter: text, template: true }]);
        const plainTopic = text
          .replace(/%[cu]/g, (which) => (which === '%c' ? clientId : username))
          .replace('/#', '/z');
        const escaped = !/[+#]/.test(plainTopic) && plainTopic !== '' && denying.canPublish(who, plainTopic);
        return !widened && !escaped;
      }),
      { numRuns: 1000 },
    );
    t.end();
  },
);
