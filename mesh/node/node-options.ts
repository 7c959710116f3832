/** What a node is made of: who it is, and the world around it. */
import type { Clock, Timers } from '../../lib/contracts/clock.js';
import type { Lineage } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { MeshHost } from '../../lib/contracts/mesh-port.js';
import type { Store } from '../../lib/contracts/store.js';
import type { Roster } from '../admission/roster.js';
import type { MembershipOptions } from '../membership/index.js';
import type { NodeLimits } from './node-parts.js';

export interface MeshNodeOptions {
  readonly self: GatewayId;
  readonly site: string;
  readonly software: string;
  /** Of earlier processes. */
  readonly lineage: Lineage;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly store: Store;
  readonly host: MeshHost;
  readonly membership?: Partial<MembershipOptions>;
  /** The members that should have a link. */
  readonly wanted: (ids: Iterable<GatewayId>) => void;
  /** Where a member says that it is reached, each time that this changes. */
  readonly heardOf?: (id: GatewayId, addresses: readonly string[]) => void;
  /** Calls back once, after everything that is already in the current turn. */
  readonly schedule: (run: () => void) => void;
  readonly limits: NodeLimits;
  readonly importFilters: readonly string[];
  readonly exportFilters: readonly string[];
  /** `host:port` at which others may reach it. */
  readonly addresses: () => readonly string[];
  /** The lives of others, as they told them last. */
  readonly lineages: ReadonlyMap<GatewayId, Lineage>;
  readonly saveLineages: (lineages: ReadonlyMap<GatewayId, Lineage>) => void;
  readonly roster: Roster | undefined;
  readonly matchesAdmin: (publicKey: Uint8Array, salt: Uint8Array) => boolean;
  readonly saveRoster: (roster: Roster) => void;
  /** Others know a later life of this gateway: `begin` is to be called again, with one whose counter is beyond this. */
  readonly bearAnew: (beyond: number) => void;
  /** It takes part no more: for `reason`, which people are to see. */
  readonly stopped: (reason: string) => void;
}
