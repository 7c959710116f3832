/**
 * arm64.Dockerfile, as far as it goes without Docker: it is read, and its steps are carried out in folders. Two of them are not in the short form, since they take a
 * minute: the install of what compiles, and compiling; SPRAWL_TEST_DEPLOY=full does them, too.
 */
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { isIgnored, listOf, parseDockerfile, textOf } from './dockerfile.js';
import { buildImage, programOf, RunError, type Built } from './image-build.js';
import { isRoot, OTHER_USER, PackedProcess, unreachable } from './packed-process.js';
import { freePort } from '../support/free-port.js';

const checkout = fileURLToPath(new URL('../../../', import.meta.url));
const read = (name: string): string => readFileSync(join(checkout, name), 'utf8');
const dockerfile = read('arm64.Dockerfile');
const rules = read('.dockerignore');
const stages = parseDockerfile(dockerfile);
const isFull = process.env['SPRAWL_TEST_DEPLOY'] === 'full';

t.test('everything that is copied from the repository is there, and goes to the builder', (t) => {
  const copied = stages
    .flatMap(({ steps }) => steps)
    .filter(({ name, flags }) => name === 'COPY' && !flags.has('from'))
    .flatMap(({ text }) => text.split(' ').slice(0, -1));
  for (const path of copied) {
    t.ok(existsSync(join(checkout, path)), path);
    t.notOk(isIgnored(rules, path), path);
  }
  const { include } = JSON.parse(read('tsconfig.json')) as { include: readonly string[] };
  const compiled = include.filter((folder) => folder !== 'test' && existsSync(join(checkout, folder)));
  t.strictSame(
    compiled.filter((folder) => !copied.includes(folder)),
    [],
    'all that is compiled',
  );
  t.end();
});

t.test('what is secret or of another machine does not go to the builder', (t) => {
  const kept = [
    '.git',
    'node_modules',
    'dist',
    'sprawl-edge-data',
    'passwords',
    'deploy/README.md',
    'test/sim',
  ];
  for (const path of kept) t.ok(isIgnored(rules, path), path);
  t.notOk(isIgnored(rules, 'lib/cli/main.ts'));
  t.notOk(isIgnored(rules, 'deploy/sprawl.yaml'));
  t.end();
});

t.test(
  'the image is for arm64, runs as a user without rights, and no shell stands before the gateway',
  (t) => {
    t.equal(stages.length, 3);
    const last = stages[2] ?? { platform: undefined, steps: [], image: '', name: undefined };
    t.equal(last.platform, 'linux/arm64');
    t.notOk(
      last.steps.some(({ name }) => name === 'RUN'),
      'so that no emulator is needed',
    );
    for (const { platform } of stages.slice(0, -1)) t.equal(platform, '$BUILDPLATFORM');
    t.match(textOf(last, 'USER'), /^[1-9]\d*:[1-9]\d*$/);
    t.strictSame([...listOf(textOf(last, 'ENTRYPOINT')), ...listOf(textOf(last, 'CMD'))].slice(0, 2), [
      'sprawl-edge',
      'up',
    ]);
    t.equal(textOf(last, 'ENV'), `SPRAWL_DATA_DIR=${textOf(last, 'VOLUME')}`);
    t.match(read('deploy/sprawl.yaml'), `dataDir: ${textOf(last, 'VOLUME')}`);
    t.end();
  },
);

t.test('the ports of the image are those of the configuration reference', (t) => {
  const page = read('docs/configuration.md');
  const portOf = (key: string): string =>
    /\d{4}/.exec(new RegExp(`### ${key}\\n[^#]*?- Default: (.*)`).exec(page)?.[1] ?? '')?.[0] ?? '';
  const tcp = [
    'listeners.mqttPort',
    'listeners.wsPort',
    'listeners.tlsPort',
    'listeners.wssPort',
    'mesh.tcpPort',
  ];
  const expected = [...tcp.map((key) => `${portOf(key)}/tcp`), `${portOf('mesh.udpPort')}/udp`];
  const last = stages.at(-1);
  t.strictSame(last === undefined ? [] : textOf(last, 'EXPOSE').split(' ').sort(), expected.sort());
  t.end();
});

/** The steps that take long are done with what is compiled here already. */
function shortened(command: string, cwd: string): boolean {
  if (command.startsWith('npm ci --ignore-scripts'))
    symlinkSync(join(checkout, 'node_modules'), join(cwd, 'node_modules'));
  else if (command.startsWith('npm run build'))
    cpSync(join(checkout, 'dist'), join(cwd, 'dist'), {
      recursive: true,
      filter: (path) => !/\/dist\/(test|tsconfig\.tsbuildinfo)$/.test(path),
    });
  else return false;
  return true;
}

function tryBuild(t: Test): Built | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-edge-image-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  // It is to run on this machine, whose machine code another architecture may have.
  const here = dockerfile.replaceAll('linux-arm64', `linux-${process.arch}`);
  try {
    return buildImage(here, { context: checkout, folder, instead: isFull ? () => false : shortened });
  } catch (error) {
    const reason = error instanceof RunError ? unreachable(error.output) : undefined;
    if (reason === undefined) throw error;
    t.comment(`no way to the packages: ${reason}`);
    return undefined;
  }
}

t.test('what the steps of the Dockerfile make', async (t) => {
  const built = tryBuild(t);
  if (built === undefined) {
    t.pass('its parts', { skip: 'the production install needs cached packages, or a registry' });
    return;
  }
  const { stage, root } = built;
  const inside = (word: string): string => (word.startsWith('/') ? join(root, word) : word);
  const [program = '', ...rest] = listOf(textOf(stage, 'ENTRYPOINT'));
  const entry = [programOf(root, program), ...rest];
  const httpPort = await freePort();
  const mqttPort = await freePort();
  const env = {
    SPRAWL_DATA_DIR: inside(textOf(stage, 'VOLUME')),
    SPRAWL_SECURITY__PASSWORD_FILE: inside('/etc/sprawl-edge/passwords'),
    SPRAWL_LISTENERS__HOST: '127.0.0.1',
    SPRAWL_LISTENERS__MQTT_PORT: String(mqttPort),
    SPRAWL_LISTENERS__WS_PORT: '0',
    SPRAWL_HTTP__PORT: String(httpPort),
  };
  const start = (): PackedProcess =>
    new PackedProcess([...entry, ...listOf(textOf(stage, 'CMD')).map(inside)], env);
  const [health = '', ...healthArgs] = listOf(textOf(stage, 'HEALTHCHECK').replace(/^CMD /, ''));
  const isHealthy = (): Promise<number | null> =>
    new PackedProcess([programOf(root, health), ...healthArgs.map(inside)], {
      SPRAWL_HTTP__PORT: String(httpPort),
    }).ended;

  await t.test('has nothing of what only compiles or tests', (t) => {
    for (const name of ['typescript', 'tap', '@duckdb'])
      t.notOk(existsSync(join(root, 'app/node_modules', name)), name);
    t.notOk(existsSync(join(root, 'app/dist/test')));
    t.ok(existsSync(join(root, 'app/dist/bridge')));
    t.notOk(existsSync(join(root, 'app/node_modules/sodium-native/prebuilds/win32-x64/sodium-native.node')));
    t.end();
  });

  await t.test('refuses to open the ports without passwords', async (t) => {
    const refused = start();
    t.equal(await refused.ended, 2);
    t.match(refused.output, /passwords: cannot be read/);
  });

  const made = join(env.SPRAWL_DATA_DIR, 'made');
  const passwd = new PackedProcess([...entry, 'passwd', '-c', made, 'pump-7'], {}, 'secret');
  t.equal(await passwd.ended, 0, passwd.output);
  cpSync(made, env.SPRAWL_SECURITY__PASSWORD_FILE);
  chmodSync(env.SPRAWL_SECURITY__PASSWORD_FILE, 0o644);

  await t.test('is not healthy before it runs', async (t) => {
    t.equal(await isHealthy(), 1);
  });

  await t.test('serves clients, is healthy, and ends with 0 at SIGTERM', async (t) => {
    const gateway = start();
    t.teardown(() => gateway.child.kill('SIGKILL'));
    await gateway.told(' ready ');
    t.equal(await isHealthy(), 0);
    const uids = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${gateway.child.pid ?? ''}/status`, 'utf8'));
    t.equal(Number(uids?.[1]), isRoot ? OTHER_USER : process.getuid?.());
    const publish = (password: string): Promise<number | null> =>
      new PackedProcess(
        [
          ...entry,
          'pub',
          '-p',
          String(mqttPort),
          '-t',
          'a',
          '-m',
          'b',
          '-q',
          '1',
          '-u',
          'pump-7',
          '-P',
          password,
        ],
        {},
      ).ended;
    t.equal(await publish('secret'), 0);
    t.not(await publish('wrong'), 0);
    gateway.child.kill('SIGTERM');
    t.equal(await gateway.ended, 0, gateway.output);
    t.equal(await isHealthy(), 1, 'afterwards it is not');
    t.ok(existsSync(join(env.SPRAWL_DATA_DIR, 'identity.json')), 'its data is in the volume');
  });
});
