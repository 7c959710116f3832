/** An object store in memory that fails as it is told to. */
import {
  type ByteRange,
  expectKey,
  type ObjectBody,
  ObjectFault,
  type ObjectFaultKind,
  type ObjectStat,
  type ObjectStore,
} from '../../bridge/archive/object-store.js';
import type { MasterKey } from '../../lib/contracts/master-key.js';

export type Operation = 'create' | 'read' | 'stat' | 'list' | 'remove';

/** `before`: nothing happens. `after`: it happens, and nobody hears of it. */
export interface PlannedFault {
  readonly when: 'before' | 'after';
  readonly kind: ObjectFaultKind;
}

export class MemoryObjectStore implements ObjectStore {
  readonly name = 'memory';
  keys: readonly MasterKey[] = [];
  /** By key, of those that have some. */
  readonly metadata = new Map<string, Readonly<Record<string, string>>>();
  readonly objects = new Map<string, Uint8Array>();
  /** What was asked for, in order: `create a/b`. */
  readonly asked: string[] = [];
  isOnce = true;
  /** Whether it tells one that comes second that it came first, now and then. */
  agrees: () => boolean = () => false;
  /** Asked once for each request. */
  fault: (operation: Operation, key: string) => PlannedFault | undefined = () => undefined;

  createsOnce(): Promise<boolean> {
    return Promise.resolve(this.isOnce);
  }

  create(key: string, body: ObjectBody): Promise<boolean> {
    expectKey(key);
    return this.#ask('create', key, async () => {
      const bytes = Uint8Array.from(await body.read(0, body.length));
      if (this.objects.has(key)) return this.agrees();
      this.objects.set(key, bytes);
      if (body.metadata !== undefined) this.metadata.set(key, body.metadata);
      return true;
    });
  }

  read(key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    expectKey(key);
    return this.#ask('read', key, () => {
      const offset = range?.offset ?? 0;
      return Promise.resolve(this.objects.get(key)?.slice(offset, offset + (range?.length ?? Infinity)));
    });
  }

  stat(key: string): Promise<ObjectStat | undefined> {
    expectKey(key);
    return this.#ask('stat', key, () => {
      const bytes = this.objects.get(key);
      return Promise.resolve(bytes && { key, length: bytes.length });
    });
  }

  async *list(prefix: string, after = ''): AsyncGenerator<ObjectStat> {
    const keys = await this.#ask('list', prefix, () => Promise.resolve([...this.objects.keys()].sort()));
    for (const key of keys)
      if (key.startsWith(prefix) && key > after) yield { key, length: this.objects.get(key)?.length ?? 0 };
  }

  remove(key: string): Promise<void> {
    expectKey(key);
    return this.#ask('remove', key, () => {
      this.objects.delete(key);
      return Promise.resolve();
    });
  }

  async #ask<T>(operation: Operation, key: string, task: () => Promise<T>): Promise<T> {
    this.asked.push(`${operation} ${key}`);
    const planned = this.fault(operation, key);
    const fail = (): never => {
      throw new ObjectFault(planned?.kind ?? 'other', `${operation} ${key} was made to fail`);
    };
    // What is asked for at the same time may be done in between.
    await Promise.resolve();
    if (planned?.when === 'before') fail();
    const result = await task();
    if (planned?.when === 'after') fail();
    return result;
  }
}
