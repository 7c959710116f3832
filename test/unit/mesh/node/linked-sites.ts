/** Gateways of a mesh for unit tests: the real lanes, a store in memory, a simulated network. */
import { Lanes } from '../../../../lib/broker/lanes.js';
import { type GatewayId, gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import { createMessage, type Message } from '../../../../lib/message/message.js';
import { Listener } from '../../../../lib/routing/subscription.js';
import { MeshNode } from '../../../../mesh/node/mesh-node.js';
import type { MeshNodeOptions } from '../../../../mesh/node/node-options.js';
import type { DiskStore } from '../../../../storage/disk/disk-store.js';
import { BASE_LIMITS } from '../../../sim/plan.js';
import type { Scheduler } from '../../../sim/scheduler.js';
import { testStore, type TestStoreParts, testStoreParts } from '../../../support/disk-store.js';
import { nullLogger } from '../../../support/null-logger.js';

export const NETWORK = {
  ...{ latencyMaxMs: 2, lossShare: 0, doubleShare: 0, noticeMaxMs: 100, dialMaxMs: 20, windowBytes: 65_536 },
};

/** A gateway with everything but sockets, on virtual time. */
export class Site {
  readonly id: GatewayId;
  readonly store: DiskStore;
  readonly lanes: Lanes;
  readonly node: MeshNode;
  readonly got: string[] = [];

  constructor(
    scheduler: Scheduler,
    readonly number: number,
    parts: TestStoreParts = testStoreParts(),
    changes: Partial<MeshNodeOptions> = {},
  ) {
    this.id = gatewayIdOf(new Uint8Array(32).fill(number));
    const schedule = (run: () => void): void =>
      scheduler.after(0, 'turn', () => {
        run();
        scheduler.settle();
      });
    this.store = testStore(parts, { schedule });
    this.lanes = new Lanes({
      ...{ clock: scheduler, logger: nullLogger, store: this.store, limits: BASE_LIMITS, schedule },
      authenticator: { authenticate: () => Promise.reject(new Error('nobody connects')) } as never,
      authorizer: { version: 0, canPublish: () => true, canSubscribe: () => 'all', canReceive: () => true },
      assignClientId: () => 'x',
      isAssignedClientId: () => false,
      random: () => 0.5,
    });
    this.node = new MeshNode({
      ...{ self: this.id, site: `site ${number}`, software: 'test', lineage: [], clock: scheduler },
      ...{ logger: nullLogger, store: this.store, host: this.lanes.createMeshHost(), schedule },
      ...{ random: () => 0.5, wanted: () => undefined },
      timers: {
        after: (delayMs, fire) => {
          let cancelled = false;
          scheduler.after(delayMs, 'timer', () => {
            if (cancelled) return;
            fire();
            scheduler.settle();
          });
          return { cancel: () => (cancelled = true) };
        },
      },
      limits: { linkMaxBytesPerSecond: 0, maxQueuedPassingBytes: 1 << 20, interestWaitMs: 250, relay: true },
      importFilters: ['#'],
      exportFilters: ['#'],
      addresses: () => [],
      ...{ lineages: new Map(), saveLineages: () => undefined, roster: undefined, matchesAdmin: () => true },
      ...{ saveRoster: () => undefined, bearAnew: () => undefined, stopped: () => undefined },
      ...changes,
    });
    this.lanes.useMesh(this.node);
  }

  async open(): Promise<void> {
    await this.store.open(this.lanes.createRestoration(), this.node);
    const nonce = String(this.number).padStart(16, '0');
    this.node.begin([{ counter: 1, nonce, after: 0 }]);
  }

  linkUp(link: Parameters<MeshNode['linkUp']>[0]): void {
    this.node.linkUp(link);
  }

  subscribe(filter: string): Promise<void> {
    const deliver = ({ topic, payload }: Message): void =>
      void this.got.push(`${topic} ${Buffer.from(payload).toString()}`);
    this.lanes.router.addListener(new Listener<Message>(filter, deliver));
    return new Promise((resolve) => this.node.whenKnown(resolve));
  }

  publish(topic: string, text: string, qos: 0 | 1 | 2 = 1, retain = false): void {
    const topicBytes = this.lanes.router.resolve(topic).bytes;
    const payload = Buffer.from(text);
    this.lanes.ingest.publishOwn(createMessage({ topic, topicBytes, payload, qos, retain }), undefined);
  }
}
