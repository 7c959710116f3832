/**
 * Frames of the channel `interest`.
 *
 *     whole    1, part u8, life u48, version, since, then filters to the end: QoS u8, text
 *     changes  2, part u8, life u48, base, version, since, then filters: QoS u8 or 3 (gone), text
 *     answer   3, version, what u8, head
 *
 * `part`: bit 0, it is the first frame of the update; bit 1, it is the last one. Versions and positions are varints.
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { QoS } from '../../lib/protocol/packet.js';
import { isValidTopicFilter, STRING_MAX_BYTES } from '../../lib/protocol/topic.js';
import { ByteReader, ByteWriter, MalformedFrame } from '../wire/bytes.js';
import { readPosition } from '../wire/log-numbers.js';
import { UPDATE_FRAME_MAX_BYTES } from './limits.js';

const WHOLE = 1;
const CHANGES = 2;
const ANSWER = 3;
const FIRST = 1;
const LAST = 2;
const GONE = 3;

/** undefined: the filter is gone. */
export type FilterChange = readonly [filter: string, qos: QoS | undefined];

export interface UpdateHead {
  readonly life: number;
  /** The version that it is a change of; undefined: it is the whole set. */
  readonly base: number | undefined;
  readonly version: number;
  /** Up to here its sender has what it wanted of the receiver's log. */
  readonly since: LogPosition;
}

/** A part of an update; all frames of one have the same head. */
export interface UpdateFrame extends UpdateHead {
  readonly kind: 'update';
  readonly first: boolean;
  readonly last: boolean;
  readonly filters: readonly FilterChange[];
}

/** The number is on the wire. */
/** Why an interest is not taken, whatever comes before it. */
export type Refusal = 'tooManyFilters' | 'tooManyBytes';
export const Verdict = { applied: 0, baseMissing: 1, tooManyFilters: 2, tooManyBytes: 3 } as const;
export type Verdict = keyof typeof Verdict;

export interface AnswerFrame {
  readonly kind: 'answer';
  readonly version: number;
  readonly verdict: Verdict;
  /** Newest position of the answerer's log at that moment: what comes later is matched with this version. */
  readonly head: LogPosition;
}

export type InterestFrame = UpdateFrame | AnswerFrame;

/** Frames of one update, made as they are asked for. At least one. */
export function* encodeUpdate(head: UpdateHead, filters: Iterable<FilterChange>): Generator<Uint8Array> {
  const writer = new ByteWriter(1024);
  let part = FIRST;
  // Whether a frame is the last one is known when the next filter is asked for.
  let written = false;
  for (const [filter, qos] of filters) {
    // In UTF-8 a text has at most three bytes for each unit.
    if (written && writer.length + filter.length * 3 + 8 > UPDATE_FRAME_MAX_BYTES) {
      yield finishUpdate(writer, part);
      part = 0;
      written = false;
    }
    if (!written) beginUpdate(writer, head);
    written = true;
    writer.u8(qos ?? GONE).text(filter);
  }
  if (!written) beginUpdate(writer, head);
  yield finishUpdate(writer, part | LAST);
}

/** The byte `part` is written when it is known: it is the second of the frame. */
function beginUpdate(writer: ByteWriter, { life, base, version, since }: UpdateHead): void {
  writer
    .u8(base === undefined ? WHOLE : CHANGES)
    .u8(0)
    .u48(life);
  if (base !== undefined) writer.varint(base);
  writer.varint(version).varint(since);
}

function finishUpdate(writer: ByteWriter, part: number): Uint8Array {
  const frame = writer.finish();
  frame[1] = part;
  return frame;
}

export function encodeAnswer({ version, verdict, head }: Omit<AnswerFrame, 'kind'>): Uint8Array {
  return new ByteWriter(16).u8(ANSWER).varint(version).u8(Verdict[verdict]).varint(head).finish();
}

/** @throws MalformedFrame */
export function decodeInterest(bytes: Uint8Array): InterestFrame {
  const reader = new ByteReader(bytes);
  const kind = reader.u8();
  if (kind === ANSWER) return decodeAnswer(reader);
  if (kind !== WHOLE && kind !== CHANGES) throw new MalformedFrame(`${kind} is no frame of interest`);
  const part = reader.u8();
  if (part > (FIRST | LAST)) throw new MalformedFrame(`${part} is no part of an update`);
  const life = reader.u48();
  const base = kind === CHANGES ? reader.varint() : undefined;
  const version = reader.varint();
  const since = readPosition(reader);
  if (base !== undefined && base > version) throw new MalformedFrame('an update of a later version');
  const filters: FilterChange[] = [];
  while (!reader.done) filters.push(decodeFilter(reader, kind === CHANGES));
  const first = (part & FIRST) !== 0;
  const last = (part & LAST) !== 0;
  return { kind: 'update', life, base, version, since, first, last, filters };
}

function decodeFilter(reader: ByteReader, mayBeGone: boolean): FilterChange {
  const qos = reader.u8();
  if (qos > (mayBeGone ? GONE : 2)) throw new MalformedFrame(`${qos} is no QoS`);
  const filter = reader.text(STRING_MAX_BYTES);
  if (!isValidTopicFilter(filter)) throw new MalformedFrame('a topic filter is invalid');
  if (filter.startsWith('$')) throw new MalformedFrame('a topic filter begins with $');
  return [filter, qos === GONE ? undefined : qosOf(qos)];
}

function qosOf(number: number): QoS {
  return number === 2 ? 2 : number === 1 ? 1 : 0;
}

function decodeAnswer(reader: ByteReader): AnswerFrame {
  const version = reader.varint();
  const what = reader.u8();
  const head = readPosition(reader);
  reader.end();
  const verdict = VERDICTS[what];
  if (verdict === undefined) throw new MalformedFrame(`${what} is no answer to an update`);
  return { kind: 'answer', version, verdict, head };
}

const VERDICTS: readonly Verdict[] = ['applied', 'baseMissing', 'tooManyFilters', 'tooManyBytes'];
