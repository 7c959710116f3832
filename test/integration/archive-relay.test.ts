/** Gateways that archive through others: over real links, into a folder, with the other one killed in the middle of an object, and a third one that takes over. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import t, { type Test } from 'tap';
import { FileObjectStore } from '../../bridge/archive/file-object-store.js';
import { Manifest } from '../../bridge/archive/manifest.js';
import { parseConfig } from '../../lib/config/index.js';
import type { ArchivesStatus, ServedStatus } from '../../lib/contracts/archive-status.js';
import { parseGatewayId } from '../../lib/contracts/gateway-id.js';
import { createGateway } from '../../lib/gateway.js';
import { SwarmKey } from '../../mesh/admission/swarm-key.js';
import { GatewayProcess } from '../chaos/gateway-process.js';
import { nullLogger } from '../support/null-logger.js';
import { RawClient } from '../support/raw-client.js';
import { runHere } from './cli-in-process.js';
import { freePort } from '../support/free-port.js';

const SOON_MS = 40_000;
const PAYLOAD_BYTES = 2000;

class Place {
  readonly folder: string;
  readonly keyFile: string;
  /** What hubs archive to. */
  readonly target: string;
  readonly archive: string;

  constructor(readonly t: Test) {
    this.folder = mkdtempSync(join(tmpdir(), 'sprawl-relay-'));
    t.teardown(() => rmSync(this.folder, { recursive: true, force: true }));
    this.keyFile = join(this.folder, 'swarm.key');
    writeFileSync(this.keyFile, SwarmKey.create(randomBytes).reveal(), { mode: 0o600 });
    this.archive = join(this.folder, 'archive');
    this.target = pathToFileURL(this.archive).href;
  }

  mesh(site: string, tcpPort: number, peers: readonly number[]): Record<string, unknown> {
    const { keyFile: swarmKeyFile } = this;
    return {
      ...{ site, tcpPort, udpPort: false, host: '127.0.0.1', lan: false, bootstrap: ['none'], swarmKeyFile },
      peers: peers.map((port) => `127.0.0.1:${port}`),
    };
  }

  /** In this process. */
  async start(
    site: string,
    tcpPort: number,
    peers: readonly number[],
    archive: Record<string, unknown>,
  ): Promise<Running> {
    const config = parseConfig({
      overrides: {
        dataDir: join(this.folder, site),
        ...{ listeners: { mqttPort: 0, wsPort: false }, http: { port: 0 } },
        ...{ mesh: this.mesh(site, tcpPort, peers), archive },
      },
    });
    const said: string[] = [];
    const say = (message: string): void => void said.push(message);
    const gateway = await createGateway({
      config,
      logger: { ...nullLogger, info: say, warn: say, error: say },
    });
    await gateway.start();
    const stop = (): Promise<void> => gateway.stop({ drainTimeoutMs: 0 });
    this.t.teardown(stop);
    const url = `http://127.0.0.1:${gateway.addresses['http']?.port ?? 0}`;
    return { port: gateway.addresses['mqtt']?.port ?? 0, url, said, stop };
  }

  /** As one of its own, that can be killed. */
  async process(site: string, tcpPort: number, httpPort: number): Promise<GatewayProcess> {
    const mesh = this.mesh(site, tcpPort, []);
    const set = Object.fromEntries(
      Object.entries(mesh).map(([key, value]) => [
        `mesh.${key}`,
        Array.isArray(value) ? JSON.stringify(value) : String(value),
      ]),
    );
    const child = new GatewayProcess({
      ...{ dataDir: join(this.folder, site), port: await freePort(), httpPort },
      set: { ...set, 'archive.forPeers': 'true', 'archive.target': this.target },
    });
    this.t.teardown(() => child.kill());
    if (!(await child.whenReady())) throw new Error(`it ended: ${child.text}`);
    return child;
  }

  /** What the manifests name, as DuckDB counts it. */
  async rows(): Promise<readonly unknown[]> {
    const objects = new FileObjectStore(this.archive);
    const paths: string[] = [];
    for (const name of readdirSync(join(this.archive, 'manifest'))) {
      const origin = parseGatewayId(name);
      if (origin === undefined) throw new Error(`${name} is no gateway`);
      for await (const entry of new Manifest(objects, origin).read())
        for (const { key } of entry.objects) paths.push(`'${join(this.archive, key)}'`);
    }
    const database = await (await DuckDBInstance.create()).connect();
    const sql = `select count(*)::int as rows, count(distinct (json->>'n')::int)::int as numbers, max((json->>'n')::int) as last from read_parquet([${paths.join(',')}], hive_partitioning=false)`;
    return (await database.runAndReadAll(sql)).getRowObjectsJson();
  }

  async verified(): Promise<void> {
    const { code, out } = await runHere(['archive', 'verify', '--deep', '--target', this.target]);
    this.t.equal(code, 0, out);
    this.t.match(out, /^complete: /m);
  }
}

interface Running {
  readonly port: number;
  readonly url: string;
  readonly said: readonly string[];
  stop(): Promise<void>;
}

async function ask<T>(url: string, path: string): Promise<T> {
  return (await (await fetch(`${url}${path}`)).json()) as T;
}

async function until<T>(look: () => Promise<T>, holds: (seen: T) => boolean, what: string): Promise<T> {
  const deadline = performance.now() + SOON_MS;
  for (;;) {
    const seen = await look();
    if (holds(seen)) return seen;
    if (performance.now() > deadline) throw new Error(`not soon: ${what}: ${JSON.stringify(seen)}`);
    await elapse(20);
  }
}

const archiveOf = ({ url }: Running): Promise<ArchivesStatus> => ask(url, '/api/v1/archive');

/** @returns what was acknowledged */
async function publish(t: Test, { port }: Running, from: number, to: number): Promise<number> {
  const client = await RawClient.connect(t, port, { version: 5 });
  // What is in it makes no small file.
  for (let n = from; n <= to; n++)
    await client.publish(
      'site/a',
      JSON.stringify({ n, noise: randomBytes(PAYLOAD_BYTES / 2).toString('hex') }),
      { qos: 1 },
    );
  await client.disconnect();
  return to;
}

t.setTimeout(180_000);
// They wait more than they work.
t.jobs = 3;
const AT_ONCE = { buffered: true };

t.test('what a gateway without a way out takes in is in the archive of another one', AT_ONCE, async (t) => {
  const place = new Place(t);
  const meshPort = await freePort();
  const archive = { topics: ['site/#'], target: 'mesh', fileMaxAgeS: 1 };
  const mill = await place.start('mill', 0, [meshPort], archive);
  await publish(t, mill, 1, 50);
  const hub = await place.start('hub', meshPort, [], { forPeers: true, target: place.target });
  const status = await until(
    () => archiveOf(mill),
    ({ rows, state }) => rows === 50 && state === 'idle',
    'all is archived',
  );
  t.match(status, { target: 'mesh', through: { site: 'hub', target: place.target }, reason: null });
  t.same(await place.rows(), [{ rows: 50, numbers: 50, last: 50 }]);
  await place.verified();
  const served = await ask<ServedStatus>(hub.url, '/api/v1/archive/served');
  t.match(served, { target: place.target, failed: 0, refused: 0 });
  t.ok(served.done >= 5 && served.bytes > 50 * 1000, JSON.stringify(served));
  t.match(
    await (await fetch(`${hub.url}/metrics`)).text(),
    /^sprawl_archive_served_requests_total\{result="done"\} \d+$/m,
  );
  t.equal((await fetch(`${mill.url}/api/v1/archive/served`)).status, 404);
  t.match(await runHere(['archive', 'status', '--url', mill.url]), {
    code: 0,
    out: /^ {2}through +hub [0-9a-f]{8}, to file:/m,
  });
  t.match(await runHere(['archive', 'status', '--url', hub.url]), {
    code: 0,
    out: /^for others +file:.*\n {2}requests +\d+ done, 0 failed, 0 refused\n/,
  });
  t.match(await runHere(['archive', 'cat', '--set', 'archive.target=mesh']), {
    code: 2,
    err: /is in the archive of another one.*--target/,
  });
  t.match(await (await fetch(`${mill.url}/api/v1/archive/messages`)).json(), {
    message: /archive of another one/,
  });
  t.match(
    mill.said.filter((line) => line.includes('through another gateway')),
    ['messages are archived through another gateway'],
  );
});

t.test(
  'a gateway that dies in the middle of an object, and is back, leaves nothing out and nothing twice',
  AT_ONCE,
  async (t) => {
    const place = new Place(t);
    const [meshPort, httpPort] = [await freePort(), await freePort()];
    const url = `http://127.0.0.1:${httpPort}`;
    let hub = await place.process('hub', meshPort, httpPort);
    const mill = await place.start('mill', 0, [meshPort], {
      ...{ topics: ['site/#'], target: 'mesh', fileMaxAgeS: 1, uploadMaxBytesPerSecond: 250_000 },
    });
    await publish(t, mill, 1, 100);
    await until(
      () => ask<ServedStatus>(url, '/api/v1/archive/served'),
      ({ bytes }) => bytes > 60_000,
      'a part of the object is there',
    );
    await hub.kill();
    const parts = readdirSync(join(place.archive, 'data'), { recursive: true }).filter((name) =>
      String(name).endsWith('.part'),
    );
    t.equal(parts.length, 1, 'it was in the middle of one');
    await until(
      () => archiveOf(mill),
      ({ through, state }) => through === null && state === 'failing',
      'it is noticed',
    );
    await publish(t, mill, 101, 110);
    hub = await place.process('hub', meshPort, httpPort);
    await until(
      () => archiveOf(mill),
      ({ rows, backlog }) => rows === 110 && backlog.bytes < 1000,
      'all is archived',
    );
    t.same(await place.rows(), [{ rows: 110, numbers: 110, last: 110 }]);
    await place.verified();
  },
);

t.test(
  'another gateway with the same archive takes over, and one with another archive does not',
  AT_ONCE,
  async (t) => {
    const place = new Place(t);
    const [first, second, third] = [await freePort(), await freePort(), await freePort()];
    const archive = { forPeers: true, target: place.target };
    const hub = await place.start('hub', first, [], archive);
    const settings = { topics: ['site/#'], target: 'mesh', fileMaxAgeS: 1 };
    let mill = await place.start('mill', 0, [first, second, third], settings);
    await publish(t, mill, 1, 20);
    await until(
      () => archiveOf(mill),
      ({ rows }) => rows === 20,
      'the first are archived',
    );
    await hub.stop();
    const elsewhere = await place.start('elsewhere', third, [], { forPeers: true });
    await publish(t, mill, 21, 30);
    await until(
      () => ask<ServedStatus>(elsewhere.url, '/api/v1/archive/served'),
      ({ done }) => done > 0,
      'another archive is looked at',
    );
    await mill.stop();
    // It is remembered over a restart, too.
    mill = await place.start('mill', 0, [first, second, third], settings);
    await place.start('spare', second, [], archive);
    const status = await until(
      () => archiveOf(mill),
      ({ rows }) => rows === 10,
      'the rest is archived',
    );
    t.match(status.through, { site: 'spare' });
    t.notOk(existsSync(join(place.folder, 'elsewhere/archive/manifest')), 'and not taken');
    t.same(await place.rows(), [{ rows: 30, numbers: 30, last: 30 }]);
    await place.verified();
    await mill.stop();
    // Whoever names a gateway goes over to its archive.
    const named = await place.start('mill', 0, [third], { ...settings, target: 'mesh:elsewhere' });
    await publish(t, named, 31, 35);
    await until(
      () => archiveOf(named),
      ({ rows }) => rows === 5,
      'what comes from now on is archived there',
    );
    t.match(readFileSync(join(place.folder, 'elsewhere/archive/archive-id'), 'utf8'), /^[0-9a-f]{32}\n$/);
    t.match((await archiveOf(named)).through, { site: 'elsewhere' });
  },
);

t.test('what cannot be is said at the start', async (t) => {
  const place = new Place(t);
  const start = (archive: Record<string, unknown>, mesh: Record<string, unknown> = {}): Promise<unknown> =>
    createGateway({
      config: parseConfig({ overrides: { dataDir: join(place.folder, 'x'), archive, mesh } }),
      logger: nullLogger,
    });
  await t.rejects(start({ topics: ['#'], target: 'mesh' }), {
    code: 'MESH_MISSING',
    message: /is in no mesh: "sprawl-edge join"/,
  });
  await t.rejects(async () => start({ topics: ['#'], target: 'mesh' }, { enabled: false }), {
    ...{
      code: 'CONFIG_INVALID',
      message: /archive\.target: mesh needs the mesh, and mesh\.enabled is false/,
    },
  });
  await t.rejects(async () => start({ forPeers: true }, { enabled: false }), {
    message: /archive\.forPeers: true needs the mesh/,
  });
  await t.rejects(async () => start({ target: 'mesh:hub', forPeers: true }), {
    message: /needs an archive of its own/,
  });
  await t.rejects(async () => start({ target: 'mesh:' }), {
    message: /must be .*, or mesh\[:GATEWAY\]/,
  });
  const said: string[] = [];
  const config = parseConfig({
    overrides: { dataDir: join(place.folder, 'x'), archive: { forPeers: true } },
  });
  await createGateway({ config, logger: { ...nullLogger, warn: (text) => said.push(text) } });
  t.match(said, [/archive\.forPeers is true, and this gateway is in no mesh/]);
});
