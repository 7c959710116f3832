/**
 * The durable store: one log that everything is written to once, and a database of what waits for whom, which follows it.
 *
 *     append, record ─▶ log ─▶ committed ─▶ lanes ─▶ queues, retained messages
 *                                             └─ now and then ─▶ checkpoint ─▶ database ─▶ snapshot
 *
 * A checkpoint is the state of the lanes after all that is committed; what they know of later records besides is written only once
 * those are committed too. After a restart the lanes get the last checkpoint back, then the log since. Records may come
 * again whose effect was written down: each of them puts things where they belong.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { Clock, Timers } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';
import {
  type DeliveryQueue,
  type DurableSessions,
  type LogPosition,
  type MessageOrigin,
  OWED_FLAG,
  type SessionRecord,
  type StorageStatus,
  type Store,
  type UnassignedImage,
} from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import { ReasonCode } from '../../lib/protocol/reason-code.js';
import type { FileSystem } from '../files/file-system.js';
import { Log } from '../log/log.js';
import { readU48, RECORD_HEADER_BYTES, writeU48 } from '../log/record.js';
import type { Loss } from '../log/recovery.js';
import { DiskQueue, type QueueBacking } from '../queue/disk-queue.js';
import { BLOCK_MAX_COUNT } from '../queue/posting-block.js';
import {
  messageRecordBytes,
  PublisherNames,
  viewMessageRecord,
  writeMessageRecord,
} from '../records/message-record.js';
import { RecordType } from '../records/record-type.js';
import { TextCache } from '../records/text-cache.js';
import {
  encodeRareStep,
  frequentStepBytes,
  isFrequentStep,
  parseSessionRecord,
  recordTypeOf,
  type SessionNumber,
  writeFrequentStep,
} from '../records/session-record.js';
import type { KeyValueStore } from '../state/key-value-store.js';
import { Keyring } from '../crypto/keyring.js';
import type { KeyProvider } from '../crypto/master-key.js';
import { SealedKeyValue, Vault } from '../crypto/vault.js';
import { Ballast } from './ballast.js';
import { takeFolderLock } from './folder-lock.js';
import { openIdentity } from './identity.js';
import { type Layout, layoutOf } from './layout.js';
import { MessageReader } from './message-reader.js';
import { SegmentCare } from './segment-care.js';
import { DiskRetainedStore } from './retained.js';
import {
  BlockCensus,
  decodeLogFloor,
  encodeLogFloor,
  encodeSession,
  imageFloor,
  LOADED_PREFIX,
  LOG_FLOOR_KEY,
  queueBlockKey,
  RETAINED_PREFIX,
  SessionDecoder,
  SessionEntry,
  sessionKeys,
  SessionTable,
  type StoredSession,
} from './session-table.js';
import { type Changes, type Rebuild, StateIndex } from './state-index.js';
import { DamagedTopicBlock, type Found, TOPIC_BLOCK_PREFIX, TopicIndex } from './topic-index.js';

const NAMES_MAX_COUNT = 10_000;
/** Topics and client ids that are decoded once while the log is read again. */
const TEXTS_MAX_COUNT = 16_384;
/** What is large enough for a machine; the simulation has smaller ones, so that little is enough to fill them. */
export const STORE_SIZES = {
  /** Positions that are replayed between two looks at the memory that it takes. */
  replayStepCount: 16_384,
  /** Blocks of queues that are kept in memory until the next checkpoint. */
  pendingBlocksMaxBytes: 4_194_304,
  /** Postings of a block. */
  blockMaxCount: BLOCK_MAX_COUNT,
};
export type StoreSizes = Readonly<typeof STORE_SIZES>;

/** Sessions that are encoded in one turn. */
const ENCODE_PER_TURN = 64;
const CLOCK_KEY = `${LOADED_PREFIX}clock`;
const CLOCK_BYTES = 12;
/** There only between two checkpoints of a replay. */
const UNASSIGNED_KEY = `${LOADED_PREFIX}unassigned`;
/** How far the gateway's clock may be behind after a crash. */
const CLOCK_EVERY_MS = 1000;
const RETRY_MS = 500;
const SPACE_EVERY_MS = 1000;

export interface DiskStoreOptions {
  readonly files: FileSystem;
  readonly folder: string;
  /** A database in this folder. */
  readonly openDatabase: (folder: string) => KeyValueStore;
  readonly clock: Clock;
  /** The clock of the gateway goes on from here, after a restart. */
  readonly continueClock: (ms: number) => void;
  readonly timers: Timers;
  readonly logger: Logger;
  /** Calls back after everything that is already in the current turn: setImmediate. */
  readonly schedule: (run: () => void) => void;
  readonly randomBytes: (size: number) => Uint8Array;
  /** Where the keys come from that the data is encrypted with. */
  readonly keyProvider: KeyProvider;
  /** Whether an acknowledgement of this topic waits for the disk. */
  readonly isOnDisk: (topic: string) => boolean;
  readonly segmentMaxBytes: number;
  readonly commitDelayMs: number;
  /** The log beyond which messages are refused. */
  readonly diskMaxBytes: number;
  /** Free space of the file system below which messages are refused. */
  readonly diskReserveBytes: number;
  /** Bytes that wait for the disk beyond which messages are refused. */
  readonly pendingMaxBytes: number;
  /** Log that is written between two checkpoints: what a restart replays at most, but for what came during the last one. */
  readonly checkpointEveryBytes: number;
  readonly snapshotEveryBytes: number;
  /** What nobody needs any more is kept up to this size of the log, and for so long. */
  readonly keepMaxBytes: number;
  readonly keepMaxAgeMs: number;
  readonly ballastBytes: number;
  readonly sizes?: StoreSizes;
}

/** Figures that only grow. */
export interface StoreFigures {
  checkpoints: number;
  /** Payloads of the messages that were appended. */
  messageBytes: number;
}

/** A session as a checkpoint found it. */
interface TakenSession {
  readonly entry: SessionEntry;
  readonly session: StoredSession;
  readonly withSubscriptions: boolean;
  /** Of the log, as far as this session is concerned. */
  readonly floor: LogPosition;
}

/** What the database had. */
interface LoadedState {
  readonly restored: readonly StoredSession[];
  readonly unassigned: readonly UnassignedImage[];
}

const EMPTY_QUEUE = {
  ...{ from: 0, to: 0, storedCount: 0, storedBytes: 0, head: [], tail: [], floor: 0 },
  ...{ removed: [], removedRanges: [] },
};

export class DiskStore implements Store {
  readonly level = 'disk';
  readonly retained = new DiskRetainedStore();
  onCommitted: (() => void) | undefined;
  readonly figures: StoreFigures = { checkpoints: 0, messageBytes: 0 };
  /** The log reaches back to it, as the database knows; undefined: it does not, being new or made again. */
  #logFloor: LogPosition | undefined;
  /** What recovery found missing. */
  losses: readonly Loss[] = [];
  readonly #options: DiskStoreOptions;
  readonly #sizes: StoreSizes;
  readonly #layout: Layout;
  readonly #names = new PublisherNames(NAMES_MAX_COUNT);
  readonly #texts = new TextCache(TEXTS_MAX_COUNT);
  readonly #table = new SessionTable();
  readonly #topics = new TopicIndex();
  /** Queues of sessions that end with their connection. */
  readonly #passing = new Set<DiskQueue>();
  readonly #lock: KeyValueStore;
  readonly #ballast: Ballast;
  #sessions: DurableSessions | undefined;
  #index: StateIndex | undefined;
  #openLog: Log | undefined;
  #vault: Vault | undefined;
  #reader: MessageReader | undefined;
  #care: SegmentCare | undefined;
  /** During a replay: everything up to it has been given to the lanes. */
  #replayedTo: LogPosition | undefined;
  #checkpointing: Promise<void> | undefined;
  #indexing: Promise<void> | undefined;
  #checkpointedAtBytes = 0;
  #snapshotAtBytes = 0;
  #clockWrittenAt = -Infinity;
  /** The gateway's time when its last process wrote it, as far as it was read. */
  #storedTimeMs = 0;
  #freeBytes = Infinity;
  #spaceLookedAt = -Infinity;
  #closed = false;
  readonly #waitForLog: (() => void)[] = [];

  constructor(options: DiskStoreOptions) {
    this.#options = options;
    this.#sizes = options.sizes ?? STORE_SIZES;
    this.#layout = layoutOf(options.folder);
    this.#lock = options.openDatabase(this.#layout.lock);
    this.#ballast = new Ballast(options.files, this.#layout.ballast, options.ballastBytes);
  }

  get committed(): LogPosition {
    return this.#openLog?.committed ?? 0;
  }

  get status(): StorageStatus {
    const log = this.#log;
    let lostPositions = 0;
    for (const { first, last } of this.losses) lostPositions += last - first + 1;
    return {
      fault: log.fault?.message,
      logBytes: log.storedBytes,
      logMaxBytes: this.#options.diskMaxBytes,
      segments: log.segments.length,
      freeBytes: Number.isFinite(this.#freeBytes) ? this.#freeBytes : 0,
      pendingBytes: log.pendingBytes,
      writtenBytes: log.figures.bytesWritten + this.#stateIndex.bytesWritten,
      payloadBytes: this.figures.messageBytes,
      commits: log.figures.commits,
      lastCommitMs: log.figures.lastCommitMs,
      faults: log.figures.faults,
      checkpoints: this.figures.checkpoints,
      prunedBytes: this.#care?.prunedBytes ?? 0,
      compactedBytes: this.#care?.compactedBytes ?? 0,
      lostPositions,
    };
  }

  /** Bytes of all segments. */
  get logBytes(): number {
    return this.#log.storedBytes;
  }

  get log(): Log {
    return this.#log;
  }

  // Opening.

  /** @throws SprawlError STORAGE_LOCKED, STORAGE_FORMAT_NEWER, STORAGE_FOREIGN, STORAGE_CORRUPT, STORAGE_FULL, STORAGE_IO */
  async open(sessions: DurableSessions): Promise<void> {
    this.#sessions = sessions;
    const { files, folder } = this.#options;
    await files.makeFolder(folder);
    await takeFolderLock(this.#lock);
    try {
      await this.#open(sessions);
    } catch (error) {
      await this.#closeParts();
      throw error;
    }
  }

  async #open(sessions: DurableSessions): Promise<void> {
    const { files, openDatabase, logger, randomBytes } = this.#options;
    const { id, isNew, fault } = await openIdentity(files, this.#layout, randomBytes);
    if (fault !== undefined)
      logger.warn('identity.json is made again from the data', {
        path: this.#layout.identity,
        reason: fault,
      });
    await this.#ballast.prepare().catch(() => undefined);
    const { vault, isNew: wasPlain } = await this.#openVault();
    const database = openDatabase(this.#layout.index);
    // What was not encrypted so far is made again from the log, encrypted.
    if (wasPlain && !isNew) await database.destroy();
    const index = new StateIndex({
      files,
      database: vault === undefined ? database : new SealedKeyValue(database, vault),
      vault,
      snapshotFolder: this.#layout.snapshots,
      identity: id,
      logger,
    });
    this.#index = index;
    const { restored, unassigned } = await this.#load(index, isNew);
    await this.#openTheLog(id, vault, Math.max(index.applied, index.newestSnapshot));
    // The names of folders that an earlier process made, and did not live to sync.
    await files.syncFolder(this.#options.folder);
    this.#reportLosses();
    for (const session of restored) this.#restoreSession(session, sessions);
    await this.#restoreUnassigned(unassigned, sessions);
    await this.#replay(sessions);
    this.#countBytesSince();
    if (index.rebuild !== undefined) this.#indexing = this.#indexAgain(index.applied);
    // Nor does the time that this took: nobody could come back in it.
    this.#options.continueClock(this.#storedTimeMs);
    sessions.restored();
    this.#log.onCommitted = () => this.#onCommitted();
    this.#log.onFault = () => this.#wakeThoseWhoWait();
  }

  async #openVault(): Promise<{ readonly vault: Vault | undefined; readonly isNew: boolean }> {
    const { files, keyProvider, randomBytes } = this.#options;
    const opened = await Keyring.open(files, this.#layout.keys, await keyProvider.masterKeys(), randomBytes);
    if (opened === undefined) return { vault: undefined, isNew: false };
    this.#vault = new Vault(opened.keyring);
    return { vault: this.#vault, isNew: opened.isNew };
  }

  /** Reads the keys again: with another master key, what is written from now on has a new data key. @throws SprawlError STORAGE_KEY_INVALID, STORAGE_IO */
  async reloadKeys(): Promise<void> {
    const { keyProvider, logger } = this.#options;
    const keyring = this.#vault?.keyring;
    if (keyring === undefined) return;
    const masterKeys = await keyProvider.masterKeys();
    if (await keyring.rotate(masterKeys))
      logger.info('the data keys are wrapped with another master key', { master: keyring.masterId });
  }

  async #load(index: StateIndex, isNew: boolean): Promise<LoadedState> {
    let decoder = new SessionDecoder();
    let unassigned: readonly UnassignedImage[] = [];
    const visit = (key: string, value: Uint8Array): void => {
      if (decoder.visit(key, value)) return;
      if (key === UNASSIGNED_KEY) unassigned = decodeUnassigned(value);
      else if (key.startsWith(RETAINED_PREFIX)) this.retained.restore(value);
      else if (key.startsWith(TOPIC_BLOCK_PREFIX)) this.#topics.restore(key, value);
      else if (key === CLOCK_KEY) this.#sawTime(value, 0);
      else if (key === LOG_FLOOR_KEY) this.#logFloor = decodeLogFloor(value);
    };
    const restart = (): void => {
      decoder = new SessionDecoder();
      unassigned = [];
      this.#logFloor = undefined;
      this.retained.reset();
      this.#topics.reset();
    };
    const census = (): BlockCensus => {
      const blocks = new BlockCensus();
      for (const session of decoder.sessions()) blocks.add(session);
      return blocks;
    };
    await index.open(isNew, visit, restart, census);
    return { restored: [...decoder.sessions()], unassigned };
  }

  async #openTheLog(
    identity: Uint8Array,
    cipher: Vault | undefined,
    continueAfter: LogPosition,
  ): Promise<void> {
    const { files, clock, timers, logger, schedule, segmentMaxBytes, commitDelayMs } = this.#options;
    const { keepMaxBytes, keepMaxAgeMs } = this.#options;
    const log = await Log.open({
      files,
      folder: this.#layout.log,
      identity,
      clock,
      timers,
      logger,
      schedule,
      segmentMaxBytes,
      commitDelayMs,
      cipher,
      continueAfter,
      releaseSpace: () => this.#ballast.release(),
    });
    this.#openLog = log;
    this.#reader = new MessageReader(log.reader);
    this.#care = new SegmentCare({
      log,
      index: this.#stateIndex,
      table: this.#table,
      topics: this.#topics,
      sessions: this.#sessions as DurableSessions,
      passing: this.#passing,
      wall: () => clock.wall(),
      committedTo: (position) => this.#committedTo(position),
      keepMaxBytes,
      keepMaxAgeMs,
    });
  }

  #reportLosses(): void {
    const { report, reader } = this.#log;
    const from = this.#logFloor ?? this.#stateIndex.applied + 1;
    const losses: Loss[] = [];
    if (reader.first > from)
      losses.push({ first: from, last: reader.first - 1, path: this.#layout.log, cause: 'missing' });
    // Without any segment nothing else tells where the log began.
    for (const loss of report.losses)
      if (loss.last >= from) losses.push({ ...loss, first: Math.max(loss.first, from) });
    for (const loss of losses) this.#noteLoss(loss);
    for (const path of report.headersMadeAgain)
      this.#options.logger.warn('the header of a segment was damaged and is made again', { path });
    for (const path of report.setAside)
      this.#options.logger.error('a segment of the log cannot be read and was set aside', {
        path: `${path}.bad`,
      });
  }

  #noteLoss(loss: Loss): void {
    const { first, last, path, cause } = loss;
    if (this.losses.some((known) => first >= known.first && last <= known.last)) return;
    this.losses = [...this.losses, loss];
    this.#options.logger.error('a part of the log is lost', { first, last, path, cause });
  }

  #restoreSession({ number, image, queue }: StoredSession, sessions: DurableSessions): void {
    const entry = new SessionEntry(image.clientId, number);
    entry.subscriptionsAreDirty = false;
    this.#table.add(entry);
    entry.queue = new DiskQueue(this.#backingOf(entry), queue);
    entry.floor = Math.min(entry.queue.floor, imageFloor(image, OWED_FLAG));
    sessions.restoreSession(image);
  }

  async #restoreUnassigned(images: readonly UnassignedImage[], sessions: DurableSessions): Promise<void> {
    const messages = await this.#messageReader.read(images.map(({ position }) => position));
    for (const [i, { filters }] of images.entries()) {
      const message = messages[i];
      if (message !== undefined) sessions.restoreUnassigned(message, filters);
    }
  }

  async #replay(sessions: DurableSessions): Promise<void> {
    const { applied } = this.#stateIndex;
    const { reader, committed } = this.#log;
    let at = Math.max(applied + 1, reader.first);
    this.#replayedTo = at - 1;
    while (at <= committed) {
      const { next, damage } = await reader.read(
        at,
        at + this.#sizes.replayStepCount - 1,
        (position, type, bytes, start, end) =>
          this.#replayRecord(sessions, position, type, bytes, start, end),
      );
      // A segment that was ended in order is read for the first time here.
      for (const { first, last } of damage)
        this.#noteLoss({ first, last, path: this.#pathOf(first), cause: 'damaged' });
      at = next;
      this.#replayedTo = at - 1;
      if (this.#stateIndex.pendingBytes > this.#sizes.pendingBlocksMaxBytes) await this.#checkpoint();
    }
    this.#replayedTo = undefined;
  }

  /** A snapshot is without the index of topics: what the log still has is looked up in the background. */
  async #indexAgain(upTo: LogPosition): Promise<void> {
    const older = new TopicIndex();
    try {
      await this.#indexTopics(older, this.#log.reader.first, upTo);
      older.written();
      this.#topics.putBefore(older);
    } catch (error) {
      if (!this.#closed)
        this.#options.logger.warn('older messages cannot be found by topic', { reason: String(error) });
    }
  }

  /** Fills the index with messages of the log, and writes it down with the next checkpoint. @throws SprawlError STORAGE_IO */
  async #indexTopics(topics: TopicIndex, from: LogPosition, to: LogPosition): Promise<void> {
    const { reader } = this.#log;
    for (let at = Math.max(from, reader.first); at <= to && !this.#closed;) {
      const { next } = await reader.read(
        at,
        Math.min(to, at + this.#sizes.replayStepCount - 1),
        (position, type, bytes, start, end) => {
          if (type !== RecordType.message && type !== RecordType.retained) return;
          const { message, wallMs } = viewMessageRecord(bytes, start, end, this.#texts);
          topics.add(message.topic, position, wallMs);
        },
      );
      at = next;
      await this.#pause();
    }
    const changes: Changes = new Map();
    topics.beginCheckpoint();
    await topics.encode(changes, () => this.#pause());
    for (const [key, value] of changes) if (value !== null) this.#stateIndex.put(key, value);
    // One that began before does not have them.
    await this.#checkpointing;
    await this.#keepUp();
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#options.schedule(resolve));
  }

  #pathOf(position: LogPosition): string {
    const segment = this.#log.segments.find(
      ({ header, next }) => position >= header.first && position < next,
    );
    return segment?.path ?? this.#layout.log;
  }

  /** What an earlier process wrote counts, too: the next checkpoint and snapshot are not put off by every restart. */
  #countBytesSince(): void {
    const { applied, newestSnapshot } = this.#stateIndex;
    for (const { header, end } of this.#log.segments) {
      if (header.first > applied) this.#checkpointedAtBytes -= end;
      if (header.first > newestSnapshot) this.#snapshotAtBytes -= end;
    }
  }

  #replayRecord(
    sessions: DurableSessions,
    position: LogPosition,
    type: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (type === RecordType.message || type === RecordType.retained) {
      const { message, packetId, isWill, wallMs } = viewMessageRecord(bytes, start, end, this.#texts);
      if (message.retain || type === RecordType.retained) message.copyBytes();
      message.position = position;
      this.#topics.add(message.topic, position, wallMs);
      const publisher = packetId === 0 && !isWill ? undefined : this.#sessionAt(position, message.publisher);
      if (publisher !== undefined) this.#table.changed(publisher, 0);
      if (isWill && publisher !== undefined)
        sessions.replayStep({ kind: 'willPublished', clientId: publisher.clientId });
      if (type === RecordType.message)
        sessions.replayMessage(message, publisher === undefined ? 0 : packetId);
      else sessions.replayRetained(message);
      return;
    }
    if (type === RecordType.time) {
      this.#sawTime(bytes, start);
      return;
    }
    const record = parseSessionRecord(
      type,
      bytes,
      start,
      end,
      (number) => this.#table.byNumber(number)?.clientId,
      this.#texts,
    );
    if (record === undefined) return;
    if (record.kind === 'created') {
      // It was written down after it was created.
      if (this.#table.byNumber(position) !== undefined) return;
      this.#addSession(record.clientId, position);
    } else if (record.kind !== 'assigned') {
      this.#noteChange(record, 0);
    }
    sessions.replayStep(record);
    if (record.kind === 'ended') this.#endSession(record.clientId);
  }

  /** The session that the client had at this position of the log, where it is the one that it has. */
  #sessionAt(position: LogPosition, clientId: string): SessionEntry | undefined {
    const entry = this.#table.get(clientId);
    return entry === undefined || entry.number > position ? undefined : entry;
  }

  // Writing.

  admit(bytes: number): number {
    const log = this.#log;
    const { fault } = log;
    if (fault !== undefined)
      return fault.code === 'STORAGE_FULL'
        ? ReasonCode.quotaExceeded
        : ReasonCode.implementationSpecificError;
    const { diskMaxBytes, diskReserveBytes, pendingMaxBytes } = this.#options;
    const pending = log.pendingBytes + bytes;
    this.#lookAtSpace();
    if (log.storedBytes + pending > diskMaxBytes || this.#freeBytes - pending < diskReserveBytes)
      return ReasonCode.quotaExceeded;
    return pending > pendingMaxBytes ? ReasonCode.quotaExceeded : 0;
  }

  append(message: Message, origin: MessageOrigin | undefined): LogPosition {
    if (!this.#options.isOnDisk(message.topic)) return 0;
    this.#writeClock();
    const publisher = this.#names.bytesOf(message.publisher);
    // Only a session that outlives its connection can be asked about the packet again, or has its will, after a restart.
    const isWill = origin?.packetId === 0;
    const session = isWill || origin?.qos === 2 ? this.#table.get(origin.clientId) : undefined;
    const packetId = session === undefined ? 0 : (origin as MessageOrigin).packetId;
    const log = this.#log;
    const size = messageRecordBytes(message, publisher, packetId);
    const chunk = log.reserve(size);
    const wallMs = this.#options.clock.wall();
    writeMessageRecord(
      chunk.buffer,
      chunk.length + RECORD_HEADER_BYTES,
      message,
      publisher,
      packetId,
      wallMs,
      isWill && session !== undefined,
    );
    const type = message.qos === 0 ? RecordType.retained : RecordType.message;
    const position = log.append(chunk, type, size);
    message.position = position;
    this.figures.messageBytes += message.payloadLength;
    this.#topics.add(message.topic, position, wallMs);
    if (session !== undefined) this.#table.changed(session, position);
    return position;
  }

  record(record: SessionRecord): LogPosition {
    this.#writeClock();
    const log = this.#log;
    if (record.kind !== 'created') {
      const entry = this.#table.get(record.clientId);
      // It ended before; or, of a shared subscription, it is one that ends with its connection.
      if (entry === undefined && record.kind !== 'assigned') return log.position;
      const position = this.#write(record, entry?.number ?? 0);
      if (record.kind === 'ended') this.#endSession(record.clientId);
      else this.#noteChange(record, position);
      return position;
    }
    const position = this.#write(record, 0);
    this.#addSession(record.clientId, position);
    return position;
  }

  #write(record: SessionRecord, session: SessionNumber): LogPosition {
    const log = this.#log;
    const type = recordTypeOf(record);
    if (isFrequentStep(record)) {
      const size = frequentStepBytes(record);
      const chunk = log.reserve(size);
      writeFrequentStep(chunk.buffer, chunk.length + RECORD_HEADER_BYTES, session, record);
      return log.append(chunk, type, size);
    }
    return this.#writeBytes(type, encodeRareStep(record, session));
  }

  #writeBytes(type: RecordType, body: Uint8Array): LogPosition {
    const log = this.#log;
    const chunk = log.reserve(body.length);
    chunk.buffer.set(body, chunk.length + RECORD_HEADER_BYTES);
    return log.append(chunk, type, body.length);
  }

  /** In front of what it is the time of. An idle gateway writes nothing: after a crash its time goes on from its last record. */
  #writeClock(): void {
    const { clock } = this.#options;
    const now = clock.now();
    if (now - this.#clockWrittenAt < CLOCK_EVERY_MS) return;
    this.#clockWrittenAt = now;
    this.#writeBytes(RecordType.time, this.#clockBytes(now));
  }

  /** Times of the log before a checkpoint are earlier than its own. */
  #sawTime(bytes: Uint8Array, at: number): void {
    this.#storedTimeMs = Math.max(this.#storedTimeMs, readU48(bytes, at));
    this.#options.continueClock(this.#storedTimeMs);
  }

  #clockBytes(now: number): Uint8Array {
    const body = Buffer.allocUnsafe(CLOCK_BYTES);
    writeU48(body, 0, Math.floor(now));
    writeU48(body, 6, this.#options.clock.wall());
    return body;
  }

  // Sessions and their queues.

  #addSession(clientId: string, number: SessionNumber): void {
    this.#forgetQueue(this.#table.get(clientId));
    const entry = new SessionEntry(clientId, number);
    this.#table.add(entry);
    this.#table.changed(entry, number, true);
  }

  #endSession(clientId: string): void {
    this.#forgetQueue(this.#table.end(clientId));
  }

  /** Blocks of a session that is over are not wanted any more. */
  #forgetQueue(entry: SessionEntry | undefined): void {
    entry?.queue?.clear();
  }

  #noteChange(record: SessionRecord, position: LogPosition): void {
    const entry = this.#table.get(record.clientId);
    if (entry === undefined) return;
    this.#table.changed(entry, position, record.kind === 'subscribed' || record.kind === 'unsubscribed');
  }

  createQueue(clientId: string): DeliveryQueue {
    const entry = this.#table.get(clientId);
    if (entry !== undefined) return (entry.queue ??= new DiskQueue(this.#backingOf(entry)));
    const blocks = new Map<number, Uint8Array>();
    const queue: DiskQueue = new DiskQueue({
      ...this.#commonBacking(clientId),
      putBlock: (block, bytes) => blocks.set(block, bytes),
      getBlock: async (block) => blocks.get(block) as Uint8Array,
      dropBlock: (block) => blocks.delete(block),
      changed: () => this.#passing.add(queue),
    });
    return queue;
  }

  #backingOf(entry: SessionEntry): QueueBacking {
    const keyOf = (block: number): string => queueBlockKey(entry.number, block);
    return {
      ...this.#commonBacking(entry.clientId),
      putBlock: (block, bytes) => this.#stateIndex.put(keyOf(block), bytes),
      getBlock: (block) => this.#stateIndex.get(keyOf(block)),
      dropBlock: (block) => this.#stateIndex.drop(keyOf(block)),
      changed: () => this.#table.changed(entry, 0),
    };
  }

  #commonBacking(
    clientId: string,
  ): Pick<QueueBacking, 'blockMaxCount' | 'readMessages' | 'lost' | 'retryLater'> {
    const { logger, timers } = this.#options;
    return {
      blockMaxCount: this.#sizes.blockMaxCount,
      readMessages: (positions) => this.#messageReader.read(positions),
      lost: (position) =>
        logger.error('a message that waited for a client is lost', { client: clientId, position }),
      retryLater: (error, again) => {
        if (this.#closed) return;
        logger.error('what waits for a client cannot be read', { client: clientId, reason: String(error) });
        timers.after(RETRY_MS, again);
      },
    };
  }

  read(positions: readonly LogPosition[], done: (messages: readonly (Message | undefined)[]) => void): void {
    if (positions.length === 0) {
      done([]);
      return;
    }
    void this.#readUntilDone(positions, done);
  }

  async #readUntilDone(
    positions: readonly LogPosition[],
    done: (messages: readonly (Message | undefined)[]) => void,
  ): Promise<void> {
    for (;;) {
      try {
        const messages = await this.#messageReader.read(positions);
        done(messages);
        return;
      } catch (error) {
        if (this.#closed) return;
        this.#options.logger.error('messages cannot be read', { reason: String(error) });
        await new Promise<void>((resolve) => this.#options.timers.after(RETRY_MS, resolve));
      }
    }
  }

  /**
   * Messages of one topic that were published from `fromMs` to `toMs` (milliseconds since 1970, both included), as far as the log
   * has them, oldest first, without those that have expired. @param limit how many at most. @throws SprawlError STORAGE_IO, STORAGE_CORRUPT
   */
  async find(topic: string, fromMs: number, toMs: number, limit: number): Promise<Message[]> {
    const found = await this.#findPostings(topic, fromMs, toMs, limit);
    const messages = await this.#messageReader.read(found.map(({ position }) => position));
    const now = this.#options.clock.now();
    return messages.filter((message) => message !== undefined && message.expiresAt > now) as Message[];
  }

  async #findPostings(topic: string, fromMs: number, toMs: number, limit: number): Promise<Found[]> {
    const made = new Set<LogPosition>();
    for (;;) {
      try {
        return await this.#topics.find(this.#stateIndex, topic, fromMs, toMs, limit);
      } catch (error) {
        if (!(error instanceof DamagedTopicBlock) || made.has(error.block.first)) throw error;
        const { first, last } = error.block;
        made.add(first);
        this.#options.logger.warn('a part of the index of topics is made again', { reason: error.message });
        await this.#indexTopics(TopicIndex.inPlaceOf(error.block), first, last);
      }
    }
  }

  // Checkpoints.

  #onCommitted(): void {
    this.onCommitted?.();
    this.#wakeThoseWhoWait();
    const written = this.#log.figures.bytesWritten;
    const { checkpointEveryBytes } = this.#options;
    const isDue =
      written - this.#checkpointedAtBytes >= checkpointEveryBytes ||
      this.#stateIndex.pendingBytes > this.#sizes.pendingBlocksMaxBytes;
    if (isDue && this.#checkpointing === undefined && !this.#closed) void this.#keepUp();
  }

  /** One checkpoint, and a snapshot where it is time; never rejects. */
  #keepUp(): Promise<void> {
    this.#checkpointing ??= this.#checkpointAndMore()
      .catch(async (error: unknown) => {
        this.#options.logger.error('the state cannot be written down, the log keeps it meanwhile', {
          reason: String(error),
        });
        if (!this.#closed)
          await new Promise<void>((resolve) => this.#options.timers.after(RETRY_MS, resolve));
      })
      .finally(() => {
        this.#checkpointing = undefined;
      });
    return this.#checkpointing;
  }

  async #checkpointAndMore(): Promise<void> {
    await this.#checkpoint();
    const written = this.#log.figures.bytesWritten;
    const { snapshotEveryBytes } = this.#options;
    // A large state is not copied more often than what it grows by is worth.
    const every = Math.max(snapshotEveryBytes, this.#stateIndex.lastSnapshotBytes * 4);
    if (written - this.#snapshotAtBytes >= every) {
      await this.#stateIndex.snapshot();
      this.#snapshotAtBytes = written;
    }
    await this.#care?.run();
    await this.#ballast.prepare().catch(() => undefined);
  }

  async #checkpoint(): Promise<void> {
    const sessions = this.#sessions as DurableSessions;
    const log = this.#log;
    const index = this.#stateIndex;
    // From here to `beginCheckpoint` nothing may change: the state is that of one moment.
    const applied = this.#replayedTo ?? log.committed;
    const knows = log.position;
    this.#checkpointedAtBytes = log.figures.bytesWritten;
    const { dirty, ended } = this.#table.takeChanges();
    const due = new Set(dirty);
    sessions.forEachBusy((clientId) => {
      const entry = this.#table.get(clientId);
      if (entry !== undefined) due.add(entry);
    });
    const taken: TakenSession[] = [];
    for (const entry of due) {
      const image = sessions.imageOf(entry.clientId);
      if (image === undefined) continue;
      const queue = entry.queue?.stateAt(applied) ?? { ...EMPTY_QUEUE, upTo: applied };
      taken.push({
        entry,
        session: { number: entry.number, image, queue },
        withSubscriptions: entry.subscriptionsAreDirty,
        floor: Math.min(entry.queue?.floor ?? Infinity, imageFloor(image, OWED_FLAG)),
      });
      entry.subscriptionsAreDirty = false;
      // What it is told of here may not be what the lanes show yet.
      if (entry.changedAt > applied) this.#table.changed(entry, entry.changedAt, true);
    }
    const retained = this.retained.takeChanged();
    const changes: Changes = new Map();
    for (const { clientId } of ended)
      if (this.#table.get(clientId) === undefined)
        for (const key of sessionKeys(clientId)) changes.set(key, null);
    for (const topic of retained) changes.set(...this.retained.change(topic, this.#names));
    changes.set(CLOCK_KEY, this.#clockBytes(this.#options.clock.now()));
    const logFloor = this.#logFloor ?? log.reader.first;
    // Later ones come when something is dropped.
    if (this.#logFloor === undefined) changes.set(LOG_FLOOR_KEY, encodeLogFloor(logFloor));
    const unassigned = this.#replayedTo === undefined ? [] : sessions.unassigned();
    changes.set(UNASSIGNED_KEY, unassigned.length === 0 ? null : encodeUnassigned(unassigned));
    index.beginCheckpoint();
    this.#topics.beginCheckpoint();
    try {
      for (const [i, { session, withSubscriptions }] of taken.entries()) {
        for (const [key, value] of encodeSession(session, withSubscriptions)) changes.set(key, value);
        if (i % ENCODE_PER_TURN === ENCODE_PER_TURN - 1) await this.#pause();
      }
      await this.#topics.encode(changes, () => this.#pause());
      await this.#committedTo(knows);
      await index.write(applied, changes);
    } catch (error) {
      this.#table.giveBack(due, ended);
      this.retained.giveBack(retained);
      throw error;
    }
    this.#logFloor = logFloor;
    this.figures.checkpoints++;
    this.#topics.written();
    for (const { entry, floor } of taken) entry.floor = floor;
  }

  async #committedTo(position: LogPosition): Promise<void> {
    const log = this.#log;
    while (log.committed < position) {
      if (log.isClosed || (this.#closed && log.fault !== undefined))
        throw new SprawlError('STORAGE_IO', 'the log was closed over what is pending');
      await new Promise<void>((resolve) => this.#waitForLog.push(resolve));
    }
  }

  /** What is committed, or whether that can be hoped for, is not as it was. */
  #wakeThoseWhoWait(): void {
    for (const wake of this.#waitForLog.splice(0)) wake();
  }

  /** Asks the file system now and then. */
  #lookAtSpace(): void {
    const { clock, files, folder } = this.#options;
    const now = clock.now();
    if (now - this.#spaceLookedAt < SPACE_EVERY_MS) return;
    this.#spaceLookedAt = now;
    files.freeBytes(folder).then(
      (bytes) => {
        this.#freeBytes = bytes;
      },
      () => undefined,
    );
  }

  /** Why and from what the database was made again when the store was opened; undefined: it was as it should be. */
  get rebuild(): Rebuild | undefined {
    return this.#stateIndex.rebuild;
  }

  /** Resolves when nothing goes on in the background. */
  async settled(): Promise<void> {
    await this.#indexing;
    await this.#checkpointing;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#wakeThoseWhoWait();
    await this.settled();
    const log = this.#openLog;
    if (log !== undefined && log.fault === undefined) {
      await log.flush();
      if (log.fault === undefined) {
        await this.#checkpoint().catch((error: unknown) =>
          this.#options.logger.error('the state cannot be written down, the log keeps it', {
            reason: String(error),
          }),
        );
      }
    }
    await this.#closeParts();
  }

  async #closeParts(): Promise<void> {
    await this.#openLog?.close();
    await this.#index?.close();
    await this.#lock.close();
  }

  get #log(): Log {
    return this.#openLog ?? notOpen();
  }

  get #stateIndex(): StateIndex {
    return this.#index ?? notOpen();
  }

  get #messageReader(): MessageReader {
    return this.#reader ?? notOpen();
  }
}

function encodeUnassigned(images: readonly UnassignedImage[]): Uint8Array {
  return Buffer.from(JSON.stringify(images), 'utf8');
}

function decodeUnassigned(value: Uint8Array): readonly UnassignedImage[] {
  return JSON.parse(Buffer.from(value).toString('utf8')) as UnassignedImage[];
}

function notOpen(): never {
  throw new Error('the store is not open');
}
