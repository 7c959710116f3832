/** What a seed makes of a run: caps so small that each is met, and how often what happens. */
import type { Random } from '../../random.js';

export interface ForwardPlan {
  readonly receivers: number;
  readonly durationMs: number;
  readonly topics: number;
  readonly creditBytes: number;
  readonly batchMaxBytes: number;
  readonly readBytes: number;
  readonly liveMaxCount: number;
  readonly liveMaxBytes: number;
  readonly haveMax: number;
  readonly pendingTopicsMax: number;
  readonly bytesPerSecond: number;
  readonly delayMaxMs: number;
  readonly commitMaxMs: number;
  readonly publishEveryMs: number;
  readonly retainChance: number;
  readonly linkLossEveryMs: number;
  readonly interestEveryMs: number;
  readonly originCrashEveryMs: number;
  readonly receiverCrashEveryMs: number;
  readonly pruneChance: number;
  readonly rollbackChance: number;
  readonly duplicateChance: number;
}

export function planOf(random: Random): ForwardPlan {
  const calm = random.chance(0.3);
  return {
    receivers: random.integer(1, 2),
    durationMs: random.integer(3000, 12_000),
    topics: random.pick([2, 4, 8, 30]),
    creditBytes: random.pick([300, 700, 2000, 20_000, 20_000]),
    batchMaxBytes: random.pick([150, 400, 2000, 262_144]),
    readBytes: random.pick([200, 1000, 5000]),
    liveMaxCount: random.pick([3, 10, 40]),
    liveMaxBytes: random.pick([1000, 4000, 20_000]),
    haveMax: random.pick([2, 10, 1000]),
    pendingTopicsMax: random.pick([1, 3, 100]),
    bytesPerSecond: random.chance(0.3) ? random.integer(1500, 10_000) : 0,
    delayMaxMs: random.pick([1, 20, 200]),
    commitMaxMs: random.pick([1, 10, 100]),
    publishEveryMs: random.pick([5, 15, 40]),
    retainChance: random.pick([0, 0.1, 0.5]),
    linkLossEveryMs: random.pick([60, 200, 800, 3000]),
    interestEveryMs: random.pick([20, 60, 100, 500, 2500]),
    originCrashEveryMs: calm ? 1e9 : random.pick([1500, 6000, 1e9]),
    receiverCrashEveryMs: calm ? 1e9 : random.pick([700, 3000, 1e9]),
    pruneChance: random.pick([0, 0, 0.02]),
    rollbackChance: random.pick([0, 0, 0.3]),
    duplicateChance: random.pick([0, 0, 0.01]),
  };
}
