import t, { type Test } from 'tap';
import { runHere, CliRun } from './cli-in-process.js';
import { CliProcess } from './cli-process.js';

const ANY_PORTS = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0'];

/** A gateway that is ready, and its MQTT port. */
async function started(t: Test, ...args: string[]): Promise<{ gateway: CliProcess; port: string }> {
  const gateway = new CliProcess(['up', ...ANY_PORTS, ...args]);
  t.teardown(() => gateway.kill());
  await gateway.told('err', 'ready');
  const port = /listener=mqtt host=\S+ port=(\d+)/.exec(gateway.err)?.[1];
  if (port === undefined) throw new Error(`no MQTT listener: ${gateway.err}`);
  return { gateway, port };
}

t.test('up serves pub and sub, and SIGTERM ends it with 0', async (t) => {
  const { gateway, port } = await started(t);
  const sub = new CliRun(['sub', '-d', '-V', '5', '-p', port, '-t', 'a/+', '-q', '2', '-v', '-C', '2']);
  await sub.told('received SUBACK');
  t.match(await runHere(['pub', '-p', port, '-q', '1', '-t', 'a/b', '-m', 'one']), { code: 0, err: '' });
  t.match(await runHere(['pub', '-V', '5', '-p', port, '-q', '2', '-t', 'a/c', '-m', 'two']), {
    code: 0,
    err: '',
  });
  t.match(await sub.ended, { code: 0, out: 'a/b one\na/c two\n' });
  gateway.child.kill('SIGTERM');
  const { code, err } = await gateway.ended;
  t.equal(code, 0);
  t.match(err, /stopping: .* signal=SIGTERM[^]*stopped\n$/);
});

t.test('a port in use ends the start with 1 and says so in one line', async (t) => {
  const { port } = await started(t);
  const second = new CliProcess(['up', ...ANY_PORTS, '--mqtt-port', port]);
  const { code, err } = await second.ended;
  t.equal(code, 1);
  t.match(err, new RegExp(`^sprawl-edge: .*${port}.*in use.*\n$`, 'm'));
});

t.test('up with passwd’s file lets in who is in it, and SIGHUP reads it again', async (t) => {
  const file = `${t.testdir()}/passwords`;
  await runHere(['passwd', '-c', '-b', file, 'alice', 'one']);
  const { gateway, port } = await started(t, '--password-file', file);
  const pub = (password: string) =>
    runHere(['pub', '-p', port, '-u', 'alice', '-q', '1', '-t', 'x', '-m', 'x'], '', {
      SPRAWL_PASSWORD: password,
    });
  t.match(await runHere(['pub', '-p', port, '-t', 'x', '-m', 'x']), { code: 5 });
  t.match(await pub('one'), { code: 0 });
  t.match(await pub('two'), { code: 4 });
  await runHere(['passwd', '-b', file, 'alice', 'two']);
  gateway.child.kill('SIGHUP');
  await gateway.told('err', 'reloaded');
  t.match(await pub('two'), { code: 0 });
});

t.test('status says how a running gateway is, and who does not answer', async (t) => {
  const { gateway, port } = await started(t);
  const http = /listener=http host=\S+ port=(\d+)/.exec(gateway.err)?.[1] ?? '';
  await runHere(['pub', '-p', port, '-q', '1', '-t', 'a', '-m', 'x'.repeat(1000)]);
  const url = `http://127.0.0.1:${http}`;
  const { code, out } = await runHere(['status', '--url', url]);
  t.equal(code, 0);
  t.match(out, /^state +ready$/m);
  t.match(out, /^durability +disk$/m);
  t.match(out, /^log +\d.* in 1 segments/m);
  // A start writes its files, which says nothing of the days that follow.
  t.match(out, /^flash +not enough was written yet/m);
  const json = await runHere(['status', '--url', url, '--json']);
  t.match(JSON.parse(json.out), { ready: true, storage: { level: 'disk', payloadBytes: 1000 } });
  gateway.child.kill('SIGTERM');
  await gateway.ended;
  t.match(await runHere(['status', '--url', url]), { code: 1, err: /no gateway answers at .*ECONNREFUSED/ });
});

t.test('a second gateway on one data folder says so and leaves the first alone', async (t) => {
  const folder = t.testdir();
  const { port } = await started(t, '--data-dir', folder);
  const second = new CliProcess(['up', ...ANY_PORTS, '--data-dir', folder]);
  const { code, err } = await second.ended;
  t.equal(code, 2);
  t.match(err, /is in use by another process; stop it, or start this one with another --data-dir/);
  t.match(await runHere(['pub', '-p', port, '-q', '2', '-t', 'a', '-m', 'still there']), { code: 0 });
});

t.test('what was acknowledged is there after kill -9', async (t) => {
  const folder = t.testdir();
  const first = await started(t, '--data-dir', folder);
  const session = ['-c', '-i', 'meter', '-q', '2', '-t', 'power/#'];
  await runHere(['sub', '-p', first.port, ...session, '-E']);
  for (const value of ['one', 'two', 'three'])
    await runHere(['pub', '-p', first.port, '-q', '2', '-t', 'power/a', '-m', value]);
  await runHere(['pub', '-p', first.port, '-q', '0', '-r', '-t', 'last', '-m', 'kept']);
  await runHere(['pub', '-p', first.port, '-q', '1', '-t', 'other', '-m', 'the log is synced']);
  first.gateway.child.kill('SIGKILL');
  await first.gateway.ended;
  const second = await started(t, '--data-dir', folder);
  t.match(await runHere(['sub', '-p', second.port, ...session, '-C', '3']), { out: 'one\ntwo\nthree\n' });
  t.match(await runHere(['sub', '-p', second.port, '-t', 'last', '-C', '1']), { out: 'kept\n' });
});
