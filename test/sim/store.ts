/**
 * The Store contract over a log in memory whose commits take time: what was appended while a commit was under way goes with the
 * next one. Sessions may open late, queues may have to be read back, and admission may be refused. The log and its watermark are all
 * that a restart would need.
 */
import type {
  DeliveryQueue,
  KeptParts,
  LogPosition,
  MessageOrigin,
  SessionRecord,
  Store,
} from '../../lib/contracts/store.js';
import type { OwnMessages } from '../../lib/contracts/streams.js';
import type { Message } from '../../lib/message/message.js';
import { MemoryStore } from '../../storage/memory/memory-store.js';
import { MemoryDeliveryQueue } from '../../storage/memory/delivery-queue.js';
import { MemoryRetainedStore } from '../../storage/memory/retained-store.js';
import { DurableState, type LogEntry } from './durable-state.js';
import { messageIdOf } from './payload.js';
import type { Random } from './random.js';
import type { Scheduler } from './scheduler.js';
import type { Sometimes } from './sometimes.js';

export interface StoreOptions {
  /** 0: every position is committed as it is given out, as in memory. */
  readonly commitMaxMs: number;
  readonly openMaxMs: number;
  /** Whether queues have to be read back at times. */
  readonly lateQueues: boolean;
}

const QUOTA_EXCEEDED = 0x97;

export class SimStore implements Store {
  readonly level = 'disk';
  readonly retained = new MemoryRetainedStore();
  readonly durable = new DurableState();
  /** The entry of position p is at p - 1. */
  readonly log: LogEntry[] = [];
  readonly status = new MemoryStore().status;
  onCommitted: (() => void) | undefined;
  committed: LogPosition = 0;
  /** While set, no message is admitted. */
  full = false;
  refusals = 0;
  /** When a message was last refused. */
  refusedAt = -Infinity;
  /** Faults are over: commits are quick. */
  healed = false;
  /** Appended and not committed. */
  readonly pending = new Set<string>();
  #committing = false;
  readonly #sometimes: Sometimes;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #options: StoreOptions;

  constructor(scheduler: Scheduler, random: Random, options: StoreOptions, sometimes: Sometimes) {
    this.#sometimes = sometimes;
    this.#scheduler = scheduler;
    this.#random = random;
    this.#options = options;
  }

  async open(): Promise<void> {}

  async prepareKeys(): Promise<() => Promise<void>> {
    return async () => undefined;
  }

  async close(): Promise<void> {}

  admit(): number {
    if (!this.full) return 0;
    this.refusals++;
    this.refusedAt = this.#scheduler.now();
    return QUOTA_EXCEEDED;
  }

  append(message: Message, origin: MessageOrigin | undefined): LogPosition {
    const mid = messageIdOf(message.payload);
    if (this.#options.commitMaxMs > 0) {
      this.pending.add(mid);
      this.#sometimes.saw('acknowledgement waits for commit');
      if (origin?.qos === 2) this.#sometimes.saw('QoS 2 message waits for commit');
    }
    const position = this.#write({ kind: 'message', mid, origin });
    message.position = position;
    return position;
  }

  /** Nobody archives in these worlds. */
  appendPassed(): void {}

  appendPassedRun(): void {}

  readonly passedCount = 0;

  record(record: SessionRecord): LogPosition {
    const entry = record.kind === 'sent' ? this.log[record.position - 1] : undefined;
    const mid = entry?.kind === 'message' ? entry.mid : '';
    return this.#write({ kind: 'record', record, mid });
  }

  /** Nothing that lives in this process ever has to be read back. */
  read(positions: readonly LogPosition[], done: (messages: undefined[]) => void): void {
    done(positions.map(() => undefined));
  }

  /** These worlds have one gateway each. */
  recordStream(): LogPosition {
    return this.log.length;
  }

  readonly floors: ReadonlyMap<string, LogPosition> = new Map();

  setFloor(): void {}

  forgetStream(): void {}

  get first(): LogPosition {
    return this.committed + 1;
  }

  bytesBetween(): number {
    return 0;
  }

  appendKept(): LogPosition {
    return 0;
  }

  readKept(from: LogPosition, _maxBytes: number, done: (kept: KeptParts) => void): void {
    done({ parts: [], next: from });
  }

  setFull(): void {}

  setNote(): void {}

  recordNote(): LogPosition {
    return 0;
  }

  note(): undefined {
    return undefined;
  }

  readOwn(from: LogPosition, _maxBytes: number, done: (own: OwnMessages) => void): void {
    const nothing = { messages: [], wallMs: [], next: from, lostFrom: 0, lostTo: 0 };
    this.#scheduler.after(0, 'read', () => done(nothing));
  }

  createQueue(): DeliveryQueue {
    return this.#options.lateQueues
      ? new LateQueue(this.#scheduler, this.#random, this.#sometimes)
      : new MemoryDeliveryQueue();
  }

  #write(entry: LogEntry): LogPosition {
    this.log.push(entry);
    if (this.#options.commitMaxMs === 0) {
      this.durable.apply(entry);
      this.committed = this.log.length;
    } else {
      this.#commitSoon();
    }
    return this.log.length;
  }

  /** One group at a time. */
  #commitSoon(): void {
    if (this.#committing || this.committed === this.log.length) return;
    this.#committing = true;
    // Whatever comes before the write begins is in the same group.
    this.#scheduler.after(this.#random.float() * 0.5, 'commit begins', () => {
      const target = this.log.length;
      const delayMs = this.#random.delay(this.healed ? 1 : this.#options.commitMaxMs);
      this.#scheduler.after(delayMs, 'committed', () => this.#commit(target));
    });
  }

  #commit(target: LogPosition): void {
    for (let position = this.committed; position < target; position++) {
      const entry = this.log[position];
      if (entry === undefined) continue;
      this.durable.apply(entry);
      if (entry.kind === 'message') this.pending.delete(entry.mid);
    }
    this.committed = target;
    this.#committing = false;
    this.#commitSoon();
    this.onCommitted?.();
  }
}

/** A queue whose head has to be read from somewhere at times. */
class LateQueue implements DeliveryQueue {
  onReady: (() => void) | undefined;
  readonly #inner = new MemoryDeliveryQueue();
  #reading = false;

  constructor(
    private readonly scheduler: Scheduler,
    private readonly random: Random,
    private readonly sometimes: Sometimes,
  ) {}

  get count(): number {
    return this.#inner.count;
  }

  get bytes(): number {
    return this.#inner.bytes;
  }

  get heldBytes(): number {
    return this.#inner.heldBytes;
  }

  get ready(): boolean {
    return !this.#reading && this.#inner.ready;
  }

  get headMessage(): Message {
    if (!this.ready) throw new Error('the head of a queue was read before it was ready');
    return this.#inner.headMessage;
  }

  get headFlags(): number {
    return this.#inner.headFlags;
  }

  get headIdentifiers(): readonly number[] | undefined {
    return this.#inner.headIdentifiers;
  }

  push(message: Message, flags: number, identifiers: readonly number[] | undefined): void {
    this.#inner.push(message, flags, identifiers);
    if (this.#inner.count === 1) this.#readLate();
  }

  shift(): void {
    this.#inner.shift();
    this.#readLate();
  }

  clear(): void {
    this.#inner.clear();
  }

  release(): void {}

  replay(): void {}

  replayAssigned(): void {}

  remove(): void {}

  #readLate(): void {
    if (this.#reading || !this.random.chance(0.2)) return;
    this.#reading = true;
    this.sometimes.saw('queue had to be read back');
    this.scheduler.after(this.random.delay(20), 'queue ready', () => {
      this.#reading = false;
      this.onReady?.();
    });
  }
}
