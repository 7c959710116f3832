/**
 * What two gateways say to each other of an archive. The first byte of a frame says what it is:
 *
 *     origin ─ offer ─▶ standby     what there is; again whenever it changed
 *     origin ◀─ want ── standby     copies of what is behind `after`
 *     origin ─ chunk ─▶ standby     one at a time, in parts where it is large
 *     origin ◀─ ack ─── standby     it is durable there: the next one may come
 *     origin ─ withheld ▶           none come, for this reason
 */
import type { LogPosition } from '../../../lib/contracts/store.js';
import { isCount, isRecord } from '../manifest-entry.js';
import { type ArchiveOffer, offerFields, parseOffer } from './offer.js';

const Kind = { offer: 1, withheld: 2, want: 3, part: 4, chunk: 5, ack: 6 } as const;
/** Of a chunk that goes over the link in one frame. */
const PART_BYTES = 262_144;
/** For people. */
const REASON_MAX_CHARACTERS = 300;

export type CopyFrame =
  | { readonly kind: 'offer'; readonly offer: ArchiveOffer }
  | { readonly kind: 'withheld'; readonly reason: string }
  /** `maxBytes`: of a chunk that is taken. */
  | { readonly kind: 'want'; readonly after: LogPosition; readonly maxBytes: number }
  /** The bytes are views of the frame. */
  | { readonly kind: 'part'; readonly bytes: Uint8Array; readonly isLast: boolean }
  | { readonly kind: 'ack'; readonly upTo: LogPosition };

export const encodeOffer = (offer: ArchiveOffer): Uint8Array => encodeJson(Kind.offer, offerFields(offer));

export const encodeWithheld = (reason: string): Uint8Array => encodeJson(Kind.withheld, { reason });

export const encodeWant = (after: LogPosition, maxBytes: number): Uint8Array =>
  encodeJson(Kind.want, { after, maxBytes });

export const encodeCopyAck = (upTo: LogPosition): Uint8Array => encodeJson(Kind.ack, { upTo });

/** The frames of a chunk, see encodeChunk. */
export function* encodeParts(chunk: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < chunk.length; at += PART_BYTES) {
    const end = Math.min(chunk.length, at + PART_BYTES);
    const frame = new Uint8Array(1 + end - at);
    frame[0] = end === chunk.length ? Kind.chunk : Kind.part;
    frame.set(chunk.subarray(at, end), 1);
    yield frame;
  }
}

/** @returns undefined: it is none */
export function decodeCopyFrame(frame: Uint8Array): CopyFrame | undefined {
  const [kind] = frame;
  if (kind === Kind.part || kind === Kind.chunk)
    return { kind: 'part', bytes: frame.subarray(1), isLast: kind === Kind.chunk };
  let fields: unknown;
  try {
    fields = JSON.parse(Buffer.from(frame.subarray(1)).toString('utf8'));
  } catch {
    return undefined;
  }
  return isRecord(fields) ? told(kind, fields) : undefined;
}

function told(kind: number | undefined, fields: Readonly<Record<string, unknown>>): CopyFrame | undefined {
  const { reason, after, maxBytes, upTo } = fields;
  switch (kind) {
    case Kind.offer: {
      const offer = parseOffer(fields);
      return offer && { kind: 'offer', offer };
    }
    case Kind.withheld:
      return typeof reason === 'string'
        ? { kind: 'withheld', reason: reason.slice(0, REASON_MAX_CHARACTERS).replaceAll(/\p{Cc}/gu, ' ') }
        : undefined;
    case Kind.want:
      return isCount(after) && isCount(maxBytes) ? { kind: 'want', after, maxBytes } : undefined;
    case Kind.ack:
      return isCount(upTo) ? { kind: 'ack', upTo } : undefined;
    default:
      return undefined;
  }
}

function encodeJson(kind: number, fields: Readonly<Record<string, unknown>>): Uint8Array {
  return Buffer.concat([Uint8Array.of(kind), Buffer.from(JSON.stringify(fields), 'utf8')]);
}
