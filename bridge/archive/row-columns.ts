/** Rows on their way to the thread that writes them: a few arrays, of which the large ones change hands and are not copied. */
import { Buffer } from 'node:buffer';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import { decodeProperties } from '../../lib/protocol/index.js';
import type { PositionRange } from './manifest-entry.js';
import type { ArchiveRow } from './row.js';

export interface RowColumns {
  readonly count: number;
  /** Milliseconds since 1970. */
  readonly times: Float64Array;
  readonly sequences: Float64Array;
  /** QoS in bits 0 and 1, retain in bit 2. */
  readonly flags: Uint8Array;
  /** Each once. */
  readonly topics: readonly string[];
  readonly topicOf: Uint32Array;
  /** Where each payload ends in `payloads`. */
  readonly ends: Uint32Array;
  readonly payloads: Uint8Array<ArrayBuffer>;
  /** Those that have any, by their index. */
  readonly properties: ReadonlyMap<number, string>;
}

/** What was read of the log at once. */
export interface LogRead {
  readonly rows: RowColumns;
  readonly lost: readonly PositionRange[];
  /** Where to go on. */
  readonly next: LogPosition;
}

const RETAIN = 4;
const QOS = 3;

/** @param indexes of those that are taken @param timeOf by index */
export function packRows(
  messages: readonly Message[],
  indexes: readonly number[],
  timeOf: (index: number) => number,
): RowColumns {
  const count = indexes.length;
  const times = new Float64Array(count);
  const sequences = new Float64Array(count);
  const flags = new Uint8Array(count);
  const topicOf = new Uint32Array(count);
  const ends = new Uint32Array(count);
  const topics: string[] = [];
  const numbers = new Map<string, number>();
  const properties = new Map<number, string>();
  let bytes = 0;
  for (const index of indexes) bytes += (messages[index] as Message).payloadLength;
  const payloads = new Uint8Array(bytes);
  let end = 0;
  for (let i = 0; i < count; i++) {
    const index = indexes[i] as number;
    const message = messages[index] as Message;
    times[i] = timeOf(index);
    sequences[i] = message.position;
    flags[i] = message.qos | (message.retain ? RETAIN : 0);
    let number = numbers.get(message.topic);
    if (number === undefined) {
      number = topics.push(message.topic) - 1;
      numbers.set(message.topic, number);
    }
    topicOf[i] = number;
    payloads.set(message.bytes.subarray(message.payloadStart, message.payloadEnd), end);
    end += message.payloadLength;
    ends[i] = end;
    const text = message.properties.length === 0 ? undefined : propertiesText(message.properties);
    if (text !== undefined) properties.set(i, text);
  }
  return { count, times, sequences, flags, topics, topicOf, ends, payloads, properties };
}

/** New ones each time: they change hands. */
export const noRows = (): RowColumns => packRows([], [], () => 0);

/** Those of the positions behind `after`, up to `upTo`. They are the caller's own. */
export function rowsBetween(rows: RowColumns, after: LogPosition, upTo: LogPosition): RowColumns {
  const first = firstBeyond(rows, after);
  const end = firstBeyond(rows, upTo);
  const from = first === 0 ? 0 : (rows.ends[first - 1] as number);
  const to = end === 0 ? 0 : (rows.ends[end - 1] as number);
  const properties = new Map<number, string>();
  for (const [i, text] of rows.properties) if (i >= first && i < end) properties.set(i - first, text);
  return {
    ...{ count: Math.max(0, end - first), topics: rows.topics, properties },
    times: rows.times.slice(first, end),
    sequences: rows.sequences.slice(first, end),
    flags: rows.flags.slice(first, end),
    topicOf: rows.topicOf.slice(first, end),
    ends: rows.ends.slice(first, end).map((payloadEnd) => payloadEnd - from),
    payloads: rows.payloads.slice(from, Math.max(from, to)),
  };
}

/** Index of the first row beyond a position. */
function firstBeyond({ sequences, count }: RowColumns, position: LogPosition): number {
  const index = sequences.findIndex((sequence) => sequence > position);
  return index < 0 ? count : index;
}

/** What need not be copied on its way to another thread. */
export function transferOf({ times, sequences, flags, topicOf, ends, payloads }: RowColumns): ArrayBuffer[] {
  return [times, sequences, flags, topicOf, ends, payloads].map(({ buffer }) => buffer as ArrayBuffer);
}

/** Their payloads are views of the columns. */
export function unpackRows(columns: RowColumns): ArchiveRow[] {
  const { count, times, sequences, flags, topics, topicOf, ends, payloads, properties } = columns;
  const rows: ArchiveRow[] = [];
  let start = 0;
  for (let i = 0; i < count; i++) {
    const end = ends[i] as number;
    const flag = flags[i] as number;
    rows.push({
      timeMs: times[i] as number,
      sequence: sequences[i] as number,
      topic: topics[topicOf[i] as number] as string,
      qos: flag & QOS,
      retain: (flag & RETAIN) !== 0,
      properties: properties.get(i),
      payload: payloads.subarray(start, end),
    });
    start = end;
  }
  return rows;
}

/** What the publisher sent along, as JSON; bytes in base64. undefined: nothing that outlives the publish. */
export function propertiesText(encoded: Uint8Array): string | undefined {
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } =
    decodeProperties(encoded, 0, encoded.length, 'publish', 'toClient');
  const found = {
    payloadFormatIndicator,
    contentType,
    responseTopic,
    correlationData: correlationData && Buffer.from(correlationData).toString('base64'),
    userProperties,
  };
  const text = JSON.stringify(found);
  return text === '{}' ? undefined : text;
}
