import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import t, { type Test } from 'tap';
import { parseArguments } from '../../../lib/cli/arguments.js';
import { COMMANDS } from '../../../lib/cli/commands.js';
import { runDoctor } from '../../../lib/cli/doctor/doctor.js';
import { examine } from '../../../lib/cli/doctor/examination.js';
import type { Finding } from '../../../lib/cli/doctor/finding.js';
import { folderProbe, spaceProbe, syncProbe, useProbe } from '../../../lib/cli/doctor/folder-probes.js';
import { createProbes, packageProbe, parseGlibcVersion } from '../../../lib/cli/doctor/machine-probes.js';
import type { Probes } from '../../../lib/cli/doctor/probes.js';
import { parseConfig } from '../../../lib/config/index.js';
import type { ArchivesStatus, StandbyStatus } from '../../../lib/contracts/archive-status.js';
import { idOf } from '../mesh/node/fake-link.js';
import { FakeWorld } from './fake-world.js';

const GIB = 1024 ** 3;
const LIMITS = { diskMaxBytes: 10 * GIB, diskReserveBytes: GIB };
const MESH = {
  ...{ keyPath: 'k', hasKey: true, gateway: 'ab'.repeat(32), evictedFor: undefined },
  ...{ faults: [], exposed: [], timeFloorMs: 0 },
};
const REACHED = { port: 4430, nodes: 3, observers: 3, seenAt: ['203.0.113.7:4430'], isFirewalled: false };

/** Of a machine on which all is well. */
function probesOf(changes: Partial<Probes> = {}): Probes {
  return {
    machine: () => ({
      nodeVersion: '20.19.0',
      platform: 'linux',
      architecture: 'arm64',
      glibcVersion: '2.36',
    }),
    packages: async () => [{ name: 'level', fault: undefined }],
    wall: () => Date.UTC(2026, 0, 1),
    builtMs: () => 0,
    isSynchronized: async () => true,
    certificate: async () => Date.UTC(2026, 0, 16),
    isInUse: async () => false,
    folder: async (path) => ({ path, lookedAt: path, exists: true, isOwn: true, fault: undefined }),
    space: async () => ({ freeBytes: 100 * GIB, usedBytes: 0 }),
    syncs: async () => [1, 2, 3],
    port: async () => undefined,
    mesh: async () => MESH,
    reach: async () => REACHED,
    peer: async () => ({ tookMs: 1 }),
    archive: async ({ target }) => ({ name: target, tookMs: 3, fault: undefined }),
    runningArchive: async () => undefined,
    standby: async () => [],
    ...changes,
  };
}

const never = (): Promise<undefined> => new Promise(() => undefined);
const atOnce = async (): Promise<undefined> => undefined;

async function examined(
  changes: Partial<Probes> = {},
  overrides: Record<string, unknown> = {},
  after = never,
): Promise<Map<string, Finding>> {
  const config = parseConfig({ overrides: { limits: LIMITS, ...overrides } });
  const findings = await examine(config, probesOf(changes), after);
  return new Map(findings.map((finding) => [finding.check, finding]));
}

t.test('on a machine on which all is well every check is ok, in one order', async (t) => {
  const found = await examined({}, { mesh: { host: '0.0.0.0', peers: ['10.0.0.7:4430'] } });
  t.same(
    [...found.keys()],
    [
      ...['node', 'platform', 'native packages', 'data folder', 'free space', 'sync speed', 'clock'],
      ...['time server', 'port mqtt', 'port ws', 'port http', 'port mesh tcp', 'port mesh udp'],
      ...['mesh', 'key files', 'hash table', 'peer 10.0.0.7:4430', 'archive'],
    ],
  );
  for (const [check, { verdict }] of found) t.equal(verdict, check === 'archive' ? 'skip' : 'ok', check);
});

t.test('a certificate that has expired or soon will is to be looked at', async (t) => {
  const files = { certFile: 'c.pem', keyFile: 'k.pem' };
  const judged = async (endMs: number): Promise<Finding | undefined> =>
    (await examined({ certificate: async () => endMs }, { listeners: { tls: files } })).get('certificate');
  const now = Date.UTC(2026, 0, 1);
  const day = 86_400_000;
  t.match(await judged(now + 14 * day), {
    verdict: 'ok',
    value: 'c.pem: valid until 2026-01-15T00:00:00.000Z',
  });
  t.match(await judged(now + 14 * day - 1), {
    verdict: 'warn',
    value: /^c\.pem: it expires at 2026-01-14T23/,
  });
  t.match(await judged(now), { verdict: 'warn', value: /it has expired at 2026-01-01T/, advice: /restart/ });
});

t.test('what is kept for others is looked at where somebody is to be kept for', async (t) => {
  const archive = { topics: ['#'], target: 's3://abc', standbyFor: ['mill'] };
  t.match((await examined({}, { archive })).get('standby'), {
    verdict: 'skip',
    value: /only a running gateway/,
  });
  const status = (state: StandbyStatus['state'], reason: string | null = null): StandbyStatus => ({
    ...{ gateway: 'ab'.repeat(32), site: 'mill', state, reason, archivedUpTo: 1, keptUpTo: 2, head: 2 },
    ...{ bytes: 0, heldBytes: 0, maxBytes: 1, rows: 0 },
  });
  const judged = async (kept: readonly StandbyStatus[]): Promise<Finding | undefined> =>
    (await examined({ isInUse: async () => true, standby: async () => kept }, { archive })).get('standby');
  t.match(await judged([]), { verdict: 'ok', value: /was met yet/ });
  t.match(await judged([status('keeping')]), { verdict: 'ok', value: 'keeps for mill' });
  t.match(await judged([{ ...status('apart'), site: '' }]), {
    verdict: 'ok',
    value: /without a link: abababab$/,
  });
  t.match(await judged([status('keeping'), status('incomplete', 'no room')]), {
    verdict: 'warn',
    value: 'mill: no room',
    advice: /would miss what it has not archived itself/,
  });
});

t.test('a running gateway is asked what it keeps', async (t) => {
  const server = createHttpServer((request, response) => {
    response.statusCode = request.url === '/api/v1/archive' ? 200 : 500;
    response.end(JSON.stringify({ standby: [{ site: 'mill' }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const { standby } = createProbes(new PassThrough());
  t.same(await standby(parseConfig({ overrides: { http: { port } } })), [{ site: 'mill' }]);
});

t.test('an archive is looked at where there is one, and its copy', async (t) => {
  const archive = { topics: ['#'], target: 's3://abc', copyTarget: 's3://bcd' };
  const found = await examined({}, { archive });
  t.match(found.get('archive'), { verdict: 'ok', value: 's3://abc answers after 3 ms' });
  t.match(found.get('archive copy'), { verdict: 'ok', value: /^s3:\/\/bcd/ });
  const bad = await examined(
    {
      archive: async ({ target }) => ({
        name: target,
        tookMs: target === 's3://abc' ? 1 : 5000,
        fault: target === 's3://abc' ? 'denied' : undefined,
      }),
    },
    { archive },
  );
  t.match(bad.get('archive'), {
    verdict: 'fail',
    value: 'denied',
    advice: /archive\.target says where it is/,
  });
  t.match(bad.get('archive copy'), { verdict: 'warn' });
  const { lookAtArchive } = await import('../../../lib/archive-tools.js');
  const keyless = await examined(
    { archive: lookAtArchive },
    { archive: { topics: ['#'], encryptionKeyFile: '/nowhere/key' } },
  );
  t.match(keyless.get('archive'), {
    ...{ verdict: 'fail', advice: 'the gateway does not start with it' },
    value: /cannot read the key file \/nowhere\/key \(archive.encryptionKeyFile\): ENOENT/,
  });
});

t.test('an archive that answers, and with which the running gateway fails, is not well', async (t) => {
  const archive = { topics: ['#'], target: 's3://abc', copyTarget: 's3://bcd' };
  const [well, failing] = [
    { state: 'idle', reason: null },
    { state: 'failing', reason: 'entry 7 is missing here' },
  ] as const;
  const seen = (first: object, second: object): ReturnType<typeof examined> => {
    const running = { ...first, target: 's3://abc', copy: { ...second, target: 's3://bcd' } };
    const runningArchive = async (): Promise<ArchivesStatus> => running as unknown as ArchivesStatus;
    return examined({ isInUse: async () => true, runningArchive }, { archive });
  };
  const one = await seen(failing, well);
  t.match(one.get('archive'), {
    ...{ verdict: 'fail', value: 'entry 7 is missing here', advice: /messages wait in the log/ },
  });
  t.equal(one.get('archive copy')?.verdict, 'ok');
  const other = await seen(well, failing);
  t.equal(other.get('archive')?.verdict, 'ok');
  t.equal(other.get('archive copy')?.value, 'entry 7 is missing here');
});

t.test('a folder in which no archive could be begun is found before a gateway tries', async (t) => {
  const { lookAtArchive } = await import('../../../lib/archive-tools.js');
  const folder = t.testdir({ file: '' });
  const look = async (target: string, dataDir = '/nowhere'): Promise<Finding | undefined> =>
    (await examined({ archive: lookAtArchive }, { dataDir, archive: { topics: ['#'], target } })).get(
      'archive',
    );
  t.match(await look(`file://${folder}/usb/archive`), {
    ...{ verdict: 'fail', advice: /archive\.target says where it is/ },
    value: `${folder}/usb is not there, in which the folder archive would be made: is its disk mounted? Else make it`,
  });
  t.match(await look(`file://${folder}/file`), { verdict: 'fail', value: /file is no folder/ });
  t.match(await look(`file://${folder}/archive`), { verdict: 'ok' });
  t.match(await look(`file://${folder}/data/archive`, `${folder}/data`), { verdict: 'ok' });
});

// `access` goes by the real user: to change the effective one does not help.
const AS_ROOT = process.getuid?.() === 0 ? 'root may write everywhere' : false;
t.test('a folder that this user may not write to is found, too', { skip: AS_ROOT }, async (t) => {
  const { rootFault } = await import('../../../bridge/archive/file-object-store.js');
  const folder = t.testdir();
  chmodSync(folder, 0o500);
  t.match(await rootFault(`${folder}/archive`), /this user may not write in .* \(EACCES\)/);
  chmodSync(folder, 0o700);
});

t.test(
  'of an archive that goes through another gateway it is told through which, or why through none',
  async (t) => {
    const archive = { topics: ['#'], target: 'mesh' };
    const alone = await examined({ mesh: async () => ({ ...MESH, hasKey: false }) }, { archive });
    t.match(alone.get('archive'), { verdict: 'fail', value: /is in no mesh/, advice: /sprawl-edge join/ });
    t.match((await examined({}, { archive })).get('archive'), {
      verdict: 'skip',
      value: /when this one runs/,
    });
    const through = { gateway: idOf(2), site: 'hub', target: 's3://abc' };
    const seen = async (status: Partial<ArchivesStatus>): Promise<Finding | undefined> => {
      const runningArchive = async (): Promise<ArchivesStatus> => status as ArchivesStatus;
      return (await examined({ isInUse: async () => true, runningArchive }, { archive })).get('archive');
    };
    t.match(await seen({ through, state: 'idle', reason: null }), {
      verdict: 'ok',
      value: 'mesh: through hub, to s3://abc',
    });
    t.match(await seen({ through: null, state: 'idle', reason: null }), {
      verdict: 'ok',
      value: /through no gateway yet/,
    });
    t.match(await seen({ through: null, state: 'failing', reason: 'nobody offers it' }), {
      verdict: 'fail',
      value: 'nobody offers it',
    });
    const served = await examined({}, { archive: { forPeers: true, target: 's3://abc' } });
    t.match(
      served.get('archive'),
      { verdict: 'ok', value: /^s3:\/\/abc answers/ },
      'what others archive to is looked at',
    );
  },
);

t.test('what a running gateway says of its archive is asked for', async (t) => {
  const server = createHttpServer((request, response) => {
    response.statusCode = request.url === '/api/v1/archive' ? 200 : 404;
    response.end('{"state":"idle"}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { runningArchive } = createProbes(new PassThrough());
  const { port } = server.address() as AddressInfo;
  t.same(await runningArchive(parseConfig({ overrides: { http: { port } } })), { state: 'idle' });
  server.close();
  server.closeAllConnections();
  t.equal(await runningArchive(parseConfig({ overrides: { http: { port } } })), undefined);
});

t.test('a probe that fails is a failed check, and the others are told all the same', async (t) => {
  const broken = async (): Promise<never> => {
    throw new Error('it broke');
  };
  const found = await examined({
    machine: () => {
      throw new Error('no report');
    },
    ...{ packages: broken, isInUse: broken, mesh: broken, space: broken, port: broken },
  });
  t.match(found.get('platform'), { verdict: 'fail', value: /no report/ });
  for (const check of ['native packages', 'free space', 'port mqtt', 'mesh'])
    t.match(found.get(check), { verdict: 'fail', value: /could not be looked at/ }, check);
  t.match(found.get('sync speed'), { verdict: 'ok' });
  t.notOk(found.has('port mesh tcp'));
});

t.test('what does not end is given up', async (t) => {
  const changes = {
    syncs: never,
    packages: never,
    isInUse: never,
    mesh: never,
  } as unknown as Partial<Probes>;
  const found = await examined(changes, {}, atOnce);
  t.match(found.get('native packages'), { verdict: 'warn', value: 'it took too long' });
  t.match(found.get('mesh'), { verdict: 'fail' });
});

t.test('a folder that cannot be written is not measured, nor one for nothing', async (t) => {
  const found = await examined({
    folder: async (path) => ({ path, lookedAt: path, exists: true, isOwn: true, fault: 'EROFS' }),
  });
  t.match(found.get('data folder'), { verdict: 'fail' });
  t.notOk(found.has('sync speed'));
  const memory = await examined({}, { storage: { durability: 'memory' } });
  t.match(memory.get('sync speed'), { verdict: 'skip', value: /memory/ });
});

t.test('the hash table is asked only where a gateway would ask it', async (t) => {
  const asked: unknown[] = [];
  const reach: Probes['reach'] = async (...args) => {
    asked.push(args);
    return REACHED;
  };
  const verdictOf = async (mesh: Record<string, unknown>, changes: Partial<Probes> = {}): Promise<unknown> =>
    (await examined({ reach, ...changes }, { mesh })).get('hash table')?.verdict;
  const alone = { mesh: async () => ({ ...MESH, hasKey: false }) };
  t.equal(await verdictOf({ host: '0.0.0.0', bootstrap: ['none'] }), 'skip');
  t.equal(await verdictOf({ host: '0.0.0.0', udpPort: false }), 'skip');
  t.equal(await verdictOf({ host: '0.0.0.0' }, alone), 'skip', 'not the public ones without a mesh');
  t.equal(await verdictOf({ host: '0.0.0.0', enabled: false }), 'skip');
  t.equal(await verdictOf({}), 'warn', 'listens on loopback');
  t.same(asked, []);
  t.equal(await verdictOf({ host: '0.0.0.0', bootstrap: ['10.0.0.1:5'] }, alone), 'ok');
  t.equal(await verdictOf({ host: '0.0.0.0' }, { isInUse: async () => true }), 'ok');
  t.same(asked, [
    ['0.0.0.0', 4430, [{ host: '10.0.0.1', port: 5 }]],
    ['0.0.0.0', 0, undefined],
  ]);
});

t.test('the command prints a line for each check, and ends with 1 where one failed', async (t) => {
  const command = COMMANDS.find(({ name }) => name === 'doctor');
  if (command === undefined) throw new Error('no doctor');
  const run = async (args: readonly string[], changes: Partial<Probes> = {}): Promise<[number, string]> => {
    const world = new FakeWorld();
    const given = ['--set', `limits.diskMaxBytes=${GIB}`, '--bootstrap', 'none', ...args];
    const code = await runDoctor(parseArguments(command, given), world, probesOf(changes));
    return [code, world.stdout.text];
  };
  const [fine, text] = await run([]);
  t.equal(fine, 0);
  t.match(text, /^ok    node {13}20\.19\.0$/m);
  t.match(text, /\n\nnothing is wrong\n$/);
  const [odd, warned] = await run([], { isSynchronized: async () => false });
  t.equal(odd, 0);
  t.match(warned, /^warn {2}time server .*\n {23}-> timedatectl[^]*\n0 failed, 1 to look at\n$/m);
  const [bad, json] = await run(['--json'], { syncs: async () => [200] });
  t.equal(bad, 1);
  const { verdict, checks } = JSON.parse(json) as { verdict: string; checks: Record<string, unknown>[] };
  t.equal(verdict, 'fail');
  t.match(
    checks.find(({ check }) => check === 'sync speed'),
    {
      verdict: 'fail',
      advice: /SSD/,
      measured: { p50Ms: 200 },
    },
  );
  t.match(checks[0], { check: 'node', advice: null, measured: null });
});

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'sprawl-doctor-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

t.test('a folder is measured, and nothing is left behind', async (t) => {
  const path = folder(t);
  const found = await folderProbe(path);
  t.match(found, { lookedAt: path, exists: true, isOwn: true, fault: undefined });
  mkdirSync(join(path, 'log'));
  writeFileSync(join(path, 'log', '1'), Buffer.alloc(5000));
  const space = await spaceProbe({ ...found, isInUse: false });
  t.equal(space.usedBytes, 5000);
  t.ok(space.freeBytes > 0);
  const tookMs = await syncProbe(path);
  t.ok(tookMs.length > 0 && tookMs.length <= 100);
  t.same(readdirSync(path), ['log']);

  const missing = await folderProbe(join(path, 'a', 'b'));
  t.match(missing, { lookedAt: path, exists: false, fault: undefined });
  t.equal((await spaceProbe({ ...missing, isInUse: false })).usedBytes, 0);
  t.match(await folderProbe(join(path, 'log', '1')), { fault: 'it is no folder' });
  t.match(await folderProbe(join(path, 'log', '1', 'x')), { fault: /ENOTDIR/ });
  t.equal(await useProbe(parseConfig({ overrides: { dataDir: join(path, 'a') } })), false);
  t.equal(await useProbe(parseConfig({ overrides: { dataDir: path } })), false);
});

t.test(
  'a folder that cannot be written says why',
  { skip: process.getuid?.() === 0 && 'root may' },
  async (t) => {
    const path = folder(t);
    chmodSync(path, 0o500);
    t.match(await folderProbe(path), { exists: true, fault: /EACCES/ });
  },
);

t.test(
  'the lock of a folder of another user is left alone',
  { skip: process.getuid?.() !== 0 && 'root only' },
  async (t) => {
    const path = folder(t);
    chownSync(path, 65_534, 65_534);
    t.match(await folderProbe(path), { isOwn: false });
    let asked = '';
    const server = createHttpServer(({ url }, response) => {
      asked = url ?? '';
      response.end('{}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const config = parseConfig({ overrides: { dataDir: path, http: { port } } });
    t.equal(await useProbe(config), true);
    t.equal(asked, '/healthz');
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    t.equal(await useProbe(config), false);
    t.same(readdirSync(path), []);
  },
);

t.test('the machine is looked at without a gateway', async (t) => {
  const probes = createProbes(new PassThrough());
  t.equal(probes.machine().nodeVersion, process.versions.node);
  t.ok(probes.builtMs() > 0 && probes.wall() > 0);
  await t.resolves(probes.isSynchronized());
  t.match(await packageProbe('level'), { name: 'level', fault: undefined });
  t.match(await packageProbe('there-is-no-such-package'), { fault: /there-is-no-such-package/ });
  t.equal(parseGlibcVersion({ header: { glibcVersionRuntime: '2.36' } }), '2.36');
  t.equal(parseGlibcVersion({ header: {} }), undefined);
  t.equal(parseGlibcVersion(undefined), undefined);
});

t.test(
  'each port is tried on the address of its listener, and the key of that address is named',
  async (t) => {
    const tls = { host: '192.0.2.1', certFile: 'c', keyFile: 'k' };
    const tried: string[] = [];
    const found = await examined(
      {
        port: async ({ name, host, port }) => {
          tried.push(`${name} ${host}:${port}`);
          return host === tls.host ? 'EADDRNOTAVAIL' : undefined;
        },
      },
      { listeners: { tls, wsPort: false }, security: { passwordFile: 'p' }, mesh: { enabled: false } },
    );
    t.strictSame(tried, [
      'mqtt 127.0.0.1:1883',
      'tls 192.0.2.1:8883',
      'wss 192.0.2.1:8084',
      'http 127.0.0.1:8880',
    ]);
    t.match(found.get('port wss'), { verdict: 'fail', advice: /^set listeners\.tls\.host to one/ });
  },
);

t.test('ports are tried, and peers too', async (t) => {
  const probes = createProbes(new PassThrough());
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const wanted = { name: 'x', key: 'x', host: '127.0.0.1', hostKey: 'x', port } as const;
  t.equal(await probes.port({ ...wanted, kind: 'tcp' }), 'EADDRINUSE');
  t.equal(await probes.port({ ...wanted, kind: 'udp', host: '192.0.2.1' }), 'EADDRNOTAVAIL');
  t.match(await probes.peer({ host: '127.0.0.1', port }), { tookMs: Number });
  await new Promise((resolve) => server.close(resolve));
  t.equal(await probes.port({ ...wanted, kind: 'tcp' }), undefined);
  t.equal(await probes.port({ ...wanted, kind: 'udp' }), undefined);
  t.match(await probes.peer({ host: '127.0.0.1', port }), {
    failure: `refused: nothing listens at 127.0.0.1:${port}`,
  });
});
