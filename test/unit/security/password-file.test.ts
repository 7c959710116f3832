import { execFileSync, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile, lstat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parsePasswordFile, readPasswordFile, usernameFault } from '../../../lib/security/password-file.js';
import { deleteFromPasswordFile, updatePasswordFile } from '../../../lib/security/password-file-edit.js';
import {
  formatPasswordHash,
  hashPassword,
  parsePasswordHash,
  verifyPassword,
} from '../../../lib/security/password-hash.js';

const SCRAM = await hashPassword('pencil', { format: 'scram-sha-256', iterations: 4096 });
const PBKDF2 = await hashPassword('secret', { format: 'pbkdf2-sha512', iterations: 101 });

async function folderFor(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'passwords-'));
  t.teardown(() => rm(folder, { recursive: true }));
  return folder;
}
async function verifies(text: string, password: string): Promise<boolean> {
  return verifyPassword(parsePasswordHash(text), Buffer.from(password));
}

const missing =
  spawnSync('mosquitto_passwd', ['--help']).error === undefined ? false : 'mosquitto_passwd is not installed';

t.test('what mosquitto_passwd writes is read, with both of its hashes', { skip: missing }, async (t) => {
  const path = join(await folderFor(t), 'passwd');
  const write = (...options: string[]) => execFileSync('mosquitto_passwd', options, { stdio: 'ignore' });
  write('-b', '-c', path, 'new', 'pw one');
  write('-H', 'sha512', '-b', path, 'old', 'pw two');
  write('-b', path, 'ümlaut name', 'pä$$:word');
  const { table } = await readPasswordFile(path);
  const check = async (user: string, password: string) => {
    const hash = table.get(user);
    return hash !== undefined && (await verifyPassword(hash, Buffer.from(password)));
  };
  t.equal(table.get('new')?.kind, 'pbkdf2-sha512');
  t.equal(table.get('old')?.kind, 'sha512');
  t.same(await Promise.all([check('new', 'pw one'), check('old', 'pw two')]), [true, true]);
  t.equal(await check('ümlaut name', 'pä$$:word'), true);
  t.same(await Promise.all([check('new', 'pw two'), check('old', 'pw one'), check('old', '')]), [
    false,
    false,
    false,
  ]);
});

t.test('mosquitto_passwd changes a file that was written here', { skip: missing }, async (t) => {
  const path = join(await folderFor(t), 'passwd');
  await updatePasswordFile(path, 'ann', PBKDF2);
  await updatePasswordFile(path, 'bob', PBKDF2);
  execFileSync('mosquitto_passwd', ['-D', path, 'bob'], { stdio: 'ignore' });
  t.same([...(await readPasswordFile(path)).table.keys()], ['ann']);
});

t.test('a hash verifies its password and no other', async (t) => {
  for (const [hash, password] of [
    [SCRAM, 'pencil'],
    [PBKDF2, 'secret'],
  ] as const) {
    t.equal(await verifies(hash, password), true);
    t.equal(await verifies(hash, `${password} `), false);
    t.equal(await verifies(hash, ''), false);
    t.equal(formatPasswordHash(parsePasswordHash(hash)), hash);
  }
  const sha512 =
    '$6$kicz0Id7gqhp9ptD$RXGZWGkiAr/B8ZRrHECrFq25HXSPPpVfINVfdULYEJ5/ZXwHrEaFsbDSPlhoF7GY9+3mtsL8pHrZV6GoB66elA==';
  t.equal(await verifies(sha512, 'pw'), true, 'as mosquitto_passwd 2.0.11 wrote it');
  t.equal(await verifies(sha512, 'pW'), false);
  t.equal(formatPasswordHash(parsePasswordHash(sha512)), sha512);
});

t.test('a SCRAM entry is the one of RFC 7677', async (t) => {
  const hash =
    '$scram-sha-256$4096$W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=';
  t.equal(await verifies(hash, 'pencil'), true);
});

t.test('a password of a SCRAM entry may be typed composed or decomposed', async (t) => {
  const hash = await hashPassword('pass\u00e9\u00a0x', { format: 'scram-sha-256', iterations: 4096 });
  t.equal(await verifies(hash, 'passe\u0301 x'), true);
  t.equal(
    await verifyPassword(parsePasswordHash(hash), Buffer.from([0xff, 0xfe])),
    false,
    'bytes that are no text',
  );
});

t.test('two hashes of one password differ', async (t) => {
  t.not(
    await hashPassword('secret', { format: 'pbkdf2-sha512', iterations: 1 }),
    await hashPassword('secret', { format: 'pbkdf2-sha512', iterations: 1 }),
  );
  t.match(
    await hashPassword('secret', { format: 'pbkdf2-sha512' }),
    /^\$7\$20000\$[A-Za-z0-9+/]{16}\$/,
    '12 bytes of salt: mosquitto 2.0 refuses others',
  );
});

t.test('a password or a number of iterations out of range is refused with the range', async (t) => {
  const refused = (password: string, format: 'pbkdf2-sha512' | 'scram-sha-256', iterations?: number) =>
    t.rejects(hashPassword(password, { format, iterations }), { code: 'USAGE', kind: 'config' });
  await refused('', 'pbkdf2-sha512');
  await refused('x'.repeat(65_536), 'pbkdf2-sha512');
  await refused('x', 'pbkdf2-sha512', 0);
  await refused('x', 'pbkdf2-sha512', 1.5);
  await refused('x', 'pbkdf2-sha512', 10_000_001);
  await refused('x', 'scram-sha-256', 4095);
});

t.test('comments, blank lines, CRLF, a byte order mark and white space around names are not users', (t) => {
  const table = parsePasswordFile(`# users\r\n\r\n  ann :${PBKDF2} \r\n#bob:x\n\t\nbob:${SCRAM}`, 'passwd');
  t.same([...table.keys()], ['ann', 'bob']);
  t.end();
});

t.test('names that mean something to JavaScript are just names', (t) => {
  const names = ['__proto__', 'constructor', 'hasOwnProperty', 'toString'];
  const table = parsePasswordFile(names.map((name) => `${name}:${PBKDF2}\n`).join(''), 'passwd');
  t.same([...table.keys()], names);
  t.equal(parsePasswordFile('', 'passwd').get('__proto__'), undefined);
  t.end();
});

t.test('a line at fault is named with file, line and reason, without its hash', (t) => {
  const good = PBKDF2.split('$');
  const cases: [string, RegExp][] = [
    ['secretword', /^passwd:1: has no colon/],
    ['# c\n\nann:secretword', /^passwd:3: user "ann": the password is not hashed/],
    ['ann:', /not hashed/],
    [`:${PBKDF2}`, /the user name is empty/],
    [`a\u0007b:${PBKDF2}`, /control character/],
    [`ann:${PBKDF2}\nann:${PBKDF2}`, /^passwd:2: the user "ann" has a line above already/],
    ['ann:$argon2id$v=19$secretword', /the kind of hash is unknown/],
    ['ann:$7$101$secretword', /does not have the form \$7\$<iterations>/],
    ['ann:$6$secretword', /does not have the form \$6\$/],
    ['ann:$scram-sha-256$4096$secretword', /does not have the form \$scram/],
    [`ann:$7$0$${good[3]}$${good[4]}`, /iterations are not a number from 1 to 10000000/],
    [`ann:$7$99999999$${good[3]}$${good[4]}`, /iterations are not a number/],
    [`ann:$7$1e3$${good[3]}$${good[4]}`, /iterations are not a number/],
    [`ann:$7$101$se!cretword$${good[4]}`, /the salt is not the base64/],
    [`ann:$7$101$$${good[4]}`, /the salt is not the base64/],
    [`ann:$7$101$${good[3]}$c2VjcmV0d29yZA==`, /the hash is not the base64 of 64 bytes/],
    [SCRAM.replace(/^/, 'ann:').slice(0, -4), /the ServerKey is not the base64 of 32 bytes/],
  ];
  for (const [text, message] of cases) {
    t.throws(() => parsePasswordFile(text, 'passwd'), { code: 'PASSWORD_FILE_INVALID', message });
    try {
      parsePasswordFile(text, 'passwd');
    } catch (error) {
      t.notMatch(String(error), /secretword|c2VjcmV0|[A-Za-z0-9+/]{40}/);
    }
  }
  t.end();
});

t.test('a file that cannot be read is named', async (t) => {
  const folder = await folderFor(t);
  await t.rejects(readPasswordFile(join(folder, 'none')), {
    code: 'PASSWORD_FILE_INVALID',
    message: /none: cannot be read: ENOENT/,
  });
  const path = join(folder, 'passwd');
  await writeFile(path, '', { mode: 0o600 });
  t.equal((await readPasswordFile(path)).worldReadable, false);
  await chmod(path, 0o644);
  t.equal((await readPasswordFile(path)).worldReadable, true);
});

t.test('a name that could not be read back is refused', async (t) => {
  const path = join(await folderFor(t), 'passwd');
  for (const name of ['', 'a:b', 'a\nb', 'a\u0000', '\u0085', '#ann', ' ann', 'ann\t', 'ä'.repeat(32_768)]) {
    await t.rejects(updatePasswordFile(path, name, PBKDF2), { code: 'USAGE', message: /^the user name/ });
  }
  t.equal(usernameFault('ä'.repeat(32_767)), undefined);
  t.same(await readdir(join(path, '..')), [], 'nothing was written');
});

t.test('a new password file is readable by its owner only', async (t) => {
  const path = join(await folderFor(t), 'passwd');
  await updatePasswordFile(path, 'ann', PBKDF2);
  t.equal((await stat(path)).mode & 0o777, 0o600);
  t.equal(await readFile(path, 'utf8'), `ann:${PBKDF2}\n`);
});

t.test('a change keeps comments, order, line ends, foreign bytes and the mode', async (t) => {
  const folder = await folderFor(t);
  const path = join(folder, 'passwd');
  const before = Buffer.concat([
    Buffer.from('# first\r\nann:x\r\n\nbob:y\n'),
    Buffer.from([0xff, 0x0a]),
    Buffer.from('ann:z\n#ann:c\ncid:w'),
  ]);
  await writeFile(path, before);
  await chmod(path, 0o640);
  await updatePasswordFile(path, 'ann', PBKDF2);
  await updatePasswordFile(path, 'dän', SCRAM);
  const expected = Buffer.concat([
    Buffer.from(`# first\r\nann:${PBKDF2}\r\n\nbob:y\n`),
    Buffer.from([0xff, 0x0a]),
    Buffer.from(`#ann:c\ncid:w\ndän:${SCRAM}\n`),
  ]);
  t.ok(expected.equals(await readFile(path)), 'the second line of ann is gone, the rest as it was');
  t.equal((await stat(path)).mode & 0o777, 0o640);
  t.same(await readdir(folder), ['passwd'], 'no temporary file is left');
});

t.test('deleting removes the user and says whether there was one', async (t) => {
  const path = join(await folderFor(t), 'passwd');
  await writeFile(path, `# c\nann:${PBKDF2}\nbob:${PBKDF2}\n`);
  t.equal(await deleteFromPasswordFile(path, 'ann'), true);
  t.equal(await deleteFromPasswordFile(path, 'ann'), false);
  t.equal(await deleteFromPasswordFile(path, '# c'), false);
  t.equal(await readFile(path, 'utf8'), `# c\nbob:${PBKDF2}\n`);
});

t.test('a symbolic link stays one: the file behind it changes', async (t) => {
  const folder = await folderFor(t);
  await writeFile(join(folder, 'real'), '');
  await symlink('real', join(folder, 'link'));
  await updatePasswordFile(join(folder, 'link'), 'ann', PBKDF2);
  t.ok((await lstat(join(folder, 'link'))).isSymbolicLink());
  t.match(await readFile(join(folder, 'real'), 'utf8'), /^ann:/);
});

t.test('a change that cannot be made leaves nothing behind and says why', async (t) => {
  const folder = await folderFor(t);
  await t.rejects(updatePasswordFile(join(folder, 'none', 'passwd'), 'ann', PBKDF2), {
    code: 'PASSWORD_FILE_INVALID',
    message: /cannot be changed: ENOENT/,
  });
  await t.rejects(updatePasswordFile(folder, 'ann', PBKDF2), {
    code: 'PASSWORD_FILE_INVALID',
    message: /EISDIR/,
  });
  await t.rejects(updatePasswordFile(join(folder, 'passwd'), 'ann', 'plain'), /not hashed/);
  t.same(await readdir(folder), []);
});
