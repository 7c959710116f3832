/** What is to be in an encrypted object, made from its plain bytes as they are asked for: nothing encrypted is kept, and twice the same is read. */
import type { ObjectBody } from '../object-store.js';
import {
  CHUNK_BYTES,
  chunkCountOf,
  HEADER_BYTES,
  type ObjectCipher,
  SEALED_CHUNK_BYTES,
  sealedLengthOf,
} from './sealed-format.js';

/** Chunks whose plain bytes are read at once: a mebibyte. */
const CHUNKS_AT_ONCE = 16;

export function sealedBody(cipher: ObjectCipher, plain: ObjectBody): ObjectBody {
  const length = sealedLengthOf(plain.length);
  const last = chunkCountOf(plain.length) - 1;
  const read = async (offset: number, bytes: number): Promise<Uint8Array> => {
    const out = Buffer.allocUnsafe(bytes);
    /** Copies as much of `part`, which begins at `at`, as was asked for. */
    const put = (part: Uint8Array, at: number): void => {
      const from = Math.max(offset, at);
      const to = Math.min(offset + bytes, at + part.length);
      if (from < to) out.set(part.subarray(from - at, to - at), from - offset);
    };
    put(cipher.header, 0);
    const end = Math.min(last, Math.floor((offset + bytes - 1 - HEADER_BYTES) / SEALED_CHUNK_BYTES));
    let number = Math.max(0, Math.floor((offset - HEADER_BYTES) / SEALED_CHUNK_BYTES));
    while (number <= end) {
      const start = number * CHUNK_BYTES;
      const some = Math.min(CHUNKS_AT_ONCE, end - number + 1);
      const group = await plain.read(start, Math.min(some * CHUNK_BYTES, plain.length - start));
      for (let at = 0; at < some; at++, number++) {
        const chunk = group.subarray(at * CHUNK_BYTES, (at + 1) * CHUNK_BYTES);
        put(cipher.seal(chunk, number, number === last), HEADER_BYTES + number * SEALED_CHUNK_BYTES);
      }
    }
    return out;
  };
  return { length, read };
}
