/** A gateway without sockets, on a disk that outlives its processes. */
import { Lanes } from '../../../../lib/broker/lanes.js';
import type { Lineage } from '../../../../lib/contracts/epoch.js';
import { type GatewayId, gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import type { Store } from '../../../../lib/contracts/store.js';
import { createMessage, type Message } from '../../../../lib/message/message.js';
import { Listener } from '../../../../lib/routing/subscription.js';
import type { GatewayKey } from '../../../../mesh/identity/gateway-key.js';
import { MeshNode } from '../../../../mesh/node/mesh-node.js';
import type { MeshNodeOptions } from '../../../../mesh/node/node-options.js';
import type { LaneLimits } from '../../../../lib/broker/lanes.js';
import { BASE_LIMITS } from '../../../sim/plan.js';
import { MeshNetwork } from '../../../sim/mesh/network.js';
import { Random } from '../../../sim/random.js';
import { allTurns, Scheduler } from '../../../sim/scheduler.js';
import { testStore, type TestStoreParts, testStoreParts } from '../../../support/disk-store.js';
import { nullLogger } from '../../../support/null-logger.js';

const OPTIONS = {
  ...{ latencyMaxMs: 2, lossShare: 0, doubleShare: 0, noticeMaxMs: 100, dialMaxMs: 20, windowBytes: 65_536 },
};

export interface SiteOptions {
  readonly parts?: TestStoreParts;
  readonly store?: Store;
  readonly lineage?: Lineage;
  readonly lineages?: ReadonlyMap<GatewayId, Lineage>;
  readonly limits?: Partial<LaneLimits>;
  readonly isOnDisk?: (topic: string) => boolean;
  readonly node?: Partial<MeshNodeOptions>;
  /** Its id is that of the key. */
  readonly key?: GatewayKey;
}

export class Site {
  readonly id: GatewayId;
  readonly parts: TestStoreParts;
  readonly store: Store;
  readonly lanes: Lanes;
  readonly node: MeshNode;
  readonly got: string[] = [];
  lineage: Lineage;
  lineages: ReadonlyMap<GatewayId, Lineage>;

  constructor(
    scheduler: Scheduler,
    readonly number: number,
    options: SiteOptions = {},
  ) {
    const { parts = testStoreParts(), lineage = [], lineages = new Map(), limits, isOnDisk } = options;
    this.id = options.key?.id ?? gatewayIdOf(new Uint8Array(32).fill(number));
    this.parts = parts;
    this.lineage = lineage;
    this.lineages = lineages;
    const schedule = (run: () => void): void =>
      scheduler.after(0, 'turn', () => {
        run();
        scheduler.settle();
      });
    this.store =
      options.store ?? testStore(parts, { schedule, ...(isOnDisk === undefined ? {} : { isOnDisk }) });
    this.lanes = new Lanes({
      ...{ clock: scheduler, logger: nullLogger, store: this.store, schedule },
      limits: { ...BASE_LIMITS, ...limits },
      authenticator: { authenticate: () => Promise.reject(new Error('nobody connects')) } as never,
      authorizer: { version: 0, canPublish: () => true, canSubscribe: () => 'all', canReceive: () => true },
      assignClientId: () => 'x',
      isAssignedClientId: () => false,
      random: () => 0.5,
    });
    this.node = new MeshNode({
      ...{ self: this.id, site: `site ${number}`, software: 'test', lineage, clock: scheduler },
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
      limits: {
        linkMaxBytesPerSecond: 0,
        maxQueuedPassingBytes: 1 << 20,
        tombstoneMinAgeMs: 0,
        interestWaitMs: 250,
        relay: true,
      },
      importFilters: ['#'],
      exportFilters: ['#'],
      addresses: () => [],
      lineages,
      saveLineages: (saved) => (this.lineages = new Map(saved)),
      ...{ roster: undefined, matchesAdmin: () => true },
      ...{ saveRoster: () => undefined, bearAnew: () => undefined, stopped: () => undefined },
      ...options.node,
    });
    this.lanes.useMesh(this.node);
  }

  async open(): Promise<void> {
    await this.openStore();
    this.begin();
  }

  openStore(): Promise<void> {
    return this.store.open(this.lanes.createRestoration(), this.node);
  }

  begin(): void {
    const counter = (this.lineage.at(-1)?.counter ?? 0) + 1;
    const nonce = `${counter}${String(this.number).padStart(4, '0')}`.padStart(16, '0');
    const after = this.lineage.length === 0 ? 0 : this.store.committed;
    this.lineage = [...this.lineage, { counter, nonce, after }].slice(-64);
    this.node.begin(this.lineage);
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

  retained(topic: string): string | undefined {
    const message = this.store.retained.get(topic);
    return message === undefined ? undefined : Buffer.from(message.payload).toString();
  }
}

export interface TestMesh {
  readonly scheduler: Scheduler;
  readonly network: MeshNetwork;
  readonly sites: Site[];
}

export async function mesh(options: readonly SiteOptions[]): Promise<TestMesh> {
  const scheduler = new Scheduler(allTurns);
  const network = new MeshNetwork(scheduler, new Random(1, 'network'), OPTIONS);
  const sites = options.map((option, n) => new Site(scheduler, n + 1, option));
  for (const site of sites) await site.open();
  for (const site of sites) network.start(site);
  await scheduler.advance(500);
  return { scheduler, network, sites };
}

/** The process ends in order, and another one begins on its disk. Nobody is linked to it yet. */
export async function restarted(
  { scheduler, network }: Pick<TestMesh, 'scheduler' | 'network'>,
  site: Site,
  options: SiteOptions = {},
): Promise<Site> {
  network.stop(site.id);
  site.node.end('the gateway stops');
  await scheduler.advance(300);
  const closing = site.store.close();
  await scheduler.advance(10);
  await closing;
  const { parts, lineage, lineages } = site;
  return new Site(scheduler, site.number, { parts, lineage, lineages, ...options });
}
