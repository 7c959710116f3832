/** The plain bytes of an object, whether it is encrypted or not: readers do not know which. */
import { expectKeyOf } from '../encryption/object-keys.js';
import {
  CHUNK_BYTES,
  chunkCountOf,
  HEADER_BYTES,
  ObjectCipher,
  parseHeader,
  plainLengthOf,
  SEALED_CHUNK_BYTES,
} from '../encryption/sealed-format.js';
import type { ArchivedObject } from '../manifest-entry.js';
import type { ObjectStore } from '../object-store.js';
import { type CheckedObject, ObjectDamage, openChecked } from './checked-object.js';

/** Chunks that are read at once: four mebibytes. */
const CHUNKS_AT_ONCE = 64;

/**
 * @param wholeMaxBytes see openChecked
 * @throws ObjectDamage, ObjectFault as openChecked; KeyMissing, before anything is read
 */
export async function openObject(
  store: ObjectStore,
  object: ArchivedObject,
  wholeMaxBytes?: number,
): Promise<CheckedObject> {
  const { key, keyId } = object;
  if (keyId === undefined) return openChecked(store, object, wholeMaxBytes);
  const master = expectKeyOf(store.keys, keyId, key);
  const stored = await openChecked(store, object, wholeMaxBytes);
  const header = parseHeader(await stored.read(0, Math.min(HEADER_BYTES, stored.length)));
  if (typeof header === 'string') throw new ObjectDamage(key, header);
  if (header.keyId !== keyId)
    throw new ObjectDamage(key, `is encrypted with key ${header.keyId}, and its manifest names ${keyId}`);
  return openSealed(stored, new ObjectCipher(master, header.objectId));
}

/**
 * Opens what `cipher` has sealed: all of it where the stored bytes are in memory, else chunk by chunk as it is read.
 * @throws ObjectDamage where its end is not the end that was sealed; so do reads of what is not what was sealed
 */
export async function openSealed(stored: CheckedObject, cipher: ObjectCipher): Promise<CheckedObject> {
  const { key, isWhole } = stored;
  const length = plainLengthOf(stored.length);
  if (length === undefined)
    throw new ObjectDamage(key, `is to be encrypted, and nothing encrypted has ${stored.length} bytes`);
  const sealed = new SealedObject(stored, cipher, length);
  // What is stored is not held beside what is in it.
  if (isWhole) return wholeObject(key, await sealed.read(0, length));
  // Where it ends, it was to end: nothing is missing behind what is read.
  await sealed.read(Math.max(0, length - 1), Math.min(1, length));
  return { key, length, isWhole, read: (offset, bytes) => sealed.read(offset, bytes) };
}

function wholeObject(key: string, plain: Uint8Array): CheckedObject {
  const read = async (offset: number, bytes: number): Promise<Uint8Array> =>
    plain.slice(offset, offset + bytes);
  return { key, length: plain.length, isWhole: true, read };
}

class SealedObject {
  readonly #stored: CheckedObject;
  readonly #cipher: ObjectCipher;
  readonly #last: number;

  constructor(stored: CheckedObject, cipher: ObjectCipher, length: number) {
    this.#stored = stored;
    this.#cipher = cipher;
    this.#last = chunkCountOf(length) - 1;
  }

  /** Plain bytes `[offset, offset + length)`, in a buffer of their own. The one chunk of an empty object is opened, too. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const plain = new Uint8Array(length);
    const end = Math.min(this.#last, Math.floor((offset + Math.max(1, length) - 1) / CHUNK_BYTES));
    for (let first = Math.floor(offset / CHUNK_BYTES); first <= end; first += CHUNKS_AT_ONCE) {
      const count = Math.min(CHUNKS_AT_ONCE, end - first + 1);
      const sealed = await this.#sealed(first, count);
      for (let number = first; number < first + count; number++) {
        const chunk = this.#open(sealed, number - first, number);
        const start = number * CHUNK_BYTES - offset;
        plain.set(chunk.subarray(Math.max(0, -start), length - start), Math.max(0, start));
      }
    }
    return plain;
  }

  #sealed(first: number, count: number): Promise<Uint8Array> {
    const offset = HEADER_BYTES + first * SEALED_CHUNK_BYTES;
    return this.#stored.read(offset, Math.min(count * SEALED_CHUNK_BYTES, this.#stored.length - offset));
  }

  #open(sealed: Uint8Array, index: number, number: number): Uint8Array {
    const bytes = sealed.subarray(index * SEALED_CHUNK_BYTES, (index + 1) * SEALED_CHUNK_BYTES);
    const plain = this.#cipher.open(bytes, number, number === this.#last);
    if (plain !== undefined) return plain;
    const which = `chunk ${number + 1} of ${this.#last + 1}`;
    throw new ObjectDamage(this.#stored.key, `cannot be opened: ${which} is not what was encrypted`);
  }
}
