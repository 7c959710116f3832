/** The tools for a data folder, as the command line uses them: the only module that knows both storage and a configuration, besides the gateway. */
import { layoutOf } from '../storage/index.js';
import {
  createToolParts,
  type Progress,
  type ToolParts,
  whileLooking,
  withFolderLock,
} from '../storage/tools/index.js';
import type { Config } from './config/index.js';
import type { Logger } from './contracts/logger.js';
import { realClock, realTimers } from './real-clock.js';

export { recordTypeName } from '../storage/index.js';
export {
  backupFolder,
  compactFolder,
  expectFillable,
  fillFolder,
  rangesText,
  repairFolder,
  restoreFolder,
  surveyFolder,
  withOwnLog,
} from '../storage/tools/index.js';
export type {
  BackupReport,
  CompactReport,
  FaultAndOwners,
  FolderSizes,
  FolderSurvey,
  Progress,
  Reference,
  RepairReport,
  RestoreReport,
} from '../storage/tools/index.js';

const nothing = (): void => undefined;
/** A tool says itself what it finds. */
export const silentLogger: Logger = {
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  child: () => silentLogger,
};

/** For the data folder of a configuration. */
export function toolPartsOf(
  { dataDir, storage }: Config,
  onProgress: (progress: Progress) => void,
): ToolParts {
  const { encryptionKey, encryptionKeyFile } = storage;
  return createToolParts(
    { dataDir, encryptionKey, encryptionKeyFile },
    { clock: realClock, timers: realTimers, logger: silentLogger, schedule: setImmediate, onProgress },
  );
}

/** Runs `task` while no gateway can use the data folder, which is made where it is not there. @throws SprawlError STORAGE_LOCKED where one does */
export function whileStopped<T>(config: Config, task: () => Promise<T>): Promise<T> {
  const parts = toolPartsOf(config, nothing);
  return withFolderLock(parts, layoutOf(parts.folder), task);
}

/** Whether a gateway runs on the data folder; nothing is made where there is none. */
export function isFolderInUse(config: Config): Promise<boolean> {
  const parts = toolPartsOf(config, nothing);
  return whileLooking(parts, layoutOf(parts.folder), async (isInUse) => isInUse);
}
