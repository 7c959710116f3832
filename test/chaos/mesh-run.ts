/** A mesh with clients under load, and faults that are done to it: one history of all of it, judged once in the end. */
import { performance } from 'node:perf_hooks';
import { setTimeout as elapse } from 'node:timers/promises';
import { Random } from '../sim/random.js';
import { Recording } from './judgement.js';
import { MeshFleet } from './mesh-fleet.js';
import { MeshFormation } from './mesh-formation.js';
import type { MeshGateway } from './mesh-gateway.js';
import type { Way } from './mesh-network.js';
import type { ProofReport } from './report.js';

/** How long links may take to be there again after a fault has ended. */
export const RELINK_MAX_MS = 20_000;
const SERVE_MAX_MS = 5000;
const PUBLISH_EVERY_MS = 100;
const DISTURB_EVERY_MS = 700;
const QUIET_MS = 1250;

/** What a gateway may say at error level, because it was done to it. */
export const EXPECTED: readonly RegExp[] = [];

export class MeshRun {
  readonly recording: Recording;
  readonly formation: MeshFormation;
  readonly fleet: MeshFleet;
  readonly random: Random;
  readonly failures: string[] = [];
  readonly skipped = new Set<string>();
  /** Milliseconds, by what they are of. */
  readonly times = new Map<string, number[]>();
  #disturbing: NodeJS.Timeout | undefined;
  #beganAt = 0n;

  private constructor(recording: Recording, formation: MeshFormation, random: Random) {
    this.recording = recording;
    this.formation = formation;
    this.random = random;
    this.fleet = new MeshFleet({
      ...{ history: recording.history, gateways: formation.gateways, random: random.fork('fleet') },
    });
  }

  static async start(count: number, seed: number): Promise<MeshRun> {
    const recording = new Recording(`mesh-${seed}`);
    const formation = new MeshFormation({ folder: recording.folder, count });
    try {
      await formation.start();
      const run = new MeshRun(recording, formation, new Random(seed, 'mesh'));
      await run.#begin();
      return run;
    } catch (error) {
      await formation.close();
      recording.close({ keep: true });
      throw error;
    }
  }

  get gateways(): readonly MeshGateway[] {
    return this.formation.gateways;
  }

  /** Under load from here on. */
  async #begin(): Promise<void> {
    this.#beganAt = process.hrtime.bigint();
    await this.fleet.start();
    this.fleet.load(PUBLISH_EVERY_MS);
    this.#disturbing = setInterval(() => this.fleet.disturb(), DISTURB_EVERY_MS);
    await elapse(500);
  }

  took(what: string, ms: number): void {
    const times = this.times.get(what);
    if (times === undefined) this.times.set(what, [ms]);
    else times.push(ms);
  }

  pick(count: number): MeshGateway[] {
    const left = [...this.gateways];
    return Array.from({ length: count }, () =>
      left.splice(this.random.integer(0, left.length - 1), 1),
    ).flat();
  }

  /** kill -9 of these at once, and how soon the rest is there for each other. */
  async kill(who: readonly MeshGateway[], awayMs: number): Promise<void> {
    const names = who.map(({ name }) => name);
    const rest = this.gateways.filter((one) => !who.includes(one));
    this.recording.fault('kill', names);
    this.fleet.watch();
    await Promise.all(who.map((one) => one.kill()));
    await elapse(awayMs);
    if (rest.length > 1 && awayMs >= SERVE_MAX_MS) {
      const gap = this.fleet.longestGap(rest);
      this.took(`${who.length} killed, longest silence among the rest`, gap.ms);
      if (gap.ms > SERVE_MAX_MS)
        this.failures.push(`${names.join()} killed: silence of ${Math.round(gap.ms)} ms (${gap.who})`);
    }
    await this.restart(who);
    this.recording.heal('kill', names);
  }

  async restart(who: readonly MeshGateway[]): Promise<void> {
    const startedAtMs = performance.now();
    await Promise.all(who.map((one) => one.start()));
    this.took('ready again', performance.now() - startedAtMs);
  }

  /** SIGSTOP. */
  async pause(who: MeshGateway, forMs: number): Promise<void> {
    this.recording.fault('pause', [who.name]);
    who.pause();
    await elapse(forMs);
    who.resume();
    this.recording.heal('pause', [who.name]);
  }

  async cut(what: string, ways: readonly Way[], forMs: number): Promise<void> {
    const { network } = this.formation;
    if (network.cannotCut !== undefined) {
      this.skipped.add(`${what}: ${network.cannotCut}`);
      return;
    }
    const names = [...new Set(ways.flatMap(([from, to]) => [from.name, to.name]))];
    this.recording.fault(what, names);
    network.cut(ways);
    await elapse(forMs);
    network.heal();
    this.recording.heal(what, names);
  }

  async badLines(what: string, forMs: number, impair: () => void): Promise<void> {
    const { network } = this.formation;
    if (network.cannotCut !== undefined) {
      this.skipped.add(`${what}: ${network.cannotCut}`);
      return;
    }
    const names = this.gateways.map(({ name }) => name);
    this.recording.fault(what, names);
    impair();
    await elapse(forMs);
    network.heal();
    this.recording.heal(what, names);
  }

  /** After a fault: every link is there again, and everybody hears everybody. */
  async relinked(what: string): Promise<void> {
    const tookMs = await this.formation.whenLinked(RELINK_MAX_MS);
    if (tookMs === undefined) {
      this.failures.push(
        `${what}: not linked again after ${RELINK_MAX_MS} ms: ${await this.formation.unlinked()}`,
      );
      return;
    }
    this.took(`${what}: linked again`, tookMs);
  }

  /** Ends the work and judges it. */
  async judge(nemeses: Readonly<Record<string, number>>): Promise<ProofReport> {
    clearInterval(this.#disturbing);
    await this.fleet.drain();
    this.took('the mesh at rest', await this.formation.rest());
    const restedAt = process.hrtime.bigint();
    await elapse(QUIET_MS);
    await this.fleet.readRetained();
    const { figures, failures } = await this.recording.judge(this.fleet, nemeses, QUIET_MS, {
      ...{ elsewhereMs: 1e9, forgetDisconnectMs: 500, retainedMs: 5000, quiescenceMs: 500 },
      retainedElsewhereFromMs: Number(restedAt - this.#beganAt) / 1e6,
    });
    const complaints = this.gateways.flatMap((one) => one.complaints(EXPECTED));
    return {
      figures: { ...figures, 'event loop, worst p99 in ms': Math.round(this.formation.lagMs) },
      failures: [...this.failures, ...failures, ...complaints, ...this.formation.doubts()],
      skipped: [...this.skipped],
    };
  }

  async close({ keep }: { keep: boolean }): Promise<void> {
    clearInterval(this.#disturbing);
    this.fleet.leave();
    await this.formation.close();
    this.recording.close({ keep });
  }
}
