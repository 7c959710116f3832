/** The process from the outside: start, signals, exit codes, what it says when it cannot start. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { networkInterfaces } from 'node:os';
import t, { type Test } from 'tap';
import { parseConfig } from '../../lib/config/index.js';
import { createGateway } from '../../lib/gateway.js';
import { realClock } from '../../lib/real-clock.js';
import { MemoryStore } from '../../storage/index.js';
import { nullLogger } from '../support/null-logger.js';
import { RawClient } from '../support/raw-client.js';
import { CliProcess } from './cli-process.js';

const ANY_PORTS = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0'];

interface Started {
  readonly gateway: CliProcess;
  readonly port: number;
  readonly httpPort: number;
}

async function started(
  t: Test,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Started> {
  const gateway = new CliProcess(['up', ...ANY_PORTS, ...args], env);
  t.teardown(() => gateway.kill());
  await gateway.told('err', 'ready');
  const portOf = (listener: string): number =>
    Number(new RegExp(`listener=${listener} host=\\S+ port=(\\d+)`).exec(gateway.err)?.[1]);
  return { gateway, port: portOf('mqtt'), httpPort: portOf('http') };
}

async function statusOf(port: number, path: string): Promise<number | undefined> {
  const [response] = (await once(get({ host: '127.0.0.1', port, path }), 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

t.setTimeout(60_000);

t.test('SIGTERM tells MQTT 5 clients 0x8B, closes the others, and ends with 0', async (t) => {
  const { gateway, port } = await started(t);
  const [young, old] = [
    await RawClient.connect(t, port, { version: 5 }),
    await RawClient.connect(t, port, { version: 4 }),
  ];
  gateway.child.kill('SIGTERM');
  await young.expectDisconnect(0x8b);
  await old.expectClose();
  t.equal((await gateway.ended).code, 0);
});

t.test('SIGTERM sends what was acknowledged to its subscribers before the end', async (t) => {
  const { gateway, port } = await started(t);
  const subscriber = await RawClient.connect(t, port, { version: 5 });
  await subscriber.subscribe('last/words', { qos: 1 });
  const publisher = await RawClient.connect(t, port, { version: 5 });
  for (let index = 0; index < 50; index++) await publisher.publish('last/words', String(index), { qos: 1 });
  gateway.child.kill('SIGTERM');
  for (let index = 0; index < 50; index++) await subscriber.expectPublish('last/words', String(index));
  await subscriber.expectDisconnect(0x8b);
  t.equal((await gateway.ended).code, 0);
});

t.test('a client that does not read holds the end up no longer than shutdown.drainTimeoutMs', async (t) => {
  const { gateway, port } = await started(t, [], { SPRAWL_SHUTDOWN__DRAIN_TIMEOUT_MS: '300' });
  const stuck = await RawClient.connect(t, port, { version: 5 });
  await stuck.subscribe('flood', { qos: 0 });
  stuck.pause();
  const publisher = await RawClient.connect(t, port, { version: 5 });
  for (let index = 0; index < 100; index++) publisher.sendPublish('flood', Buffer.alloc(100_000));
  await publisher.ping();
  const before = performance.now();
  gateway.child.kill('SIGTERM');
  t.equal((await gateway.ended).code, 0);
  t.ok(performance.now() - before < 3000);
});

t.test('a second signal ends it at once', async (t) => {
  const { gateway, port } = await started(t, [], { SPRAWL_SHUTDOWN__DRAIN_TIMEOUT_MS: '60000' });
  const stuck = await RawClient.connect(t, port, { version: 5 });
  await stuck.subscribe('flood', { qos: 0 });
  stuck.pause();
  const publisher = await RawClient.connect(t, port, { version: 5 });
  for (let index = 0; index < 100; index++) publisher.sendPublish('flood', Buffer.alloc(100_000));
  await publisher.ping();
  gateway.child.kill('SIGTERM');
  await gateway.told('err', 'stopping');
  const before = performance.now();
  // What comes within 200 ms may be an echo.
  const impatience = setInterval(() => gateway.child.kill('SIGTERM'), 50);
  t.equal((await gateway.ended).code, 143);
  clearInterval(impatience);
  t.ok(performance.now() - before < 1000);
});

t.test('it is ready within a second, and says how long it took', async (t) => {
  const { gateway } = await started(t);
  const startMs = Number(/ready startMs=(\d+)/.exec(gateway.err)?.[1]);
  // It counts from the start of the process. On a machine that does other work besides, the bound is loose.
  t.ok(startMs > 0 && startMs < 3000, `${startMs} ms`);
});

t.test('healthz and readyz answer while it runs', async (t) => {
  const { httpPort } = await started(t);
  t.equal(await statusOf(httpPort, '/healthz'), 200);
  t.equal(await statusOf(httpPort, '/readyz'), 200);
});

t.test('readyz answers 503 with the reason while storage has no room for messages', async (t) => {
  const store = new MemoryStore();
  Object.assign(store, { status: { ...store.status, shortage: 'no room' } });
  const overrides = {
    dataDir: t.testdir(),
    listeners: { mqttPort: 0, wsPort: false },
    http: { port: 0 },
  };
  const config = parseConfig({ overrides });
  const gateway = await createGateway({ config, logger: nullLogger, store });
  await gateway.start();
  t.teardown(() => gateway.stop({ drainTimeoutMs: 0 }));
  const response = await fetch(`http://127.0.0.1:${gateway.addresses['http']?.port}/readyz`);
  t.equal(response.status, 503);
  t.same(await response.json(), { status: 'not_ready', reasons: ['storage: no room'] });
});

t.test('a port in use is named, with the way out, and nothing stays open', async (t) => {
  const { port } = await started(t);
  for (const option of ['--mqtt-port', '--ws-port', '--http-port']) {
    const second = new CliProcess(['up', ...ANY_PORTS, option, String(port)]);
    const { code, err } = await second.ended;
    t.equal(code, 1);
    t.match(err, new RegExp(`^sprawl-edge: .*\\b${port}\\b.*in use`, 'm'));
  }
});

t.test('beyond loopback it does not listen without authentication', async (t) => {
  for (const host of ['0.0.0.0', '::']) {
    const { code, err } = await new CliProcess(['up', ...ANY_PORTS, '--listen', host]).ended;
    t.equal(code, 2);
    t.match(err, /^sprawl-edge: .*\n$/, 'one line');
    t.match(err, /allow-?anonymous/i);
  }
});

t.test('beyond loopback it listens with --allow-anonymous or a password file', async (t) => {
  const { port } = await started(t, ['--listen', '0.0.0.0', '--allow-anonymous']);
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const outer = addresses.find(({ family, internal }) => family === 'IPv4' && !internal);
  if (outer !== undefined) await RawClient.connect(t, port, { version: 5, host: outer.address });
  const file = t.testdir({ passwords: '' });
  const closed = await started(t, ['--listen', '0.0.0.0', '--password-file', `${file}/passwords`]);
  const stranger = await RawClient.open(t, closed.port, { version: 5 });
  t.equal((await stranger.connect()).reasonCode, 0x87);
});

t.test(
  'a start that takes long costs nobody a token: as many are let in at once as after a quick one',
  async (t) => {
    let passedMs = 0;
    const clock = { now: () => realClock.now() + passedMs, wall: () => realClock.wall() };
    const config = parseConfig({
      overrides: {
        dataDir: t.testdir(),
        listeners: { host: '127.0.0.1', mqttPort: 0, wsPort: false },
        http: { port: false },
        security: { allowAnonymous: true },
        limits: { connectsPerSecondMax: 1 },
      },
    });
    const creation = createGateway({ config, logger: nullLogger, clock });
    passedMs = 60_000;
    const gateway = await creation;
    await gateway.start();
    t.teardown(() => gateway.stop({ drainTimeoutMs: 0 }));
    const port = gateway.addresses['mqtt']?.port ?? 0;
    for (let n = 0; n < 3; n++) await RawClient.connect(t, port);
  },
);
