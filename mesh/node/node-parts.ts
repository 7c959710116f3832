/** What the parts of a node share. */
import type { Clock } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { MeshHost } from '../../lib/contracts/mesh-port.js';
import type { Store } from '../../lib/contracts/store.js';
import type { LocalInterest, RemoteInterest, SubackGate } from '../interest/index.js';
import type { OwnLineage } from './own-lineage.js';

export interface NodeLimits {
  /** To one peer; 0: as fast as the link. */
  readonly linkMaxBytesPerSecond: number;
  /** Of a link, above which messages of QoS 0 are dropped. */
  readonly maxQueuedPassingBytes: number;
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
}
