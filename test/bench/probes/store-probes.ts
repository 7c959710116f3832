/** Probes of the store by itself, without connections. Each resolves to its figures. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DeliveryQueue } from '../../../lib/contracts/store.js';
import type { Message } from '../../../lib/message/message.js';
import type { DiskStore } from '../../../storage/disk/disk-store.js';
import { MemoryDeliveryQueue } from '../../../storage/memory/delivery-queue.js';
import { microseconds } from '../monotonic.js';
import { percentile } from '../statistics.js';
import { fill, inFolder, messageTo, openStore, rawDisk, topicBytesOf } from './disk.js';

export type Figures = Record<string, number>;

const PAYLOAD_BYTES = 256;
const TOPIC = 'site/1/device/17/state';
const TOPIC_BYTES = topicBytesOf(TOPIC);
const PACED_PER_SECOND = 20_000;

const payload = randomBytes(PAYLOAD_BYTES);
const nextMessage = (): Message => messageTo(TOPIC, TOPIC_BYTES, payload);

/** Messages a second that are synced, and what a commit costs in CPU at 20,000 messages a second. */
export function write(seconds: number): Promise<Figures> {
  return inFolder(async (folder) => {
    const raw = await rawDisk(folder, seconds * 500);
    const store = await openStore(folder);
    const startUs = microseconds();
    let count = 0;
    for (; microseconds() - startUs < seconds * 1e6; count += 10_000) await fill(store, 10_000, nextMessage);
    const perSecond = count / ((microseconds() - startUs) / 1e6);
    const commitCpuMs = await cpuOfCommits(store, seconds);
    await store.close();
    return { perSecond, commitCpuMs, rawP50Ms: raw.p50Ms, rawP99Ms: raw.p99Ms, rawWaitP99Ms: raw.waitP99Ms };
  });
}

/** The disk alone, in writes of so many bytes, each synced. */
export function raw(seconds: number, writeBytes: number): Promise<Figures> {
  return inFolder(async (folder) => {
    const { bytesPerSecond, p50Ms, p99Ms } = await rawDisk(folder, seconds * 1000, writeBytes);
    return { rawBytesPerSecond: bytesPerSecond, rawP50Ms: p50Ms, rawP99Ms: p99Ms };
  });
}

async function cpuOfCommits(store: DiskStore, seconds: number): Promise<number> {
  const { figures } = store.log;
  const commitsBefore = figures.commits;
  const cpuBefore = process.cpuUsage();
  const startUs = microseconds();
  for (let sent = 0, now = startUs; now - startUs < seconds * 1e6; now = microseconds()) {
    const due = ((now - startUs) / 1e6) * PACED_PER_SECOND;
    for (; sent < due; sent++) store.append(nextMessage(), undefined);
    await sleep(1);
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  return (user + system) / 1000 / Math.max(1, figures.commits - commitsBefore);
}

/** A backlog that is read back from the disk, with nothing of it in memory. */
export function read(count: number): Promise<Figures> {
  return inFolder(async (folder) => {
    const store = await openStore(folder);
    store.record({ kind: 'created', clientId: 'reader', username: undefined, expiryS: 1e6, will: undefined });
    const queue = store.createQueue('reader');
    for (let n = 0; n < count;) {
      const messages: Message[] = [];
      for (let i = 0; i < 2000 && n < count; i++, n++) {
        const message = nextMessage();
        store.append(message, undefined);
        messages.push(message);
      }
      await store.log.flush(60_000);
      for (const message of messages) queue.push(message, 1, undefined);
    }
    queue.release();
    const heldBytes = queue.heldBytes;
    const startUs = microseconds();
    await drain(queue);
    const perSecond = count / ((microseconds() - startUs) / 1e6);
    await store.close();
    return { perSecond, heldBytes };
  });
}

function drain(queue: DeliveryQueue): Promise<void> {
  return new Promise((resolve) => {
    const take = (): void => {
      while (queue.count > 0 && queue.ready) {
        if (queue.headMessage.payloadLength !== PAYLOAD_BYTES) throw new Error('it came back changed');
        queue.shift();
      }
      if (queue.count === 0) resolve();
    };
    queue.onReady = take;
    take();
  });
}

const FIND_TOPICS = 1000;
const FIND_LIMIT = 100;
const FIND_LOOKUPS = 1000;
const FIND_WARM_UP = 300;

/** A hundred messages of one topic from a moment in the past, with so many stored. */
export function find(count: number): Promise<Figures> {
  return inFolder(async (folder) => {
    const store = await openStore(folder);
    const topics = Array.from({ length: FIND_TOPICS }, (_, i) => `site/${i % 10}/device/${i}/state`);
    const encoded = topics.map(topicBytesOf);
    const from = Date.now();
    await fill(store, count, (n) =>
      messageTo(topics[n % FIND_TOPICS] as string, encoded[n % FIND_TOPICS] as Uint8Array, payload),
    );
    await store.settled();
    const to = Date.now();
    const times: number[] = [];
    let firstMs = 0;
    let found = 0;
    // As every row it is warm before it counts; what a first look-up costs is told by itself.
    for (let n = -FIND_WARM_UP; n < FIND_LOOKUPS; n++) {
      const topic = topics[Math.floor(Math.random() * FIND_TOPICS)] as string;
      const begin = from + Math.random() * (to - from) * 0.9;
      const startUs = microseconds();
      const { length } = await store.find(topic, begin, to, FIND_LIMIT);
      const ms = (microseconds() - startUs) / 1000;
      if (n === -FIND_WARM_UP) firstMs = ms;
      if (n < 0) continue;
      found += length;
      times.push(ms);
    }
    await store.close();
    return {
      stored: count,
      foundMean: found / FIND_LOOKUPS,
      p50Ms: percentile(times, 50),
      p99Ms: percentile(times, 99),
      firstMs,
    };
  });
}

const QUEUE_ROUNDS = 300;
const QUEUE_COUNT = 1000;

/** Enqueue and dequeue in memory, of a queue without a disk and of one over the log. */
export function queues(): Promise<Figures> {
  return inFolder(async (folder) => {
    const store = await openStore(folder);
    store.record({ kind: 'created', clientId: 'reader', username: undefined, expiryS: 1e6, will: undefined });
    const messages = Array.from({ length: QUEUE_COUNT }, nextMessage);
    const memory = timed(new MemoryDeliveryQueue(), messages);
    const disk = timed(store.createQueue('reader'), messages.slice(0, 100));
    await store.close();
    return {
      memoryEnqueueUs: memory.in,
      memoryDequeueUs: memory.out,
      diskEnqueueUs: disk.in,
      diskDequeueUs: disk.out,
    };
  });
}

function timed(
  queue: DeliveryQueue,
  messages: readonly Message[],
): { readonly in: number; readonly out: number } {
  let inUs = 0;
  let outUs = 0;
  for (let round = 0; round < QUEUE_ROUNDS; round++) {
    const startUs = microseconds();
    for (const message of messages) queue.push(message, 1, undefined);
    const filledUs = microseconds();
    for (let n = 0; n < messages.length; n++) queue.shift();
    // The first rounds are for the compiler.
    if (round < QUEUE_ROUNDS / 3) continue;
    inUs += filledUs - startUs;
    outUs += microseconds() - filledUs;
  }
  const count = messages.length * QUEUE_ROUNDS * (2 / 3);
  return { in: inUs / count, out: outUs / count };
}
