/**
 * An object that only who has the key can read. Its bytes:
 *
 *     0    7 bytes    `SPRAWLA`
 *     7    u8         version
 *     8    8 bytes    id of the master key
 *     16   32 bytes   id of the object
 *     48              chunks: 65,536 bytes, the last one fewer, each encrypted with AES-256-GCM, and 16 bytes of tag behind each
 *
 * The nonce of a chunk is its number (11 bytes, most significant first) and whether it is the last (1 byte): that is STREAM (Hoang, Reyhanitabar, Rogaway,
 * Vizár 2015). A chunk that is changed, missing, or in another place does not open, nor one of another object, since each has a key of its own. All that the
 * header says decides which key is taken: with another header nothing opens.
 *
 * The id of an object is made of the SHA-256 of its plain bytes, and its key of its id, both with the master key. So the same bytes are the same
 * object once more, which whoever archives relies on, and other bytes have another key: no nonce is used twice for two plaintexts.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import type { MasterKey } from '../../../lib/contracts/master-key.js';

const MAGIC = Buffer.from('SPRAWLA', 'latin1');
const VERSION = 1;
const KEY_ID_AT = 8;
const OBJECT_ID_AT = 16;
const OBJECT_ID_BYTES = 32;
export const HEADER_BYTES = OBJECT_ID_AT + OBJECT_ID_BYTES;
/** Of plain bytes in a chunk. */
export const CHUNK_BYTES = 65_536;
const TAG_BYTES = 16;
/** Of a chunk as it is stored; the last one may be shorter. */
export const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;
const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const NUMBER_AT = NONCE_BYTES - 1 - 4;

/** An empty object has one chunk, too. @param plainBytes of a whole object */
export function chunkCountOf(plainBytes: number): number {
  return Math.max(1, Math.ceil(plainBytes / CHUNK_BYTES));
}

export function sealedLengthOf(plainBytes: number): number {
  return HEADER_BYTES + plainBytes + TAG_BYTES * chunkCountOf(plainBytes);
}

/** @returns undefined: nothing that is sealed is so long */
export function plainLengthOf(sealedBytes: number): number | undefined {
  const chunks = Math.ceil((sealedBytes - HEADER_BYTES) / SEALED_CHUNK_BYTES);
  const plainBytes = sealedBytes - HEADER_BYTES - TAG_BYTES * chunks;
  return plainBytes >= 0 && sealedLengthOf(plainBytes) === sealedBytes ? plainBytes : undefined;
}

/** @param plainSha256 of all plain bytes @returns 32 bytes that tell nothing to who has no key */
export function objectIdOf(master: MasterKey, plainSha256: Uint8Array): Uint8Array {
  const key = derived(master, new Uint8Array(0), 'sprawl-edge archive: ids of objects');
  return createHmac('sha256', key).update(plainSha256).digest();
}

export interface SealedHeader {
  /** Of the master key, 16 hexadecimal digits. */
  readonly keyId: string;
  readonly objectId: Uint8Array;
}

/** @returns what is wrong with it, as the end of a sentence */
export function parseHeader(bytes: Uint8Array): SealedHeader | string {
  if (bytes.length < HEADER_BYTES || !MAGIC.equals(bytes.subarray(0, MAGIC.length)))
    return 'is not encrypted, and its manifest says that it is';
  const version = bytes[MAGIC.length];
  if (version !== VERSION)
    return `is encrypted in version ${version}, and this version of sprawl-edge knows ${VERSION}: update it`;
  const keyId = Buffer.from(bytes.subarray(KEY_ID_AT, OBJECT_ID_AT)).toString('hex');
  return { keyId, objectId: bytes.slice(OBJECT_ID_AT, HEADER_BYTES) };
}

/** Seals and opens the chunks of one object. */
export class ObjectCipher {
  readonly header: Uint8Array;
  readonly #key: KeyObject;

  constructor(master: MasterKey, objectId: Uint8Array) {
    this.header = Buffer.concat([MAGIC, Buffer.of(VERSION), Buffer.from(master.id, 'hex'), objectId]);
    this.#key = derived(master, objectId, 'sprawl-edge archive: an object');
  }

  /** @param plain CHUNK_BYTES of them, or fewer of the last chunk */
  seal(plain: Uint8Array, number: number, isLast: boolean): Uint8Array {
    const cipher = createCipheriv(CIPHER, this.#key, nonceOf(number, isLast));
    return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  /** @returns undefined: it is not what was sealed as this chunk of this object */
  open(sealed: Uint8Array, number: number, isLast: boolean): Uint8Array | undefined {
    const end = sealed.length - TAG_BYTES;
    if (end < 0) return undefined;
    const decipher = createDecipheriv(CIPHER, this.#key, nonceOf(number, isLast));
    decipher.setAuthTag(sealed.subarray(end));
    const plain = decipher.update(sealed.subarray(0, end));
    try {
      decipher.final();
      return plain;
    } catch {
      return undefined;
    }
  }
}

function nonceOf(number: number, isLast: boolean): Uint8Array {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUInt32BE(number, NUMBER_AT);
  nonce[NONCE_BYTES - 1] = isLast ? 1 : 0;
  return nonce;
}

function derived({ key }: MasterKey, salt: Uint8Array, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', key, salt, purpose, KEY_BYTES)));
}
