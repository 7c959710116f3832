/**
 * An archive in a store that fails in every way, of a gateway that is killed at every request that it makes. In the end its rows are what
 * the log of the gateway has, each once, and everything that was acknowledged to clients is among them.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { DuckDBInstance } from '@duckdb/node-api';
import { Manifest } from '../../bridge/archive/manifest.js';
import { openObject } from '../../bridge/archive/reading/opened-object.js';
import { S3ObjectStore } from '../../bridge/archive/s3-object-store.js';
import type { ArchiveStatus } from '../../lib/contracts/archive-status.js';
import { parseGatewayId } from '../../lib/contracts/gateway-id.js';
import { parseKeyFile } from '../../lib/contracts/master-key.js';
import type { OwnMessages } from '../../lib/contracts/streams.js';
import { HistoryFiles } from '../history/history-reader.js';
import { parsePayload } from '../history/payload.js';
import { Random } from '../sim/random.js';
import { type S3Fault, S3Server } from '../support/s3-server.js';
import { openStore } from '../bench/probes/disk.js';
import { Fleet } from './fleet.js';
import { GatewayProcess } from './gateway-process.js';
import { Recording } from './judgement.js';
import { within } from './mesh-gateway.js';
import type { ProofReport } from './report.js';
import { freePort } from '../support/free-port.js';

export interface ArchiveOptions {
  /** Kills, each at a later request than the one before; and as many lives with a store that fails at random. */
  readonly rounds: number;
  readonly seed: number;
}

const BUCKET = 'bucket';
const PREFIX = 'chaos';
const ACCESS = { accessKeyId: 'AKTEST', secretAccessKey: 'very secret' };
const REQUEST_MAX_MS = 1000;
const KILL_MAX_MS = 20_000;
const LIFE_MS = 1500;
const ALL_MAX_MS = 90_000;
const FAULT_CHANCE = 0.3;
const ANSWERS: readonly (readonly [number, string])[] = [
  [503, 'SlowDown'],
  [500, 'InternalError'],
  [403, 'AccessDenied'],
  [403, 'RequestTimeTooSkewed'],
  [412, 'PreconditionFailed'],
  [409, 'ConditionalRequestConflict'],
  [400, 'BadDigest'],
];
/** Archives of even seeds are encrypted. */
const KEY = '11'.repeat(32);
const KINDS = [
  'hangBefore',
  'hangAfter',
  'cut',
  'reset',
  'doubled',
  'agreed',
  'answer',
  'answer',
  'answer',
] as const;

interface Row {
  readonly epoch: number;
  readonly sequence: number;
  readonly topic: string;
  readonly payload: Uint8Array;
}

export async function archive({ rounds, seed }: ArchiveOptions): Promise<ProofReport> {
  const random = new Random(seed, 'archive');
  const run = `archive-${seed}`;
  const recording = new Recording(run);
  const store = new S3Server({ bucket: BUCKET, ...ACCESS });
  await store.listen();
  const [port, httpPort] = [await freePort(), await freePort()];
  const fleet = new Fleet({ history: recording.history, port, random: random.fork('fleet') });
  const world = new ArchiveWorld(recording, store, { port, httpPort }, random, seed % 2 === 0);
  let failed = true;
  try {
    await world.begin();
    await fleet.start();
    fleet.load();
    await fleet.served();
    for (let round = 1; round <= rounds; round++) await world.killAtRequest(round);
    for (let round = 0; round < rounds; round++) await world.liveWithFaults();
    await world.calm();
    await fleet.drain();
    const { figures, failures } = await recording.judge(fleet, { kill: Math.min(rounds, 20) });
    const allMs = await world.whenAllIsArchived();
    const last = await world.status();
    await world.stop();
    const acknowledged = acknowledgedOf(join(recording.folder, 'clients.jsonl'));
    const found = await compare(store, recording, run, acknowledged);
    const all = [...world.failures, ...failures, ...found.failures];
    if (allMs === undefined)
      all.push(
        `not everything was archived ${ALL_MAX_MS} ms after the end of all faults: ${JSON.stringify(last)}`,
      );
    failed = all.length > 0;
    return {
      figures: {
        'kills at a request': world.requestKills,
        'requests that failed': world.faults,
        ...found.figures,
        'all is archived after, ms': Math.round(allMs ?? NaN),
        ...figures,
        ...(failed && { 'kept in': recording.folder }),
      },
      failures: all,
    };
  } finally {
    fleet.leave();
    await world.stop();
    await store.close();
    recording.close({ keep: failed });
  }
}

class ArchiveWorld {
  readonly failures: string[] = [];
  requestKills = 0;
  faults = 0;
  readonly #recording: Recording;
  readonly #store: S3Server;
  readonly #ports: { readonly port: number; readonly httpPort: number };
  readonly #random: Random;
  readonly #keys: Readonly<Record<string, string>>;
  #gateway: GatewayProcess | undefined;

  constructor(
    recording: Recording,
    store: S3Server,
    ports: { readonly port: number; readonly httpPort: number },
    random: Random,
    isEncrypted: boolean,
  ) {
    this.#keys = isEncrypted ? { 'archive.encryptionKey': KEY } : {};
    this.#recording = recording;
    this.#store = store;
    this.#ports = ports;
    this.#random = random;
  }

  async begin(): Promise<void> {
    const { port, httpPort } = this.#ports;
    this.#gateway = new GatewayProcess({
      ...{ dataDir: this.#recording.dataDir, port, httpPort },
      env: { AWS_ACCESS_KEY_ID: ACCESS.accessKeyId, AWS_SECRET_ACCESS_KEY: ACCESS.secretAccessKey },
      set: {
        'archive.topics': '["t/#","r/#"]',
        'archive.target': `s3://${BUCKET}/${PREFIX}`,
        'archive.s3.endpoint': this.#store.endpoint,
        'archive.s3.region': 'eu-west-1',
        'archive.s3.timeoutMs': REQUEST_MAX_MS,
        'archive.fileMaxAgeS': 1,
        'archive.fileMaxCount': 400,
        ...this.#keys,
      },
    });
    if (!(await this.#gateway.whenReady())) throw new Error(`it ended: ${this.#gateway.text}`);
  }

  /** The n-th request of a process is its last: it comes to nothing, or is done and never answered. */
  async killAtRequest(n: number): Promise<void> {
    let left = n;
    let isOver = false;
    const killed = new Promise<void>((resolve) => {
      this.#store.fault = () => {
        if (isOver || --left > 0) return undefined;
        isOver = true;
        this.#recording.fault('kill');
        this.#gateway?.child.kill('SIGKILL');
        resolve();
        return { kind: this.#random.chance(0.5) ? 'hangBefore' : 'hangAfter' };
      };
    });
    const late = elapse(KILL_MAX_MS, 'late', { ref: false });
    if ((await Promise.race([killed, late])) === 'late') {
      this.failures.push(`request ${n} did not come within ${KILL_MAX_MS} ms`);
      await this.#kill();
    } else {
      this.requestKills++;
      await this.#gateway?.ended;
    }
    this.#store.fault = () => undefined;
    await this.begin();
    this.#recording.heal('kill');
  }

  async liveWithFaults(): Promise<void> {
    this.#store.fault = () => (this.#random.chance(FAULT_CHANCE) ? this.#fault() : undefined);
    await elapse(this.#random.integer(LIFE_MS / 2, LIFE_MS));
    if (this.#random.chance(0.5)) {
      await this.#kill();
      await this.begin();
      this.#recording.heal('kill');
    }
  }

  calm(): Promise<void> {
    this.#store.fault = () => undefined;
    return Promise.resolve();
  }

  /** @returns how long that took; undefined: too long */
  whenAllIsArchived(): Promise<number | undefined> {
    return within(ALL_MAX_MS, async () => (await this.status())?.backlog.positions === 0);
  }

  async status(): Promise<ArchiveStatus | undefined> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.#ports.httpPort}/api/v1/archive`);
      return (await response.json()) as ArchiveStatus;
    } catch {
      return undefined;
    }
  }

  async stop(): Promise<void> {
    if (this.#gateway?.isRunning === true) await this.#gateway.stop();
  }

  async #kill(): Promise<void> {
    this.#recording.fault('kill');
    await this.#gateway?.kill();
  }

  #fault(): S3Fault {
    this.faults++;
    const kind = this.#random.pick(KINDS);
    if (kind !== 'answer') return { kind };
    const [status, code] = this.#random.pick(ANSWERS as [(typeof ANSWERS)[number]]);
    return { kind, status, code };
  }
}

/** `publisher sequence` of what was acknowledged, and its QoS. */
function acknowledgedOf(path: string): Map<string, number> {
  const sent = new Map<string, { readonly q: number; readonly topic: string; readonly empty: boolean }>();
  const acknowledged = new Map<string, number>();
  for (const event of new HistoryFiles([path])) {
    if (event.e === 'pub!') {
      const { m, q, topic, empty = false } = event;
      sent.set(`${m.pub} ${m.seq}`, { q, topic, empty });
    } else if (event.e === 'pub.' && event.rc < 0x80 && event.how !== 'PUBCOMP') {
      const name = `${event.m.pub} ${event.m.seq}`;
      const { q = 0, topic = '', empty = true } = sent.get(name) ?? {};
      if (!empty && /^[tr]\//.test(topic)) acknowledged.set(name, q);
    }
  }
  return acknowledged;
}

async function compare(
  server: S3Server,
  { folder }: Recording,
  run: string,
  acknowledged: ReadonlyMap<string, number>,
): Promise<ProofReport> {
  const failures: string[] = [];
  const rows = await rowsOf(server, join(folder, 'objects'));
  const log = await logOf(folder);
  const bySequence = new Map<number, Row>();
  for (const row of rows) {
    if (bySequence.has(row.sequence)) failures.push(`position ${row.sequence} is archived twice`);
    bySequence.set(row.sequence, row);
  }
  for (const [position, { topic, hash }] of log) {
    const row = bySequence.get(position);
    if (row === undefined) failures.push(`position ${position} of the log is not archived`);
    else if (row.topic !== topic || hashOf(row.payload) !== hash)
      failures.push(`position ${position} is another message in the archive`);
  }
  for (const { sequence } of rows)
    if (!log.has(sequence)) failures.push(`position ${sequence} of the archive is not in the log`);
  const archived = new Map<string, number>();
  for (const { topic, payload } of rows) {
    const parsed = parsePayload(Buffer.from(payload), run, topic);
    if (parsed.kind !== 'message') continue;
    const name = `${parsed.mid.pub} ${parsed.mid.seq}`;
    archived.set(name, (archived.get(name) ?? 0) + 1);
  }
  for (const [name, q] of acknowledged) {
    const count = archived.get(name) ?? 0;
    if (count === 0) failures.push(`message ${name} was acknowledged and is not archived`);
    // A publisher of QoS 1 whose acknowledgement was lost sends again: those are two messages.
    if (q === 2 && count > 1) failures.push(`message ${name} of QoS 2 is archived ${count} times`);
  }
  if (rows.length === 0) failures.push('inconclusive: nothing was archived');
  return {
    figures: {
      rows: rows.length,
      'messages in the log': log.size,
      'acknowledged to clients': acknowledged.size,
      objects: [...server.objects.keys()].filter((key) => key.startsWith(`${PREFIX}/data/`)).length,
    },
    failures:
      failures.length > 20 ? [...failures.slice(0, 20), `and ${failures.length - 20} more`] : failures,
  };
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** What the manifest names, as DuckDB reads it. */
async function rowsOf(server: S3Server, folder: string): Promise<Row[]> {
  const objects = new S3ObjectStore(
    {
      ...{ bucket: BUCKET, prefix: PREFIX, region: 'eu-west-1', endpoint: server.endpoint, pathStyle: true },
      ...{ timeoutMs: 10_000, partBytes: 8_388_608, credentials: ACCESS },
    },
    parseKeyFile(KEY, 'chaos', 'archive'),
  );
  const origins = new Set<string>();
  for await (const { key } of objects.list('manifest/')) origins.add(key.split('/')[1] ?? '');
  const paths: string[] = [];
  for (const origin of origins) {
    const id = parseGatewayId(origin);
    if (id === undefined) throw new Error(`${origin} is no gateway`);
    for await (const entry of new Manifest(objects, id).read())
      for (const object of entry.objects) {
        const { key } = object;
        const { length, read } = await openObject(objects, object);
        const bytes = await read(0, length);
        const path = join(folder, key);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, bytes);
        paths.push(path);
      }
  }
  objects.close();
  if (paths.length === 0) return [];
  const database = await (await DuckDBInstance.create()).connect();
  const list = paths.map((path) => `'${path.replaceAll("'", "''")}'`).join(',');
  const read = await database.runAndReadAll(
    `select epoch::int as epoch, sequence::int as sequence, topic, payload from read_parquet([${list}], hive_partitioning=false)`,
  );
  return read.getRows().map(([epoch, sequence, topic, payload]) => ({
    ...{ epoch: Number(epoch), sequence: Number(sequence), topic: String(topic) },
    payload: (payload as { readonly bytes: Uint8Array }).bytes,
  }));
}

/** What the gateway has on its disk, of the topics that are archived. */
async function logOf(
  folder: string,
): Promise<Map<number, { readonly topic: string; readonly hash: string }>> {
  const store = await openStore(folder);
  const log = new Map<number, { readonly topic: string; readonly hash: string }>();
  for (let next = 1; next <= store.committed;) {
    const own = await new Promise<OwnMessages>((resolve) =>
      store.readOwn(next, 1_048_576, resolve, { passed: true }),
    );
    for (const { position, topic, payload } of own.messages)
      if (/^[tr]\//.test(topic)) log.set(position, { topic, hash: hashOf(payload) });
    if (own.lostFrom > 0) throw new Error(`the log lost ${own.lostFrom} to ${own.lostTo}`);
    ({ next } = own);
  }
  await store.close();
  return log;
}
