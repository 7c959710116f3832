/**
 * What the gateway and the thread of its archive say to each other. The gateway has the log, the thread has everything that costs time: it
 * writes the files, and brings them to the store.
 *
 *     thread ─ cut? ─▶ gateway     what is to be archived next
 *     thread ─ rows? ─▶ gateway    a part of it
 *     gateway ─ wake ─▶ thread     there may be something to archive
 *     thread ◀─ store ─▶ gateway   requests to a store that another gateway has, and their answers
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogFields } from '../../lib/contracts/logger.js';
import type { MasterKey } from '../../lib/contracts/master-key.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { ArchiveConfig } from './archive-config.js';
import type { RunnerStatus } from './archive-runner.js';
import type { Cut } from './archiver.js';
import type { KnownEntry, ManifestTip } from './manifest-entry.js';
import type { StoreCall } from './relay/store-calls.js';
import type { LogRead } from './row-columns.js';
import type { ArchivedLives } from './stretch.js';
import type { TargetSettings } from './target.js';

/** What the thread is started with. */
export interface ThreadSettings {
  /** Who writes. */
  readonly self: GatewayId;
  /** Whose archive it is. */
  readonly origin: GatewayId;
  /** An entry that is in it; undefined: none is known, and it may be a new one. */
  readonly known: KnownEntry | undefined;
  readonly target: TargetSettings;
  readonly config: ArchiveConfig;
  /** The first is the one that objects are encrypted with; none: they are not. */
  readonly keys: readonly MasterKey[];
  /** Its own; what is in it goes. */
  readonly spoolFolder: string;
  /** 0: no limit. */
  readonly maxBytesPerSecond: number;
}

/** What came into the archive. */
export interface AddedFiles {
  readonly rows: number;
  readonly bytes: number;
  readonly objects: number;
}

/** An answer has the number of its question. */
export type ToThread =
  | { readonly kind: 'wake' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'keys'; readonly keys: readonly MasterKey[] }
  | { readonly kind: 'store'; readonly call: StoreCall }
  | { readonly kind: 'cut'; readonly id: number; readonly cut: Cut | undefined }
  | { readonly kind: 'rows'; readonly id: number; readonly read: LogRead; readonly inTurns: boolean }
  | { readonly kind: 'failed'; readonly id: number; readonly reason: string };

export type FromThread =
  | { readonly kind: 'cut?'; readonly id: number }
  | { readonly kind: 'store'; readonly call: StoreCall }
  | { readonly kind: 'rows?'; readonly id: number; readonly cut: Cut; readonly after: LogPosition }
  | {
      readonly kind: 'archived';
      readonly tip: ManifestTip;
      readonly lives: ArchivedLives;
      readonly added: AddedFiles;
    }
  | { readonly kind: 'status'; readonly status: RunnerStatus }
  | {
      readonly kind: 'log';
      readonly level: 'info' | 'warn' | 'error';
      readonly message: string;
      readonly fields: LogFields;
    };
