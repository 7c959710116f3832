/**
 * Aedes's class for programs that bring their own servers: the lanes of a gateway over a store in memory, without
 * listeners, configuration files and accounts of its own. Whatever Aedes's defaults allow is allowed.
 */
import { randomUUID } from 'node:crypto';
import type { AedesOptions } from 'aedes';
import { MemoryStore } from '../storage/index.js';
import { Broker } from './broker/broker.js';
import { type LaneLimits, Lanes } from './broker/lanes.js';
import { parseConfig } from './config/index.js';
import { SprawlError } from './contracts/errors.js';
import type { LogFields, Logger, LogLevel } from './contracts/logger.js';
import type { Authenticator, Authorizer, Identity } from './contracts/security.js';
import type { Store } from './contracts/store.js';
import { realClock } from './real-clock.js';
import { Session } from './session/session.js';

/** How often deadlines are looked at: keep alive, expiry, wills and retries are late by at most this. */
const TICK_MS = 250;
const TAKEOVER_WINDOW_MS = 10_000;
/** As in Aedes. */
const CONNECT_TIMEOUT_MS = 30_000;
const DRAIN_TIMEOUT_MS = 60_000;
const SHORT_ID_MAX_LENGTH = 23;
const TOPIC_MAX_LEVELS = 100;
/** `aedes_` and a UUID. */
const ASSIGNED_CLIENT_ID = /^aedes_[0-9a-f-]{36}$/;
/** The protocol's own limits, where Aedes has none. */
const STRING_MAX_BYTES = 65_535;
const PACKET_MAX_BYTES = 268_435_460;
/** Five strings of the longest kind and properties: a CONNECT that no client exceeds. */
const CONNECT_MAX_BYTES = 393_216;

export interface EmbeddedOptions extends AedesOptions {
  /** Where refusals and faults of hooks go. Default: errors and warnings to standard error. */
  readonly logger?: Logger;
}

/**
 * Aedes over the lanes of the gateway: the options, methods, events and hooks that Aedes documents. docs/embedding.md lists
 * what differs. `instanceof` of the package's own class holds.
 */
export class Aedes extends Broker {
  readonly #store: Store;
  #tick: NodeJS.Timeout | undefined;

  /** @throws SprawlError CONFIG_INVALID for an option that cannot be honoured. */
  constructor(options: EmbeddedOptions = {}) {
    refuseForeignParts(options);
    const store = new MemoryStore();
    const defaults = new AedesDefaults();
    const lanes = new Lanes({
      clock: realClock,
      logger: options.logger ?? stderrLogger({}),
      store,
      limits: limitsOf(options),
      authenticator: everybody,
      authorizer: defaults,
      schedule: setImmediate,
      assignClientId: () => `aedes_${randomUUID()}`,
      isAssignedClientId: (clientId) => ASSIGNED_CLIENT_ID.test(clientId),
      random: Math.random,
    });
    super(lanes, { ...options, maxClientsIdLength: options.maxClientsIdLength ?? SHORT_ID_MAX_LENGTH });
    defaults.hasHook = () => this.hasHook('authorizePublish');
    defaults.refused = (session, error) => this.emit('clientError', session.handle, error);
    this.#store = store;
  }

  static override async createBroker(options?: EmbeddedOptions): Promise<Aedes> {
    const aedes = new Aedes(options);
    await aedes.listen();
    return aedes;
  }

  override async listen(): Promise<void> {
    await this.#store.open(this.lanes.createRestoration());
    await super.listen();
    this.#tick = setInterval(() => this.lanes.tick(), TICK_MS);
    this.#tick.unref();
  }

  /** The clients have been told; connections whose handshake was under way have not. */
  protected override async finish(): Promise<void> {
    // A connection that does not end by itself is cut off by the tick: until then the process has to live.
    this.#tick?.ref();
    await this.lanes.drain('the broker is closed');
    clearInterval(this.#tick);
    await this.#store.close();
  }
}

function refuseForeignParts(options: EmbeddedOptions): void {
  const reasons: Readonly<Record<string, string>> = {
    mq: 'messages go through the router of the gateway; leave it out',
    persistence: 'sessions and messages are kept by the gateway; leave it out',
    decodeProtocol:
      'a protocol in front of MQTT is the business of your server; take it off the stream before `handle`',
    trustProxy: 'a PROXY header is the business of your server; take it off the stream before `handle`',
  };
  for (const [name, reason] of Object.entries(reasons)) {
    const value: unknown = options[name as keyof EmbeddedOptions];
    if (value === undefined || value === null || value === false) continue;
    throw new SprawlError('CONFIG_INVALID', `Aedes option ${name} is not supported: ${reason}`, {
      details: { option: name },
    });
  }
}

function limitsOf(options: EmbeddedOptions): LaneLimits {
  const { mqtt, delivery, limits } = parseConfig();
  const packetMaxBytes = options.maximumPacketSize || PACKET_MAX_BYTES;
  return {
    ...mqtt,
    ...delivery,
    ...limits,
    takeovers: { count: limits.takeoversMaxCount, windowMs: TAKEOVER_WINDOW_MS },
    connectTimeoutMs: options.connectTimeout ?? CONNECT_TIMEOUT_MS,
    connectMaxBytes: Math.min(packetMaxBytes, CONNECT_MAX_BYTES),
    packetMaxBytes,
    writeTimeoutMs: options.drainTimeout ?? DRAIN_TIMEOUT_MS,
    keepAliveMaxS: options.keepaliveLimit ?? 0,
    sessionExpiryMaxS: options.sessionExpiryIntervalLimit ?? 0,
    receiveMaximum: options.receiveMaximum || STRING_MAX_BYTES,
    topicAliasMaximum: options.topicAliasMaximum ?? 0,
    topicMaxBytes: STRING_MAX_BYTES,
    topicMaxLevels: Math.min(Math.max(options.maxTopicLevels ?? TOPIC_MAX_LEVELS, 1), TOPIC_MAX_LEVELS),
    clientIdMaxBytes: STRING_MAX_BYTES,
    pendingWillsMax: options.pendingSessionsLimit || limits.pendingWillsMax,
  };
}

/** Aedes's default `authenticate`; a hook of the embedder is asked instead. */
const everybody: Authenticator = {
  methods: [],
  authenticate: async ({ username }) => ({ ok: true, username }),
  startExchange: () => undefined,
};

/** Aedes's default hooks: everything but publishing to `$SYS/`, and that too where the embedder decides. */
class AedesDefaults implements Authorizer {
  hasHook = (): boolean => false;
  /** Told once for each run of publishes to one topic. */
  refused = (_session: Session, _error: Error): unknown => undefined;

  get version(): number {
    return this.hasHook() ? 1 : 0;
  }

  canPublish(who: Identity, topic: string): boolean {
    if (!topic.startsWith('$SYS/') || this.hasHook()) return true;
    // At CONNECT a will is not refused, as in Aedes: it is when it would be published.
    if (!(who instanceof Session)) return true;
    if (who.online) this.refused(who, new Error('$SYS/ topic is reserved'));
    return false;
  }

  canSubscribe(): 'all' {
    return 'all';
  }

  canReceive(): boolean {
    return true;
  }
}

/** Quiet but for what needs somebody's attention. */
function stderrLogger(own: LogFields): Logger {
  const write =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      const line = { level, message, ...own, ...fields };
      process.stderr.write(`sprawl-edge: ${JSON.stringify(line)}\n`);
    };
  const ignore = (): void => {};
  return {
    trace: ignore,
    debug: ignore,
    info: ignore,
    warn: write('warn'),
    error: write('error'),
    child: (fields) => stderrLogger({ ...own, ...fields }),
  };
}
