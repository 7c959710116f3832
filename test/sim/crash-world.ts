/**
 * A machine, the processes of a gateway that follow each other on it, and clients that outlive them. A seed makes one history. The clock of
 * the history stands still while no process serves, as the gateway's own does.
 */
import type { Logger } from '../../lib/contracts/logger.js';
import { COUNTER_NAMES, C } from '../../lib/telemetry/counters.js';
import type { EventBody } from '../history/event.js';
import { MemoryHistory } from '../history/history-writer.js';
import type { Received } from '../support/wire-decode.js';
import { ClientConnection } from './client-connection.js';
import { CrashClient, type ClientWorld } from './crash-client.js';
import { DiskView, Disk, type DatabaseOperation, type DiskWatcher } from './crash-disk.js';
import { CrashFaults } from './crash-faults.js';
import type { CrashClientProfile, CrashPlan } from './crash-plan.js';
import { CrashProcess, FOLDER, ProcessSteps } from './crash-process.js';
import { CrashSituations } from './crash-situations.js';
import { Link, type LinkClient } from './link.js';
import { Random } from './random.js';
import { allTurns, Scheduler } from './scheduler.js';
import { InvariantViolation } from './violation.js';

/** What the gateway may not say, as no fault of the simulation takes what was synced. */
const LOSSES: readonly string[] = [
  'a message that waited for a client is lost',
  'a part of the log is lost',
  'a segment of the log cannot be read and was set aside',
];
const INDEX = `${FOLDER}/index`;
/** A crash that comes so soon after the one before it is another situation. */
const SOON_MS = 300;
const DROPS = COUNTER_NAMES.filter((name) => name === 'droppedQueueFull' || name === 'droppedMemory');

type TriggerKind = 'begins' | 'effect' | 'packet';

export class CrashWorld implements DiskWatcher, ClientWorld {
  readonly node = 'n1';
  readonly scheduler = new Scheduler(allTurns);
  readonly run: string;
  readonly history: MemoryHistory;
  readonly situations = new CrashSituations();
  readonly disk = new Disk();
  readonly clients: CrashClient[] = [];
  readonly faults: CrashFaults;
  process: CrashProcess | undefined;
  isHealing = false;
  violation: InvariantViolation | undefined;
  trace: ((line: string) => void) | undefined;
  readonly #random: Random;
  #processCount = 0;
  #clientCount = 0;
  #linkCount = 0;
  /** What the next crash waits for, so many times: something on the disk, by its kind and path, or a packet that reached its client. */
  #trigger: { readonly when: TriggerKind; readonly what: RegExp; left: number } | undefined;
  /** The same for records that are replayed. */
  #replaysLeft = Infinity;
  #crashesLeft: number;
  #crashedAt = -Infinity;
  /** Since when no process serves; undefined: one does. */
  #downSince: number | undefined;
  #downMs = 0;
  /** QoS 2 packet ids that came on the connection that a client has now. */
  readonly #came = new Map<CrashClient, Set<number>>();

  constructor(
    readonly seed: number,
    readonly plan: CrashPlan,
  ) {
    this.run = `crash ${seed}`;
    this.history = new MemoryHistory(this.run, () => this.#historyClock());
    this.#random = this.random('world');
    this.#crashesLeft = plan.crashes;
    this.faults = new CrashFaults(this);
    this.#downSince = this.scheduler.now();
    for (const profile of plan.clients) this.addClient(profile);
  }

  random(stream: string): Random {
    return new Random(this.seed, stream);
  }

  addClient(profile: CrashClientProfile): CrashClient {
    const client = new CrashClient(this, profile, this.#clientCount++);
    this.clients.push(client);
    return client;
  }

  /** The first violation counts; the run stops after the step. */
  readonly fail = (invariant: string, text: string): void => {
    this.violation ??= new InvariantViolation(
      invariant,
      `${text} (at ${this.scheduler.now().toFixed(1)} ms)`,
    );
  };

  get hasCrashed(): boolean {
    return this.#processCount > 1;
  }

  // The process and its end.

  start(): void {
    const number = this.#processCount++;
    if (this.hasCrashed) this.faults.damage();
    const steps = new ProcessSteps(this.scheduler);
    const random = this.random(`process ${number}`);
    const disk = new DiskView(this.disk, steps, random.fork('disk'), this.plan.disk, this);
    this.faults.attach();
    const onReplayed = (): void => this.#replayed();
    const options = { plan: this.plan, scheduler: this.scheduler, steps, disk, random, number, onReplayed };
    const process = new CrashProcess({ ...options, logger: this.#logger(number), fail: this.fail });
    this.process = process;
    this.#log(`process ${number} starts`);
    process.open().then(
      () => this.#serves(process),
      (error: unknown) => this.#failed(process, error),
    );
    this.scheduler.settle();
  }

  #serves(process: CrashProcess): void {
    if (process !== this.process) return;
    if (this.#replaysLeft !== Infinity) {
      this.#replaysLeft = Infinity;
      this.#aim();
    }
    if (process.assignedAtStart > 0) this.situations.saw('member of a group chosen after a crash');
    this.#downMs += this.scheduler.now() - (this.#downSince ?? this.scheduler.now());
    this.#downSince = undefined;
    if (this.hasCrashed) this.write('nemesis', { e: 'heal', what: 'crash', nodes: ['n1'] });
    this.#log(`serves after ${process.replayed} records and ${process.restoredCount} sessions`);
  }

  #failed(process: CrashProcess, error: unknown): void {
    if (process !== this.process) return;
    if (!this.faults.mayFail) {
      this.fail('the gateway starts', String(error instanceof Error ? error.stack : error));
      return;
    }
    this.#log(`does not start: ${String(error)}`);
    this.situations.saw('start failed and was tried again');
    this.#over(false);
  }

  /** From here on crashes come. */
  armCrash(): void {
    if (this.#crashesLeft === 0 || this.isHealing) return;
    this.#crashesLeft--;
    const { activeMs, crashes } = this.plan;
    if (this.#random.chance(0.4)) {
      const delayMs = this.#random.delay((activeMs / crashes) * 2);
      this.scheduler.after(delayMs, 'crash', () => this.#crashByChance());
    } else if (this.process === undefined && this.#random.chance(0.3)) {
      this.#replaysLeft = this.#random.integer(1, 100);
    } else {
      this.#aim();
    }
  }

  #aim(): void {
    const random = this.#random;
    if (random.chance(0.35)) {
      const type = random.pick(['connack', 'suback', 'puback', 'pubrec', 'pubrel', 'pubcomp', 'publish']);
      const most = random.pick(type === 'connack' || type === 'suback' ? [2, 8] : [5, 50]);
      this.#trigger = { when: 'packet', what: new RegExp(`^${type}$`), left: random.integer(1, most) };
      return;
    }
    const what = random.pick([/./, /./, /^write data\/index/, /\.snapshot/, /\/log\//]);
    const left = random.integer(1, random.pick(what.source === '.' ? [10, 50, 400] : [3, 10, 30]));
    this.#trigger = { when: random.pick(['begins', 'effect'] as const), what, left };
  }

  #watch(when: TriggerKind, what: string): void {
    const trigger = this.#trigger;
    if (trigger?.when !== when || !trigger.what.test(what) || --trigger.left > 0) return;
    if (when === 'packet') this.scheduler.after(0, 'crash', () => this.#crashByChance());
    else this.#crashByChance();
  }

  #replayed(): void {
    if (--this.#replaysLeft === 0)
      this.scheduler.after(this.#random.delay(20), 'crash', () => this.#crashByChance());
  }

  #crashByChance(): void {
    if (this.isHealing) return;
    if (this.process === undefined) this.armCrash();
    else this.crash(this.#random.chance(this.plan.powerShare));
  }

  crash(power: boolean): void {
    const { process, situations, disk } = this;
    if (process === undefined) return;
    this.#log(power ? 'power is lost' : 'killed');
    if (process.isServing)
      situations.saw(power ? 'power was lost while it served' : 'killed while it served');
    else situations.saw(process.replayed > 0 ? 'crash while replaying' : 'crash while opening');
    if (this.scheduler.now() - this.#crashedAt < SOON_MS) situations.saw('crash soon after another');
    if (process.isServing && disk.isUnderWay('write', INDEX))
      situations.saw('crash with a checkpoint on its way to the database');
    if (disk.isUnderWay('write', '/log/') || disk.isUnderWay('sync', '/log/'))
      situations.saw('crash with a commit on its way to the disk');
    if (disk.isUnderWay('write', '.snapshot') || disk.isUnderWay('sync', '.snapshot'))
      situations.saw('crash in the middle of a snapshot');
    if (process.lanes.env.gauges.pendingWills > 0) situations.saw('will waited over a crash');
    situations.saw('will waited for its turn over a crash', process.lanes.env.wills.waitingCount);
    this.#crashedAt = this.scheduler.now();
    this.#over(power);
  }

  #over(power: boolean): void {
    const { process } = this;
    if (process === undefined) return;
    const served = process.isServing;
    this.process = undefined;
    this.#trigger = undefined;
    this.#replaysLeft = Infinity;
    this.reportDrops(process);
    process.die(power);
    this.disk.crash(power, this.#random);
    if (served) {
      this.write('nemesis', { e: 'fault', what: 'crash', nodes: ['n1'] });
      this.#downSince = this.scheduler.now();
    }
    this.scheduler.after(this.#random.integer(1, 400), 'process starts', () => this.start());
    this.armCrash();
  }

  /** The gateway counts what it drops. */
  reportDrops({ lanes }: CrashProcess): void {
    for (const name of DROPS) {
      const n = lanes.counters[C[name]] ?? 0;
      if (n > 0) this.write('nemesis', { e: 'drop', node: 'n1', reason: name, n });
      lanes.counters[C[name]] = 0;
    }
    // Wills are published by the gateway: nobody is told that one is refused.
    const refused = lanes.counters[C.refusedStorage] ?? 0;
    const n = refused * this.clients.length;
    if (n > 0) this.write('nemesis', { e: 'drop', node: 'n1', reason: 'refused', n, f: 'will/#' });
    lanes.counters[C.refusedStorage] = 0;
    this.situations.saw('session expired', lanes.counters[C.sessionsExpired] ?? 0);
    this.situations.saw('publish refused while the disk was full', this.#refusals(lanes.counters));
  }

  #refusals(counters: CrashProcess['lanes']['counters']): number {
    return this.plan.diskFills ? (counters[C.refusedQuota] ?? 0) + (counters[C.refusedHeld] ?? 0) : 0;
  }

  // What clients do and see.

  get canDial(): boolean {
    return this.process?.isServing === true;
  }

  dial(client: LinkClient, name: string): Link {
    const { process } = this;
    if (process === undefined) throw new Error('nobody listens');
    const nobody = (): void => {};
    const observer = { wrote: nobody, arrives: nobody, closes: nobody };
    const random = this.random(`link ${this.#linkCount++}`);
    const link = new Link(this.scheduler, random, this.plan.link, observer, client);
    const connect = { type: 'connect', version: 4, clientId: name } as const;
    const packet = { ...connect, bridge: false, cleanStart: true, keepAlive: 0, properties: {} };
    process.dial(link, new ClientConnection(packet, '', { packet: nobody, gone: nobody }));
    return link;
  }

  accepted(client: CrashClient, present: boolean): void {
    this.#came.set(client, new Set());
    if (present && this.hasCrashed) this.situations.saw('session resumed after a crash');
  }

  seen(client: CrashClient, { type, qos, dup, packetId, retain }: Received): void {
    if (!this.hasCrashed) return;
    const came = this.#came.get(client);
    if (type === 'publish' && retain) this.situations.saw('retained value read after a crash');
    if (type === 'publish' && qos === 2) {
      came?.add(packetId);
      if (dup) this.situations.saw('QoS 2 message sent again by the gateway after a crash');
    } else if (type === 'pubrel' && came?.has(packetId) === false) {
      this.situations.saw('PUBREL sent again by the gateway after a crash');
    }
  }

  observe({ type, packetId, topic }: Received): void {
    this.scheduler.observeText(`${type} ${packetId} ${topic}`);
    this.#watch('packet', type);
  }

  write(actor: string, body: EventBody): void {
    this.history.write(actor, body);
    if (body.e === 'pub!' && body.dup && body.q === 2 && this.hasCrashed)
      this.situations.saw('QoS 2 message sent again to the gateway after a crash');
    this.#log(`${actor} ${JSON.stringify(body)}`);
  }

  #historyClock(): bigint {
    const now = this.#downSince ?? this.scheduler.now();
    return BigInt(Math.round((now - this.#downMs) * 1e6));
  }

  #log(text: string): void {
    this.trace?.(`${this.scheduler.now().toFixed(2)} ${text}`);
  }

  #logger(number: number): Logger {
    const say = (level: string) => (text: string, fields?: object) => {
      this.#log(`process ${number} ${level}: ${text} ${JSON.stringify(fields ?? {})}`);
      if (LOSSES.includes(text))
        this.fail('nothing that was stored is lost', `${text} ${JSON.stringify(fields)}`);
      if (text === 'a snapshot is damaged and was set aside')
        this.situations.saw('damaged snapshot passed over');
    };
    const quiet = (): void => {};
    const logger: Logger = {
      ...{ trace: quiet, debug: quiet, info: quiet },
      ...{ warn: say('warns'), error: say('errs'), child: () => logger },
    };
    return logger;
  }

  // What happens on the disk.

  begins(what: string, path: string): void {
    this.#watch('begins', `${what} ${path}`);
  }

  effect(what: string, path: string): void {
    if (this.process?.isServing === false && what === 'read' && path.endsWith('.snapshot'))
      this.situations.saw('database made again from a snapshot');
    if (what === 'rename' && path.endsWith('.snapshot')) this.situations.saw('snapshot');
    if (what === 'remove' && path.includes('/log/')) this.situations.saw('segment of the log dropped');
    this.#watch('effect', `${what} ${path}`);
  }

  databaseFault(operation: DatabaseOperation, folder: string): 'before' | 'after' | undefined {
    return folder === INDEX ? this.faults.ofDatabase(operation) : undefined;
  }

  databaseWrote(folder: string, changes: ReadonlyMap<string, Uint8Array | null>): void {
    if (folder !== INDEX) return;
    const { process } = this;
    if (process?.isServing === true) this.situations.saw('checkpoint');
    else if ((process?.replayed ?? 0) > 0) this.situations.saw('checkpoint in the middle of a replay');
    for (const [key, value] of changes)
      if (value !== null && key.startsWith('q/')) this.situations.saw('block of a queue put away');
  }

  databaseRead(folder: string, key: string): void {
    if (folder !== INDEX || !key.startsWith('q/')) return;
    this.situations.saw('block of a queue read back');
    if (this.hasCrashed) this.situations.saw('queue read back after a crash');
  }
}
