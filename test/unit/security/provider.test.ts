import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createSecurityProvider, hashPassword } from '../../../lib/security/index.js';

const ENTRY = await hashPassword('right', { format: 'pbkdf2-sha512', iterations: 101 });
const clock = { now: () => 0, wall: () => 0 };
const ann = { clientId: 'c', username: 'ann' };
const credentials = { ...ann, password: Buffer.from('right'), remoteAddress: undefined };

async function filesFor(t: Test): Promise<{ passwordFile: string; aclFile: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'security-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const files = { passwordFile: join(folder, 'passwd'), aclFile: join(folder, 'acl') };
  await writeFile(files.passwordFile, `ann:${ENTRY}\n`);
  await writeFile(files.aclFile, 'user ann\ntopic a\n');
  return files;
}

t.test('a reload puts both files in force and raises the version', async (t) => {
  const files = await filesFor(t);
  const security = await createSecurityProvider({ allowAnonymous: false, ...files, clock });
  const { authenticator, authorizer } = security;
  t.equal((await authenticator.authenticate(credentials)).ok, true);
  t.equal(authorizer.canPublish(ann, 'a'), true);
  const { version } = authorizer;
  await writeFile(files.passwordFile, `bob:${ENTRY}\n`);
  await writeFile(files.aclFile, 'user ann\ntopic b\n');
  (await security.prepareReload())();
  t.ok(authorizer.version > version);
  t.equal((await authenticator.authenticate(credentials)).ok, false);
  t.equal(authorizer.canPublish(ann, 'a'), false);
  t.equal(authorizer.canPublish(ann, 'b'), true);
});

t.test('a reload with a fault in either file changes nothing and says what is wrong', async (t) => {
  const files = await filesFor(t);
  const security = await createSecurityProvider({ allowAnonymous: false, ...files, clock });
  const { version } = security.authorizer;
  await writeFile(files.passwordFile, `bob:${ENTRY}\n`);
  await writeFile(files.aclFile, 'topik a\n');
  await t.rejects(security.prepareReload(), {
    code: 'ACL_FILE_INVALID',
    message: /acl:1: "topik" is unknown/,
  });
  await writeFile(files.aclFile, 'user ann\ntopic b\n');
  await writeFile(files.passwordFile, 'bob\n');
  await t.rejects(security.prepareReload(), { code: 'PASSWORD_FILE_INVALID' });
  t.equal(security.authorizer.version, version);
  t.equal((await security.authenticator.authenticate(credentials)).ok, true);
  t.equal(security.authorizer.canPublish(ann, 'a'), true);
  await writeFile(files.passwordFile, `bob:${ENTRY}\n`);
  (await security.prepareReload())();
  t.equal(security.authorizer.canPublish(ann, 'b'), true, 'and the next good one counts');
});

t.test('files that are at fault stop the start', async (t) => {
  const files = await filesFor(t);
  await writeFile(files.passwordFile, 'ann:plain\n');
  await t.rejects(createSecurityProvider({ allowAnonymous: false, ...files, clock }), {
    code: 'PASSWORD_FILE_INVALID',
  });
});

t.test('an empty list of rules is no ACL, an empty ACL file is one', async (t) => {
  const files = await filesFor(t);
  await writeFile(files.aclFile, '');
  const open = await createSecurityProvider({ allowAnonymous: true, aclRules: [], clock });
  t.equal(open.authorizer.canPublish(ann, 'a'), true);
  t.equal(open.authorizer.canPublish(ann, '$SYS/x'), false);
  const closed = await createSecurityProvider({
    allowAnonymous: true,
    aclFile: files.aclFile,
    aclRules: [],
    clock,
  });
  t.equal(closed.authorizer.canPublish(ann, 'a'), false);
  const both = await createSecurityProvider({
    allowAnonymous: true,
    aclFile: files.aclFile,
    aclRules: [{ publish: ['a'] }],
    clock,
  });
  t.equal(both.authorizer.canPublish(ann, 'a'), true);
});

t.test(
  'a configuration that lets nobody in, and a password file that all can read, are warned about',
  async (t) => {
    const files = await filesFor(t);
    const warnings: string[] = [];
    const log = () => undefined;
    const logger = {
      trace: log,
      debug: log,
      info: log,
      warn: (line: string) => warnings.push(line),
      error: log,
      child: () => logger,
    };
    await createSecurityProvider({ allowAnonymous: false, clock, logger });
    t.match(warnings.splice(0), [/nobody can log in/]);
    await createSecurityProvider({ allowAnonymous: false, passwordFile: files.passwordFile, clock, logger });
    t.match(warnings, [/can be read by every user/]);
  },
);
