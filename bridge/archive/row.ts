/** One archived message, and what all of a file have in common. */
import { isUtf8 } from 'node:buffer';
import type { Epoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../lib/contracts/store.js';

export interface ArchiveRow {
  /** When the gateway took it in, milliseconds since 1970. */
  readonly timeMs: number;
  /** In the log of the origin: with origin and epoch it names the message. */
  readonly sequence: LogPosition;
  readonly topic: string;
  readonly qos: number;
  readonly retain: boolean;
  /** MQTT 5 properties that go with it, as JSON; undefined: none. */
  readonly properties: string | undefined;
  readonly payload: Uint8Array;
  /** Values of the columns of the file, in their order, where it was read from one; undefined: they are looked for in the payload. */
  readonly extracted?: readonly ColumnValue[];
}

export type ColumnValue = number | bigint | boolean | string | null;

export interface FileFacts {
  readonly site: string;
  readonly origin: GatewayId;
  readonly epoch: Epoch;
}

export interface WrittenFile {
  readonly rows: number;
  /** Bytes. */
  readonly length: number;
}

/** Takes rows in the order of their positions. */
export interface RowWriter {
  /** What waits in memory to be written, about: bytes. */
  readonly pendingBytes: number;
  add(row: ArchiveRow): void;
  /** Writes what waits. */
  flush(): void;
  /** No row comes any more. */
  finish(): WrittenFile;
}

/** What is written, in order. The bytes are lent. */
export type ByteSink = (bytes: Uint8Array) => void;

export type ExtractedType = 'double' | 'integer' | 'boolean' | 'text';

/** A field of the payload's JSON that has a column of its own. */
export interface ExtractedColumn {
  readonly name: string;
  /** Names of fields from the outside in; a number finds an element of an array. */
  readonly path: readonly string[];
  readonly type: ExtractedType;
}

export interface JsonPayload {
  readonly text: string;
  readonly value: unknown;
}

const NOT_JSON = -1;
/** By its first character that is no white space. */
const BEGINS_JSON = new Set([...'{["-0123456789tfn'].map((one) => one.charCodeAt(0)));

/** The payload where it is JSON in UTF-8; undefined: it is none. */
export function jsonOf(payload: Uint8Array): JsonPayload | undefined {
  if (!BEGINS_JSON.has(firstOf(payload)) || !isUtf8(payload)) return undefined;
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('utf8');
  try {
    return { text, value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

function firstOf(payload: Uint8Array): number {
  for (const byte of payload) if (byte !== 0x20 && (byte < 0x09 || byte > 0x0d)) return byte;
  return NOT_JSON;
}

/** @returns null where the field is missing or of another type */
export function extract(value: unknown, { path, type }: ExtractedColumn): ColumnValue {
  let found = value;
  for (const name of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return null;
    found = (found as Readonly<Record<string, unknown>>)[name];
  }
  switch (type) {
    case 'double':
      return typeof found === 'number' ? found : null;
    case 'integer':
      return Number.isSafeInteger(found) ? BigInt(found as number) : null;
    case 'boolean':
      return typeof found === 'boolean' ? found : null;
    default:
      return typeof found === 'string' ? found : null;
  }
}
