/** What a seed of the mesh simulation decides before anything happens: how many gateways, their sizes, clients, and which faults there are. */
import { createCrashPlan, type CrashClientProfile, type CrashPlan } from '../crash-plan.js';
import { STALL_MS } from '../../../mesh/forward/limits.js';
import type { ForwardSizes } from '../../../mesh/node/node-parts.js';
import type { Random } from '../random.js';
import type { NetworkOptions } from './network.js';

export const FAULT_KINDS = [
  'kill',
  'power',
  'restartAll',
  'flap',
  'double',
  'partition',
  'oneWay',
  'freeze',
  'clock',
  'rollback',
  'island',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface MeshPlanOptions {
  /** undefined: as the seed says. */
  readonly gateways?: number | undefined;
  /** Faults that may happen; undefined: all. */
  readonly faults?: readonly FaultKind[] | undefined;
}

export interface SiteClientProfile extends CrashClientProfile {
  readonly site: number;
}

export interface MeshPlan {
  readonly gateways: number;
  /** As of the simulation of crashes: limits, store, disk, door, client links. */
  readonly gateway: CrashPlan;
  readonly forward: ForwardSizes;
  readonly network: NetworkOptions;
  readonly clients: readonly SiteClientProfile[];
  readonly faults: ReadonlySet<FaultKind>;
  /** Milliseconds between two faults, at most. */
  readonly faultEveryMaxMs: number;
  readonly activeMs: number;
  readonly burstMaxCount: number;
  /** How often a client acts, at most. */
  readonly actEveryMaxMs: number;
  readonly hasWills: boolean;
  /** `oneSite`: the retained messages of a topic are all published at one gateway. `manySites`: anywhere. */
  readonly retained: 'none' | 'oneSite' | 'manySites';
  /** Beyond 0: how fast the clock of each machine may run wrong. */
  readonly driftMax: number;
}

const MANY_GATEWAYS = 20;

export function createMeshPlan(random: Random, options: MeshPlanOptions = {}): MeshPlan {
  const gateways = options.gateways ?? random.integer(3, 8);
  const isLarge = gateways > MANY_GATEWAYS;
  const base = createCrashPlan(random.fork('gateway'));
  const tiny = !isLarge && random.chance(0.6);
  const size = <T>(small: readonly [T, ...T[]], real: T): T => (tiny ? random.pick(small) : real);
  const faults = chooseFaults(random, options.faults ?? FAULT_KINDS);
  // After a rollback versions of retained messages begin anew, and a will may be fired by both lives.
  const mayRetain = !faults.has('rollback') && !faults.has('island');
  return {
    gateways,
    gateway: {
      ...base,
      limits: {
        ...base.limits,
        ...{ clientQueueMaxCount: 100_000, memoryMaxBytes: 1 << 26, retryInitialMs: 100 },
        windowMax: random.pick([3, 10]),
      },
      store: {
        ...base.store,
        keepMaxBytes: random.pick([0, 0, 1 << 26]),
        sizes: { ...base.store.sizes, blockMaxCount: random.pick([16, 128]) },
      },
      disk: {
        writeMaxMs: random.pick([0.2, 2, 10]),
        syncMaxMs: random.pick([1, 10, 50]),
        readMaxMs: random.pick([0.2, 2, 10]),
      },
      damageShare: 0,
      faultShare: 0,
      diskFills: false,
    },
    forward: {
      creditBytes: size([3000, 20_000, 1 << 22], 1 << 22),
      batchMaxBytes: size([500, 4000, 262_144], 262_144),
      readBytes: size([500, 4000, 262_144], 262_144),
      liveMaxBytes: size([2000, 20_000, 1 << 20], 1 << 20),
      liveMaxCount: size([2, 10, 4096], 4096),
      haveMax: size([2, 20, 100_000], 100_000),
    },
    network: {
      latencyMaxMs: random.pick([2, 20, 150]),
      lossShare: random.pick([0, 0.05, 0.3]),
      doubleShare: random.pick([0, 0.05]),
      noticeMaxMs: random.pick([50, 500, 5000]),
      dialMaxMs: random.pick([20, 200]),
      windowBytes: size([1000, 16_384, 262_144], 262_144),
    },
    clients: createClients(random, gateways, isLarge),
    faults,
    faultEveryMaxMs: random.pick([300, 1000, 3000]),
    activeMs: activeMs(random, faults, isLarge),
    burstMaxCount: isLarge ? 3 : random.pick([3, 10, 30]),
    actEveryMaxMs: isLarge ? 20_000 : 500,
    hasWills: mayRetain && !isLarge && random.chance(0.6),
    retained: mayRetain ? random.pick(['none', 'oneSite', 'oneSite', 'manySites'] as const) : 'none',
    driftMax: faults.has('clock') ? 0.002 : 0,
  };
}

/** Some are so long that a gateway may stand still for longer than a link waits for an acknowledgement. */
function activeMs(random: Random, faults: ReadonlySet<FaultKind>, isLarge: boolean): number {
  if (isLarge) return 6000;
  const usual = random.integer(2500, 6000);
  return faults.has('freeze') && random.fork('long').chance(0.2) ? usual + STALL_MS + 1000 : usual;
}

/** Some of them, so that what one hides another seed shows. */
function chooseFaults(random: Random, kinds: readonly FaultKind[]): ReadonlySet<FaultKind> {
  if (random.chance(0.1)) return new Set();
  const share = random.pick([0.2, 0.4, 0.8]);
  const chosen = new Set(kinds.filter((kind) => kind !== 'island' && random.chance(share)));
  // It ends with a rollback: where there are others retained messages are left out already. Its chance does not move what is decided after it.
  const mayPutBack = chosen.has('rollback') || !kinds.includes('rollback');
  if (kinds.includes('island') && mayPutBack && random.fork('island').chance(0.6)) chosen.add('island');
  return chosen;
}

function createClients(random: Random, gateways: number, isLarge: boolean): SiteClientProfile[] {
  const clients: SiteClientProfile[] = [];
  for (let site = 0; site < gateways; site++) {
    const count = isLarge ? 1 : random.integer(1, 3);
    for (let n = 0; n < count; n++) {
      const version = random.pick([4, 5, 5] as const);
      const expiryS = random.pick([0, 0xffffffff, 0xffffffff, 0xffffffff]);
      clients.push({
        ...{ site, id: `s${site}c${n}`, version, expiryS },
        receiveMaximum: version === 5 ? random.pick([undefined, undefined, 1, 5]) : undefined,
        inflightMax: random.pick([1, 4, 16]),
        packetIds: random.pick([200, 65_535]),
        group: undefined,
        eagerness: n === 0 ? 1 : random.pick([0.1, 0.5, 1]),
        cleanShare: random.pick([0, 0, 0.1]),
        slow: random.chance(0.1),
        quiet: false,
      });
    }
  }
  return clients;
}
