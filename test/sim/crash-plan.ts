/** What a seed of the crash simulation decides before anything happens: sizes, delays, clients, crashes and other faults. */
import type { LaneLimits } from '../../lib/broker/lanes.js';
import type { StoreSizes } from '../../storage/disk/options.js';
import type { DiskDelays } from './crash-disk.js';
import type { DoorOptions } from './door.js';
import type { LinkOptions } from './link.js';
import { BASE_LIMITS } from './plan.js';
import type { Random } from './random.js';

export interface CrashClientProfile {
  readonly id: string;
  readonly version: 4 | 5;
  /** Session Expiry Interval in seconds; before MQTT 5 only whether it is 0 matters. */
  readonly expiryS: number;
  readonly receiveMaximum: number | undefined;
  readonly inflightMax: number;
  /** Few are used again soon; there have to be some for what it subscribes to. */
  readonly packetIds: number;
  /** Its shared subscription; it has no other ones. */
  readonly group: string | undefined;
  /** How likely it is to come back when it is not connected and could act: the others are away for long. */
  readonly eagerness: number;
  readonly cleanShare: number;
  readonly slow: boolean;
  /** It listens to little: what it has not acknowledged is all that there is to write down of it. */
  readonly quiet: boolean;
}

export interface StorePlan {
  readonly segmentMaxBytes: number;
  readonly checkpointEveryBytes: number;
  readonly snapshotEveryBytes: number;
  readonly commitDelayMs: number;
  readonly ballastBytes: number;
  /** 0: what nobody needs goes at once, and segments are compacted. */
  readonly keepMaxBytes: number;
  readonly sizes: StoreSizes;
}

export interface CrashPlan {
  readonly limits: LaneLimits;
  readonly store: StorePlan;
  readonly disk: DiskDelays;
  readonly door: DoorOptions;
  readonly link: LinkOptions;
  readonly clients: readonly CrashClientProfile[];
  readonly activeMs: number;
  readonly crashes: number;
  /** Of the crashes, those that are a loss of power. */
  readonly powerShare: number;
  /** How likely the database is damaged between a crash and the next start. */
  readonly damageShare: number;
  /** How likely an operation on the disk fails while it does at all. */
  readonly faultShare: number;
  readonly diskFills: boolean;
  /** Messages of a burst. */
  readonly burstMaxCount: number;
}

/** What is in flight of a few clients may be more. */
export const isShortOfMemory = ({ limits }: CrashPlan): boolean => limits.memoryMaxBytes < 1 << 20;

export function createCrashPlan(random: Random): CrashPlan {
  const blockMaxCount = random.pick([4, 8, 8, 32]);
  return {
    limits: {
      ...BASE_LIMITS,
      windowMax: random.pick([1, 3, 10]),
      receiveMaximum: random.pick([3, 10, 20]),
      clientQueueMaxCount: random.chance(0.1) ? 20 : 100_000,
      clientQueueMaxBytes: 1 << 26,
      redeliveryMaxCount: 250,
      routeCacheMaxCount: random.pick([2, 100]),
      retryInitialMs: random.pick([100, 1000]),
      topicAliasMaximum: 0,
      outboundTopicAliasMaximum: 0,
      memoryMaxBytes: random.chance(0.1) ? 20_000 : 1 << 26,
      takeovers: { count: 1000, windowMs: 10_000 },
      willsPerSecondMax: random.fork('wills').pick([0, 0, 1]),
    },
    store: {
      segmentMaxBytes: random.pick([4, 8, 16, 64]) * 1024,
      checkpointEveryBytes: random.pick([1, 2, 4, 8, 32]) * 1024,
      snapshotEveryBytes: random.pick([4, 8, 16, 64]) * 1024,
      commitDelayMs: random.pick([0, 0, 3]),
      ballastBytes: random.pick([0, 10_000]),
      keepMaxBytes: 0,
      sizes: {
        blockMaxCount,
        pendingBlocksMaxBytes: random.pick([30, 100, 4_000_000]),
        replayStepCount: random.pick([3, 10, 40, 16_384]),
      },
    },
    disk: {
      writeMaxMs: random.pick([0.2, 2, 20]),
      syncMaxMs: random.pick([1, 10, 100]),
      readMaxMs: random.pick([0.2, 2, 20]),
    },
    door: { negotiateMaxMs: random.pick([0, 5]), authenticateMaxMs: 5, finishMaxMs: 5, hookShare: 0 },
    link: { latencyMaxMs: random.pick([1, 5, 20]), bufferBytes: random.pick([500, 4000, 65_536]) },
    clients: createProfiles(random),
    activeMs: random.integer(2500, 8000),
    crashes: random.integer(1, 10),
    powerShare: random.pick([0, 0.5, 0.8]),
    damageShare: random.pick([0, 0.2, 0.6]),
    faultShare: random.chance(0.4) ? random.pick([0.01, 0.05]) : 0,
    diskFills: random.chance(0.25),
    burstMaxCount: random.pick([5, 20, 60]),
  };
}

/** Two publishers that are nearly always there, members of a group, and others. */
function createProfiles(random: Random): CrashClientProfile[] {
  const groups = random.pick([0, 2, 3]);
  const others = random.integer(2, 4);
  return Array.from({ length: 2 + groups + others }, (_, index) => {
    const isMember = index >= 2 && index < 2 + groups;
    const version = random.pick([4, 5, 5] as const);
    const expiryS = random.pick(isMember ? [600, 600, 0] : [0, 1, 2, 600, 600, 0xffffffff]);
    const quiet = index >= 2 && !isMember && random.chance(0.4);
    return {
      id: `c${index}`,
      version,
      expiryS: version === 5 || expiryS === 0 ? expiryS : 0xffffffff,
      receiveMaximum: version === 5 ? random.pick([undefined, 1, 5]) : undefined,
      inflightMax: random.pick([1, 4, 16]),
      packetIds: random.pick([60, 60, 65_535]),
      group: isMember ? random.pick(['$share/g/t/+', '$share/g/t/+', '$share/h/#']) : undefined,
      eagerness: index < 2 ? 1 : random.pick([0.05, 0.3, 1]),
      cleanShare: isMember ? 0 : random.pick([0, 0.05, 0.3]),
      slow: quiet || random.chance(0.3),
      quiet,
    };
  });
}
