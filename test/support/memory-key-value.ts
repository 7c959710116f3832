import { SprawlError } from '../../lib/contracts/errors.js';
import type { KeyValueStore } from '../../storage/state/key-value-store.js';

/** A database in memory that can be made to misbehave as LevelDB was measured to. */
export class MemoryKeyValue implements KeyValueStore {
  readonly values = new Map<string, Uint8Array>();
  exists = false;
  writes = 0;
  /** Called before each write; what it throws is its failure. `forget`: the write is acknowledged and never happens. */
  onWrite: (() => 'forget' | void) | undefined;

  async open(create: boolean): Promise<void> {
    if (!create && !this.exists) throw new SprawlError('STORAGE_CORRUPT', 'there is no database');
    this.exists = true;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.values.get(key);
  }

  async write(changes: ReadonlyMap<string, Uint8Array | null>): Promise<void> {
    this.writes++;
    if (this.onWrite?.() === 'forget') return;
    for (const [key, value] of changes) {
      if (value === null) this.values.delete(key);
      else this.values.set(key, Uint8Array.from(value));
    }
  }

  async *entries(from: string, to: string): AsyncIterable<readonly [string, Uint8Array]> {
    for (const key of [...this.values.keys()].sort()) {
      const value = this.values.get(key);
      if (key >= from && key < to && value !== undefined) yield [key, value];
    }
  }

  async removeRange(from: string, to: string): Promise<void> {
    for (const key of [...this.values.keys()]) if (key >= from && key < to) this.values.delete(key);
  }

  async destroy(): Promise<void> {
    this.values.clear();
    this.exists = false;
  }

  async close(): Promise<void> {}
}
