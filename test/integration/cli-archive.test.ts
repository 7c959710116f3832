/** The commands that read an archive, on one in a folder; replay, into a gateway. */
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import mqtt, { type IPublishPacket } from 'mqtt';
import t, { type Test } from 'tap';
import { FileObjectStore } from '../../bridge/archive/file-object-store.js';
import { openTarget } from '../../bridge/archive/target.js';
import { entryKey } from '../../bridge/archive/manifest.js';
import type { ArchiveRow } from '../../bridge/archive/row.js';
import { ArchiveWorld, ORIGIN, OTHER, rowOf, rowsOf, START_MS } from '../support/archive-world.js';
import { S3Server, type S3ServerOptions } from '../support/s3-server.js';
import { startServer } from '../support/server.js';
import { FakeWorld } from '../unit/cli/fake-world.js';
import { writeChunks } from '../../lib/cli/chunk-output.js';
import { CliRun, runHere } from './cli-in-process.js';
import { CliProcess } from './cli-process.js';

interface Archive {
  readonly folder: string;
  readonly url: string;
  readonly world: ArchiveWorld;
}

async function archive(t: Test, rows: readonly ArchiveRow[] = rowsOf(1, 9)): Promise<Archive> {
  const folder = join(t.testdir(), 'archive');
  const world = new ArchiveWorld(t, new FileObjectStore(folder));
  await world.cut(rows.at(-1)?.sequence ?? 0, rows);
  return { folder, url: pathToFileURL(folder).href, world };
}

const on = ({ url }: Archive, command: string, ...args: string[]) =>
  runHere(['archive', command, '--target', url, ...args]);

t.test('ls shows each gateway in a line, or every object', async (t) => {
  const found = await archive(t);
  await new ArchiveWorld(t, new FileObjectStore(found.folder), {}, OTHER).cut(3, rowsOf(1, 3));
  const { code, out, err } = await on(found, 'ls');
  t.strictSame([code, err], [0, '']);
  t.match(
    out,
    new RegExp(
      `^origin +entries.*\n${ORIGIN} +1 +3 +9 +\\S+ KiB +2026-11-29 +2026-11-29 +9 of life 1\n${OTHER}`,
    ),
  );
  const listed = JSON.parse((await on(found, 'ls', '--json', '--origin', 'AB')).out);
  t.match(listed, [{ origin: ORIGIN, entries: 1, objects: 3, rows: 9, firstDate: '2026-11-29', upTo: 9 }]);
  t.equal(listed.length, 1);
  const none = JSON.parse((await on(found, 'ls', '--json', '--to', '2026-11-29')).out);
  t.match(none, [{ entries: 0, rows: 0, firstDate: null, upTo: 9 }, {}]);
  const objects = await on(found, 'ls', '--objects', '-t', 'site/b/#');
  t.match(objects.out, /^data\/date=2026-11-29\/prefix=site%2Fb\/\S+  3 rows  .* KiB  entry 1: \(0, 9\]\n/);
  t.equal(objects.out.trim().split('\n').length, 2);
  const parsed = (await on(found, 'ls', '--objects', '--json')).out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.match(parsed[0], {
    origin: ORIGIN,
    epoch: 1,
    entry: 1,
    topic: 'site/a',
    rows: 3,
    sha256: /^[0-9a-f]{64}$/,
  });
});

t.test('cat prints lines of JSON, or what sub prints', async (t) => {
  const rows = [
    rowOf(1, { topic: 'a', retain: true }),
    rowOf(2, { topic: 'a', qos: 2, payload: Buffer.from('x y'), properties: '{"contentType":"text/plain"}' }),
    rowOf(3, { topic: 'a', qos: 0, payload: Buffer.from([0xff]) }),
    rowOf(4, { topic: 'b/c' }),
  ];
  const found = await archive(t, rows);
  const lines = (await on(found, 'cat')).out.trim().split('\n');
  t.match(
    lines.map((line) => JSON.parse(line)),
    [
      {
        time: '2026-11-29T00:00:01.000Z',
        site: 'harbour',
        origin: ORIGIN,
        epoch: 1,
        sequence: 1,
        retain: true,
        json: { n: 1 },
      },
      { qos: 2, text: 'x y', properties: { contentType: 'text/plain' } },
      { qos: 0, base64: '/w==' },
      { topic: 'b/c' },
    ],
  );
  t.equal((await on(found, 'cat', '-t', 'a', '-v', '--limit', '2')).out, 'a {"n":1}\na x y\n');
  t.equal((await on(found, 'cat', '-t', 'b/#', '--payload-only', '-N')).out, '{"n":4}');
  t.equal(
    (
      await on(
        found,
        'cat',
        '--from',
        '2026-11-29T00:00:02Z',
        '--to',
        '2026-11-29T00:00:03',
        '-F',
        '%t %q %C %l @s',
      )
    ).out,
    `a 2 text/plain 3 ${START_MS / 1000 + 2}\n`,
  );
  const strict = await on(found, 'cat', '-F', '%J', '-t', 'a', '--limit', '2');
  t.match(strict, { code: 0, out: /^\{.*"payload":\{"n":1\}\}\n$/, err: /not valid JSON, on topic "a"\n$/ });
  t.equal((await on(found, 'cat', '--to', '-1w', '--from', '-2w')).out, '');
});

t.test('what cannot be asked for is said, with the way out', async (t) => {
  const found = await archive(t);
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['--from', 'yesterday'], /--from must be a time of ISO 8601.*-3d.*not "yesterday"/],
    [['--from', '-1h', '--to', '-2h'], /--from is not before --to/],
    [['--origin', 'xyz'], /--origin "xyz" does not begin an id/],
    [['-t', 'a/#/b'], /--topic "a\/#\/b" is not a topic filter/],
    [['-v', '--payload-only'], /--verbose and --payload-only exclude each other/],
    [['--limit', '0'], /--limit must be a whole number from 1/],
    [['-F', '%y'], /-F: "%y" means nothing/],
    [
      ['--target', 'ftp://x'],
      /archive.target: "ftp:\/\/x" is not allowed: it must be file:\/\/\/FOLDER or s3:/,
    ],
  ];
  for (const [args, err] of cases)
    t.match(await on(found, 'cat', ...args), { code: 2, out: '', err }, args.join(' '));
  t.match(await on(found, 'cat', '--origin', 'ee'), {
    code: 1,
    err: /no gateway whose id begins with ee .*--target/,
  });
  const nowhere = pathToFileURL(join(found.folder, 'nowhere')).href;
  t.match(await runHere(['archive', 'ls', '--target', nowhere]), {
    code: 1,
    err: /there is no archive in file:\S+nowhere; archive.target/,
  });
  t.match(await runHere(['archive', 'verify', '--data-dir', found.folder]), {
    code: 1,
    err: /there is no archive in \S+\/archive\/archive;/,
  });
  t.match(await on(found, 'ls', '--set', 'archive.s3.caFile=/nowhere/ca.pem'), {
    code: 2,
    err: /cannot read \/nowhere\/ca\.pem, the value of archive\.s3\.caFile: ENOENT/,
  });
});

t.test('an object that is missing or was changed ends cat with its name', async (t) => {
  const found = await archive(t);
  const path = join(found.folder, found.world.keys[1] ?? '');
  const bytes = readFileSync(path);
  bytes[20] = (bytes[20] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const changed = await on(found, 'cat', '-v');
  t.match(changed, {
    code: 1,
    err: /data\/date=2026-11-29\/prefix=site%2Fb\/\S+ was changed in file:.*archive verify --deep/,
  });
  t.equal(changed.out.trim().split('\n').length, 3, 'what came before it is printed');
  rmSync(path);
  t.match(await on(found, 'cat'), { code: 1, err: /prefix=site%2Fb\/\S+ is missing in file:/ });
  writeFileSync(join(found.folder, entryKey(ORIGIN, 1)), '{}\n');
  t.match(await on(found, 'cat'), {
    code: 1,
    err: /entry 1 of the manifest of abab\w+ is no entry; "sprawl-edge archive verify"/,
  });
  rmSync(join(found.folder, entryKey(ORIGIN, 1)));
  writeFileSync(join(found.folder, `${entryKey(ORIGIN, 1)}.x`), '');
  rmSync(join(found.folder, 'manifest'), { recursive: true });
  writeFileSync(join(found.folder, 'manifest'), '');
  t.match(await on(found, 'ls'), { code: 1, err: /sprawl-edge: / });
});

t.test('cat whose reader goes away ends with 0', async (t) => {
  const found = await archive(t, rowsOf(1, 9000));
  const cat = new CliProcess(['archive', 'cat', '--target', found.url]);
  await once(cat.child.stdout ?? cat.child, 'data');
  cat.child.stdout?.destroy();
  t.match(await cat.ended, { code: 0, err: '' });
  const world = new FakeWorld();
  world.stdout.on('error', () => t.fail('whoever ends the process with 141 hears of it first'));
  await writeChunks(
    world,
    (async function* () {
      yield Buffer.alloc(100_000);
      const fail = (code: string) => (): boolean =>
        world.stdout.emit('error', Object.assign(new Error(`write ${code}`), { code }));
      t.throws(fail('EPIPE'), { message: 'exit 0' });
      t.throws(fail('ENOSPC'), { message: 'exit 1' });
    })(),
  );
  t.same(world.process.exits, [0, 1]);
  t.match(world.stderr.text, /cannot write to standard output: write ENOSPC\n$/);
  t.equal(world.stdout.listenerCount('error'), 1);
});

t.test('cat waits for a reader that is slow, until it goes away', async (t) => {
  let taken: () => void = () => undefined;
  const { stderr, process } = new FakeWorld();
  const stdout = new Writable({ write: (_chunk, _encoding, done) => void (taken = () => done()) });
  let count = 0;
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    for (; count < 3; count++) yield Buffer.alloc(100_000);
  };
  const written = writeChunks({ stdout, stderr, process }, chunks());
  for (const expected of [0, 1]) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    t.equal(count, expected);
    taken();
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  stdout.destroy();
  await written;
  t.equal(count, 3);
});

t.test('verify proves that an archive is complete, or names what is not', async (t) => {
  const found = await archive(t);
  t.match(await on(found, 'verify'), {
    code: 0,
    err: '',
    out: /\ncomplete, as far as manifests, names and lengths tell; --deep reads every row\n$/,
  });
  t.match(await on(found, 'verify', '--deep'), {
    code: 0,
    out: new RegExp(`\n${ORIGIN} +1 +3 +9 .*\ncomplete: every row`),
  });
  const folder = join(found.folder, 'data/date=2026-11-29');
  const [topic = ''] = readdirSync(folder);
  writeFileSync(join(folder, topic, 'litter.parquet'), 'litter');
  rmSync(join(found.folder, found.world.keys[2] ?? ''));
  const one = await on(found, 'verify', '--deep');
  t.equal(one.code, 1);
  t.match(one.out, /^damaged: data\/\S+site%2Fc\/\S+: is missing in file/m);
  t.match(one.out, /^note: data\/\S+litter.parquet: 6 bytes that no manifest names/m);
  t.match(one.out, /\none fault; 1 objects are litter; /);
  const json = await on(found, 'verify', '--json', '--origin', ORIGIN.slice(0, 5));
  t.equal(json.code, 1);
  t.match(JSON.parse(json.out), {
    ...{ deep: false, complete: false, faults: 1, litter: 0 },
    origins: [{ origin: ORIGIN, faultCount: 1 }],
    findings: [{ kind: 'object', fault: true, key: found.world.keys[2], positions: null }],
  });
});

t.test('compact makes one file of several, and removes them after the grace', async (t) => {
  const found = await archive(t);
  await found.world.cut(18, rowsOf(10, 18));
  await found.world.cut(27, rowsOf(19, 27));
  const lines = (out: string): string[] => out.trim().split('\n').sort();
  const before = lines((await on(found, 'cat')).out);
  t.equal(before.length, 27);
  const dry = await on(found, 'compact', '--dry-run');
  t.match(dry, {
    code: 0,
    err: '',
    out: new RegExp(`\n${ORIGIN} +1 +3 +9 \\(.*\nnothing was done: --dry-run\n$`),
  });
  t.equal(lines((await on(found, 'ls', '--objects')).out).length, 9);
  const done = await on(found, 'compact');
  t.match(done, { code: 0, err: '' });
  t.match(
    done.out,
    new RegExp(`\n${ORIGIN} +1 +3 +9 \\(\\S+ KiB\\) +3 \\(\\S+ KiB\\) +0 \\(0 bytes\\) .* 9 \\(`),
  );
  t.match(
    done.out,
    /: 9 replaced objects stay for those who read them; a run after 20\S+Z removes all of them\n$/,
  );
  t.match(lines((await on(found, 'ls', '--objects')).out), [
    /prefix=site%2Fa\/\S+-m1-\S+  9 rows  .* KiB  entries 1 to 3: \(0, 27\]$/,
    ...[/site%2Fb/, /site%2Fc/],
  ]);
  t.match(JSON.parse((await on(found, 'ls', '--json')).out), [
    { entries: 3, objects: 3, rows: 27, upTo: 27 },
  ]);
  t.match(await on(found, 'verify', '--deep'), { code: 0, out: /note: data\S+: \d+ bytes that merge 1 of/ });
  const removed = JSON.parse((await on(found, 'compact', '--grace', '0s', '--json')).out);
  t.match(removed, {
    dryRun: false,
    origins: [{ origin: ORIGIN, merges: 0, removed: { replaced: { objects: 9 }, waitsUntil: null } }],
  });
  t.same(lines((await on(found, 'cat')).out), before);
  t.notMatch((await on(found, 'verify', '--deep')).out, /note|damaged/);
  const { port, got, until } = await listener(t);
  t.match(await on(found, 'replay', '-h', '127.0.0.1', '-p', port, '--speed', 'max'), { code: 0 });
  await until(27);
  t.same(
    got.map(({ payload }) => (JSON.parse(payload) as { n: number }).n),
    Array.from({ length: 27 }, (_, n) => n + 1),
    'in order, across merged files',
  );
});

t.test('compact says what cannot be', async (t) => {
  const found = await archive(t);
  t.match(await on(found, 'compact', '--grace', 'soon'), {
    code: 2,
    err: /--grace must be how long, such as 90s/,
  });
  t.match(await on(found, 'compact', '--min-bytes', '2', '--target-bytes', '1'), {
    code: 2,
    err: /--min-bytes is more/,
  });
  t.match(await on(found, 'compact', '--target-bytes', '0'), {
    code: 2,
    err: /--target-bytes must be a whole number/,
  });
  await found.world.cut(18, rowsOf(10, 18));
  rmSync(join(found.folder, found.world.keys[4] ?? ''));
  t.match(await on(found, 'compact'), {
    code: 1,
    err: /prefix=site%2Fb\/\S+ is missing in file:.*archive verify --deep/,
  });
});

t.test('compact that has no place for its files names the folder, and replaces nothing', async (t) => {
  const found = await archive(t);
  await found.world.cut(18, rowsOf(10, 18));
  const before = process.env['TMPDIR'];
  t.teardown(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
  process.env['TMPDIR'] = join(found.folder, 'none');
  t.match(await on(found, 'compact'), {
    code: 1,
    err: /^sprawl-edge: cannot build files below \S+\/none: it takes none \(ENOENT\); TMPDIR names another/,
  });
  t.match(JSON.parse((await on(found, 'ls', '--json')).out), [{ entries: 2, objects: 6 }]);
});

/** A bucket and its archive; `at`: options of a command that reads it. */
async function bucketArchive(t: Test, options: S3ServerOptions) {
  const server = new S3Server(options);
  await server.listen();
  t.teardown(() => server.close());
  const own = { AWS_ACCESS_KEY_ID: 'AKTEST', AWS_SECRET_ACCESS_KEY: 'very secret' };
  const before = { ...process.env };
  Object.assign(process.env, own);
  t.teardown(() => {
    for (const name of Object.keys(own)) delete process.env[name];
    Object.assign(process.env, before);
  });
  const config = { target: 's3://bucket/plant', s3: { endpoint: server.endpoint, region: 'eu-central-1' } };
  const { objects, close } = await openTarget({
    target: config.target,
    s3: { ...config.s3, timeoutMs: 10_000, partBytes: 8_000_000 },
  });
  const at = [
    ...['--target', config.target, '--set', `archive.s3.endpoint=${server.endpoint}`],
    ...['--set', 'archive.s3.region=eu-central-1'],
  ];
  return { server, objects, close, at };
}

t.test('compact warns where a number can be taken twice', async (t) => {
  const { objects, close, at } = await bucketArchive(t, { conditional: 'ignored' });
  const world = new ArchiveWorld(t, objects);
  for (let upTo = 9; upTo <= 27; upTo += 9) await world.cut(upTo, rowsOf(upTo - 8, upTo));
  close();
  t.match(await runHere(['archive', 'compact', '--dry-run', ...at]), { code: 0, err: '' });
  const { code, err, out } = await runHere(['archive', 'compact', ...at]);
  t.match(err, /^warning: s3:.* cannot tell whether it has an object: run one "archive compact" at a time/);
  t.equal(code, 0);
  t.match(out, new RegExp(`\n${ORIGIN} +1 +3 +9 `));
});

t.test('an archive in a bucket is read, and its credentials are never shown', async (t) => {
  const { server, objects, close, at } = await bucketArchive(t, { pageMaxKeys: 2 });
  await new ArchiveWorld(t, objects).cut(9, rowsOf(1, 9));
  await new ArchiveWorld(t, objects, {}, OTHER).cut(3, rowsOf(1, 3));
  close();
  t.match(await runHere(['archive', 'cat', '--payload-only', ...at]), {
    code: 0,
    out: /^(\{"n":\d\}\n){12}$/,
  });
  t.match(await runHere(['archive', 'verify', '--deep', ...at]), { code: 0, out: /\ncomplete: every row/ });
  server.fault = () => ({ kind: 'answer', status: 403, code: 'AccessDenied' });
  const denied = await runHere(['archive', 'ls', ...at]);
  t.match(denied, { code: 1, err: /AccessDenied.*: may this user, or these credentials, read it\?/ });
  t.notMatch(denied.err, /very secret|AKTEST/);
});

t.test('of very many findings the first are told', async (t) => {
  const found = await archive(t);
  for (let n = 0; n < 1005; n++) writeFileSync(join(found.folder, `data/${n}.parquet`), '');
  const { code, out } = await on(found, 'verify');
  t.equal(code, 0);
  t.equal(out.match(/^note: /gm)?.length, 1000);
  t.match(out, /\nand 5 more of the kind "litter"\n/);
});

interface Received {
  readonly topic: string;
  readonly payload: string;
  readonly packet: IPublishPacket;
}

const nextMessage = (client: mqtt.MqttClient): Promise<string> =>
  new Promise((resolve) =>
    client.once('message', (topic, payload) => resolve(`${topic} ${payload.toString()}`)),
  );

/** A gateway, and what a subscriber to everything gets. */
async function listener(
  t: Test,
): Promise<{ port: string; got: Received[]; until(count: number): Promise<void> }> {
  const server = await startServer(t, {});
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.port}`, { protocolVersion: 5 });
  t.teardown(() => client.endAsync(true));
  const got: Received[] = [];
  client.on('message', (topic, payload, packet) => got.push({ topic, payload: payload.toString(), packet }));
  await client.subscribeAsync('#', { qos: 2, rap: true });
  const until = async (count: number): Promise<void> => {
    while (got.length < count) await nextMessage(client);
  };
  return { port: String(server.port), got, until };
}

t.test('replay publishes what was archived, in order, with QoS and properties', async (t) => {
  const properties = JSON.stringify({
    ...{ payloadFormatIndicator: 1, contentType: 'text/plain', responseTopic: 'answers' },
    ...{ correlationData: Buffer.from([1, 2]).toString('base64') },
    userProperties: [['k', 'v'], ['k', 'w'], [1]],
  });
  const rows = rowsOf(1, 200).map((row) => ({ ...row, qos: row.sequence % 3, retain: row.sequence === 6 }));
  const found = await archive(
    t,
    rows.map((row) => (row.sequence === 5 ? { ...row, properties } : row)),
  );
  const { port, got, until } = await listener(t);
  const at = ['-h', '127.0.0.1', '-p', port, '--speed', 'max'];
  const first = await on(found, 'replay', ...at, '-V', '5', '-M', '7');
  t.match(first, { code: 0, out: '', err: '200 messages were published\n' });
  await until(200);
  t.same(
    got
      .filter(({ packet }) => packet.qos === 1)
      .map(({ payload }) => (JSON.parse(payload) as { n: number }).n),
    rows.filter(({ qos }) => qos === 1).map(({ sequence }) => sequence),
  );
  t.notOk(got.some(({ packet }) => packet.retain));
  const fifth = got.find(({ payload }) => payload === '{"n":5}');
  t.match(fifth, { topic: 'replay/site/c', packet: { qos: 2, retain: false } });
  const given = got.find(({ packet }) => packet.properties?.contentType !== undefined)?.packet.properties;
  t.match(given, { payloadFormatIndicator: true, contentType: 'text/plain', responseTopic: 'answers' });
  t.same({ ...given?.userProperties }, { k: ['v', 'w'] });
  t.same([...(given?.correlationData ?? [])], [1, 2]);

  got.length = 0;
  const some = ['-t', 'site/a', '--to', '2026-11-29T00:00:10Z', '--prefix', '', '--retain'];
  t.match(await on(found, 'replay', ...at, ...some), { code: 0, err: '3 messages were published\n' });
  await until(3);
  t.same(
    got.map(({ topic }) => topic),
    ['site/a', 'site/a', 'site/a'],
  );
  const late = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`);
  t.teardown(() => late.endAsync(true));
  const retained = nextMessage(late);
  await late.subscribeAsync('site/#');
  t.equal(await retained, 'site/a {"n":6}');
});

t.test('replay keeps the pauses', async (t) => {
  const rows = [0, 20, 300].map((ms, n) => rowOf(n + 1, { timeMs: START_MS + ms }));
  const found = await archive(t, rows);
  const { port } = await listener(t);
  const startedMs = performance.now();
  await on(found, 'replay', '-h', '127.0.0.1', '-p', port);
  t.ok(performance.now() - startedMs >= 299);
});

t.test('replay that is interrupted says where to go on', async (t) => {
  const rows = [rowOf(1), rowOf(2), rowOf(3, { timeMs: START_MS + 3_600_000 })];
  const found = await archive(t, rows);
  const { port, until } = await listener(t);
  const at = ['-h', '127.0.0.1', '-p', port];
  const run = new CliRun(['archive', 'replay', '--target', found.url, ...at, '--speed', '1000']);
  await until(2);
  run.world.process.send('SIGINT');
  t.match(await run.ended, {
    code: 130,
    err: 'interrupted; 2 messages were published; the rest: --from 2026-11-29T00:00:02.000Z (what is of this millisecond comes once more)\n',
  });
  const rest = await on(found, 'replay', ...at, '--speed', 'max', '--from', '2026-11-29T00:00:02.000Z');
  t.match(rest, { code: 0, err: '2 messages were published\n' });
});

t.test('replay that is interrupted before it is connected, or finds anything, ends', async (t) => {
  const found = await archive(t);
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.teardown(() => silent.close());
  const { port: silentPort } = silent.address() as AddressInfo;
  const accepted = once(silent, 'connection');
  const run = new CliRun([
    'archive',
    'replay',
    '--target',
    found.url,
    '-h',
    '127.0.0.1',
    '-p',
    `${silentPort}`,
  ]);
  const [socket] = (await accepted) as [Socket];
  run.world.process.send('SIGINT');
  t.match(await run.ended, { code: 130 });
  socket.destroy();
  const { port } = await listener(t);
  const late = new CliRun([
    'archive',
    'replay',
    '--target',
    found.url,
    '-h',
    '127.0.0.1',
    '-p',
    port,
    '-t',
    'x',
    '-d',
  ]);
  await late.told('CONNACK');
  late.world.process.send('SIGTERM');
  t.match(await late.ended, { code: 143, err: /interrupted before the first message\n$/ });
});

t.test('replay that a broker owes an acknowledgement is ended by a second signal', async (t) => {
  const found = await archive(t);
  // Lets everybody in and acknowledges nothing.
  const mute = createServer((socket) => {
    socket.once('data', () => socket.write(Buffer.from([0x20, 2, 0, 0])));
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  t.teardown(() => mute.close());
  const { port } = mute.address() as AddressInfo;
  const at = ['-h', '127.0.0.1', '-p', `${port}`, '--speed', 'max', '-M', '3', '-d'];
  const run = new CliRun(['archive', 'replay', '--target', found.url, ...at]);
  await run.told('replay/site/a'); // The third one.
  run.world.process.send('SIGTERM');
  run.world.process.send('SIGINT');
  t.match(await run.ended, {
    code: 143,
    err: /\ninterrupted; 0 messages were published, 3 more were not acknowledged; these and the rest: --from 2026-11-29T00:00:01\.000Z \(/,
  });
});

t.test('replay says what cannot be', async (t) => {
  const found = await archive(t);
  const { port } = await listener(t);
  const at = ['-h', '127.0.0.1', '-p', port];
  t.match(await on(found, 'replay', ...at, '--speed', 'fast'), {
    code: 2,
    err: /--speed must be original, max, or a number/,
  });
  t.match(await on(found, 'replay', ...at, '--prefix', 'a/#'), {
    code: 2,
    err: /--prefix "a\/#" begins no topic/,
  });
  t.match(await on(found, 'replay', '-h', '127.0.0.1', '-p', '1'), {
    code: 1,
    err: /^Error: cannot connect to 127.0.0.1:1: /,
  });
  rmSync(join(found.folder, found.world.keys[0] ?? ''));
  t.match(await on(found, 'replay', ...at), { code: 1, err: /prefix=site%2Fa\/\S+ is missing/ });
});

t.test('replay to a broker that goes away for good ends', async (t) => {
  const found = await archive(t, [rowOf(1), rowOf(2, { timeMs: START_MS + 3_600_000 })]);
  const server = await startServer(t, {
    users: { alice: 'secret' },
    acl: 'user alice\ntopic write other/#\n',
    anonymous: false,
  });
  const at = ['-h', '127.0.0.1', '-p', String(server.port), '-u', 'alice', '-P', 'secret', '-V', '5'];
  t.match(await on(found, 'replay', ...at), {
    code: 135,
    err: /^Error: publishing to "replay\/site\/b" was refused: not authorized/,
  });
});
