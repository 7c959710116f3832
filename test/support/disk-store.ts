/** A durable store for tests: on a file system and databases in memory, or in a folder, with sizes that are soon reached. */
import { realTimers } from '../../lib/real-clock.js';
import type { DurableSessions, SessionImage, SessionRecord } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import { DiskStore } from '../../storage/disk/disk-store.js';
import type { DiskStoreOptions } from '../../storage/disk/options.js';
import type { KeyValueStore } from '../../storage/state/key-value-store.js';
import { FaultyFiles } from './faulty-files.js';
import { MemoryKeyValue } from './memory-key-value.js';
import { nullLogger } from './null-logger.js';

/** Databases by folder, which outlive the stores that use them. */
export class MemoryDatabases {
  readonly #byFolder = new Map<string, MemoryKeyValue>();

  of(folder: string): MemoryKeyValue {
    const known = this.#byFolder.get(folder) ?? new MemoryKeyValue();
    this.#byFolder.set(folder, known);
    return known;
  }
}

export class TestClock {
  time = 1000;
  wallTime = 1_700_000_000_000;
  now(): number {
    return this.time;
  }
  wall(): number {
    return this.wallTime;
  }
}

export interface TestStoreParts {
  readonly files: FaultyFiles;
  readonly databases: MemoryDatabases;
  readonly clock: TestClock;
}

export function testStoreParts(): TestStoreParts {
  return { files: new FaultyFiles(), databases: new MemoryDatabases(), clock: new TestClock() };
}

export function testStore(parts: TestStoreParts, options: Partial<DiskStoreOptions> = {}): DiskStore {
  const { files, databases, clock } = parts;
  return new DiskStore({
    files,
    folder: '/data',
    openDatabase: (folder): KeyValueStore => databases.of(folder),
    clock,
    continueClock: (ms) => {
      clock.time = Math.max(clock.time, ms);
    },
    timers: realTimers,
    logger: nullLogger,
    schedule: setImmediate,
    randomBytes: (size) => new Uint8Array(size).fill(7),
    keyProvider: { masterKeys: async () => [] },
    isOnDisk: () => true,
    segmentMaxBytes: 16_384,
    commitDelayMs: 0,
    diskMaxBytes: 2 ** 30,
    diskReserveBytes: 0,
    pendingMaxBytes: 2 ** 20,
    checkpointEveryBytes: 8192,
    snapshotEveryBytes: 32_768,
    keepMaxBytes: 2 ** 30,
    keepMaxAgeMs: 2 ** 40,
    floorsMaxBytes: 2 ** 30,
    ballastBytes: 4096,
    ...options,
  });
}

/** Takes down what it is told, and has the images that the test gives it. */
export class RecordedSessions implements DurableSessions {
  readonly images = new Map<string, SessionImage>();
  readonly restoredImages: SessionImage[] = [];
  readonly steps: SessionRecord[] = [];
  readonly messages: Message[] = [];
  readonly retained: Message[] = [];
  isRestored = false;

  imageOf(clientId: string): SessionImage | undefined {
    return this.images.get(clientId);
  }

  forEachBusy(): void {}

  restoreSession(image: SessionImage): void {
    this.restoredImages.push(image);
  }

  replayStep(record: SessionRecord): void {
    this.steps.push(record);
  }

  replayMessage(message: Message): void {
    this.messages.push(message);
  }

  replayRetained(message: Message): void {
    this.retained.push(message);
  }

  unassigned(): [] {
    return [];
  }

  restoreUnassigned(): void {}

  restored(): void {
    this.isRestored = true;
  }
}
