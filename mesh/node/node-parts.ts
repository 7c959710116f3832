/** What the parts of a node share. */
import type { Clock } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { MeshHost } from '../../lib/contracts/mesh-port.js';
import type { Store } from '../../lib/contracts/store.js';
import type { TextCache } from '../forward/text-cache.js';
import type { LocalInterest, RemoteInterest, SubackGate } from '../interest/index.js';
import type { Bookkeeping } from './bookkeeping.js';
import type { OwnLineage } from './own-lineage.js';

/** Of forwarding; what is left out is as in mesh/forward/limits.ts. */
export interface ForwardSizes {
  readonly creditBytes?: number;
  readonly wholeMaxBytes?: number;
  readonly batchMaxBytes?: number;
  readonly readBytes?: number;
  readonly liveMaxBytes?: number;
  readonly liveMaxCount?: number;
  readonly haveMax?: number;
}

export interface NodeLimits {
  /** To one peer; 0: as fast as the link. */
  readonly linkMaxBytesPerSecond: number;
  /** Default: a day. */
  readonly tombstoneMinAgeMs?: number;
  /** How long a SUBACK waits for others at most. */
  readonly interestWaitMs: number;
  /** Whether this gateway passes on what others say to each other. */
  readonly relay: boolean;
  /** Of a link, above which messages of QoS 0 are dropped. */
  readonly maxQueuedPassingBytes: number;
  readonly forward?: ForwardSizes;
}

export interface NodeParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly host: MeshHost;
  readonly remote: RemoteInterest;
  readonly local: LocalInterest;
  readonly gate: SubackGate;
  readonly limits: NodeLimits;
  readonly lineage: OwnLineage;
  readonly bookkeeping: Bookkeeping;
  /** Of what all peers send. */
  readonly texts: TextCache;
}
