/** The door of bridge. */
export { Archive, type ArchivePorts, type ArchiveSettings } from './archive/archive.js';
export { DrainRate } from './archive/drain-rate.js';
export { LogRows } from './archive/log-rows.js';
export { Pace } from './archive/paced-body.js';
export { BLOCK_BYTES, logLines } from './archive/proof/log-blocks.js';
export { RelayClient } from './archive/relay/relay-client.js';
export { RelayServer } from './archive/relay/relay-server.js';
export { StoreThread } from './archive/relay/store-thread.js';
export { Standby, type FinishAnswer, type StandbySettings } from './archive/standby/standby.js';
export { pieceBytesOf, type TargetSettings } from './archive/target.js';
