/**
 * What the store knows of each durable session: its number in the log, its queue, and whether it has to be written down again.
 */
import type { LogPosition, SessionImage, SessionRecord, UnassignedImage } from '../../lib/contracts/store.js';
import { decodePositions, decodePostings, encodePositions, encodePostings } from '../queue/posting-block.js';
import type { DiskQueue, QueueState } from '../queue/disk-queue.js';
import { fromJson, toJson } from '../records/json.js';
import { readU48, writeU48 } from '../log/record.js';
import type { SessionNumber } from '../records/session-record.js';

/** Keys of the database. Those that begin with LOADED_PREFIX are read when it is opened. */
export const LOADED_PREFIX = 'l/';
export const RETAINED_PREFIX = 'l/r/';
export const CLOCK_KEY = 'l/clock';
/** There only between two checkpoints of a replay. */
export const UNASSIGNED_KEY = 'l/unassigned';
/** The log reaches back to this position at least. */
export const LOG_FLOOR_KEY = 'l/floor';

export function encodeLogFloor(position: LogPosition): Uint8Array {
  const bytes = Buffer.allocUnsafe(6);
  writeU48(bytes, 0, position);
  return bytes;
}

export function decodeLogFloor(value: Uint8Array): LogPosition {
  return readU48(value, 0);
}

export function encodeUnassigned(images: readonly UnassignedImage[]): Uint8Array {
  return Buffer.from(JSON.stringify(images), 'utf8');
}

export function decodeUnassigned(value: Uint8Array): readonly UnassignedImage[] {
  return JSON.parse(Buffer.from(value).toString('utf8')) as UnassignedImage[];
}
const SESSION_PREFIX = 'l/s/';
const SUBSCRIPTIONS_PREFIX = 'l/u/';
/** Of blocks of queues: they sort by session and block. */
export const QUEUE_PREFIX = 'q/';
const QUEUE_BLOCK = /^q\/(\d{15})\/(\d{10})$/;

/** Of a block of postings of the session's queue. */
export function queueBlockKey(session: SessionNumber, block: number): string {
  return `${QUEUE_PREFIX}${String(session).padStart(15, '0')}/${String(block).padStart(10, '0')}`;
}

/** @returns undefined where the key is of something else. */
export function parseQueueBlockKey(
  key: string,
): { readonly session: SessionNumber; readonly block: number } | undefined {
  const match = QUEUE_BLOCK.exec(key);
  return match === null ? undefined : { session: Number(match[1]), block: Number(match[2]) };
}

export class SessionEntry {
  readonly clientId: string;
  readonly number: SessionNumber;
  queue: DiskQueue | undefined;
  /** To be written down again, from a state that has everything up to this position. */
  changedAt: LogPosition = 0;
  subscriptionsAreDirty = true;
  /** No message before this position is needed, as far as it was written down. */
  floor: LogPosition;

  constructor(clientId: string, number: SessionNumber) {
    this.clientId = clientId;
    this.number = number;
    this.floor = number;
  }
}

export class SessionTable {
  readonly #byClientId = new Map<string, SessionEntry>();
  readonly #byNumber = new Map<SessionNumber, SessionEntry>();
  #dirty = new Set<SessionEntry>();
  /** Sessions that ended since the last checkpoint, for their keys. */
  #ended = new Map<SessionNumber, SessionEntry>();

  get count(): number {
    return this.#byClientId.size;
  }

  get(clientId: string): SessionEntry | undefined {
    return this.#byClientId.get(clientId);
  }

  byNumber(number: SessionNumber): SessionEntry | undefined {
    return this.#byNumber.get(number);
  }

  entries(): IterableIterator<SessionEntry> {
    return this.#byClientId.values();
  }

  /** An older session of the client id is over. */
  add(entry: SessionEntry): void {
    this.end(entry.clientId);
    this.#byClientId.set(entry.clientId, entry);
    this.#byNumber.set(entry.number, entry);
  }

  end(clientId: string): void {
    const entry = this.#byClientId.get(clientId);
    if (entry === undefined) return;
    this.#byClientId.delete(clientId);
    this.#byNumber.delete(entry.number);
    this.#dirty.delete(entry);
    this.#ended.set(entry.number, entry);
    // Nor are its blocks wanted any more.
    entry.queue?.clear();
  }

  /** A session that was created at this position of the log. */
  begin(clientId: string, number: SessionNumber): void {
    const entry = new SessionEntry(clientId, number);
    this.add(entry);
    this.changed(entry, number, true);
  }

  /** A step of a session. @param position as for `changed` */
  note({ kind, clientId }: SessionRecord, position: LogPosition): void {
    const entry = this.#byClientId.get(clientId);
    if (entry !== undefined) this.changed(entry, position, kind === 'subscribed' || kind === 'unsubscribed');
  }

  /** @param position of the record that says so; 0: it is so already. */
  changed(entry: SessionEntry, position: LogPosition, subscriptions = false): void {
    if (position > entry.changedAt) entry.changedAt = position;
    entry.subscriptionsAreDirty ||= subscriptions;
    // The queue of a session that is over is cleared, too.
    if (this.#byNumber.get(entry.number) === entry) this.#dirty.add(entry);
  }

  /** What has changed since the last call. */
  takeChanges(): { readonly dirty: ReadonlySet<SessionEntry>; readonly ended: readonly SessionEntry[] } {
    const dirty = this.#dirty;
    const ended = [...this.#ended.values()];
    this.#dirty = new Set();
    this.#ended = new Map();
    return { dirty, ended };
  }

  /** What was taken could not be written. */
  giveBack(dirty: Iterable<SessionEntry>, ended: readonly SessionEntry[]): void {
    for (const entry of dirty) this.changed(entry, 0, true);
    for (const entry of ended) this.#ended.set(entry.number, entry);
  }

  /** Nothing before it is needed by any session; Infinity: nothing at all. */
  get floor(): LogPosition {
    let floor = Infinity;
    for (const entry of this.#byClientId.values()) if (entry.floor < floor) floor = entry.floor;
    return floor;
  }
}

/** A session as it is in the database. */
export interface StoredSession {
  readonly number: SessionNumber;
  readonly image: SessionImage;
  readonly queue: QueueState;
}

interface SessionJson extends Omit<SessionImage, 'subscriptions'> {
  readonly number: SessionNumber;
  readonly queue: Omit<QueueState, 'head' | 'tail' | 'removed' | 'removedRanges'> & {
    readonly head: Uint8Array;
    readonly tail: Uint8Array;
    readonly removed: Uint8Array;
    readonly removedRanges: Uint8Array;
  };
}

/** What to write of a session. */
export function encodeSession(
  { number, image, queue }: StoredSession,
  withSubscriptions: boolean,
): [key: string, value: Uint8Array][] {
  const { subscriptions, ...rest } = image;
  const { head, tail, removed, removedRanges, ...counts } = queue;
  const json: SessionJson = {
    number,
    ...rest,
    queue: {
      ...counts,
      head: encodePostings(head),
      tail: encodePostings(tail),
      removed: encodePositions(removed),
      removedRanges: encodePositions(removedRanges),
    },
  };
  const changes: [string, Uint8Array][] = [[SESSION_PREFIX + image.clientId, toBytes(json)]];
  if (withSubscriptions)
    changes.push([SUBSCRIPTIONS_PREFIX + image.clientId, toBytes({ number, subscriptions })]);
  return changes;
}

export function sessionKeys(clientId: string): string[] {
  return [SESSION_PREFIX + clientId, SUBSCRIPTIONS_PREFIX + clientId];
}

/** Puts sessions together from the keys of the database. */
export class SessionDecoder {
  readonly #sessions: SessionJson[] = [];
  readonly #subscriptions = new Map<SessionNumber, SessionImage['subscriptions']>();

  /** @returns whether the key is one of a session. */
  visit(key: string, value: Uint8Array): boolean {
    if (key.startsWith(SESSION_PREFIX)) {
      this.#sessions.push(fromBytes(value) as SessionJson);
    } else if (key.startsWith(SUBSCRIPTIONS_PREFIX)) {
      const { number, subscriptions } = fromBytes(value) as {
        number: SessionNumber;
        subscriptions: SessionImage['subscriptions'];
      };
      this.#subscriptions.set(number, subscriptions);
    } else {
      return false;
    }
    return true;
  }

  *sessions(): Generator<StoredSession> {
    for (const { number, queue, ...rest } of this.#sessions) {
      const { head, tail, removed, removedRanges, ...counts } = queue;
      yield {
        number,
        image: { ...rest, subscriptions: this.#subscriptions.get(number) ?? [] },
        queue: {
          ...counts,
          head: decodePostings(head),
          tail: decodePostings(tail),
          removed: decodePositions(removed),
          removedRanges: decodePositions(removedRanges),
        },
      };
    }
  }
}

/** Which blocks the queues of sessions have put away, and which of them were seen. */
export class BlockCensus {
  readonly #sessions = new Map<SessionNumber, { readonly from: number; readonly to: number; left: number }>();

  add({ number, queue: { from, to } }: StoredSession): void {
    if (from < to) this.#sessions.set(number, { from, to, left: to - from });
  }

  see(key: string): void {
    const found = parseQueueBlockKey(key);
    const entry = found === undefined ? undefined : this.#sessions.get(found.session);
    if (entry !== undefined && found !== undefined && found.block >= entry.from && found.block < entry.to)
      entry.left--;
  }

  /** How many were not seen. */
  get missing(): number {
    let missing = 0;
    for (const { left } of this.#sessions.values()) missing += left;
    return missing;
  }
}

/** The first position that the image needs of the log; Infinity: none. What is owed is not in the log. */
export function imageFloor(image: SessionImage, owedFlag: number): LogPosition {
  let floor = Infinity;
  for (const { position, flags, released } of image.inFlight)
    if (position > 0 && !released && (flags & owedFlag) === 0 && position < floor) floor = position;
  return floor;
}

function toBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value, toJson), 'utf8');
}

function fromBytes(bytes: Uint8Array): unknown {
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'), fromJson);
}
