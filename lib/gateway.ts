/**
 * One gateway, put together: the only module that knows storage, the lanes, the listeners and telemetry at once.
 */
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { AedesOptions } from 'aedes';
import { createDiskStore, MemoryStore } from '../storage/index.js';
import { Broker } from './broker/broker.js';
import { type LaneLimits, Lanes } from './broker/lanes.js';
import { type Config, readMachine } from './config/index.js';
import type { Clock } from './contracts/clock.js';
import { type GatewayId, shortId } from './contracts/gateway-id.js';
import type { Logger } from './contracts/logger.js';
import { isArchiveFloor, type Store } from './contracts/store.js';
import { type GatewayArchive, openArchive, openServed } from './gateway-archive.js';
import { openMesh } from './gateway-mesh.js';
import type { ArchiveService } from './gateway-relay.js';
import { createHttpServer, type HttpServer, type Readiness } from './http/index.js';
import type { Mesh } from '../mesh/index.js';
import { Listeners } from './listeners.js';
import { createMessage } from './message/message.js';
import { topicMatchesFilter } from './protocol/topic.js';
import { GatewayClock, realClock, realTimers } from './real-clock.js';
import { createSecurityProvider, type SecurityProvider } from './security/index.js';
import {
  createBusyShare,
  createEventLoopMonitor,
  createGaugeCollector,
  createProcessFigures,
  createSysTopics,
  type EventLoopMonitor,
  type GaugeCollector,
  type SysTopics,
} from './telemetry/index.js';
import { version } from './version.js';

/** How often deadlines are looked at: keep alive, expiry, wills and retries are late by at most this. */
const TICK_MS = 250;
const TAKEOVER_WINDOW_MS = 10_000;
const ASSIGNED_CLIENT_ID = /^auto-[0-9A-F]{24}$/;

export interface GatewayOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Options of Aedes for embedders: hooks, id, heartbeatInterval. */
  readonly aedes?: AedesOptions;
  readonly store?: Store;
  readonly clock?: Clock;
  /** A number from 0 to below 1; decides nothing that has to be secret. Default: Math.random. */
  readonly random?: () => number;
}

export interface StopOptions {
  /** How long clients may take to leave; after it they are cut off. Default: shutdown.drainTimeoutMs. */
  readonly drainTimeoutMs?: number;
}

export interface Gateway {
  /** The Aedes API: hooks, events, publish, subscribe. */
  readonly broker: Broker;
  readonly lanes: Lanes;
  /** By the name of the listener; those that are off are absent. */
  readonly addresses: { readonly [listener: string]: AddressInfo | undefined };
  /** Resolves when every listener takes connections. @throws SprawlError LISTEN_FAILED and others; nothing is left open then. */
  start(): Promise<void>;
  /** Drains and closes: v5 clients are told 0x8B. Idempotent. */
  stop(options?: StopOptions): Promise<void>;
  /**
   * Reads the password and ACL files, keys and certificates again; where one of them is at fault all the old ones stay and the error is
   * thrown. Clients whose user is gone, or has another password, are disconnected.
   */
  reload(): Promise<void>;
}

/** @throws SprawlError for password and ACL files that cannot be used. */
export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, logger } = options;
  const machineClock = options.clock ?? realClock;
  const clock = new GatewayClock(machineClock);
  const security = await createSecurityProvider({
    allowAnonymous: config.security.allowAnonymous,
    passwordFile: config.security.passwordFile,
    aclFile: config.security.aclFile,
    aclRules: config.security.acl,
    wildcards: {
      levelsMin: config.security.wildcardLevelsMin,
      exemptUsers: config.security.wildcardExemptUsers,
    },
    clock,
    logger,
  });
  const store = options.store ?? createStore(config, clock, logger);
  const lanes = new Lanes({
    clock,
    logger,
    store,
    limits: laneLimits(config),
    authenticator: security.authenticator,
    authorizer: security.authorizer,
    schedule: setImmediate,
    assignClientId: () => `auto-${randomBytes(12).toString('hex').toUpperCase()}`,
    isAssignedClientId: (clientId) => ASSIGNED_CLIENT_ID.test(clientId),
    random: options.random ?? Math.random,
    isArchived: archivedTopics(config),
  });
  const mesh = await openMesh(config, { clock, logger, store, lanes });
  const archiveParts = { clock: machineClock, logger, store, lanes, mesh };
  const archive = await openArchive(config, archiveParts);
  const served = await openServed(config, archiveParts);
  const broker = new Broker(lanes, options.aedes);
  return new EdgeGateway({
    ...{ config, logger, clock: machineClock, store, security, lanes, broker, mesh, archive, served },
    startClock: () => clock.start(),
  });
}

function createStore(config: Config, clock: GatewayClock, logger: Logger): Store {
  const { dataDir, storage, limits, mesh } = config;
  if (storage.durability === 'memory') return new MemoryStore();
  return createDiskStore(
    { dataDir, ...storage, ...limits, floorsMaxBytes: mesh.peerKeepMaxBytes },
    {
      clock,
      continueClock: (ms) => clock.continueFrom(ms),
      timers: realTimers,
      logger,
      schedule: setImmediate,
      randomBytes,
    },
  );
}

/** Of which topics QoS 0 is archived; undefined: of none. What is kept in memory, and what the gateway says of itself, is in no log. */
function archivedTopics({ archive, storage }: Config): ((topic: string) => boolean) | undefined {
  const { topics } = archive;
  const { memoryTopics } = storage;
  if (topics.length === 0) return undefined;
  const isOneOf = (topic: string, filters: readonly string[]): boolean =>
    filters.some((filter) => topicMatchesFilter(topic, filter));
  return (topic) => !topic.startsWith('$SYS/') && isOneOf(topic, topics) && !isOneOf(topic, memoryTopics);
}

interface Parts {
  readonly config: Config;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly store: Store;
  readonly security: SecurityProvider;
  readonly lanes: Lanes;
  readonly broker: Broker;
  readonly mesh: Mesh | undefined;
  readonly archive: GatewayArchive | undefined;
  readonly served: ArchiveService | undefined;
  /** A store that kept nothing does not say where the gateway's clock goes on. */
  readonly startClock: () => void;
}

class EdgeGateway implements Gateway {
  readonly #parts: Parts;
  readonly #listeners: Listeners;
  readonly #eventLoop: EventLoopMonitor;
  readonly #busyShare = createBusyShare();
  readonly #gauges: GaugeCollector;
  readonly #sysTopics: SysTopics;
  readonly #http: HttpServer | undefined;
  /** What the topic of `$SYS` of each other gateway is, and says. */
  readonly #linkStates = new Map<GatewayId, { readonly topic: string; readonly isUp: string }>();
  #httpAddress: AddressInfo | undefined;
  #tick: NodeJS.Timeout | undefined;
  #notReady: string | undefined = 'starting';
  #stopped: Promise<void> | undefined;
  #reloading: Promise<void> = Promise.resolve();

  constructor(parts: Parts) {
    const { lanes, config, logger, clock, store } = parts;
    this.#parts = parts;
    this.#listeners = new Listeners(lanes, config, logger);
    this.#eventLoop = createEventLoopMonitor(clock);
    this.#gauges = createGaugeCollector({
      source: lanes,
      store,
      clock,
      eventLoop: this.#eventLoop,
      process: createProcessFigures(clock),
      version,
    });
    this.#sysTopics = createSysTopics({
      view: () => this.#gauges.view(),
      counters: lanes.counters,
      publish: (topic, payload) => this.#publishSystem(topic, payload),
      intervalS: config.sys.intervalS,
      clock,
    });
    const { host, port } = config.http;
    if (port !== false) {
      this.#http = createHttpServer({
        host,
        port,
        logger,
        view: () => this.#gauges.view(),
        counters: lanes.counters,
        isReady: () => this.#readiness(),
        mesh: parts.mesh,
        archive: parts.archive,
        served: parts.served,
        diskBytes: () => readMachine().diskTotalBytes(config.dataDir),
        version,
      });
    }
  }

  get broker(): Broker {
    return this.#parts.broker;
  }

  get lanes(): Lanes {
    return this.#parts.lanes;
  }

  get addresses(): { readonly [listener: string]: AddressInfo | undefined } {
    return { ...this.#listeners.addresses, http: this.#httpAddress };
  }

  async start(): Promise<void> {
    const { config, store, broker, lanes, mesh, archive, startClock } = this.#parts;
    await store.open(lanes.createRestoration(), mesh?.node);
    startClock();
    await broker.listen();
    this.#tick = setInterval(() => {
      lanes.tick();
      this.#gauges.sample();
      this.#sysTopics.tick();
      this.#tellMesh();
      archive?.tick();
    }, TICK_MS);
    try {
      this.#httpAddress = await this.#http?.listen();
      await this.#listeners.open();
      await mesh?.start();
      // What is not archived any more holds nothing.
      if (archive === undefined)
        for (const name of [...store.floors.keys()])
          if (isArchiveFloor(name)) store.setFloor(name, undefined);
      if (config.archive.copyTarget === undefined) store.setFloor('archive-copy', undefined);
      await archive?.start();
    } catch (error) {
      await this.stop({ drainTimeoutMs: 0 });
      throw error;
    }
    this.#sysTopics.start();
    this.#notReady = undefined;
  }

  stop(options: StopOptions = {}): Promise<void> {
    this.#stopped ??= this.#stop(options.drainTimeoutMs ?? this.#parts.config.shutdown.drainTimeoutMs);
    return this.#stopped;
  }

  reload(): Promise<void> {
    // One after the other, so that the files as they were read last are what stays in force.
    const turn = this.#reloading.then(() => this.#reload());
    this.#reloading = turn.catch(() => undefined);
    return turn;
  }

  /** All of it is read before any of it is in force. */
  async #reload(): Promise<void> {
    const { security, store, lanes, archive, logger } = this.#parts;
    const useRules = await security.prepareReload();
    const useStoreKeys = await store.prepareKeys();
    const useArchiveKeys = await archive?.prepareKeys();
    const useCertificates = await this.#listeners.prepareCertificates();
    // It writes, and so it may fail still; nothing may after it.
    await useStoreKeys();
    const isRevoked = useRules();
    lanes.reauthorize();
    const revoked = lanes.revoke(isRevoked);
    if (revoked > 0)
      logger.info('connections ended whose user was removed or has another password', { count: revoked });
    useArchiveKeys?.();
    useCertificates();
  }

  /** First no new clients, then those that are there, then what they were served from. */
  async #stop(drainTimeoutMs: number): Promise<void> {
    const { lanes, broker, store, mesh, archive, served } = this.#parts;
    this.#notReady = 'stopping';
    const left = mesh?.stop();
    const closed = this.#listeners.close();
    const drained = lanes.drain('the gateway shuts down', drainTimeoutMs);
    const timeout = setTimeout(() => lanes.destroy(), drainTimeoutMs);
    await drained;
    clearTimeout(timeout);
    await closed;
    clearInterval(this.#tick);
    this.#sysTopics.stop();
    this.#eventLoop.close();
    await new Promise<void>((resolve) => broker.close(resolve));
    await left;
    await archive?.stop();
    await served?.stop();
    await store.close();
    await this.#http?.close();
  }

  #readiness(): Readiness {
    if (this.#notReady !== undefined) return { ready: false, reasons: [this.#notReady] };
    const { store, archive } = this.#parts;
    const { fault, shortage } = store.status;
    const trouble = fault ?? shortage;
    const reasons = trouble === undefined ? [] : [`storage: ${trouble}`];
    if (archive?.refusal !== undefined) reasons.push(archive.refusal);
    return { ready: reasons.length === 0, reasons };
  }

  /** The others get to know how this gateway is, and its own clients how the links are. */
  #tellMesh(): void {
    const { mesh, lanes, archive } = this.#parts;
    if (mesh === undefined) return;
    const reasons = [...new Set([...this.#readiness().reasons, ...(archive?.troubles ?? [])])];
    mesh.setLoad(Math.max(this.#busyShare(), lanes.budget.used / lanes.budget.maxBytes), reasons);
    for (const { id, site, state } of mesh.status().peers) {
      const isUp = state === 'up' || state === 'relayed' ? '1' : '0';
      const before = this.#linkStates.get(id);
      // Its name is not known before it was met, nor once it was evicted: until then, and from then on, there is one topic all the same.
      const topic =
        site === '' && before !== undefined
          ? before.topic
          : `$SYS/broker/connection/${site === '' ? '' : `${site}.`}${shortId(id)}/state`;
      if (before?.topic === topic && before.isUp === isUp) continue;
      this.#linkStates.set(id, { topic, isUp });
      // Under its former name it would be what it was then for good.
      if (before !== undefined && before.topic !== topic) this.#publishSystem(before.topic, '');
      this.#publishSystem(topic, isUp);
    }
  }

  #publishSystem(topic: string, payload: string): void {
    const { router, ingest } = this.#parts.lanes;
    const topicBytes = router.resolve(topic).bytes;
    ingest.publishOwn(
      createMessage({ topic, topicBytes, payload: Buffer.from(payload), qos: 0, retain: true }),
      undefined,
    );
  }
}

function laneLimits(config: Config): LaneLimits {
  const { mqtt, delivery, limits } = config;
  return {
    ...mqtt,
    ...delivery,
    ...limits,
    takeovers: { count: limits.takeoversMaxCount, windowMs: TAKEOVER_WINDOW_MS },
  };
}
