/** A machine with one gateway of the mesh: its disk, the processes that follow each other on it, and what outlives them. */
import type { Clock } from '../../../lib/contracts/clock.js';
import type { EpochStart, Lineage } from '../../../lib/contracts/epoch.js';
import { type GatewayId, gatewayIdOf } from '../../../lib/contracts/gateway-id.js';
import type { MeshHost } from '../../../lib/contracts/mesh-port.js';
import type { Logger } from '../../../lib/contracts/logger.js';
import { COUNTER_NAMES, C } from '../../../lib/telemetry/counters.js';
import { TICK_MS } from '../../../mesh/node/limits.js';
import { MeshNode } from '../../../mesh/node/mesh-node.js';
import type { EventBody } from '../../history/event.js';
import type { Received } from '../../support/wire-decode.js';
import { MemoryKeyValue } from '../../support/memory-key-value.js';
import { ClientConnection } from '../client-connection.js';
import type { ClientWorld } from '../crash-client.js';
import { Disk, DiskView, type DiskWatcher } from '../crash-disk.js';
import { CrashProcess, type MeshHook, type ProcessParts, ProcessSteps } from '../crash-process.js';
import { Link, type LinkClient } from '../link.js';
import type { Random } from '../random.js';
import type { Scheduler } from '../scheduler.js';
import { GatewayLedger, type LedgerEntry } from './mesh-ledger.js';
import type { MeshWorld } from './mesh-world.js';
import type { NetworkNode } from './network.js';
import { watchSituations } from './situation-watch.js';

const EPOCHS_PATH = 'data/mesh/epochs';
const LINEAGE_MAX_COUNT = 64;
const INTEREST_WAIT_MS = 250;
/** What a gateway may not say, as no fault of the simulation takes what was synced. */
const LOSSES: readonly string[] = [
  'a message that waited for a client is lost',
  'a part of the log is lost',
  'a segment of the log cannot be read and was set aside',
  'messages of another gateway are lost',
  'two machines claim to be one gateway',
];
const DROPS = COUNTER_NAMES.filter((name) => name === 'droppedQueueFull' || name === 'droppedMemory');

interface DiskImage {
  readonly disk: Disk;
  readonly lineage: Lineage;
  readonly lineages: ReadonlyMap<GatewayId, Lineage>;
  readonly entries: readonly LedgerEntry[];
}

export class MeshGateway implements ClientWorld, DiskWatcher, NetworkNode {
  readonly id: GatewayId;
  readonly node: string;
  readonly ledger: GatewayLedger;
  readonly #world: MeshWorld;
  readonly #random: Random;
  readonly #rate: number;
  disk = new Disk();
  process: CrashProcess | undefined;
  mesh: MeshNode | undefined;
  #steps: ProcessSteps | undefined;
  #lineage: Lineage = [];
  #lineages: ReadonlyMap<GatewayId, Lineage> = new Map();
  #image: DiskImage | undefined;
  #isPutBack = false;
  #isStreaming = false;
  #wallOffsetMs = 0;
  #processCount = 0;
  #linkCount = 0;

  constructor(
    world: MeshWorld,
    readonly number: number,
  ) {
    this.#world = world;
    this.node = `n${number}`;
    const bytes = new Uint8Array(32).fill(number & 0xff);
    bytes[31] = number >>> 8;
    this.id = gatewayIdOf(bytes);
    this.#random = world.random(`gateway ${number}`);
    this.#rate = 1 + (this.#random.float() * 2 - 1) * world.plan.driftMax;
    this.ledger = new GatewayLedger(this.id, world.run, (invariant, text) =>
      world.fail(invariant, `${this.node}: ${text}`),
    );
  }

  // Processes.

  start(): void {
    if (this.process !== undefined) return;
    const world = this.#world;
    const number = this.#processCount++;
    const steps = new ProcessSteps(world.scheduler);
    const random = this.#random.fork(`process ${number}`);
    const { gateway: plan } = world.plan;
    const disk = new DiskView(this.disk, steps, random.fork('disk'), plan.disk, this);
    this.#steps = steps;
    const process = new CrashProcess({
      ...{ plan, scheduler: world.scheduler, steps, disk, random, number },
      ...{ logger: this.#logger(number), fail: world.fail, onReplayed: () => undefined },
      machineClock: this.#clock(),
      join: (made, parts) => this.#join(made, parts, disk, random),
    });
    this.process = process;
    this.#log(`process ${number} starts`);
    process.open().then(
      () => this.#serves(process),
      (error: unknown) => {
        if (process === this.process)
          world.fail(
            'a gateway starts',
            `${this.node}: ${String(error instanceof Error ? error.stack : error)}`,
          );
      },
    );
    world.scheduler.settle();
  }

  #join(process: CrashProcess, parts: ProcessParts, disk: DiskView, random: Random): MeshHook {
    const { store, lanes } = process;
    const { plan, scheduler } = this.#world;
    const draws = random.fork('mesh');
    this.#watchStore(process);
    const mesh = new MeshNode({
      ...{ self: this.id, site: this.node, software: 'sim', lineage: this.#lineage, ...parts },
      ...{
        logger: this.#logger(this.#processCount - 1),
        store,
        host: this.#watchedHost(lanes.createMeshHost()),
      },
      random: () => draws.float(),
      wanted: () => undefined,
      limits: {
        linkMaxBytesPerSecond: 0,
        maxQueuedPassingBytes: 1 << 20,
        tombstoneMinAgeMs: 0,
        interestWaitMs: INTEREST_WAIT_MS,
        relay: true,
        forward: plan.forward,
      },
      ...{ importFilters: ['#'], exportFilters: ['#'], addresses: () => [], lineages: this.#lineages },
      saveLineages: (lineages) => (this.#lineages = new Map(lineages)),
      ...{ roster: undefined, matchesAdmin: () => true, saveRoster: () => undefined },
      bearAnew: (beyond) => {
        this.#world.situations.saw('rollback found by another gateway');
        void bear(beyond).then(() => scheduler.settle());
      },
      stopped: (reason) => this.fail('a gateway stays in the mesh', `${this.node}: ${reason}`),
    });
    const bear = async (beyond: number): Promise<void> => {
      const start: EpochStart = {
        counter: Math.max(this.#lineage.at(-1)?.counter ?? 0, beyond) + 1,
        nonce: Array.from({ length: 16 }, () => draws.integer(0, 15).toString(16)).join(''),
        after: this.#lineage.length === 0 ? 0 : store.committed,
      };
      await disk.slowly('write', EPOCHS_PATH, async () => {
        this.#lineage = [...this.#lineage, start].slice(-LINEAGE_MAX_COUNT);
        this.ledger.lineage = this.#lineage;
      });
      this.#log(`epoch ${start.counter} begins after ${start.after}`);
      mesh.begin(this.#lineage);
    };
    lanes.useMesh(mesh);
    watchSituations(
      { store, mesh, holdMaxMs: INTEREST_WAIT_MS - TICK_MS, now: () => scheduler.now() },
      this.#world.situations,
    );
    return {
      streams: mesh,
      begin: async () => {
        // What restored sessions have written since is behind it.
        this.#cutLedger(store.committed);
        this.ledger.committed = store.committed;
        await bear(0);
        this.mesh = mesh;
        scheduler.settle();
      },
    };
  }

  /** What comes by a stream, and not because retained messages were compared. */
  #watchedHost(host: MeshHost): MeshHost {
    const publish = host.publishForwarded.bind(host);
    host.publishForwarded = (message) => {
      this.#isStreaming = true;
      try {
        return publish(message);
      } finally {
        this.#isStreaming = false;
      }
    };
    return host;
  }

  /** The log that was found ends here. */
  #cutLedger(head: number): void {
    const gone = this.ledger.truncate(head);
    if (!this.#isPutBack) return;
    this.#isPutBack = false;
    for (const { mid, source } of gone)
      if (mid !== undefined && source === undefined) this.ledger.lost.add(`${mid.pub}/${mid.seq}`);
    this.#log(`is ${gone.length} messages short`);
  }

  /** What is appended and committed, for the ledger. */
  #watchStore({ store, lanes }: CrashProcess): void {
    const append = store.append.bind(store);
    store.append = (message, origin) => {
      const position = append(message, origin);
      if (message.source !== undefined && message.retain)
        this.#log(
          `${this.#isStreaming ? 'is sent' : 'compares and takes'} ${message.topic} ${message.retainedCounter} of ${message.source.origin.slice(0, 2)} ${message.sequence}, at ${position}`,
        );
      this.ledger.appended(message, position, this.#isStreaming, (id) => this.#world.gatewayOf(id)?.ledger);
      return position;
    };
    const { commits } = lanes.env;
    const drain = commits.drain.bind(commits);
    commits.drain = () => {
      this.ledger.committed = Math.max(this.ledger.committed, store.committed);
      drain();
    };
  }

  #serves(process: CrashProcess): void {
    if (process !== this.process) return;
    this.#world.network.start(this);
    if (this.#processCount > 1) this.write('nemesis', { e: 'heal', what: 'crash', nodes: [this.node] });
    this.#log(`serves after ${process.replayed} records, epoch ${this.#lineage.at(-1)?.counter}`);
  }

  linkUp(link: Parameters<MeshNode['linkUp']>[0]): void {
    this.mesh?.linkUp(link);
  }

  get isServing(): boolean {
    return this.process?.isServing === true;
  }

  get isFrozen(): boolean {
    return this.#steps?.isFrozen === true;
  }

  crash(power: boolean): void {
    const { process, mesh } = this;
    if (process === undefined) return;
    const { situations } = this.#world;
    this.#log(power ? 'power is lost' : 'killed');
    situations.saw(power ? 'gateway lost its power' : 'gateway killed');
    for (const peer of mesh?.peers ?? []) {
      if ((peer.sender?.status.unackedBytes ?? 0) > 0)
        situations.saw('sender ended with messages not acknowledged');
      if (peer.receiver.status.heldBytes > 0) situations.saw('receiver ended between append and commit');
    }
    this.#collect();
    if (process.isServing) this.write('nemesis', { e: 'fault', what: 'crash', nodes: [this.node] });
    this.process = undefined;
    this.mesh = undefined;
    this.#world.network.stop(this.id);
    process.die(power);
    this.disk.crash(power, this.#random);
  }

  freeze(): void {
    if (this.#steps === undefined || this.process === undefined) return;
    this.#steps.isFrozen = true;
    this.#world.network.freeze(this.id);
    this.write('nemesis', { e: 'fault', what: 'freeze', nodes: [this.node] });
  }

  /** @returns whether the process that was frozen is there still. */
  thaw(): boolean {
    const steps = this.#steps;
    if (steps?.isFrozen !== true) return false;
    this.write('nemesis', { e: 'heal', what: 'freeze', nodes: [this.node] });
    if (!steps.alive) return false;
    steps.thaw();
    this.#world.network.thaw(this.id);
    return true;
  }

  jump(offsetMs: number): void {
    this.#wallOffsetMs += offsetMs;
  }

  // Images of the disk.

  /** As after a kill at this moment. */
  takeImage(): void {
    if (!this.isServing || this.isFrozen) return;
    this.#image = {
      ...{ disk: copyOf(this.disk), lineage: this.#lineage, lineages: this.#lineages },
      entries: [...this.ledger.entries],
    };
  }

  get hasImage(): boolean {
    return this.#image !== undefined;
  }

  /** The machine is off. What was taken in since the image is lost where nobody else has it. */
  rollBack(): void {
    const image = this.#image;
    if (image === undefined || this.process !== undefined) return;
    this.#image = undefined;
    this.disk = image.disk;
    this.#lineage = image.lineage;
    this.#lineages = image.lineages;
    this.ledger.putBack(image.lineage, image.entries);
    this.#isPutBack = true;
    this.#log('is put back');
    this.#world.situations.saw('gateway put back to an old image');
  }

  // Figures.

  /** Counters of this process that the run is about; before it ends, and at the end of the run. */
  #collect(): void {
    const { process, mesh } = this;
    const { situations } = this.#world;
    if (process === undefined) return;
    const { counters } = process.lanes;
    for (const name of DROPS) {
      const n = counters[C[name]] ?? 0;
      if (n > 0) this.write('nemesis', { e: 'drop', node: this.node, reason: name, n });
      counters[C[name]] = 0;
    }
    situations.saw('older retained message came behind a newer one', counters[C.meshRetainedSuperseded] ?? 0);
    counters[C.meshRetainedSuperseded] = 0;
    for (const peer of mesh?.peers ?? []) {
      const sender = peer.sender?.status;
      if (sender === undefined) continue;
      const receiver = peer.receiver.status;
      situations.saw('messages crossed to another gateway', receiver.received);
      situations.saw('express lane used', sender.expressMessages);
      situations.saw('live messages were too many for memory', sender.overflows);
      situations.saw('catch-up became live', Math.max(0, sender.switchesToLive - 1));
      situations.saw('message came a second time to a gateway', receiver.duplicates);
    }
  }

  collect(): void {
    this.#collect();
  }

  #clock(): Clock {
    const { scheduler } = this.#world;
    return {
      now: () => scheduler.now() * this.#rate,
      wall: () => scheduler.wall() + this.#wallOffsetMs,
    };
  }

  // What its clients need.

  get run(): string {
    return this.#world.run;
  }

  get scheduler(): Scheduler {
    return this.#world.scheduler;
  }

  get isHealing(): boolean {
    return this.#world.isHealing;
  }

  get canDial(): boolean {
    return this.isServing;
  }

  random(stream: string): Random {
    return this.#world.random(stream);
  }

  dial(client: LinkClient, name: string): Link {
    const { process } = this;
    if (process === undefined) throw new Error('nobody listens');
    const nobody = (): void => {};
    const observer = { wrote: nobody, arrives: nobody, closes: nobody };
    const random = this.#world.random(`${this.node} link ${this.#linkCount++}`);
    const link = new Link(this.scheduler, random, this.#world.plan.gateway.link, observer, client);
    const connect = { type: 'connect', version: 4, clientId: name } as const;
    const packet = { ...connect, bridge: false, cleanStart: true, keepAlive: 0, properties: {} };
    process.dial(link, new ClientConnection(packet, '', { packet: nobody, gone: nobody }));
    return link;
  }

  fail(invariant: string, text: string): void {
    this.#world.fail(invariant, text);
  }

  write(actor: string, body: EventBody): void {
    this.#world.write(actor, body);
  }

  observe({ type, packetId, topic }: Received): void {
    this.scheduler.observeText(`${type} ${packetId} ${topic}`);
  }

  accepted(): void {}
  seen(): void {}

  #log(text: string): void {
    this.#world.log(`${this.node} ${text}`);
  }

  #logger(number: number): Logger {
    const say = (level: string) => (text: string, fields?: object) => {
      this.#log(`process ${number} ${level}: ${text} ${JSON.stringify(fields ?? {})}`);
      this.#world.said(this, text);
      if (LOSSES.includes(text) && !this.#world.mayLose)
        this.fail('nothing that was stored is lost', `${this.node}: ${text} ${JSON.stringify(fields)}`);
    };
    const quiet = (): void => {};
    const logger: Logger = {
      ...{ trace: quiet, debug: quiet, info: quiet },
      ...{ warn: say('warns'), error: say('errs'), child: () => logger },
    };
    return logger;
  }

  // The disk.

  begins(): void {}
  effect(): void {}
  databaseFault(): undefined {
    return undefined;
  }
  databaseWrote(): void {}
  databaseRead(): void {}
}

function copyOf(disk: Disk): Disk {
  const copy = new Disk();
  copy.files = disk.files.copy();
  for (const [folder, database] of disk.databases) {
    const other = new MemoryKeyValue();
    for (const [key, value] of database.values) other.values.set(key, Uint8Array.from(value));
    other.exists = database.exists;
    copy.databases.set(folder, other);
  }
  return copy;
}
