/** The door of bridge. */
export { Archive, type ArchivePorts, type ArchiveSettings, type DayHours } from './archive/archive.js';
export { BLOCK_BYTES, logLines } from './archive/proof/log-blocks.js';
export { RelayClient } from './archive/relay/relay-client.js';
export { RelayServer } from './archive/relay/relay-server.js';
export { StoreThread } from './archive/relay/store-thread.js';
export { type OpenTarget, openTarget, pieceBytesOf, type TargetSettings } from './archive/target.js';
