/**
 * What the lanes need of storage. Writing is synchronous and returns a position; a position is durable once `committed`
 * has reached it. Whoever owes the outside world a packet holds it until then, so one rule serves memory (committed at
 * once) and disk (committed with the next group): an acknowledgement never leaves before what it promises is stored.
 */
import type { GatewayId } from './gateway-id.js';
import type { Message } from '../message/message.js';
import type { QoS, Will } from '../protocol/packet.js';
import type { SubscriptionOptions } from '../routing/subscription.js';
import type { DurableStreams, OwnMessages, OwnReadOptions, StreamRecord } from './streams.js';

/** From 1 to LOG_POSITION_MAX, ever growing, without gaps; 0: none. */
export type LogPosition = number;

/** The log has 48 bits for it: a message each microsecond for nine years. */
export const LOG_POSITION_MAX = 2 ** 48 - 1;

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
  /** `at`: when, on the gateway's clock. */
  | { kind: 'disconnected'; clientId: string; expiryS: number; willPending: boolean; at: number }
  /** The will was published; the session goes on. */
  | { kind: 'willPublished'; clientId: string }
  | { kind: 'ended'; clientId: string }
  | { kind: 'subscribed'; clientId: string; subscriptions: readonly StoredSubscription[] }
  | { kind: 'unsubscribed'; clientId: string; filters: readonly string[] }
  /** PUBREL of an incoming QoS 2 message: its id may be used again. */
  | { kind: 'released'; clientId: string; packetId: number }
  /** Outgoing QoS 2: `packetId` stands for the message. */
  | {
      kind: 'sent';
      clientId: string;
      packetId: number;
      position: LogPosition;
      flags: DeliveryFlags;
      identifiers: readonly number[] | undefined;
      topic: OwedTopic;
    }
  | { kind: 'pubrec'; clientId: string; packetId: number }
  /** The message at `position` is done with, whether or not it arrived; `packetId` 0: it never had one. */
  | { kind: 'delivered'; clientId: string; packetId: number; position: LogPosition; topic: OwedTopic }
  /** As `delivered`, but the client may hold the id still: it is not used for another message. */
  | { kind: 'givenUp'; clientId: string; packetId: number; position: LogPosition; topic: OwedTopic }
  /** What came in for the session from one position to another, both included, found no room: it is not to come behind what did. */
  | { kind: 'dropped'; clientId: string; from: LogPosition; to: LogPosition }
  /**
   * A message to `$share/...` went to the session; `clientId` is empty where the member that it went to does not outlive its
   * connection.
   */
  | { kind: 'assigned'; clientId: string; filter: string; position: LogPosition };

/** Only of a message that was owed because it was retained: its topic, of which one is owed less. */
export type OwedTopic = string | undefined;

/** QoS in bits 0 and 1, retain in bit 2, and in bit 3 whether it is owed because it was retained when the session subscribed. */
export type DeliveryFlags = number;
export const OWED_FLAG = 8;

/** A QoS 1 or 2 message that left and is not acknowledged to the end. */
export interface InFlightImage {
  readonly packetId: number;
  /** PUBREC came: only the id is left of it. */
  readonly released: boolean;
  readonly flags: DeliveryFlags;
  readonly identifiers: readonly number[] | undefined;
  /** 0: the message is not in the log, and is gone. */
  readonly position: LogPosition;
  /** Only of one that is owed: the message is the retained one of this topic, or superseded. */
  readonly topic: string | undefined;
}

/** A retained message that a subscription is still owed. */
export interface OwedImage {
  readonly topic: string;
  /** That it is owed for. */
  readonly filter: string;
  readonly qos: QoS;
  readonly identifiers: readonly number[] | undefined;
}

/** A durable session as it stands, but for what waits in its queue. */
export interface SessionImage {
  readonly clientId: string;
  readonly username: string | undefined;
  readonly expiryS: number;
  /** When its connection ended, on the gateway's clock; undefined: it is connected. */
  readonly parkedAt: number | undefined;
  /** To be published; undefined also where it was. */
  readonly will: Will | undefined;
  readonly subscriptions: readonly StoredSubscription[];
  /** Incoming QoS 2 ids that were answered and not released. */
  readonly inbound: readonly number[];
  /** In the order in which they were first sent. */
  readonly inFlight: readonly InFlightImage[];
  /** Outgoing ids that the client may hold still. */
  readonly burned: readonly number[];
  readonly owed: readonly OwedImage[];
}

/** What has to be known of a message to give it to queues. */
export type RoutedMessage = Pick<Message, 'topic' | 'qos' | 'retain' | 'position' | 'weight'>;

/** A message that was routed, and for which groups no member is known yet: `$share/<group>/<filter>`. */
export interface UnassignedImage {
  readonly position: LogPosition;
  readonly filters: readonly string[];
}

/**
 * The durable sessions, as the store sees them: it writes them down now and then, and after a restart gives back what it wrote,
 * then what the log has since, in its order. All of a replay comes before the first connection.
 */
export interface DurableSessions {
  /** undefined: none of this id, or one that does not outlive its connection. */
  imageOf(clientId: string): SessionImage | undefined;
  /** Those with messages in flight, which get there without a record. */
  forEachBusy(visit: (clientId: string) => void): void;
  /** In the middle of a replay: whose members come with later records. */
  unassigned(): readonly UnassignedImage[];
  restoreSession(image: SessionImage): void;
  /** After all sessions. */
  restoreUnassigned(message: RoutedMessage, filters: readonly string[]): void;
  replayStep(record: SessionRecord): void;
  /** A message that was stored; its bytes are its own only where it is retained. @param packetId of its publisher's session, 0: none that is to be remembered. */
  replayMessage(message: Message, packetId: number): void;
  /** A retained message of QoS 0, or an empty one in its place; its bytes are its own. */
  replayRetained(message: Message): void;
  /** That was all: timers may run. */
  restored(): void;
}

/**
 * Whose message is appended: with it the de-duplication entry of QoS 2 is the same record as the message, and so is the end of a will
 * with the message that it becomes.
 */
export interface MessageOrigin {
  readonly clientId: string;
  /** 0: it is the will of the session, which has none from here on. */
  readonly packetId: number;
  readonly qos: QoS;
}

/** Messages of QoS 0 of one publisher, one after the other, without retain, properties and expiry. */
export interface PassedRun {
  readonly bytes: Uint8Array;
  /** Client id. */
  readonly publisher: string;
  /** Each is `bytes[start, end)`. */
  forEachPayload(visit: (start: number, end: number) => void): void;
}

/**
 * Messages that wait for one session, first in, first out. What `head…` show stays until `shift`. A queue whose next
 * messages are still being read has `ready` false and calls `onReady` when they are there, never from inside one of its own
 * methods: the message that was shifted last is on its way out.
 */
export interface DeliveryQueue {
  readonly count: number;
  /** Of all messages that wait, wherever they are. */
  readonly bytes: number;
  /** Of those that are in memory: what counts against the budget of all clients. */
  readonly heldBytes: number;
  readonly ready: boolean;
  readonly headMessage: Message;
  readonly headFlags: DeliveryFlags;
  readonly headIdentifiers: readonly number[] | undefined;
  push(message: Message, flags: DeliveryFlags, identifiers: readonly number[] | undefined): void;
  /**
   * For the replay of the log: the message comes to wait, and is read when it is its turn. What was there already when the queue was
   * written down is not added again.
   */
  replay(message: RoutedMessage, flags: DeliveryFlags, identifiers: readonly number[] | undefined): void;
  /** The same of a message that was given to the session later than its place in the log. */
  replayAssigned(
    message: RoutedMessage,
    flags: DeliveryFlags,
    identifiers: readonly number[] | undefined,
  ): void;
  shift(): void;
  clear(): void;
  /** Gives up the copies in memory of what can be read back, for a client that is slow or away. */
  release(): void;
  /**
   * For the replay of the log: the messages from one position to another, as far as they wait, do so no more.
   * @param qos of one that waits twice, which is to go first
   */
  remove(from: LogPosition, to: LogPosition, qos?: QoS): void;
  onReady: (() => void) | undefined;
}

/**
 * Retained messages, in memory by topic; reading never waits. They keep their publisher, also through a restart: quotas are
 * counted from it. Nothing but `set` and `delete` changes what is retained while the store is open.
 */
export interface RetainedStore {
  readonly count: number;
  /** What the messages take in memory, see `retainedBytes`. */
  readonly bytes: number;
  get(topic: string): Message | undefined;
  set(message: Message): void;
  delete(topic: string): boolean;
  /** Puts the removal of what the topic retains in its place: an empty message, for those who learn of it later. */
  bury(tombstone: Message): void;
  tombstone(topic: string): Message | undefined;
  /** @returns whether there was one. */
  forgetTombstone(topic: string): boolean;
  /** A message that subscribers got, of a topic that retains nothing: it may have been removed, and nobody said yet whether it stands. */
  doubtful(topic: string): Message | undefined;
  /** Until the topic retains a message or has a tombstone. Of very many the oldest are forgotten. */
  doubt(message: Message): void;
  readonly tombstoneCount: number;
  /** In the order in which they came; nothing may be changed from inside. */
  forEachTombstone(visit: (tombstone: Message) => void): void;
  forEachMatch(filter: string, visit: (message: Message) => void): void;
  /** Every message, those of topics that begin with `$` too, in any order; nothing may be changed from inside. */
  forEach(visit: (message: Message) => void): void;
}

/** What is retained, for those who only read it. */
export type RetainedView = Omit<RetainedStore, 'set' | 'delete' | 'bury' | 'forgetTombstone' | 'doubt'>;

/** Names of floors that nobody gives up but who set them: what is not in the archive yet, or not in its copy. The others hold no more than their quota. */
export const ARCHIVE_FLOORS = ['archive', 'archive-copy'] as const;
export type ArchiveFloor = (typeof ARCHIVE_FLOORS)[number];
/** Before the id of a gateway: what is kept here of its archive. Whoever keeps it has a quota of its own. */
export const STANDBY_PREFIX = 'standby/';

export function isArchiveFloor(name: string): boolean {
  return (ARCHIVE_FLOORS as readonly string[]).includes(name) || name.startsWith(STANDBY_PREFIX);
}

/** A part of what is kept for others, see `Store.appendKept`. The bytes are the caller's own. */
export interface KeptPart {
  readonly position: LogPosition;
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface KeptParts {
  readonly parts: readonly KeptPart[];
  /** Where to go on reading: one more than the last position that was looked at. */
  readonly next: LogPosition;
}

/** What a store shows of itself. All figures are 0 where nothing is stored; what only grows is since it was opened. */
export interface StorageStatus {
  /** Why nothing is acknowledged at the moment; undefined while all is well. */
  readonly fault: string | undefined;
  /** Why not even a small message of QoS 1 or 2 is taken, until somebody or retention makes room; undefined: it is taken. */
  readonly shortage: string | undefined;
  readonly logBytes: number;
  readonly logMaxBytes: number;
  readonly segments: number;
  /** Of the file system, as far as known; 0: unknown. */
  readonly freeBytes: number;
  /** Wait for the disk. */
  readonly pendingBytes: number;
  /** Handed to the file system: log, database, snapshots. */
  readonly writtenBytes: number;
  /** Payloads of the messages among them. */
  readonly payloadBytes: number;
  readonly commits: number;
  readonly lastCommitMs: number;
  readonly faults: number;
  readonly checkpoints: number;
  /** Removed with segments that nobody needed. */
  readonly prunedBytes: number;
  /** Removed from segments that were written again with what is needed of them alone. */
  readonly compactedBytes: number;
  /** Positions of the log that were found missing or damaged when it was opened. */
  readonly lostPositions: number;
}

export interface Store {
  readonly level: DurabilityLevel;
  readonly status: StorageStatus;
  /** Everything up to and including this position is durable. */
  readonly committed: LogPosition;
  /** Called after `committed` rose; set by the gateway before `open`. */
  onCommitted: (() => void) | undefined;
  readonly retained: RetainedStore;

  /** Resolves when everything that was stored has been given back to `sessions` and `streams`. @param streams of a gateway in a mesh */
  open(sessions: DurableSessions, streams?: DurableStreams): Promise<void>;
  /** Reads again what the data is encrypted with. @returns puts it in force; where that rejects, what was in force stays @throws SprawlError */
  prepareKeys(): Promise<() => Promise<void>>;
  /** Resolves when everything appended is durable. */
  close(): Promise<void>;

  /**
   * Whether a message of so many bytes may be appended now: 0, or the MQTT 5 reason code of the refusal (0x97 quota,
   * 0x83 otherwise). After an append a message is never refused.
   * @param isAwaited false: for one that nobody waits for, which leaves room to those that somebody does. Default: true
   */
  admit(bytes: number, isAwaited?: boolean): number;
  /** Sets the message's own position, too; a QoS 0 message is one that is retained. @returns 0 where nothing is stored. */
  append(message: Message, origin: MessageOrigin | undefined): LogPosition;
  /**
   * A message of QoS 0 that is to be archived. Nobody waits for it: it is committed with the next record that somebody does wait for, or within
   * a second, and after a restart nobody gets it. It has no position of its own.
   */
  appendPassed(message: Message): void;
  /** The same of a run. @param topicBytes as PUBLISH carries it */
  appendPassedRun(run: PassedRun, topicBytes: Uint8Array): void;
  /** How many of the positions that were committed since the store was opened are of such messages. */
  readonly passedCount: number;
  /** Only for sessions that outlive their connection. */
  record(record: SessionRecord): LogPosition;
  /** Messages by position, undefined for each that is damaged or gone; calls back at once for an empty list, else later. */
  read(positions: readonly LogPosition[], done: (messages: readonly (Message | undefined)[]) => void): void;
  createQueue(clientId: string): DeliveryQueue;

  // For the mesh.

  recordStream(record: StreamRecord): LogPosition;
  /** Nothing of the stream is to be given back after a restart, but for what the log has since the last checkpoint. */
  forgetStream(origin: GatewayId): void;
  /** Nothing of the log from `position` on goes while this stands; undefined: it stands no more. Outlives a restart, as it was a while before. */
  setFloor(name: string, position: LogPosition | undefined): void;
  readonly floors: ReadonlyMap<string, LogPosition>;
  /** The first position that the log still has. */
  readonly first: LogPosition;
  /** About how many bytes of the log are behind the one position and not behind the other. */
  bytesBetween(after: LogPosition, upTo: LogPosition): number;
  /**
   * Keeps bytes for another gateway, by a name of at most 255 ASCII characters: a floor has to hold them. They come back to nobody after a
   * restart but to who reads them. @returns 0 where the level needs no log
   */
  appendKept(name: string, bytes: Uint8Array): LogPosition;
  /** Such bytes from a position on, as far as they are committed: some at a time, those that are damaged left out. Calls back later, once; not after `close`. */
  readKept(from: LogPosition, maxBytes: number, done: (kept: KeptParts) => void): void;
  /** While this stands `admit` refuses everything for its quota. */
  setFull(isFull: boolean): void;
  /**
   * What somebody wants to find again after a restart, a few kilobytes. It is written with the next checkpoint, and so not later than any change of
   * what is retained that comes after it.
   */
  setNote(name: string, value: Uint8Array): void;
  /** The note as it is now is durable with its position of the log, whenever the next checkpoint is. @returns 0 where the level needs no log */
  recordNote(name: string): LogPosition;
  note(name: string): Uint8Array | undefined;
  /**
   * This gateway's own messages from a position on, as far as they are committed: some at a time. Calls back later, once; not after `close`.
   * @param maxBytes about how many at once
   */
  readOwn(
    from: LogPosition,
    maxBytes: number,
    done: (own: OwnMessages) => void,
    options?: OwnReadOptions,
  ): void;
}
