/** deploy/: the package, the unit file and the example configuration, as far as it goes without systemd and Docker. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parse } from 'yaml';
import { parseConfig } from '../../lib/config/index.js';
import { ExitCode } from '../../lib/cli/exit-code.js';
import { runHere } from '../integration/cli-in-process.js';
import { makeCertificates, WITHOUT_OPENSSL } from '../interop/certificates.js';
import { cleanCommand, cleanEnvironment } from '../support/clean-process.js';
import { PackedProcess, unreachable } from './packed-process.js';
import { freePort } from '../support/free-port.js';

const checkout = fileURLToPath(new URL('../../../', import.meta.url));
const fileOf = (name: string): string => join(checkout, 'deploy', name);
const read = (name: string): string => readFileSync(fileOf(name), 'utf8');
const unit = read('sprawl-edge.service');
const DRAIN_MS = 5000;
const S = 1000;

/** The value of the only line with this name. */
function directive(name: string): string {
  const found = [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))];
  return found.length === 1 ? (found[0]?.[1] ?? '') : `${found.length} lines`;
}

t.test(
  'the example configuration is right, and so is what stands in its comments',
  { skip: WITHOUT_OPENSSL },
  async (t) => {
    const folder = t.testdir({ acl: 'topic read site/#\n' });
    // What the file names is in the folder of the package.
    const example = read('sprawl.yaml').replaceAll('/etc/sprawl-edge/', `${folder}/`);
    await runHere(['passwd', '-c', '-b', join(folder, 'passwords'), 'pump-7', 'secret']);
    const { server } = makeCertificates(folder);
    renameSync(server.certFile, join(folder, 'gateway.crt'));
    renameSync(server.keyFile, join(folder, 'gateway.key'));
    const all = example.slice(example.indexOf('dataDir:')).replaceAll(/^( *)# /gm, '$1');
    t.match(all, /^archive:$/m);
    for (const [name, text] of Object.entries({ 'sprawl.yaml': example, 'all.yaml': all })) {
      writeFileSync(join(folder, name), text);
      const { code, out, err } = await runHere(['config', 'check', '--config', join(folder, name)]);
      t.equal(code, 0, err);
      t.equal(out, 'configuration ok\n');
    }
  },
);

t.test(
  'the unit file gives a stop the time that it takes, and does not repeat what cannot get better',
  (t) => {
    const { drainTimeoutMs } = parseConfig({ env: {} }).shutdown;
    t.equal(drainTimeoutMs, DRAIN_MS);
    t.ok(Number(directive('TimeoutStopSec')) * S >= 2 * drainTimeoutMs);
    t.equal(directive('RestartPreventExitStatus'), String(ExitCode.usage));
    t.equal(directive('Restart'), 'on-failure');
    t.match(directive('User'), /^(?!root$)\w+$/);
    t.equal(
      `/var/lib/${directive('StateDirectory')}`,
      (parse(read('sprawl.yaml')) as { dataDir: string }).dataDir,
    );
    for (const name of ['NoNewPrivileges', 'ProtectHome', 'PrivateDevices', 'RestrictNamespaces'])
      t.equal(directive(name), 'yes', name);
    t.equal(directive('ProtectSystem'), 'strict');
    t.match(directive('RestrictAddressFamilies'), /\bAF_NETLINK\b/);
    t.notMatch(unit, /^MemoryDenyWriteExecute=yes/m);
    t.end();
  },
);

t.test('the compose file names what there is, and gives a stop as much time', (t) => {
  interface Service {
    readonly build: { readonly context: string; readonly dockerfile: string };
    readonly stop_grace_period: string;
    readonly volumes: readonly string[];
  }
  const { services } = parse(read('docker-compose.yml')) as { services: { gateway: Service } };
  const { build, stop_grace_period: grace, volumes } = services.gateway;
  t.ok(existsSync(join(checkout, 'deploy', build.context, build.dockerfile)));
  t.equal(grace, `${directive('TimeoutStopSec')}s`);
  const volume = /^VOLUME (.*)$/m.exec(readFileSync(join(checkout, build.dockerfile), 'utf8'))?.[1];
  t.ok(volumes.some((each) => each.endsWith(`:${volume}`)));
  t.end();
});

/** What pack.sh makes for this machine, unpacked. */
function pack(folder: string): { readonly program: string } | { readonly skip: string } {
  const { status, stdout, stderr } = spawnSync(
    ...cleanCommand('sh', [fileOf('pack.sh'), process.arch, folder]),
    { env: { ...cleanEnvironment(), npm_config_prefer_offline: 'true' }, encoding: 'utf8' },
  );
  const reason = unreachable(stderr);
  if (status !== 0 && reason !== undefined)
    return { skip: `the production install needs cached packages, or a registry: ${reason}` };
  if (status !== 0) throw new Error(stderr);
  const unpacked = spawnSync('tar', ['-xzf', stdout.trim(), '-C', folder], { encoding: 'utf8' });
  if (unpacked.status !== 0) throw new Error(unpacked.stderr);
  const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { version: string };
  return { program: join(folder, `sprawl-edge-${version}`) };
}

t.test('pack.sh refuses an architecture for which there is no machine code', (t) => {
  const { status, stderr } = spawnSync('sh', [fileOf('pack.sh'), 'arm'], { encoding: 'utf8' });
  t.equal(status, 2);
  t.match(stderr, 'arm: there is arm64 and x64');
  t.end();
});

t.test('the package that pack.sh makes', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-edge-pack-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o777);
  const packed = pack(folder);
  if ('skip' in packed) {
    t.pass('its parts', packed);
    return;
  }
  const { program } = packed;

  await t.test('has what runs and its pages, and nothing of what compiles or tests', (t) => {
    for (const name of ['bin', 'dist/lib', 'dist/bridge', 'docs/deployment.md', 'deploy/sprawl-edge.service'])
      t.ok(existsSync(join(program, name)), name);
    for (const name of ['dist/test', 'node_modules/typescript', 'node_modules/tap', 'test'])
      t.notOk(existsSync(join(program, name)), name);
    t.end();
  });

  /** With the folders of this test in place of those of a machine. */
  const here = (text: string): string =>
    text
      .replaceAll('/opt/sprawl-edge/current', program)
      .replaceAll('/etc/sprawl-edge', folder)
      .replaceAll('/var/lib/sprawl', join(folder, 'data'));

  await t.test('systemd understands the unit file', (t) => {
    const path = join(folder, 'sprawl-edge.service');
    writeFileSync(path, here(unit).replaceAll(/^(User|Group)=.*$/gm, '$1=daemon'));
    const { error, status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', path], {
      encoding: 'utf8',
    });
    if (error !== undefined) t.pass('verify', { skip: `systemd-analyze: ${error.message}` });
    else {
      t.equal(status, 0, stderr);
      t.equal(stdout + stderr, '');
    }
    t.end();
  });

  await t.test('runs by the command lines of the unit file', async (t) => {
    const yaml = join(folder, 'sprawl.yaml');
    const password = new PackedProcess(
      [join(program, 'bin/sprawl-edge.cjs'), 'passwd', '-c', join(folder, 'passwords'), 'pump-7'],
      {},
      'secret',
    );
    t.equal(await password.ended, 0, password.output);
    const env = {
      SPRAWL_LISTENERS__HOST: '127.0.0.1',
      SPRAWL_LISTENERS__MQTT_PORT: '0',
      SPRAWL_LISTENERS__WS_PORT: '0',
      SPRAWL_HTTP__PORT: String(await freePort()),
    };
    const start = (): PackedProcess => new PackedProcess(here(directive('ExecStart')).split(' '), env);

    writeFileSync(yaml, here(read('sprawl.yaml')).replace('dataDir', 'dataDr'));
    t.equal(await start().ended, Number(directive('RestartPreventExitStatus')), 'with a mistake');

    writeFileSync(yaml, here(read('sprawl.yaml')));
    const gateway = start();
    t.teardown(() => gateway.child.kill('SIGKILL'));
    await gateway.told(' ready ');
    const reload = directive('ExecReload').replace('$MAINPID', String(gateway.child.pid)).split(' ');
    t.equal(spawnSync(reload[0] ?? '', reload.slice(1)).status, 0);
    await gateway.told('reloaded the password, ACL, encryption key and TLS files');
    gateway.child.kill('SIGTERM');
    t.equal(await gateway.ended, 0, gateway.output);
  });
});
