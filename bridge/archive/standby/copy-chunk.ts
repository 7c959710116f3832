/**
 * A stretch of another gateway's log, with all of it that is to be archived. As bytes, numbers least significant byte first:
 *
 *     u32 length of the head · head, JSON: from, to, head, lost, count, topics, properties · f64 times · f64 sequences · u32 ends · u32 topicOf ·
 *     u8 flags · payloads
 */
import type { LogPosition } from '../../../lib/contracts/store.js';
import { isCount, isRange, isRecord, type PositionRange } from '../manifest-entry.js';
import type { RowColumns } from '../row-columns.js';

export interface ChunkHead {
  /** It is about the positions behind `from`, up to `to`. */
  readonly from: LogPosition;
  readonly to: LogPosition;
  /** Where the log of the origin ended when it was read. */
  readonly head: LogPosition;
}

export interface CopyChunk extends ChunkHead {
  readonly rows: RowColumns;
  readonly lost: readonly PositionRange[];
}

const LENGTH_BYTES = 4;
const BYTES_PER_ROW = 8 + 8 + 4 + 4 + 1;

export function encodeChunk({ from, to, head, lost, rows }: CopyChunk): Uint8Array {
  const { count, topics, properties, times, sequences, ends, topicOf, flags, payloads } = rows;
  const text = JSON.stringify({ from, to, head, lost, count, topics, properties: [...properties] });
  const header = Buffer.from(text, 'utf8');
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(header.length);
  const columns = [times, sequences, ends, topicOf, flags, payloads];
  return Buffer.concat([length, header, ...columns.map(bytesOf)]);
}

/** @returns undefined: it is none, or not whole */
export function decodeChunkHead(bytes: Uint8Array): ChunkHead | undefined {
  return headOf(bytes)?.fields;
}

/** @returns undefined: it is none, or not whole */
export function decodeChunk(bytes: Uint8Array): CopyChunk | undefined {
  const found = headOf(bytes);
  if (found === undefined) return undefined;
  const { fields, end } = found;
  const { count, topics, properties, lost, ...head } = fields;
  if (bytes.length - end < count * BYTES_PER_ROW) return undefined;
  let at = end;
  const next = (size: number): ArrayBuffer => {
    const part = new Uint8Array(size);
    part.set(bytes.subarray(at, at + size));
    at += size;
    return part.buffer;
  };
  const times = new Float64Array(next(8 * count));
  const sequences = new Float64Array(next(8 * count));
  const ends = new Uint32Array(next(4 * count));
  const topicOf = new Uint32Array(next(4 * count));
  const flags = new Uint8Array(next(count));
  const payloads = new Uint8Array(next(bytes.length - at));
  const rows = { count, times, sequences, flags, topics, topicOf, ends, payloads, properties };
  return isSound(head, rows) ? { ...head, lost, rows } : undefined;
}

interface HeadFields extends ChunkHead {
  readonly lost: readonly PositionRange[];
  readonly count: number;
  readonly topics: readonly string[];
  readonly properties: ReadonlyMap<number, string>;
}

function headOf(bytes: Uint8Array): { readonly fields: HeadFields; readonly end: number } | undefined {
  if (bytes.length < LENGTH_BYTES) return undefined;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = LENGTH_BYTES + buffer.readUInt32LE(0);
  if (end > bytes.length) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(buffer.toString('utf8', LENGTH_BYTES, end));
  } catch {
    return undefined;
  }
  const fields = isRecord(parsed) ? fieldsOf(parsed) : undefined;
  return fields && { fields, end };
}

function fieldsOf(parsed: Readonly<Record<string, unknown>>): HeadFields | undefined {
  const { from, to, head, lost, count, topics, properties } = parsed;
  if (!isCount(from) || !isCount(to) || !isCount(head) || !isCount(count) || to <= from) return undefined;
  if (!Array.isArray(lost) || !lost.every(isRange)) return undefined;
  if (!lost.every(([first, last]) => first > from && last <= to)) return undefined;
  if (!Array.isArray(topics) || !topics.every((one) => typeof one === 'string')) return undefined;
  if (!Array.isArray(properties) || !properties.every(isNumbered)) return undefined;
  return { from, to, head, lost, count, topics, properties: new Map(properties) };
}

const isNumbered = (value: unknown): value is readonly [number, string] =>
  Array.isArray(value) && isCount(value[0]) && typeof value[1] === 'string';

/** Rows in order, each within the stretch, its payload, and the topics that there are. */
function isSound({ from, to }: ChunkHead, rows: RowColumns): boolean {
  const { count, times, sequences, flags, topics, topicOf, ends, payloads } = rows;
  let sequence = from;
  let end = 0;
  for (let i = 0; i < count; i++) {
    const position = sequences[i] as number;
    const payloadEnd = ends[i] as number;
    if (!isCount(position) || position <= sequence || position > to) return false;
    if (payloadEnd < end || !Number.isFinite(times[i])) return false;
    if (
      (topicOf[i] as number) >= topics.length ||
      (flags[i] as number) > 6 ||
      ((flags[i] as number) & 3) === 3
    )
      return false;
    sequence = position;
    end = payloadEnd;
  }
  return end === payloads.length;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
