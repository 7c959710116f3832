/** The commands that make a mesh, on real data folders. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { gatewayIdOf } from '../../lib/contracts/gateway-id.js';
import { AdminKey, createMesh } from '../../mesh/admission/admin-key.js';
import { Invitation } from '../../mesh/admission/invitation.js';
import { decodeEvictions, Roster } from '../../mesh/admission/roster.js';
import { SwarmKey } from '../../mesh/admission/swarm-key.js';
import { MembershipFiles } from '../../mesh/identity/membership-files.js';
import { nodeMeshFiles } from '../../mesh/identity/mesh-files.js';
import { openMeshFolder } from '../../mesh/identity/mesh-folder.js';
import { meshLayoutOf } from '../../mesh/identity/mesh-layout.js';
import { toolLogger } from '../../lib/cli/tool-logger.js';
import { CliRun, runHere } from './cli-in-process.js';
import { CliProcess, runCli } from './cli-process.js';

const MESH_ALONE = ['tcpPort=0', 'udpPort=0', 'lan=false'].flatMap((key) => ['--set', `mesh.${key}`]);
/** Any free ports, and no way to other gateways. */
const PORTS = [
  ...['--mqtt-port', '0', '--ws-port', 'false', '--http-port', 'false', '--bootstrap', 'none'],
  ...MESH_ALONE,
];
const EVICTED = gatewayIdOf(new Uint8Array(32).fill(0xab));
const logger = toolLogger(process.stderr);
const ONE_LINE = /^sprawl-edge: [^\n]*\n$/;

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'sprawl-cli-mesh-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return join(made, 'data');
}
const membershipOf = (dataDir: string): MembershipFiles =>
  new MembershipFiles(nodeMeshFiles, meshLayoutOf(dataDir), logger);

async function initialised(dataDir: string): Promise<{ swarmKey: string; adminKey: string }> {
  const { out } = await runHere(['init', '--data-dir', dataDir]);
  return {
    swarmKey: /^ {4}(sprawl1\w+)$/m.exec(out)?.[1] ?? '',
    adminKey: /^ {4}(sprawladmin1\w+)$/m.exec(out)?.[1] ?? '',
  };
}

/** Runs a command that goes on as `up` does, and ends it when it is ready. */
async function joined(
  args: readonly string[],
  input = '',
  env: Record<string, string> = {},
): Promise<CliRun> {
  const run = new CliRun(['join', ...args, ...PORTS], env);
  run.world.stdin.end(input);
  await run.told(' ready ');
  run.world.process.send('SIGTERM');
  await run.ended;
  return run;
}

t.test('init makes a mesh, prints its two keys, and keeps only one', async (t) => {
  const dataDir = folder(t);
  const { code, out, err } = await runCli(['init', '--data-dir', dataDir, '--site', 'harbour']);
  t.equal(code, 0);
  t.equal(err, '');
  const swarmKey = SwarmKey.parse(/^ {4}(sprawl1\w+)$/m.exec(out)?.[1] ?? '');
  const adminText = /^ {4}(sprawladmin1\w+)$/m.exec(out)?.[1] ?? '';
  const adminKey = AdminKey.parse(adminText);
  t.match(out, `sprawl-edge up --data-dir ${dataDir}`);
  t.same(readdirSync(join(dataDir, 'mesh')), ['roster.json', 'site.json', 'swarm.key']);
  t.equal(statSync(join(dataDir, 'mesh')).mode & 0o777, 0o700);
  for (const name of readdirSync(join(dataDir, 'mesh'))) {
    t.equal(statSync(join(dataDir, 'mesh', name)).mode & 0o777, 0o600);
    t.notMatch(readFileSync(join(dataDir, 'mesh', name), 'utf8'), adminText.slice(12));
  }
  const roster = await membershipOf(dataDir).readRoster(swarmKey);
  t.same(roster?.admin.publicKey, adminKey.publicKey);

  const again = await runCli(['init', '--data-dir', dataDir]);
  t.equal(again.code, 2);
  t.equal(again.out, '');
  t.match(again.err, ONE_LINE);
  t.match(again.err, /belongs to a mesh already: start it with "sprawl-edge up"/);
  t.ok((await membershipOf(dataDir).readSwarmKey())?.equals(swarmKey), 'the first key stays');
});

t.test('join stores the key and runs the gateway; joining again is no harm', async (t) => {
  const key = SwarmKey.create(randomBytes);
  const dataDir = folder(t);
  const gateway = new CliProcess(['join', '-', '--data-dir', dataDir, '--site', 'mill', ...PORTS]);
  t.teardown(() => gateway.kill());
  gateway.child.stdin.end(`${key.reveal()}\n`);
  await gateway.told('err', ' ready ');
  t.equal(readFileSync(join(dataDir, 'mesh', 'swarm.key'), 'utf8'), `${key.reveal()}\n`);
  t.equal(await membershipOf(dataDir).readSite(), 'mill');
  t.notMatch(gateway.err, key.reveal().slice(8, 40));
  t.match(await runHere(['join', '--key-file', join(dataDir, 'mesh', 'swarm.key'), '--data-dir', dataDir]), {
    code: 2,
    err: /in use|another process/i,
  });
  gateway.child.kill('SIGTERM');
  t.equal((await gateway.ended).code, 0);

  await joined(['--data-dir', dataDir], '', { SPRAWL_SWARM_KEY: key.reveal() });
  const keyFile = join(dataDir, 'key');
  writeFileSync(keyFile, `  ${key.reveal().toUpperCase()}\r\n`);
  await joined(['--data-dir', dataDir, '--key-file', keyFile]);
  const shown = await joined(['--data-dir', dataDir, key.reveal()]);
  t.match(
    shown.err,
    /^warning: a swarm key on the command line can be seen by other users.*--key-file and SPRAWL_SWARM_KEY/,
  );
  t.notMatch(shown.err, key.reveal().slice(8, 40));
});

t.test('a key that cannot be right is refused before anything is started or stored', async (t) => {
  const dataDir = folder(t);
  const text = SwarmKey.create(randomBytes).reveal();
  const mistyped = text.slice(0, -1) + (text.endsWith('q') ? 'p' : 'q');
  const cases: readonly (readonly [readonly string[], string, RegExp])[] = [
    [['-'], mistyped, /checksum is wrong: at least one character is mistyped/],
    [['-'], text.slice(0, 30), /it was not copied whole/],
    [['-'], '', /no swarm key on standard input/],
    [[], '', /a swarm key is missing: give it as argument, "-"/],
    [['-', '--key-file', 'x'], '', /exclude each other/],
    [['--key-file', '/nowhere/key'], '', /cannot read the swarm key from \/nowhere\/key: ENOENT/],
    [['--new-identity'], '', /is in no mesh: "sprawl-edge join" with a swarm key/],
    [['-', '--set', 'mesh.enabled=false'], text, /contradict each other/],
    [['-', '--set', 'mesh.swarmKeyFile=/x'], text, /mesh\.swarmKeyFile says that the swarm key is in \/x/],
    [['-', '--set', 'mesh.nonsense=1'], text, /unknown key "mesh.nonsense"/],
    [['-', '--site', 'a b'], text, /mesh\.site: "a b" is not allowed/],
  ];
  for (const [args, input, message] of cases) {
    const { code, err, out } = await runHere(['join', '--data-dir', dataDir, ...args], input);
    t.equal(code, 2, err);
    t.match(err, message);
    t.match(err, ONE_LINE);
    t.notMatch(out + err, text.slice(8, 40));
    t.notOk(existsSync(join(dataDir, 'mesh')));
  }
  t.match(await runCli(['join', '-', '--data-dir', dataDir], mistyped), { code: 2, err: ONE_LINE });
});

t.test('a folder of one mesh does not join another before it has left', async (t) => {
  const dataDir = folder(t);
  const { swarmKey } = await initialised(dataDir);
  const other = SwarmKey.create(randomBytes).reveal();
  t.match(await runHere(['join', '-', '--data-dir', dataDir], other), {
    code: 2,
    err: /belongs to another mesh: take it out with "sprawl-edge leave" first/,
  });
  t.match(await runHere(['leave', '--data-dir', dataDir]), { code: 0, out: /is in no mesh any more/ });
  t.same(readdirSync(join(dataDir, 'mesh')), []);
  t.match(await runHere(['leave', '--data-dir', dataDir]), { code: 2, err: /is in no mesh/ });
  await joined(['-', '--data-dir', dataDir], other);
  writeFileSync(join(dataDir, 'mesh', 'swarm.key'), swarmKey.slice(0, 20));
  t.match(await runHere(['leave', '--data-dir', dataDir]), { code: 0 }, 'a damaged key is removed, too');
});

t.test('a copy of a data folder becomes a gateway of its own in the same mesh', async (t) => {
  const dataDir = folder(t);
  const { swarmKey } = await initialised(dataDir);
  const open = async (): ReturnType<typeof openMeshFolder> =>
    openMeshFolder(dataDir, { randomBytes, logger });
  const before = await open();
  const [start] = await before.startEpoch(1);
  await joined(['--new-identity', '--data-dir', dataDir]);
  const after = await open();
  t.not(after.id, before.id);
  t.notOk((await after.startEpoch(9)).some(({ nonce }) => nonce === start?.nonce));
  t.equal((await after.membership.readSwarmKey())?.reveal(), swarmKey);
});

t.test('an invitation is a swarm key until its end', async (t) => {
  const { adminKey, binding, swarmKey } = createMesh(randomBytes);
  const now = Date.now();
  const invitation = (endsAtMs: number): string =>
    Invitation.create(adminKey, binding.salt, endsAtMs).reveal();
  const dataDir = folder(t);
  const ended = await runHere(['join', '-', '--data-dir', dataDir], invitation(now - 1000));
  t.match(ended, { code: 2, err: /this invitation ended less than an hour ago/ });
  await joined(['-', '--data-dir', dataDir], invitation(now + 1_000_000));
  const membership = membershipOf(dataDir);
  t.ok((await membership.readSwarmKey())?.equals(swarmKey));
  t.same((await membership.readRoster(swarmKey))?.admin, binding);

  const later = folder(t);
  await membershipOf(later).timeAtLeast(now + 2_000_000);
  t.match(
    await runHere(['join', '-', '--data-dir', later], invitation(now + 1_000_000)),
    { code: 2, err: /ended/ },
    'a clock that was set back does not help',
  );
});

t.test('invite makes what join takes, with the admin key of the mesh and with no other', async (t) => {
  const dataDir = folder(t);
  const { swarmKey, adminKey } = await initialised(dataDir);
  const invite = (args: readonly string[], input = adminKey): ReturnType<typeof runHere> =>
    runHere(['invite', '--data-dir', dataDir, ...args], input);
  const earliest = Date.now() + 43_200_000;
  const { code, out } = await invite(['--days', '0.5']);
  t.equal(code, 0);
  const text = /^ {4}(sprawlinvite1\w+)$/m.exec(out)?.[1] ?? '';
  const { endsAtMs } = Invitation.parse(text);
  t.ok(endsAtMs >= earliest && endsAtMs <= Date.now() + 43_200_000, 'half a day');
  t.match(out, new Date(endsAtMs).toISOString());
  const invited = folder(t);
  await joined(['-', '--data-dir', invited], text);
  t.equal((await membershipOf(invited).readSwarmKey())?.reveal(), swarmKey);

  const keyFile = join(dataDir, 'admin');
  writeFileSync(keyFile, adminKey);
  t.match(await invite(['--admin-key-file', keyFile], ''), { code: 0 });
  const cases: readonly (readonly [readonly string[], string, RegExp])[] = [
    [[], AdminKey.create(randomBytes).reveal(), /is that of another mesh/],
    [[], swarmKey, /does not begin with "sprawladmin1"/],
    [['--days', '0'], adminKey, /--days "0": it takes days from 0\.001 to 3650, with at most three decimals/],
    [['--days', '0.0001'], adminKey, /--days "0\.0001": it takes days from 0\.001/],
    [['--days', 'week'], adminKey, /--days "week": it takes days/],
    [['x'], adminKey, /unexpected argument "x"/],
  ];
  for (const [args, input, message] of cases) {
    const wrong = await invite(args, input);
    t.equal(wrong.code, 2, wrong.err);
    t.match(wrong.err, message);
    t.match(wrong.err, ONE_LINE);
    t.notMatch(wrong.err, adminKey.slice(14, 40));
  }
  t.match(await runHere(['invite', '--data-dir', folder(t)], adminKey), { code: 2, err: /is in no mesh/ });
});

t.test('evict signs with the admin key and with no other', async (t) => {
  const dataDir = folder(t);
  const { swarmKey, adminKey } = await initialised(dataDir);
  const evict = (args: readonly string[], input = adminKey): ReturnType<typeof runHere> =>
    runHere(['evict', '--data-dir', dataDir, ...args], input);
  t.match(await evict([EVICTED, '--reason', 'stolen']), {
    code: 0,
    out: `evicted abababab (${EVICTED}): the others are told when this gateway is started\n`,
  });
  const roster = await membershipOf(dataDir).readRoster(SwarmKey.parse(swarmKey));
  t.match(roster?.evictions, [{ gateway: EVICTED, sequence: 1, reason: 'stolen' }]);

  const cases: readonly (readonly [readonly string[], string, RegExp])[] = [
    [[EVICTED], AdminKey.create(randomBytes).reveal(), /is that of another mesh/],
    [[EVICTED], adminKey.slice(0, 50), /this is no admin key: .* not copied whole/],
    [[EVICTED], swarmKey, /does not begin with "sprawladmin1"/],
    [['harbour'], adminKey, /"harbour" is no gateway: it takes 64 hexadecimal digits/],
    [['abababab'], adminKey, /none that this gateway has met begins with abababab/],
    [[EVICTED, '--reason', 'x'.repeat(201)], adminKey, /it has 201 bytes, at most 200/],
    [[EVICTED, '--admin-key-file', '/nowhere/x'], '', /cannot read the admin key from \/nowhere\/x: ENOENT/],
    [[], '', /too few arguments/],
  ];
  for (const [args, input, message] of cases) {
    const { code, err } = await evict(args, input);
    t.equal(code, 2, err);
    t.match(err, message);
    t.match(err, ONE_LINE);
    t.notMatch(err, adminKey.slice(14, 40));
  }

  const { addresses, id } = await openMeshFolder(dataDir, { randomBytes, logger });
  t.match(await evict([id.slice(0, 8)]), {
    code: 2,
    err: new RegExp(`: ${id.slice(0, 8)} is this gateway itself: "sprawl-edge leave" `),
  });
  const twin = gatewayIdOf(new Uint8Array(32).map((_, i) => (i < 5 ? 0xab : 1)));
  await addresses.save([{ id: EVICTED, addresses: [] }]);
  const keyFile = join(dataDir, 'admin');
  writeFileSync(keyFile, adminKey);
  t.match(await evict(['ABABABAB', '--admin-key-file', keyFile], ''), { code: 0 });
  await addresses.save([
    { id: EVICTED, addresses: [] },
    { id: twin, addresses: [] },
  ]);
  t.match(await evict(['abababab']), { code: 2, err: /2 gateways begin with abababab: give all 64 digits/ });
  t.match(await runHere(['evict', EVICTED, '--data-dir', folder(t)], adminKey), {
    code: 2,
    err: /is in no mesh/,
  });
});

t.test('a member that has met nobody knows no admin, and a key may be in another file', async (t) => {
  const dataDir = folder(t);
  const { swarmKey, adminKey, binding } = createMesh(randomBytes);
  const keyFile = `${dataDir}.key`;
  writeFileSync(keyFile, swarmKey.reveal());
  const args = ['evict', EVICTED, '--data-dir', dataDir, '--set', `mesh.swarmKeyFile=${keyFile}`];
  t.match(await runHere(args, adminKey.reveal()), {
    code: 2,
    err: /does not know the admin of its mesh yet/,
  });
  await membershipOf(dataDir).writeRoster(new Roster(binding));
  t.match(await runHere(args, adminKey.reveal()), { code: 0 });
});

t.test('where there is no data folder none is made to say that it is in no mesh', async (t) => {
  const dataDir = folder(t);
  for (const command of [['join', '--new-identity'], ['leave']])
    t.match(await runHere([...command, '--data-dir', dataDir]), { code: 2, err: /is in no mesh/ });
  t.notOk(existsSync(dataDir));
});

t.test('a running gateway is asked to leave, and told of evictions', async (t) => {
  const dataDir = folder(t);
  const { swarmKey, adminKey } = await initialised(dataDir);
  const asked: { url: string; method: string; body: Buffer }[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    asked.push({ url: request.url ?? '', method: request.method ?? '', body: Buffer.concat(chunks) });
    response.end('{}');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const gateway = new CliRun(['up', '--data-dir', dataDir, ...PORTS]);
  await gateway.told(' ready ');
  t.match(await runHere(['evict', EVICTED, '--data-dir', dataDir, '--http-port', `${port}`], adminKey), {
    code: 2,
  });
  const atPort = ['--data-dir', dataDir, '--set', `http.port=${port}`];
  t.match(await runHere(['evict', EVICTED, ...atPort], adminKey), {
    code: 0,
    out: /the others are being told/,
  });
  t.match(await runHere(['leave', ...atPort]), {
    code: 0,
    out: /has left its mesh; its clients are served on/,
  });
  t.match(await runHere(['leave', '--url', `http://127.0.0.1:${port}`]), { code: 0 });
  t.match(await runHere(['init', '--data-dir', dataDir]), { code: 2, err: /process/ });
  gateway.world.process.send('SIGTERM');
  await gateway.ended;
  t.match(asked, [
    { url: '/mesh/evict', method: 'POST' },
    { url: '/mesh/leave', method: 'POST' },
    { url: '/mesh/leave', method: 'POST' },
  ]);
  const [eviction] = decodeEvictions(asked[0]?.body ?? Buffer.alloc(0));
  t.match(eviction, { gateway: EVICTED, sequence: 1 });
  t.ok(
    (await membershipOf(dataDir).readSwarmKey())?.equals(SwarmKey.parse(swarmKey)),
    'the gateway removes it itself',
  );
});

t.test(
  'a restored gateway is who it was, in the mesh it was in, and its keys are for its owner alone',
  async (t) => {
    const [dataDir, restored] = [folder(t), folder(t)];
    const backup = join(restored, '..', 'backup');
    const { swarmKey } = await initialised(dataDir);
    await joined(['--data-dir', dataDir, swarmKey]);
    const before = await openMeshFolder(dataDir, { randomBytes, logger });
    t.match(await runHere(['backup', backup, '--data-dir', dataDir]), { code: 0 });
    t.match(await runHere(['restore', backup, '--data-dir', restored]), { code: 0 });
    for (const made of [backup, restored]) {
      t.equal(statSync(join(made, 'mesh')).mode & 0o777, 0o700);
      for (const name of ['swarm.key', 'identity.key'])
        t.equal(statSync(join(made, 'mesh', name)).mode & 0o777, 0o600);
    }
    await joined(['--data-dir', restored, swarmKey]);
    const after = await openMeshFolder(restored, { randomBytes, logger });
    t.equal(after.id, before.id);
    t.same(after.lineage.slice(0, -1), before.lineage);
    t.equal(after.lineage.length, before.lineage.length + 1, 'a life more');
  },
);
