/**
 * Writes the state of the lanes to the database now and then, copies the database to snapshots, and lets the log go that neither needs.
 *
 * A checkpoint is the state of the lanes after all that is committed; what they know of later records besides is written only once
 * those are committed too.
 */
import { SprawlError } from '../../lib/contracts/errors.js';
import { type LogPosition, OWED_FLAG } from '../../lib/contracts/store.js';
import type { Ballast } from './ballast.js';
import { type OpenParts, pause } from './open-parts.js';
import type { SegmentCare } from './segment-care.js';
import { retainedChange } from './retained.js';
import { RETRY_MS } from './session-queues.js';
import {
  CLOCK_KEY,
  encodeLogFloor,
  encodeSession,
  encodeUnassigned,
  imageFloor,
  LOG_FLOOR_KEY,
  type SessionEntry,
  sessionKeys,
  type StoredSession,
  UNASSIGNED_KEY,
} from './session-table.js';
import type { Changes } from './state-index.js';

/** Sessions that are encoded in one turn. */
const ENCODE_PER_TURN = 64;
const RETAINED_PER_TURN = 256;

const EMPTY_QUEUE = {
  ...{ from: 0, to: 0, storedCount: 0, storedBytes: 0, head: [], tail: [], floor: 0 },
  ...{ removed: [], removedRanges: [] },
};

/** A session as a checkpoint found it. */
interface TakenSession {
  readonly entry: SessionEntry;
  readonly session: StoredSession;
  readonly withSubscriptions: boolean;
  /** Of the log, as far as this session is concerned. */
  readonly floor: LogPosition;
}

export class Checkpoints {
  /** How many were written. */
  count = 0;
  readonly #parts: OpenParts;
  readonly #care: SegmentCare;
  readonly #ballast: Ballast;
  /** The log reaches back to it, as the database knows; undefined: it does not, being new or made again. */
  #logFloor: LogPosition | undefined;
  #running: Promise<void> | undefined;
  #writtenAtBytes = 0;
  #snapshotAtBytes = 0;
  #stopped = false;
  readonly #waiting: (() => void)[] = [];

  constructor(parts: OpenParts, care: SegmentCare, ballast: Ballast, logFloor: LogPosition | undefined) {
    this.#parts = parts;
    this.#care = care;
    this.#ballast = ballast;
    this.#logFloor = logFloor;
  }

  /** What an earlier process wrote counts, too: the next checkpoint and snapshot are not put off by every restart. */
  countBytesSince(): void {
    const { log, index } = this.#parts;
    for (const { header, end } of log.segments) {
      if (header.first > index.applied) this.#writtenAtBytes -= end;
      if (header.first > index.newestSnapshot) this.#snapshotAtBytes -= end;
    }
  }

  /** More is committed, or the log has begun to fail: those who wait for it look again. */
  logChanged(): void {
    for (const wake of this.#waiting.splice(0)) wake();
    const { log, index, options, sizes } = this.#parts;
    const isDue =
      log.figures.bytesWritten - this.#writtenAtBytes >= options.checkpointEveryBytes ||
      index.pendingBytes > sizes.pendingBlocksMaxBytes;
    if (isDue && this.#running === undefined && !this.#stopped && log.fault === undefined) void this.keepUp();
  }

  /** One checkpoint, and a snapshot where it is time; never rejects. */
  keepUp(): Promise<void> {
    this.#running ??= this.#writeAndMore()
      .catch(async (error: unknown) => {
        const { logger, timers } = this.#parts.options;
        logger.error('the state cannot be written down, the log keeps it meanwhile', {
          reason: String(error),
        });
        if (!this.#stopped) await new Promise<void>((resolve) => timers.after(RETRY_MS, resolve));
      })
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }

  /** As `keepUp`, with what is there now: one that began before may not have it. */
  async keepUpFromNow(): Promise<void> {
    await this.#running;
    await this.keepUp();
  }

  /** In the middle of a replay, while nothing else goes on. @throws SprawlError */
  duringReplay(replayedTo: LogPosition): Promise<void> {
    return this.#write(replayedTo);
  }

  /** None is begun by itself any more, and none waits for a log that fails. Resolves when the one that goes on has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.logChanged();
    await this.settled();
  }

  /** The last one, after `stop`. @throws SprawlError */
  last(): Promise<void> {
    return this.#write(undefined);
  }

  async settled(): Promise<void> {
    await this.#running;
  }

  async #writeAndMore(): Promise<void> {
    const { log, index, options } = this.#parts;
    await this.#write(undefined);
    const written = log.figures.bytesWritten;
    // A large state is not copied more often than what it grows by is worth.
    const every = Math.max(options.snapshotEveryBytes, index.lastSnapshotBytes * 4);
    if (written - this.#snapshotAtBytes >= every) {
      await index.snapshot();
      this.#snapshotAtBytes = written;
    }
    await this.#care.run();
    await this.#ballast.prepare().catch(() => undefined);
  }

  async #write(replayedTo: LogPosition | undefined): Promise<void> {
    const { log, index, table, topics, retained, names, clock, sessions, mesh, streams } = this.#parts;
    // From here to `beginCheckpoint` nothing may change: the state is that of one moment.
    const applied = replayedTo ?? log.committed;
    const knows = log.position;
    this.#writtenAtBytes = log.figures.bytesWritten;
    const { dirty, ended } = table.takeChanges();
    const due = new Set(dirty);
    sessions.forEachBusy((clientId) => {
      const entry = table.get(clientId);
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
      if (entry.changedAt > applied) table.changed(entry, entry.changedAt, true);
    }
    const topicsChanged = retained.takeChanged();
    const changes: Changes = new Map();
    for (const { clientId } of ended)
      if (table.get(clientId) === undefined) for (const key of sessionKeys(clientId)) changes.set(key, null);
    // Messages do not change: they are encoded later.
    const retainedNow = [...topicsChanged].map(
      (topic) =>
        [topic, retained.get(topic) ?? retained.tombstone(topic) ?? retained.doubtful(topic)] as const,
    );
    const giveBackMesh = mesh.addChanges(changes, streams?.images() ?? []);
    changes.set(CLOCK_KEY, clock.bytes());
    const logFloor = this.#logFloor ?? log.reader.first;
    // Later ones come when something is dropped.
    if (this.#logFloor === undefined) changes.set(LOG_FLOOR_KEY, encodeLogFloor(logFloor));
    const unassigned = replayedTo === undefined ? [] : sessions.unassigned();
    changes.set(UNASSIGNED_KEY, unassigned.length === 0 ? null : encodeUnassigned(unassigned));
    index.beginCheckpoint();
    topics.beginCheckpoint();
    try {
      for (const [i, { session, withSubscriptions }] of taken.entries()) {
        for (const [key, value] of encodeSession(session, withSubscriptions)) changes.set(key, value);
        if (i % ENCODE_PER_TURN === ENCODE_PER_TURN - 1) await pause(this.#parts);
      }
      for (const [i, [topic, message]] of retainedNow.entries()) {
        changes.set(...retainedChange(topic, message, names, mesh));
        if (i % RETAINED_PER_TURN === RETAINED_PER_TURN - 1) await pause(this.#parts);
      }
      await topics.encode(changes, () => pause(this.#parts));
      await this.#committedTo(knows);
      await index.write(applied, changes, () => pause(this.#parts));
    } catch (error) {
      table.giveBack(due, ended);
      retained.giveBack(topicsChanged);
      giveBackMesh();
      throw error;
    }
    this.#logFloor = logFloor;
    this.count++;
    topics.written();
    for (const { entry, floor } of taken) entry.floor = floor;
  }

  async #committedTo(position: LogPosition): Promise<void> {
    const { log } = this.#parts;
    if (log.committed < position) log.hurry();
    while (log.committed < position) {
      if (log.isClosed || (this.#stopped && log.fault !== undefined))
        throw new SprawlError('STORAGE_IO', 'the log was closed over what is pending');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
