/**
 * What a gateway holds for each retained message, waiting message, session and subscription. The heap and the buffers outside it after
 * collections of garbage, so that it is the same each time; what the process takes from the system (`…Resident`) is more by the garbage and the free
 * pages that V8 keeps.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PacketType } from '../../../lib/protocol/packet.js';
import { publishTemplate } from '../frames.js';
import { LoadClient } from '../load-client.js';
import { inFolder } from './disk.js';
import type { Figures } from './store-probes.js';

const GATEWAY = fileURLToPath(new URL('./memory-gateway.js', import.meta.url));
const BATCH_COUNT = 200;
const CLIENTS_AT_ONCE = 50;
const READINGS_MAX_COUNT = 30;
const READING_EVERY_MS = 1000;
const SETTLED_BYTES = 100_000;
/** Limits are not what is measured. */
const SETTINGS = ['retainedMaxBytes=1000000000', 'retainedMaxCount=10000000', 'retainedPerClientMaxCount=0'];

interface Held {
  readonly heapUsed: number;
  readonly external: number;
  readonly rss: number;
}

class MeasuredGateway {
  private constructor(
    readonly child: ChildProcess,
    readonly port: number,
    private readonly httpPort: number,
  ) {}

  static async start(folder: string): Promise<MeasuredGateway> {
    const ports = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0'];
    const settings = SETTINGS.flatMap((setting) => ['--set', `limits.${setting}`]);
    const env: NodeJS.ProcessEnv = { ...process.env, NODE_OPTIONS: '', UV_THREADPOOL_SIZE: '16' };
    delete env['NODE_V8_COVERAGE'];
    const child = fork(GATEWAY, ['up', ...ports, '--data-dir', `${folder}/data`, ...settings], {
      execArgv: ['--expose-gc'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env,
    });
    let text = '';
    child.stderr?.setEncoding('utf8');
    for await (const part of child.stderr?.iterator({ destroyOnReturn: false }) ?? []) {
      text += String(part);
      if (text.includes('ready startMs')) break;
    }
    child.stderr?.resume();
    const portOf = (listener: string): number =>
      Number(new RegExp(`listener=${listener} host=\\S+ port=(\\d+)`).exec(text)?.[1] ?? 0);
    if (portOf('mqtt') === 0) throw new Error(`the gateway did not start: ${text}`);
    return new MeasuredGateway(child, portOf('mqtt'), portOf('http'));
  }

  /** Once it stands still: a checkpoint that is being written holds all that it writes. */
  async held(): Promise<Held> {
    let held = await this.#ask();
    for (let n = 0; n < READINGS_MAX_COUNT; n++) {
      await sleep(READING_EVERY_MS);
      const next = await this.#ask();
      const isSettled =
        Math.abs(next.heapUsed + next.external - held.heapUsed - held.external) < SETTLED_BYTES;
      held = next;
      if (isSettled) break;
    }
    return held;
  }

  async #ask(): Promise<Held> {
    this.child.send('held');
    const [held] = (await once(this.child, 'message')) as [Held];
    return held;
  }

  async metric(name: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.httpPort}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? NaN);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGTERM');
    await once(this.child, 'exit');
  }
}

/** Publishes to ever other topics. */
class TopicsPublisher extends LoadClient {
  #awaited = 0;
  #done: (() => void) | undefined;

  protected override onAck(type: number, packetId: number): void {
    if (type !== PacketType.puback) super.onAck(type, packetId);
    if (--this.#awaited === 0) this.#done?.();
  }

  /** QoS 1. Resolves when all are acknowledged. */
  async publish(topics: readonly string[], payloadBytes: number, retain: boolean): Promise<void> {
    for (let from = 0; from < topics.length; from += BATCH_COUNT) {
      const frames = topics.slice(from, from + BATCH_COUNT).map((topic, i) => {
        const { bytes, packetIdAt } = publishTemplate(4, topic, 1, payloadBytes);
        bytes.writeUInt16BE(i + 1, packetIdAt);
        if (retain) bytes[0] = (bytes[0] ?? 0) | 1;
        return bytes;
      });
      this.#awaited = frames.length;
      await new Promise<void>((resolve) => {
        this.#done = resolve;
        this.write(Buffer.concat(frames));
      });
    }
  }
}

const fail = (reason: string): never => {
  throw new Error(reason);
};

function topicOf(n: number): string {
  return `site/plant/line${n % 50}/sensor${n}/temperature`;
}

async function publish(port: number, count: number, payloadBytes: number, retain: boolean): Promise<void> {
  const publisher = new TopicsPublisher({ port, version: 4, clientId: 'filler', fail });
  await publisher.open();
  const topics = Array.from({ length: count }, (_, n) => topicOf(n));
  await publisher.publish(topics, payloadBytes, retain);
  publisher.close();
}

function each(before: Held, after: Held, count: number): readonly [heldBytes: number, residentBytes: number] {
  const held = after.heapUsed + after.external - before.heapUsed - before.external;
  return [held / count, (after.rss - before.rss) / count];
}

export function memoryRetained(count: number, payloadBytes: number): Promise<Figures> {
  return inFolder(async (folder) => {
    const first = await MeasuredGateway.start(folder);
    const empty = await first.held();
    await publish(first.port, count, payloadBytes, true);
    const [heldBytes, residentBytes] = each(empty, await first.held(), count);
    const countedBytes =
      (await first.metric('sprawl_retained_bytes')) / (await first.metric('sprawl_retained_messages'));
    await first.stop();
    const second = await MeasuredGateway.start(folder);
    const [restartedBytes, restartedResidentBytes] = each(empty, await second.held(), count);
    await second.stop();
    return { count, countedBytes, heldBytes, residentBytes, restartedBytes, restartedResidentBytes };
  });
}

/** Messages that wait for one client that is away. */
export function memoryQueued(count: number, payloadBytes: number): Promise<Figures> {
  return inFolder(async (folder) => {
    const gateway = await MeasuredGateway.start(folder);
    await away(gateway.port, 1, () => ['site/#']);
    const empty = await gateway.held();
    await publish(gateway.port, count, payloadBytes, false);
    const [heldBytes, residentBytes] = each(empty, await gateway.held(), count);
    const countedBytes = (await gateway.metric('sprawl_queued_bytes')) / count;
    await gateway.stop();
    return { count, countedBytes, heldBytes, residentBytes };
  });
}

/** Sessions of clients that are away, with so many subscriptions each, all of them to different topics. */
export function memorySessions(count: number, subscriptions: number): Promise<Figures> {
  return inFolder(async (folder) => {
    const gateway = await MeasuredGateway.start(folder);
    const empty = await gateway.held();
    await away(gateway.port, count, (client) =>
      Array.from({ length: subscriptions }, (_, n) => topicOf(client * subscriptions + n)),
    );
    const [heldBytes, residentBytes] = each(empty, await gateway.held(), count);
    await gateway.stop();
    return { count, subscriptions, heldBytes, residentBytes };
  });
}

async function away(port: number, count: number, filters: (client: number) => string[]): Promise<void> {
  for (let from = 0; from < count; from += CLIENTS_AT_ONCE) {
    const open = Array.from({ length: Math.min(CLIENTS_AT_ONCE, count - from) }, async (_, i) => {
      const clientId = `device-${from + i}`;
      const client = new LoadClient({ port, version: 4, clientId, fail, stays: true });
      await client.open();
      for (const filter of filters(from + i)) await client.subscribe(filter, 1);
      return client;
    });
    for (const client of await Promise.all(open)) client.close();
  }
}
