/** A disk that fails to sync, for once or for a while, and one that is slow. */
import { performance } from 'node:perf_hooks';
import { setTimeout as elapse } from 'node:timers/promises';
import { Random } from '../../sim/random.js';
import { Fleet } from '../fleet.js';
import { GatewayProcess, type GatewayProcessOptions } from '../gateway-process.js';
import { Recording, recoveryFault } from '../judgement.js';
import { type ProofReport, timesText } from '../report.js';
import { freePort } from '../../support/free-port.js';

/** Syncs are counted for each thread: there is only one then. */
const ONE_THREAD = { UV_THREADPOOL_SIZE: '1' };
const FAILED_TO_START = 1;
const FAULT_MAX_MS = 20_000;
const WELL_MS = 1000;

export interface FailingDiskOptions {
  /** Each round fails other syncs. */
  readonly rounds: number;
  /** From one round to the next. Default 1. */
  readonly step?: number;
  readonly seed: number;
}

function failing(n: number, count: number): string[] {
  return [
    ...['-q', '-o', '/dev/null', '-e', 'trace=fdatasync'],
    ...['-e', `inject=fdatasync:error=EIO:when=${n}..${n + count - 1}`],
  ];
}

/** In round n the n-th fdatasync of the process fails, and up to four after it; with a step the first of so many. */
export async function failingSyncs({ rounds, step = 1, seed }: FailingDiskOptions): Promise<ProofReport> {
  const random = new Random(seed, 'eio');
  const recording = new Recording(`eio-${seed}`);
  const port = await freePort();
  const fleet = new Fleet({ history: recording.history, port, random: random.fork('fleet') });
  const options: GatewayProcessOptions = { dataDir: recording.dataDir, port };
  const failures: string[] = [];
  const recoveries: number[] = [];
  let refusedStarts = 0;
  let faults = 0;
  let gateway = new GatewayProcess(options);
  let failed = true;
  try {
    await gateway.whenReady();
    await fleet.start();
    fleet.load();
    for (let n = 1; n <= rounds * step; n += step) {
      recording.fault('eio');
      await gateway.kill();
      fleet.ask();
      gateway = new GatewayProcess({ ...options, env: ONE_THREAD, strace: failing(n, 1 + (n % 5)) });
      if (await gateway.whenReady()) {
        const has = (message: string): Promise<boolean> =>
          Promise.race([
            gateway.told((line) => line.message === message),
            elapse(FAULT_MAX_MS, false, { ref: false }),
          ]);
        // A sync of the start may have been the database's.
        if (
          gateway.errors.length > 0 ||
          (await has('the log cannot be written, nothing is acknowledged until it can'))
        ) {
          faults++;
          const failedAtMs = performance.now();
          await has('the log is written again');
          recording.heal('eio');
          await fleet.served();
          recoveries.push(performance.now() - failedAtMs);
        }
        if (!gateway.isRunning) failures.push(`the failure of sync ${n} ended it: ${gateway.text}`);
        fleet.disturb();
        fleet.load();
        await elapse(WELL_MS);
        continue;
      }
      refusedStarts++;
      const { code, signal } = await gateway.ended;
      if (code !== FAILED_TO_START || gateway.text.trim().includes('\n'))
        failures.push(`the failure of sync ${n} ended its start with ${code ?? signal}: ${gateway.text}`);
      gateway = new GatewayProcess(options);
      if (!(await gateway.whenReady())) failures.push(`after that it does not start: ${gateway.text}`);
      recording.heal('eio');
      await fleet.served();
    }
    const { figures, failures: found } = await recording.judge(fleet, {});
    failures.push(...recoveryFault('it served after a failed sync', Math.max(0, ...recoveries)));
    failed = failures.length + found.length > 0;
    return {
      figures: {
        'rounds with failing syncs': rounds,
        'of these it went on': faults,
        'of these it did not start, and said why': refusedStarts,
        'serving after a failed sync': timesText(recoveries),
        ...figures,
        ...(failed && { 'kept in': recording.folder }),
      },
      failures: [...failures, ...found],
    };
  } finally {
    fleet.leave();
    if (gateway.isRunning) await gateway.stop();
    recording.close({ keep: failed });
  }
}

const SLOW_MS = 300;
/** A window of QoS 2 takes two syncs to a client. */
const SLOW_QUIET_MS = 8 * SLOW_MS;
/** QoS 0 waits for no disk. */
const QOS0_MAX_MS = 150;

/** Every sync takes as long as that of a card that is worn out: what needs none goes on. */
export async function slowDisk({ seconds, seed }: { seconds: number; seed: number }): Promise<ProofReport> {
  const random = new Random(seed, 'slow');
  const recording = new Recording(`slow-${seed}`);
  const port = await freePort();
  const fleet = new Fleet({ history: recording.history, port, random });
  const gateway = new GatewayProcess({
    ...{ dataDir: recording.dataDir, port },
    strace: [
      ...['-q', '-o', '/dev/null', '-e', 'trace=fdatasync'],
      ...['-e', `inject=fdatasync:delay_exit=${SLOW_MS * 1000}`],
    ],
  });
  let failed = true;
  try {
    await gateway.whenReady();
    await fleet.start();
    fleet.load();
    const times = await fleet.qos0RoundTrips(seconds * 20, 50);
    const { figures, failures } = await recording.judge(fleet, {}, SLOW_QUIET_MS);
    const middle = times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Infinity;
    const slow = middle > QOS0_MAX_MS ? [`QoS 0 takes ${Math.round(middle)} ms`] : [];
    failed = failures.length + slow.length > 0;
    return {
      figures: { [`QoS 0 while a sync takes ${SLOW_MS} ms`]: timesText(times), ...figures },
      failures: [...failures, ...slow],
    };
  } finally {
    fleet.leave();
    await gateway.stop();
    recording.close({ keep: failed });
  }
}
