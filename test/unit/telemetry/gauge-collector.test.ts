import t from 'tap';
import type { Lanes } from '../../../lib/broker/lanes.js';
import type { RetainedStore } from '../../../lib/contracts/store.js';
import {
  C,
  COUNTER_NAMES,
  createCounters,
  createGaugeCollector,
  createProcessFigures,
  type GaugeSource,
} from '../../../lib/telemetry/index.js';

const retained: RetainedStore = {
  count: 21,
  bytes: 22,
  get: () => undefined,
  set: () => undefined,
  delete: () => false,
  bury: () => undefined,
  tombstone: () => undefined,
  forgetTombstone: () => false,
  doubtful: () => undefined,
  doubt: () => undefined,
  tombstoneCount: 23,
  forEachTombstone: () => undefined,
  forEachMatch: () => undefined,
  forEach: () => undefined,
};

/** The lanes of a gateway are a source; this line does not compile where they are not. */
export const lanesAreASource: (lanes: Lanes) => GaugeSource = (lanes) => lanes;

const STORAGE = {
  fault: 'no space',
  shortage: undefined,
  logBytes: 51,
  logMaxBytes: 52,
  segments: 53,
  freeBytes: 54,
  pendingBytes: 55,
  writtenBytes: 56,
  payloadBytes: 57,
  commits: 58,
  lastCommitMs: 5900,
  faults: 60,
  checkpoints: 61,
  prunedBytes: 62,
  compactedBytes: 64,
  lostPositions: 63,
};
const STORAGE_VIEW = {
  storageFaulty: 1,
  storageLogBytes: 51,
  storageLogMaxBytes: 52,
  storageSegments: 53,
  storageFreeBytes: 54,
  storagePendingBytes: 55,
  storageWrittenBytes: 56,
  storagePayloadBytes: 57,
  storageCommits: 58,
  storageLastCommitS: 5.9,
  storageFaults: 60,
  storageCheckpoints: 61,
  storagePrunedBytes: 62,
  storageCompactedBytes: 64,
  storageLostPositions: 63,
};

function createWorld() {
  const counters = createCounters();
  const sessions = [
    { outbound: { inFlightCount: 1, queuedCount: 10, queuedBytes: 100 } },
    { outbound: { inFlightCount: 2, queuedCount: 20, queuedBytes: 200 } },
  ];
  const world = { now: 5000, walks: 0, count: 2 };
  const source: GaugeSource = {
    counters,
    connectionCount: 4,
    handshakes: 5,
    registry: {
      get count() {
        return world.count;
      },
      sessions: () => {
        world.walks++;
        return sessions;
      },
    },
    router: { subscriptionCount: 6, sharedSubscriptionCount: 7, cachedCount: 8 },
    budget: { used: 9, maxBytes: 10 },
    env: { gauges: { pendingWills: 11 } },
  };
  const collector = createGaugeCollector({
    source,
    store: { level: 'disk', committed: 23, retained, status: STORAGE },
    clock: { now: () => world.now, wall: () => 0 },
    eventLoop: { read: () => ({ p50S: 0.1, p99S: 0.2 }) },
    process: () => ({
      deviceWrittenBytes: 30,
      rssBytes: 31,
      heapUsedBytes: 32,
      heapTotalBytes: 33,
      externalBytes: 34,
      cpuS: 35,
      startedAtS: 36,
    }),
    version: '9.9.9',
  });
  return { world, counters, collector };
}

t.test('a view shows each number of its source, and walks the sessions once', (t) => {
  const { world, counters, collector } = createWorld();
  counters.set([1], C.connectionsAccepted);
  world.now += 2500;
  t.strictSame(collector.view(), {
    version: '9.9.9',
    nodeVersion: process.version,
    storageLevel: 'disk',
    clientsConnected: 1,
    clientsTotal: 2,
    clientsDisconnected: 1,
    clientsMaximum: 1,
    connectionsOpen: 4,
    handshakes: 5,
    subscriptions: 6,
    sharedSubscriptions: 7,
    retainedCount: 21,
    retainedBytes: 22,
    inflight: 3,
    queuedMessages: 30,
    queuedBytes: 300,
    pendingWills: 11,
    memoryUsedBytes: 9,
    memoryMaxBytes: 10,
    routeCacheCount: 8,
    committedPosition: 23,
    ...STORAGE_VIEW,
    deviceWrittenBytes: 30,
    uptimeS: 2.5,
    eventLoopLagP50S: 0.1,
    eventLoopLagP99S: 0.2,
    rssBytes: 31,
    heapUsedBytes: 32,
    heapTotalBytes: 33,
    externalBytes: 34,
    cpuS: 35,
    startedAtS: 36,
  });
  t.equal(world.walks, 1);
  t.end();
});

t.test('who is connected follows from the counters, whatever ended a connection', (t) => {
  const { counters, collector } = createWorld();
  const reasons = COUNTER_NAMES.filter((name) => name.startsWith('disconnected'));
  counters.set([reasons.length + 2], C.connectionsAccepted);
  for (const reason of reasons) counters.set([1], C[reason]);
  t.equal(collector.view().clientsConnected, 2);
  t.end();
});

t.test('the maximum is kept, and samples between two views count', (t) => {
  const { world, counters, collector } = createWorld();
  counters.set([5], C.connectionsAccepted);
  collector.sample();
  counters.set([4], C.disconnectedNetwork);
  collector.sample();
  t.equal(world.walks, 0, 'a sample walks nothing');
  t.match(collector.view(), { clientsMaximum: 5, clientsConnected: 1 });
  t.end();
});

t.test('a client that is accepted before its session is counted makes no negative number', (t) => {
  const { world, counters, collector } = createWorld();
  world.count = 0;
  counters.set([1], C.connectionsAccepted);
  t.equal(collector.view().clientsDisconnected, 0);
  t.end();
});

t.test('the process figures are those of this process', (t) => {
  const figures = createProcessFigures({ now: () => 0, wall: () => Date.now() })();
  t.ok(figures.heapUsedBytes > 1e6 && figures.heapUsedBytes <= figures.heapTotalBytes);
  t.ok(figures.rssBytes > figures.heapUsedBytes);
  t.ok(figures.externalBytes > 0);
  t.ok(figures.cpuS > 0);
  t.ok(Math.abs(figures.startedAtS - (Date.now() / 1000 - process.uptime())) < 1);
  t.end();
});

t.test('the start of the process stands still, and moves when the clock of the machine is set', (t) => {
  const world = { wall: 0 };
  const read = createProcessFigures({ now: () => 0, wall: () => world.wall });
  const first = read().startedAtS;
  t.equal(read().startedAtS, first);
  world.wall += 1000;
  t.equal(read().startedAtS, first, 'a second is jitter');
  world.wall = 1_700_000_000_000;
  t.ok(read().startedAtS > 1_699_000_000);
  t.end();
});
