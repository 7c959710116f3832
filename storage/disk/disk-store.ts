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
import type {
  DeliveryQueue,
  DurableSessions,
  KeptParts,
  LogPosition,
  MessageOrigin,
  PassedRun,
  SessionRecord,
  StorageStatus,
  Store,
  UnassignedImage,
} from '../../lib/contracts/store.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { MasterKey } from '../../lib/contracts/master-key.js';
import type {
  DurableStreams,
  MessageSource,
  OwnMessages,
  OwnReadOptions,
  StreamRecord,
} from '../../lib/contracts/streams.js';
import type { Message } from '../../lib/message/message.js';
import { ReasonCode } from '../../lib/protocol/reason-code.js';
import { Keyring } from '../crypto/keyring.js';
import { SealedKeyValue, Vault } from '../crypto/vault.js';
import { Log } from '../log/log.js';
import { RECORD_HEADER_BYTES } from '../log/record.js';
import type { Loss } from '../log/recovery.js';
import {
  messageRecordBytes,
  plainRecordHead,
  PublisherNames,
  writeMessageRecord,
  writePlainRecord,
} from '../records/message-record.js';
import { RecordType } from '../records/record-type.js';
import {
  encodeRareStep,
  frequentStepBytes,
  isFrequentStep,
  recordTypeOf,
  type SessionNumber,
  writeFrequentStep,
} from '../records/session-record.js';
import { TextCache } from '../records/text-cache.js';
import type { KeyValueStore } from '../state/key-value-store.js';
import { Ballast } from './ballast.js';
import { Checkpoints } from './checkpoints.js';
import { takeFolderLock } from './folder-lock.js';
import { expectFinished, openIdentity } from './identity.js';
import { type Layout, layoutOf } from './layout.js';
import { encodeNote, encodeSource, encodeStreamRecord, MeshState, streamRecordType } from './mesh-state.js';
import { readKept } from './kept-reader.js';
import { MessageReader } from './message-reader.js';
import { readOwn } from './own-reader.js';
import type { OpenParts } from './open-parts.js';
import { type DiskStoreOptions, STORE_SIZES } from './options.js';
import { Replay } from './replay.js';
import { DiskRetainedStore } from './retained.js';
import { SegmentCare } from './segment-care.js';
import { RETRY_MS, SessionQueues } from './session-queues.js';
import {
  BlockCensus,
  CLOCK_KEY,
  decodeLogFloor,
  decodeUnassigned,
  LOG_FLOOR_KEY,
  RETAINED_PREFIX,
  SessionDecoder,
  SessionTable,
  type StoredSession,
  UNASSIGNED_KEY,
} from './session-table.js';
import { type Rebuild, StateIndex } from './state-index.js';
import { StoredClock } from './stored-clock.js';
import { TOPIC_BLOCK_PREFIX, TopicIndex } from './topic-index.js';
import { TopicSearch } from './topic-search.js';

const NAMES_MAX_COUNT = 4096;
/** Topics and client ids that are decoded once while the log is read again. */
const TEXTS_MAX_COUNT = 16_384;
const LOOK_EVERY_MS = 1000;
/** What messages that nobody waits for leave of the quota to others: a sixteenth. Of what may wait for the disk it is half. */
const LEFT_OF_QUOTA = 1 / 16;
/** With topic and properties: where there is no room for one there is none worth speaking of. */
const SMALL_MESSAGE_BYTES = 1024;

/** What the database had. */
interface LoadedState {
  readonly restored: readonly StoredSession[];
  readonly unassigned: readonly UnassignedImage[];
  readonly logFloor: LogPosition | undefined;
}

/** What works on log and database while they are open. */
interface Workers {
  readonly parts: OpenParts;
  readonly queues: SessionQueues;
  readonly checkpoints: Checkpoints;
  readonly care: SegmentCare;
  readonly search: TopicSearch;
}

export class DiskStore implements Store {
  readonly level = 'disk';
  readonly retained = new DiskRetainedStore();
  onCommitted: (() => void) | undefined;
  /** What recovery found missing. */
  losses: readonly Loss[] = [];
  readonly #options: DiskStoreOptions;
  readonly #layout: Layout;
  readonly #names = new PublisherNames(NAMES_MAX_COUNT);
  readonly #table = new SessionTable();
  readonly #topics = new TopicIndex();
  readonly #mesh = new MeshState();
  readonly #clock: StoredClock;
  readonly #lock: KeyValueStore;
  readonly #ballast: Ballast;
  #index: StateIndex | undefined;
  #openLog: Log | undefined;
  #vault: Vault | undefined;
  #openWorkers: Workers | undefined;
  #indexing: Promise<void> | undefined;
  /** Of the messages that were appended. */
  #payloadBytes = 0;
  #freeBytes = Infinity;
  #diskLookedAt = -Infinity;
  #isFull = false;
  #closed = false;

  constructor(options: DiskStoreOptions) {
    this.#options = options;
    this.#layout = layoutOf(options.folder);
    this.#lock = options.openDatabase(this.#layout.lock);
    this.#ballast = new Ballast(options.files, this.#layout.ballast, options.ballastBytes);
    this.#clock = new StoredClock(options.clock, options.continueClock);
  }

  get committed(): LogPosition {
    return this.#openLog?.committed ?? 0;
  }

  get passedCount(): number {
    return this.#openLog?.unawaitedCount ?? 0;
  }

  get status(): StorageStatus {
    const log = this.#log;
    const { parts, checkpoints, care } = this.#workers;
    let lostPositions = 0;
    for (const { first, last } of this.losses) lostPositions += last - first + 1;
    return {
      fault: log.fault?.message,
      shortage: this.#shortage(),
      logBytes: log.storedBytes,
      logMaxBytes: this.#options.diskMaxBytes,
      segments: log.segments.length,
      freeBytes: Number.isFinite(this.#freeBytes) ? this.#freeBytes : 0,
      pendingBytes: log.pendingBytes,
      writtenBytes: log.figures.bytesWritten + parts.index.bytesWritten,
      payloadBytes: this.#payloadBytes,
      commits: log.figures.commits,
      lastCommitMs: log.figures.lastCommitMs,
      faults: log.figures.faults,
      checkpoints: checkpoints.count,
      prunedBytes: care.prunedBytes,
      compactedBytes: care.compactedBytes,
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

  /** Why and from what the database was made again when the store was opened; undefined: it was as it should be. */
  get rebuild(): Rebuild | undefined {
    return this.#workers.parts.index.rebuild;
  }

  // Opening and closing.

  /** @throws SprawlError STORAGE_LOCKED, STORAGE_FORMAT_NEWER, STORAGE_FOREIGN, STORAGE_CORRUPT, STORAGE_FULL, STORAGE_IO */
  async open(sessions: DurableSessions, streams?: DurableStreams): Promise<void> {
    const { files, folder } = this.#options;
    await files.makeFolder(folder);
    await takeFolderLock(this.#lock, () => this.#ballast.release());
    try {
      await this.#open(sessions, streams);
    } catch (error) {
      await this.#closeParts();
      throw error;
    }
  }

  async #open(sessions: DurableSessions, streams: DurableStreams | undefined): Promise<void> {
    const { files, openDatabase, logger, randomBytes, isRestoring, keyProvider } = this.#options;
    // A start that fails for want of a key leaves a new folder new: the next one would miss the database of an identity that it finds.
    const masterKeys = await keyProvider.masterKeys();
    this.#freeBytes = await files.freeBytes(this.#options.folder).catch(() => Infinity);
    await this.#ballast.prepareToStart(this.#freeBytes).catch(() => undefined);
    if (isRestoring !== true) await expectFinished(files, this.#layout);
    const { id, isNew, fault } = await openIdentity(files, this.#layout, randomBytes);
    if (fault !== undefined)
      logger.warn('identity.json is made again from the data', {
        path: this.#layout.identity,
        reason: fault,
      });
    const { vault, isNew: wasPlain } = await this.#openVault(masterKeys);
    const database = openDatabase(this.#layout.index);
    // What was not encrypted so far is made again from the log, encrypted.
    const removedFor = wasPlain && !isNew ? 'what it holds is encrypted from now on' : undefined;
    if (removedFor !== undefined) await database.destroy();
    const index = new StateIndex({
      files,
      database: vault === undefined ? database : new SealedKeyValue(database, vault),
      vault,
      snapshotFolder: this.#layout.snapshots,
      identity: id,
      logger,
      removedFor,
    });
    this.#index = index;
    const loaded = await this.#load(index, isNew);
    const log = await this.#openTheLog(id, vault, Math.max(index.applied, index.newestSnapshot));
    this.#openLog = log;
    // The names of folders that an earlier process made, and did not live to sync.
    await files.syncFolder(this.#options.folder);
    this.#reportLosses(log, loaded.logFloor ?? index.applied + 1);
    const { parts, queues, checkpoints, search } = this.#makeWorkers(
      { log, index, sessions, streams },
      loaded.logFloor,
    );
    const replay = new Replay(parts, queues, {
      checkpoint: (replayedTo) => checkpoints.duringReplay(replayedTo),
      noteLoss: (loss) => this.#noteLoss(loss),
    });
    await replay.run(loaded.restored, loaded.unassigned);
    this.#mesh.opened(log.position);
    checkpoints.countBytesSince();
    if (index.rebuild !== undefined) this.#indexing = search.indexAgain(index.applied);
    // Nor does the time that this took: nobody could come back in it.
    this.#clock.continue();
    sessions.restored();
    log.onFault = () => checkpoints.logChanged();
    log.onCommitted = () => {
      this.onCommitted?.();
      checkpoints.logChanged();
    };
  }

  async #openVault(
    masterKeys: readonly MasterKey[],
  ): Promise<{ readonly vault: Vault | undefined; readonly isNew: boolean }> {
    const { files, randomBytes } = this.#options;
    const opened = await Keyring.open(files, this.#layout.keys, masterKeys, randomBytes);
    if (opened === undefined) return { vault: undefined, isNew: false };
    this.#vault = new Vault(opened.keyring);
    return { vault: this.#vault, isNew: opened.isNew };
  }

  /**
   * Reads the keys again: with another master key, what is written from then on has a new data key.
   * @returns rejects with STORAGE_IO where the keyring cannot be written @throws SprawlError STORAGE_KEY_INVALID
   */
  async prepareKeys(): Promise<() => Promise<void>> {
    const { keyProvider, logger } = this.#options;
    const keyring = this.#vault?.keyring;
    const masterKeys = keyring === undefined ? [] : await keyProvider.masterKeys();
    return async () => {
      if (await keyring?.rotate(masterKeys))
        logger.info('the data keys are wrapped with another master key', { master: keyring?.masterId });
    };
  }

  async #load(index: StateIndex, isNew: boolean): Promise<LoadedState> {
    let decoder = new SessionDecoder();
    let unassigned: readonly UnassignedImage[] = [];
    let logFloor: LogPosition | undefined;
    // After the gateways that they come from.
    let retained: Uint8Array[] = [];
    const visit = (key: string, value: Uint8Array): void => {
      if (decoder.visit(key, value)) return;
      if (key === UNASSIGNED_KEY) unassigned = decodeUnassigned(value);
      else if (key.startsWith(RETAINED_PREFIX)) retained.push(value);
      else if (this.#mesh.restore(key, value)) return;
      else if (key.startsWith(TOPIC_BLOCK_PREFIX)) this.#topics.restore(key, value);
      else if (key === CLOCK_KEY) this.#clock.saw(value, 0);
      else if (key === LOG_FLOOR_KEY) logFloor = decodeLogFloor(value);
    };
    const restart = (): void => {
      decoder = new SessionDecoder();
      unassigned = [];
      logFloor = undefined;
      retained = [];
      this.#mesh.reset();
      this.#topics.reset();
    };
    const census = (): BlockCensus => {
      const blocks = new BlockCensus();
      for (const session of decoder.sessions()) blocks.add(session);
      return blocks;
    };
    await index.open(isNew, visit, restart, census);
    for (const value of retained) this.retained.restore(value, this.#mesh);
    this.retained.restored();
    return { restored: [...decoder.sessions()], unassigned, logFloor };
  }

  #openTheLog(identity: Uint8Array, cipher: Vault | undefined, continueAfter: LogPosition): Promise<Log> {
    const { files, clock, timers, logger, schedule, segmentMaxBytes, commitDelayMs } = this.#options;
    return Log.open({
      ...{ files, folder: this.#layout.log, identity, clock, timers, logger, schedule },
      ...{ segmentMaxBytes, commitDelayMs, cipher, continueAfter },
      releaseSpace: () => this.#ballast.release(),
    });
  }

  #makeWorkers(
    opened: Pick<OpenParts, 'log' | 'index' | 'sessions' | 'streams'>,
    logFloor: LogPosition | undefined,
  ): Workers {
    const options = this.#options;
    const { log } = opened;
    const parts: OpenParts = {
      ...opened,
      ...{ options, sizes: options.sizes ?? STORE_SIZES, mesh: this.#mesh },
      ...{ table: this.#table, topics: this.#topics, retained: this.retained, names: this.#names },
      reader: new MessageReader(log.reader),
      texts: new TextCache(TEXTS_MAX_COUNT),
      clock: this.#clock,
    };
    const queues = new SessionQueues(parts);
    const care = new SegmentCare(parts, queues.passing);
    const checkpoints = new Checkpoints(parts, care, this.#ballast, logFloor);
    const search = new TopicSearch(parts, () => checkpoints.keepUpFromNow());
    return (this.#openWorkers = { parts, queues, checkpoints, care, search });
  }

  /** @param from where the log has to begin */
  #reportLosses({ report, reader }: Log, from: LogPosition): void {
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

  /** Resolves when nothing goes on in the background. */
  async settled(): Promise<void> {
    await this.#indexing;
    await this.#openWorkers?.checkpoints.settled();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#stopWorkers();
    await this.#closeParts();
  }

  async #stopWorkers(): Promise<void> {
    if (this.#openWorkers === undefined) return;
    const { queues, checkpoints, search } = this.#openWorkers;
    queues.stop();
    search.stop();
    await checkpoints.stop();
    await this.#indexing;
    const log = this.#log;
    if (log.fault !== undefined) return;
    await log.flush();
    if (log.fault !== undefined) return;
    await checkpoints.last().catch((error: unknown) =>
      this.#options.logger.error('the state cannot be written down, the log keeps it', {
        reason: String(error),
      }),
    );
  }

  async #closeParts(): Promise<void> {
    await this.#openLog?.close();
    await this.#index?.close();
    await this.#lock.close();
  }

  // Writing.

  admit(bytes: number, isAwaited = true): number {
    const log = this.#log;
    const { fault } = log;
    if (fault !== undefined)
      return fault.code === 'STORAGE_FULL'
        ? ReasonCode.quotaExceeded
        : ReasonCode.implementationSpecificError;
    // The last who publish do so while the gateway stops.
    if (log.isClosed) return ReasonCode.implementationSpecificError;
    const { diskMaxBytes, diskReserveBytes, pendingMaxBytes } = this.#options;
    if (this.#isFull) return ReasonCode.quotaExceeded;
    const pending = log.pendingBytes + bytes;
    this.#lookAtDisk();
    const left = isAwaited ? 0 : diskMaxBytes * LEFT_OF_QUOTA;
    if (
      log.storedBytes + pending > diskMaxBytes - left ||
      this.#freeBytes - pending < diskReserveBytes + this.#ballast.missingBytes + left
    )
      return ReasonCode.quotaExceeded;
    return pending > (isAwaited ? pendingMaxBytes : pendingMaxBytes / 2) ? ReasonCode.quotaExceeded : 0;
  }

  /** What only waits for the disk passes with the next commit, and is none. The text stays the same while it lasts: other gateways are told. */
  #shortage(): string | undefined {
    const { diskMaxBytes, diskReserveBytes } = this.#options;
    // Where nobody publishes any more nothing else would notice that space was freed.
    this.#lookAtDisk();
    if (this.#log.storedBytes + SMALL_MESSAGE_BYTES > diskMaxBytes)
      return `the log has all of its quota (limits.diskMaxBytes: ${diskMaxBytes}), messages are refused`;
    const kept = diskReserveBytes + this.#ballast.missingBytes;
    if (this.#freeBytes - SMALL_MESSAGE_BYTES < kept)
      return kept === diskReserveBytes
        ? `the disk has no more free than what is kept free (limits.diskReserveBytes: ${diskReserveBytes}), messages are refused`
        : `the disk is full, and the ballast was given up (${this.#ballast.missingBytes} bytes, kept free beside limits.diskReserveBytes: ${diskReserveBytes}): messages are refused until it fits again`;
    return undefined;
  }

  append(message: Message, origin: MessageOrigin | undefined): LogPosition {
    // The session of a will is stored all the same, and would publish it again after a crash.
    if (!this.#options.isOnDisk(message.topic))
      return origin?.packetId === 0 ? this.record({ kind: 'willPublished', clientId: origin.clientId }) : 0;
    this.#writeClock();
    const publisher = this.#names.bytesOf(message.publisher);
    // Only a session that outlives its connection can be asked about the packet again, or has its will, after a restart.
    const isWill = origin?.packetId === 0;
    const session = isWill || origin?.qos === 2 ? this.#table.get(origin.clientId) : undefined;
    const packetId = session === undefined ? 0 : (origin as MessageOrigin).packetId;
    const log = this.#log;
    const source = message.source === undefined ? 0 : this.#sourceNumber(message.source);
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
      source,
    );
    const type = message.qos === 0 ? RecordType.retained : RecordType.message;
    const position = log.append(chunk, type, size);
    message.position = position;
    this.#payloadBytes += message.payloadLength;
    this.#topics.add(message.topic, position, wallMs);
    if (session !== undefined) this.#table.changed(session, position);
    return position;
  }

  appendPassed(message: Message): void {
    const log = this.#log;
    const publisher = this.#names.bytesOf(message.publisher);
    const size = messageRecordBytes(message, publisher, 0);
    const chunk = log.reserve(size);
    const at = chunk.length + RECORD_HEADER_BYTES;
    writeMessageRecord(chunk.buffer, at, message, publisher, 0, this.#options.clock.wall());
    log.appendUnawaited(chunk, RecordType.passed, size);
    this.#payloadBytes += message.payloadLength;
  }

  appendPassedRun(run: PassedRun, topicBytes: Uint8Array): void {
    const log = this.#log;
    const { bytes, publisher } = run;
    const head = plainRecordHead(topicBytes, this.#names.bytesOf(publisher), this.#options.clock.wall());
    run.forEachPayload((start, end) => {
      const size = head.length + end - start;
      const chunk = log.reserve(size);
      writePlainRecord(chunk.buffer, chunk.length + RECORD_HEADER_BYTES, head, bytes, start, end);
      log.appendUnawaited(chunk, RecordType.passed, size);
      this.#payloadBytes += end - start;
    });
  }

  record(record: SessionRecord): LogPosition {
    this.#writeClock();
    const table = this.#table;
    if (record.kind === 'created') {
      const position = this.#write(record, 0);
      table.begin(record.clientId, position);
      return position;
    }
    const entry = table.get(record.clientId);
    // It ended before; or, of a shared subscription, it is one that ends with its connection.
    if (entry === undefined && record.kind !== 'assigned') return this.#log.awaited;
    const position = this.#write(record, entry?.number ?? 0);
    if (record.kind === 'ended') table.end(record.clientId);
    else table.note(record, position);
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

  #sourceNumber(source: MessageSource): LogPosition {
    const known = this.#mesh.numberOf(source);
    if (known !== undefined) {
      this.#mesh.used(known, this.#log.position);
      return known;
    }
    const number = this.#writeBytes(RecordType.source, encodeSource(source));
    this.#mesh.begin(source, number);
    return number;
  }

  recordStream(record: StreamRecord): LogPosition {
    const bytes = encodeStreamRecord(record, this.#sourceNumber(record));
    return this.#writeBytes(streamRecordType(record), bytes);
  }

  forgetStream(origin: GatewayId): void {
    this.#mesh.forgetStream(origin);
  }

  get floors(): ReadonlyMap<string, LogPosition> {
    return this.#mesh.floors;
  }

  setFloor(name: string, position: LogPosition | undefined): void {
    this.#mesh.setFloor(name, position);
  }

  get first(): LogPosition {
    return this.#log.reader.first;
  }

  bytesBetween(after: LogPosition, upTo: LogPosition): number {
    let bytes = 0;
    for (const { header, next, end } of this.#log.segments) {
      const count = Math.min(upTo, next - 1) - Math.max(after, header.first - 1);
      // Within one segment records are taken to be of one size.
      if (count > 0) bytes += (end * count) / (next - header.first);
    }
    return bytes;
  }

  setFull(isFull: boolean): void {
    this.#isFull = isFull;
  }

  appendKept(name: string, bytes: Uint8Array): LogPosition {
    this.#writeClock();
    return this.#writeBytes(RecordType.kept, encodeNote(name, bytes));
  }

  setNote(name: string, value: Uint8Array): void {
    this.#mesh.setNote(name, value);
  }

  recordNote(name: string): LogPosition {
    const value = this.#mesh.note(name);
    return value === undefined
      ? this.#log.awaited
      : this.#writeBytes(RecordType.note, encodeNote(name, value));
  }

  note(name: string): Uint8Array | undefined {
    return this.#mesh.note(name);
  }

  /** In front of what it is the time of. An idle gateway writes nothing: after a crash its time goes on from its last record. */
  #writeClock(): void {
    const bytes = this.#clock.due();
    if (bytes !== undefined) this.#writeBytes(RecordType.time, bytes);
  }

  /** Asks the file system now and then. */
  #lookAtDisk(): void {
    const { clock, files, folder } = this.#options;
    const now = clock.now();
    if (now - this.#diskLookedAt < LOOK_EVERY_MS) return;
    this.#diskLookedAt = now;
    files.freeBytes(folder).then(
      (bytes) => {
        this.#freeBytes = bytes;
      },
      () => undefined,
    );
    void this.#lookAtSegment();
  }

  /** An idle log notices nothing by itself: a commit tells it, and goes on trying. */
  async #lookAtSegment(): Promise<void> {
    const log = this.#log;
    if (log.fault !== undefined || log.isClosed || (await log.isInPlace()) || log.isClosed) return;
    this.#writeBytes(RecordType.time, this.#clock.bytes());
  }

  // Reading.

  createQueue(clientId: string): DeliveryQueue {
    return this.#workers.queues.create(clientId);
  }

  read(positions: readonly LogPosition[], done: (messages: readonly (Message | undefined)[]) => void): void {
    if (positions.length === 0) {
      done([]);
      return;
    }
    void this.#lookUntilDone(() => this.#workers.parts.reader.read(positions), done);
  }

  readOwn(
    from: LogPosition,
    maxBytes: number,
    done: (own: OwnMessages) => void,
    options?: OwnReadOptions,
  ): void {
    void this.#lookUntilDone(() => readOwn(this.#workers.parts, from, maxBytes, options), done);
  }

  readKept(from: LogPosition, maxBytes: number, done: (kept: KeptParts) => void): void {
    void this.#lookUntilDone(() => readKept(this.#workers.parts.log, from, maxBytes), done);
  }

  /** A disk that fails is tried again. */
  async #lookUntilDone<T>(look: () => Promise<T>, done: (found: T) => void): Promise<void> {
    for (;;) {
      try {
        const found = await look();
        if (!this.#closed) done(found);
        return;
      } catch (error) {
        if (this.#closed) return;
        this.#options.logger.error('messages cannot be read', { reason: String(error) });
        await new Promise<void>((resolve) => this.#options.timers.after(RETRY_MS, resolve));
      }
    }
  }

  /** As TopicSearch.find. @throws SprawlError STORAGE_IO, STORAGE_CORRUPT */
  find(topic: string, fromMs: number, toMs: number, limit: number): Promise<Message[]> {
    return this.#workers.search.find(topic, fromMs, toMs, limit);
  }

  get #log(): Log {
    return this.#openLog ?? notOpen();
  }

  get #workers(): Workers {
    return this.#openWorkers ?? notOpen();
  }
}

function notOpen(): never {
  throw new Error('the store is not open');
}
