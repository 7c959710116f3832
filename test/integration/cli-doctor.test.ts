/** The doctor as it is called, on loopback and with a hash table of its own. */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { toolLogger } from '../../lib/cli/tool-logger.js';
import { MembershipFiles } from '../../mesh/identity/membership-files.js';
import { nodeMeshFiles } from '../../mesh/identity/mesh-files.js';
import { meshLayoutOf } from '../../mesh/identity/mesh-layout.js';
import { CliProcess, type Ended, runCli } from './cli-process.js';
import { freeUdpPort } from '../support/free-port.js';
import { runHere } from './cli-in-process.js';

const TIME_MAX_MS = 10_000;
const ALL_OFF = ['--mqtt-port', '0', '--ws-port', 'false', '--http-port', 'false'];
/** The disk of the machine that tests is not what is tested. */
const SMALL = ['--set', 'limits.diskMaxBytes=1048576', '--set', 'limits.diskReserveBytes=0'];

interface Told {
  readonly verdict: string;
  readonly checks: readonly {
    readonly check: string;
    readonly verdict: string;
    readonly value: string;
    readonly measured: Record<string, unknown> | null;
  }[];
}

function checkOf(told: Told, name: string): Told['checks'][number] {
  const found = told.checks.find(({ check }) => check === name);
  if (found === undefined)
    throw new Error(`no ${name} in ${told.checks.map(({ check }) => check).join(', ')}`);
  return found;
}

function parseTold({ out, err }: Ended): Told {
  if (!out.startsWith('{')) throw new Error(err);
  return JSON.parse(out) as Told;
}

async function doctor(args: readonly string[]): Promise<{ ended: Ended; told: Told; tookMs: number }> {
  const begin = performance.now();
  const ended = await runCli(['doctor', '--json', ...SMALL, ...args]);
  return { ended, told: parseTold(ended), tookMs: performance.now() - begin };
}

async function member(t: Test): Promise<{ dataDir: string; secrets: string[] }> {
  const made = mkdtempSync(join(tmpdir(), 'sprawl-cli-doctor-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  const dataDir = join(made, 'data');
  const { out } = await runHere(['init', '--data-dir', dataDir]);
  const secrets = [...out.matchAll(/^ {4}(sprawl\w+)$/gm)].map(([, secret]) => secret ?? '');
  return { dataDir, secrets };
}

t.test('a member on loopback is reached by its own hash table and reaches a peer', async (t) => {
  const { dataDir, secrets } = await member(t);
  const port = await freeUdpPort();
  const bootstrap = new CliProcess(['bootstrap', '--host', '127.0.0.1', '--port', `${port}`]);
  t.teardown(() => bootstrap.kill());
  const peer = createServer();
  await new Promise<void>((resolve) => peer.listen(0, '127.0.0.1', resolve));
  t.teardown(() => peer.close());
  const peerPort = (peer.address() as AddressInfo).port;
  await bootstrap.told('out', '--bootstrap');

  const { ended, told, tookMs } = await doctor([
    ...['--data-dir', dataDir, ...ALL_OFF, '--set', 'mesh.tcpPort=0', '--set', 'mesh.udpPort=0'],
    ...['--bootstrap', `127.0.0.1:${port}`, '--peer', `127.0.0.1:${peerPort}`],
  ]);
  t.ok(tookMs < TIME_MAX_MS, `${Math.round(tookMs)} ms`);
  t.match(checkOf(told, 'native packages'), { verdict: 'ok' });
  t.match(checkOf(told, 'data folder'), { verdict: 'ok' });
  t.match(checkOf(told, 'free space'), { verdict: 'ok' });
  t.ok(Number(checkOf(told, 'sync speed').measured?.['count']) > 0);
  t.match(checkOf(told, 'mesh'), { verdict: 'ok', value: 'a member, which was not started yet' });
  t.match(checkOf(told, 'key files'), { verdict: 'ok' });
  t.match(checkOf(told, 'hash table'), {
    verdict: 'ok',
    value: /at 127\.0\.0\.1, and UDP port \d+ is reached directly/,
  });
  t.match(checkOf(told, `peer 127.0.0.1:${peerPort}`), { verdict: 'ok' });
  t.equal(secrets.length, 2);
  for (const secret of secrets) t.notMatch(ended.out + ended.err, secret.slice(0, 20));
  t.same(readdirSync(dataDir), ['lock', 'mesh'], 'nothing was added to what init made');
  t.same(readdirSync(join(dataDir, 'mesh')).sort(), ['roster.json', 'swarm.key']);
});

t.test('what is wrong is said within ten seconds, with exit code 1', async (t) => {
  const { dataDir, secrets } = await member(t);
  const keyFile = join(dataDir, 'mesh', 'swarm.key');
  chmodSync(keyFile, 0o644);
  await new MembershipFiles(nodeMeshFiles, meshLayoutOf(dataDir), toolLogger(process.stderr)).timeAtLeast(
    Date.now() + 86_400_000,
  );
  const [bootstrapPort, udpPort] = [await freeUdpPort(), await freeUdpPort()];
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const takenPort = (taken.address() as AddressInfo).port;
  const args = [
    ...[
      '--data-dir',
      dataDir,
      ...ALL_OFF,
      '--mqtt-port',
      `${takenPort}`,
      '--bootstrap',
      `127.0.0.1:${bootstrapPort}`,
    ],
    ...[
      '--set',
      'mesh.tcpPort=0',
      '--set',
      `mesh.udpPort=${udpPort}`,
      '--peer',
      `127.0.0.1:${bootstrapPort}`,
    ],
  ];
  const { ended, told, tookMs } = await doctor(args);
  t.ok(tookMs < TIME_MAX_MS, `${Math.round(tookMs)} ms`);
  t.equal(ended.code, 1);
  t.equal(told.verdict, 'fail');
  t.match(checkOf(told, 'port mqtt'), { verdict: 'fail', value: /in use by another program/ });
  t.match(checkOf(told, 'port mesh udp'), { verdict: 'ok' });
  t.match(checkOf(told, 'clock'), { verdict: 'fail', value: /behind the latest time/ });
  t.match(checkOf(told, 'key files'), { verdict: 'warn', value: /swarm\.key/ });
  t.match(checkOf(told, 'hash table'), {
    verdict: 'fail',
    value: `127.0.0.1:${bootstrapPort} does not answer`,
  });
  t.match(checkOf(told, `peer 127.0.0.1:${bootstrapPort}`), { verdict: 'fail', value: /nothing listens/ });

  writeFileSync(keyFile, `${readFileSync(keyFile, 'utf8').trim().slice(0, -1)}x`);
  const damaged = await runCli(['doctor', '--data-dir', dataDir, '--bootstrap', 'none', ...ALL_OFF]);
  t.equal(damaged.code, 1);
  t.match(damaged.out, /^fail +mesh +.*swarm key/m);
  for (const secret of secrets) t.notMatch(damaged.out + damaged.err, secret.slice(7, 20));
});

t.test(
  'a gateway that runs holds its own ports, and its folder is not made where there is none',
  async (t) => {
    const dataDir = join(mkdtempSync(join(tmpdir(), 'sprawl-cli-doctor-')), 'data');
    t.teardown(() => rmSync(join(dataDir, '..'), { recursive: true, force: true }));
    const none = await doctor(['--data-dir', dataDir, ...ALL_OFF]);
    t.match(checkOf(none.told, 'data folder'), { verdict: 'ok', value: /does not exist yet/ });
    t.match(checkOf(none.told, 'hash table'), { verdict: 'skip' });
    t.notOk(existsSync(dataDir));

    const port = 20_000 + (randomBytes(2).readUInt16BE() % 20_000);
    const args = ['--data-dir', dataDir, ...ALL_OFF, '--mqtt-port', `${port}`];
    const gateway = new CliProcess(['up', ...args]);
    t.teardown(() => gateway.kill());
    await gateway.told('err', ' ready ');
    const { told } = await doctor(args);
    t.match(checkOf(told, 'port mqtt'), { verdict: 'ok', value: /a gateway runs on this data folder/ });
    t.match(checkOf(told, 'data folder'), { verdict: 'ok', value: /and a gateway runs on it/ });
    gateway.child.kill('SIGTERM');
    await gateway.ended;
  },
);

t.test('a wrong configuration is told as by every command', async (t) => {
  t.match(await runHere(['doctor', '--mqtt-port', '70000']), { code: 2, err: /70000/ });
});
