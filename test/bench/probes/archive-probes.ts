/** Probes of the archive: how fast a log gets there, what that takes of memory, and what clients notice of it. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ArchiveStatus } from '../../../lib/contracts/archive-status.js';
import type { PacedJob } from '../load-job.js';
import { microseconds } from '../monotonic.js';
import { spawnPlain } from '../plain-process.js';
import { residentBytes } from '../process-usage.js';
import { fill, inFolder, messageTo, openStore, topicBytesOf } from './disk.js';
import { generate, type RunningGateway, startGateway } from './gateway-probes.js';
import type { Figures } from './store-probes.js';

export type ArchiveTarget = 'folder' | 's3';

const S3_PROCESS = fileURLToPath(new URL('./s3-process.js', import.meta.url));
const PAYLOAD_BYTES = 256;
const TOPICS = 100;
const POLL_MS = 50;
const IDLE_MS = 3000;
/** Fewer show only that it runs. */
const MANY = 500_000;
/** Each some two seconds of what is read beside clients: of a measured time of five there are some. */
const PARTS = 100;
/** They are through before clients come. */
const FIRST_PARTS = 10;
const LIVE_PER_SECOND = 2000;
const SETTINGS = ['archive.topics=["site/#"]', 'archive.fileMaxAgeS=1', 'storage.keepMaxBytes=100000000000'];
/** What a gateway with an archive has to reach from its start. */
const DONE_MAX_MS = 600_000;

/** As a sensor sends it: JSON, no two alike. */
function payloadOf(n: number): Buffer {
  const head = `{"n":${n},"temperature":${(n % 997) / 10},"humidity":${n % 101},"unit":"C","text":"`;
  const text = (n * 2_654_435_761).toString(36);
  return Buffer.from(head.padEnd(PAYLOAD_BYTES - 2 - text.length, 'x') + text + '"}');
}

async function fillLog(folder: string, count: number): Promise<void> {
  const store = await openStore(folder);
  const topics = Array.from({ length: TOPICS }, (_, n) => `site/device-${n}/state`);
  const encoded = topics.map(topicBytesOf);
  await fill(store, count, (n) => {
    const i = n % TOPICS;
    return messageTo(topics[i] as string, encoded[i] as Uint8Array, payloadOf(n));
  });
  await store.close();
}

async function statusOf({ httpPort }: RunningGateway): Promise<ArchiveStatus> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/api/v1/archive`);
  return (await response.json()) as ArchiveStatus;
}

const idleMs = (count: number): number => (count < MANY ? 0 : IDLE_MS);

interface Target {
  readonly settings: readonly string[];
  close(): void;
}

async function openTarget(target: ArchiveTarget): Promise<Target> {
  if (target === 'folder') return { settings: [], close: () => undefined };
  const child = spawnPlain(process.execPath, [S3_PROCESS]);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  process.env['AWS_ACCESS_KEY_ID'] = 'AKTEST';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'very secret';
  return {
    settings: [
      'archive.target=s3://bucket/bench',
      `archive.s3.endpoint=${String(line).trim()}`,
      'archive.s3.region=eu-west-1',
    ],
    close: () => void child.kill('SIGKILL'),
  };
}

async function idleBytes(folder: string, count: number): Promise<number> {
  const gateway = await startGateway(folder, 'storage.keepMaxBytes=100000000000');
  await sleep(idleMs(count));
  const bytes = residentBytes(gateway.child.pid ?? 0);
  await gateway.kill();
  return bytes;
}

/** A log of so many messages goes to the archive, from the moment that the gateway serves. */
export function archiveRate(target: ArchiveTarget, count: number): Promise<Figures> {
  return inFolder(async (folder) => {
    await fillLog(folder, count);
    const idle = await idleBytes(folder, count);
    const store = await openTarget(target);
    const gateway = await startGateway(folder, ...SETTINGS, ...store.settings);
    try {
      const pid = gateway.child.pid ?? 0;
      const startUs = microseconds();
      let most = 0;
      let status = await statusOf(gateway);
      while (status.rows < count || status.backlog.bytes > 10_000) {
        if ((microseconds() - startUs) / 1000 > DONE_MAX_MS) throw new Error(JSON.stringify(status));
        await sleep(POLL_MS);
        most = Math.max(most, residentBytes(pid));
        status = await statusOf(gateway);
      }
      const perSecond = count / ((microseconds() - startUs) / 1e6);
      const { objects, bytes } = status;
      return { perSecond, extraMegabytes: (most - idle) / 1e6, objects, bytesPerMessage: bytes / count };
    } finally {
      await gateway.kill();
      store.close();
    }
  });
}

async function liveP99(gateway: RunningGateway, seconds: number): Promise<number> {
  const plan: PacedJob = {
    ...{ kind: 'paced', version: 4, qos: 1, subscribers: 1, ratePerSecond: LIVE_PER_SECOND, stopped: false },
    ...{ payloadBytes: 64, warmUpMs: Math.min(1, seconds) * 1000, measureMs: seconds * 1000 },
    ...{ port: gateway.port, serverPid: gateway.child.pid ?? 0 },
  };
  const result = await generate(plan);
  if (result.kind !== 'latency') throw new Error(JSON.stringify(result));
  return result.p99Ms;
}

/** What clients notice while a backlog goes to the archive, beside the same without one. */
export function archiveLive(target: ArchiveTarget, count: number, seconds: number): Promise<Figures> {
  return inFolder(async (folder) => {
    await fillLog(folder, count);
    const store = await openTarget(target);
    try {
      const plain = await startGateway(folder, 'storage.keepMaxBytes=100000000000');
      await sleep(idleMs(count));
      const withoutMs = await liveP99(plain, seconds);
      await plain.kill();
      const parts = `archive.fileMaxCount=${Math.ceil(count / PARTS)}`;
      const gateway = await startGateway(folder, ...SETTINGS, parts, ...store.settings);
      try {
        // A backlog goes for minutes or hours: the first requests of a process, whose code is not optimized, are not what is measured.
        while ((await statusOf(gateway)).objects < FIRST_PARTS) await sleep(POLL_MS);
        const before = (await statusOf(gateway)).rows;
        const startUs = microseconds();
        const withMs = await liveP99(gateway, seconds);
        const passedS = (microseconds() - startUs) / 1e6;
        const { rows } = await statusOf(gateway);
        // A figure of a time in which nothing was archived, or all of it before the end, would say nothing.
        if (rows === before || rows >= count)
          throw new Error(`${before} of ${count} were archived when it began, and ${rows} when it ended`);
        return { withoutMs, withMs, ratio: withMs / withoutMs, archivedPerSecond: (rows - before) / passedS };
      } finally {
        await gateway.kill();
      }
    } finally {
      store.close();
    }
  });
}
