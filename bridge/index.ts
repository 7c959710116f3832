/** The door of bridge. */
export {
  Archive,
  type ArchivedLog,
  type ArchivePorts,
  type ArchiveSettings,
  type DayHours,
} from './archive/archive.js';
export { LogRows } from './archive/log-rows.js';
export { Standby, type FinishAnswer, type StandbySettings } from './archive/standby/standby.js';
export { type OpenTarget, openTarget, type TargetSettings } from './archive/target.js';
