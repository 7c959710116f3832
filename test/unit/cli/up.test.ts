import t from 'tap';
import { parseArguments } from '../../../lib/cli/arguments.js';
import { COMMANDS } from '../../../lib/cli/commands.js';
import type { Gateway, GatewayModule } from '../../../lib/cli/gateway-port.js';
import { startFailure } from '../../../lib/cli/start-failure.js';
import { runUp } from '../../../lib/cli/up.js';
import { SprawlError } from '../../../lib/contracts/errors.js';
import type { Config } from '../../../lib/config/index.js';
import { FakeWorld } from './fake-world.js';

class FakeGateway implements Gateway {
  readonly calls: string[] = [];
  readonly addresses = { mqtt: { address: '127.0.0.1', family: 'IPv4', port: 1884 }, ws: undefined };
  startError: unknown;
  stopping: Promise<void> = Promise.resolve();
  reloading: Promise<void> = Promise.resolve();
  config: Config | undefined;

  async start(): Promise<void> {
    this.calls.push('start');
    if (this.startError !== undefined) throw this.startError;
  }

  async stop(options: { drainTimeoutMs?: number } = {}): Promise<void> {
    this.calls.push(`stop ${options.drainTimeoutMs}`);
    await this.stopping;
  }

  async reload(): Promise<void> {
    this.calls.push('reload');
    await this.reloading;
  }

  readonly load = async (): Promise<GatewayModule> => ({
    createGateway: async ({ config }) => {
      this.config = config;
      return this;
    },
  });
}

/** What tells a second signal from an echo. */
const clock = { time: 0, now: () => clock.time, wall: () => clock.time };

function up(world: FakeWorld, gateway: FakeGateway, ...args: string[]): Promise<number> {
  const command = COMMANDS.find(({ name }) => name === 'up');
  if (command === undefined) throw new Error('no command up');
  return runUp(parseArguments(command, args), world, gateway.load, clock);
}

t.test('up tells its listeners and that it is ready, and a signal drains it and ends with 0', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const world = new FakeWorld();
    const gateway = new FakeGateway();
    const done = up(world, gateway, '--mqtt-port', '1884', '--set', 'shutdown.drainTimeoutMs=7');
    await world.told('ready');
    t.match(
      world.stderr.text,
      /INFO {2}listening listener=mqtt host=127\.0\.0\.1 port=1884\n.*INFO {2}ready startMs=\d+ pid=\d+\n/,
    );
    t.notMatch(world.stderr.text, 'listener=ws');
    t.equal(gateway.config?.listeners.mqttPort, 1884);
    world.process.send(signal);
    t.equal(await done, 0);
    t.strictSame(gateway.calls, ['start', 'stop 7']);
    t.match(world.stderr.text, new RegExp(`stopping: .* signal=${signal} drainTimeoutMs=7\\n.*stopped\\n`));
  }
});

t.test('a second signal ends the process at once with 128 and its number', async (t) => {
  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    const world = new FakeWorld();
    const gateway = new FakeGateway();
    let release = (): void => undefined;
    gateway.stopping = new Promise((resolve) => (release = resolve));
    const done = up(world, gateway);
    await world.told('ready');
    world.process.send('SIGTERM');
    await world.told('stopping');
    clock.time += 199;
    world.process.send(signal);
    t.strictSame(world.process.exits, [], 'npm and `timeout` pass on what the whole group was sent');
    clock.time += 1;
    world.process.send(signal);
    t.strictSame(world.process.exits, [code]);
    release();
    t.equal(await done, 0);
  }
});

t.test('a signal during the start stops the gateway once it is up', async (t) => {
  const world = new FakeWorld();
  const gateway = new FakeGateway();
  const done = up(world, gateway);
  world.process.send('SIGTERM');
  t.equal(await done, 0);
  t.strictSame(gateway.calls, ['start', 'stop 5000']);
  t.match(world.stderr.text, /it stops as soon as it has started; a second .* signal=SIGTERM\n[^]*ready/);
});

t.test('SIGHUP during the start does not end it: the files are read again once it is up', async (t) => {
  const world = new FakeWorld();
  const gateway = new FakeGateway();
  const done = up(world, gateway);
  world.process.send('SIGHUP');
  world.process.send('SIGHUP');
  await world.told('reloaded');
  world.process.send('SIGTERM');
  t.equal(await done, 0);
  t.strictSame(gateway.calls, ['start', 'reload', 'stop 5000']);
});

t.test('SIGHUP reloads, and a reload that fails is told and changes nothing', async (t) => {
  const world = new FakeWorld();
  const gateway = new FakeGateway();
  const done = up(world, gateway);
  await world.told('ready');
  world.process.send('SIGHUP');
  await world.told('reloaded');
  gateway.reloading = Promise.reject(new Error('passwords:3: no colon'));
  world.process.send('SIGHUP');
  await world.told('reload failed, the old files stay in force error="passwords:3: no colon"');
  world.process.send('SIGTERM');
  t.equal(await done, 0);
});

t.test('an unexpected fault is logged on one line and ends the process with 70', async (t) => {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    const world = new FakeWorld();
    const done = up(world, new FakeGateway());
    await world.told('ready');
    const before = world.stderr.text.length;
    world.process.send(event, new Error('boom'));
    t.strictSame(world.process.exits, [70]);
    t.match(
      world.stderr.text.slice(before),
      /^\S+ ERROR a bug: the gateway stops error="Error: boom\\n {4}at .*"\n$/,
    );
    world.process.send('SIGTERM');
    await done;
  }
});

t.test('a gateway that cannot start, or cannot stop, is an error of the command', async (t) => {
  const gateway = new FakeGateway();
  gateway.startError = new SprawlError('LISTEN_FAILED', 'no');
  await t.rejects(up(new FakeWorld(), gateway), { code: 'LISTEN_FAILED' });
  const stuck = new FakeGateway();
  const world = new FakeWorld();
  const done = up(world, stuck);
  await world.told('ready');
  stuck.stopping = Promise.reject(new Error('stuck'));
  stuck.stopping.catch(() => undefined);
  world.process.send('SIGTERM');
  await t.rejects(done, { message: 'the gateway did not stop: stuck' });
});

t.test('the configuration is checked before anything starts', async (t) => {
  const gateway = new FakeGateway();
  await t.rejects(up(new FakeWorld(), gateway, '--listen', '0.0.0.0'), { code: 'LISTEN_REFUSED' });
  await t.rejects(up(new FakeWorld(), gateway, '--set', 'x'), {
    code: 'USAGE',
    message: /--set needs KEY=VALUE, not "x"/,
  });
  await t.rejects(up(new FakeWorld(), gateway, '--config', '/nonexistent/x.yaml'), {
    code: 'CONFIG_FILE_UNREADABLE',
  });
  t.strictSame(gateway.calls, []);
});

t.test('faults of listeners say which port or address, and the way out', async (t) => {
  const fault = (code: string) =>
    Object.assign(new Error(code), { code, syscall: 'listen', address: '10.1.1.1', port: 80 });
  t.match(startFailure(fault('EADDRINUSE')), {
    code: 'LISTEN_FAILED',
    message: /^port 80 on 10\.1\.1\.1 is in use: .*--mqtt-port/,
  });
  t.match(startFailure(fault('EACCES')), {
    code: 'LISTEN_FAILED',
    message: /^port 80 on 10\.1\.1\.1 is not allowed/,
  });
  t.match(startFailure(fault('EADDRNOTAVAIL')), {
    code: 'LISTEN_FAILED',
    message: /^10\.1\.1\.1 is not an address of this machine/,
  });
  t.match(startFailure(fault('ENOTFOUND')), {
    code: 'LISTEN_FAILED',
    message: /^10\.1\.1\.1 cannot be resolved/,
  });
  t.match(startFailure(new Error('outer', { cause: fault('EADDRINUSE') })), {
    code: 'LISTEN_FAILED',
    message: /in use/,
  });
  const told = new SprawlError('LISTEN_FAILED', 'already said', { cause: fault('EADDRINUSE') });
  t.equal(startFailure(told), told);
  const other = fault('EIO');
  t.equal(startFailure(other), other);
  t.equal(startFailure('text'), 'text');
});
