/** Of their own door: a gateway that runs loads none of them. */
export { backupFolder } from './backup.js';
export type { BackupReport } from './backup.js';
export { compactFolder } from './compact.js';
export type { CompactReport, FolderSizes } from './compact.js';
export { createToolParts } from './create.js';
export { whileLooking, withFolderLock } from './data-folder.js';
export type { Progress, ToolParts } from './data-folder.js';
export { rangesText } from './fault.js';
export { expectFillable, fillFolder } from './fresh-folder.js';
export { type FolderLog, withOwnLog } from './own-log.js';
export { repairFolder } from './repair.js';
export type { RepairReport } from './repair.js';
export { restoreFolder } from './restore.js';
export type { RestoreReport } from './restore.js';
export type { Reference } from './state-survey.js';
export { surveyFolder } from './survey.js';
export type { FaultAndOwners, FolderSurvey } from './survey.js';
