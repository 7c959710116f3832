export type { ArrivedEntry } from './entry-frames.js';
export type { PeerState, Ticks } from './retained-frames.js';
export { type Digest, type RetainedEntry, RetainedIndex, type RetainedKind } from './retained-index.js';
export { type MergeVerdict, RetainedMerge } from './retained-merge.js';
export { type CompletedRound, RetainedSync, type RetainedSyncPorts } from './retained-sync.js';
export {
  type TombstoneImage,
  TombstoneKeeper,
  type TombstoneKeeperOptions,
  type TombstoneKeeperPorts,
} from './tombstone-keeper.js';
