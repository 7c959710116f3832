import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { SprawlError } from '../../../lib/contracts/errors.js';
import type { Identity } from '../../../lib/contracts/security.js';
import { parseAclFile, readAclFile } from '../../../lib/security/acl-file.js';
import { AclPolicy } from '../../../lib/security/acl-policy.js';
import { aclRuleSchema, parseAclRules, type AclRule } from '../../../lib/security/acl-rule.js';
import { createAuthorizer } from '../../../lib/security/authorizer.js';
import { WildcardRule } from '../../../lib/security/wildcard-rule.js';

const identity = (username: string | undefined, clientId = 'client'): Identity => ({ username, clientId });
const anonymous = identity(undefined);
const fromFile = (text: string, rules: AclRule[] = []) =>
  createAuthorizer(new AclPolicy(parseAclFile(text, 'acl'), rules));
const fromRules = (rules: unknown) => createAuthorizer(new AclPolicy(undefined, parseAclRules(rules)));
const HOSTILE_NAMES = [
  '__proto__',
  'constructor',
  'toString',
  '+',
  '#',
  '/',
  'a/b',
  '$SYS',
  '%c',
  '%u',
  'x'.repeat(65_535),
];

t.test('without an ACL everything is allowed but publishing to topics that begin with $', (t) => {
  const authorizer = createAuthorizer(undefined);
  t.equal(authorizer.canPublish(anonymous, 'a/b'), true);
  t.equal(authorizer.canPublish(anonymous, 'a/$SYS'), true);
  t.equal(authorizer.canPublish(anonymous, '$SYS/broker/uptime'), false);
  t.equal(authorizer.canPublish(anonymous, '$share/group/a'), false);
  t.equal(authorizer.canReceive(anonymous, '$SYS/broker/uptime'), true);
  t.equal(authorizer.canSubscribe(anonymous, '#'), 'all');
  t.equal(authorizer.canSubscribe(anonymous, '$SYS/#'), 'all');
  t.end();
});

t.test('a topic line gives its user reading, writing, both, or both where it says nothing', (t) => {
  const authorizer = fromFile('user ann\ntopic read r\ntopic write w\ntopic readwrite rw\ntopic both\n');
  const rights = (topic: string) => [
    authorizer.canReceive(identity('ann'), topic),
    authorizer.canPublish(identity('ann'), topic),
  ];
  t.same(rights('r'), [true, false]);
  t.same(rights('w'), [false, true]);
  t.same(rights('rw'), [true, true]);
  t.same(rights('both'), [true, true]);
  t.same(rights('other'), [false, false]);
  t.equal(authorizer.canSubscribe(identity('ann'), 'w'), 'none');
  t.end();
});

t.test('topic lines before the first user are for anonymous clients only', (t) => {
  const authorizer = fromFile('topic public\nuser ann\ntopic private\n');
  t.equal(authorizer.canPublish(anonymous, 'public'), true);
  t.equal(authorizer.canPublish(anonymous, 'private'), false);
  t.equal(authorizer.canPublish(identity('ann'), 'public'), false);
  t.equal(authorizer.canPublish(identity('ann'), 'private'), true);
  t.equal(authorizer.canPublish(identity('bob'), 'public'), false);
  t.equal(authorizer.canPublish(identity(''), 'public'), false, 'an empty user name is a user name');
  t.end();
});

t.test('an empty ACL file allows nothing', (t) => {
  const authorizer = fromFile('# nothing yet\n\n');
  t.equal(authorizer.canPublish(anonymous, 'a'), false);
  t.equal(authorizer.canSubscribe(identity('ann'), 'a'), 'none');
  t.end();
});

t.test("a user may have several sections, and one user's lines say nothing about another", (t) => {
  const authorizer = fromFile('user ann\ntopic a\nuser bob\ntopic deny a\ntopic b\nuser ann\ntopic c\n');
  t.same(
    ['a', 'b', 'c'].map((topic) => authorizer.canPublish(identity('ann'), topic)),
    [true, false, true],
  );
  t.end();
});

t.test('a denial wins over every permission, wherever it stands', (t) => {
  const authorizer = fromFile('user ann\ntopic a/#\ntopic deny a/secret/#\npattern deny a/of/%u\n');
  const ann = identity('ann');
  t.equal(authorizer.canPublish(ann, 'a/b'), true);
  t.equal(authorizer.canPublish(ann, 'a/secret'), false);
  t.equal(authorizer.canReceive(ann, 'a/secret/x'), false);
  t.equal(authorizer.canPublish(ann, 'a/of/ann'), false);
  t.equal(authorizer.canPublish(ann, 'a/of/bob'), true);
  t.equal(authorizer.canSubscribe(ann, 'a/#'), 'some');
  t.equal(authorizer.canSubscribe(ann, 'a/b/#'), 'all');
  t.equal(authorizer.canSubscribe(ann, 'a/secret/+'), 'none');
  t.end();
});

t.test('a pattern is for everybody, its %c and %u also as part of a level', (t) => {
  const authorizer = fromFile('user ann\ntopic x\npattern write dev/%c/up\npattern read of-%u/%c\n');
  t.equal(authorizer.canPublish(identity('ann', 'c1'), 'dev/c1/up'), true);
  t.equal(authorizer.canPublish(identity('ann', 'c1'), 'dev/c2/up'), false);
  t.equal(authorizer.canPublish(identity(undefined, 'c2'), 'dev/c2/up'), true);
  t.equal(authorizer.canReceive(identity('bob', 'c1'), 'of-bob/c1'), true);
  t.equal(
    authorizer.canReceive(identity(undefined, 'c1'), 'of-/c1'),
    false,
    '%u is nobody for an anonymous client',
  );
  t.equal(authorizer.canPublish(identity('ann'), 'dev/%c/up'), false);
  t.end();
});

t.test('a topic line does not replace %c and %u', (t) => {
  const authorizer = fromFile('user ann\ntopic dev/%c\n');
  t.equal(authorizer.canPublish(identity('ann', 'c1'), 'dev/c1'), false);
  t.equal(authorizer.canPublish(identity('ann', 'c1'), 'dev/%c'), true);
  t.end();
});

t.test('a name with +, # or / makes a pattern match nothing', (t) => {
  const authorizer = fromFile('pattern dev/%c\npattern %u/up\n');
  for (const name of ['+', '#', '/', 'a/b', 'a+', '#x', '']) {
    t.equal(authorizer.canPublish(identity('u', name), 'dev/other'), false, name);
    t.equal(authorizer.canPublish(identity('u', name), `dev/${name}`), false, name);
    t.equal(authorizer.canSubscribe(identity('u', name), 'dev/#'), 'none', name);
    t.equal(authorizer.canPublish(identity(name), 'other/up'), false, name);
  }
  t.end();
});

t.test('a name that begins with $ gives no access to topics that begin with $', (t) => {
  const authorizer = fromFile('pattern %u/#\npattern $SYS/of/%u\n');
  t.equal(authorizer.canPublish(identity('$SYS'), '$SYS/broker'), false);
  t.equal(
    authorizer.canSubscribe(identity('$SYS'), '$SYS/#'),
    'some',
    'by the line that begins with $ itself',
  );
  t.equal(authorizer.canPublish(identity('$SYS'), '$SYS/of/$SYS'), true);
  t.end();
});

t.test('a name cannot slip out of a denying pattern', (t) => {
  const authorizer = fromFile('pattern #\npattern $SYS/#\npattern deny cfg/%c/key\npattern deny %u\n', []);
  t.equal(authorizer.canPublish(identity('u', 'c1'), 'cfg/c1/key'), false);
  t.equal(authorizer.canPublish(identity('u', 'c1'), 'cfg/c2/key'), true);
  t.equal(authorizer.canPublish(identity('u', 'a/b'), 'cfg/a/b/key'), false);
  t.equal(authorizer.canPublish(identity('u', '+'), 'cfg/c2/key'), false);
  t.equal(authorizer.canPublish(identity('u', 'a/b'), 'other'), true);
  t.equal(authorizer.canPublish(identity('$SYS/x', 'c'), '$SYS/x'), false);
  t.end();
});

t.test('names from outside are only ever names', (t) => {
  for (const name of HOSTILE_NAMES) {
    const nobody = fromFile('user ann\ntopic a\n');
    t.equal(nobody.canPublish(identity(name, name), 'a'), false);
    const own = fromFile(`user ${name}\ntopic a\n`);
    t.equal(own.canPublish(identity(name, name), 'a'), true);
    t.equal(own.canPublish(identity('ann', name), 'a'), false);
    const ruled = fromRules([{ users: [name], clients: [name], publish: ['a'] }]);
    t.equal(ruled.canPublish(identity(name, name), 'a'), true);
    t.equal(ruled.canPublish(identity(name, 'c'), 'a'), false);
  }
  const levels = fromFile('user ann\ntopic a/b\n');
  for (const topic of ['__proto__', 'constructor', 'a/__proto__', 'a/constructor', `${'/'.repeat(65_535)}`]) {
    t.equal(levels.canPublish(identity('ann'), topic), false);
    t.equal(levels.canSubscribe(identity('ann'), topic), 'none');
  }
  t.end();
});

t.test('topics that begin with $ are listed only by filters that begin with $', (t) => {
  const authorizer = fromFile(
    'user ann\ntopic #\ntopic +/broker/#\nuser ops\ntopic read $SYS/#\ntopic write $SYS/cmd\n',
  );
  t.equal(authorizer.canPublish(identity('ann'), '$SYS/broker/x'), false);
  t.equal(authorizer.canReceive(identity('ann'), '$SYS/broker/x'), false);
  t.equal(authorizer.canSubscribe(identity('ann'), '$SYS/#'), 'none');
  t.equal(authorizer.canSubscribe(identity('ann'), '#'), 'all');
  t.equal(authorizer.canSubscribe(identity('ops'), '$SYS/#'), 'all');
  t.equal(authorizer.canSubscribe(identity('ops'), '#'), 'none');
  t.equal(authorizer.canPublish(identity('ops'), '$SYS/broker'), false);
  t.equal(authorizer.canPublish(identity('ops'), '$SYS/cmd'), true);
  t.end();
});

t.test('several permissions together may cover a filter', (t) => {
  const authorizer = fromFile('user ann\ntopic read a\ntopic read a/+/#\n');
  t.equal(authorizer.canSubscribe(identity('ann'), 'a/#'), 'all');
  t.equal(authorizer.canSubscribe(identity('ann'), '+/#'), 'some');
  t.equal(authorizer.canSubscribe(identity('ann'), 'ab/#'), 'none', 'levels are compared, not beginnings');
  t.end();
});

t.test('lines are read as mosquitto reads them: comments, CRLF, spaces around, topics with spaces', (t) => {
  const authorizer = fromFile(
    '# c\r\n\r\nuser   ann smith  \r\ntopic   read   my topic \r\n  topic write x\n',
  );
  const ann = identity('ann smith');
  t.equal(authorizer.canReceive(ann, 'my topic'), true);
  t.equal(authorizer.canPublish(ann, 'x'), true);
  t.equal(fromFile('topic read\n').canPublish(anonymous, 'read'), true, 'a single word is the topic');
  t.end();
});

t.test('a line that cannot be understood is named with file, line and reason', (t) => {
  const cases: [string, RegExp][] = [
    ['# ok\nuser\n', /^my\.acl:2: user needs a name/],
    ['topic\n', /^my\.acl:1: a topic is missing/],
    ['topic reed a\n', /^my\.acl:1: "reed" is not an access/],
    ['topic read a/#/b\n', /^my\.acl:1: "a\/#\/b" is not a valid topic filter/],
    ['pattern write a+\n', /^my\.acl:1: "a\+" is not a valid topic filter/],
    [`topic ${'a/'.repeat(200)}b\n`, /has 201 levels, more than 200/],
    ['topics a\n', /^my\.acl:1: "topics" is unknown/],
  ];
  for (const [text, message] of cases) {
    t.throws(() => parseAclFile(text, 'my.acl'), { code: 'ACL_FILE_INVALID', kind: 'config', message });
  }
  try {
    parseAclFile('\n\nuser\n', 'f');
    t.fail('not refused');
  } catch (error) {
    t.same(error instanceof SprawlError ? error.details : error, { file: 'f', line: 3 });
  }
  t.end();
});

t.test('an ACL file that cannot be read is named', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'acl-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'acl');
  await t.rejects(readAclFile(path), { code: 'ACL_FILE_INVALID', message: /acl: cannot be read: ENOENT/ });
  await t.rejects(readAclFile(folder), { code: 'ACL_FILE_INVALID', message: /is not a file/ });
  await writeFile(path, Buffer.from([0x75, 0xff, 0xfe]));
  await t.rejects(readAclFile(path), { message: /is not UTF-8/ });
  await writeFile(path, '\ufefftopic a\n');
  t.same((await readAclFile(path)).anonymous, [{ access: 'readwrite', filter: 'a', template: false }]);
  await writeFile(path, Buffer.alloc(16 * 1024 * 1024 + 1, '#'));
  await t.rejects(readAclFile(path), { message: /has 16777217 bytes, more than the 16777216/ });
});

t.test('a rule is for its users and clients, for everybody where it names none', (t) => {
  const who = [
    identity('ann', 'c1'),
    identity('ann', 'c2'),
    identity('bob', 'c1'),
    identity(undefined, 'c1'),
  ];
  const granted = (rule: object) => {
    const authorizer = fromRules([{ publish: ['t'], ...rule }]);
    return who.map((each) => authorizer.canPublish(each, 't'));
  };
  t.same(granted({}), [true, true, true, true]);
  t.same(granted({ users: ['ann'] }), [true, true, false, false]);
  t.same(granted({ clients: ['c1'] }), [true, false, true, true]);
  t.same(granted({ users: ['ann'], clients: ['c1'] }), [true, false, false, false]);
  t.same(granted({ anonymous: true }), [false, false, false, true]);
  t.same(granted({ anonymous: false }), [true, true, true, false]);
  t.same(granted({ users: ['bob'], anonymous: true }), [false, false, true, true]);
  t.same(granted({ users: ['bob'], anonymous: false }), [false, false, true, false]);
  t.end();
});

t.test('a rule allows publishing and subscribing apart, denies both, and replaces %c and %u', (t) => {
  const authorizer = fromRules([{ publish: ['up/%c'], subscribe: ['down/%u/#'], deny: ['down/+/secret'] }]);
  const ann = identity('ann', 'c1');
  t.equal(authorizer.canPublish(ann, 'up/c1'), true);
  t.equal(authorizer.canReceive(ann, 'up/c1'), false);
  t.equal(authorizer.canPublish(ann, 'down/ann/x'), false);
  t.equal(authorizer.canReceive(ann, 'down/ann/x'), true);
  t.equal(authorizer.canReceive(ann, 'down/ann/secret'), false);
  t.equal(authorizer.canSubscribe(ann, 'down/ann/#'), 'some');
  t.end();
});

t.test('a file and rules together allow what either allows and deny what either denies', (t) => {
  const rules: AclRule[] = [{ users: ['ann'], publish: ['rule', 'both'], deny: ['file/denied'] }];
  const authorizer = fromFile('user ann\ntopic file/#\ntopic deny both\n', rules);
  const ann = identity('ann');
  t.equal(authorizer.canPublish(ann, 'file/x'), true);
  t.equal(authorizer.canPublish(ann, 'rule'), true);
  t.equal(authorizer.canPublish(ann, 'both'), false);
  t.equal(authorizer.canPublish(ann, 'file/denied'), false);
  t.end();
});

t.test('a rule at fault is named with its place and reason', (t) => {
  const cases: [unknown, RegExp][] = [
    [
      [{ publish: ['ok'] }, { publish: ['ok', 'a#'] }],
      /^security\.acl\[1\]\.publish\[1\] is not a valid topic filter/,
    ],
    [[{ subscribe: ['$share/g/a'] }], /^security\.acl\[0\]\.subscribe\[0\] must name the topics themselves/],
    [[{ users: ['ann'] }], /^security\.acl\[0\] needs at least one filter/],
    [[{ users: [], publish: ['a'] }], /^security\.acl\[0\]\.users /],
    [[{ publish: ['a'], user: ['ann'] }], /^security\.acl\[0\] .*user/],
    ['everything', /^security\.acl /],
  ];
  for (const [value, message] of cases) {
    t.throws(() => parseAclRules(value, 'security.acl'), { code: 'CONFIG_INVALID', message });
  }
  t.equal(aclRuleSchema.safeParse({ publish: ['a'] }).success, true);
  t.end();
});

t.test('a replaced policy is in force at once and raises the version', (t) => {
  const authorizer = fromFile('user ann\ntopic a\n');
  t.equal(authorizer.canPublish(identity('ann'), 'a'), true);
  const { version } = authorizer;
  authorizer.replace(new AclPolicy(parseAclFile('user ann\ntopic b\n', 'acl'), []));
  t.ok(authorizer.version > version);
  t.equal(authorizer.canPublish(identity('ann'), 'a'), false);
  t.equal(authorizer.canPublish(identity('ann'), 'b'), true);
  t.end();
});

t.test('rules stay right when more identities come than are kept compiled', (t) => {
  const authorizer = fromFile('pattern own/%c\n');
  for (let round = 0; round < 2; round++) {
    for (let index = 0; index < 5_000; index++) {
      const who = identity(undefined, `c${index}`);
      if (!authorizer.canPublish(who, `own/c${index}`) || authorizer.canPublish(who, `own/c${index + 1}`))
        t.fail(`c${index}`);
    }
  }
  t.pass('each of 5000 clients may publish to its own topic only');
  t.end();
});

t.test('a filter whose wildcards reach too far is refused, with and without an ACL', (t) => {
  const policy = new AclPolicy(undefined, parseAclRules([{ subscribe: ['#'] }]));
  for (const authorizer of [
    createAuthorizer(undefined, new WildcardRule({ levelsMin: 2 })),
    createAuthorizer(policy, new WildcardRule({ levelsMin: 2 })),
  ]) {
    for (const filter of ['#', '+', 'a/#', 'a/+/b', '+/b/c', '/#', '$SYS/#'])
      t.equal(authorizer.canSubscribe(identity('ann'), filter), 'wide', filter);
    for (const filter of ['a/b/#', 'a/b/+', 'a//+/#', 'a', 'a/b'])
      t.equal(authorizer.canSubscribe(identity('ann'), filter), 'all', filter);
    t.equal(authorizer.canReceive(identity('ann'), 'a'), true);
    t.equal(authorizer.canPublish(identity('ann'), '$SYS/x'), false);
  }
  t.end();
});

t.test('the reach of wildcards does not hold for users that are exempt, nor for names like theirs', (t) => {
  const authorizer = createAuthorizer(
    undefined,
    new WildcardRule({ levelsMin: 1, exemptUsers: ['ops', '__proto__'] }),
  );
  t.equal(authorizer.canSubscribe(identity('ops'), '#'), 'all');
  t.equal(authorizer.canSubscribe(identity('__proto__'), '#'), 'all');
  for (const username of ['Ops', 'ops ', '', 'constructor'])
    t.equal(authorizer.canSubscribe(identity(username), '#'), 'wide', username);
  t.equal(authorizer.canSubscribe(identity(undefined, 'ops'), '#'), 'wide', 'a client id is no user name');
  t.end();
});

t.test('what the ACL does not list stays refused, whoever is exempt', (t) => {
  const policy = new AclPolicy(undefined, parseAclRules([{ subscribe: ['a/#'] }]));
  const authorizer = createAuthorizer(policy, new WildcardRule({ levelsMin: 1, exemptUsers: ['ops'] }));
  t.equal(authorizer.canSubscribe(identity('ops'), '#'), 'some');
  t.equal(authorizer.canSubscribe(identity('ops'), 'b/#'), 'none');
  t.equal(authorizer.canSubscribe(identity('ann'), 'b/#'), 'none');
  authorizer.replace(undefined);
  t.equal(authorizer.canSubscribe(identity('ann'), '#'), 'wide', 'a reload changes nothing about it');
  t.end();
});
