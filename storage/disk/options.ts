/** What a durable store is made with. */
import type { Clock, Timers } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { KeyProvider } from '../../lib/contracts/master-key.js';
import type { FileSystem } from '../files/file-system.js';
import { BLOCK_MAX_COUNT } from '../queue/posting-block.js';
import type { KeyValueStore } from '../state/key-value-store.js';

/** What is large enough for a machine; the simulation has smaller ones, so that little is enough to fill them. */
export const STORE_SIZES = {
  /** Positions that are replayed between two looks at the memory that it takes. */
  replayStepCount: 16_384,
  /** Blocks of queues that are kept in memory until the next checkpoint. */
  pendingBlocksMaxBytes: 4_194_304,
  /** Postings of a block. */
  blockMaxCount: BLOCK_MAX_COUNT,
};
export type StoreSizes = Readonly<typeof STORE_SIZES>;

export interface DiskStoreOptions {
  readonly files: FileSystem;
  readonly folder: string;
  /** A database in this folder. */
  readonly openDatabase: (folder: string) => KeyValueStore;
  readonly clock: Clock;
  /** The clock of the gateway goes on from here, after a restart. */
  readonly continueClock: (ms: number) => void;
  readonly timers: Timers;
  readonly logger: Logger;
  /** Calls back after everything that is already in the current turn: setImmediate. */
  readonly schedule: (run: () => void) => void;
  readonly randomBytes: (size: number) => Uint8Array;
  /** Where the keys come from that the data is encrypted with. */
  readonly keyProvider: KeyProvider;
  /** Whether an acknowledgement of this topic waits for the disk. */
  readonly isOnDisk: (topic: string) => boolean;
  readonly segmentMaxBytes: number;
  readonly commitDelayMs: number;
  /** The log beyond which messages are refused. */
  readonly diskMaxBytes: number;
  /** Free space of the file system below which messages are refused. */
  readonly diskReserveBytes: number;
  /** Bytes that wait for the disk beyond which messages are refused. */
  readonly pendingMaxBytes: number;
  /** Log that is written between two checkpoints: what a restart replays at most, but for what came during the last one. */
  readonly checkpointEveryBytes: number;
  readonly snapshotEveryBytes: number;
  /** What nobody needs any more is kept up to this size of the log, and for so long. */
  readonly keepMaxBytes: number;
  readonly keepMaxAgeMs: number;
  /** What floors hold back: beyond it the oldest goes, whoever is to have it. */
  readonly floorsMaxBytes: number;
  readonly ballastBytes: number;
  /** It is opened by who fills the folder: a gateway does not start on one that is not finished. */
  readonly isRestoring?: boolean | undefined;
  readonly sizes?: StoreSizes;
}
