/**
 * kill -9: at random moments under load, also while it starts, and at every fdatasync. One data folder for all of it, and clients that
 * are never told.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as elapse } from 'node:timers/promises';
import { Random } from '../sim/random.js';
import { Fleet } from './fleet.js';
import { GatewayProcess, type GatewayProcessOptions } from './gateway-process.js';
import { Recording, recoveryFault } from './judgement.js';
import { type ProofReport, timesText } from './report.js';
import { freePort } from '../support/free-port.js';

export interface KillOptions {
  /** Kills of each kind. */
  readonly rounds: number;
  readonly seed: number;
  /** Default: both. */
  readonly only?: 'random' | 'fdatasync';
}

/** What an fdatasync is killed at is counted from the start of the process and of one thread: there is only one then. */
const ONE_THREAD = { UV_THREADPOOL_SIZE: '1' };
/** A killed start is followed by one that may live: service has to be seen in between. */
const DURING_START = 0.2;
const START_MS = 700;
const LIFE_MAX_MS = 700;
/** How long the N-th fdatasync of a process may be waited for. */
const SYNC_WAIT_MS = 20_000;

export async function kill({ rounds, seed, only }: KillOptions): Promise<ProofReport> {
  const random = new Random(seed, 'kill');
  const recording = new Recording(`kill-${seed}`);
  const port = await freePort();
  const fleet = new Fleet({ history: recording.history, port, random: random.fork('fleet') });
  const run = new KillRun(recording, fleet, { dataDir: recording.dataDir, port });
  let failed = true;
  try {
    await run.begin();
    if (only !== 'fdatasync') await run.killAtRandom(rounds, random);
    if (only !== 'random') await run.killAtSyncs(rounds, random);
    await run.end();
    const { figures, failures } = await recording.judge(fleet, { kill: Math.min(rounds, 20) });
    await run.stop();
    failed = failures.length + run.failures.length > 0;
    return {
      figures: {
        'kills at random moments': run.randomKills,
        'of these before it was ready': run.startKills,
        'kills at an fdatasync': run.syncKills,
        'ready after': timesText(run.starts),
        'serving after': timesText(run.recoveries),
        ...figures,
        ...(failed && { 'kept in': recording.folder }),
      },
      failures: [...run.failures, ...failures],
    };
  } finally {
    fleet.leave();
    await run.stop();
    recording.close({ keep: failed });
  }
}

class KillRun {
  readonly failures: string[] = [];
  readonly starts: number[] = [];
  /** From the start of a process to the first acknowledgement. */
  readonly recoveries: number[] = [];
  randomKills = 0;
  startKills = 0;
  syncKills = 0;
  readonly #recording: Recording;
  readonly #fleet: Fleet;
  readonly #options: GatewayProcessOptions;
  #gateway: GatewayProcess | undefined;

  constructor(recording: Recording, fleet: Fleet, options: GatewayProcessOptions) {
    this.#recording = recording;
    this.#fleet = fleet;
    this.#options = options;
  }

  async begin(): Promise<void> {
    this.#gateway = new GatewayProcess(this.#options);
    await this.#gateway.whenReady();
    await this.#fleet.start();
    this.#fleet.load();
    await this.#fleet.served();
    await this.#kill();
  }

  async killAtRandom(rounds: number, random: Random): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const gateway = new GatewayProcess(this.#options);
      this.#gateway = gateway;
      this.randomKills++;
      if (random.chance(DURING_START)) {
        await Promise.race([elapse(random.integer(1, START_MS)), gateway.ended]);
        if (!gateway.lines.some(({ message }) => message === 'ready')) this.startKills++;
      } else {
        await this.#serving(gateway);
        this.#fleet.disturb();
        await elapse(random.integer(0, LIFE_MAX_MS));
      }
      await this.#kill();
    }
  }

  /** The first process dies at its first fdatasync, the second at its second, and so on. */
  async killAtSyncs(rounds: number, random: Random): Promise<void> {
    for (let n = 1; n <= rounds; n++) {
      const gateway = new GatewayProcess({
        ...this.#options,
        env: ONE_THREAD,
        strace: [
          ...['-q', '-o', '/dev/null', '-e', 'trace=fdatasync'],
          ...['-e', `inject=fdatasync:signal=KILL:when=${n}`],
        ],
      });
      this.#gateway = gateway;
      const startedAtMs = performance.now();
      const disturbing = setInterval(() => {
        if (random.chance(0.2)) this.#fleet.disturb();
      }, 100);
      await Promise.race([gateway.ended, elapse(SYNC_WAIT_MS, undefined, { ref: false })]);
      clearInterval(disturbing);
      if (gateway.isRunning) {
        this.failures.push(
          `the fdatasync ${n} did not come in ${Math.round(performance.now() - startedAtMs)} ms`,
        );
      } else {
        this.syncKills++;
        await this.#mustBeKilled(gateway);
      }
      await this.#kill();
    }
  }

  /** A gateway that lives. */
  async end(): Promise<void> {
    const gateway = new GatewayProcess(this.#options);
    this.#gateway = gateway;
    await this.#serving(gateway);
  }

  async stop(): Promise<void> {
    if (this.#gateway?.isRunning === true) await this.#gateway.stop();
  }

  async #serving(gateway: GatewayProcess): Promise<void> {
    if (!(await gateway.whenReady())) return;
    this.starts.push(performance.now() - gateway.startedAtMs);
    this.#recording.heal('kill');
    await Promise.race([this.#fleet.served(), gateway.ended]);
    const tookMs = performance.now() - gateway.startedAtMs;
    this.recoveries.push(tookMs);
    this.failures.push(...recoveryFault('it served again', tookMs));
  }

  async #kill(): Promise<void> {
    const gateway = this.#gateway;
    if (gateway === undefined) return;
    this.#recording.fault('kill');
    await gateway.kill();
    await this.#mustBeKilled(gateway);
  }

  /** It did not end by itself, and had nothing to complain of. */
  async #mustBeKilled(gateway: GatewayProcess): Promise<void> {
    const { code, signal } = await gateway.ended;
    if (signal !== 'SIGKILL')
      this.failures.push(`it ended by itself with ${code ?? signal}: ${gateway.text}`);
    for (const line of gateway.errors) this.failures.push(`it logged ${JSON.stringify(line)}`);
  }
}
