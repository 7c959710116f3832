/**
 * Everything a session reaches beyond itself. The gateway puts real parts in, the simulation its own.
 */
import type { Clock } from '../contracts/clock.js';
import type { Logger } from '../contracts/logger.js';
import type { MeshPort } from '../contracts/mesh-port.js';
import type { Authorizer } from '../contracts/security.js';
import type { RetainedView, Store } from '../contracts/store.js';
import type { MemoryBudget } from '../connection/outbox.js';
import type { Outbox } from '../connection/outbox.js';
import type { FanOut } from '../delivery/fan-out.js';
import type { CommitQueue } from '../ingest/commit-queue.js';
import type { Ingest } from '../ingest/ingest.js';
import type { Retention } from '../ingest/retention.js';
import type { Message } from '../message/message.js';
import type { ProtocolVersion, QoS } from '../protocol/packet.js';
import type { Router } from '../routing/router.js';
import type { Counters } from '../telemetry/counters.js';
import type { Session } from './session.js';
import type { TimerQueue } from './timer-queue.js';
import type { WillPacer } from './will-pacer.js';

/** Limits and policies; their meaning, ranges and defaults are in the configuration reference. */
export interface SessionLimits {
  readonly windowMax: number;
  readonly clientQueueMaxCount: number;
  readonly clientQueueMaxBytes: number;
  readonly clientOutputMaxBytes: number;
  readonly retryInitialMs: number;
  readonly retryMaxMs: number;
  readonly redeliveryMaxCount: number;
  readonly deadLetterTopic: string;
  readonly receiveMaximum: number;
  readonly retain: boolean;
  readonly topicMaxBytes: number;
  readonly topicMaxLevels: number;
  readonly subscriptionsPerClientMax: number;
  readonly filtersPerSubscribeMax: number;
  readonly retainedMaxCount: number;
  readonly retainedMaxBytes: number;
  readonly retainedPerClientMaxCount: number;
  readonly sessionExpiryMaxS: number;
  /** 0: no limit. */
  readonly messageExpiryMaxS: number;
  readonly sessionsMax: number;
  readonly pendingWillsMax: number;
}

/** A subscription request as the hook of an embedder sees and may change it; null refuses it. */
export interface HookSubscription {
  topic: string;
  qos: QoS;
  nl?: boolean;
  rap?: boolean;
  rh?: number;
}

/**
 * What an embedder has put in place of the defaults, and what it listens to. A field is undefined while nobody uses it, so
 * that an unused hook costs one comparison.
 */
export interface LaneHooks {
  authorizePublish:
    | ((
        session: Session,
        message: Message,
        done: (refused: Error | undefined, message: Message) => void,
      ) => void)
    | undefined;
  authorizeSubscribe:
    | ((
        session: Session,
        subscription: HookSubscription,
        done: (error: Error | undefined, granted: HookSubscription | null) => void,
      ) => void)
    | undefined;
  /** @throws where what the hook returned cannot be encoded. */
  authorizeForward: ((session: Session, message: Message) => Message | null) | undefined;
  published: ((message: Message, session: Session | undefined, done: () => void) => void) | undefined;
  onAck: ((session: Session, message: Message | undefined, packetId: number, qos: QoS) => void) | undefined;
  onSubscribe:
    ((session: Session, subscriptions: readonly { topic: string; qos: number }[]) => void) | undefined;
  onUnsubscribe: ((session: Session, filters: readonly string[]) => void) | undefined;
  onSessionExpired: ((session: Session) => void) | undefined;
}

export function createLaneHooks(): LaneHooks {
  return {
    authorizePublish: undefined,
    authorizeSubscribe: undefined,
    authorizeForward: undefined,
    published: undefined,
    onAck: undefined,
    onSubscribe: undefined,
    onUnsubscribe: undefined,
    onSessionExpired: undefined,
  };
}

/** Why a connection ends; `code` is what a v5 client is told, undefined where it is told nothing. */
export interface CloseReason {
  readonly code: number | undefined;
  /** Index into the counters (`C.disconnected…`). */
  readonly counter: number;
  /** One line for the log and, where the client wants reasons, for the client. */
  readonly text: string;
  /** How long its last bytes may take. Default: two seconds. */
  readonly graceMs?: number | undefined;
}

/** The connection as its session sees it. */
export interface SessionLink {
  readonly version: ProtocolVersion;
  readonly outbox: Outbox;
  /** The client's Receive Maximum, bounded by our own window. */
  readonly sendWindow: number;
  /** The client's Maximum Packet Size, bytes; the protocol's limit where it set none. */
  readonly maximumPacketSize: number;
  /** How many Topic Aliases we may use towards the client. */
  readonly topicAliasMaximum: number;
  /** Whether reason strings may be sent with acknowledgements [MQTT-3.1.2-29]. */
  readonly problemInformation: boolean;
  /** Whether the client says that it is the bridge of another broker. */
  readonly isBridge: boolean;
  /** Tells a v5 client why, then closes. */
  disconnect(reason: CloseReason): void;
  /** Stops taking input after the current packet, until `resume`; calls nest. */
  suspend(): void;
  resume(): void;
}

/** Numbers that rise and fall, shared by all sessions. */
export interface SessionGauges {
  /** Wills whose delay is running. */
  pendingWills: number;
}

export interface SessionEnvironment {
  /** Of a gateway in a mesh; set once, before the store is opened. */
  mesh: MeshPort | undefined;
  readonly gauges: SessionGauges;
  readonly wills: WillPacer;
  readonly clock: Clock;
  readonly timers: TimerQueue;
  readonly logger: Logger;
  readonly counters: Counters;
  readonly budget: MemoryBudget;
  readonly limits: SessionLimits;
  /** What is retained changes through `retention` alone. */
  readonly store: Omit<Store, 'retained'> & { readonly retained: RetainedView };
  readonly retention: Retention;
  readonly commits: CommitQueue;
  readonly router: Router<Session, Message>;
  readonly fanOut: FanOut;
  readonly ingest: Ingest;
  readonly hooks: LaneHooks;
  /** Read at each use: it is replaced when the configuration is read again. */
  readonly authorizer: Authorizer;
}
