/**
 * Bodies of the records of sessions. Those that come with every message are a few numbers; the others are JSON, which is read with
 * a person's eyes and takes new fields:
 *
 *     released, pubrec     u48 session · u16 packet id
 *     sent, delivered      u48 session · u16 packet id · u48 position of the message
 *     created              JSON with the client id; the position of this record is the number of the session
 *     the other ones       u48 session · JSON
 */
import type { LogPosition, StoredSubscription } from '../../lib/contracts/store.js';
import type { Will } from '../../lib/protocol/packet.js';
import { readU48, writeU48 } from '../log/record.js';
import { RecordType } from './record-type.js';

/** The position of the record that created a session: never given twice. */
export type SessionNumber = LogPosition;

/** A step of a session, as the log has it: by the number of the session. */
export type SessionStep =
  | {
      readonly type: typeof RecordType.created;
      readonly clientId: string;
      readonly username: string | undefined;
      readonly expiryS: number;
      readonly will: Will | undefined;
      /** On the gateway's own clock. */
      readonly atMs: number;
    }
  | {
      readonly type: typeof RecordType.connected;
      readonly session: SessionNumber;
      readonly expiryS: number;
      readonly will: Will | undefined;
      readonly atMs: number;
    }
  | {
      readonly type: typeof RecordType.disconnected;
      readonly session: SessionNumber;
      readonly expiryS: number;
      readonly willPending: boolean;
      readonly atMs: number;
    }
  | { readonly type: typeof RecordType.ended; readonly session: SessionNumber }
  | {
      readonly type: typeof RecordType.subscribed;
      readonly session: SessionNumber;
      readonly subscriptions: readonly StoredSubscription[];
    }
  | {
      readonly type: typeof RecordType.unsubscribed;
      readonly session: SessionNumber;
      readonly filters: readonly string[];
    }
  | {
      readonly type: typeof RecordType.released | typeof RecordType.pubrec;
      readonly session: SessionNumber;
      readonly packetId: number;
    }
  | {
      readonly type: typeof RecordType.sent | typeof RecordType.delivered;
      readonly session: SessionNumber;
      readonly packetId: number;
      readonly position: LogPosition;
    };

const SESSION_BYTES = 6;
export const PACKET_STEP_BYTES = SESSION_BYTES + 2;
export const MESSAGE_STEP_BYTES = PACKET_STEP_BYTES + 6;

/** A step of one packet id; `position` only where the type has it. */
export function writePacketStep(
  out: Uint8Array,
  at: number,
  session: SessionNumber,
  packetId: number,
  position?: LogPosition,
): void {
  writeU48(out, at, session);
  out[at + SESSION_BYTES] = packetId & 0xff;
  out[at + SESSION_BYTES + 1] = packetId >> 8;
  if (position !== undefined) writeU48(out, at + PACKET_STEP_BYTES, position);
}

export type RareStep = Extract<SessionStep, { type: 10 | 11 | 12 | 13 | 14 | 15 }>;

/** Body of a record that is not of one packet id. */
export function encodeRareStep(step: RareStep): Uint8Array {
  const { type, ...fields } = step;
  if (type === RecordType.created) return Buffer.from(JSON.stringify(fields, toJson), 'utf8');
  const { session, ...rest } = { session: 0, ...fields };
  const text = Buffer.from(JSON.stringify(rest, toJson), 'utf8');
  const bytes = Buffer.allocUnsafe(SESSION_BYTES + text.length);
  writeU48(bytes, 0, session);
  bytes.set(text, SESSION_BYTES);
  return bytes;
}

/** @returns undefined for a type that is not of sessions. */
export function parseSessionStep(
  type: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): SessionStep | undefined {
  switch (type) {
    case RecordType.created:
      return { type, ...parseFields(bytes, start, end) } as SessionStep;
    case RecordType.connected:
    case RecordType.disconnected:
    case RecordType.ended:
    case RecordType.subscribed:
    case RecordType.unsubscribed: {
      const session = readU48(bytes, start);
      return { type, session, ...parseFields(bytes, start + SESSION_BYTES, end) } as SessionStep;
    }
    case RecordType.released:
    case RecordType.pubrec:
      return { type, session: readU48(bytes, start), packetId: packetIdAt(bytes, start) };
    case RecordType.sent:
    case RecordType.delivered:
      return {
        type,
        session: readU48(bytes, start),
        packetId: packetIdAt(bytes, start),
        position: readU48(bytes, start + PACKET_STEP_BYTES),
      };
    default:
      return undefined;
  }
}

function packetIdAt(bytes: Uint8Array, start: number): number {
  return (bytes[start + SESSION_BYTES] as number) | ((bytes[start + SESSION_BYTES + 1] as number) << 8);
}

/** JSON that this version or an older one wrote, and whose CRC was right. */
function parseFields(bytes: Uint8Array, start: number, end: number): Record<string, unknown> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
  return JSON.parse(text, fromJson) as Record<string, unknown>;
}

const BYTES_KEY = 'base64';

function toJson(_key: string, value: unknown): unknown {
  // Buffers become `{ type: 'Buffer', data }` before a replacer sees them.
  if (isBufferJson(value)) return { [BYTES_KEY]: Buffer.from(value.data).toString('base64') };
  return value instanceof Uint8Array ? { [BYTES_KEY]: Buffer.from(value).toString('base64') } : value;
}

function isBufferJson(value: unknown): value is { readonly data: readonly number[] } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    value.type === 'Buffer' &&
    'data' in value
  );
}

function fromJson(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { [BYTES_KEY]: text } = value as Record<string, unknown>;
  return typeof text === 'string' && Object.keys(value).length === 1
    ? Uint8Array.from(Buffer.from(text, 'base64'))
    : value;
}
