/** As much of a store as is needed to keep copies for others: a log that is committed, checkpointed, cut at its beginning, and crashes. */
import type { KeeperStore } from '../../bridge/archive/standby/keeper.js';
import type { KeptPart, KeptParts, LogPosition } from '../../lib/contracts/store.js';

type Entry =
  | { readonly kind: 'kept' | 'note'; readonly name: string; readonly bytes: Uint8Array }
  | { readonly kind: 'other' };

interface Waiting {
  readonly position: LogPosition;
  readonly done: () => void;
}

const QUOTA_EXCEEDED = 0x97;

export class KeptStore implements KeeperStore {
  committed: LogPosition = 0;
  readonly floors = new Map<string, LogPosition>();
  /** Copies that it has room for. */
  roomForCount = Infinity;
  #keptCount = 0;
  #log: (Entry | undefined)[] = [];
  #notes = new Map<string, Uint8Array>();
  #checkpoint = { position: 0, notes: new Map<string, Uint8Array>(), floors: new Map<string, LogPosition>() };
  #waiting: Waiting[] = [];

  /** 100 bytes for each position. */
  bytesBetween(after: LogPosition, upTo: LogPosition): number {
    return 100 * Math.max(0, upTo - after);
  }

  admit(): number {
    return this.#keptCount < this.roomForCount ? 0 : QUOTA_EXCEEDED;
  }

  appendOther(): void {
    this.#log.push({ kind: 'other' });
  }

  appendKept(name: string, bytes: Uint8Array): LogPosition {
    this.#keptCount++;
    return this.#log.push({ kind: 'kept', name, bytes });
  }

  readKept(from: LogPosition, maxBytes: number, done: (kept: KeptParts) => void): void {
    const parts: KeptPart[] = [];
    let read = 0;
    let at = Math.max(1, from);
    for (; at <= this.committed && read < maxBytes; at++) {
      const entry = this.#log[at - 1];
      if (entry?.kind !== 'kept') continue;
      parts.push({ position: at, name: entry.name, bytes: entry.bytes });
      read += entry.bytes.length;
    }
    queueMicrotask(() => done({ parts, next: at }));
  }

  setFloor(name: string, position: LogPosition | undefined): void {
    if (position === undefined) this.floors.delete(name);
    else this.floors.set(name, position);
  }

  setNote(name: string, value: Uint8Array): void {
    this.#notes.set(name, value);
  }

  recordNote(name: string): LogPosition {
    return this.#log.push({ kind: 'note', name, bytes: this.note(name) ?? new Uint8Array(0) });
  }

  note(name: string): Uint8Array | undefined {
    return this.#notes.get(name);
  }

  whenCommitted(done: () => void, position: LogPosition): void {
    this.#waiting.push({ done, position });
  }

  /** The first copy is damaged. */
  loseFirst(): void {
    this.#log[this.#log.findIndex((entry) => entry?.kind === 'kept')] = undefined;
  }

  commit(): void {
    this.committed = this.#log.length;
    for (const { done } of this.#waiting.splice(0)) done();
  }

  /** Writes down notes and floors, and lets go what no floor holds. */
  checkpoint(): void {
    this.commit();
    const notes = new Map(this.#notes);
    this.#checkpoint = { position: this.committed, notes, floors: new Map(this.floors) };
    const floor = Math.min(this.committed, ...this.floors.values());
    for (let at = 1; at < floor; at++) this.#log[at - 1] = undefined;
  }

  /** What was not committed is gone, and so are notes since the last checkpoint that the log does not have. */
  crash(): void {
    this.#waiting = [];
    this.#log.length = this.committed;
    const { position, notes, floors } = this.#checkpoint;
    this.#notes = new Map(notes);
    for (const entry of this.#log.slice(position))
      if (entry?.kind === 'note') this.#notes.set(entry.name, entry.bytes);
    this.floors.clear();
    for (const [name, at] of floors) this.floors.set(name, at);
  }
}
