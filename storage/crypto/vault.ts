/** What storage seals and opens with the keys of a data folder: groups of log records, and entries of the database. */
import { SprawlError } from '../../lib/contracts/errors.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { RecordCipher } from '../log/record-cipher.js';
import { readU32, writeU32, writeU48 } from '../log/record.js';
import type { KeyValueStore } from '../state/key-value-store.js';
import { open, seal } from './envelope.js';
import type { Keyring } from './keyring.js';

const CONTEXT_BYTES = 12;
/** Keys that have a name in them: of sessions, retained messages and the index of topics. */
const NAMED = ['l/s/', 'l/u/', 'l/r/', 't/'];

export class Vault implements RecordCipher {
  readonly keyring: Keyring;

  constructor(keyring: Keyring) {
    this.keyring = keyring;
  }

  sealRecords(records: Uint8Array, first: LogPosition, last: LogPosition): Uint8Array {
    return seal(this.keyring, records, positionContext(first, last));
  }

  openRecords(sealed: Uint8Array, first: LogPosition, last: LogPosition): Uint8Array {
    return open(this.keyring, sealed, positionContext(first, last));
  }

  /**
   * Names in a key of the database (what comes after the second `/`, up to a U+0000) are hidden; what is before tells nothing and keeps
   * its order.
   */
  hideName(key: string): string {
    const start = key.indexOf('/', key.indexOf('/') + 1) + 1;
    if (start === 0 || !NAMED.some((prefix) => key.startsWith(prefix))) return key;
    const mark = key.indexOf('\0', start);
    const end = mark < 0 ? key.length : mark;
    return start === end
      ? key
      : key.slice(0, start) + this.keyring.nameOf(key.slice(start, end)) + key.slice(end);
  }

  /** The value has the true key in it. */
  sealEntry(key: string, value: Uint8Array): readonly [key: string, value: Uint8Array] {
    const hidden = this.hideName(key);
    const name = Buffer.from(key, 'utf8');
    const plain = Buffer.allocUnsafe(4 + name.length + value.length);
    writeU32(plain, 0, name.length);
    plain.set(name, 4);
    plain.set(value, 4 + name.length);
    return [hidden, seal(this.keyring, plain, Buffer.from(hidden, 'utf8'))];
  }

  /** @throws SprawlError STORAGE_CORRUPT, STORAGE_KEY_WRONG */
  openEntry(hidden: string, sealed: Uint8Array): readonly [key: string, value: Uint8Array] {
    const plain = open(this.keyring, sealed, Buffer.from(hidden, 'utf8'));
    const valueAt = 4 + readU32(plain, 0);
    return [plain.toString('utf8', 4, valueAt), plain.subarray(valueAt)];
  }
}

function positionContext(first: LogPosition, last: LogPosition): Uint8Array {
  const context = new Uint8Array(CONTEXT_BYTES);
  writeU48(context, 0, first);
  writeU48(context, 6, last);
  return context;
}

/** A database whose keys tell no names and whose values only the vault can read. */
export class SealedKeyValue implements KeyValueStore {
  readonly #inner: KeyValueStore;
  readonly #vault: Vault;

  constructor(inner: KeyValueStore, vault: Vault) {
    this.#inner = inner;
    this.#vault = vault;
  }

  open(create: boolean): Promise<void> {
    return this.#inner.open(create);
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const hidden = this.#vault.hideName(key);
    const sealed = await this.#inner.get(hidden);
    if (sealed === undefined) return undefined;
    const [trueKey, value] = this.#vault.openEntry(hidden, sealed);
    if (trueKey !== key)
      throw new SprawlError('STORAGE_CORRUPT', `the value of ${JSON.stringify(key)} is of another key`);
    return value;
  }

  write(changes: ReadonlyMap<string, Uint8Array | null>): Promise<void> {
    const sealed = new Map<string, Uint8Array | null>();
    for (const [key, value] of changes) {
      if (value === null) sealed.set(this.#vault.hideName(key), null);
      else sealed.set(...this.#vault.sealEntry(key, value));
    }
    return this.#inner.write(sealed);
  }

  async *entries(from: string, to: string): AsyncIterable<readonly [string, Uint8Array]> {
    const { prefix, end } = this.#hiddenRange(from, to);
    for await (const [hidden, sealed] of this.#inner.entries(prefix, end))
      yield this.#vault.openEntry(hidden, sealed);
  }

  removeRange(from: string, to: string): Promise<void> {
    const { prefix, end } = this.#hiddenRange(from, to);
    return this.#inner.removeRange(prefix, end);
  }

  /** Ranges begin with whole names, or before them. */
  #hiddenRange(from: string, to: string): { readonly prefix: string; readonly end: string } {
    const prefix = from.includes('\0') ? this.#vault.hideName(from) : from;
    return { prefix, end: to.startsWith(from) ? prefix + to.slice(from.length) : to };
  }

  destroy(): Promise<void> {
    return this.#inner.destroy();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
