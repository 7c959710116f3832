/** Faults of the disk besides crashes: for a while some operations fail, or no space is left; and what a machine that is off may lose. */
import { type FileOperation, ioError } from '../support/faulty-files.js';
import type { DatabaseOperation } from './crash-disk.js';
import { FOLDER } from './crash-process.js';
import type { CrashWorld } from './crash-world.js';
import type { Random } from './random.js';

const INDEX = `${FOLDER}/index`;

export class CrashFaults {
  readonly #world: CrashWorld;
  readonly #random: Random;
  #isFaulty = false;
  #isFull = false;
  /** The last time at which something was wrong. */
  #wrongAt = -Infinity;
  readonly #damaged = new Set<string>();

  constructor(world: CrashWorld) {
    this.#world = world;
    this.#random = world.random('faults');
  }

  /** Whether a process that does not start is no fault of its own. */
  get mayFail(): boolean {
    return this.#isFaulty || this.#isFull || this.#world.scheduler.now() - this.#wrongAt < 1000;
  }

  start(): void {
    const { faultShare, diskFills } = this.#world.plan;
    if (faultShare > 0) this.#later('fail', (on) => (this.#isFaulty = on));
    if (diskFills) this.#later('fill', (on) => this.#fill(on));
  }

  /** Everything is well from here on. What fails is told a little later. */
  end(): void {
    if (this.mayFail) this.#wrongAt = this.#world.scheduler.now();
    this.#isFaulty = false;
    this.#fill(false);
  }

  #later(what: string, set: (on: boolean) => void): void {
    const { scheduler } = this.#world;
    scheduler.after(this.#random.integer(200, 3000), `disk begins to ${what}`, () => {
      if (this.#world.isHealing) return;
      set(true);
      this.#world.write('nemesis', { e: 'fault', what: `disk ${what}s`, nodes: ['n1'] });
      scheduler.after(this.#random.integer(20, 700), `disk ends to ${what}`, () => {
        set(false);
        this.#wrongAt = scheduler.now();
        this.#world.write('nemesis', { e: 'heal', what: `disk ${what}s`, nodes: ['n1'] });
        this.#later(what, set);
      });
    });
  }

  #fill(on: boolean): void {
    this.#isFull = on;
    const { disk, situations } = this.#world;
    disk.files.quotaBytes = on ? disk.files.usedBytes + this.#random.integer(0, 6000) : Infinity;
    if (on) situations.saw('disk was full');
  }

  /** To the files as the next process finds them. */
  attach(): void {
    const { files } = this.#world.disk;
    files.onOperation = (operation, path) => this.#ofFile(operation, path);
  }

  #ofFile(operation: FileOperation, path: string): void {
    const { faultShare } = this.#world.plan;
    if (!this.#isFaulty || !this.#random.chance(faultShare)) return;
    if (operation === 'sync') {
      this.#world.disk.files.loseUnsynced(path);
      this.#world.situations.saw('sync failed and lost its writes');
    }
    throw ioError(operation, path);
  }

  ofDatabase(operation: DatabaseOperation): 'before' | 'after' | undefined {
    if (!this.#isFaulty || !this.#random.chance(this.#world.plan.faultShare * 2)) return undefined;
    if (operation === 'write') this.#world.situations.saw('database failed to write');
    return this.#random.pick(['before', 'after'] as const);
  }

  /** While the machine is off: the database, and with it perhaps the newest snapshot, where another whole one is there. */
  damage(): void {
    const { plan, disk, trace } = this.#world;
    if (this.#world.isHealing || !this.#random.chance(plan.damageShare)) return;
    const what = disk.damageDatabase(INDEX, this.#random);
    if (what === undefined) return;
    trace?.(`the database is damaged: ${what}`);
    const snapshots = disk.files.paths().filter((path) => path.endsWith('.snapshot'));
    if (snapshots.length === 0) this.#world.situations.saw('database made again from the log alone');
    // One that a bit of a block damages may go unnoticed for long: it is not what the database is made of.
    if (what !== 'destroyed') return;
    // The log reaches back to the older of the last two that were made. An even older one, which a crash left behind, is no help.
    const [older, newest] = snapshots.slice(-2);
    if (older === undefined || newest === undefined || this.#damaged.has(older)) return;
    if ([...this.#damaged].some((path) => path >= newest)) return;
    if (!this.#random.chance(0.5)) return;
    disk.damageFile(newest, this.#random);
    this.#damaged.add(newest);
    trace?.(`the snapshot ${newest} is damaged`);
  }
}
