/** What a seed decides before anything happens: limits, delays, faults, clients. Not every run has every fault. */
import type { LaneLimits } from '../../lib/broker/lanes.js';
import type { ProtocolVersion } from '../../lib/protocol/index.js';
import type { ClientProfile } from './client.js';
import type { DoorOptions } from './door.js';
import type { LinkOptions } from './link.js';
import type { Random } from './random.js';
import type { StoreOptions } from './store.js';

export interface Plan {
  readonly limits: LaneLimits;
  readonly store: StoreOptions;
  readonly door: DoorOptions;
  readonly link: LinkOptions;
  readonly clients: readonly ClientProfile[];
  readonly activeMs: number;
  /** Clients lose their network, give connections up, stop reading. */
  readonly networkFaults: boolean;
  readonly rude: boolean;
  readonly storeFills: boolean;
}

export const TICK_MS = 250;

export const BASE_LIMITS: LaneLimits = {
  windowMax: 20,
  clientQueueMaxCount: 1000,
  clientQueueMaxBytes: 1 << 20,
  clientOutputMaxBytes: 65536,
  retryInitialMs: 100,
  retryMaxMs: 2000,
  redeliveryMaxCount: 50,
  deadLetterTopic: 'sprawl/dead-letter',
  receiveMaximum: 10,
  topicMaxBytes: 1024,
  topicMaxLevels: 10,
  subscriptionsPerClientMax: 20,
  filtersPerSubscribeMax: 10,
  retain: true,
  retainedMaxCount: 1000,
  retainedMaxBytes: 1 << 21,
  retainedPerClientMaxCount: 1000,
  sessionExpiryMaxS: 0,
  messageExpiryMaxS: 0,
  sessionsMax: 1000,
  pendingWillsMax: 1000,
  connectTimeoutMs: 2000,
  connectMaxBytes: 65536,
  writeTimeoutMs: 30_000,
  packetMaxBytes: 65536,
  keepAliveMaxS: 0,
  topicAliasMaximum: 5,
  outboundTopicAliasMaximum: 5,
  clientIdMaxBytes: 256,
  memoryMaxBytes: 1 << 26,
  routeCacheMaxCount: 100,
  connectionsMax: 1000,
  handshakesPerAddressMax: 100_000,
  willsPerSecondMax: 0,
  connectsPerSecondMax: 0,
  handshakesMax: 1000,
  takeovers: { count: 10, windowMs: 10_000 },
};

export function createPlan(random: Random): Plan {
  return {
    limits: {
      ...BASE_LIMITS,
      windowMax: random.pick([1, 2, 5, 20]),
      receiveMaximum: random.pick([1, 3, 10]),
      clientQueueMaxCount: random.pick([5, 1000, 1000]),
      redeliveryMaxCount: random.pick([3, 50, 50]),
      routeCacheMaxCount: random.pick([1, 4, 100]),
      retryInitialMs: random.pick([20, 100, 1000]),
      takeovers: { count: random.pick([3, 1000, 1000]), windowMs: 10_000 },
    },
    store: {
      commitMaxMs: random.pick([0, 5, 200, 1500]),
      openMaxMs: random.pick([0, 20, 500]),
      lateQueues: random.chance(0.4),
    },
    door: {
      negotiateMaxMs: random.pick([0, 5, 100]),
      authenticateMaxMs: random.pick([1, 50, 800]),
      finishMaxMs: random.pick([0, 5, 100]),
      hookShare: random.pick([0, 0.5, 1]),
    },
    link: {
      latencyMaxMs: random.pick([1, 20, 200]),
      bufferBytes: random.pick([200, 2000, 65536]),
    },
    clients: Array.from({ length: random.integer(2, 5) }, (_, index) => createProfile(random, index)),
    activeMs: random.integer(3000, 12_000),
    networkFaults: random.chance(0.8),
    rude: random.chance(0.3),
    storeFills: random.chance(0.3),
  };
}

function createProfile(random: Random, index: number): ClientProfile {
  const version = random.pick<ProtocolVersion>([3, 4, 4, 5, 5, 5]);
  const expiryS = random.pick([0, 1, 3, 60, 0xffffffff, 0xffffffff]);
  return {
    id: `c${index}`,
    version,
    expiryS: version === 5 || expiryS === 0 ? expiryS : 0xffffffff,
    keepAliveS: random.pick([0, 1, 2]),
    receiveMaximum: version === 5 ? random.pick([undefined, 1, 2, 10]) : undefined,
    packetIds: random.pick([16, 40, 65535]),
    ackDelayMaxMs: random.pick([1, 30, 400]),
    shared: random.chance(0.15),
    refuses: random.chance(0.2),
  };
}
