/**
 * Builds encrypted objects. What an object is encrypted with depends on all of its bytes, so it is built first: on the disk under a key that is nowhere
 * but in the memory of this process, so that nothing plain is left where it dies.
 */
import {
  createCipheriv,
  createHash,
  createSecretKey,
  type Hash,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import type { MasterKey } from '../../../lib/contracts/master-key.js';
import type { ObjectBody } from '../object-store.js';
import type { Spool, SpooledObject, SpoolFile } from '../spool.js';
import { sealedBody } from './sealed-body.js';
import { ObjectCipher, objectIdOf } from './sealed-format.js';

const KEY_BYTES = 32;
/** Encrypts and decrypts, from any block on. */
const VEIL = 'aes-256-ctr';
const BLOCK_BYTES = 16;
/** What is read at once to be hashed. */
const HASHED_BYTES = 1024 * 1024;

/** What a store that knows metadata has beside an object: the key without which it cannot be read. */
export const KEY_ID_METADATA = 'sprawl-key-id';

export class SealedSpool implements Spool {
  readonly #inner: Spool;
  readonly #master: () => MasterKey | undefined;

  /** @param master asked for each object, since another one may be the current one by then; undefined: it stays plain */
  constructor(inner: Spool, master: () => MasterKey | undefined) {
    this.#inner = inner;
    this.#master = master;
  }

  create(): SpoolFile {
    const master = this.#master();
    const file = this.#inner.create();
    return master === undefined ? file : new SealedSpoolFile(file, master);
  }
}

class SealedSpoolFile implements SpoolFile {
  readonly #inner: SpoolFile;
  readonly #master: MasterKey;
  readonly #key: KeyObject = createSecretKey(randomBytes(KEY_BYTES));
  readonly #veil = createCipheriv(VEIL, this.#key, Buffer.alloc(BLOCK_BYTES));
  readonly #plain: Hash = createHash('sha256');

  constructor(inner: SpoolFile, master: MasterKey) {
    this.#inner = inner;
    this.#master = master;
  }

  append(bytes: Uint8Array): void {
    this.#plain.update(bytes);
    this.#inner.append(this.#veil.update(bytes));
  }

  async finish(): Promise<SpooledObject> {
    const { body } = await this.#inner.finish();
    const { id: keyId } = this.#master;
    const cipher = new ObjectCipher(this.#master, objectIdOf(this.#master, this.#plain.digest()));
    const sealed = sealedBody(cipher, this.#unveiled(body));
    const sha256 = await sha256Of(sealed);
    return { body: { ...sealed, metadata: { [KEY_ID_METADATA]: keyId } }, sha256, keyId };
  }

  remove(): Promise<void> {
    return this.#inner.remove();
  }

  #unveiled({ length, read }: ObjectBody): ObjectBody {
    return {
      length,
      read: async (offset, bytes) => {
        const skipped = offset % BLOCK_BYTES;
        const start = Buffer.alloc(BLOCK_BYTES);
        start.writeBigUInt64BE(BigInt((offset - skipped) / BLOCK_BYTES), BLOCK_BYTES / 2);
        const veil = createCipheriv(VEIL, this.#key, start);
        veil.update(Buffer.alloc(skipped));
        return veil.update(await read(offset, bytes));
      },
    };
  }
}

async function sha256Of({ length, read }: ObjectBody): Promise<string> {
  const hash = createHash('sha256');
  for (let offset = 0; offset < length; offset += HASHED_BYTES)
    hash.update(await read(offset, Math.min(HASHED_BYTES, length - offset)));
  return hash.digest('hex');
}
