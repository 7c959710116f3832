/** Gateways that archive: into a folder, into a store that is away for a while, beyond what may wait, and from an old copy of their data. */
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as elapse } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { DuckDBInstance } from '@duckdb/node-api';
import t, { type Test } from 'tap';
import { FileObjectStore } from '../../bridge/archive/file-object-store.js';
import { Manifest } from '../../bridge/archive/manifest.js';
import type { ManifestEntry } from '../../bridge/archive/manifest-entry.js';
import { EVERYTHING } from '../../bridge/archive/reading/object-place.js';
import { queryArchive } from '../../lib/archive-query.js';
import { parseConfig } from '../../lib/config/index.js';
import type { ArchivesStatus } from '../../lib/contracts/archive-status.js';
import { parseGatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogFields } from '../../lib/contracts/logger.js';
import { createGateway } from '../../lib/gateway.js';
import { nullLogger } from '../support/null-logger.js';
import { RawClient } from '../support/raw-client.js';
import { S3Server } from '../support/s3-server.js';
import { runHere } from './cli-in-process.js';

const SOON_MS = 20_000;
const QUOTA_EXCEEDED = 0x97;
/** It is stored, and nobody has subscribed to it. */
const TAKEN = 0x10;

interface Running {
  readonly port: number;
  readonly url: string;
  readonly said: readonly string[];
  status(): Promise<ArchivesStatus>;
  get(path: string): Promise<Response>;
  reload(): Promise<void>;
  stop(): Promise<void>;
}

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-archive-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function start(
  t: Test,
  folder: string,
  archive: Readonly<Record<string, unknown>> = {},
  more: Readonly<Record<string, unknown>> = {},
): Promise<Running> {
  const said: string[] = [];
  const say = (message: string, fields?: LogFields): void => {
    said.push(`${message} ${JSON.stringify(fields)}`);
  };
  const config = parseConfig({
    overrides: {
      dataDir: join(folder, 'data'),
      listeners: { mqttPort: 0, wsPort: false },
      http: { port: 0 },
      mesh: { site: 'harbour' },
      archive: { topics: ['site/#'], fileMaxAgeS: 1, ...archive },
      ...more,
    },
  });
  const gateway = await createGateway({ config, logger: { ...nullLogger, warn: say, error: say } });
  await gateway.start();
  const stop = (): Promise<void> => gateway.stop({ drainTimeoutMs: 0 });
  t.teardown(stop);
  const get = (path: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${gateway.addresses['http']?.port ?? 0}${path}`);
  return {
    port: gateway.addresses['mqtt']?.port ?? 0,
    url: `http://127.0.0.1:${gateway.addresses['http']?.port ?? 0}`,
    ...{ said, get, stop, reload: () => gateway.reload() },
    status: async () => (await (await get('/api/v1/archive')).json()) as ArchivesStatus,
  };
}

async function until(
  gateway: Running,
  what: string,
  holds: (status: ArchivesStatus) => boolean,
): Promise<ArchivesStatus> {
  const deadline = performance.now() + SOON_MS;
  for (;;) {
    const status = await gateway.status();
    if (holds(status)) return status;
    if (performance.now() > deadline) throw new Error(`not soon: ${what}: ${JSON.stringify(status)}`);
    await elapse(20);
  }
}

async function publish(
  t: Test,
  { port }: Running,
  from: number,
  to: number,
  properties: { readonly messageExpiryInterval?: number } = {},
): Promise<number[]> {
  const client = await RawClient.connect(t, port, { version: 5 });
  const codes: number[] = [];
  for (let n = from; n <= to; n++) {
    const answer = await client.publish('site/a/state', `{"n":${n}}`, { qos: 1, properties });
    codes.push(answer?.type === 'puback' ? answer.reasonCode : -1);
  }
  await client.disconnect();
  return codes;
}

async function query(folder: string, sql: string): Promise<readonly unknown[]> {
  const database = await (await DuckDBInstance.create()).connect();
  const files = `read_parquet('${folder}/data/archive/data/**/*.parquet', hive_partitioning=true)`;
  return (await database.runAndReadAll(sql.replace('archive', files))).getRowObjectsJson();
}

async function entriesOf(folder: string, archive = 'data/archive'): Promise<ManifestEntry[]> {
  const root = join(folder, archive);
  const entries: ManifestEntry[] = [];
  for (const name of readdirSync(join(root, 'manifest'))) {
    const origin = parseGatewayId(name);
    if (origin === undefined) throw new Error(`${name} is no gateway`);
    for await (const entry of new Manifest(new FileObjectStore(root), origin).read()) entries.push(entry);
  }
  return entries;
}

/** The archive has of the log of the gateway what it says that it has. @returns what is told beside */
async function agrees(t: Test, { url }: Running, target: string): Promise<string> {
  const { code, out } = await runHere(['archive', 'verify', '--log', '--url', url, '--target', target]);
  t.equal(code, 0, out);
  return out;
}

const COUNT = `select count(*)::int as rows, count(distinct json)::int as numbers, max(epoch)::int as epoch from archive`;

t.setTimeout(120_000);

// Most of the time each of them waits for something to be old enough.
t.jobs = 4;

t.test('what clients publish is in the folder soon, and a query finds it', async (t) => {
  const folder = folderOf(t);
  const first = await start(t, folder, { columns: ['n=n:integer'] });
  await publish(t, first, 1, 20);
  const client = await RawClient.connect(t, first.port, { version: 5 });
  await client.publish('elsewhere/x', 'not archived', { qos: 1 });
  await client.publish('site/b', 'not json', { qos: 2 });
  await client.disconnect();
  const status = await until(
    first,
    'all is archived',
    ({ rows, backlog, state }) => rows === 21 && backlog.bytes < 1000 && state === 'idle',
  );
  t.match(status, { state: 'idle', reason: null, failures: 0, dropped: 0, backlog: { isFull: false } });
  await first.stop();
  const second = await start(t, folder, { columns: ['n=n:integer'] });
  await publish(t, second, 21, 25);
  await until(second, 'the rest is archived', ({ rows, state }) => rows === 5 && state === 'idle');
  t.same(
    await query(
      folder,
      'select sum(n)::int as sum, count(*)::int as rows, any_value(site) as site from archive',
    ),
    [{ sum: 325, rows: 26, site: 'harbour' }],
  );
  t.same(await query(folder, `select payload::varchar as payload, qos, json from archive where n is null`), [
    { payload: 'not json', qos: 2, json: null },
  ]);
  const page = await (await second.get('/metrics')).text();
  t.match(page, /^sprawl_archive_rows_total\{target="first"\} 5$/m);
  t.match(page, /^sprawl_archive_state\{target="first",state="idle"\} 1$/m);
  t.match(await (await second.get('/status')).json(), { archive: { rows: 5 } });
  const found = await second.get('/api/v1/archive/messages?topic=site/%2B/state&limit=22');
  const lines = (await found.text()).trim().split('\n');
  t.same(
    lines.map((line) => (JSON.parse(line) as { json: { n: number } }).json.n),
    Array.from({ length: 22 }, (_, i) => i + 1),
  );
  t.equal((await second.get('/api/v1/archive/messages?from=tomorrow')).status, 400);

  // Its thread may fail while nobody waits for it.
  const begun = once(process, 'worker') as Promise<[Worker]>;
  const config = parseConfig({ overrides: { dataDir: join(folder, 'data') } });
  const pages = queryArchive(config, { ...EVERYTHING, limit: 1, signal: AbortSignal.timeout(SOON_MS) });
  t.equal((await pages.next()).done, false);
  const [worker] = await begun;
  worker.emit('error', new Error('out of memory'));
  await t.rejects(pages.next(), /out of memory/);
});

t.test('a gateway with nothing to archive writes no entries', async (t) => {
  const folder = folderOf(t);
  const gateway = await start(t, folder);
  await publish(t, gateway, 1, 1);
  await until(gateway, 'it is archived', ({ rows }) => rows === 1);
  const { tip } = await until(gateway, 'nothing waits', ({ backlog }) => backlog.positions === 0);
  // The record of the cut itself has come and was passed over: as long again shows no other.
  await elapse(1500);
  t.same((await gateway.status()).tip, tip);
  t.equal((await entriesOf(folder)).length, 1);
});

t.test('what comes while the store is away waits in the log, and goes when it is back', async (t) => {
  const folder = folderOf(t);
  const store = new S3Server();
  await store.listen();
  t.teardown(() => store.close());
  process.env['AWS_ACCESS_KEY_ID'] = 'AKTEST';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'very secret';
  store.fault = () => ({ kind: 'answer', status: 403, code: 'AccessDenied' });
  const archive = {
    target: 's3://bucket/site',
    fileMaxCount: 10,
    s3: { endpoint: store.endpoint, region: 'eu-west-1', timeoutMs: 1000 },
  };
  // Nothing but the archive holds the log: not its size, not its age, and not that nobody may get the messages any more.
  const nothing = { keepMaxBytes: 0, keepMaxAgeS: 0 };
  const small = { storage: { ...nothing, segmentMaxBytes: 65_536, checkpointEveryBytes: 65_536 } };
  const first = await start(t, folder, archive, small);
  await publish(t, first, 1, 25, { messageExpiryInterval: 1 });
  const expiredAt = performance.now() + 1000;
  const failing = await until(first, 'it fails', ({ state }) => state === 'failing');
  t.match(failing.reason, /s3:\/\/bucket\/site.*AccessDenied|AccessDenied/);
  t.match(first.said.join('\n'), /messages cannot be archived; they stay in the log/);
  t.notMatch(JSON.stringify(failing) + first.said.join(), /very secret/);
  await until(first, 'all have expired', () => performance.now() > expiredAt);
  await first.stop();
  store.fault = () => undefined;
  const second = await start(t, folder, archive, small);
  await until(second, 'all is archived', ({ rows }) => rows === 25);
  const objects = [...store.objects.keys()];
  t.ok(
    objects.every((key) => /^site\/(?:data|manifest)\//.test(key)),
    objects.join(),
  );
  t.ok(objects.filter((key) => key.includes('/entries/')).length >= 3, 'at most ten in each');
});

t.test('what is archived already does not wait, also before the store has said so', async (t) => {
  const folder = folderOf(t);
  const store = new S3Server();
  await store.listen();
  t.teardown(() => store.close());
  const archive = {
    ...{ target: 's3://bucket/site', backlogMaxBytes: 2000 },
    s3: { endpoint: store.endpoint, region: 'eu-west-1', timeoutMs: 1000 },
  };
  const first = await start(t, folder, archive);
  for (let n = 1; n <= 60; n += 20) {
    await publish(t, first, n, n + 19);
    await until(
      first,
      'they are archived',
      ({ rows, backlog }) => rows === n + 19 && backlog.positions === 0,
    );
  }
  await first.stop();
  store.fault = () => ({ kind: 'answer', status: 503, code: 'SlowDown' });
  const second = await start(t, folder, archive);
  const failing = await until(second, 'it fails', ({ state }) => state === 'failing');
  t.equal(failing.tip, null, 'nothing is known of the archive');
  t.ok(failing.backlog.bytes < 1000, `${failing.backlog.bytes} bytes wait`);
  t.equal((await second.get('/readyz')).status, 200);
  t.same(await publish(t, second, 61, 61), [TAKEN]);
});

t.test('beyond what may wait messages are refused, until the archive has taken them', async (t) => {
  const folder = folderOf(t);
  const store = new S3Server();
  await store.listen();
  t.teardown(() => store.close());
  store.fault = () => ({ kind: 'answer', status: 403, code: 'AccessDenied' });
  const gateway = await start(t, folder, {
    ...{ target: 's3://bucket/site', backlogMaxBytes: 2000, fileMaxCount: 5 },
    s3: { endpoint: store.endpoint, region: 'eu-west-1', timeoutMs: 1000 },
  });
  // On a slow machine it is seen to be full before the last of them.
  const taken = (await publish(t, gateway, 1, 40)).filter((code) => code === TAKEN).length;
  const full = await until(gateway, 'it is full', ({ backlog }) => backlog.isFull);
  t.equal(full.backlog.whenFull, 'refuse');
  const ready = await gateway.get('/readyz');
  t.equal(ready.status, 503);
  t.match(await ready.text(), /archive: \d+ % of archive\.backlogMaxBytes wait, messages are refused/);
  t.same(await publish(t, gateway, 41, 41), [QUOTA_EXCEEDED]);
  t.match(gateway.said.join('\n'), /messages are refused until the archive has taken/);
  store.fault = () => undefined;
  await until(gateway, 'there is room', ({ backlog }) => !backlog.isFull);
  t.same(await publish(t, gateway, 41, 41), [TAKEN]);
  await until(gateway, 'all is archived', ({ rows }) => rows === taken + 1);
  t.equal((await gateway.get('/readyz')).status, 200);
});

t.test('where the oldest is given up instead, the manifest says what', async (t) => {
  const folder = folderOf(t);
  const closed = { uploadHours: ['00:00-00:00'], backlogMaxBytes: 20_000, whenFull: 'drop' };
  const small = { storage: { segmentMaxBytes: 65_536, checkpointEveryBytes: 65_536 } };
  const first = await start(t, folder, closed, small);
  await publish(t, first, 1, 400);
  const dropped = await until(first, 'something is given up', (status) => status.dropped > 0);
  t.match(dropped, { state: 'waiting', reason: /archive\.uploadHours/ });
  t.match(first.said.join('\n'), /the oldest is given up/);
  t.same(await publish(t, first, 401, 401), [TAKEN], 'nothing is refused');
  await first.stop();
  const second = await start(t, folder, {}, small);
  await until(second, 'all is archived', ({ backlog, rows }) => rows > 0 && backlog.positions === 0);
  const entries = await entriesOf(folder);
  const lost = entries.flatMap((entry) => entry.lost);
  const count = lost.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  t.equal(entries[0]?.after, 0);
  t.ok(count > 0, 'it is told as lost');
  const rows = entries.reduce((sum, entry) => sum + entry.rows, 0);
  t.ok(rows < 401 && rows + count >= 401, `${rows} rows and ${count} lost positions of 401 messages`);
  t.match(
    await agrees(t, second, `file://${join(folder, 'data/archive')}`),
    `: ${rows} messages are in the archive`,
  );
});

t.test('another archive begins behind what went to the one before, which tells what it missed', async (t) => {
  const folder = folderOf(t);
  const target = `file://${join(folder, 'other')}`;
  const first = await start(t, folder);
  await publish(t, first, 1, 5);
  await until(first, 'five are archived', ({ rows, backlog }) => rows === 5 && backlog.positions === 0);
  await first.stop();
  const second = await start(t, folder, { target });
  await publish(t, second, 6, 9);
  await until(
    second,
    'four are in the other one',
    ({ rows, backlog }) => rows === 4 && backlog.positions === 0,
  );
  await second.stop();
  const third = await start(t, folder);
  await publish(t, third, 10, 12);
  await until(
    third,
    'three more are in the first one',
    ({ rows, backlog }) => rows === 3 && backlog.positions === 0,
  );
  const [one, ...more] = await entriesOf(folder);
  t.match(one, { after: 0, rows: 5, lost: [] });
  t.equal(more[0]?.after, one?.upTo);
  t.equal(
    more.reduce((sum, { rows }) => sum + rows, 0),
    3,
  );
  const lost = more.flatMap((entry) => entry.lost).reduce((sum, [from, to]) => sum + to - from + 1, 0);
  t.ok(lost >= 4, 'what the other one has');
  const [begin, ...rest] = await entriesOf(folder, 'other');
  t.same(rest, []);
  t.ok((begin?.after ?? 0) >= (one?.upTo ?? Infinity), 'nothing is claimed that is not there');
  t.match(
    await agrees(t, third, `file://${join(folder, 'data/archive')}`),
    ': 8 messages are in the archive',
  );
  t.match(await agrees(t, third, target), /archive begins behind(.*\n)*.*: 4 messages are in the archive/);
  t.match(begin, { rows: 4, lost: [] });
});

t.test(
  'an archive that is not there at the start is not begun anew, and goes on when it is back',
  async (t) => {
    const folder = folderOf(t);
    const [there, away] = [join(folder, 'disk'), join(folder, 'unmounted')];
    const archive = { target: pathToFileURL(there).href };
    const first = await start(t, folder, archive);
    await publish(t, first, 1, 3);
    await until(first, 'all is archived', ({ tip }) => tip?.number === 1);
    await first.stop();

    renameSync(there, away);
    mkdirSync(there);
    const second = await start(t, folder, archive);
    await publish(t, second, 4, 6);
    const { reason, tip, backlog } = await until(second, 'it fails', ({ state }) => state === 'failing');
    t.match(reason, /entry 1 .*is missing here, and it had written it: .*its disk is mounted/);
    t.same(readdirSync(there), [], 'nothing is written');
    t.equal(tip, null);
    t.ok(Number.isInteger(backlog.bytes), `${backlog.bytes} bytes wait`);

    rmSync(there, { recursive: true });
    renameSync(away, there);
    // It looks once a minute, and at a start.
    await second.stop();
    const third = await start(t, folder, archive);
    await until(third, 'it goes on', ({ tip, backlog }) => (tip?.number ?? 0) > 1 && backlog.positions === 0);
    t.match(await agrees(t, third, archive.target), ': 6 messages are in the archive');
    await third.stop();

    // Somebody wants a new one: it begins where the other one ends.
    const elsewhere = join(folder, 'new');
    const fourth = await start(t, folder, { target: pathToFileURL(elsewhere).href });
    await publish(t, fourth, 7, 9);
    await until(fourth, 'a new one begins', ({ tip }) => tip?.number === 1);
    t.ok(existsSync(join(elsewhere, 'manifest')));
  },
);

t.test('an archive that was moved with all that is in it goes on, and tells nothing as lost', async (t) => {
  const folder = folderOf(t);
  const [old, moved] = [join(folder, 'old'), join(folder, 'moved')];
  const first = await start(t, folder, { target: pathToFileURL(old).href });
  await publish(t, first, 1, 3);
  await until(first, 'all is archived', ({ tip, backlog }) => tip?.number === 1 && backlog.positions === 0);
  // A session is behind the last entry, and nothing that is archived.
  const client = await RawClient.connect(t, first.port, {
    version: 5,
    clientId: 'stays',
    properties: { sessionExpiryInterval: 60 },
  });
  await client.disconnect();
  await until(first, 'it is behind the end', ({ backlog }) => backlog.positions > 0);
  await until(first, 'it makes no entry', ({ backlog }) => backlog.positions === 0);
  await first.stop();
  renameSync(old, moved);
  const target = pathToFileURL(moved).href;
  const second = await start(t, folder, { target });
  await publish(t, second, 4, 6);
  await until(second, 'it goes on', ({ tip, backlog }) => (tip?.number ?? 0) > 1 && backlog.positions === 0);
  t.match(await agrees(t, second, target), ': 6 messages are in the archive');
  const entries = await entriesOf(folder, 'moved');
  t.same(
    entries.map(({ lost }) => lost),
    entries.map(() => []),
  );
});

t.test('a gateway that was lost gets back what it retained', async (t) => {
  const folder = folderOf(t);
  const first = await start(t, folder, { topics: ['#'] });
  const client = await RawClient.connect(t, first.port, { version: 5 });
  const retain = true;
  const properties = { contentType: 'text/plain' };
  await client.publish('site/a', 'old', { qos: 1, retain });
  await client.publish('site/a', 'new', { qos: 2, retain, properties });
  await client.publish('site/b', 'zero', { qos: 0, retain });
  await client.publish('site/gone', 'removed', { qos: 1, retain });
  await client.publish('site/gone', '', { qos: 1, retain });
  await client.publish('site/plain', 'not retained', { qos: 1 });
  await client.disconnect();
  await until(first, 'all is archived', ({ rows, backlog }) => rows === 6 && backlog.positions === 0);
  await first.stop();
  const lost = join(folder, 'lost');
  cpSync(join(folder, 'data'), lost, { recursive: true });
  rmSync(join(folder, 'data'), { recursive: true });
  const target = pathToFileURL(join(lost, 'archive')).href;
  const args = ['restore', '--from-archive', '--target', target, '--data-dir', join(folder, 'data')];
  t.match(await runHere(args), {
    code: 0,
    out: /: 2 retained messages, and 6 that can be looked up, of 6 messages\n$/,
  });
  t.match(await runHere(args), { code: 2, err: /holds data: restore to another folder/ });
  t.match(await runHere([...args, '--origin', '00']), { code: 2 }, 'and for any origin');
  t.match(await runHere([...args, '--force']), {
    code: 2,
    err: /FOLDER of a backup; move .*data aside yourself/,
  });
  for (const [option, value] of [
    ['--origin', '00'],
    ['--target', target],
  ] as const)
    t.match(await runHere(['restore', lost, option, value]), {
      code: 2,
      err: new RegExp(`${option} goes with --from-archive`),
    });
  t.match(await runHere(['restore', '--data-dir', lost]), {
    code: 2,
    err: /FOLDER of a backup, or --from-archive/,
  });
  const second = await start(t, folder, { topics: ['#'], target });
  const reader = await RawClient.connect(t, second.port, { version: 5 });
  await reader.subscribe('#', { qos: 2 });
  const found = [await reader.expect('publish'), await reader.expect('publish')];
  const [a, b] = found.sort((x, y) => (x.topic < y.topic ? -1 : 1));
  t.match(a, { topic: 'site/a', payload: 'new', qos: 2, retain: true, properties });
  t.match(b, { topic: 'site/b', qos: 0, retain: true });
  await until(second, 'nothing waits', ({ state, backlog }) => state === 'idle' && backlog.positions < 3);
  t.equal((await second.status()).rows, 0, 'what was restored is not archived again');
});

t.test('a copy goes on while the first archive is out of reach, and holds the same', async (t) => {
  const folder = folderOf(t);
  const store = new S3Server();
  await store.listen();
  t.teardown(() => store.close());
  store.fault = () => ({ kind: 'answer', status: 503, code: 'SlowDown' });
  const archive = {
    ...{ target: 's3://bucket/site', copyTarget: pathToFileURL(join(folder, 'copy')).href },
    s3: { endpoint: store.endpoint, region: 'eu-west-1', timeoutMs: 1000 },
  };
  const gateway = await start(t, folder, archive);
  await publish(t, gateway, 1, 12);
  const apart = await until(
    gateway,
    'the copy has them',
    ({ copy, state }) => copy?.rows === 12 && state === 'failing',
  );
  t.ok(apart.backlog.positions > 11, 'the first has none');
  store.fault = () => undefined;
  // That the store is back is known a moment after the entry is.
  await until(gateway, 'the first has them, too', ({ rows, state }) => rows === 12 && state !== 'failing');
  const [entry] = await entriesOf(folder, 'copy');
  t.match(entry, { rows: 12, lost: [] });
  const keys = [...store.objects.keys()].filter((key) => key.startsWith('site/data/'));
  t.same(
    keys.map((key) => key.slice('site/'.length)),
    entry?.objects.map(({ key }) => key),
    'the same files',
  );
  t.match(await runHere(['archive', 'status', '--url', gateway.url]), {
    code: 0,
    out: /\ncopy +file:.*copy\n/,
  });
});

const PAYLOAD = 'nobody-is-to-read-this';
const LEAF = 'secret-leaf';
const [OLD_KEY, NEW_KEY] = ['11'.repeat(32), '22'.repeat(32)];

async function publishSecret(t: Test, { port }: Running, retain = false): Promise<void> {
  const client = await RawClient.connect(t, port, { version: 5 });
  await client.publish(`site/door/${LEAF}`, PAYLOAD, { qos: 1, retain });
  await client.disconnect();
}

/** Of every file below a folder. */
function filesBelow(folder: string): Map<string, Buffer> {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name));
  return new Map(paths.filter((path) => statSync(path).isFile()).map((path) => [path, readFileSync(path)]));
}

function expectSecret(t: Test, stored: ReadonlyMap<string, Uint8Array>): void {
  t.ok(stored.size > 1);
  for (const [name, bytes] of stored)
    for (const text of [PAYLOAD, LEAF, 'PAR1', OLD_KEY, Buffer.from(OLD_KEY, 'hex').toString('latin1')])
      t.notOk(name.includes(text) || Buffer.from(bytes).includes(text, 0, 'latin1'), `${text} in ${name}`);
}

t.test('an encrypted archive is read with its keys, old and new, and with nothing else', async (t) => {
  const folder = folderOf(t);
  const path = join(folder, 'keys');
  writeFileSync(path, `${OLD_KEY}\n`);
  const first = await start(t, folder, { topics: ['site/#'], encryptionKeyFile: path });
  await publishSecret(t, first, true);
  await until(first, 'it is archived', ({ rows }) => rows === 1);
  const root = join(folder, 'data', 'archive');
  expectSecret(t, filesBelow(root));
  writeFileSync(path, `${NEW_KEY}\n${OLD_KEY}\n`);
  await first.reload();
  await publishSecret(t, first);
  await until(first, 'the second is, too', ({ rows }) => rows === 2);
  t.equal((await (await first.get('/api/v1/archive/messages')).text()).split(PAYLOAD).length, 3);
  t.notMatch(JSON.stringify(await first.status()) + first.said.join(), new RegExp(`${OLD_KEY}|${NEW_KEY}`));
  await first.stop();
  const target = pathToFileURL(root).href;
  const run = (command: string, file: string | undefined, ...args: string[]) => {
    const key = file === undefined ? [] : ['--set', `archive.encryptionKeyFile=${file}`];
    return runHere(['archive', command, '--target', target, ...key, ...args]);
  };
  const newest = join(folder, 'newest');
  writeFileSync(newest, NEW_KEY);
  const [{ keyIds }] = JSON.parse((await run('ls', undefined, '--json')).out) as [{ keyIds: string[] }];
  t.equal(keyIds.length, 2);
  t.match(await run('ls', undefined), { code: 0, out: new RegExp(`keys\n.* ${keyIds.join(' ')}\n`) });
  t.match(await run('ls', undefined, '--objects'), { out: new RegExp(` key ${keyIds[0]}\n`) });
  t.match(await run('cat', path, '--payload-only'), { code: 0, out: `${PAYLOAD}\n${PAYLOAD}\n` });
  t.match(await run('cat', newest), {
    ...{ code: 2, out: '' },
    err: new RegExp(
      `is encrypted with key ${keyIds[0]}, and the configured key is ${keyIds[1]}: set archive.encryptionKeyFile`,
    ),
  });
  t.match(await run('verify', undefined), { code: 0, out: /\ncomplete, as far as manifests/ });
  t.match(await run('verify', newest, '--deep'), {
    code: 0,
    out: new RegExp(
      `^note: .* is encrypted with key ${keyIds[0]}, which is not.*\n[^]*the rows of one were not`,
    ),
  });
  t.match(await run('verify', path, '--deep'), { code: 0, out: /\ncomplete: every row/ });
  t.match(await run('compact', undefined, '--rekey'), {
    code: 2,
    err: /takes one: archive.encryptionKeyFile/,
  });
  t.match(await run('compact', path, '--rekey'), { code: 0 });
  t.match(await run('compact', path, '--grace', '0s'), { code: 0 });
  t.match(await run('cat', newest, '--payload-only'), { code: 0, out: `${PAYLOAD}\n${PAYLOAD}\n` });
  expectSecret(t, filesBelow(root));
  const restored = ['restore', '--from-archive', '--target', target, '--data-dir', join(folder, 'restored')];
  t.match(await runHere([...restored, '--set', `archive.encryptionKeyFile=${newest}`]), {
    ...{ code: 0, out: /: 1 retained messages, and 2 that can be looked up, of 2 messages\n$/ },
  });
  const plain = await start(t, folder);
  await publishSecret(t, plain);
  await until(plain, 'it is archived without', ({ rows }) => rows === 1);
  const asked = await plain.get('/api/v1/archive/messages');
  t.match(
    [asked.status, await asked.text()],
    [503, /is encrypted with key .*, and no key is configured: set/],
  );
  t.match(
    plain.said.join(),
    /the archive was encrypted, and what comes now is not: archive.encryptionKeyFile/,
  );
  t.match(await run('cat', newest, '--payload-only'), { code: 0, out: `${PAYLOAD}\n`.repeat(3) });
});

t.test('a gateway that is interrupted makes the same encrypted objects again', async (t) => {
  const folder = folderOf(t);
  const store = new S3Server();
  await store.listen();
  t.teardown(() => store.close());
  process.env['AWS_ACCESS_KEY_ID'] = 'AKTEST';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'very secret';
  const archive = {
    ...{ target: 's3://bucket/site', encryptionKey: OLD_KEY, partitionTopicLevels: 2 },
    s3: { endpoint: store.endpoint, region: 'eu-west-1', timeoutMs: 1000 },
  };
  // The first objects get there, and what names them does not.
  store.fault = (method, key) =>
    method === 'PUT' && !key.startsWith('probe/') && store.objects.size >= 2
      ? { kind: 'answer', status: 503, code: 'SlowDown' }
      : undefined;
  const first = await start(t, folder, archive);
  const client = await RawClient.connect(t, first.port, { version: 5 });
  for (const topic of ['site/a', 'site/b', `site/c/${LEAF}`])
    await client.publish(topic, PAYLOAD, { qos: 1 });
  await client.disconnect();
  await until(first, 'it is interrupted', ({ state }) => state === 'failing');
  await first.stop();
  const before = new Map(store.objects);
  t.equal(before.size, 2);
  store.fault = () => undefined;
  const second = await start(t, folder, archive);
  await until(second, 'all is archived', ({ rows, backlog }) => rows === 3 && backlog.positions === 0);
  const data = [...store.objects].filter(([key]) => key.startsWith('site/data/'));
  t.equal(data.length, 3, 'those that were there are named, and there is no other');
  for (const [key, bytes] of before) t.same(store.objects.get(key), bytes);
  expectSecret(t, store.objects);
  const at = ['--target', 's3://bucket/site', '--set', `archive.s3.endpoint=${store.endpoint}`];
  const run = (command: string, ...args: string[]) =>
    runHere(['archive', command, ...at, '--set', 'archive.s3.region=eu-west-1', ...args]);
  const [{ keyIds }] = JSON.parse((await run('ls', '--json')).out) as [{ keyIds: string[] }];
  for (const [key] of data) t.same(store.metadata.get(key), { 'x-amz-meta-sprawl-key-id': keyIds[0] });
  t.match(await run('verify', '--deep', '--set', `archive.encryptionKey=${OLD_KEY}`), {
    ...{ code: 0, out: /\ncomplete: every row that the manifests name was read\n$/ },
  });
});

t.test('an archive that was off for a while tells what it missed, and holds no log meanwhile', async (t) => {
  const folder = folderOf(t);
  const files = { segmentMaxBytes: 65_536, checkpointEveryBytes: 65_536, snapshotEveryBytes: 65_536 };
  const small = { storage: { keepMaxBytes: 0, ...files } };
  const first = await start(t, folder, {}, small);
  await publish(t, first, 1, 5);
  await until(first, 'five are archived', ({ rows, backlog }) => rows === 5 && backlog.positions === 0);
  await first.stop();
  const off = await start(t, folder, { topics: [] }, small);
  t.equal((await off.get('/api/v1/archive')).status, 404);
  const client = await RawClient.connect(t, off.port, { version: 5 });
  const large = Buffer.alloc(1000, 'x');
  for (let n = 0; n < 500; n++) await client.publish('site/large', large, { qos: 1 });
  await client.disconnect();
  await off.stop();
  const on = await start(t, folder, {}, small);
  await publish(t, on, 6, 7);
  await until(on, 'it goes on', ({ rows, backlog }) => rows >= 2 && backlog.positions === 0);
  const entries = await entriesOf(folder);
  const lost = entries.flatMap((entry) => entry.lost).reduce((sum, [from, to]) => sum + to - from + 1, 0);
  const rows = entries.reduce((sum, entry) => sum + entry.rows, 0);
  t.ok(lost > 0, 'some are gone');
  t.ok(rows < 507 && rows + lost >= 507, `${rows} rows and ${lost} lost positions of 507 messages`);
  t.match(await agrees(t, on, `file://${join(folder, 'data/archive')}`), /the log begins at position \d+/);
});

t.test('an old copy of the data folder goes on beside what the archive has', async (t) => {
  const folder = folderOf(t);
  const target = `file://${join(folder, 'data', 'archive')}`;
  const first = await start(t, folder, { target });
  await publish(t, first, 1, 10);
  await until(first, 'ten are archived', ({ rows }) => rows === 10);
  await first.stop();
  const image = join(folder, 'image');
  cpSync(join(folder, 'data'), image, { recursive: true });
  const second = await start(t, folder, { target });
  await publish(t, second, 11, 20);
  await until(second, 'ten more are archived', ({ rows }) => rows === 10);
  await second.stop();
  // The archive is not in the image that is put back.
  for (const name of readdirSync(join(folder, 'data')))
    if (name !== 'archive') rmSync(join(folder, 'data', name), { recursive: true });
  rmSync(join(image, 'archive'), { recursive: true });
  cpSync(image, join(folder, 'data'), { recursive: true });
  const third = await start(t, folder, { target });
  await publish(t, third, 21, 30);
  await until(
    third,
    'the last ten are archived',
    ({ rows, backlog }) => rows === 10 && backlog.positions === 0,
  );
  t.match(
    third.said.join('\n'),
    /was put back to an old copy of its data folder: its archive knows a later start/,
  );
  const [{ rows, numbers: different } = {}] = (await query(folder, COUNT)) as {
    rows: number;
    numbers: number;
  }[];
  t.same([rows, different], [30, 30]);
  const names = await query(folder, 'select count(distinct (epoch, sequence))::int as names from archive');
  t.same(names, [{ names: 30 }]);
  const told = await agrees(t, third, target);
  t.match(told, /note: .*: 10 rows are of lives that this log knows nothing of/);
  t.match(told, ': 20 messages are in the archive');
});
