/** Gives back to the lanes what was stored: the sessions of the last checkpoint, then what the log has since. */
import { type LogPosition, OWED_FLAG, type UnassignedImage } from '../../lib/contracts/store.js';
import type { Loss } from '../log/recovery.js';
import { viewMessageRecord } from '../records/message-record.js';
import { RecordType } from '../records/record-type.js';
import { parseSessionRecord } from '../records/session-record.js';
import { parseSource, parseStreamRecord } from './mesh-state.js';
import type { OpenParts } from './open-parts.js';
import type { SessionQueues } from './session-queues.js';
import { imageFloor, SessionEntry, type StoredSession } from './session-table.js';

export interface ReplayHooks {
  /** Makes a checkpoint; everything up to `replayedTo` has been given to the lanes. */
  readonly checkpoint: (replayedTo: LogPosition) => Promise<void>;
  readonly noteLoss: (loss: Loss) => void;
}

export class Replay {
  readonly #parts: OpenParts;
  readonly #queues: SessionQueues;
  readonly #hooks: ReplayHooks;

  constructor(parts: OpenParts, queues: SessionQueues, hooks: ReplayHooks) {
    this.#parts = parts;
    this.#queues = queues;
    this.#hooks = hooks;
  }

  /** @throws SprawlError STORAGE_IO, STORAGE_CORRUPT */
  async run(stored: Iterable<StoredSession>, unassigned: readonly UnassignedImage[]): Promise<void> {
    for (const session of stored) this.#restoreSession(session);
    for (const image of this.#parts.mesh.takeImages()) this.#parts.streams?.restoreStream(image);
    await this.#restoreUnassigned(unassigned);
    await this.#replay();
  }

  #restoreSession({ number, image, queue: state }: StoredSession): void {
    const { table, sessions } = this.#parts;
    const entry = new SessionEntry(image.clientId, number);
    entry.subscriptionsAreDirty = false;
    table.add(entry);
    const queue = this.#queues.restore(entry, state);
    entry.floor = Math.min(queue.floor, imageFloor(image, OWED_FLAG));
    sessions.restoreSession(image);
  }

  async #restoreUnassigned(images: readonly UnassignedImage[]): Promise<void> {
    const { reader, sessions } = this.#parts;
    const messages = await reader.read(images.map(({ position }) => position));
    for (const [i, { filters }] of images.entries()) {
      const message = messages[i];
      if (message !== undefined) sessions.restoreUnassigned(message, filters);
    }
  }

  async #replay(): Promise<void> {
    const { log, index, sizes } = this.#parts;
    const { reader, committed } = log;
    let at = Math.max(index.applied + 1, reader.first);
    while (at <= committed) {
      const { next, damage } = await reader.read(
        at,
        at + sizes.replayStepCount - 1,
        (position, type, bytes, start, end) => this.#replayRecord(position, type, bytes, start, end),
      );
      // A segment that was ended in order is read for the first time here.
      for (const { first, last } of damage)
        this.#hooks.noteLoss({ first, last, path: this.#pathOf(first), cause: 'damaged' });
      at = next;
      if (index.pendingBytes > sizes.pendingBlocksMaxBytes) await this.#hooks.checkpoint(at - 1);
    }
  }

  #pathOf(position: LogPosition): string {
    const { log, options } = this.#parts;
    const segment = log.segments.find(({ header, next }) => position >= header.first && position < next);
    return segment?.path ?? options.folder;
  }

  #replayRecord(position: LogPosition, type: number, bytes: Uint8Array, start: number, end: number): void {
    const { table, topics, texts, clock, sessions, mesh, streams } = this.#parts;
    if (type === RecordType.message || type === RecordType.retained) {
      const { message, packetId, isWill, wallMs, sourceNumber } = viewMessageRecord(bytes, start, end, texts);
      if (message.retain || type === RecordType.retained) message.copyBytes();
      message.position = position;
      if (sourceNumber !== 0) {
        message.source = mesh.source(sourceNumber);
        if (message.source !== undefined && !message.aheadOfStream)
          streams?.replayForwarded(message.source, message.sequence);
      }
      topics.add(message.topic, position, wallMs);
      const publisher = packetId === 0 && !isWill ? undefined : this.#sessionAt(position, message.publisher);
      if (publisher !== undefined) table.changed(publisher, 0);
      if (isWill && publisher !== undefined)
        sessions.replayStep({ kind: 'willPublished', clientId: publisher.clientId });
      if (type === RecordType.message && !message.aheadOfStream)
        sessions.replayMessage(message, publisher === undefined ? 0 : packetId);
      else sessions.replayRetained(message);
      return;
    }
    // It went to those who were there, or is nobody's business but of who keeps it.
    if (type === RecordType.passed || type === RecordType.kept) return;
    if (type === RecordType.time) {
      clock.saw(bytes, start);
      return;
    }
    if (type === RecordType.note) {
      mesh.replayNote(bytes, start, end);
      return;
    }
    if (type >= RecordType.source && type <= RecordType.backfill) {
      this.#replayStream(position, type, bytes, start, end);
      return;
    }
    const record = parseSessionRecord(
      type,
      bytes,
      start,
      end,
      (number) => table.byNumber(number)?.clientId,
      texts,
    );
    if (record === undefined) return;
    if (record.kind === 'created') {
      // It was written down after it was created.
      if (table.byNumber(position) !== undefined) return;
      table.begin(record.clientId, position);
    } else if (record.kind !== 'assigned') {
      table.note(record, 0);
    }
    sessions.replayStep(record);
    if (record.kind === 'ended') table.end(record.clientId);
  }

  #replayStream(position: LogPosition, type: number, bytes: Uint8Array, start: number, end: number): void {
    const { mesh, streams } = this.#parts;
    if (type === RecordType.source) {
      const source = parseSource(bytes, start, end);
      if (source !== undefined) mesh.begin(source, position);
      return;
    }
    const record = parseStreamRecord(type, bytes, start, mesh);
    if (record !== undefined) streams?.replayStream(record);
  }

  /** The session that the client had at this position of the log, where it is the one that it has. */
  #sessionAt(position: LogPosition, clientId: string): SessionEntry | undefined {
    const entry = this.#parts.table.get(clientId);
    return entry === undefined || entry.number > position ? undefined : entry;
  }
}
