import type { Clock, Timers } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';
import { keyProviderOf } from '../../lib/contracts/master-key.js';
import { topicMatchesFilter } from '../../lib/protocol/topic.js';
import { nodeFileSystem } from '../files/node-file-system.js';
import { LevelStore } from '../state/level-store.js';
import { DiskStore } from './disk-store.js';
import type { DiskStoreOptions } from './options.js';

const MIB = 1_048_576;
const BALLAST_BYTES = 8 * MIB;
/** Parts of the log that the quota has to have room for, so that freeing the oldest of them makes room. */
const PARTS_OF_QUOTA = 8;
const LEVELS_REMEMBERED = 10_000;

export interface DiskStoreSettings {
  readonly dataDir: string;
  readonly memoryTopics: readonly string[];
  readonly commitDelayMs: number;
  readonly segmentMaxBytes: number;
  readonly checkpointEveryBytes: number;
  readonly snapshotEveryBytes: number;
  readonly keepMaxBytes: number;
  readonly keepMaxAgeS: number;
  readonly diskMaxBytes: number;
  readonly diskReserveBytes: number;
  readonly pendingMaxBytes: number;
  /** What is kept for other gateways of a mesh. */
  readonly floorsMaxBytes?: number;
  readonly encryptionKeyFile?: string | undefined;
  readonly encryptionKey?: string | undefined;
  /** See DiskStoreOptions. */
  readonly isRestoring?: boolean;
}

export interface DiskStoreParts {
  readonly clock: Clock;
  readonly continueClock: (ms: number) => void;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly schedule: (run: () => void) => void;
  readonly randomBytes: (size: number) => Uint8Array;
}

/** A store in a folder of the machine. */
export function createDiskStore(settings: DiskStoreSettings, parts: DiskStoreParts): DiskStore {
  const { dataDir, memoryTopics, diskMaxBytes } = settings;
  const part = Math.floor(diskMaxBytes / PARTS_OF_QUOTA);
  const options: DiskStoreOptions = {
    ...parts,
    files: nodeFileSystem,
    keyProvider: keyProviderOf('storage', {
      key: settings.encryptionKey,
      keyFile: settings.encryptionKeyFile,
    }),
    folder: dataDir,
    openDatabase: (folder) => new LevelStore(folder),
    isOnDisk: levelsOf(memoryTopics),
    commitDelayMs: settings.commitDelayMs,
    segmentMaxBytes: Math.min(settings.segmentMaxBytes, part),
    checkpointEveryBytes: Math.min(settings.checkpointEveryBytes, part),
    snapshotEveryBytes: Math.min(settings.snapshotEveryBytes, part),
    keepMaxBytes: settings.keepMaxBytes,
    keepMaxAgeMs: settings.keepMaxAgeS * 1000,
    floorsMaxBytes: settings.floorsMaxBytes ?? 0,
    diskMaxBytes,
    diskReserveBytes: settings.diskReserveBytes,
    pendingMaxBytes: settings.pendingMaxBytes,
    ballastBytes: Math.min(BALLAST_BYTES, part),
    isRestoring: settings.isRestoring,
  };
  return new DiskStore(options);
}

/** Whether a topic is none of those that are kept in memory. */
function levelsOf(memoryTopics: readonly string[]): (topic: string) => boolean {
  if (memoryTopics.length === 0) return () => true;
  const known = new Map<string, boolean>();
  return (topic) => {
    const remembered = known.get(topic);
    if (remembered !== undefined) return remembered;
    const isOnDisk = !memoryTopics.some((filter) => topicMatchesFilter(topic, filter));
    if (known.size >= LEVELS_REMEMBERED) known.clear();
    known.set(topic, isOnDisk);
    return isOnDisk;
  };
}
