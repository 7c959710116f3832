/**
 * Bytes that only who has the key can read or change, AES-256-GCM:
 *
 *     0   u8        version
 *     1   u32       number of the key, least significant byte first
 *     5   12 bytes  nonce, random
 *     17            ciphertext
 *     at the end    16 bytes of tag
 *
 * The context (where it belongs: a position of the log, a key of the database) is authenticated and not stored: an envelope that was
 * moved somewhere else does not open.
 */
import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';
import { SprawlError } from '../../lib/contracts/errors.js';
import { readU32, writeU32 } from '../log/record.js';

const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 5 + NONCE_BYTES;
export const ENVELOPE_BYTES = HEADER_BYTES + TAG_BYTES;
const CIPHER = 'aes-256-gcm';

export interface DataKeys {
  /** What is sealed from now on is sealed with it. */
  readonly current: { readonly id: number; readonly key: KeyObject };
  /** undefined: there is none of this number. */
  byId(id: number): KeyObject | undefined;
}

export function seal(keys: DataKeys, plain: Uint8Array, context: Uint8Array): Buffer {
  const { id, key } = keys.current;
  const out = Buffer.allocUnsafe(ENVELOPE_BYTES + plain.length);
  out[0] = VERSION;
  writeU32(out, 1, id);
  const nonce = randomBytes(NONCE_BYTES);
  out.set(nonce, 5);
  const cipher = createCipheriv(CIPHER, key, nonce);
  cipher.setAAD(context);
  out.set(cipher.update(plain), HEADER_BYTES);
  cipher.final();
  out.set(cipher.getAuthTag(), HEADER_BYTES + plain.length);
  return out;
}

/** @throws SprawlError STORAGE_CORRUPT where it is not what was sealed, or not for this context; STORAGE_KEY_WRONG */
export function open(keys: DataKeys, sealed: Uint8Array, context: Uint8Array): Buffer {
  if (sealed.length < ENVELOPE_BYTES || sealed[0] !== VERSION) throw damaged('it is no envelope');
  const id = readU32(sealed, 1);
  const key = keys.byId(id);
  if (key === undefined) {
    throw new SprawlError(
      'STORAGE_KEY_WRONG',
      `something is encrypted with data key ${id}, which is not in keys.json; restore that file from a backup`,
      { details: { id } },
    );
  }
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(5, HEADER_BYTES));
  decipher.setAAD(context);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  try {
    const plain = decipher.update(sealed.subarray(HEADER_BYTES, sealed.length - TAG_BYTES));
    decipher.final();
    return plain;
  } catch (error) {
    throw damaged('its tag is wrong', error);
  }
}

function damaged(why: string, cause?: unknown): SprawlError {
  return new SprawlError('STORAGE_CORRUPT', `something encrypted cannot be opened: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
  });
}
