/** Probes of the whole gateway on its disk: what it writes, how it comes back. */
import { once } from 'node:events';
import { type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { LoadClient } from '../load-client.js';
import type { LoadJob, LoadResult, RateResult, WindowJob } from '../load-job.js';
import { parseResult } from '../load-job.js';
import { microseconds } from '../monotonic.js';
import { spawnPlain } from '../plain-process.js';
import { inFolder, rawDisk } from './disk.js';
import type { Figures } from './store-probes.js';

const LAUNCHER = fileURLToPath(new URL('../../../../bin/sprawl-edge.cjs', import.meta.url));
const GENERATOR = fileURLToPath(new URL('../load-generator.js', import.meta.url));
const PAYLOAD_BYTES = 256;

export interface RunningGateway {
  readonly child: ChildProcess;
  readonly port: number;
  readonly httpPort: number;
  readonly readyMs: number;
  kill(): Promise<void>;
}

export async function startGateway(folder: string, ...settings: string[]): Promise<RunningGateway> {
  const startUs = microseconds();
  const args = [
    'up',
    '--mqtt-port',
    '0',
    '--ws-port',
    '0',
    '--http-port',
    '0',
    '--data-dir',
    `${folder}/data`,
  ];
  for (const setting of settings) args.push('--set', setting);
  const child = spawnPlain(process.execPath, [LAUNCHER, ...args]);
  let text = '';
  child.stdout.resume();
  child.stderr.setEncoding('utf8');
  for await (const part of child.stderr) {
    text += String(part);
    if (text.includes('ready startMs')) break;
  }
  const portOf = (listener: string): number =>
    Number(new RegExp(`listener=${listener} host=\\S+ port=(\\d+)`).exec(text)?.[1] ?? 0);
  if (portOf('mqtt') === 0) throw new Error(`the gateway did not start: ${text}`);
  const readyMs = (microseconds() - startUs) / 1000;
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  return { child, port: portOf('mqtt'), httpPort: portOf('http'), readyMs, kill };
}

interface StorageStatus {
  readonly writtenBytes: number;
  readonly payloadBytes: number;
}

async function storageOf({ httpPort }: RunningGateway): Promise<StorageStatus> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/status`);
  return ((await response.json()) as { storage: StorageStatus }).storage;
}

async function load(
  gateway: RunningGateway,
  measureMs: number,
  job: Partial<WindowJob> = {},
): Promise<RateResult> {
  const plan: WindowJob = {
    kind: 'window',
    version: 4,
    qos: 1,
    pairs: 10,
    windowCount: 100,
    aheadMaxCount: 1000,
    payloadBytes: PAYLOAD_BYTES,
    warmUpMs: 0,
    measureMs,
    port: gateway.port,
    serverPid: gateway.child.pid ?? 0,
    ...job,
  };
  const result = await generate(plan);
  if (result.kind !== 'rate') throw new Error(JSON.stringify(result));
  return result;
}

/** Runs the load generator. */
export async function generate(plan: LoadJob): Promise<LoadResult> {
  const child = spawnPlain(process.execPath, [GENERATOR, JSON.stringify(plan)]);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  await once(child, 'close');
  return parseResult(output);
}

/** Bytes that are written for each byte of message record, checkpoints and snapshots included, with subscribers that keep up. */
export function bytes(seconds: number): Promise<Figures> {
  return inFolder(async (folder) => {
    const gateway = await startGateway(folder);
    try {
      await load(gateway, seconds * 1000);
      const { writtenBytes, payloadBytes } = await storageOf(gateway);
      const messages = payloadBytes / PAYLOAD_BYTES;
      // Header, fixed part, client id `bench-pub-0`, topic `bench/0`: see storage/log/record.ts and storage/records/message-record.ts.
      const recordBytes = messages * (16 + 7 + 2 + 11 + 2 + 7 + PAYLOAD_BYTES);
      return { messages, writtenPerRecordByte: writtenBytes / recordBytes };
    } finally {
      await gateway.kill();
    }
  });
}

/** kill -9 with so many messages and durable sessions, and the time until a new process takes connections. */
export function recovery(messages: number, sessions: number): Promise<Figures> {
  return inFolder(async (folder) => {
    // Everything is in the log alone: the most that a start can have to do.
    const noCheckpoints = ['storage.checkpointEveryBytes=1000000000000', 'limits.diskMaxBytes=1000000000000'];
    const gateway = await startGateway(folder, ...noCheckpoints);
    let rate = 0;
    try {
      await parkSessions(gateway.port, sessions);
      for (let stored = 0; stored < messages;) {
        rate = (await load(gateway, 1000)).publishedPerSecond;
        stored = (await storageOf(gateway)).payloadBytes / PAYLOAD_BYTES;
      }
    } finally {
      await gateway.kill();
    }
    const again = await startGateway(folder, ...noCheckpoints);
    await again.kill();
    return { messages, sessions, readyMs: again.readyMs, publishedPerSecond: rate };
  });
}

/** Durable sessions that share what is published: each message waits for one of them. */
async function parkSessions(port: number, count: number): Promise<void> {
  const fail = (reason: string): never => {
    throw new Error(reason);
  };
  for (let n = 0; n < count; n += 100) {
    const clients = Array.from(
      { length: Math.min(100, count - n) },
      (_, i) => new LoadClient({ port, version: 4, clientId: `parked-${n + i}`, fail, stays: true }),
    );
    await Promise.all(clients.map((client) => client.open()));
    await Promise.all(clients.map((client) => client.subscribe('$share/parked/bench/#', 1)));
    for (const client of clients) client.close();
  }
}

/** Writes on and on; the longest time without a delivery, beside the longest write and sync of the raw disk meanwhile. */
export function endurance(seconds: number): Promise<Figures> {
  return inFolder(async (folder) => {
    const gateway = await startGateway(folder, 'storage.keepMaxBytes=536870912');
    try {
      const raw = rawDisk(folder, seconds * 1000);
      let slowest = Infinity;
      let longest = 0;
      let total = 0;
      let rounds = 0;
      const endUs = microseconds() + seconds * 1e6;
      while (microseconds() < endUs) {
        const { publishedPerSecond, longestGapMs = 0 } = await load(
          gateway,
          Math.min(10_000, seconds * 1000),
          {
            warmUpMs: 500,
          },
        );
        slowest = Math.min(slowest, publishedPerSecond);
        longest = Math.max(longest, longestGapMs);
        total += publishedPerSecond;
        rounds++;
      }
      const { maxMs, p99Ms } = await raw;
      const { payloadBytes } = await storageOf(gateway);
      return {
        payloadBytes,
        meanPerSecond: total / rounds,
        slowestPerSecond: slowest,
        longestGapMs: longest,
        rawMaxMs: maxMs,
        rawP99Ms: p99Ms,
      };
    } finally {
      await gateway.kill();
      await sleep(100);
    }
  });
}
