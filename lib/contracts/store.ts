/**
 * What the lanes need of storage. Writing is synchronous and returns a position; a position is durable once `committed`
 * has reached it. Whoever owes the outside world a packet holds it until then, so one rule serves memory (committed at
 * once) and disk (committed with the next group): an acknowledgement never leaves before what it promises is stored.
 */
import type { Message } from '../message/message.js';
import type { QoS, Will } from '../protocol/packet.js';
import type { SubscriptionOptions } from '../routing/subscription.js';

/** A safe integer, ever growing, without gaps. */
export type LogPosition = number;

/** How far an acknowledgement reaches: process memory, this gateway's disk, R gateways. */
export type DurabilityLevel = 'memory' | 'disk' | 'replicated';

export interface StoredSubscription {
  /** With `$share/<group>/` where it is shared. */
  readonly filter: string;
  readonly options: SubscriptionOptions;
}

/** One step in the life of a durable session. */
export type SessionRecord =
  | {
      kind: 'created';
      clientId: string;
      username: string | undefined;
      expiryS: number;
      will: Will | undefined;
    }
  | { kind: 'connected'; clientId: string; expiryS: number; will: Will | undefined }
  | { kind: 'disconnected'; clientId: string; expiryS: number; willPending: boolean }
  | { kind: 'ended'; clientId: string }
  | { kind: 'subscribed'; clientId: string; subscriptions: readonly StoredSubscription[] }
  | { kind: 'unsubscribed'; clientId: string; filters: readonly string[] }
  /** PUBREL of an incoming QoS 2 message: its id may be used again. */
  | { kind: 'released'; clientId: string; packetId: number }
  /** Outgoing QoS 2: `packetId` stands for the message at the head of the session's queue. */
  | { kind: 'sent'; clientId: string; packetId: number; message: Message }
  | { kind: 'pubrec'; clientId: string; packetId: number }
  | { kind: 'delivered'; clientId: string; packetId: number };

/** Whose message is appended: with it the de-duplication entry of QoS 2 is the same record as the message. */
export interface MessageOrigin {
  readonly clientId: string;
  readonly packetId: number;
  readonly qos: QoS;
}

/**
 * Messages that wait for one session, first in, first out. What `head…` show stays until `shift`. A queue whose next
 * messages are still being read has `ready` false and calls `onReady` when they are there, never from inside one of its own
 * methods: the message that was shifted last is on its way out.
 */
export interface DeliveryQueue {
  readonly count: number;
  readonly bytes: number;
  readonly ready: boolean;
  readonly headMessage: Message;
  /** QoS in bits 0 and 1, retain in bit 2. */
  readonly headFlags: number;
  readonly headIdentifiers: readonly number[] | undefined;
  push(message: Message, flags: number, identifiers: readonly number[] | undefined): void;
  shift(): void;
  clear(): void;
  onReady: (() => void) | undefined;
}

/**
 * Retained messages, in memory by topic; reading never waits. They keep their publisher, also through a restart: quotas are
 * counted from it. Nothing but `set` and `delete` changes what is retained while the store is open.
 */
export interface RetainedStore {
  readonly count: number;
  /** Sum of the weights of the messages. */
  readonly bytes: number;
  get(topic: string): Message | undefined;
  set(message: Message): void;
  delete(topic: string): boolean;
  forEachMatch(filter: string, visit: (message: Message) => void): void;
  /** Every message, those of topics that begin with `$` too, in any order; nothing may be changed from inside. */
  forEach(visit: (message: Message) => void): void;
}

/** What is retained, for those who only read it. */
export type RetainedView = Omit<RetainedStore, 'set' | 'delete'>;

export interface Store {
  readonly level: DurabilityLevel;
  /** Everything up to and including this position is durable. */
  readonly committed: LogPosition;
  /** Called after `committed` rose; set by the gateway before `open`. */
  onCommitted: (() => void) | undefined;
  readonly retained: RetainedStore;

  open(): Promise<void>;
  /** Resolves when everything appended is durable. */
  close(): Promise<void>;

  /**
   * Whether a message of so many bytes may be appended now: 0, or the MQTT 5 reason code of the refusal (0x97 quota,
   * 0x83 otherwise). After an append a message is never refused.
   */
  admit(bytes: number): number;
  append(message: Message, origin: MessageOrigin | undefined): LogPosition;
  /** Only for sessions that outlive their connection. */
  record(record: SessionRecord): LogPosition;
  /** Calls back once what is stored of the session is at hand; at once where it already is. */
  openSession(clientId: string, opened: () => void): void;
  createQueue(clientId: string): DeliveryQueue;
}
