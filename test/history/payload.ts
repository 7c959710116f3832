/**
 * Payloads that name their message, so that what arrives can be told from what was never published, was changed on its way, or
 * came on another topic.
 *
 *     magic "SPRH" | run u32 | publisher u32 | session u32 | sequence u32 | topic u32 | CRC-32C u32 | padding
 *
 * Run and topic as FNV-1a hashes; the CRC covers everything but itself.
 */
import { crc32c } from './crc32c.js';
import type { Mid } from './event.js';

const MAGIC = 0x53505248;
const RUN_AT = 4;
const PUBLISHER_AT = 8;
const SESSION_AT = 12;
const SEQUENCE_AT = 16;
const TOPIC_AT = 20;
const CRC_AT = 24;
export const PAYLOAD_MIN_BYTES = 28;

export interface PayloadFields {
  readonly run: string;
  readonly mid: Mid;
  /** How many sessions its publisher had before. */
  readonly session: number;
  readonly topic: string;
  readonly paddingBytes?: number;
}

/**
 * `foreign`: no payload of any run. `corrupt`: one that has changed. `run` and `topic`: whole, but of another run or published on
 * another topic.
 */
export type ParsedPayload =
  | { readonly kind: 'message'; readonly mid: Mid; readonly session: number }
  | { readonly kind: 'empty' | 'foreign' | 'corrupt' | 'run' | 'topic' };

export function createPayload({ run, mid, session, topic, paddingBytes = 0 }: PayloadFields): Buffer {
  // Padding differs from message to message, so that a mixture of two shows.
  const bytes = Buffer.alloc(PAYLOAD_MIN_BYTES + paddingBytes, mid.seq & 0xff);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt32BE(fnv1a(run), RUN_AT);
  bytes.writeUInt32BE(mid.pub, PUBLISHER_AT);
  bytes.writeUInt32BE(session, SESSION_AT);
  bytes.writeUInt32BE(mid.seq, SEQUENCE_AT);
  bytes.writeUInt32BE(fnv1a(topic), TOPIC_AT);
  bytes.writeUInt32BE(checksum(bytes), CRC_AT);
  return bytes;
}

/** @param topic on which it arrived. */
export function parsePayload(bytes: Buffer, run: string, topic: string): ParsedPayload {
  if (bytes.length === 0) return { kind: 'empty' };
  if (bytes.length < 4 || bytes.readUInt32BE(0) !== MAGIC) return { kind: 'foreign' };
  if (bytes.length < PAYLOAD_MIN_BYTES || bytes.readUInt32BE(CRC_AT) !== checksum(bytes))
    return { kind: 'corrupt' };
  if (bytes.readUInt32BE(RUN_AT) !== fnv1a(run)) return { kind: 'run' };
  if (bytes.readUInt32BE(TOPIC_AT) !== fnv1a(topic)) return { kind: 'topic' };
  const mid = { pub: bytes.readUInt32BE(PUBLISHER_AT), seq: bytes.readUInt32BE(SEQUENCE_AT) };
  return { kind: 'message', mid, session: bytes.readUInt32BE(SESSION_AT) };
}

function checksum(bytes: Buffer): number {
  return crc32c(bytes.subarray(PAYLOAD_MIN_BYTES), crc32c(bytes.subarray(0, CRC_AT)));
}

/** FNV-1a of the text's UTF-8, 32 bits. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
