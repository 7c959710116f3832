/** Evenly paced traffic: the figure is the latency of each delivery, from just before the write to just after the read. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { greet } from './greeter.js';
import { LOST_AFTER_MS, type LatencyResult, type PacedJob } from './load-job.js';
import { microseconds } from './monotonic.js';
import type { PacedOptions, PacedOrder, PacedReport } from './paced-publisher.js';
import { queuedBytes } from './process-usage.js';
import { drain, measureWindow, stoppedSubscriber, subscriberPortOf, type Run } from './run.js';
import { percentileOfSorted } from './statistics.js';
import { LatencySamples, Subscriber } from './subscriber.js';

const DRAIN_QUIET_MS = 1_000;

export async function paced(job: PacedJob, run: Run): Promise<LatencyResult> {
  const { version, payloadBytes, qos } = job;
  const port = subscriberPortOf(job);
  const topic = 'bench/0';
  const perSubscriber = Math.ceil((job.ratePerSecond * job.measureMs) / 1000) * 2 + 1_000;
  const latencies = new LatencySamples(perSubscriber * job.subscribers);
  const subscribers = Array.from(
    { length: job.subscribers },
    (_, i) =>
      new Subscriber({
        port,
        version,
        payloadBytes,
        fail: run.fail,
        topic,
        qos,
        latencies,
        clientId: `bench-sub-${i}`,
      }),
  );
  for (const subscriber of subscribers) await subscriber.start();
  await greet(job, qos, subscribers, run);
  const stopped = job.stopped ? await stoppedSubscriber(job, topic, qos, run) : undefined;
  const shared = new SharedArrayBuffer(4);
  const published = new Int32Array(shared);
  const publisher = await startPublisher(
    {
      ...{ ...job, topic, published: shared },
      ...(job.lostAfterMs !== undefined && { acksWithinMs: job.lostAfterMs }),
    },
    run,
  );

  const received = (): number => subscribers.reduce((sum, subscriber) => sum + subscriber.received, 0);
  latencies.fromUs = microseconds() + job.warmUpMs * 1000;
  publisher.order('start');
  const window = await measureWindow(job, () => ({
    delivered: received(),
    published: Atomics.load(published, 0),
  }));
  latencies.untilUs = microseconds();
  // Read while the traffic still flows: what waits now was not read for the whole run.
  const stoppedBacklogBytes = stopped === undefined ? undefined : backlogOf(port, stopped.localPort, run);
  const { acknowledged, latenessP99Us, ackP99Us } = await publisher.stop();

  const total = Atomics.load(published, 0);
  const due = total * subscribers.length;
  const quietMs = qos > 0 ? (job.lostAfterMs ?? LOST_AFTER_MS) : DRAIN_QUIET_MS;
  await drain(() => received() === due, received, quietMs);
  if (qos > 0 && (received() !== due || acknowledged !== total)) {
    run.fail(
      `of ${total} messages ${acknowledged} were acknowledged; ${received()} of ${due} deliveries arrived`,
    );
    await run.failed;
  }
  for (const subscriber of subscribers) subscriber.close();
  stopped?.close();
  if (latencies.count === 0) throw new Error('nothing that was sent in the measured window arrived');
  const sorted = latencies.sorted();
  return {
    kind: 'latency',
    ...window,
    p50Ms: percentileOfSorted(sorted, 50) / 1000,
    p99Ms: percentileOfSorted(sorted, 99) / 1000,
    maxMs: percentileOfSorted(sorted, 100) / 1000,
    lossPercent: (1 - received() / due) * 100,
    sendLatenessP99Ms: latenessP99Us / 1000,
    ackP99Ms: ackP99Us / 1000,
    ...(stoppedBacklogBytes === undefined ? {} : { stoppedBacklogBytes }),
  };
}

/** A stopped subscriber that the server still keeps must have bytes waiting, or it never was in anybody's way. */
function backlogOf(port: number, clientPort: number, run: Run): number {
  const bytes = queuedBytes(port, clientPort);
  if (bytes === 0) run.fail('the stopped subscriber has nothing waiting in its socket');
  return bytes ?? 0;
}

export interface PacedHandle {
  order(order: PacedOrder): void;
  /** Resolves when every acknowledgement is in, or has had its time. */
  stop(): Promise<{
    readonly acknowledged: number;
    readonly latenessP99Us: number;
    readonly ackP99Us: number;
  }>;
}

/** A thread that publishes on schedule, connected and waiting for its order. */
export async function startPublisher(options: PacedOptions, run: Run): Promise<PacedHandle> {
  const { port, version, topic, qos, payloadBytes, ratePerSecond, batch, warmUpMs, published, acksWithinMs } =
    options;
  const workerData: PacedOptions = {
    ...{ port, version, topic, qos, payloadBytes, ratePerSecond, warmUpMs, published },
    ...(batch !== undefined && { batch }),
    ...(acksWithinMs !== undefined && { acksWithinMs }),
  };
  const worker = new Worker(new URL('./paced-publisher.js', import.meta.url), { workerData });
  worker.on('error', (error) => run.fail(`publisher thread: ${error.message}`));
  const stopped = new Promise<Extract<PacedReport, { type: 'stopped' }>>((resolve) => {
    worker.on('message', (report: PacedReport) => {
      if (report.type === 'failed') run.fail(report.reason);
      if (report.type === 'stopped') resolve(report);
    });
  });
  await once(worker, 'message');
  return {
    order: (order) => worker.postMessage(order),
    stop: () => {
      worker.postMessage('stop' satisfies PacedOrder);
      return stopped;
    },
  };
}
