/** ENOSPC: somebody else fills the disk up to each page, while the gateway runs and while it starts, and gives the space back. */
import { performance } from 'node:perf_hooks';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { Random } from '../../sim/random.js';
import { Fleet } from '../fleet.js';
import { GatewayProcess, type GatewayProcessOptions } from '../gateway-process.js';
import { RECOVERY_MAX_MS, Recording, recoveryFault } from '../judgement.js';
import { type ProofReport, timesText } from '../report.js';
import { SmallFileSystem } from './small-file-system.js';
import { freePort } from '../../support/free-port.js';

const FILE_SYSTEM_MIB = 6;
/** Enough to be written while there is no room, and to be a small part of what is published while there is. */
const PUBLISHED_WHILE_FULL = 4;
const FULL_MS = 100;
const WELL_MS = 300;
const REFUSED_TO_START = 1;

export interface FullDiskOptions {
  /** Pages that are left at most while it runs. */
  readonly runningPages: number;
  /** Pages that are left at most while it starts. */
  readonly startingPages: number;
  readonly seed: number;
}

export async function fullDisk({ runningPages, startingPages, seed }: FullDiskOptions): Promise<ProofReport> {
  const recording = new Recording(`full-${seed}`);
  const disk = SmallFileSystem.mount(join(recording.folder, 'disk'), FILE_SYSTEM_MIB);
  if (typeof disk === 'string') {
    recording.close({ keep: false });
    return { figures: {}, failures: [], skipped: [`ENOSPC: ${disk}`] };
  }
  const random = new Random(seed, 'full');
  const port = await freePort();
  const fleet = new Fleet({ history: recording.history, port, random, paddingMaxBytes: 1500 });
  // No reserve: it is to meet the end of the disk itself.
  const set = { 'limits.diskReserveBytes': 0, 'limits.diskMaxBytes': 2_097_152 };
  const run = new FullDiskRun(recording, fleet, disk, { dataDir: join(disk.folder, 'data'), port, set });
  let failed = true;
  try {
    await run.begin();
    for (let pages = 0; pages <= runningPages; pages++) await run.whileRunning(pages);
    for (let pages = 0; pages <= startingPages; pages++) await run.whileStarting(pages);
    const { figures, failures } = await recording.judge(fleet, {});
    await run.stop();
    failed = failures.length + run.failures.length > 0;
    return {
      figures: {
        'disk full while it runs, page by page': runningPages + 1,
        'disk full while it starts, page by page': startingPages + 1,
        'of these it did not start': run.refusedStarts,
        'times that the log met the end of the disk': run.faults,
        'serving after there was space': timesText(run.recoveries),
        ...figures,
        ...(failed && { 'kept in': recording.folder }),
      },
      failures: [...run.failures, ...failures],
    };
  } finally {
    fleet.leave();
    await run.stop();
    disk.unmount();
    recording.close({ keep: failed });
  }
}

class FullDiskRun {
  readonly failures: string[] = [];
  readonly recoveries: number[] = [];
  refusedStarts = 0;
  faults = 0;
  readonly #recording: Recording;
  readonly #fleet: Fleet;
  readonly #disk: SmallFileSystem;
  readonly #options: GatewayProcessOptions;
  #gateway: GatewayProcess;

  constructor(recording: Recording, fleet: Fleet, disk: SmallFileSystem, options: GatewayProcessOptions) {
    this.#recording = recording;
    this.#fleet = fleet;
    this.#disk = disk;
    this.#options = options;
    this.#gateway = new GatewayProcess(options);
  }

  async begin(): Promise<void> {
    await this.#gateway.whenReady();
    await this.#fleet.start();
    await this.#work();
  }

  async whileRunning(pagesLeft: number): Promise<void> {
    this.#recording.fault('full');
    this.#disk.fill(pagesLeft);
    for (let i = 0; i < PUBLISHED_WHILE_FULL; i++) this.#fleet.publishOnce();
    await elapse(FULL_MS);
    await this.#recover(`with ${pagesLeft} pages left`);
  }

  /** Killed, started on the full disk, and where it cannot, once more when there is space. */
  async whileStarting(pagesLeft: number): Promise<void> {
    this.#recording.fault('full');
    await this.#gateway.kill();
    this.#countFaults();
    this.#disk.fill(pagesLeft);
    this.#gateway = new GatewayProcess(this.#options);
    if (!(await this.#gateway.whenReady())) {
      this.refusedStarts++;
      const { code, signal } = await this.#gateway.ended;
      const { text } = this.#gateway;
      if (code !== REFUSED_TO_START || !/no space is left/.test(text) || text.trim().includes('\n'))
        this.failures.push(`started with ${pagesLeft} pages left it ended with ${code ?? signal}: ${text}`);
      this.#disk.free();
      this.#gateway = new GatewayProcess(this.#options);
      if (!(await this.#gateway.whenReady()))
        this.failures.push(`it does not start after a start with ${pagesLeft} pages: ${this.#gateway.text}`);
    }
    await this.#recover(`after a start with ${pagesLeft} pages left`);
  }

  async stop(): Promise<void> {
    this.#disk.free();
    if (!this.#gateway.isRunning) return;
    await this.#gateway.stop();
    this.#countFaults();
  }

  #countFaults(): void {
    this.faults += this.#gateway.errors.filter(({ message }) =>
      message.startsWith('the log cannot be written'),
    ).length;
  }

  async #recover(when: string): Promise<void> {
    this.#disk.free();
    const freedAtMs = performance.now();
    this.#recording.heal('full');
    // Now and then only: it may refuse a while longer.
    this.#fleet.ask();
    const isServed = await Promise.race([
      this.#fleet.served().then(() => true),
      this.#gateway.ended.then(() => false),
      elapse(RECOVERY_MAX_MS * 4, false, { ref: false }),
    ]);
    const tookMs = performance.now() - freedAtMs;
    this.recoveries.push(tookMs);
    if (!isServed) this.failures.push(`${when} it does not serve: ${this.#gateway.text}`);
    else this.failures.push(...recoveryFault(`${when} it served`, tookMs));
    await this.#work();
  }

  async #work(): Promise<void> {
    this.#fleet.load();
    await elapse(WELL_MS);
    this.#fleet.pause();
  }
}
