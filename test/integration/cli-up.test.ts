import t, { type Test } from 'tap';
import { runHere, CliRun } from './cli-in-process.js';
import { CliProcess } from './cli-process.js';

const ANY_PORTS = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0'];

/** A gateway that is ready, and its MQTT port. */
async function started(t: Test, ...args: string[]): Promise<{ gateway: CliProcess; port: string }> {
  const gateway = new CliProcess(['up', ...ANY_PORTS, ...args]);
  t.teardown(() => gateway.child.kill('SIGKILL'));
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
