/** One process of a gateway: real lanes over the real store, on a disk that outlives it. When it dies nothing of it runs any more. */
import { Lanes } from '../../lib/broker/lanes.js';
import type { Connection } from '../../lib/connection/connection.js';
import type { Transport, TransportHandler } from '../../lib/connection/transport.js';
import type { Clock, Timers } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { DurableSessions } from '../../lib/contracts/store.js';
import type { DurableStreams } from '../../lib/contracts/streams.js';
import { GatewayClock } from '../../lib/real-clock.js';
import { DiskStore } from '../../storage/disk/disk-store.js';
import type { ClientConnection } from './client-connection.js';
import type { DiskView } from './crash-disk.js';
import type { CrashPlan } from './crash-plan.js';
import { SimDoor, type DoorObserver } from './door.js';
import type { Link } from './link.js';
import { TICK_MS } from './plan.js';
import type { Random } from './random.js';
import type { Scheduler, Steps } from './scheduler.js';
import { Served } from './served.js';

export const FOLDER = 'data';
const ignore = (): void => {};

/** Steps of a process: they do not happen once it is dead, and wait while it is frozen. */
export class ProcessSteps implements Steps {
  alive = true;
  isFrozen = false;
  readonly #scheduler: Scheduler;
  #waiting: (() => void)[] = [];

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  now(): number {
    return this.#scheduler.now();
  }

  after(delayMs: number, label: string, run: () => void): void {
    this.#scheduler.after(delayMs, label, () => this.run(run));
  }

  /** Now, or when it goes on. */
  run(run: () => void): void {
    if (!this.alive) return;
    if (this.isFrozen) this.#waiting.push(run);
    else run();
  }

  /** Everything that came meanwhile is there at once. */
  thaw(): void {
    this.isFrozen = false;
    for (const run of this.#waiting.splice(0)) this.after(0, 'thawed', run);
  }

  settle(): void {
    this.#scheduler.settle();
  }
}

/** What makes the gateway one of a mesh. */
export interface MeshHook {
  readonly streams: DurableStreams;
  /** The store is open, and no client is served yet. */
  begin(): Promise<void>;
}

/** What a hook is made of, besides lanes and store. */
export interface ProcessParts {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly schedule: (run: () => void) => void;
}

export interface CrashProcessOptions {
  readonly plan: Pick<CrashPlan, 'limits' | 'store' | 'door' | 'diskFills'>;
  readonly scheduler: Scheduler;
  readonly steps: ProcessSteps;
  readonly disk: DiskView;
  readonly random: Random;
  readonly number: number;
  readonly logger: Logger;
  readonly fail: (invariant: string, text: string) => void;
  readonly onReplayed: () => void;
  /** Of the machine; the scheduler's own where it is left out. */
  readonly machineClock?: Clock;
  readonly join?: (process: CrashProcess, parts: ProcessParts) => MeshHook;
}

/** A link as a process sees it that may be frozen. */
class ProcessTransport implements Transport {
  constructor(
    private readonly link: Link,
    private readonly steps: ProcessSteps,
  ) {}

  get remoteAddress(): string {
    return this.link.remoteAddress;
  }

  get remotePort(): number {
    return this.link.remotePort;
  }

  write(bytes: Uint8Array, taken: () => void): void {
    this.link.write(bytes, () => this.steps.run(taken));
  }

  end(): void {
    this.link.end();
  }

  destroy(): void {
    this.link.destroy();
  }

  pause(): void {
    this.link.pause();
  }

  resume(): void {
    this.link.resume();
  }
}

export class CrashProcess implements DoorObserver {
  readonly lanes: Lanes;
  readonly store: DiskStore;
  readonly links = new Set<Link>();
  /** Records that were replayed while it opened. */
  replayed = 0;
  restoredCount = 0;
  /** Members of groups that were chosen for what had none when the process before ended. */
  assignedAtStart = 0;
  isServing = false;
  readonly #options: CrashProcessOptions;
  readonly #mesh: MeshHook | undefined;
  readonly #served = new Map<Connection, Served>();
  #servedCount = 0;

  constructor(options: CrashProcessOptions) {
    this.#options = options;
    const { plan, scheduler, steps, disk, random, number, logger } = options;
    // As after a boot: the clock of a process begins anywhere.
    const machine = options.machineClock ?? scheduler;
    const zero = machine.now() - random.integer(0, 100_000);
    const clock = new GatewayClock({ now: () => machine.now() - zero, wall: () => machine.wall() });
    const schedule = (run: () => void): void => {
      steps.after(random.chance(0.5) ? 0 : random.float() * 0.3, 'turn', () => {
        run();
        steps.settle();
      });
    };
    const timers: Timers = {
      after: (delayMs, fire) => {
        let cancelled = false;
        // As setTimeout does.
        steps.after(Math.max(1, delayMs), 'timer', () => {
          if (cancelled) return;
          fire();
          steps.settle();
        });
        return { cancel: () => (cancelled = true) };
      },
    };
    const { sizes, ...storePlan } = plan.store;
    this.store = new DiskStore({
      ...storePlan,
      ...{
        files: disk.files,
        folder: FOLDER,
        openDatabase: (folder) => disk.openDatabase(folder),
        clock,
        sizes,
      },
      continueClock: (ms) => clock.continueFrom(ms),
      ...{ timers, logger, schedule, isOnDisk: () => true, keyProvider: { masterKeys: async () => [] } },
      keepMaxAgeMs: 0,
      floorsMaxBytes: 1 << 30,
      randomBytes: (size) => Uint8Array.from({ length: size }, () => random.integer(0, 255)),
      ...{ diskMaxBytes: 1 << 30, pendingMaxBytes: 1 << 20, diskReserveBytes: plan.diskFills ? 4000 : 0 },
    });
    const door = new SimDoor(steps, random.fork('door'), plan.door, this);
    let assigned = 0;
    this.lanes = new Lanes({
      ...{ clock, logger, store: this.store, limits: plan.limits, authenticator: door, schedule },
      authorizer: { version: 0, canPublish: () => true, canSubscribe: () => 'all', canReceive: () => true },
      assignClientId: () => `assigned-${number}-${assigned++}`,
      isAssignedClientId: (clientId) => clientId.startsWith('assigned-'),
      random: () => 0.5,
      // In half of its lives QoS 0 is in the log, too; then nothing of what clients see is different.
      isArchived: random.fork('archive').chance(0.5) ? () => true : undefined,
    });
    this.lanes.useDoor(door, { keepAliveTimeout: ignore, ping: ignore, error: ignore });
    this.#mesh = options.join?.(this, { clock, timers, schedule });
  }

  /** @throws what opening the store does; it may never resolve, as the process may die. */
  async open(): Promise<void> {
    await this.store.open(this.#watched(this.lanes.createRestoration()), this.#mesh?.streams);
    await this.#mesh?.begin();
    this.isServing = true;
    this.#tick();
  }

  dial(link: Link, peer: ClientConnection): void {
    const { steps } = this.#options;
    const connection = this.lanes.accept(new ProcessTransport(link, steps));
    if (connection === undefined) throw new Error('there is room for every connection of a run');
    link.attach({
      data: (bytes) => steps.run(() => connection.data(bytes)),
      closed: (error) => steps.run(() => connection.closed(error)),
    } satisfies TransportHandler);
    this.links.add(link);
    const served = new Served(this.#servedCount++, connection, peer);
    peer.served = served;
    this.#served.set(connection, served);
  }

  /** @param power the machine goes with it. */
  die(power: boolean): void {
    this.#options.steps.alive = false;
    this.isServing = false;
    for (const link of this.links) link.die(power);
  }

  #tick(): void {
    this.#options.steps.after(TICK_MS, 'tick', () => {
      this.lanes.tick();
      this.#tick();
    });
  }

  #countReplayed(): void {
    this.replayed++;
    this.#options.onReplayed();
  }

  #watched(sessions: DurableSessions): DurableSessions {
    return {
      imageOf: (clientId) => sessions.imageOf(clientId),
      forEachBusy: (visit) => sessions.forEachBusy(visit),
      unassigned: () => sessions.unassigned(),
      restoreUnassigned: (message, filters) => sessions.restoreUnassigned(message, filters),
      restoreSession: (image) => {
        this.restoredCount++;
        sessions.restoreSession(image);
      },
      replayStep: (record) => {
        this.#countReplayed();
        sessions.replayStep(record);
      },
      replayMessage: (message, packetId) => {
        this.#countReplayed();
        sessions.replayMessage(message, packetId);
      },
      replayRetained: (message) => {
        this.#countReplayed();
        sessions.replayRetained(message);
      },
      restored: () => {
        const record = this.store.record.bind(this.store);
        this.store.record = (step) => {
          if (step.kind === 'assigned') this.assignedAtStart++;
          return record(step);
        };
        sessions.restored();
        this.store.record = record;
      },
    };
  }

  // What the door sees.

  servedBy(connection: Connection): Served {
    const served = this.#served.get(connection);
    if (served === undefined) throw new Error('the door was given a connection that nobody made');
    return served;
  }

  opened(): void {}
  claimed(): void {}
  granted(): void {}
  connackWritten(): void {}

  over(served: Served): void {
    this.#served.delete(served.connection);
  }

  fail(invariant: string, text: string): void {
    this.#options.fail(invariant, text);
  }
}
