/**
 * Storage in the memory of the process: every position is committed when it is given out, and nothing outlives the
 * process. It is what `durability: memory` means, and the reference for the contract's tests.
 */
import type {
  DeliveryQueue,
  KeptParts,
  LogPosition,
  StorageStatus,
  Store,
} from '../../lib/contracts/store.js';
import type { OwnMessages } from '../../lib/contracts/streams.js';
import { MemoryDeliveryQueue } from './delivery-queue.js';
import { MemoryRetainedStore } from './retained-store.js';

export class MemoryStore implements Store {
  readonly level = 'memory';
  readonly retained = new MemoryRetainedStore();
  onCommitted: (() => void) | undefined;
  #position = 0;
  #isTold = false;

  readonly status: StorageStatus = {
    fault: undefined,
    shortage: undefined,
    logBytes: 0,
    logMaxBytes: 0,
    segments: 0,
    freeBytes: 0,
    pendingBytes: 0,
    writtenBytes: 0,
    payloadBytes: 0,
    commits: 0,
    lastCommitMs: 0,
    faults: 0,
    checkpoints: 0,
    prunedBytes: 0,
    compactedBytes: 0,
    lostPositions: 0,
  };

  get committed(): LogPosition {
    return this.#position;
  }

  /** Whoever waits hears of it when who wrote has done with it. */
  #next(): LogPosition {
    if (!this.#isTold) {
      this.#isTold = true;
      queueMicrotask(() => {
        this.#isTold = false;
        this.onCommitted?.();
      });
    }
    return ++this.#position;
  }

  async open(): Promise<void> {}

  async prepareKeys(): Promise<() => Promise<void>> {
    return async () => undefined;
  }

  async close(): Promise<void> {}

  admit(): number {
    return 0;
  }

  append(): LogPosition {
    return this.#next();
  }

  appendPassed(): void {}

  appendPassedRun(): void {}

  readonly passedCount = 0;

  record(): LogPosition {
    return this.#next();
  }

  /** There is nothing to read back: what waits is in memory, with its messages. */
  read(positions: readonly LogPosition[], done: (messages: undefined[]) => void): void {
    done(positions.map(() => undefined));
  }

  createQueue(): DeliveryQueue {
    return new MemoryDeliveryQueue();
  }

  recordStream(): LogPosition {
    return this.#next();
  }

  readonly floors: ReadonlyMap<string, LogPosition> = new Map();

  setFloor(): void {}

  get first(): LogPosition {
    return this.#position + 1;
  }

  bytesBetween(): number {
    return 0;
  }

  appendKept(): LogPosition {
    return 0;
  }

  readKept(from: LogPosition, _maxBytes: number, done: (kept: KeptParts) => void): void {
    queueMicrotask(() => done({ parts: [], next: Math.max(from, this.#position + 1) }));
  }

  setFull(): void {}

  forgetStream(): void {}

  setNote(): void {}

  recordNote(): LogPosition {
    return 0;
  }

  note(): undefined {
    return undefined;
  }

  /** What was not taken when it came is gone. */
  readOwn(from: LogPosition, _maxBytes: number, done: (own: OwnMessages) => void): void {
    const next = Math.max(from, this.#position + 1);
    const isLost = next > from;
    const lost = { lostFrom: isLost ? from : 0, lostTo: isLost ? next - 1 : 0 };
    queueMicrotask(() => done({ messages: [], wallMs: [], next, ...lost }));
  }
}
