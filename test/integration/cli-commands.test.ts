import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parsePasswordHash, verifyPassword } from '../../lib/security/password-hash.js';
import { runHere } from './cli-in-process.js';
import { runCli } from './cli-process.js';

t.test('help goes to standard output and ends with 0', async (t) => {
  const { code, out, err } = await runCli(['--help']);
  t.strictSame([code, err], [0, '']);
  t.match(out, /Usage: sprawl-edge COMMAND/);
});

t.test('an unknown command is one line on standard error and ends with 2', async (t) => {
  const err = 'sprawl-edge: unknown command "pubb": did you mean "pub"? (see "sprawl-edge --help")\n';
  t.strictSame(await runCli(['pubb']), { code: 2, out: '', err });
});

t.test('config check accepts a good file and names the mistake in a bad one', async (t) => {
  const dir = t.testdir({
    'good.yaml': 'listeners:\n  mqttPort: 1884\n',
    'bad.yaml': 'mqtt:\n  retian: true\n',
  });
  t.strictSame(await runHere(['config', 'check', '--config', join(dir, 'good.yaml')]), {
    code: 0,
    out: 'configuration ok\n',
    err: '',
  });
  const bad = join(dir, 'bad.yaml');
  const err = `sprawl-edge: unknown key "mqtt.retian" (${bad}:2): did you mean mqtt.retain?\n`;
  t.strictSame(await runHere(['config', 'check', '--config', bad]), { code: 2, out: '', err });
  t.match(await runHere(['config', 'check', '--config', join(dir, 'none.yaml')]), {
    code: 2,
    err: /^sprawl-edge: cannot read the configuration file .*ENOENT[^\n]*\n$/,
  });
  t.match(await runHere(['up', '--config', bad]), { code: 2, err });
});

t.test('config show has the values of flags, environment and file, each with its source', async (t) => {
  const path = join(t.testdir({ 's.yaml': 'log:\n  level: warn\n' }), 's.yaml');
  const { code, out } = await runHere(['config', 'show', '--config', path, '--ws-port', 'false'], '', {
    SPRAWL_HTTP__PORT: '0',
  });
  t.equal(code, 0);
  t.match(out, /^ {2}wsPort: false # flag --ws-port$/m);
  t.match(out, /^ {2}port: 0 # environment variable SPRAWL_HTTP__PORT$/m);
  t.match(out, ` level: warn # ${path}:2\n`);
});

t.test('config schema is JSON', async (t) => {
  const { out } = await runHere(['config', 'schema']);
  t.equal(JSON.parse(out).properties.listeners.properties.mqttPort.default, 1883);
});

t.test('passwd creates, changes and deletes, and what it wrote verifies', async (t) => {
  const path = join(t.testdir(), 'passwords');
  const lines = (): string[] => readFileSync(path, 'utf8').trim().split('\n');
  t.match(await runHere(['passwd', path, 'alice'], 'x'), { code: 2, err: /-c creates it/ });
  t.notOk(existsSync(path));
  t.strictSame(await runCli(['passwd', '-c', path, 'alice'], 'secret\n'), { code: 0, out: '', err: '' });
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.equal((await runHere(['passwd', '-b', '--scram', path, 'bob', 'p w'])).code, 0);
  t.match(lines(), [/^alice:\$7\$/, /^bob:\$scram-sha-256\$/]);
  const verifies = (line: string | undefined, password: string): Promise<boolean> =>
    verifyPassword(parsePasswordHash((line ?? '').replace(/^[a-z]+:/, '')), Buffer.from(password));
  t.ok(await verifies(lines()[0], 'secret'));
  t.notOk(await verifies(lines()[0], 'secret '));
  t.ok(await verifies(lines()[1], 'p w'));
  t.equal((await runHere(['passwd', '-b', path, 'alice', 'new'])).code, 0);
  t.ok(await verifies(lines()[0], 'new'));
  t.equal((await runHere(['passwd', '-D', path, 'alice'])).code, 0);
  t.match(await runHere(['passwd', '-D', path, 'alice']), { code: 1, err: /has no user "alice"/ });
  t.match(lines(), [/^bob:/]);
});

t.test('passwd refuses what it cannot mean, and leaves the file alone', async (t) => {
  const dir = t.testdir({ passwords: 'alice:$7$x\n' });
  const path = join(dir, 'passwords');
  const cases: [string[], RegExp][] = [
    [['-c', '-D', path, 'alice'], /exclude each other/],
    [['-b', path, 'alice'], /-b needs PASSWORD/],
    [[path, 'alice', 'x'], /needs -b/],
    [['-c', '-b', path, 'a:b', 'x'], /':'/],
    [['-c', '-b', path, 'alice', ''], /the password has 0 bytes/],
    [[path, 'alice'], /no password on standard input/],
    [[join(path, 'x'), 'alice'], /ENOTDIR: not a directory; it takes the right to read and to write/],
  ];
  for (const [args, err] of cases)
    t.match(await runHere(['passwd', ...args], ''), { code: 2, err }, args.join(' '));
  t.equal(readFileSync(path, 'utf8'), 'alice:$7$x\n');
});

t.test('without a build the bin says how to make one', async (t) => {
  const dir = t.testdir();
  mkdirSync(join(dir, 'bin'));
  const bin = join(dir, 'bin', 'sprawl-edge.cjs');
  const original = fileURLToPath(new URL('../../../bin/sprawl-edge.cjs', import.meta.url));
  cpSync(original, bin);
  const { status, stderr } = spawnSync(process.execPath, [bin, '--help'], { encoding: 'utf8' });
  t.strictSame(
    [status, stderr],
    [1, `sprawl-edge: the program is not built: run "npm run build" in ${dir}\n`],
  );
  t.ok(statSync(original).mode & 0o100, 'it is executable');
});

t.test('an old Node is told which one is needed', async (t) => {
  const dir = t.testdir();
  const preload = join(dir, 'old.cjs');
  writeFileSync(
    preload,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.10.0' } });`,
  );
  const bin = fileURLToPath(new URL('../../../bin/sprawl-edge.cjs', import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, ['--require', preload, bin], { encoding: 'utf8' });
  t.equal(status, 1);
  t.match(stderr, /^sprawl-edge: Node 20\.11 or newer is needed, this is 20\.10\.0 /);
});

t.test('the thread pool is sized before anything uses it, unless the user has done so', async (t) => {
  const dir = t.testdir();
  const preload = join(dir, 'tell.cjs');
  writeFileSync(
    preload,
    `process.on('exit', () => process.stderr.write('pool ' + process.env.UV_THREADPOOL_SIZE));`,
  );
  const bin = fileURLToPath(new URL('../../../bin/sprawl-edge.cjs', import.meta.url));
  const run = (env: NodeJS.ProcessEnv): string =>
    spawnSync(process.execPath, ['--require', preload, bin, 'version'], { encoding: 'utf8', env }).stderr;
  const { UV_THREADPOOL_SIZE: _, ...env } = process.env;
  t.equal(run(env), 'pool 16');
  t.equal(run({ ...env, UV_THREADPOOL_SIZE: '5' }), 'pool 5');
});
