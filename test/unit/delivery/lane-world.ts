/**
 * The real parts of the lanes (router, fan-out, ingest, outboxes, sessions) over transports, a clock and a store that a
 * test moves by hand. Nothing here waits for anything.
 */
import { Lanes, type LaneLimits } from '../../../lib/broker/lanes.js';
import { parseConfig } from '../../../lib/config/index.js';
import type { ConnectionEnvironment } from '../../../lib/connection/environment.js';
import { Input } from '../../../lib/connection/input.js';
import { Outbox } from '../../../lib/connection/outbox.js';
import { PublishLane } from '../../../lib/connection/publish-lane.js';
import type { Transport } from '../../../lib/connection/transport.js';
import type { LogFields, Logger } from '../../../lib/contracts/logger.js';
import type { Identity, SubscribeGrant } from '../../../lib/contracts/security.js';
import type {
  DeliveryQueue,
  LogPosition,
  PassedRun,
  RoutedMessage,
  SessionRecord,
} from '../../../lib/contracts/store.js';
import { createMessage, type Message } from '../../../lib/message/message.js';
import {
  decodePacket,
  encodedLength,
  ProtocolError,
  readVariableByteInteger,
  type Packet,
  type ProtocolVersion,
  type QoS,
} from '../../../lib/protocol/index.js';
import { Subscription, type SubscriptionOptions } from '../../../lib/routing/index.js';
import type { CloseReason, SessionLink } from '../../../lib/session/environment.js';
import { Session } from '../../../lib/session/session.js';
import { COUNTER_NAMES, type CounterName } from '../../../lib/telemetry/counters.js';
import { MemoryStore } from '../../../storage/index.js';
import { MemoryDeliveryQueue } from '../../../storage/memory/delivery-queue.js';
import { str } from '../../support/protocol-bytes.js';

const config = parseConfig({
  overrides: { storage: { durability: 'memory' } },
  machine: {
    memoryTotalBytes: 1_073_741_824,
    openFilesMax: 1024,
    heapMaxBytes: 2 ** 32,
    diskTotalBytes: () => 2 ** 35,
  },
});

/** The limits of a gateway without configuration, except where tests lean on a figure. */
export const LIMITS: LaneLimits = {
  ...config.mqtt,
  ...config.delivery,
  ...config.limits,
  takeovers: { count: config.limits.takeoversMaxCount, windowMs: 10_000 },
  windowMax: 1000,
  receiveMaximum: 1000,
  topicAliasMaximum: 10,
  outboundTopicAliasMaximum: 10,
  clientOutputMaxBytes: 1_048_576,
  packetMaxBytes: 1_048_576,
  topicMaxBytes: 1024,
  topicMaxLevels: 64,
  retain: true,
  deadLetterTopic: '$dead',
  redeliveryMaxCount: 20,
  retryInitialMs: 20_000,
  retryMaxMs: 300_000,
  routeCacheMaxCount: 1000,
};

const textOf = (bytes: Uint8Array = new Uint8Array(0)): string => Buffer.from(bytes).toString();

/** Commits at once until `hold` is set; then `release` does. */
export class HeldStore extends MemoryStore {
  hold = false;
  readonly records: SessionRecord[] = [];
  readonly appended: Message[] = [];
  /** Topics and payloads of what is in the log for the archive alone; those of a run together. */
  readonly passed: string[][] = [];
  /** What a replay may find by its position. */
  readonly stored = new Map<LogPosition, Message>();
  /** What a replay took out of queues. */
  readonly removed: { from: LogPosition; to: LogPosition; qos: QoS | undefined }[] = [];
  #committed: LogPosition = 0;
  #last: LogPosition = 0;

  override get committed(): LogPosition {
    return this.#committed;
  }

  override append(message?: Message): LogPosition {
    if (message !== undefined) this.appended.push(message);
    return this.#next();
  }

  override appendPassed(message?: Message): void {
    if (message !== undefined) this.passed.push([`${message.topic} ${textOf(message.payload)}`]);
  }

  override appendPassedRun(run?: PassedRun, topicBytes?: Uint8Array): void {
    const topic = textOf(topicBytes?.subarray(2));
    const texts: string[] = [];
    run?.forEachPayload((start, end) => texts.push(`${topic} ${textOf(run.bytes.subarray(start, end))}`));
    this.passed.push(texts);
  }

  override record(record?: SessionRecord): LogPosition {
    if (record !== undefined) this.records.push(record);
    return this.#next();
  }

  override createQueue(): DeliveryQueue {
    return new ReplayedQueue(this);
  }

  /** Makes durable what was written so far. */
  release(): void {
    this.#committed = this.#last;
    this.onCommitted?.();
  }

  #next(): LogPosition {
    this.#last++;
    if (!this.hold) this.#committed = this.#last;
    return this.#last;
  }
}

/** As a queue over the log, which has to read nothing. */
class ReplayedQueue extends MemoryDeliveryQueue {
  constructor(private readonly store: HeldStore) {
    super();
  }

  override replay({ position }: RoutedMessage, flags: number, identifiers?: readonly number[]): void {
    this.push(this.store.stored.get(position) as Message, flags, identifiers);
  }

  override replayAssigned(message: RoutedMessage, flags: number, identifiers?: readonly number[]): void {
    this.replay(message, flags, identifiers);
  }

  override remove(from: LogPosition, to: LogPosition, qos?: QoS): void {
    this.store.removed.push({ from, to, qos });
  }
}

/** A transport whose other end the test is. */
export class FakeTransport implements Transport {
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = 1;
  /** What was written and not taken. */
  readonly writes: { bytes: Uint8Array; taken: () => void }[] = [];
  readonly log: string[] = [];
  /** Takes the writes when `takeAll` is called, not before. */
  write(bytes: Uint8Array, taken: () => void): void {
    this.writes.push({ bytes, taken });
    this.log.push(`write ${bytes.length}`);
  }
  end(): void {
    this.log.push('end');
  }
  destroy(): void {
    this.log.push('destroy');
  }
  pause(): void {
    this.log.push('pause');
  }
  resume(): void {
    this.log.push('resume');
  }
  /** The operating system takes the oldest write. @returns a copy of its bytes, undefined where nothing waits. */
  takeOne(): Buffer | undefined {
    const write = this.writes.shift();
    if (write === undefined) return undefined;
    const bytes = Buffer.from(write.bytes);
    write.taken();
    return bytes;
  }
  /** Takes everything, also what is written meanwhile. */
  takeAll(): Buffer {
    const parts: Buffer[] = [];
    for (let bytes = this.takeOne(); bytes !== undefined; bytes = this.takeOne()) parts.push(bytes);
    return Buffer.concat(parts);
  }
}

export interface LinkOptions {
  version?: ProtocolVersion;
  sendWindow?: number;
  maximumPacketSize?: number;
  topicAliasMaximum?: number;
}

/** One connection of a session, after its handshake. */
export class FakeLink implements SessionLink {
  readonly transport = new FakeTransport();
  readonly outbox: Outbox;
  readonly version: ProtocolVersion;
  readonly sendWindow: number;
  readonly maximumPacketSize: number;
  readonly topicAliasMaximum: number;
  readonly problemInformation = true;
  readonly isBridge = false;
  /** What the gateway ended the connection with. */
  readonly reasons: CloseReason[] = [];
  readonly input: Input;
  #lane: PublishLane | undefined;
  readonly #world: LaneWorld;
  #rest: Buffer = Buffer.alloc(0);
  #received: Packet[] = [];

  constructor(world: LaneWorld, options: LinkOptions) {
    this.#world = world;
    this.outbox = new Outbox(this.transport, world.env);
    this.version = options.version ?? 4;
    this.sendWindow = options.sendWindow ?? 1000;
    this.maximumPacketSize = options.maximumPacketSize ?? 268_435_460;
    this.topicAliasMaximum = options.topicAliasMaximum ?? 0;
    this.input = new Input({
      frameMaxBytes: world.lanes.limits.packetMaxBytes,
      begins: () => {},
      tooLarge: (_bytes, _start, size) => new ProtocolError(0x95, `${size} bytes`),
      frame: (bytes, start, body, end) => this.#lane?.publish(bytes, start, body, end),
    });
  }

  disconnect(reason: CloseReason): void {
    this.reasons.push(reason);
    this.input.stop();
  }
  suspend(): void {
    this.input.suspend();
  }
  resume(): void {
    this.input.resume();
  }

  /** PUBLISH frames of the client, as one read. @throws ProtocolError, after what came before was handed on. */
  feed(session: Session, bytes: Uint8Array): void {
    const { topicAliasMaximum } = this.#world.lanes.limits;
    this.#lane ??= new PublishLane(this.#world.env, { session, link: this, topicAliasMaximum });
    try {
      this.input.feed(bytes);
    } finally {
      this.#lane.flush();
    }
  }

  /** Everything the client gets when it takes all that waits for it now, as bytes. */
  takeBytes(): Buffer {
    this.#world.endTurn();
    const parts = [this.transport.takeAll()];
    // What was taken may have let more out.
    for (this.#world.endTurn(); this.transport.writes.length > 0; this.#world.endTurn()) {
      parts.push(this.transport.takeAll());
    }
    return Buffer.concat(parts);
  }

  /** The same, decoded. */
  take(): Packet[] {
    return this.decode(this.takeBytes());
  }

  /** Whole packets of a stream of which `bytes` is the next part. */
  decode(bytes: Uint8Array): Packet[] {
    this.#received = [];
    let rest = Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const size = frameSize(rest);
      if (size === undefined || size > rest.length) break;
      this.#received.push(decodePacket(rest.subarray(0, size), this.version, 'toClient'));
      rest = rest.subarray(size);
    }
    this.#rest = rest;
    return this.#received;
  }
}

/** Bytes of the frame that `bytes` begins with; undefined where its header is not whole. */
function frameSize(bytes: Uint8Array): number | undefined {
  const remaining = readVariableByteInteger(bytes, 1, bytes.length);
  return remaining < 0 ? undefined : 1 + encodedLength(remaining) + remaining;
}

/** The frames of a stream that has only whole ones. */
export function splitFrames(bytes: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = frameSize(bytes.subarray(at)) ?? bytes.length;
    frames.push(bytes.subarray(at, at + size));
    at += size;
  }
  return frames;
}

export interface SubscribeOptions {
  qos?: QoS;
  noLocal?: boolean;
  retainAsPublished?: boolean;
  identifier?: number;
  group?: string;
  partial?: boolean;
}

/** Rules that a test may change; `version` goes up with each change. */
export class FakeAuthorizer {
  version = 1;
  mayPublish: (topic: string) => boolean = () => true;
  mayReceive: (who: Identity, topic: string) => boolean = () => true;
  canPublish(_who: Identity, topic: string): boolean {
    return this.mayPublish(topic);
  }
  canSubscribe(): SubscribeGrant {
    return 'all';
  }
  canReceive(who: Identity, topic: string): boolean {
    return this.mayReceive(who, topic);
  }
}

export class LaneWorld {
  now = 1000;
  /** What the lanes get for a random number. */
  random: () => number = () => 0.5;
  readonly store = new HeldStore();
  readonly authorizer = new FakeAuthorizer();
  readonly logged: { level: string; message: string; fields: LogFields | undefined }[] = [];
  readonly lanes: Lanes;
  #flushes: (() => void)[] = [];
  #sessions = 0;

  /** @param isArchived default: no topic is */
  constructor(limits: Partial<LaneLimits> = {}, isArchived?: (topic: string) => boolean) {
    this.lanes = new Lanes({
      isArchived,
      clock: { now: () => this.now, wall: () => this.now },
      logger: this.#logger(),
      store: this.store,
      limits: { ...LIMITS, ...limits },
      authenticator: {
        authenticate: async () => ({ ok: true, username: undefined }),
        startExchange: () => undefined,
        methods: [],
      },
      authorizer: this.authorizer,
      schedule: (flush) => {
        this.#flushes.push(flush);
      },
      assignClientId: () => 'assigned',
      isAssignedClientId: (clientId) => clientId === 'assigned',
      random: () => this.random(),
    });
  }

  get env(): ConnectionEnvironment {
    return this.lanes.env;
  }

  /** A turn of the event loop ends: what was gathered is handed to the transports. */
  endTurn(): void {
    const flushes = this.#flushes;
    this.#flushes = [];
    for (const flush of flushes) flush();
  }

  /** A session without connection; durable unless `expiryS` is 0. */
  session(expiryS = 3600): Session {
    const clientId = `c${++this.#sessions}`;
    return new Session({ clientId, username: undefined, expiryS, will: undefined }, this.env, () => {});
  }

  link(options: LinkOptions = {}): FakeLink {
    return new FakeLink(this, options);
  }

  /** A session with a connection. */
  connected(options: LinkOptions = {}): { session: Session; link: FakeLink } {
    const session = this.session();
    const link = this.link(options);
    session.start(link);
    return { session, link };
  }

  subscribe(session: Session, filter: string, options: SubscribeOptions = {}): Subscription<Session> {
    const granted: SubscriptionOptions = {
      qos: options.qos ?? 0,
      noLocal: options.noLocal ?? false,
      retainAsPublished: options.retainAsPublished ?? false,
      retainHandling: 0,
      identifier: options.identifier ?? 0,
    };
    const subscription = new Subscription(
      session,
      filter,
      granted,
      options.group ?? '',
      options.partial ?? false,
    );
    this.lanes.router.add(subscription);
    return subscription;
  }

  /** Sends a message of the gateway's own through the fan-out. */
  publish(message: Message, publisher?: Session): void {
    this.env.fanOut.route(message, this.lanes.router.resolve(message.topic), publisher);
  }

  counter(name: CounterName): number {
    return this.lanes.counters[COUNTER_NAMES.indexOf(name)] ?? Number.NaN;
  }

  /** The counters that are not 0 among those whose name begins with `prefix`. */
  counted(prefix: string): Record<string, number> {
    const names = COUNTER_NAMES.filter((name) => name.startsWith(prefix) && this.counter(name) !== 0);
    return Object.fromEntries(names.map((name) => [name, this.counter(name)]));
  }

  #logger(): Logger {
    const line =
      (level: string) =>
      (message: string, fields?: LogFields): void => {
        this.logged.push({ level, message, fields });
      };
    const logger: Logger = {
      trace: line('trace'),
      debug: line('debug'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
      child: () => logger,
    };
    return logger;
  }
}

export interface MessageOptions {
  topic?: string;
  payload?: string | Uint8Array;
  qos?: QoS;
  retain?: boolean;
  properties?: Uint8Array;
  expiresAt?: number;
  publisher?: string;
}

export function message(options: MessageOptions = {}): Message {
  const topic = options.topic ?? 't';
  return createMessage({
    topic,
    topicBytes: str(topic),
    payload: Buffer.from(options.payload ?? 'p'),
    qos: options.qos ?? 0,
    retain: options.retain ?? false,
    ...(options.properties === undefined ? {} : { properties: options.properties }),
    ...(options.expiresAt === undefined ? {} : { expiresAt: options.expiresAt }),
    ...(options.publisher === undefined ? {} : { publisher: options.publisher }),
  });
}
