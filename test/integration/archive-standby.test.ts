/**
 * Gateways that cannot reach their store and die, and others that finish their archives from what they kept: real processes, killed. What the dead one
 * would have archived is known from its second target, which it does reach.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setTimeout as elapse } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { ArchivesStatus, StandbyStatus } from '../../lib/contracts/archive-status.js';
import { parseConfig } from '../../lib/config/index.js';
import type { Logger, LogFields } from '../../lib/contracts/logger.js';
import { createGateway } from '../../lib/gateway.js';
import { nullLogger } from '../support/null-logger.js';
import { RawClient } from '../support/raw-client.js';
import { runHere } from './cli-in-process.js';
import { CliProcess, type Ended } from './cli-process.js';

const SOON_MS = 30_000;

interface Gateway {
  readonly mqttPort: number;
  readonly url: string;
  /** Of its mesh. */
  readonly address: string;
  readonly said: () => string;
}

interface Killable extends Gateway {
  kill(): Promise<void>;
}

interface Row {
  readonly origin: string;
  readonly epoch: number;
  readonly sequence: number;
  readonly json: { readonly n: number };
}

/** A store, and the way of the harbour to it, which is there or not. The harbour is killed, and so is a process of its own; the others are in this one. */
class World {
  readonly #t: Test;
  readonly #folder: string;
  adminKey = '';

  constructor(t: Test) {
    this.#t = t;
    this.#folder = mkdtempSync(join(tmpdir(), 'sprawl-standby-'));
    t.teardown(() => rmSync(this.#folder, { recursive: true, force: true }));
  }

  async begin(): Promise<void> {
    mkdirSync(join(this.#folder, 'store', 'archive'), { recursive: true });
    writeFileSync(this.#way, 'no folder');
    const { out } = await runHere(['init', '--data-dir', this.#dataDirOf('harbour'), '--site', 'harbour']);
    writeFileSync(this.#keyFile, /^ {4}(sprawl1\w+)$/m.exec(out)?.[1] ?? '', { mode: 0o600 });
    this.adminKey = /^ {4}(sprawladmin1\w+)$/m.exec(out)?.[1] ?? '';
  }

  #dataDirOf(site: string): string {
    return join(this.#folder, site);
  }

  get #keyFile(): string {
    return join(this.#folder, 'swarm.key');
  }

  /** Where the harbour archives besides: nobody else does. */
  get copy(): string {
    return pathToFileURL(join(this.#folder, 'copy')).href;
  }

  get archive(): string {
    return pathToFileURL(join(this.#folder, 'store', 'archive')).href;
  }

  get #way(): string {
    return join(this.#folder, 'way');
  }

  /** The same, for the harbour alone. */
  get #archiveOfHarbour(): string {
    return pathToFileURL(join(this.#way, 'archive')).href;
  }

  openWay(): void {
    rmSync(this.#way);
    symlinkSync(join(this.#folder, 'store'), this.#way);
  }

  /** In a process of its own. */
  async killableHarbour(): Promise<Killable> {
    const settings = [
      ...['topics=site/#', 'fileMaxAgeS=1', `target=${this.#archiveOfHarbour}`, `copyTarget=${this.copy}`],
    ];
    const args = [
      ...['up', '--data-dir', this.#dataDirOf('harbour'), '--mqtt-port', '0', '--ws-port', 'false'],
      ...['--http-port', '0', '--bootstrap', 'none'],
      ...settings.flatMap((setting) => ['--set', `archive.${setting}`]),
      ...['tcpPort=0', 'udpPort=false', 'lan=false'].flatMap((key) => ['--set', `mesh.${key}`]),
    ];
    const process = new CliProcess(args);
    const kill = async (): Promise<void> => {
      process.child.kill('SIGKILL');
      await process.ended;
    };
    this.#t.teardown(kill);
    await process.told('err', ' ready ');
    const portOf = (listener: string): string =>
      new RegExp(`listener=${listener} host=\\S+ port=(\\d+)`).exec(process.err)?.[1] ?? '';
    return {
      ...{ kill, said: () => process.err, mqttPort: Number(portOf('mqtt')) },
      url: `http://127.0.0.1:${portOf('http')}`,
      address: / tcp=(\S+)/.exec(process.err)?.[1] ?? '',
    };
  }

  harbour(peer: Gateway): Promise<Gateway> {
    return this.#running('harbour', peer, { target: this.#archiveOfHarbour, copyTarget: this.copy });
  }

  /** One that keeps for the harbour. */
  standby(site: string, peer: Gateway): Promise<Gateway> {
    return this.#running(site, peer, { target: this.archive, standbyFor: ['harbour'] });
  }

  async #running(site: string, peer: Gateway, archive: Readonly<Record<string, unknown>>): Promise<Gateway> {
    const said: string[] = [];
    const say = (message: string, fields?: LogFields): void => {
      said.push(`${message} ${JSON.stringify(fields)}`);
    };
    const mesh = {
      ...{ enabled: true, swarmKeyFile: this.#keyFile, site, peers: [peer.address], bootstrap: ['none'] },
      ...{ tcpPort: 0, udpPort: false, lan: false },
    };
    const config = parseConfig({
      overrides: {
        ...{ dataDir: this.#dataDirOf(site), listeners: { mqttPort: 0, wsPort: false }, http: { port: 0 } },
        ...{ mesh, archive: { topics: ['site/#'], fileMaxAgeS: 1, ...archive } },
      },
    });
    const logger: Logger = { ...nullLogger, info: say, warn: say, error: say, child: () => logger };
    const gateway = await createGateway({ config, logger });
    await gateway.start();
    this.#t.teardown(() => gateway.stop({ drainTimeoutMs: 0 }));
    const tcp = said.map((line) => /"tcp":"([^"]+)"/.exec(line)?.[1]).find((found) => found !== undefined);
    return {
      ...{ mqttPort: gateway.addresses['mqtt']?.port ?? 0, address: tcp ?? '', said: () => said.join('\n') },
      url: `http://127.0.0.1:${gateway.addresses['http']?.port ?? 0}`,
    };
  }

  /** @param target of the archive @returns what is in it, as it is read */
  async rows(target: string): Promise<Row[]> {
    const { out, err, code } = await runHere(['archive', 'cat', '--target', target]);
    if (code !== 0) throw new Error(err);
    const lines = out.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as Row);
  }

  /** Of the mesh, for a command. */
  get membership(): readonly string[] {
    return ['--data-dir', this.#dataDirOf('mill'), '--set', `mesh.swarmKeyFile=${this.#keyFile}`];
  }

  verify(): Promise<Ended> {
    return runHere(['archive', 'verify', '--deep', '--target', this.archive]);
  }
}

async function statusOf({ url }: Gateway): Promise<ArchivesStatus> {
  return (await (await fetch(`${url}/api/v1/archive`)).json()) as ArchivesStatus;
}

async function until(
  gateway: Gateway,
  what: string,
  holds: (status: ArchivesStatus) => boolean,
): Promise<ArchivesStatus> {
  const deadline = performance.now() + SOON_MS;
  for (;;) {
    const status = await statusOf(gateway);
    if (holds(status)) return status;
    if (performance.now() > deadline)
      throw new Error(`not soon: ${what}: ${JSON.stringify(status)} ${gateway.said()}`);
    await elapse(20);
  }
}

const keptFor = ({ standby }: ArchivesStatus): StandbyStatus | undefined => standby[0];

/** QoS 1 and 0 in turn, one retained. */
async function publish(t: Test, { mqttPort }: Gateway, from: number, to: number): Promise<void> {
  const client = await RawClient.connect(t, mqttPort, { version: 5 });
  for (let n = from; n <= to; n++)
    await client.publish(`site/${n % 3}/state`, `{"n":${n}}`, { qos: n % 2 === 0 ? 1 : 0, retain: n === 4 });
  // Whoever answers has taken in what came before.
  await client.publish('elsewhere', 'x', { qos: 1 });
  await client.disconnect();
}

/** Resolves when what was published so far, and `n`, is kept by all of them. */
async function untilKept(t: Test, harbour: Gateway, standbys: readonly Gateway[], n: number): Promise<void> {
  // Nothing of it is archived: what waits is all that is committed.
  const { positions } = (await statusOf(harbour)).backlog;
  await publish(t, harbour, n, n);
  for (const standby of standbys)
    await until(standby, 'all is kept', (status) => (keptFor(status)?.keptUpTo ?? 0) > positions);
}

const numbers = (rows: readonly Row[]): number[] => rows.map(({ json }) => json.n).sort((a, b) => a - b);
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);
const bySequence = (rows: readonly Row[]): Row[] =>
  [...rows].sort((a, b) => a.epoch - b.epoch || a.sequence - b.sequence);

t.setTimeout(120_000);

t.test(
  'another gateway finishes the archive of one that was killed, and that one goes on when it is back',
  async (t) => {
    const world = new World(t);
    await world.begin();
    const harbour = await world.killableHarbour();
    const mill = await world.standby('mill', harbour);
    await publish(t, harbour, 1, 60);
    await untilKept(t, harbour, [mill], 61);
    const { standby } = await until(mill, 'it is shown', (status) => keptFor(status)?.state === 'keeping');
    t.match(standby, [{ site: 'harbour', reason: null, archivedUpTo: 0, rows: 0 }]);
    t.match(await runHere(['archive', 'finish', 'harbour', '--url', mill.url]), {
      code: 1,
      err: /is linked, and archives what it took in by itself/,
    });
    await until(harbour, 'the copy is there', ({ copy }) => (copy?.rows ?? 0) >= 61);
    await harbour.kill();
    await until(mill, 'it is missed', (status) => keptFor(status)?.state === 'apart');
    t.match(await runHere(['archive', 'finish', 'mole', '--url', mill.url]), {
      code: 1,
      err: /nothing is kept here/,
    });
    t.match(await runHere(['archive', 'finish', 'harbour', '--url', mill.url]), {
      code: 0,
      out: /^the archive of [0-9a-f]{64} goes on behind 0 and ends with \d+/,
    });
    await until(mill, 'it is finished', (status) => keptFor(status)?.state === 'finished');
    const finished = await world.rows(world.archive);
    t.same(numbers(finished), upTo(61), 'each once');
    t.same(bySequence(finished), bySequence(await world.rows(world.copy)), 'as it would have archived them');
    t.match(await runHere(['archive', 'status', '--url', mill.url]), {
      code: 0,
      out: /kept for +harbour \([0-9a-f]{8}\)\n +state +finished\n[^]*61 messages brought into its archive/,
    });
    t.match(
      await (await fetch(`${mill.url}/metrics`)).text(),
      /^sprawl_archive_standby_rows_total\{gateway="[0-9a-f]{64}"\} 61$/m,
    );

    world.openWay();
    const again = await world.harbour(mill);
    await publish(t, again, 62, 80);
    await until(again, 'the rest is archived', ({ rows }) => rows === 19);
    await until(again, 'the copy, too', ({ copy }) => copy?.rows === 19);
    const all = await world.rows(world.archive);
    t.same(numbers(all), upTo(80), 'nothing twice, nothing missing');
    t.same(bySequence(all), bySequence(await world.rows(world.copy)));
    t.match(await world.verify(), { code: 0, err: '' });
    await until(mill, 'it keeps again, and knows how far it is', (status) => {
      const kept = keptFor(status);
      return (
        kept?.state === 'keeping' && kept.archivedUpTo !== null && kept.archivedUpTo >= (kept.keptUpTo ?? 0)
      );
    });
  },
);

t.test('all that keep for a gateway finish its archive when it is evicted, at the same time', async (t) => {
  const world = new World(t);
  await world.begin();
  const harbour = await world.killableHarbour();
  const mill = await world.standby('mill', harbour);
  const quarry = await world.standby('quarry', harbour);
  await publish(t, harbour, 1, 40);
  await untilKept(t, harbour, [mill, quarry], 41);
  await until(harbour, 'the copy is there', ({ copy }) => (copy?.rows ?? 0) >= 41);
  await harbour.kill();
  const origin = keptFor(await statusOf(mill))?.gateway ?? '';
  const evict = ['evict', origin, ...world.membership, '--url', mill.url];
  t.match(await runHere(evict, world.adminKey), { code: 0, out: /the others are being told/ });
  for (const standby of [mill, quarry])
    await until(standby, 'it is finished', (status) => keptFor(status)?.state === 'finished');
  const finished = await world.rows(world.archive);
  t.same(numbers(finished), upTo(41), 'each once');
  t.same(bySequence(finished), bySequence(await world.rows(world.copy)));
});
