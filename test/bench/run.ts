/**
 * What all kinds of load share: one place that a run fails at, the measured window with its CPU use, and the
 * subscriber that stops reading.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { publishTemplate } from './frames.js';
import { LoadClient } from './load-client.js';
import type { CpuUse, LoadJob } from './load-job.js';
import { microseconds } from './monotonic.js';
import { cpuSeconds, queuedBytes } from './process-usage.js';

export class Run {
  /** Rejects with the first failure; race it against the work. */
  readonly failed: Promise<never>;
  private reject: (error: Error) => void = () => {};

  constructor() {
    this.failed = new Promise((_, reject) => (this.reject = reject));
    this.failed.catch(() => {});
  }

  readonly fail = (reason: string): void => this.reject(new Error(reason));
}

export interface Counts {
  readonly delivered: number;
  readonly published: number;
}

export interface Window {
  readonly deliveredPerSecond: number;
  readonly publishedPerSecond: number;
  readonly cpu: CpuUse;
}

export function subscriberPortOf(job: LoadJob): number {
  return job.subscriberPort ?? job.port;
}

/** Lets the load run for the warm-up, then takes counts and CPU at both ends of the measured window. */
export async function measureWindow(job: LoadJob, counts: () => Counts): Promise<Window> {
  await sleep(job.warmUpMs);
  const before = snapshot(job, counts);
  await sleep(job.measureMs);
  const after = snapshot(job, counts);
  const seconds = (after.atUs - before.atUs) / 1e6;
  return {
    deliveredPerSecond: (after.delivered - before.delivered) / seconds,
    publishedPerSecond: (after.published - before.published) / seconds,
    cpu: {
      generatorCores: (after.generatorSeconds - before.generatorSeconds) / seconds,
      serverCores: (after.serverSeconds - before.serverSeconds) / seconds,
    },
  };
}

interface Snapshot extends Counts {
  readonly atUs: number;
  readonly generatorSeconds: number;
  readonly serverSeconds: number;
}

function snapshot(job: LoadJob, counts: () => Counts): Snapshot {
  const { user, system } = process.cpuUsage();
  return {
    ...counts(),
    atUs: microseconds(),
    generatorSeconds: (user + system) / 1e6,
    serverSeconds: [job.serverPid, ...(job.otherPids ?? [])].reduce((sum, pid) => sum + cpuSeconds(pid), 0),
  };
}

/** Waits until `isDone`, or until `progress` has stood still for `quietMs`. */
export async function drain(isDone: () => boolean, progress: () => number, quietMs: number): Promise<void> {
  let last = -1;
  let quietSince = microseconds();
  while (!isDone()) {
    if (progress() !== last) {
      last = progress();
      quietSince = microseconds();
    } else if (microseconds() - quietSince > quietMs * 1000) {
      return;
    }
    await sleep(5);
  }
}

/** Larger than what the kernel holds for one loopback connection (tcp_wmem and tcp_rmem maxima taken together). */
const FILL_BYTES = 16 * 1024 * 1024;
const FILL_PAYLOAD_BYTES = 16 * 1024;
const FILL_TOPIC = 'fill';

/**
 * A subscriber of `topic` that reads nothing after its SUBACK and whose socket is full: it alone is sent
 * `FILL_BYTES` of messages on a topic of its own before the run. The broker may do with it what its policy says.
 */
export async function stoppedSubscriber(
  job: LoadJob,
  topic: string,
  qos: 0 | 1 | 2,
  run: Run,
): Promise<LoadClient> {
  const { port, version } = job;
  const subscriberPort = subscriberPortOf(job);
  const stopped = new LoadClient({
    ...{ port: subscriberPort, version, clientId: 'bench-stopped' },
    fail: () => {},
  });
  await stopped.open();
  await stopped.subscribe(topic, qos);
  await stopped.subscribe(FILL_TOPIC, 0);
  stopped.stopReading();
  const filler = new LoadClient({ port, version, clientId: 'bench-filler', fail: run.fail });
  await filler.open();
  const frame = publishTemplate(version, FILL_TOPIC, 0, FILL_PAYLOAD_BYTES).bytes;
  for (let sent = 0; sent < FILL_BYTES; sent += FILL_PAYLOAD_BYTES) filler.write(frame);
  const backlog = (): number => queuedBytes(subscriberPort, stopped.localPort) ?? 0;
  await drain(
    () => false,
    () => backlog() + filler.pendingBytes,
    100,
  );
  filler.close();
  return stopped;
}
