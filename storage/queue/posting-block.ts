/**
 * Which messages wait, in their order, without the messages: what a queue keeps of a backlog. As bytes, per posting:
 *
 *     varint  position less the one before · u8 flags, bit 7: has identifiers · varint weight · [varint count, varints identifiers]
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import { pushSigned, pushVarint, VarintReader } from './varint.js';

export const BLOCK_MAX_COUNT = 256;
const HAS_IDENTIFIERS = 0x80;

export interface Posting {
  /** 0: the message is in no log and stays in memory. */
  readonly position: LogPosition;
  /** QoS in bits 0 and 1, retain in bit 2. */
  readonly flags: number;
  readonly identifiers: readonly number[] | undefined;
  /** Of the message. */
  readonly weight: number;
  /** undefined: to be read from the log. */
  message: Message | undefined;
}

/** Of messages that are all in the log. */
export function encodePostings(postings: readonly Posting[]): Uint8Array {
  const out: number[] = [];
  let before = 0;
  for (const { position, flags, identifiers, weight } of postings) {
    // Retained messages are older than what was queued before them.
    pushSigned(out, position - before);
    before = position;
    out.push(identifiers === undefined ? flags : flags | HAS_IDENTIFIERS);
    pushVarint(out, weight);
    if (identifiers === undefined) continue;
    pushVarint(out, identifiers.length);
    for (const identifier of identifiers) pushVarint(out, identifier);
  }
  return Uint8Array.from(out);
}

export function decodePostings(bytes: Uint8Array): Posting[] {
  const reader = new VarintReader(bytes);
  const postings: Posting[] = [];
  let position = 0;
  while (!reader.done) {
    position += reader.signed();
    const flags = reader.byte();
    const weight = reader.varint();
    let identifiers: number[] | undefined;
    if ((flags & HAS_IDENTIFIERS) !== 0) {
      const count = reader.varint();
      identifiers = [];
      for (let i = 0; i < count; i++) identifiers.push(reader.varint());
    }
    postings.push({ position, flags: flags & ~HAS_IDENTIFIERS, identifiers, weight, message: undefined });
  }
  return postings;
}

/** As bytes: each less the one before. */
export function encodePositions(positions: readonly LogPosition[]): Uint8Array {
  const out: number[] = [];
  let before = 0;
  for (const position of positions) {
    pushSigned(out, position - before);
    before = position;
  }
  return Uint8Array.from(out);
}

export function decodePositions(bytes: Uint8Array): LogPosition[] {
  const reader = new VarintReader(bytes);
  const positions: LogPosition[] = [];
  for (let position = 0; !reader.done; positions.push(position)) position += reader.signed();
  return positions;
}
