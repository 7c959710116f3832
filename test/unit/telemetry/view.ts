import type { GatewayView } from '../../../lib/telemetry/index.js';

/** A view in which every number is another one, so that a mixed-up field is seen. */
export function createView(changes: Partial<GatewayView> = {}): GatewayView {
  return {
    version: '1.2.3',
    nodeVersion: 'v20.0.0',
    storageLevel: 'memory',
    clientsConnected: 11,
    clientsTotal: 14,
    clientsDisconnected: 3,
    clientsMaximum: 12,
    connectionsOpen: 13,
    handshakes: 2,
    subscriptions: 40,
    sharedSubscriptions: 4,
    retainedCount: 100,
    retainedBytes: 10_000,
    inflight: 7,
    queuedMessages: 50,
    queuedBytes: 5_000,
    pendingWills: 1,
    memoryUsedBytes: 6_000,
    memoryMaxBytes: 60_000,
    routeCacheCount: 30,
    committedPosition: 400,
    uptimeS: 61.9,
    eventLoopLagP50S: 0.001,
    eventLoopLagP99S: 0.25,
    rssBytes: 70_000_000,
    heapUsedBytes: 20_000_000,
    heapTotalBytes: 30_000_000,
    externalBytes: 1_000_000,
    cpuS: 1.5,
    startedAtS: 1_700_000_000.25,
    ...changes,
  };
}
