/**
 * What waits while the other side is away, and how it comes back. This process has both ends, as the load generator does:
 *
 *     durable sessions at the second server ─ the second is killed ─ all of the backlog is published and acknowledged at
 *     the first ─ the second starts again ─ the sessions are taken up, the backlog drains, live traffic beside it
 *
 * Live traffic begins with the first message of the backlog: from then on the way is open, and the backlog is what a
 * live message could have to wait for.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { startFormation, type FormationName, type RunningFormation } from '../formations.js';
import { greet } from '../greeter.js';
import { microseconds } from '../monotonic.js';
import { startPublisher } from '../open-loop.js';
import { WindowPublisher } from '../publishers.js';
import { drain, Run } from '../run.js';
import { percentileOfSorted } from '../statistics.js';
import { LatencySamples, Subscriber, type SubscriberOptions } from '../subscriber.js';
import type { Figures } from './store-probes.js';

const PAYLOAD_BYTES = 64;
const TOPICS = 10;
const WINDOW_COUNT = 100;
const LIVE_TOPIC = 'bench/live';
const LIVE_PER_SECOND = 1_000;
/** A small backlog is gone before there is a p99. */
const LIVE_MIN_COUNT = 100;
/** Without a message of the backlog for so long nothing more is expected. */
const QUIET_MS = 30_000;

/**
 * @param end of the second server: orderly where a kill would lose its sessions
 * @param count messages of the backlog, in all topics together
 */
export async function backlog(
  name: FormationName,
  end: 'SIGKILL' | 'SIGTERM',
  count: number,
): Promise<Figures> {
  const formation = await startFormation(name);
  const run = new Run();
  try {
    return await Promise.race([measure(formation, end, count, run), run.failed]);
  } finally {
    await formation.stop();
  }
}

async function measure(
  formation: RunningFormation,
  end: 'SIGKILL' | 'SIGTERM',
  count: number,
  run: Run,
): Promise<Figures> {
  const { first, second } = formation;
  await openSessions(formation, run);
  await second.stop(end);
  const publishedPerSecond = await publish(first.port, count, run);

  const latencies = new LatencySamples(LIVE_PER_SECOND * 3_600);
  const published = new SharedArrayBuffer(4);
  const live = await startPublisher(
    {
      ...{ port: first.port, version: 4, topic: LIVE_TOPIC, qos: 1, payloadBytes: PAYLOAD_BYTES },
      ...{ ratePerSecond: LIVE_PER_SECOND, warmUpMs: 0, published },
    },
    run,
  );
  await second.start();
  const backUs = microseconds();
  const [liveSubscriber, ...subscribers] = sessions(second.port, run, latencies);
  let firstUs = 0;
  let lastUs = 0;
  for (const subscriber of subscribers)
    subscriber.onProgress = () => {
      if (subscriber.received === 0) return;
      lastUs = microseconds();
      if (firstUs !== 0) return;
      firstUs = lastUs;
      latencies.fromUs = 0;
      live.order('start');
    };
  await Promise.all([liveSubscriber, ...subscribers].map((subscriber) => subscriber.open()));
  const received = (): number => subscribers.reduce((sum, subscriber) => sum + subscriber.received, 0);
  await drain(() => received() === count, received, QUIET_MS);
  if (received() !== count) throw new Error(`of ${count} messages that waited ${received()} came`);
  const livePublished = new Int32Array(published);
  while (Atomics.load(livePublished, 0) < LIVE_MIN_COUNT) await sleep(5);
  const { acknowledged, latenessP99Us } = await live.stop();
  // All that was sent beside the backlog counts, however late it comes.
  const due = Atomics.load(livePublished, 0);
  await drain(
    () => liveSubscriber.received === due,
    () => liveSubscriber.received,
    QUIET_MS,
  );
  if (liveSubscriber.received !== due || acknowledged !== due)
    throw new Error(
      `of ${due} live messages ${acknowledged} were acknowledged and ${liveSubscriber.received} came`,
    );
  const sorted = latencies.sorted();
  return {
    messages: count,
    publishedPerSecond,
    resumedMs: (firstUs - backUs) / 1000,
    drainedPerSecond: count / (Math.max(lastUs - firstUs, 1) / 1e6),
    liveP50Ms: percentileOfSorted(sorted, 50) / 1000,
    liveP99Ms: percentileOfSorted(sorted, 99) / 1000,
    liveMaxMs: percentileOfSorted(sorted, 100) / 1000,
    liveSentLateP99Ms: latenessP99Us / 1000,
  };
}

type Sessions = readonly [live: Subscriber, ...backlog: Subscriber[]];

function sessions(port: number, run: Run, latencies?: LatencySamples): Sessions {
  const options = (topic: string, clientId: string): SubscriberOptions => ({
    ...{ port, version: 4, payloadBytes: PAYLOAD_BYTES, fail: run.fail },
    ...{ topic, clientId, qos: 1, stays: true },
  });
  const live = new Subscriber({ ...options(LIVE_TOPIC, 'bench-live'), ...(latencies && { latencies }) });
  const others = Array.from(
    { length: TOPICS },
    (_, n) => new Subscriber(options(`bench/${n}`, `bench-sub-${n}`)),
  );
  return [live, ...others];
}

/** Durable, known at both servers, and nobody connected any more. */
async function openSessions({ first, second }: RunningFormation, run: Run): Promise<void> {
  const opened = sessions(second.port, run);
  for (const subscriber of opened) await subscriber.start();
  const ways = {
    port: first.port,
    subscriberPort: second.port,
    version: 4,
    payloadBytes: PAYLOAD_BYTES,
  } as const;
  await greet(ways, 1, opened, run);
  // Greetings that are still under way would come again to the next connection.
  const greetings = (): number => opened.reduce((sum, subscriber) => sum + subscriber.greetings, 0);
  await drain(() => false, greetings, GREETINGS_QUIET_MS);
  for (const subscriber of opened) subscriber.close();
}
const GREETINGS_QUIET_MS = 250;

/** Publishes and waits for every acknowledgement. @returns messages a second */
async function publish(port: number, count: number, run: Run): Promise<number> {
  const publishers = Array.from(
    { length: TOPICS },
    (_, n) =>
      new WindowPublisher(
        {
          ...{ port, version: 4, payloadBytes: PAYLOAD_BYTES, fail: run.fail },
          ...{ topic: `bench/${n}`, clientId: `bench-pub-${n}` },
        },
        1,
        WINDOW_COUNT,
      ),
  );
  await Promise.all(publishers.map((publisher) => publisher.open()));
  const startUs = microseconds();
  for (const publisher of publishers) {
    publisher.limit = () => count / TOPICS;
    publisher.running = true;
    publisher.pump();
  }
  const acknowledged = (): number => publishers.reduce((sum, publisher) => sum + publisher.acknowledged, 0);
  await drain(() => acknowledged() === count, acknowledged, QUIET_MS);
  if (acknowledged() !== count) throw new Error(`of ${count} messages ${acknowledged()} were acknowledged`);
  const seconds = (microseconds() - startUs) / 1e6;
  for (const publisher of publishers) publisher.close();
  return count / seconds;
}
