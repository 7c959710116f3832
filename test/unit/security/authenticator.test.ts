import t from 'tap';
import type { Credentials } from '../../../lib/contracts/security.js';
import { createAuthenticator, type AuthenticatorOptions } from '../../../lib/security/authenticator.js';
import { HashGate } from '../../../lib/security/hash-gate.js';
import { addressKey, LoginThrottle, waitAfterFailureMs } from '../../../lib/security/login-throttle.js';
import { parsePasswordFile } from '../../../lib/security/password-file.js';
import { hashPassword, type PasswordHash } from '../../../lib/security/password-hash.js';
import { RecentMap } from '../../../lib/security/recent-map.js';
import { StandIns } from '../../../lib/security/stand-in.js';

const ENTRY = await hashPassword('right', { format: 'pbkdf2-sha512', iterations: 101 });
const SCRAM_ENTRY = await hashPassword('right', { format: 'scram-sha-256', iterations: 4096 });
const table = (...users: string[]) =>
  parsePasswordFile(users.map((user) => `${user}:${ENTRY}\n`).join(''), 'passwd');

class CountingGate extends HashGate {
  count = 0;
  override run<T>(job: () => Promise<T>): Promise<T> | undefined {
    this.count++;
    return super.run(job);
  }
}

function setUp(options: Partial<AuthenticatorOptions> = {}) {
  const time = { now: 0 };
  const gate = new CountingGate();
  const warnings: string[] = [];
  const log = () => undefined;
  const logger = {
    trace: log,
    debug: log,
    info: log,
    warn: (line: string) => warnings.push(line),
    error: (line: string) => warnings.push(line),
    child: () => logger,
  };
  const authenticator = createAuthenticator({
    allowAnonymous: false,
    passwords: table('ann', 'bob', '__proto__'),
    clock: { now: () => time.now, wall: () => 0 },
    gate,
    logger,
    ...options,
  });
  /** The reason code, 0 for success. */
  const login = async (
    username: string | undefined,
    password: string | undefined,
    remoteAddress?: string,
  ) => {
    const result = await authenticator.authenticate({
      clientId: 'c',
      username,
      password: password === undefined ? undefined : Buffer.from(password),
      remoteAddress,
    });
    return result.ok ? 0 : result.reasonCode;
  };
  return { authenticator, gate, time, login, warnings };
}

t.test('a user logs in with the right password only', async (t) => {
  const { login, authenticator } = setUp();
  t.equal(await login('ann', 'right'), 0);
  t.equal(await login('ann', 'wrong'), 0x86);
  t.equal(await login('ann', undefined), 0x86);
  t.equal(await login('ann', ''), 0x86);
  t.equal(await login('nobody', 'right'), 0x86);
  t.equal(await login('constructor', 'right'), 0x86);
  t.equal(await login('__proto__', 'right'), 0);
  const credentials: Credentials = {
    clientId: 'c',
    username: 'ann',
    password: Buffer.from('right'),
    remoteAddress: undefined,
  };
  t.same(await authenticator.authenticate(credentials), { ok: true, username: 'ann' });
});

t.test('a SCRAM entry serves plain passwords too', async (t) => {
  const { login } = setUp({ passwords: parsePasswordFile(`ann:${SCRAM_ENTRY}`, 'f') });
  t.equal(await login('ann', 'right'), 0);
  t.equal(await login('ann', 'wrong'), 0x86);
});

t.test('clients without a user name are refused unless they are allowed', async (t) => {
  t.equal(await setUp().login(undefined, undefined), 0x87);
  t.equal(await setUp().login(undefined, 'right'), 0x87, 'a password alone is nobody');
  const { login } = setUp({ allowAnonymous: true });
  t.equal(await login(undefined, undefined), 0);
  t.equal(await login('ann', 'wrong'), 0x86, 'who gives a name has to prove it');
});

t.test(
  'without a password file a user name is taken as it is, if anonymous clients are allowed',
  async (t) => {
    const open = createAuthenticator({
      allowAnonymous: true,
      passwords: undefined,
      clock: { now: () => 0, wall: () => 0 },
    });
    const credentials = { clientId: 'c', username: 'ann', password: undefined, remoteAddress: undefined };
    t.same(await open.authenticate(credentials), { ok: true, username: 'ann' });
    t.equal(await setUp({ passwords: undefined }).login('ann', 'right'), 0x86);
  },
);

t.test('a device that reconnects with the same password costs one hash, right or wrong', async (t) => {
  const { login, gate } = setUp();
  for (let count = 0; count < 50; count++) {
    t.equal(await login('ann', 'right'), 0);
    t.equal(await login('bob', 'wrong'), 0x86, 'and the same mistake again closes no door');
  }
  t.equal(gate.count, 2);
});

t.test('a hundred logins at once with one wrong password count as one failure', async (t) => {
  const { login } = setUp();
  const answers = await Promise.all(Array.from({ length: 100 }, () => login('bob', 'wrong')));
  t.same([...new Set(answers)], [0x86]);
  for (const guess of ['2', '3', '4']) t.equal(await login('bob', guess), 0x86);
  t.equal(await login('bob', 'right'), 0, 'four failures are free');
});

t.test('a remembered failure is of one user name and password, not of their letters in a row', async (t) => {
  const { login } = setUp();
  t.equal(await login('annr', 'ight'), 0x86);
  t.equal(await login('ann', 'right'), 0);
});

t.test('a reload forgets what was remembered, also for a check that is under way', async (t) => {
  const { login, authenticator, gate } = setUp();
  t.equal(await login('ann', 'right'), 0);
  authenticator.replace(table('bob'));
  t.equal(await login('ann', 'right'), 0x86);
  authenticator.replace(table('ann'));
  t.equal(await login('ann', 'right'), 0);
  t.equal(gate.count, 3);
  const other = await hashPassword('other', { format: 'pbkdf2-sha512', iterations: 1 });
  const slow = login('ann', 'other');
  authenticator.replace(parsePasswordFile(`ann:${other}`, 'f'));
  t.equal(await slow, 0, 'judged by the new file');
});

t.test('a reload says whose password is not what it was', async (t) => {
  const { authenticator } = setUp();
  const lines = `ann:${SCRAM_ENTRY}\nbob:${ENTRY}\nnew:${ENTRY}`;
  const isRevoked = authenticator.replace(parsePasswordFile(lines, 'f'));
  t.same(
    ['ann', 'bob', '__proto__', 'new', 'hooked'].map(isRevoked),
    [true, false, true, false, false],
    'changed, the same, removed, new, and let in by another way',
  );
  const isGone = authenticator.replace(undefined);
  t.same(['ann', 'bob', '__proto__'].map(isGone), [true, true, false]);
});

t.test('the caller may reuse the bytes of the password at once', async (t) => {
  const { authenticator, login } = setUp({ gate: new HashGate(1, 1) });
  const first = login('bob', 'right');
  const password = Buffer.from('right');
  const answer = authenticator.authenticate({
    clientId: 'c',
    username: 'ann',
    password,
    remoteAddress: undefined,
  });
  password.fill(0);
  t.equal(await first, 0);
  t.equal((await answer).ok, true);
});

t.test('more logins than can wait are answered server unavailable', async (t) => {
  const { login } = setUp({ gate: new HashGate(1, 2) });
  const answers = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((password) => login('ann', password)));
  t.same(answers, [0x86, 0x86, 0x86, 0x88, 0x88]);
  t.equal(await login('ann', 'right'), 0);
});

t.test('a fault inside is server unavailable, never a rejection', async (t) => {
  class BrokenGate extends HashGate {
    override run<T>(): Promise<T> {
      return Promise.reject(new Error('broken'));
    }
  }
  const { login, warnings } = setUp({ gate: new BrokenGate() });
  t.equal(await login('ann', 'right'), 0x88);
  t.match(warnings, [/a login failed/]);
});

t.test('an unknown user costs what some known user costs', async (t) => {
  const passwords = parsePasswordFile(
    `ann:${ENTRY}\nbob:${SCRAM_ENTRY}\nold:$6$AAAA$${'A'.repeat(86)}==`,
    'f',
  );
  const standIns = new StandIns(Buffer.alloc(32, 1), passwords);
  const cost = (hash: PasswordHash) =>
    hash.kind === 'sha512' ? hash.kind : `${hash.kind} ${hash.iterations}`;
  const known = [...passwords.values()].map(cost);
  const costs = new Set(Array.from({ length: 100 }, (_, index) => cost(standIns.plain(`user${index}`))));
  t.same([...costs].sort(), known.sort());
  t.same(standIns.plain('x'), standIns.plain('x'));
  const { salt, storedKey, serverKey } = standIns.scram('x');
  t.not(Buffer.from(storedKey).toString('hex'), Buffer.from(serverKey).toString('hex'));
  t.not(Buffer.from(salt).toString('hex'), Buffer.from(storedKey.subarray(0, salt.length)).toString('hex'));
  t.equal(cost(new StandIns(Buffer.alloc(32), new Map()).plain('x')), 'pbkdf2-sha512 20000');
  t.end();
});

t.test('guessing at a user closes the door for longer and longer, and it opens again', async (t) => {
  const { login, time, warnings } = setUp();
  for (const guess of ['1', '2', '3', '4', '5']) t.equal(await login('ann', guess), 0x86);
  t.equal(await login('ann', 'right'), 0x87);
  t.equal(await login('bob', 'right'), 0, 'for others it is open');
  time.now += 1_000;
  t.equal(await login('ann', '6'), 0x86);
  time.now += 1_000;
  t.equal(await login('ann', '7'), 0x87, 'two seconds now, and a refused attempt does not count');
  time.now += 1_000;
  t.equal(await login('ann', 'right'), 0);
  t.equal(await login('ann', '8'), 0x86, 'a success forgets the failures');
  t.equal(warnings.length, 2);
});

t.test('a stranger who guesses at a user does not lock out the device', async (t) => {
  const { login } = setUp();
  t.equal(await login('ann', 'right', '192.0.2.1'), 0);
  for (const guess of ['1', '2', '3', '4', '5']) await login('ann', guess, '192.0.2.9');
  t.equal(await login('ann', 'right', '192.0.2.9'), 0x87);
  t.equal(await login('ann', 'right', '192.0.2.1'), 0);
});

t.test('guessing from one address closes it for all users, also after an own success', async (t) => {
  const { login, time } = setUp();
  for (let count = 0; count < 20; count++) {
    t.equal(await login(`user${count}`, 'guess', '2001:db8:1:2::1'), 0x86);
    if (count === 10) t.equal(await login('bob', 'right', '2001:db8:1:2::1'), 0);
  }
  t.equal(await login('bob', 'right', '2001:db8:1:2:ffff::2'), 0x87, 'all of a /64 is one address');
  t.equal(await login('bob', 'right', '2001:db8:1:3::1'), 0);
  time.now += 60_000;
  t.equal(await login('bob', 'right', '2001:db8:1:2::1'), 0);
});

t.test('parallel guesses do not slip past the count', async (t) => {
  const { login } = setUp();
  const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => login('ann', `guess${index}`)));
  t.ok(
    answers.filter((code) => code === 0x86).length <= 5 + 4,
    'five free ones and those that ran side by side',
  );
  t.equal(answers.at(-1), 0x87);
});

t.test('the wait doubles from a second to a minute', (t) => {
  t.same(
    [1, 4, 5, 6, 7, 10, 11, 12, 5_000].map((count) => waitAfterFailureMs(count, 5)),
    [0, 0, 1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000],
  );
  t.end();
});

t.test('failures are forgotten after ten quiet minutes', (t) => {
  let now = 0;
  const throttle = new LoginThrottle({ now: () => now, wall: () => 0 });
  const source = { username: 'ann', address: undefined };
  for (let count = 0; count < 4; count++) t.equal(throttle.failed(source), 0);
  now = 600_000;
  t.equal(throttle.failed(source), 0);
  t.equal(throttle.isClosed(source), false);
  t.end();
});

t.test('addresses are compared as networks that one host has for itself', (t) => {
  const cases: [string | undefined, string | undefined][] = [
    [undefined, undefined],
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::1', '0:0:0:0::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:DB8:0001:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['1:2:3:4:5:6:7::', '1:2:3:4::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['not an address', 'not an address'],
  ];
  for (const [address, key] of cases) t.equal(addressKey(address), key);
  t.end();
});

t.test('a gate lets in as many as it should, in order, and recovers from failures', async (t) => {
  const gate = new HashGate(2, 2);
  const order: string[] = [];
  const finish: (() => void)[] = [];
  let running = 0;
  let most = 0;
  const job = (name: string) => async () => {
    most = Math.max(most, ++running);
    order.push(name);
    await new Promise<void>((done) => finish.push(done));
    running--;
    if (name === 'a') throw new Error('a failed');
    return name;
  };
  const results = ['a', 'b', 'c', 'd', 'e'].map((name) => gate.run(job(name)));
  t.equal(results[4], undefined);
  const settled = Promise.allSettled(results.slice(0, 4));
  while (order.length < 4 || finish.length > 0) {
    finish.shift()?.();
    await new Promise((turn) => setImmediate(turn));
  }
  t.same(
    (await settled).map((result) => result.status),
    ['rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
  );
  t.same(order, ['a', 'b', 'c', 'd']);
  t.equal(most, 2);
  t.equal(await gate.run(() => Promise.resolve('later')), 'later');
});

t.test('a bounded map forgets what was longest unused', (t) => {
  const map = new RecentMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  t.equal(map.get('a'), 1);
  map.set('c', 3);
  t.same([map.get('a'), map.get('b'), map.get('c'), map.size], [1, undefined, 3, 2]);
  map.delete('a');
  map.clear();
  t.equal(map.size, 0);
  t.end();
});
