/**
 * The log: everything that must survive is a record in it, and nothing leaves the gateway before its record is synced.
 *
 *     append ─▶ chunk ─▶ write ─▶ datasync ─▶ committed
 *                 ▲         (one at a time: what is appended meanwhile goes with the next)
 *                 └─ appendUnawaited (goes along; by itself not before it is old enough, or much)
 *
 *     open ◀────▶ committing ──fault──▶ committing, again and again ──▶ open
 *       └────────────── close ──▶ closed ◀── close ──┘
 *
 * After a failed write or sync nothing that the file holds beyond the last good sync is trusted, and the same sync is never tried
 * again: what is pending is in memory still, and goes to a fresh segment. Until that worked nothing is acknowledged and nothing
 * admitted. The same where the file was removed or moved away, which a sync does not tell. A message may be refused before it is appended; once appended it is written, however long that takes.
 */
import type { Clock, Timers } from '../../lib/contracts/clock.js';
import { SprawlError } from '../../lib/contracts/errors.js';
import type { Logger } from '../../lib/contracts/logger.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { FileSystem, StoreFile } from '../files/file-system.js';
import { toStorageError } from '../files/storage-error.js';
import { type Chunk, CommitBuffer } from './commit-buffer.js';
import { compactSegment } from './compaction.js';
import { crc32c } from './crc32c.js';
import type { RecordCipher } from './record-cipher.js';
import { type EncodedChunk, sealChunk } from './sealed-chunk.js';
import { LogReader } from './log-reader.js';
import { type Loss, type RecoveredLog, type RecoveryReport, recoverLog } from './recovery.js';
import { createSegment, type Segment } from './segment.js';

/** After a fault the disk is tried again after so long, doubling. */
const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 2000;
/**
 * What nobody waits for is committed after so long, or when it is so much: each sync writes pages of a card again that are not full, and an
 * acknowledgement that comes meanwhile has to take all of it along (256 KiB: some 25 ms on a slow card). Measured with 20,000 messages of 64 bytes
 * a second: 8 syncs a second in place of 1,800.
 */
const UNAWAITED_MAX_MS = 1000;
const UNAWAITED_MAX_BYTES = 262_144;
/** How often a commit looks whether its segment is where it was: two system calls. */
const NAME_EVERY_MS = 1000;

export interface LogOptions {
  readonly files: FileSystem;
  readonly folder: string;
  /** Of LOG_IDENTITY_BYTES: tells the segments of this gateway from those of others. */
  readonly identity: Uint8Array;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  /** Calls back after everything that is already in the current turn: setImmediate. */
  readonly schedule: (commit: () => void) => void;
  /** A segment is ended when it would grow beyond this. */
  readonly segmentMaxBytes: number;
  /** How long a commit waits for company; 0: not beyond the end of the turn. */
  readonly commitDelayMs: number;
  /** Seals what is written; what was written without it stays readable. */
  readonly cipher?: RecordCipher | undefined;
  /** Positions up to it were given out, whatever is left of the segments; default 0. */
  readonly continueAfter?: LogPosition;
  /** Called when no space is left, before the next try: may give up a reserve. */
  readonly releaseSpace?: () => Promise<void>;
}

/** Figures that only grow. */
export interface LogFigures {
  commits: number;
  /** Handed to the file system: records, headers, seals. */
  bytesWritten: number;
  faults: number;
  /** Of the last commit: from the write to the end of the sync. */
  lastCommitMs: number;
}

interface Waiter {
  readonly position: LogPosition;
  readonly committed: () => void;
}

const LogState = { open: 0, committing: 1, closed: 2 } as const;
type LogState = (typeof LogState)[keyof typeof LogState];

export class Log {
  /** Everything up to and including this position is synced. */
  committed: LogPosition;
  /** Called after `committed` rose. */
  onCommitted: (() => void) | undefined;
  /** The last position that somebody waits for, or that is to be committed all the same. */
  awaited: LogPosition;
  /** How many of the positions that were committed since it was opened nobody waits for. */
  unawaitedCount = 0;
  /** Called when a fault begins, and with undefined when it is over. */
  onFault: ((fault: SprawlError | undefined) => void) | undefined;
  readonly report: RecoveryReport;
  readonly figures: LogFigures = { commits: 0, bytesWritten: 0, faults: 0, lastCommitMs: 0 };
  readonly reader: LogReader;
  readonly #options: LogOptions;
  readonly #seed: number;
  readonly #buffer: CommitBuffer;
  readonly #segments: Segment[];
  #state: LogState = LogState.open;
  #scheduled = false;
  /** Runs while there is only what nobody waits for. */
  #patience: { cancel(): void } | undefined;
  #fault: SprawlError | undefined;
  /** The last segment, where it takes more records. */
  #file: StoreFile | undefined;
  /** Chain after `committed`. */
  #chain: number;
  #floor: LogPosition;
  #nameSeenAt = -Infinity;
  /** In the order of their positions. */
  readonly #waiters: Waiter[] = [];
  /** Called when nothing is pending any more. */
  #idle: (() => void)[] = [];
  readonly #commit = (): void => {
    this.#scheduled = false;
    void this.#commitAll();
  };

  /**
   * Opens the log in `folder`, which is created where it does not exist, and repairs what a crash leaves behind.
   *
   * @throws SprawlError STORAGE_FORMAT_NEWER, STORAGE_FOREIGN, STORAGE_IO, STORAGE_FULL
   */
  static async open(options: LogOptions): Promise<Log> {
    const { files, folder, identity } = options;
    await files.makeFolder(folder);
    const seed = crc32c(identity, 0, identity.length);
    const recovered = continueAfter(
      await recoverLog(files, folder, identity, seed, options.cipher),
      options.continueAfter ?? 0,
    );
    const { segments, lastIsOpen } = recovered;
    const last = segments[segments.length - 1];
    const file = last === undefined ? undefined : await files.open(last.path, 'write');
    // What an earlier process wrote and did not sync may be in memory only: what is read as stored has to be.
    await file?.sync();
    if (!lastIsOpen) await file?.close();
    return new Log(options, seed, recovered, lastIsOpen ? file : undefined);
  }

  private constructor(
    options: LogOptions,
    seed: number,
    recovered: Awaited<ReturnType<typeof recoverLog>>,
    file: StoreFile | undefined,
  ) {
    this.#options = options;
    this.#seed = seed;
    this.#segments = recovered.segments;
    this.#file = file;
    this.#chain = recovered.chain;
    this.#floor = recovered.floor;
    this.committed = recovered.last;
    this.awaited = recovered.last;
    this.report = recovered.report;
    this.#buffer = new CommitBuffer(recovered.last, recovered.chain, seed);
    this.reader = new LogReader(options.files, this.#segments, seed, () => this.committed, options.cipher);
  }

  /** The last position that was given out. */
  get position(): LogPosition {
    return this.#buffer.position;
  }

  /** Bytes that are appended and not synced yet. */
  get pendingBytes(): number {
    return this.#buffer.pendingBytes;
  }

  /** Why nothing is acknowledged at the moment; undefined while all is well. */
  get fault(): SprawlError | undefined {
    return this.#fault;
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  get storedBytes(): number {
    let bytes = 0;
    for (const segment of this.#segments) bytes += segment.end;
    return bytes;
  }

  /**
   * Room for a record of `bodyBytes`; the caller writes the body to `chunk.buffer` at `chunk.length + RECORD_HEADER_BYTES`, then
   * calls `append` in the same turn.
   */
  reserve(bodyBytes: number): Chunk {
    if (this.isClosed) throw new Error('a record was appended to a log that is closed');
    return this.#buffer.reserve(bodyBytes);
  }

  /** @param type below SEAL_TYPE. @returns the position of the record. */
  append(chunk: Chunk, type: number, bodyBytes: number): LogPosition {
    const position = this.#buffer.add(chunk, type, bodyBytes);
    this.awaited = position;
    if (!this.#scheduled && this.#state === LogState.open) this.#askForCommit();
    return position;
  }

  /** The same of a record that nobody waits for: it goes with the next that somebody does, or within a second. */
  appendUnawaited(chunk: Chunk, type: number, bodyBytes: number): LogPosition {
    const position = this.#buffer.add(chunk, type, bodyBytes);
    chunk.unawaited++;
    if (!this.#scheduled && this.#state === LogState.open) this.#askInTime();
    return position;
  }

  /** What is appended is committed now, whether or not anybody waits for it. */
  hurry(): void {
    this.awaited = this.position;
    const isIdle = !this.#scheduled && this.#state === LogState.open;
    if (isIdle && this.committed < this.awaited) this.#askForCommit();
  }

  /**
   * Removes segments that hold only positions below `floor`, oldest first and each for good before the next: what is left never
   * has a hole. The newest stays whatever it holds. @returns the bytes that became free. @throws SprawlError STORAGE_IO; to be called
   * again then.
   */
  async dropBefore(floor: LogPosition): Promise<number> {
    this.#floor = Math.max(this.#floor, floor);
    let dropped = 0;
    while (this.#segments.length > 1 && (this.#segments[0] as Segment).next <= floor) {
      const [segment] = this.#segments as [Segment];
      await this.reader.forget(segment);
      await this.#options.files.remove(segment.path);
      await this.#options.files.syncFolder(this.#options.folder);
      this.#segments.shift();
      dropped += segment.end;
    }
    return dropped;
  }

  /**
   * Writes a segment again without the records that nobody needs; one that turns out to be damaged stays as it is, with its damage noted.
   * @param segment of `segments`, not the last. @returns the bytes that became free. @throws SprawlError STORAGE_IO, STORAGE_FULL; nothing is changed then
   */
  async compact(segment: Segment, isNeeded: (position: LogPosition) => boolean): Promise<number> {
    const { files, folder, cipher } = this.#options;
    const { position } = this;
    const compacted = await compactSegment(segment, { files, seed: this.#seed, cipher, isNeeded });
    if ('damage' in compacted) {
      segment.damage = compacted.damage;
      for (const { first, last } of compacted.damage)
        this.#options.logger.error('a part of the log is damaged', { first, last, path: segment.path });
      return 0;
    }
    const { path, end, index } = compacted;
    // What is left out is gone for good: that nobody needs it any more may be said by a record that is not synced yet.
    if (!(await this.#isCommitted(position))) {
      await files.remove(path);
      throw this.#fault ?? new SprawlError('STORAGE_IO', `what is pending in ${folder} is not synced`);
    }
    const freed = segment.end - end;
    this.figures.bytesWritten += end;
    await this.reader.exchange(segment, async () => {
      await files.rename(path, segment.path);
      segment.end = end;
      segment.index = index;
    });
    await files.syncFolder(folder);
    return freed;
  }

  /**
   * Whether the segment that is written to is where it was, as far as can be told; where not, the next commit fails, and so on until a fresh segment
   * can be made.
   */
  async isInPlace(): Promise<boolean> {
    if (await this.#hasName()) return true;
    this.#nameSeenAt = -Infinity;
    return false;
  }

  async #hasName(): Promise<boolean> {
    return this.#file === undefined || (await this.#file.hasName());
  }

  /** Resolves when everything appended is synced, or has failed to be for as long as `waitMs`. */
  async flush(waitMs = 5000): Promise<void> {
    const isBusy = this.#buffer.pendingBytes > 0 || this.#state !== LogState.open;
    if (this.isClosed || !isBusy) return;
    await new Promise<void>((resolve) => {
      const timeout = this.#options.timers.after(waitMs, resolve);
      this.#idle.push(() => {
        timeout.cancel();
        resolve();
      });
      if (this.#state === LogState.open && !this.#scheduled) this.#askForCommit();
    });
  }

  /** Waits until everything up to `position` is synced, for as long as `waitMs`. @returns whether it is. */
  async #isCommitted(position: LogPosition, waitMs = 5000): Promise<boolean> {
    if (this.committed < position && !this.isClosed) {
      this.hurry();
      await new Promise<void>((resolve) => {
        const timeout = this.#options.timers.after(waitMs, resolve);
        this.#waiters.push({
          position,
          committed: () => {
            timeout.cancel();
            resolve();
          },
        });
      });
    }
    return this.committed >= position;
  }

  /** As `flush`; then nothing is written any more. Idempotent. */
  async close(waitMs = 5000): Promise<void> {
    if (this.isClosed) return;
    await this.flush(waitMs);
    this.#state = LogState.closed;
    this.#patience?.cancel();
    await this.reader.close();
    await this.#file?.close().catch(() => undefined);
    this.#file = undefined;
  }

  get isClosed(): boolean {
    return this.#state === LogState.closed;
  }

  #askForCommit(): void {
    this.#scheduled = true;
    this.#patience?.cancel();
    this.#patience = undefined;
    const { commitDelayMs, timers, schedule } = this.#options;
    if (commitDelayMs > 0) timers.after(commitDelayMs, this.#commit);
    else schedule(this.#commit);
  }

  #askInTime(): void {
    if (this.#isOwed) this.#askForCommit();
    else
      this.#patience ??= this.#options.timers.after(UNAWAITED_MAX_MS, () => {
        this.#patience = undefined;
        this.hurry();
      });
  }

  /** Whether what is pending may not wait for company. */
  get #isOwed(): boolean {
    return (
      this.awaited > this.committed ||
      this.#buffer.pendingBytes >= UNAWAITED_MAX_BYTES ||
      this.#idle.length > 0
    );
  }

  /** One commit after the other until nothing is pending that is owed. Never rejects. */
  async #commitAll(): Promise<void> {
    if (this.#state !== LogState.open) return;
    this.#state = LogState.committing;
    while (this.#isOwed) {
      const chunk = this.#buffer.take();
      if (chunk === undefined) break;
      await this.#store(chunk);
      if (this.isClosed) return;
      this.committed = chunk.last;
      this.#chain = chunk.chain;
      this.unawaitedCount += chunk.unawaited;
      this.#buffer.recycle(chunk);
      this.onCommitted?.();
      while (this.#waiters.length > 0 && (this.#waiters[0] as Waiter).position <= this.committed)
        this.#waiters.shift()?.committed();
    }
    this.#state = LogState.open;
    for (const idle of this.#idle.splice(0)) idle();
    if (this.#buffer.pendingBytes > 0 && !this.#scheduled) this.#askInTime();
  }

  /** Resolves when the chunk is synced, however often that has to be tried; or when the log was closed over it. */
  async #store(chunk: Chunk): Promise<void> {
    try {
      await this.#write(chunk);
      return;
    } catch (error) {
      await this.#failed(error);
    }
    for (let delayMs = RETRY_FIRST_MS; ; delayMs = Math.min(delayMs * 2, RETRY_MAX_MS)) {
      await new Promise<void>((resolve) => this.#options.timers.after(delayMs, resolve));
      if (this.isClosed) return;
      try {
        if (this.#fault?.code === 'STORAGE_FULL') await this.#options.releaseSpace?.();
        await this.#write(chunk);
        this.#recovered();
        return;
      } catch (error) {
        await this.#failed(error);
      }
    }
  }

  async #write(chunk: Chunk): Promise<void> {
    const startedAt = this.#options.clock.now();
    const { cipher } = this.#options;
    const { bytes, marks }: EncodedChunk =
      cipher === undefined
        ? { bytes: chunk.buffer.subarray(0, chunk.length), marks: chunk.marks }
        : sealChunk(chunk, cipher, this.#seed);
    const { segment, file } = await this.#segmentFor(chunk, bytes.length);
    const offset = segment.end;
    await file.write(bytes, offset);
    await file.sync();
    await this.#expectName(file, segment, startedAt);
    segment.end = offset + bytes.length;
    segment.next = chunk.last + 1;
    segment.index.add(chunk.first, offset);
    for (let i = 0; i < marks.length; i += 2)
      segment.index.add(marks[i] as number, offset + (marks[i + 1] as number));
    this.figures.commits++;
    this.figures.bytesWritten += bytes.length;
    this.figures.lastCommitMs = this.#options.clock.now() - startedAt;
  }

  /** A file that was removed is synced without an error. @throws SprawlError STORAGE_MISSING */
  async #expectName(file: StoreFile, { path }: Segment, now: number): Promise<void> {
    if (now - this.#nameSeenAt < NAME_EVERY_MS) return;
    if (!(await file.hasName())) throw this.#gone(path);
    this.#nameSeenAt = now;
  }

  #gone(path: string, cause?: unknown): SprawlError {
    return new SprawlError(
      'STORAGE_MISSING',
      `${path} was removed or moved while the gateway runs: stop it, put the data folder back or restore a backup, and start it again`,
      { details: { path }, cause },
    );
  }

  /** The segment that the chunk goes to: the last one, or a new one where that is full, sealed or not to be trusted. */
  async #segmentFor(
    chunk: Chunk,
    size: number,
  ): Promise<{ readonly segment: Segment; readonly file: StoreFile }> {
    const last = this.#segments[this.#segments.length - 1];
    const { files, folder, identity, segmentMaxBytes } = this.#options;
    if (last !== undefined && this.#file !== undefined) {
      const isEmpty = last.next === last.header.first;
      if (isEmpty || last.end + size <= segmentMaxBytes) return { segment: last, file: this.#file };
    }
    const created = await createSegment(files, folder, {
      first: chunk.first,
      identity,
      chainBefore: this.#chain,
      floor: this.#floor,
    });
    // After the next one is there: a seal says that there is a next one, so that it can be missed.
    if (last !== undefined && this.#file !== undefined) await this.#seal(last, this.#file, created.file);
    // Of the same name: one whose creation failed, or that was written in vain.
    if (last !== undefined && last.header.first === chunk.first) this.#segments.pop();
    this.#segments.push(created.segment);
    this.#file = created.file;
    return created;
  }

  async #seal(segment: Segment, file: StoreFile, following: StoreFile): Promise<void> {
    const seal = segment.index.encodeSeal(segment.next, this.#chain, this.#seed);
    try {
      await file.write(seal, segment.end);
      await file.sync();
    } catch (error) {
      await following.close().catch(() => undefined);
      throw error;
    }
    this.figures.bytesWritten += seal.length;
    this.#file = undefined;
    await file.close();
  }

  /** From here on the file is not trusted beyond what was synced before. */
  async #failed(failure: unknown): Promise<void> {
    const { folder } = this.#options;
    const reason = toStorageError(failure, `write to ${folder}`);
    const isGone = reason.code === 'STORAGE_MISSING' && reason.details.path === undefined;
    // No segment can be made: the folder is not there.
    const fault = isGone ? this.#gone(folder, reason) : reason;
    this.figures.faults++;
    const isNew = this.#fault?.code !== fault.code;
    this.#fault = fault;
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => undefined);
    if (!isNew) return;
    this.#options.logger.error('the log cannot be written, nothing is acknowledged until it can', {
      reason: fault.message,
    });
    this.onFault?.(fault);
  }

  #recovered(): void {
    this.#fault = undefined;
    this.#options.logger.info('the log is written again', { segment: this.#segments.at(-1)?.path });
    this.onFault?.(undefined);
  }
}

/** The end of the log may be gone: its positions are not given out again, they stand for something else elsewhere. */
function continueAfter(recovered: RecoveredLog, position: LogPosition): RecoveredLog {
  const { last, segments, report } = recovered;
  if (position <= last) return recovered;
  const path = segments[segments.length - 1]?.path ?? '';
  // That a segment is missing may be known already, and now up to where at least.
  const known = report.losses.find(({ first }) => first > last);
  const cause = known?.cause ?? 'missing';
  const loss: Loss = { first: last + 1, last: position, path: known?.path ?? path, cause };
  const losses = [...report.losses.filter((other) => other !== known), loss];
  return { ...recovered, last: position, lastIsOpen: false, report: { ...report, losses } };
}
