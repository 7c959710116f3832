/** What is left of a message's expiry, as frames carry it: milliseconds as a varint. */
import { type ByteReader, MalformedFrame } from './bytes.js';

/** As much as MQTT can say: 2^32 - 1 seconds. Nobody writes more, and what is read counts for no more. */
export const EXPIRY_MAX_MS = (2 ** 32 - 1) * 1000;
/** Earlier versions did not hold themselves to it: they rounded up, and took what an embedder said. Of more than this their streams said nothing. */
const EXPIRY_READ_MAX_MS = 2 ** 48;

/** @param expiresAt on the clock of `now`; it has not come yet */
export function expiryMsOf(expiresAt: number, now: number): number {
  return Math.min(Math.max(1, Math.ceil(expiresAt - now)), EXPIRY_MAX_MS);
}

/** @returns at most EXPIRY_MAX_MS. @throws MalformedFrame */
export function readExpiryMs(reader: ByteReader): number {
  const leftMs = reader.varint();
  if (leftMs > EXPIRY_READ_MAX_MS)
    throw new MalformedFrame(`an expiry in ${leftMs} ms where ${EXPIRY_MAX_MS} is the most`);
  return Math.min(leftMs, EXPIRY_MAX_MS);
}
