/** The door of bridge. */
export { Archive, type ArchivePorts, type ArchiveSettings, type DayHours } from './archive/archive.js';
export { BLOCK_BYTES, logLines } from './archive/proof/log-blocks.js';
export { type OpenTarget, openTarget, type TargetSettings } from './archive/target.js';
