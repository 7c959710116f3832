/** What is dangerous or missing in the rules of a bucket: a table. */
import t from 'tap';
import { judgeBucket } from '../../../bridge/archive/bucket-judgement.js';
import { areasOf, type BucketRule, type Versioning } from '../../../bridge/archive/bucket-rule.js';
import { ownRuleIds, ownRules } from '../../../bridge/archive/own-rules.js';

const PREFIX = 'plant/edge';
const days = (afterDays: number): { afterDays: number } => ({ afterDays });
const rule = (does: Partial<BucketRule>): BucketRule => ({
  ...{ id: 'theirs', isEnabled: true, prefix: '', tags: [], sizes: [], transitions: [] },
  ...does,
});
const to = (storageClass: string, afterDays = 30): Pick<BucketRule, 'transitions'> => ({
  transitions: [{ storageClass, time: days(afterDays) }],
});
/** So that nothing is missing. */
const ABORTS = rule({ id: 'aborts', abortUploadsDays: 7 });

interface Case {
  readonly rules: readonly BucketRule[];
  readonly keepDays?: number;
  readonly versioning?: Versioning;
  /** `code rule`. */
  readonly found: readonly string[];
}

const CASES: Readonly<Record<string, Case>> = {
  'nothing at all': { rules: [], found: ['uploads-stay'] },
  'unfinished uploads go': { rules: [ABORTS], found: [] },
  'they go, below the archive alone': { rules: [{ ...ABORTS, prefix: 'plant/edge/' }], found: [] },
  'they go, by two rules': {
    rules: ['data/', 'manifest/'].map((below) => ({ ...ABORTS, prefix: `plant/edge/${below}` })),
    found: [],
  },
  'they go, of data alone': { rules: [{ ...ABORTS, prefix: 'plant/edge/data/' }], found: ['uploads-stay'] },
  'they go, of a part of data': {
    rules: [{ ...ABORTS, prefix: 'plant/edge/data/date=2026' }],
    found: ['uploads-stay'],
  },
  'they would go, but the rule is off': {
    rules: [{ ...ABORTS, isEnabled: false }],
    found: ['uploads-stay'],
  },
  'they go elsewhere': { rules: [{ ...ABORTS, prefix: 'plant/other/' }], found: ['uploads-stay'] },
  'everything goes after a month': {
    rules: [ABORTS, rule({ expires: days(30) })],
    found: ['manifest-expires theirs', 'data-expires theirs'],
  },
  'everything goes, when data may': {
    rules: [ABORTS, rule({ expires: days(30) })],
    keepDays: 30,
    found: ['manifest-expires theirs'],
  },
  'everything goes, sooner than it may': {
    rules: [ABORTS, rule({ expires: days(29) })],
    keepDays: 30,
    found: ['manifest-expires theirs', 'data-expires-early theirs'],
  },
  'the identity of the store goes': {
    rules: [ABORTS, rule({ prefix: 'plant/edge/archive', expires: days(30) })],
    found: ['identity-expires theirs'],
  },
  'the identity of the store is moved away': {
    rules: [ABORTS, rule({ prefix: 'plant/edge/archive-id', ...to('DEEP_ARCHIVE') })],
    found: ['identity-unreadable theirs'],
  },
  'the identity of the store is moved to where it can be read': {
    rules: [ABORTS, rule({ prefix: 'plant/edge/archive-id', ...to('GLACIER_IR') })],
    found: [],
  },
  'data goes': {
    rules: [ABORTS, rule({ prefix: 'plant/edge/data/', expires: days(30) })],
    found: ['data-expires theirs'],
  },
  'data goes late enough': {
    rules: [ABORTS, rule({ prefix: 'plant/edge/data/', expires: days(31) })],
    keepDays: 31,
    found: [],
  },
  'data goes too soon': {
    rules: [ABORTS, rule({ prefix: 'plant/edge/data/', expires: days(30) })],
    keepDays: 31,
    found: ['data-expires-early theirs'],
  },
  'a part of data goes too soon': {
    rules: [ABORTS, rule({ prefix: 'plant/edge/data/date=2026-11', expires: days(30) })],
    keepDays: 31,
    found: ['data-expires-early theirs'],
  },
  'data goes on a day, and from then on at once': {
    rules: [ABORTS, rule({ prefix: 'plant/edge/data/', expires: { onDay: '2030-01-01' } })],
    keepDays: 1,
    found: ['data-expires-early theirs'],
  },
  'a prefix that begins like ours': {
    rules: [ABORTS, rule({ prefix: 'plant/ed', expires: days(1) })],
    found: ['manifest-expires theirs', 'data-expires theirs'],
  },
  'the neighbour goes': { rules: [ABORTS, rule({ prefix: 'plant/edges/', expires: days(1) })], found: [] },
  'neither data nor manifest goes': {
    rules: [ABORTS, rule({ prefix: 'plant/edge/probe/', expires: days(1) })],
    found: [],
  },
  'what is off does nothing': { rules: [ABORTS, rule({ isEnabled: false, expires: days(1) })], found: [] },
  'what is of a tag is not of an archive': {
    rules: [ABORTS, rule({ tags: ['keep=no'], expires: days(1) })],
    found: [],
  },
  'what is of a size may be': {
    rules: [ABORTS, rule({ sizes: ['smaller than 1000 bytes'], expires: days(1) })],
    found: ['manifest-expires theirs', 'data-expires theirs'],
  },
  'everything goes to GLACIER': {
    rules: [ABORTS, rule(to('GLACIER'))],
    found: ['manifest-unreadable theirs', 'data-unreadable theirs'],
  },
  'the manifest goes to DEEP_ARCHIVE': {
    rules: [ABORTS, rule({ ...to('DEEP_ARCHIVE'), prefix: 'plant/edge/manifest/' })],
    found: ['manifest-unreadable theirs'],
  },
  'data goes to GLACIER': {
    rules: [ABORTS, rule({ ...to('GLACIER'), prefix: 'plant/edge/data/' })],
    found: ['data-unreadable theirs'],
  },
  'everything goes where it can be read': {
    rules: [ABORTS, rule(to('GLACIER_IR')), rule(to('STANDARD_IA')), rule(to('COLDTIER'))],
    found: [],
  },
  'versions stay': { rules: [ABORTS], versioning: 'on', found: ['versions-stay'] },
  'versions that there were stay': { rules: [ABORTS], versioning: 'suspended', found: ['versions-stay'] },
  'nobody knows of versions': { rules: [ABORTS], versioning: 'unknown', found: [] },
  'versions go': {
    rules: [ABORTS, rule({ noncurrentExpireDays: 30 })],
    versioning: 'on',
    found: [],
  },
  'versions go elsewhere': {
    rules: [ABORTS, rule({ noncurrentExpireDays: 30, prefix: 'plant/edge/manifest/' })],
    versioning: 'on',
    found: ['versions-stay'],
  },
};

for (const [name, { rules, keepDays, versioning = 'off', found }] of Object.entries(CASES))
  t.test(name, (t) => {
    const findings = judgeBucket({ rules, versioning }, areasOf(PREFIX), { keepDays });
    t.strictSame(
      findings.map(({ code, rule }) => (rule === undefined ? code : `${code} ${rule}`)),
      found,
    );
    for (const { rule, text } of findings) if (rule !== undefined) t.match(text, /^the rule theirs /);
    t.end();
  });

t.test('an archive that is the whole bucket', (t) => {
  const state = {
    rules: [ABORTS, rule({ id: '', prefix: 'data/', expires: days(1) })],
    versioning: 'off',
  } as const;
  t.match(judgeBucket(state, areasOf('')), [
    { verdict: 'warning', rule: '', text: /^the rule without an id removes archived data after 1 day;/ },
  ]);
  t.end();
});

t.test('our own rules leave nothing undone, and endanger nothing', (t) => {
  const wishes = { abortUploadsDays: 7, expireNoncurrentDays: 30 };
  const transition = { storageClass: 'GLACIER_IR', afterDays: 90 };
  for (const prefix of ['', PREFIX]) {
    const rules = ownRules(prefix, { ...wishes, transition, expireDays: 400 });
    t.strictSame(judgeBucket({ rules, versioning: 'on' }, areasOf(prefix), { keepDays: 400 }), []);
    t.strictSame(new Set(rules.map(({ id }) => id)), ownRuleIds(prefix));
    t.strictSame(judgeBucket({ rules: ownRules(prefix, wishes), versioning: 'on' }, areasOf(prefix)), []);
  }
  const other = ownRuleIds('plant/other');
  t.notOk(
    [...ownRuleIds(PREFIX)].some((id) => other.has(id)),
    'archives of one bucket have rules of their own',
  );
  t.end();
});
