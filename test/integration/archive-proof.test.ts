/** Archives against the logs of their gateways: of one that runs, of one that was stopped, and of archives that somebody changed. */
import { cpSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { FileObjectStore } from '../../bridge/archive/file-object-store.js';
import type { FileFormat } from '../../bridge/archive/object-key.js';
import type { StoredRow } from '../../bridge/archive/reading/stored-row.js';
import type { ArchiveRow } from '../../bridge/archive/row.js';
import { parseConfig } from '../../lib/config/index.js';
import type { ArchivesStatus } from '../../lib/contracts/archive-status.js';
import { type GatewayId, parseGatewayId } from '../../lib/contracts/gateway-id.js';
import { createGateway } from '../../lib/gateway.js';
import { OTHER } from '../support/archive-world.js';
import { forgeArchive } from '../support/forged-archive.js';
import { nullLogger } from '../support/null-logger.js';
import { RawClient } from '../support/raw-client.js';
import { runHere } from './cli-in-process.js';

const SOON_MS = 20_000;

interface Place {
  readonly folder: string;
  readonly data: string;
  readonly archive: string;
  readonly copy: string;
}

interface Running {
  readonly url: string;
  readonly httpPort: number;
  publish(from: number, to: number): Promise<void>;
  /** All that was published is in both archives. */
  archived(rows: number): Promise<void>;
  stop(): Promise<void>;
}

function placeOf(t: Test): Place {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-proof-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const data = join(folder, 'data');
  return { folder, data, archive: join(data, 'archive'), copy: join(folder, 'copy') };
}

async function start(
  t: Test,
  { data, copy }: Place,
  {
    format = 'parquet',
    isCopied = false,
  }: { readonly format?: FileFormat; readonly isCopied?: boolean } = {},
): Promise<Running> {
  const config = parseConfig({
    overrides: {
      dataDir: data,
      listeners: { mqttPort: 0, wsPort: false },
      http: { port: 0 },
      mesh: { site: 'harbour' },
      archive: {
        ...{ topics: ['site/#'], fileMaxAgeS: 1, format },
        ...(isCopied ? { copyTarget: pathToFileURL(copy).href } : {}),
      },
      storage: { encryptionKey: 'ab'.repeat(32) },
    },
  });
  const gateway = await createGateway({ config, logger: nullLogger });
  await gateway.start();
  const stop = (): Promise<void> => gateway.stop({ drainTimeoutMs: 0 });
  t.teardown(stop);
  const httpPort = gateway.addresses['http']?.port ?? 0;
  const url = `http://127.0.0.1:${httpPort}`;
  const archived = async (rows: number): Promise<void> => {
    const deadline = performance.now() + SOON_MS;
    for (;;) {
      const status = (await (await fetch(`${url}/api/v1/archive`)).json()) as ArchivesStatus;
      if (status.rows === rows && (status.copy?.rows ?? rows) === rows) return;
      if (performance.now() > deadline) throw new Error(`not soon: ${JSON.stringify(status)}`);
      await elapse(20);
    }
  };
  return { url, httpPort, archived, stop, publish: (from, to) => publish(t, gateway.addresses, from, to) };
}

/** Of every QoS, with what a message can have; every fifth is of a topic that is not archived. */
async function publish(
  t: Test,
  addresses: Readonly<Record<string, { readonly port: number } | undefined>>,
  from: number,
  to: number,
): Promise<void> {
  const client = await RawClient.connect(t, addresses['mqtt']?.port ?? 0, { version: 5 });
  for (let n = from; n <= to; n++) {
    const topic = n % 5 === 0 ? 'elsewhere' : `site/${'abc'[n % 3]}`;
    const payload = n % 7 === 0 ? `{\n"n":${n}}` : `number ${n}`;
    const properties = { contentType: 'text/plain', userProperty: [['n', `${n}`]] } as const;
    await client.publish(topic, payload, {
      ...{ qos: (n % 3) as 0 | 1 | 2, retain: n % 6 === 0 },
      ...(n % 4 === 0 ? { properties: { ...properties, userProperty: [['n', `${n}`]] } } : {}),
    });
  }
  await client.disconnect();
}

const archivedOf = (from: number, to: number): number => {
  let count = 0;
  for (let n = from; n <= to; n++) if (n % 5 !== 0) count++;
  return count;
};

const KEY = ['--set', `storage.encryptionKey=${'ab'.repeat(32)}`];

const verify = ({ data }: Place, ...args: string[]) =>
  runHere(['archive', 'verify', '--log', '--data-dir', data, ...KEY, ...args]);

function originOf({ archive }: Place): GatewayId {
  const [name = ''] = readdirSync(join(archive, 'manifest'));
  const origin = parseGatewayId(name);
  if (origin === undefined) throw new Error(`${name} is no gateway`);
  return origin;
}

async function forge(
  t: Test,
  place: Place,
  edit: (rows: readonly StoredRow[]) => readonly ArchiveRow[],
): Promise<string> {
  const folder = mkdtempSync(join(place.folder, 'forged-'));
  await forgeArchive(
    t,
    new FileObjectStore(place.archive),
    new FileObjectStore(folder),
    originOf(place),
    edit,
  );
  return pathToFileURL(folder).href;
}

t.setTimeout(120_000);

t.test('the archive of a gateway has what its log has, and what it has not is named', async (t) => {
  const place = placeOf(t);
  const first = await start(t, place, { isCopied: true });
  await first.publish(1, 60);
  await first.archived(archivedOf(1, 60));
  await first.stop();
  // Another life.
  const second = await start(t, place, { isCopied: true });
  await second.publish(61, 90);
  await second.archived(archivedOf(61, 90));
  const inUse = ['--set', `http.port=${second.httpPort}`];
  const running = await verify(place, ...inUse);
  t.match(running, { code: 0, err: '' });
  t.match(
    running.out,
    /\nthe log of [0-9a-f]{8} has positions 1 to \d+: 72 messages are in the archive as in the log\n/,
  );
  t.notMatch(running.out, /damaged|missing|twice|differs|unknown/);
  const copied = await verify(place, ...inUse, '--target', pathToFileURL(place.copy).href);
  t.match(copied, { code: 0, out: /: 72 messages are in the archive/ });
  const entries = join(place.archive, 'manifest', originOf(place), 'entries');
  const last = join(entries, readdirSync(entries).sort().at(-1) ?? '');
  renameSync(last, join(place.folder, 'last'));
  t.match(await verify(place, ...inUse, '--deep'), {
    code: 1,
    out: /^damaged: manifest\/\S+\.json: is missing: the gateway has seen entries up to \d+ there$/m,
  });
  renameSync(join(place.folder, 'last'), last);
  await second.publish(91, 92);
  t.match(await verify(place, '--url', second.url), { code: 0, out: /: 7[24] messages are in the archive/ });
  await second.stop();
  t.match(await verify(place, '--deep'), { code: 0, out: /: 7[24] messages are in the archive/ });

  const isMoved = ({ payload }: ArchiveRow): boolean =>
    /number (17|18|19)$/.test(Buffer.from(payload).toString());
  const told: number[] = [];
  const target = await forge(t, place, (rows) => {
    told.push(...rows.filter(isMoved).map(({ sequence }) => sequence));
    return rows.filter((row) => !isMoved(row));
  });
  const plain = await runHere(['archive', 'verify', '--deep', '--target', target]);
  t.match(plain, { code: 0, out: /complete: every row/ }, 'the archive itself does not tell');
  const forged = await verify(place, '--target', target, '--json');
  t.equal(forged.code, 1);
  const said = JSON.parse(forged.out) as { readonly findings: readonly { readonly fault: boolean }[] };
  t.match(said, { complete: false, log: { wrong: { missing: 3, twice: 0, differs: 0, unknown: 0 } } });
  t.match(
    said.findings.filter(({ fault }) => fault),
    [{ kind: 'missing', positions: [told[0], told[2]], count: 3, epoch: 1 }],
  );
  t.equal(told.length, 3);
  const text = await verify(place, '--target', target);
  const entry = `manifest/${originOf(place)}/entries/0{11}\\d\\.json`;
  t.match(
    text.out,
    new RegExp(
      `^missing: ${entry}: positions ${told[0]} to ${told[2]} of life 1, 3 messages, topics "site/`,
      'm',
    ),
  );
  t.match(text.out, /as in the log; 3 missing\none fault; /);
});

t.test(
  'rows that were changed are told, also in merged files, and so is what cannot be asked for',
  async (t) => {
    const place = placeOf(t);
    const gateway = await start(t, place, { format: 'ndjson' });
    await gateway.publish(1, 40);
    await gateway.archived(archivedOf(1, 40));
    await gateway.publish(41, 60);
    await gateway.archived(archivedOf(1, 60));
    const port = await stranger(t);
    t.match(await verify(place, '--set', `http.port=${port}`), {
      code: 1,
      err: /a gateway uses \S+, and another one answers at http:\S+: --url says where/,
    });
    t.match(await verify(place, '--url', `http://127.0.0.1:${port}`), {
      code: 1,
      err: /answered with 5 characters that are no line of a log/,
    });
    t.match(await verify(place, '--url', gateway.url, '--origin', '00000'), {
      code: 2,
      err: /--log is of [0-9a-f]{8}, and --origin names others/,
    });
    await gateway.stop();
    t.match(await verify(place, '--url', gateway.url), { code: 1, err: /no gateway answers at/ });
    t.match(await runHere(['archive', 'compact', '--data-dir', place.data]), { code: 0 });
    t.match(await verify(place), { code: 0, out: /: 48 messages are in the archive/ });
    type Edit = (rows: readonly StoredRow[]) => readonly ArchiveRow[];
    const changed = Buffer.from('other');
    const edits: readonly (readonly [string, Edit, RegExp])[] = [
      [
        'payload',
        (rows) => rows.map((row, i) => (i === 3 ? { ...row, payload: changed } : row)),
        /^differs: .*: position \d+ of life 1, topic .*\(payload or properties\)$/m,
      ],
      [
        'properties',
        (rows) => rows.map((row) => ({ ...row, properties: undefined })),
        /^differs: .*\(payload or properties\)$/m,
      ],
      ['time', (rows) => rows.map((row) => ({ ...row, timeMs: row.timeMs + 1 })), /^differs: .*\(time\)$/m],
    ];
    const bare = join(place.folder, 'bare');
    cpSync(place.data, bare, { recursive: true });
    rmSync(join(bare, 'mesh'), { recursive: true });
    t.match(await verify({ ...place, data: bare }), {
      code: 1,
      err: /no gateway has archived anything from/,
    });
    const plain = await runHere(['archive', 'verify', '--url', 'http://x', '--data-dir', place.data]);
    t.match(plain, { code: 2, err: /it goes with --log/ });
    for (const [what, edit, out] of edits) {
      const target = await forge(t, place, edit);
      t.match(await runHere(['archive', 'verify', '--deep', '--target', target]), { code: 0 }, what);
      t.match(await verify(place, '--target', target), { code: 1, out }, what);
    }
  },
);

/** What is asked for a log, and is another gateway. */
async function stranger(t: Test): Promise<number> {
  const facts = {
    origin: OTHER,
    lives: [{ counter: 1, nonce: 'a'.repeat(16), after: 0 }],
    first: 1,
    committed: 0,
  };
  const answers = [JSON.stringify(facts), '{"copy":null}', 'what?'];
  const server = createServer((_request, response) => response.end(`${answers.shift()}\n`));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}
