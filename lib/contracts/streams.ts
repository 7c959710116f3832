/**
 * What passes between the log and the mesh. Another gateway's messages come into this gateway's log as a stream: each is known by where
 * it stands in the log of the gateway that took it in, its origin.
 */
import type { Message } from '../message/message.js';
import type { Epoch } from './epoch.js';
import type { GatewayId } from './gateway-id.js';
import type { LogPosition } from './store.js';

/** One life of another gateway. One object for each, shared by its messages. */
export interface MessageSource {
  readonly origin: GatewayId;
  readonly epoch: Epoch;
}

/**
 * Which of two retained messages of a topic, or removals of it, is the newer: the higher counter, then the greater origin, then
 * the later epoch, then the later sequence. No clock decides.
 */
export interface RetainedVersion {
  /** One more than that of the version which its gateway knew when it was published; at most RETAINED_COUNTER_MAX. */
  readonly counter: number;
  readonly origin: GatewayId;
  readonly epoch: Epoch;
  /** Position in the log of the origin. */
  readonly sequence: LogPosition;
}

/**
 * The greatest counter of a retained version, and the greatest floor: the log and the streams have 32 bits of it. A topic comes so far after a write each
 * second for 136 years, or where a member says so. No member may say more.
 */
export const RETAINED_COUNTER_MAX = 2 ** 32 - 1;

/**
 * Of the version that is published next. At the greatest counter it stays there, and what else a version has decides which is the newer.
 * @param known of the version that its topic has; 0: it has none. @param floor which no new counter is below
 */
export function nextRetainedCounter(known: number, floor: number): number {
  return Math.min(Math.max(known, floor) + 1, RETAINED_COUNTER_MAX);
}

/** Below 0: `a` is the older; 0: they are one. */
export function compareVersions(a: RetainedVersion, b: RetainedVersion): number {
  if (a.counter !== b.counter) return a.counter - b.counter;
  if (a.origin !== b.origin) return a.origin < b.origin ? -1 : 1;
  if (a.epoch.counter !== b.epoch.counter) return a.epoch.counter - b.epoch.counter;
  if (a.epoch.nonce !== b.epoch.nonce) return a.epoch.nonce < b.epoch.nonce ? -1 : 1;
  return a.sequence - b.sequence;
}

/** How much of another gateway's log this one has. */
export interface StreamImage {
  readonly origin: GatewayId;
  /** The newest that is known of it. */
  readonly epoch: Epoch;
  /** Everything up to here that this gateway wanted is in its log. */
  readonly covered: LogPosition;
  /** Positions beyond `covered`, and beyond the cursor of `backfill`, that it has too, ascending. */
  readonly have: readonly LogPosition[];
  /** What a grown interest asks for of what is covered, while it is not all here. */
  readonly backfill?: BackfillImage | undefined;
}

export interface BackfillImage {
  /** Version of the interest that asks for it. */
  readonly id: number;
  /** Everything of it up to here is in the log. */
  readonly cursor: LogPosition;
}

/**
 * A step of a backfill, beside the steps of its stream: the last of each origin counts. From the first one on, the positions beyond the
 * cursor of messages that came are remembered: those that come again, in the other lane, are not taken twice.
 */
export interface BackfillRecord {
  readonly kind: 'backfill';
  readonly origin: GatewayId;
  readonly epoch: Epoch;
  /** Version of the interest that asks for it. */
  readonly id: number;
  readonly upTo: LogPosition;
  /** All of it is here. */
  readonly done: boolean;
}

/** A step in the life of a stream. The last of each origin and kind counts. */
export type StreamRecord =
  | BackfillRecord
  | {
      readonly kind: 'covered';
      readonly origin: GatewayId;
      readonly epoch: Epoch;
      readonly upTo: LogPosition;
    }
  /** The origin is not what it was: everything beyond `upTo` is of lives that it does not remember, or of none yet. */
  | { readonly kind: 'reset'; readonly origin: GatewayId; readonly epoch: Epoch; readonly upTo: LogPosition };

/** The streams, as the store sees them: written down now and then, and given back after a restart, as the sessions are. */
export interface DurableStreams {
  /** As they stand now, with what is appended and not yet committed. */
  images(): Iterable<StreamImage>;
  restoreStream(image: StreamImage): void;
  replayStream(record: StreamRecord): void;
  /** A message of another gateway that is in the log. */
  replayForwarded(source: MessageSource, sequence: LogPosition): void;
}

/** What is read of this gateway's log, beside its own messages of QoS 1 and 2 and what changes what is retained. */
export interface OwnReadOptions {
  /** Messages of QoS 0 that are in the log for the archive alone. Default: false. */
  readonly passed?: boolean;
}

/** A part of this gateway's log. */
export interface OwnMessages {
  /** In the order of the log; each with its position. They are the caller's own. */
  readonly messages: readonly Message[];
  /** When each of them was taken in, in milliseconds since 1970, as good as the machine knew. */
  readonly wallMs: readonly number[];
  /** Where to go on reading: one more than the last position that was looked at. */
  readonly next: LogPosition;
  /**
   * The first and the last position that the log does not have any more, whatever was there, or cannot read; 0: all is there. Of those between
   * some may be there.
   */
  readonly lostFrom: LogPosition;
  readonly lostTo: LogPosition;
}
