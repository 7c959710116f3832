/**
 * Bodies of the records of sessions. Those that come with every message are a few numbers; the others are JSON, which is read with
 * a person's eyes and takes new fields:
 *
 *     released, pubrec     u48 session · u16 packet id
 *     delivered, givenUp   u48 session · u16 packet id · u48 position of the message · topic, where it was owed
 *     sent                 the same without the topic · u8 flags · [u16 length, topic] where it was owed · u32 each identifier
 *     assigned             u48 session, 0: one that ends with its connection · u48 position of the message · filter
 *     created              JSON with the client id; the position of this record is the number of the session
 *     the other ones       u48 session · JSON
 *
 * Numbers have their least significant byte first.
 */
import { type LogPosition, OWED_FLAG, type SessionRecord } from '../../lib/contracts/store.js';
import { readU32, readU48, writeU32, writeU48 } from '../log/record.js';
import { fromJson, toJson } from './json.js';
import { RecordType } from './record-type.js';
import { NO_TEXTS, type TextCache } from './text-cache.js';

/** The position of the record that created a session: never given twice. 0: no session. */
export type SessionNumber = LogPosition;

const SESSION_BYTES = 6;
const PACKET_STEP_BYTES = SESSION_BYTES + 2;
const MESSAGE_STEP_BYTES = PACKET_STEP_BYTES + 6;
const SENT_BYTES = MESSAGE_STEP_BYTES + 1;

const ASSIGNED_BYTES = SESSION_BYTES + 6;

/** Steps that may come with every message. */
type FrequentStep = Extract<SessionRecord, { packetId: number } | { kind: 'assigned' }>;
type RareStep = Exclude<SessionRecord, FrequentStep>;

const TYPES = {
  created: RecordType.created,
  connected: RecordType.connected,
  disconnected: RecordType.disconnected,
  willPublished: RecordType.willPublished,
  ended: RecordType.ended,
  subscribed: RecordType.subscribed,
  unsubscribed: RecordType.unsubscribed,
  released: RecordType.released,
  sent: RecordType.sent,
  pubrec: RecordType.pubrec,
  delivered: RecordType.delivered,
  givenUp: RecordType.givenUp,
  assigned: RecordType.assigned,
  dropped: RecordType.dropped,
} as const satisfies Record<SessionRecord['kind'], RecordType>;

const KINDS = new Map<number, SessionRecord['kind']>(
  Object.entries(TYPES).map(([kind, type]) => [type, kind as SessionRecord['kind']]),
);

export function recordTypeOf(record: SessionRecord): RecordType {
  return TYPES[record.kind];
}

/** Whether the step is one of those that are written in place, without an object between. */
export function isFrequentStep(record: SessionRecord): record is FrequentStep {
  return 'packetId' in record || record.kind === 'assigned';
}

export function frequentStepBytes(record: FrequentStep): number {
  switch (record.kind) {
    case 'assigned':
      return ASSIGNED_BYTES + textBytes(record.filter);
    case 'released':
    case 'pubrec':
      return PACKET_STEP_BYTES;
    case 'delivered':
    case 'givenUp':
      return MESSAGE_STEP_BYTES + textBytes(record.topic);
    case 'sent': {
      const topic = isOwed(record.flags) ? 2 + textBytes(record.topic) : 0;
      return SENT_BYTES + topic + 4 * (record.identifiers?.length ?? 0);
    }
  }
}

/** Writes `frequentStepBytes` bytes at `at`. */
export function writeFrequentStep(
  out: Uint8Array,
  at: number,
  session: SessionNumber,
  record: FrequentStep,
): void {
  writeU48(out, at, session);
  if (record.kind === 'assigned') {
    writeU48(out, at + SESSION_BYTES, record.position);
    writeText(out, at + ASSIGNED_BYTES, record.filter);
    return;
  }
  out[at + SESSION_BYTES] = record.packetId & 0xff;
  out[at + SESSION_BYTES + 1] = record.packetId >> 8;
  if (record.kind === 'released' || record.kind === 'pubrec') return;
  writeU48(out, at + PACKET_STEP_BYTES, record.position);
  if (record.kind !== 'sent') {
    writeText(out, at + MESSAGE_STEP_BYTES, record.topic);
    return;
  }
  out[at + MESSAGE_STEP_BYTES] = record.flags;
  let next = at + SENT_BYTES;
  if (isOwed(record.flags)) {
    const length = writeText(out, next + 2, record.topic);
    out[next] = length & 0xff;
    out[next + 1] = length >> 8;
    next += 2 + length;
  }
  for (const [i, identifier] of (record.identifiers ?? []).entries()) writeU32(out, next + 4 * i, identifier);
}

const isOwed = (flags: number): boolean => (flags & OWED_FLAG) !== 0;

function textBytes(text: string | undefined): number {
  return text === undefined ? 0 : Buffer.byteLength(text, 'utf8');
}

/** @returns its length. */
function writeText(out: Uint8Array, at: number, text: string | undefined): number {
  if (text === undefined) return 0;
  const bytes = Buffer.from(text, 'utf8');
  out.set(bytes, at);
  return bytes.length;
}

/** Body of one of the other records. */
export function encodeRareStep(record: RareStep, session: SessionNumber): Uint8Array {
  const { kind, clientId, ...fields } = record;
  if (kind === 'created') return Buffer.from(JSON.stringify({ clientId, ...fields }, toJson), 'utf8');
  const text = Buffer.from(JSON.stringify(fields, toJson), 'utf8');
  const bytes = Buffer.allocUnsafe(SESSION_BYTES + text.length);
  writeU48(bytes, 0, session);
  bytes.set(text, SESSION_BYTES);
  return bytes;
}

/**
 * Reads a record whose CRC was right. @param clientIdOf the client of a session number; undefined: none that is still there.
 * @param texts where filters that come again and again are kept
 * @returns undefined for a type that is not of sessions, or a session that is gone
 */
export function parseSessionRecord(
  type: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  clientIdOf: (session: SessionNumber) => string | undefined,
  texts: TextCache = NO_TEXTS,
): SessionRecord | undefined {
  const kind = KINDS.get(type);
  if (kind === undefined) return undefined;
  if (kind === 'created') return { kind, ...parseFields(bytes, start, end) } as SessionRecord;
  const session = readU48(bytes, start);
  // A message of a shared subscription may have gone to a session that does not outlive its connection, or is gone by now.
  const known = session === 0 ? undefined : clientIdOf(session);
  const clientId = known ?? (kind === 'assigned' ? '' : undefined);
  if (clientId === undefined) return undefined;
  switch (kind) {
    case 'assigned': {
      const filter = texts.get(bytes, start + ASSIGNED_BYTES, end).text;
      return { kind, clientId, filter, position: readU48(bytes, start + SESSION_BYTES) };
    }
    case 'released':
    case 'pubrec':
      return { kind, clientId, packetId: packetIdAt(bytes, start) };
    case 'delivered':
    case 'givenUp':
      return {
        kind,
        clientId,
        packetId: packetIdAt(bytes, start),
        position: positionAt(bytes, start),
        topic: textAt(bytes, start + MESSAGE_STEP_BYTES, end),
      };
    case 'sent': {
      const flags = bytes[start + MESSAGE_STEP_BYTES] as number;
      let at = start + SENT_BYTES;
      let topic: string | undefined;
      if (isOwed(flags)) {
        const topicEnd = at + 2 + ((bytes[at] as number) | ((bytes[at + 1] as number) << 8));
        topic = textAt(bytes, at + 2, topicEnd);
        at = topicEnd;
      }
      return {
        kind,
        clientId,
        packetId: packetIdAt(bytes, start),
        position: positionAt(bytes, start),
        flags,
        identifiers: identifiersAt(bytes, at, end),
        topic,
      };
    }
    default:
      return { kind, clientId, ...parseFields(bytes, start + SESSION_BYTES, end) } as SessionRecord;
  }
}

function packetIdAt(bytes: Uint8Array, start: number): number {
  return (bytes[start + SESSION_BYTES] as number) | ((bytes[start + SESSION_BYTES + 1] as number) << 8);
}

function positionAt(bytes: Uint8Array, start: number): LogPosition {
  return readU48(bytes, start + PACKET_STEP_BYTES);
}

function identifiersAt(bytes: Uint8Array, start: number, end: number): number[] | undefined {
  if (start >= end) return undefined;
  const identifiers: number[] = [];
  for (let at = start; at < end; at += 4) identifiers.push(readU32(bytes, at));
  return identifiers;
}

/** undefined: there is none. */
function textAt(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (start >= end) return undefined;
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
}

/** JSON that this version or an older one wrote, and whose CRC was right. */
function parseFields(bytes: Uint8Array, start: number, end: number): Record<string, unknown> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
  return JSON.parse(text, fromJson) as Record<string, unknown>;
}
