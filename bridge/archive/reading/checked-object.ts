/** The bytes of an object, which are looked at before anybody builds on them: nothing of one that was changed is handed out. */
import { createHash } from 'node:crypto';
import type { ArchivedObject } from '../manifest-entry.js';
import type { ObjectStore } from '../object-store.js';

/** An object that is not what its manifest entry says. */
export class ObjectDamage extends Error {
  constructor(
    readonly key: string,
    /** What is wrong with it: the text goes on behind its key. */
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(`${key} ${reason}`, options);
    this.name = 'ObjectDamage';
  }
}

export interface CheckedObject {
  readonly key: string;
  readonly length: number;
  /** Whether all of it is in memory. */
  readonly isWhole: boolean;
  /** Bytes `[offset, offset + length)`, in a buffer of their own. @throws ObjectFault, ObjectDamage */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** Up to here an object is read once, and held in memory; a larger one is read twice: once to check it, and then in parts. */
const WHOLE_MAX_BYTES = 16 * 1024 * 1024;
const CHUNK_BYTES = 4 * 1024 * 1024;

/** What is said of an object that is not there, behind its key. @param where with a blank before it; empty: it is said already @throws ObjectFault */
export async function missingText(store: ObjectStore, key: string, where = ''): Promise<string> {
  const wayBack = await store.wayBack?.(key);
  return `is missing${where}${wayBack === undefined ? '' : `: ${wayBack}`}`;
}

/**
 * @param wholeMaxBytes see WHOLE_MAX_BYTES
 * @throws ObjectDamage where it is missing, or its length or its hash is another one; ObjectFault
 */
export async function openChecked(
  store: ObjectStore,
  { key, length, sha256 }: ArchivedObject,
  wholeMaxBytes = WHOLE_MAX_BYTES,
): Promise<CheckedObject> {
  const stat = await store.stat(key);
  if (stat === undefined) throw new ObjectDamage(key, await missingText(store, key, ` in ${store.name}`));
  if (stat.length !== length)
    throw new ObjectDamage(key, `has ${stat.length} bytes in ${store.name}, and ${length} were archived`);
  const part = async (offset: number, bytes: number): Promise<Uint8Array> => {
    const found = await store.read(key, { offset, length: bytes });
    if (found?.length !== bytes) throw new ObjectDamage(key, `is gone, or shorter, while it is read`);
    return found;
  };
  const hash = createHash('sha256');
  const isWhole = length <= wholeMaxBytes;
  const step = isWhole ? Math.max(length, 1) : CHUNK_BYTES;
  let whole: Uint8Array = new Uint8Array(0);
  for (let offset = 0; offset < length; offset += step) {
    const bytes = await part(offset, Math.min(step, length - offset));
    hash.update(bytes);
    if (isWhole) whole = bytes;
  }
  const digest = hash.digest('hex');
  if (digest !== sha256)
    throw new ObjectDamage(
      key,
      `was changed in ${store.name}: its SHA-256 is ${digest}, and ${sha256} was archived`,
    );
  const read = (offset: number, bytes: number): Promise<Uint8Array> =>
    isWhole ? Promise.resolve(whole.slice(offset, offset + bytes)) : part(offset, bytes);
  return { key, length, isWhole, read };
}
