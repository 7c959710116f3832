/**
 * Which segments go, and which are written again smaller. After each checkpoint at most one segment is compacted, so that this
 * work never costs more than the log that was written meanwhile.
 *
 *     needed by the replay of the older snapshot, or younger than what is kept   stays as it is
 *     needed by nobody                                                           is removed, oldest first
 *     needed for some messages of sessions that are away for long                is written again with those alone
 */
import { isArchiveFloor, type LogPosition } from '../../lib/contracts/store.js';
import type { MessageSource } from '../../lib/contracts/streams.js';
import type { Segment } from '../log/segment.js';
import type { DiskQueue } from '../queue/disk-queue.js';
import type { OpenParts } from './open-parts.js';
import { encodeLogFloor, LOG_FLOOR_KEY } from './session-table.js';

/** A segment of which more than this is needed is not worth it. */
const COMPACT_BELOW_SHARE = 0.5;

export class SegmentCare {
  prunedBytes = 0;
  compactedBytes = 0;
  readonly #parts: OpenParts;
  /** Queues of sessions that end with their connection. */
  readonly #passing: Set<DiskQueue>;
  /** Floors that hold more than they may. */
  readonly #warnedOf = new Set<string>();
  /** How many messages of a segment were needed when it was last looked at, by path. */
  readonly #lookedAt = new Map<string, number>();

  constructor(parts: OpenParts, passing: Set<DiskQueue>) {
    this.#parts = parts;
    this.#passing = passing;
  }

  /** @throws SprawlError STORAGE_IO, STORAGE_FULL, STORAGE_CORRUPT; to be called again then */
  async run(): Promise<void> {
    await this.#prune();
    await this.#compactOne();
  }

  async #prune(): Promise<void> {
    const { log, index, topics } = this.#parts;
    const needed = this.#floor();
    const kept = this.#keptFrom();
    let floor = 0;
    // The newest stays whatever it holds.
    for (const { next } of log.segments.slice(0, -1)) {
      if (next > Math.min(needed, kept)) break;
      floor = next;
    }
    if (floor === 0) return;
    // Before: what is missing at the beginning of the log beyond this was not dropped.
    await index.write(index.applied, new Map([[LOG_FLOOR_KEY, encodeLogFloor(floor)]]));
    this.prunedBytes += await log.dropBefore(floor);
    this.#parts.mesh.dropUnused(log.reader.first, () => this.#retainedSources());
    for (const key of await topics.dropBefore(index, floor)) index.drop(key);
    const paths = new Set(log.segments.map(({ path }) => path));
    for (const path of this.#lookedAt.keys()) if (!paths.has(path)) this.#lookedAt.delete(path);
  }

  #retainedSources(): Set<MessageSource | undefined> {
    const { retained } = this.#parts;
    const sources = new Set<MessageSource | undefined>();
    retained.forEach(({ source }) => sources.add(source));
    retained.forEachTombstone(({ source }) => sources.add(source));
    return sources;
  }

  /** Nothing before it is needed by anybody. */
  #floor(): LogPosition {
    const { index, table } = this.#parts;
    const passing = this.#passing;
    let floor = Math.min(index.floor, table.floor, this.#heldFrom());
    for (const queue of passing) {
      if (queue.count === 0) passing.delete(queue);
      else floor = Math.min(floor, queue.floor);
    }
    return floor;
  }

  #heldFrom(): LogPosition {
    const { log, mesh, options } = this.#parts;
    const { floor } = mesh;
    const from = heldFrom(log.segments, floor, options.floorsMaxBytes);
    return Math.min(mesh.archiveFloor, from > floor ? this.#letGo(from) : from);
  }

  /** @returns `from` */
  #letGo(from: LogPosition): LogPosition {
    const { mesh, options } = this.#parts;
    for (const [name, position] of mesh.floors) {
      if (position >= from || isArchiveFloor(name) || this.#warnedOf.has(name)) continue;
      this.#warnedOf.add(name);
      options.logger.warn('what it has not fetched is more than is kept for others: the oldest of it goes', {
        ...{ name, from: position, keptFrom: from, maxBytes: options.floorsMaxBytes },
        raise: 'mesh.peerKeepMaxBytes',
      });
    }
    return from;
  }

  /** What is before it is older, or more, than is kept of what nobody needs. */
  #keptFrom(): LogPosition {
    const { log, topics, options } = this.#parts;
    const { clock, keepMaxBytes, keepMaxAgeMs } = options;
    let bytes = log.storedBytes;
    for (const { header, next, end } of log.segments) {
      const age = clock.wall() - (topics.timeOf(next - 1) ?? Infinity);
      if (bytes <= keepMaxBytes && age <= keepMaxAgeMs) return header.first;
      bytes -= end;
    }
    return log.committed + 1;
  }

  async #compactOne(): Promise<void> {
    const { log, index } = this.#parts;
    // What others may want is read in one go: it stays as it is.
    const limit = Math.min(index.floor, this.#keptFrom(), this.#heldFrom());
    for (const segment of log.segments.slice(0, -1)) {
      if (segment.next > limit) return;
      const count = segment.next - segment.header.first;
      const before = this.#lookedAt.get(segment.path) ?? count;
      if (segment.damage.length > 0 || before === 0) continue;
      const needed = await this.#neededOf(segment);
      // It is worth writing again only where much of what it was last written for has gone.
      if (needed.size > before * COMPACT_BELOW_SHARE) continue;
      this.compactedBytes += await log.compact(segment, (position) => needed.has(position));
      // One that turned out to be damaged is left alone.
      if (segment.damage.length > 0) continue;
      this.#lookedAt.set(segment.path, needed.size);
      return;
    }
  }

  async #neededOf({ header, next }: Segment): Promise<ReadonlySet<LogPosition>> {
    const { table, sessions } = this.#parts;
    const needed = new Set<LogPosition>();
    for (const { clientId, queue, floor } of [...table.entries()]) {
      if (floor >= next) continue;
      await queue?.collect(header.first, next, needed);
      for (const { position } of sessions.imageOf(clientId)?.inFlight ?? [])
        if (position >= header.first && position < next) needed.add(position);
    }
    for (const queue of [...this.#passing]) await queue.collect(header.first, next, needed);
    return needed;
  }
}

/**
 * Floors hold the log from here on, the lowest of which is `floor`. Where that is more than `maxBytes` the oldest of it goes, and whoever
 * comes for it is told.
 */
export function heldFrom(segments: readonly Segment[], floor: LogPosition, maxBytes: number): LogPosition {
  let held = 0;
  for (const { next, end } of segments.toReversed()) {
    if (next <= floor) return floor;
    held += end;
    if (held > maxBytes) return next;
  }
  return floor;
}
