/** QoS 0 floods and QoS 1 and 2 windows: the figure is how many messages per second arrive. */
import { greet } from './greeter.js';
import { LOST_AFTER_MS, type FloodJob, type RateResult, type WindowJob } from './load-job.js';
import { microseconds } from './monotonic.js';
import { yieldToTrickles } from './load-client.js';
import { FloodPublisher, WindowPublisher } from './publishers.js';
import { drain, measureWindow, stoppedSubscriber, subscriberPortOf, type Run } from './run.js';
import { Subscriber } from './subscriber.js';

/** Without a delivery for this long, QoS 0 messages under way count as lost and their credit is given back. */
const STALL_MS = 250;
/** How long the rest of a run may stand still before what is missing counts as lost. */
const DRAIN_QUIET_MS = 2_000;

export async function flood(job: FloodJob, run: Run): Promise<RateResult> {
  const { port, version, payloadBytes } = job;
  const topic = 'bench/0';
  const fail = run.fail;
  const subscribers = Array.from(
    { length: job.subscribers },
    (_, i) =>
      new Subscriber({
        ...{ port: subscriberPortOf(job), version, payloadBytes },
        ...{ fail, topic, qos: 0, clientId: `bench-sub-${i}` },
      }),
  );
  for (const subscriber of subscribers) await subscriber.start();
  await greet(job, 0, subscribers, run);
  const stopped = job.stopped ? await stoppedSubscriber(job, topic, 0, run) : undefined;
  const publisher = new FloodPublisher(
    { port, version, payloadBytes, fail, topic, clientId: 'bench-pub' },
    job.creditBytes,
  );
  await publisher.open();

  const creditCount = Math.floor(job.creditBytes / publisher.frameBytes);
  let givenUp = 0;
  publisher.limit = () => {
    let slowest = Number.POSITIVE_INFINITY;
    for (const subscriber of subscribers) if (subscriber.expected < slowest) slowest = subscriber.expected;
    return Math.max(slowest, givenUp) + creditCount;
  };
  const received = (): number => subscribers.reduce((sum, subscriber) => sum + subscriber.received, 0);
  for (const subscriber of subscribers) subscriber.onProgress = () => publisher.pump();
  let lastReceived = 0;
  const stallCheck = setInterval(() => {
    if (received() === lastReceived) givenUp = publisher.published;
    lastReceived = received();
    publisher.pump();
  }, STALL_MS);
  yieldToTrickles();
  publisher.running = true;
  publisher.pump();

  const window = await measureWindow(job, () => ({ delivered: received(), published: publisher.published }));
  publisher.running = false;
  clearInterval(stallCheck);
  const due = publisher.published * subscribers.length;
  await drain(() => received() === due, received, DRAIN_QUIET_MS);
  const lossPercent = due === 0 ? 0 : (1 - received() / due) * 100;
  for (const client of [...subscribers, publisher]) client.close();
  stopped?.close();
  return { kind: 'rate', ...window, lossPercent };
}

/** Times between one read that brought something and the next, over all connections. */
class Gaps {
  longestUs = 0;
  #lastUs = microseconds();

  note(): void {
    const nowUs = microseconds();
    if (nowUs - this.#lastUs > this.longestUs) this.longestUs = nowUs - this.#lastUs;
    this.#lastUs = nowUs;
  }

  reset(): void {
    this.longestUs = 0;
    this.#lastUs = microseconds();
  }
}

interface Pair {
  readonly publisher: WindowPublisher;
  readonly subscriber: Subscriber;
}

export async function windowed(job: WindowJob, run: Run): Promise<RateResult> {
  const pairs: Pair[] = [];
  for (let i = 0; i < job.pairs; i++) pairs.push(await openPair(job, i, run));
  const subscribers = pairs.map(({ subscriber }) => subscriber);
  await greet(job, job.qos, subscribers, run);
  const delivered = (): number => pairs.reduce((sum, { subscriber }) => sum + subscriber.received, 0);
  const published = (): number => pairs.reduce((sum, { publisher }) => sum + publisher.published, 0);
  const acknowledged = (): number => pairs.reduce((sum, { publisher }) => sum + publisher.acknowledged, 0);
  const gaps = new Gaps();
  for (const { publisher, subscriber } of pairs)
    subscriber.onProgress = () => {
      gaps.note();
      publisher.pump();
    };
  yieldToTrickles();
  for (const { publisher } of pairs) publisher.running = true;
  for (const { publisher } of pairs) publisher.pump();
  const countFrom = setTimeout(() => gaps.reset(), job.warmUpMs);
  const window = await measureWindow(job, () => ({ delivered: delivered(), published: published() }));
  const longestGapMs = gaps.longestUs / 1000;
  clearTimeout(countFrom);

  for (const { publisher } of pairs) publisher.running = false;
  const total = published();
  const isDone = (): boolean => delivered() === total && acknowledged() === total;
  await drain(isDone, () => delivered() + acknowledged(), job.lostAfterMs ?? LOST_AFTER_MS);
  if (!isDone()) {
    run.fail(`of ${total} messages ${acknowledged()} were acknowledged and ${delivered()} delivered`);
    await run.failed;
  }
  for (const { publisher, subscriber } of pairs) {
    publisher.close();
    subscriber.close();
  }
  return { kind: 'rate', ...window, longestGapMs, lossPercent: 0 };
}

async function openPair(job: WindowJob, index: number, run: Run): Promise<Pair> {
  const { port, version, payloadBytes, qos } = job;
  const topic = `bench/${index}`;
  const fail = run.fail;
  const subscriber = new Subscriber({
    ...{ port: subscriberPortOf(job), version, payloadBytes },
    ...{ fail, topic, qos, clientId: `bench-sub-${index}` },
  });
  await subscriber.start();
  const publisher = new WindowPublisher(
    { port, version, payloadBytes, fail, topic, clientId: `bench-pub-${index}` },
    qos,
    job.windowCount,
  );
  await publisher.open();
  publisher.limit = () => subscriber.received + job.aheadMaxCount;
  return { publisher, subscriber };
}
