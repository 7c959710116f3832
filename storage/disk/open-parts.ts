import type { DurableSessions } from '../../lib/contracts/store.js';
import type { DurableStreams } from '../../lib/contracts/streams.js';
import type { Log } from '../log/log.js';
import type { PublisherNames } from '../records/message-record.js';
import type { TextCache } from '../records/text-cache.js';
import type { MeshState } from './mesh-state.js';
import type { MessageReader } from './message-reader.js';
import type { DiskStoreOptions, StoreSizes } from './options.js';
import type { DiskRetainedStore } from './retained.js';
import type { SessionTable } from './session-table.js';
import type { StateIndex } from './state-index.js';
import type { StoredClock } from './stored-clock.js';
import type { TopicIndex } from './topic-index.js';

/** What is there once a store has opened log and database, for those who work on both. */
export interface OpenParts {
  readonly options: DiskStoreOptions;
  readonly sizes: StoreSizes;
  readonly log: Log;
  readonly index: StateIndex;
  readonly reader: MessageReader;
  readonly table: SessionTable;
  readonly topics: TopicIndex;
  readonly retained: DiskRetainedStore;
  readonly names: PublisherNames;
  readonly texts: TextCache;
  readonly clock: StoredClock;
  readonly sessions: DurableSessions;
  /** Of a gateway in a mesh. */
  readonly streams: DurableStreams | undefined;
  readonly mesh: MeshState;
}

/** Lets everything else that is already in the current turn go first. */
export function pause({ options }: Pick<OpenParts, 'options'>): Promise<void> {
  return new Promise((resolve) => options.schedule(resolve));
}
