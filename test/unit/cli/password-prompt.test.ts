import t from 'tap';
import { readNewPassword } from '../../../lib/cli/password-prompt.js';
import { FakeTerminalWorld, FakeWorld } from './fake-world.js';

t.test('a terminal is asked twice, without echo, and corrections count', async (t) => {
  const world = new FakeTerminalWorld();
  const password = readNewPassword(world);
  world.stdin.write('secx\u007fret\r');
  await world.told('Reenter password: ');
  world.stdin.write('sec');
  world.stdin.write('ret\n');
  t.equal(await password, 'secret');
  t.equal(world.stderr.text, 'Password: \nReenter password: \n');
  t.strictSame(world.stdin.rawModes, [true, false, true, false]);
});

t.test('both answers may be typed ahead', async (t) => {
  const world = new FakeTerminalWorld();
  world.stdin.write('pä$\rpä$\r');
  t.equal(await readNewPassword(world), 'pä$');
});

t.test('two different passwords, an empty one and none at all are refused', async (t) => {
  const cases: [string, RegExp][] = [
    ['a\rb\r', /do not match/],
    ['\r', /empty password/],
    ['a\u0003', /no password was given/],
    ['\u0004', /no password was given/],
  ];
  for (const [typed, message] of cases) {
    const world = new FakeTerminalWorld();
    world.stdin.write(typed);
    await t.rejects(readNewPassword(world), { code: 'USAGE', message });
    t.equal(world.stdin.rawModes.at(-1), false, 'echo is on again');
  }
  const gone = new FakeTerminalWorld();
  gone.stdin.end();
  await t.rejects(readNewPassword(gone), { message: /no password was given/ });
});

t.test('without a terminal the first line of standard input is the password', async (t) => {
  for (const text of ['secret', 'secret\n', 'secret\r\nmore\n']) {
    const world = new FakeWorld();
    world.stdin.end(text);
    t.equal(await readNewPassword(world), 'secret');
  }
  const empty = new FakeWorld();
  empty.stdin.end();
  await t.rejects(readNewPassword(empty), { code: 'USAGE', message: 'no password on standard input' });
});
