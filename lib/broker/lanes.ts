/**
 * The session and message lanes of one gateway put together: everything between a transport and the store. It has no
 * sockets, no clock and no randomness of its own; the gateway gives it real ones, the simulation others.
 */
import type { Clock } from '../contracts/clock.js';
import type { Logger } from '../contracts/logger.js';
import type { MeshHost, MeshPort } from '../contracts/mesh-port.js';
import type { Authenticator, Authorizer } from '../contracts/security.js';
import type { DurableSessions, LogPosition, Store } from '../contracts/store.js';
import { ConnectGate, REFUSAL_DELAY_MAX_MS, TOO_MANY_CONNECTS } from '../connection/connect-gate.js';
import { Connection } from '../connection/connection.js';
import type { ConnectionEnvironment, Door } from '../connection/environment.js';
import type { ConnectionLimits } from '../connection/handshake.js';
import { parseRun } from '../connection/frame-run.js';
import { FlushQueue } from '../connection/flush-queue.js';
import { BufferPool, MemoryBudget } from '../connection/outbox.js';
import type { Transport } from '../connection/transport.js';
import { FanOut } from '../delivery/fan-out.js';
import { CommitQueue } from '../ingest/commit-queue.js';
import { Ingest } from '../ingest/ingest.js';
import { Retention } from '../ingest/retention.js';
import { versionOf } from '../ingest/retained-version.js';
import type { Message } from '../message/message.js';
import { ProtocolError } from '../protocol/protocol-error.js';
import { ReasonCode } from '../protocol/reason-code.js';
import { Router } from '../routing/router.js';
import { type CloseReason, createLaneHooks, type SessionLimits } from '../session/environment.js';
import { SessionRegistry, type TakeoverLimit } from '../session/registry.js';
import { Restoration } from '../session/restoration.js';
import type { Session } from '../session/session.js';
import { TimerQueue } from '../session/timer-queue.js';
import { WillPacer } from '../session/will-pacer.js';
import { C, count, type Counters, createCounters } from '../telemetry/counters.js';

/** Giving up what queues hold in memory walks all sessions. */
const RELIEVE_INTERVAL_MS = 100;
const REVOKED: CloseReason = {
  code: ReasonCode.notAuthorized,
  counter: C.disconnectedAdministrative,
  text: 'the user was removed, or has another password',
};

export interface LaneLimits extends SessionLimits, ConnectionLimits {
  readonly memoryMaxBytes: number;
  readonly routeCacheMaxCount: number;
  readonly connectionsMax: number;
  readonly handshakesMax: number;
  readonly handshakesPerAddressMax: number;
  readonly connectsPerSecondMax: number;
  readonly willsPerSecondMax: number;
  readonly takeovers: TakeoverLimit;
}

export interface LanesOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: Store;
  readonly limits: LaneLimits;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  /** Calls back once, after everything that is already in the current turn: setImmediate. */
  readonly schedule: (flush: () => void) => void;
  /** A client id that nobody has. */
  readonly assignClientId: () => string;
  /** Whether `assignClientId` made this id, or could have. */
  readonly isAssignedClientId: (clientId: string) => boolean;
  /** Whether messages of QoS 0 that clients publish to a topic are archived. Default: none are. */
  readonly isArchived?: ((topic: string) => boolean) | undefined;
  /** A number from 0 to below 1; spreads refusals over time. */
  readonly random: () => number;
}

/** What the door tells an embedder, beyond what Aedes itself emits. */
export interface LaneEvents {
  keepAliveTimeout(connection: Connection): void;
  ping(connection: Connection): void;
  error(connection: Connection, error: Error): void;
  /** Also of connections that the door has not seen. */
  closed?(connection: Connection): void;
}

export class Lanes {
  readonly counters: Counters = createCounters();
  readonly timers = new TimerQueue();
  readonly hooks = createLaneHooks();
  readonly budget: MemoryBudget;
  readonly router: Router<Session, Message>;
  readonly ingest = new Ingest();
  readonly registry: SessionRegistry;
  readonly connections = new Set<Connection>();
  readonly limits: LaneLimits;
  readonly #env: ConnectionEnvironment;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #door: Door | undefined;
  #events: LaneEvents | undefined;
  #reserved = 0;
  #handshakes = 0;
  /** Handshakes by remote address; only addresses that have any. */
  readonly #handshakesByAddress = new Map<string, number>();
  #onEmpty: (() => void) | undefined;
  #relieveAt = -Infinity;

  constructor(options: LanesOptions) {
    const { clock, logger, store, limits, isArchived } = options;
    this.limits = limits;
    this.#clock = clock;
    this.#logger = logger;
    this.budget = new MemoryBudget(limits.memoryMaxBytes);
    const { counters } = this;
    this.router = new Router({ cacheMaxCount: limits.routeCacheMaxCount, counters, isArchived });
    const commits = new CommitQueue(store);
    store.onCommitted = () => commits.drain();
    this.#env = this.#createEnvironment(options, commits);
    this.ingest.connect(this.#env);
    this.registry = this.#env.registry;
  }

  /** What the store is opened with, before the first connection. */
  createRestoration(): DurableSessions {
    return new Restoration(this.#env, this.registry);
  }

  get env(): ConnectionEnvironment {
    return this.#env;
  }

  /** The gateway is in a mesh. Before the store is opened. */
  useMesh(mesh: MeshPort): void {
    const { fanOut, retention, commits, store } = this.#env;
    this.#env.mesh = mesh;
    fanOut.mesh = mesh;
    retention.keepsTombstones = true;
    this.router.useRemote(mesh);
    mesh.onRemoteChange = (filter) => this.router.remoteChanged(filter);
    store.onCommitted = () => {
      commits.drain();
      mesh.committed(store.committed, store.passedCount);
    };
  }

  /** Calls back when everything that was handed in is committed, and a record at `position`, the newest; also at once. */
  whenCommitted(done: () => void, position: LogPosition = 0): void {
    this.#env.commits.after(position, { committed: done });
  }

  /** Where the mesh hands in what other gateways took in. */
  createMeshHost(): MeshHost {
    const { ingest, router } = this;
    const { retention, store } = this.#env;
    const mesh = (): MeshPort => this.#env.mesh ?? notInMesh();
    return {
      retained: store.retained,
      get onRetainedChange() {
        return retention.onChange;
      },
      set onRetainedChange(changed) {
        retention.onChange = changed;
      },
      mergeRetained: (message, isDelivered) => ingest.mergeRetained(message, isDelivered),
      deliverAhead: (topic) => ingest.deliverAhead(topic),
      discardRetained: (topic) => ingest.discardRetained(topic),
      versionOf: (message) => versionOf(message, mesh()),
      whenCommitted: (done, position) => this.whenCommitted(done, position),
      hasRoom: () => ingest.hasRoom(),
      publishForwarded: (message) => ingest.publishForwarded(message),
      publishPassing: (message) => ingest.publishPassing(message),
      publishRun: (frames, v5, publisher, mayCome) => {
        const parsed = parseRun(frames, v5, publisher, router);
        if (parsed === undefined) return 0;
        const { run, route } = parsed;
        if (mayCome(route.topic)) ingest.publishForwardedRun(run, route);
        return run.count;
      },
    };
  }

  /** Set once, before the first connection. */
  useDoor(door: Door, events: LaneEvents): void {
    this.#door = door;
    this.#events = events;
  }

  /** In every state, reserved places included. */
  get connectionCount(): number {
    return this.connections.size + this.#reserved;
  }

  /** Connections whose handshake is going on, reserved places included. */
  get handshakes(): number {
    return this.#handshakes;
  }

  /**
   * A place for a socket that has to get through TLS or HTTP before `accept` can have it: it counts as a connection in its
   * handshake. @returns what gives the place back, also right before `accept`; undefined where there is no room
   */
  reserve(remoteAddress: string): (() => void) | undefined {
    if (!this.#hasRoom(remoteAddress)) return undefined;
    this.#reserved++;
    this.#countHandshake(remoteAddress, 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#reserved--;
      this.#countHandshake(remoteAddress, -1);
    };
  }

  /** @returns undefined where there is no room: the caller closes the transport without a word. */
  accept(transport: Transport, request?: unknown): Connection | undefined {
    const address = transport.remoteAddress ?? '';
    if (!this.#hasRoom(address)) return undefined;
    const connection = new Connection(transport, this.#env, request);
    this.connections.add(connection);
    this.#countHandshake(address, 1);
    return connection;
  }

  #hasRoom(address: string): boolean {
    const { connectionsMax, handshakesMax, handshakesPerAddressMax } = this.limits;
    const hasRoom =
      this.connectionCount < connectionsMax &&
      this.#handshakes < handshakesMax &&
      this.#handshakesOf(address) < handshakesPerAddressMax;
    if (!hasRoom) count(this.counters, C.connectionRefusedLimit);
    return hasRoom;
  }

  #relieve(registry: SessionRegistry): void {
    const now = this.#clock.now();
    if (now < this.#relieveAt) return;
    this.#relieveAt = now + RELIEVE_INTERVAL_MS;
    for (const { outbound } of registry.sessions()) outbound.releaseMemory();
  }

  /** Half of the handshakes is for clients that may get in: refusals that are held back take no more than the other half. */
  #mayWait({ transport }: Connection): boolean {
    const { handshakesMax, handshakesPerAddressMax } = this.limits;
    const ofAddress = this.#handshakesOf(transport.remoteAddress ?? '');
    return this.#handshakes * 2 <= handshakesMax && ofAddress * 2 <= handshakesPerAddressMax;
  }

  #handshakesOf(address: string): number {
    return this.#handshakesByAddress.get(address) ?? 0;
  }

  #countHandshake(address: string, by: 1 | -1): void {
    this.#handshakes += by;
    const count = this.#handshakesOf(address) + by;
    if (count === 0) this.#handshakesByAddress.delete(address);
    else this.#handshakesByAddress.set(address, count);
  }

  /** To be called some times a second: deadlines, keep alive, retries. */
  tick(): void {
    const now = this.#clock.now();
    this.timers.runDue(now);
    for (const connection of this.connections) connection.tick(now);
    this.registry.sweep(now);
  }

  /** Tells every client that the gateway goes away, and resolves when the last has gone. @param graceMs how long that may take each of them */
  async drain(text: string, graceMs?: number): Promise<void> {
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    const reason = { code: ReasonCode.serverShuttingDown, counter: C.disconnectedShutdown, text, graceMs };
    for (const connection of [...this.connections]) connection.disconnect(reason);
    if (this.connections.size > 0) await empty;
    this.#env.wills.flush();
  }

  /** Closes what is left without waiting. */
  destroy(): void {
    for (const connection of [...this.connections]) connection.transport.destroy();
  }

  /** Access rules were read again. */
  reauthorize(): void {
    for (const session of this.registry.sessions()) session.subscriptions.reauthorize();
    this.router.invalidateAll();
  }

  /** Ends the connections of users who may not be here any more; their sessions stay as with any end. @returns how many */
  revoke(isRevoked: (username: string) => boolean): number {
    let count = 0;
    for (const connection of [...this.connections]) {
      const { username } = connection.admission;
      if (username === undefined || connection.closeReason !== undefined || !isRevoked(username)) continue;
      connection.disconnect(REVOKED);
      count++;
    }
    return count;
  }

  #createEnvironment(options: LanesOptions, commits: CommitQueue): ConnectionEnvironment {
    const { clock, logger, store, limits, authenticator, authorizer, isAssignedClientId } = options;
    const fanOut = new FanOut({
      clock,
      counters: this.counters,
      logger,
      assigned: (clientId, filter, position) =>
        store.record({ kind: 'assigned', clientId, filter, position }),
    });
    const partial = {
      mesh: undefined,
      gauges: { pendingWills: 0 },
      wills: new WillPacer({ clock, timers: this.timers, perSecondMax: limits.willsPerSecondMax }),
      clock,
      timers: this.timers,
      logger,
      counters: this.counters,
      budget: this.budget,
      limits,
      connectionLimits: limits,
      store,
      retention: new Retention({ retained: store.retained, limits, clock, logger, isAssignedClientId }),
      commits,
      router: this.router,
      fanOut,
      ingest: this.ingest,
      hooks: this.hooks,
      authorizer,
      authenticator,
      pool: new BufferPool(),
      flushQueue: new FlushQueue(options.schedule),
      assignClientId: options.assignClientId,
      door: this.#createGate(options),
      onSettled: ({ transport }: Connection) => this.#countHandshake(transport.remoteAddress ?? '', -1),
      onClosed: (connection: Connection) => this.#onClosed(connection),
      onRefused: (connection: Connection, text: string, doorKnows: boolean) =>
        this.#onRefused(connection, text, doorKnows),
      onKeepAliveTimeout: (connection: Connection) => this.#events?.keepAliveTimeout(connection),
      onPing: (connection: Connection) => this.#events?.ping(connection),
      onError: (connection: Connection, error: Error) => this.#onError(connection, error),
    };
    const registry = new SessionRegistry(partial, limits.takeovers);
    this.budget.relieve = () => this.#relieve(registry);
    return Object.assign(partial, { registry });
  }

  #createGate({ clock, logger, limits, random }: LanesOptions): Door {
    return new ConnectGate({
      door: { open: (connection, connect) => this.#openDoor().open(connection, connect) },
      clock,
      timers: this.timers,
      logger,
      random,
      perSecondMax: limits.connectsPerSecondMax,
      delayMaxMs: Math.min(REFUSAL_DELAY_MAX_MS, limits.connectTimeoutMs),
      mayWait: (connection) => this.#mayWait(connection),
    });
  }

  #openDoor(): Door {
    if (this.#door === undefined) throw new Error('lanes have no door');
    return this.#door;
  }

  #onClosed(connection: Connection): void {
    this.connections.delete(connection);
    this.#events?.closed?.(connection);
    if (this.connections.size === 0) this.#onEmpty?.();
  }

  #onRefused(connection: Connection, text: string, doorKnows: boolean): void {
    // A storm has its own line: one for each of its thousands would be another storm.
    const level = text === TOO_MANY_CONNECTS.text ? 'debug' : 'info';
    this.#logger[level]('a connection was refused', { ...describe(connection), reason: text });
    if (!doorKnows) this.#events?.error(connection, new Error(text));
  }

  #onError(connection: Connection, error: Error): void {
    const about = { ...describe(connection), reason: error.message };
    // Before 5 there is no answer for it: such a client tries again for ever, and only the log says why.
    const tooLarge = error instanceof ProtocolError && error.reasonCode === ReasonCode.packetTooLarge;
    if (tooLarge && connection.connect === undefined) this.#logger.info('a connection was refused', about);
    else this.#logger.debug('a connection failed', about);
    this.#events?.error(connection, error);
  }
}

function describe(connection: Connection): { client: string | undefined; address: string | undefined } {
  return {
    client: connection.terms?.clientId ?? connection.connect?.clientId,
    address: connection.transport.remoteAddress,
  };
}

function notInMesh(): never {
  throw new Error('the gateway is in no mesh');
}
