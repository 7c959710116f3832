/**
 * The whole system on one machine: a private hash table, three gateways, a store that speaks S3, devices of two kinds, subscribers at other sites; a line
 * that is cut, a gateway that is killed; and at the end an account in which every sum has to be right.
 *
 *     plant ◀── hash table, UDP ──▶ office        depot listens nowhere: it dials both over its uplink, which also leads to the store
 *        ▲                            ▲
 *        └───────── uplink ───────────┴───── depot
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import type { MeshStatus } from '../../lib/contracts/mesh-status.js';
import { S3Server } from '../support/s3-server.js';
import { Account, type AccountRow } from './account.js';
import { copyObjects, QUERY, query } from './archive-view.js';
import type { Qos } from './device.js';
import { DemoFleet, TOPICS } from './fleet.js';
import { readReadings, type Reading, type Site, SITES } from './readings.js';
import { BootstrapNode, SiteGateway } from './site.js';
import { Uplink } from './uplink.js';
import { freePort } from '../support/free-port.js';

export interface DemoOptions {
  /** Of each site. */
  readonly devices: number;
  /** Of the data set that are replayed. */
  readonly seconds: number;
  /** Told what happens, a line each time. */
  tell(line: string): void;
}

const FILE_MAX_AGE_S = 2;
const STEP_MAX_MS = 60_000;
const LOOK_EVERY_MS = 100;
const PROGRESS_EVERY_MS = 2000;
const PREFIX = 'archive/';
const SHORT_ID = 8;
const MS_PER_S = 1000;
/** Of the time of the replay. */
const CUT_FROM = 0.2;
const CUT_UNTIL = 0.45;
const KILL_AT = 0.65;
const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'AKTEST', AWS_SECRET_ACCESS_KEY: 'very secret' };

export class Demo {
  readonly folder = mkdtempSync(join(tmpdir(), 'sprawl-demo-'));
  readonly account = new Account();
  readonly gateways = new Map<Site, SiteGateway>();
  readonly store = new S3Server();
  readonly #options: DemoOptions;
  readonly #uplink = new Uplink();
  readonly #readings: readonly Reading[];
  readonly #beganAt = performance.now();
  #bootstrap: BootstrapNode | undefined;
  #fleet: DemoFleet | undefined;
  #faults: string[] = [];

  constructor(options: DemoOptions) {
    this.#options = options;
    const { devices, seconds } = options;
    const numberOf = (device: string): number => Number(device.split('-')[1]);
    this.#readings = readReadings().filter(
      ({ device, second }) => numberOf(device) <= devices && second < seconds,
    );
  }

  /** The environment in which the commands of the gateways reach the store. */
  get env(): Readonly<Record<string, string>> {
    return CREDENTIALS;
  }

  /** @returns what is not as it has to be; empty: every sum is right */
  async run(): Promise<readonly string[]> {
    await this.#startMesh();
    await this.#startDevices();
    const progress = setInterval(() => this.#showProgress(), PROGRESS_EVERY_MS);
    try {
      await Promise.all([this.#replay(), this.#break()]);
    } finally {
      clearInterval(progress);
    }
    await this.#drain();
    await this.#judge();
    return this.#faults;
  }

  /** Everything ends, and nothing of it stays. */
  async stop(): Promise<void> {
    await this.#fleet?.stop();
    this.#uplink.restore();
    await Promise.all([...this.gateways.values()].map((gateway) => gateway.stop()));
    await this.#bootstrap?.stop();
    this.#uplink.close();
    await this.store.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Devices and subscribers leave; gateways, hash table and store stay. */
  async leave(): Promise<void> {
    await this.#fleet?.stop();
    this.#fleet = undefined;
  }

  async #startMesh(): Promise<void> {
    await this.store.listen();
    this.#bootstrap = await BootstrapNode.start(await freePort());
    const { address } = this.#bootstrap;
    this.#tell(`a private hash table at ${address}, and a store that speaks S3 at ${this.store.endpoint}`);
    const found = { host: '127.0.0.1', lan: false, advertise: ['none'], bootstrap: [address], udpPort: 0 };
    const plant = await this.#create('plant', this.store.endpoint, { ...found, tcpPort: await freePort() });
    const office = await this.#create('office', this.store.endpoint, { ...found, tcpPort: await freePort() });
    const { out } = await plant.run(['init', '--site', 'plant']);
    const [, swarmKey = ''] = /^ {4}(sprawl1\w+)$/m.exec(out) ?? [];
    await plant.start();
    await office.start(['join', '-', '--site', 'office'], swarmKey);
    const ways = await Promise.all([plant, office].map(({ meshPort }) => this.#uplink.open(meshPort)));
    const storePort = Number(new URL(this.store.endpoint).port);
    const depot = await this.#create('depot', `http://127.0.0.1:${await this.#uplink.open(storePort)}`, {
      ...{ host: '127.0.0.1', lan: false, advertise: ['none'], bootstrap: ['none'] },
      ...{ tcpPort: false, udpPort: false, peers: ways.map((port) => `127.0.0.1:${port}`) },
    });
    await depot.start(['join', '-', '--site', 'depot'], swarmKey);
    await this.#until('every gateway has a link to both others', async () => this.#areLinked(2));
    for (const gateway of this.gateways.values()) this.#tell(linksText(await gateway.mesh()));
  }

  async #create(site: Site, endpoint: string, mesh: object): Promise<SiteGateway & { meshPort: number }> {
    const archive = {
      ...{ topics: [TOPICS], target: `s3://bucket/${PREFIX.slice(0, -1)}`, fileMaxAgeS: FILE_MAX_AGE_S },
      s3: { endpoint, region: 'eu-west-1' },
    };
    const gateway = new SiteGateway({
      ...{ site, folder: this.folder, config: { mesh, archive }, env: CREDENTIALS },
      ...{ mqttPort: await freePort(), httpPort: await freePort() },
    });
    this.gateways.set(site, gateway);
    return Object.assign(gateway, { meshPort: Number((mesh as { tcpPort?: number }).tcpPort) });
  }

  async #startDevices(): Promise<void> {
    const ports = Object.fromEntries(SITES.map((site) => [site, this.#gateway(site).options.mqttPort]));
    const fleet = new DemoFleet({
      ...{ readings: this.#readings, account: this.account },
      ports: ports as Record<Site, number>,
    });
    this.#fleet = fleet;
    await fleet.start();
    const { seconds } = this.#options;
    this.#tell(
      `${fleet.size} devices, half with MQTT.js and half with packets of their own, replay ${this.#readings.length} readings in ${seconds} s; a subscriber at each site wants those of the others`,
    );
  }

  async #replay(): Promise<void> {
    await this.#fleet?.replay();
    this.#tell('the last reading was sent');
  }

  /** The line of the depot is cut for a while, and then the gateway of the plant is killed. */
  async #break(): Promise<void> {
    const lastsMs = this.#options.seconds * MS_PER_S;
    await elapse(CUT_FROM * lastsMs);
    this.#uplink.cut();
    this.#tell('CUT: the uplink of the depot. Its devices go on, and what they send waits in its log');
    await elapse((CUT_UNTIL - CUT_FROM) * lastsMs);
    const restoredAt = performance.now();
    const waiting = this.account.waiting('depot').map(({ at, count }) => `${count} for ${at}`);
    const isThere = this.account.owed('depot');
    this.#uplink.restore();
    this.#tell(`BACK: the uplink of the depot; ${waiting.join(' and ')} of its messages were waiting`);
    await this.#until('the others have what waited', isThere);
    this.#tell(
      `what waited at the depot is at the other sites ${seconds(performance.now() - restoredAt)} after the line was back`,
    );
    await elapse(Math.max(0, KILL_AT * lastsMs - (performance.now() - restoredAt) - CUT_UNTIL * lastsMs));
    await this.#kill('plant');
  }

  async #kill(site: Site): Promise<void> {
    const gateway = this.#gateway(site);
    const killedAt = performance.now();
    await gateway.kill();
    this.#tell(`KILLED: the gateway of the ${site}, with signal 9; it is started again`);
    await gateway.start();
    const servesAt = performance.now();
    await this.#until('it has its links again', async () => (await gateway.links()) === 2);
    this.#tell(
      `the ${site} serves again after ${seconds(servesAt - killedAt)}, and has its links after ${seconds(performance.now() - killedAt)}`,
    );
  }

  async #drain(): Promise<void> {
    await this.#fleet?.settled();
    this.#tell('everything that was sent is acknowledged');
    await this.#until('all of it is at the other sites', () => this.account.isDelivered);
    this.#tell('all of it is at the other sites');
    await this.#until('all of it is in the archive', async () => this.#isArchived());
    this.#tell(`all of it is in the archive: ${this.store.objects.size} objects`);
  }

  /** What the manifests name is read as a consumer reads it, with the command. */
  async #isArchived(): Promise<boolean> {
    for (const gateway of this.gateways.values()) {
      const { backlog, state } = await gateway.archive();
      if (state === 'failing' || backlog.ageS > FILE_MAX_AGE_S) return false;
    }
    const { code, out, err } = await this.#gateway('office').run(['archive', 'cat']);
    if (code !== 0) throw new Error(`archive cat ended with ${code}: ${err}`);
    this.account.beginArchive();
    for (const line of out.split('\n')) {
      if (line === '') continue;
      const { site, qos, json } = JSON.parse(line) as { site: Site; qos: Qos; json: { id: string } };
      this.account.archived(site, qos, json.id);
    }
    return this.account.isArchived;
  }

  async #judge(): Promise<void> {
    for (const line of table(this.account.rows())) this.#options.tell(line);
    this.#faults = this.account.faults();
    for (const site of SITES) {
      const { self } = await this.#gateway(site).mesh();
      const command = ['archive', 'verify', '--deep', '--log', '--origin', self.id.slice(0, SHORT_ID)];
      const { code, out, err } = await this.#gateway(site).run(command);
      this.#options.tell(`\n$ sprawl-edge ${command.join(' ')}    # ${site}\n${out.trimEnd()}`);
      if (code !== 0) this.#faults.push(`archive verify of the ${site} ended with ${code}: ${err}`);
    }
    const copy = join(this.folder, 'bucket');
    copyObjects(this.store.objects, PREFIX, copy);
    const lines = await query(copy);
    this.#options.tell(`\nDuckDB, over the Parquet files that the manifests name:\n${QUERY}\n`);
    for (const line of aligned([
      Object.keys(lines[0] ?? {}),
      ...lines.map((one) => Object.values(one).map(String)),
    ]))
      this.#options.tell(line);
    const found = lines.reduce((sum, { messages }) => sum + messages, 0);
    const owed = this.account.rows().reduce((sum, row) => sum + row.archived + row.archivedTwice, 0);
    if (found !== owed) this.#faults.push(`DuckDB finds ${found} messages, and archive cat ${owed}`);
  }

  #areLinked(count: number): Promise<boolean> {
    return Promise.all([...this.gateways.values()].map((gateway) => gateway.links())).then((links) =>
      links.every((found) => found === count),
    );
  }

  #gateway(site: Site): SiteGateway {
    return this.gateways.get(site) as SiteGateway;
  }

  async #until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + STEP_MAX_MS;
    while (!(await holds())) {
      if (performance.now() > deadline)
        throw new Error(
          `not within ${STEP_MAX_MS / MS_PER_S} s: ${what}; logs of the gateways are in ${this.folder}`,
        );
      await elapse(LOOK_EVERY_MS);
    }
  }

  #showProgress(): void {
    const { published, acknowledged, delivered } = this.account.totals;
    this.#tell(
      `    published ${published}   acknowledged ${acknowledged}   delivered at other sites ${delivered}   objects in the store ${this.store.objects.size}`,
    );
  }

  #tell(text: string): void {
    const at = seconds(performance.now() - this.#beganAt);
    this.#options.tell(`${at.padStart(7)}  ${text}`);
  }
}

function seconds(ms: number): string {
  return `${(ms / MS_PER_S).toFixed(1)} s`;
}

function linksText({ self, peers }: MeshStatus): string {
  const links = peers.map(({ site, state, path }) => `${site} ${state} (${path})`);
  return `    ${self.site.padEnd(7)} ${self.id.slice(0, SHORT_ID)}   ${links.join('   ')}`;
}

/** Columns that are as wide as their widest text. */
function aligned(lines: readonly (readonly string[])[]): string[] {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  return lines.map((line) =>
    line
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function table(rows: readonly AccountRow[]): string[] {
  const head = ['site', 'QoS', 'published', 'acknowledged', 'delivered at', '', 'archived', 'twice'];
  const lines = rows.map(({ site, qos, published, acknowledged, delivered, archived, archivedTwice }) => [
    ...[site, `${qos}`, `${published}`, qos === 0 ? `${acknowledged} sent` : `${acknowledged}`],
    ...delivered.map(
      ({ at, distinct, repeated }) => `${at} ${distinct}${repeated > 0 ? ` (+${repeated})` : ''}`,
    ),
    ...[`${archived}`, archivedTwice > 0 ? `+${archivedTwice}` : ''],
  ]);
  return [
    '',
    ...aligned([head, ...lines]),
    'QoS 1: at least once, QoS 2: once, through the cut and the kill. QoS 0: at most once; what a cut line or a dead gateway had of it is gone.',
  ];
}
