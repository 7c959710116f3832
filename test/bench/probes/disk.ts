/** Stores and the raw disk for the probes: in a folder of its own on the disk that the temporary folder is on. */
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { NO_SESSIONS } from '../../../lib/contracts/no-sessions.js';
import { createMessage, type Message } from '../../../lib/message/message.js';
import { realClock, realTimers } from '../../../lib/real-clock.js';
import { createDiskStore } from '../../../storage/index.js';
import type { DiskStoreSettings } from '../../../storage/disk/create.js';
import type { DiskStore } from '../../../storage/disk/disk-store.js';
import { nullLogger } from '../../support/null-logger.js';
import { microseconds } from '../monotonic.js';
import { percentile } from '../statistics.js';

const MIB = 1_048_576;
/** What a commit writes at some thousand messages a second. */
const RAW_BYTES = 32_768;
/** Of 20,000 messages a second. */
const ARRIVAL_EVERY_US = 50;

/** Runs `probe` with an empty folder, which goes afterwards. */
export async function inFolder<T>(probe: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'sprawl-probe-'));
  try {
    return await probe(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function openStore(
  folder: string,
  settings: Partial<DiskStoreSettings> = {},
): Promise<DiskStore> {
  const store = createDiskStore(
    {
      dataDir: join(folder, 'data'),
      memoryTopics: [],
      commitDelayMs: 0,
      segmentMaxBytes: 64 * MIB,
      checkpointEveryBytes: 32 * MIB,
      snapshotEveryBytes: 128 * MIB,
      keepMaxBytes: 1024 * 1024 * MIB,
      keepMaxAgeS: 1e9,
      diskMaxBytes: 1024 * 1024 * MIB,
      diskReserveBytes: 0,
      pendingMaxBytes: 64 * MIB,
      ...settings,
    },
    {
      clock: realClock,
      continueClock: () => undefined,
      timers: realTimers,
      logger: nullLogger,
      schedule: setImmediate,
      randomBytes,
    },
  );
  await store.open(NO_SESSIONS);
  return store;
}

export function topicBytesOf(topic: string): Uint8Array {
  const utf8 = Buffer.from(topic, 'utf8');
  return Buffer.concat([Buffer.from([utf8.length >> 8, utf8.length & 0xff]), utf8]);
}

export function messageTo(topic: string, topicBytes: Uint8Array, payload: Uint8Array): Message {
  return createMessage({ topic, topicBytes, payload, qos: 1, retain: false, publisher: 'publisher' });
}

/** Appends `count` messages, as fast as the disk takes them. @param message the one of this number */
export async function fill(store: DiskStore, count: number, message: (n: number) => Message): Promise<void> {
  for (let n = 0; n < count;) {
    const until = Math.min(count, n + 2000);
    for (; n < until; n++) store.append(message(n), undefined);
    await store.log.flush(60_000);
  }
}

export interface RawFigures {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Of messages that come evenly, whatever the disk does. */
  readonly waitP99Ms: number;
  readonly bytesPerSecond: number;
}

/** The disk without us: `writeBytes` and fdatasync, one after the other for so long. */
export async function rawDisk(
  folder: string,
  milliseconds: number,
  writeBytes = RAW_BYTES,
): Promise<RawFigures> {
  const file = await open(join(folder, 'raw'), 'w');
  const bytes = randomBytes(writeBytes);
  const times: number[] = [];
  const endsUs: number[] = [];
  const beginUs = microseconds();
  const endUs = beginUs + milliseconds * 1000;
  for (let offset = 0; microseconds() < endUs; offset += writeBytes) {
    const startUs = microseconds();
    await file.write(bytes, 0, writeBytes, offset);
    await file.datasync();
    endsUs.push(microseconds());
    times.push(((endsUs.at(-1) as number) - startUs) / 1000);
  }
  await file.close();
  return {
    p50Ms: percentile(times, 50),
    p99Ms: percentile(times, 99),
    maxMs: times.reduce((most, time) => Math.max(most, time), 0),
    waitP99Ms: percentile(waitsUs(endsUs), 99) / 1000,
    bytesPerSecond: (endsUs.length * writeBytes) / (((endsUs.at(-1) as number) - beginUs) / 1e6),
  };
}

/** What messages wait that come evenly while one write and sync follows the other: to the end of the first that begins after them. */
function waitsUs(endsUs: readonly number[]): number[] {
  const waits: number[] = [];
  let next = 1;
  for (let atUs = endsUs[0] ?? 0; next + 1 < endsUs.length; atUs += ARRIVAL_EVERY_US) {
    while (next + 1 < endsUs.length && (endsUs[next] as number) <= atUs) next++;
    waits.push((endsUs[next + 1] ?? atUs) - atUs);
  }
  return waits;
}
