/**
 * The frames of the channel `forward`. From the origin:
 *
 *     begin      epoch, from, rolled back to (0: not): the first on a link
 *     main       flags, epoch, interest version, from, positions, lost: covers the log of the origin, in order
 *     express    flags, epoch, number, from: newer than main, of topics that have nothing pending
 *     backfill   flags, epoch, id, from, positions, lost: what a grown interest asks for behind main's back
 *     part, lastPart   a frame that is too large for the link, in pieces
 *
 * and to it:
 *
 *     ack        covered, how far below it the log is still needed, credit, express: what is committed
 *
 * main, express and backfill go on with messages (message-codec.ts). An epoch is its counter as a varint and the nonce in 8 bytes; all
 * other numbers are varints; a range is its first number and how many follow.
 */
import type { Epoch } from '../../lib/contracts/epoch.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type { BackfillImage } from '../../lib/contracts/streams.js';
import type { Message } from '../../lib/message/message.js';
import { ByteReader, type ByteWriter, MalformedFrame } from '../wire/bytes.js';
import { positionOf, readEpochCounter, readPosition } from '../wire/log-numbers.js';
import { HAVE_MAX, PART_BYTES, SINCE_MAX } from './limits.js';
import { decodeMessages } from './message-codec.js';
import type { TextCache } from './text-cache.js';

export const FrameKind = {
  begin: 1,
  main: 2,
  express: 3,
  backfill: 4,
  part: 5,
  lastPart: 6,
  ack: 16,
} as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

const LOST = 0x01;
const DONE = 0x02;
const NONCE_BYTES = 8;
const NO_MESSAGES: Message[] = [];

/** What a link starts from: the receiver's state as of its last frame, and what it grants. */
export interface ReceiverGreeting {
  /** Everything wanted up to here is in its log; undefined: it knows nothing of this gateway. */
  readonly covered: LogPosition | undefined;
  /** The same, and committed. */
  readonly durable: LogPosition;
  /** What the origin may forget: whatever a crash takes back, nothing up to here is asked for again. */
  readonly floor: LogPosition;
  readonly have: readonly LogPosition[];
  readonly backfill: BackfillImage | undefined;
  readonly creditBytes: number;
  /** The largest frame that it puts together from parts. */
  readonly wholeMaxBytes: number;
}

/** Which class a frame is for; undefined: none knows it. */
export function addresseeOf(frame: Uint8Array): 'receiver' | 'sender' | undefined {
  const kind = frame[0];
  if (kind === FrameKind.ack) return 'sender';
  return kind !== undefined && kind >= FrameKind.begin && kind <= FrameKind.lastPart ? 'receiver' : undefined;
}

export function writeGreeting(writer: ByteWriter, greeting: ReceiverGreeting): void {
  const { covered, durable, floor, have, backfill, creditBytes, wholeMaxBytes } = greeting;
  writer.u8((covered === undefined ? 0 : 1) | (backfill === undefined ? 0 : 2));
  writer
    .varint(covered ?? 0)
    .varint(durable)
    .varint(floor)
    .varint(creditBytes)
    .varint(wholeMaxBytes);
  if (backfill !== undefined) writer.varint(backfill.id).varint(backfill.cursor);
  writer.varint(have.length);
  let before = 0;
  for (const position of have) {
    writer.varint(position - before);
    before = position;
  }
}

/** @throws MalformedFrame */
export function readGreeting(reader: ByteReader): ReceiverGreeting {
  const flags = reader.u8();
  const covered = readPosition(reader);
  const durable = readPosition(reader);
  const floor = readPosition(reader);
  const creditBytes = reader.varint();
  const wholeMaxBytes = reader.varint();
  const backfill = (flags & 2) === 0 ? undefined : { id: reader.varint(), cursor: readPosition(reader) };
  const count = reader.varint();
  if (count > HAVE_MAX + SINCE_MAX || count > reader.remaining)
    throw new MalformedFrame(`${count} positions that a receiver has`);
  const have: LogPosition[] = [];
  let position = 0;
  for (let i = 0; i < count; i++) {
    position += ascending(reader);
    have.push(positionOf(position));
  }
  if (durable > covered || floor > durable || flags > 3)
    throw new MalformedFrame('a greeting that contradicts itself');
  return {
    covered: (flags & 1) === 0 ? undefined : covered,
    durable,
    floor,
    have,
    backfill,
    creditBytes,
    wholeMaxBytes,
  };
}

/** One life of the origin, with the bytes of its nonce. */
export interface WireEpoch extends Epoch {
  readonly nonceBytes: Uint8Array;
}

export function wireEpochOf({ counter, nonce }: Epoch): WireEpoch {
  const nonceBytes = Uint8Array.from(Buffer.from(nonce, 'hex'));
  if (nonceBytes.length !== NONCE_BYTES) throw new RangeError(`${nonce} is no nonce of an epoch`);
  return { counter, nonce, nonceBytes };
}

function writeEpoch(writer: ByteWriter, epoch: WireEpoch): void {
  writer.varint(epoch.counter).raw(epoch.nonceBytes);
}

function readEpoch(reader: ByteReader): Epoch {
  const counter = readEpochCounter(reader);
  const bytes = reader.raw(NONCE_BYTES);
  const nonce = Buffer.from(bytes.buffer, bytes.byteOffset, NONCE_BYTES).toString('hex');
  return { counter, nonce };
}

export interface BeginFrame {
  readonly kind: typeof FrameKind.begin;
  readonly epoch: Epoch;
  readonly from: LogPosition;
  /** 0: the log of the origin is what it was. */
  readonly rolledBackTo: LogPosition;
}

export function encodeBegin(
  writer: ByteWriter,
  epoch: WireEpoch,
  from: LogPosition,
  rolledBackTo: number,
): Uint8Array {
  writer.u8(FrameKind.begin);
  writeEpoch(writer, epoch);
  return writer.varint(from).varint(rolledBackTo).finish();
}

/** A batch of main or backfill; one without messages only says what is covered. */
export interface CoverHeader {
  readonly kind: typeof FrameKind.main | typeof FrameKind.backfill;
  readonly epoch: WireEpoch;
  /** Of the interest: in a backfill the one that asked for it. */
  readonly version: number;
  readonly from: LogPosition;
  readonly to: LogPosition;
  /** Positions, both included, that the origin has lost; 0: none. */
  readonly lostFrom: LogPosition;
  readonly lostTo: LogPosition;
  /** Of a backfill: this was all. */
  readonly done: boolean;
}

/** More than any header takes. */
export const HEADER_MAX_BYTES = 64;

export function writeCoverHeader(writer: ByteWriter, header: CoverHeader): void {
  const { kind, epoch, version, from, to, lostFrom, lostTo, done } = header;
  writer.u8(kind).u8((lostTo === 0 ? 0 : LOST) | (done ? DONE : 0));
  writeEpoch(writer, epoch);
  writer
    .varint(version)
    .varint(from)
    .varint(to - from);
  if (lostTo !== 0) writer.varint(lostFrom - from).varint(lostTo - lostFrom);
}

export function writeExpressHeader(
  writer: ByteWriter,
  epoch: WireEpoch,
  number: number,
  from: LogPosition,
): void {
  writer.u8(FrameKind.express).u8(0);
  writeEpoch(writer, epoch);
  writer.varint(number).varint(from);
}

/** What arrived, with its messages. */
export interface CoverFrame {
  readonly kind: typeof FrameKind.main | typeof FrameKind.backfill;
  readonly epoch: Epoch;
  readonly version: number;
  readonly from: LogPosition;
  readonly to: LogPosition;
  readonly lostFrom: LogPosition;
  readonly lostTo: LogPosition;
  readonly done: boolean;
  readonly messages: Message[];
}

export interface ExpressFrame {
  readonly kind: typeof FrameKind.express;
  readonly epoch: Epoch;
  readonly number: number;
  readonly messages: Message[];
}

/** @param frame is kept by its messages, and must not change @param now the receiver's, for what expires @throws MalformedFrame */
export function decodeStreamFrame(
  frame: Uint8Array,
  now: number,
  texts: TextCache,
): BeginFrame | CoverFrame | ExpressFrame {
  const reader = new ByteReader(frame);
  const kind = reader.u8();
  if (kind === FrameKind.begin) {
    const begin: BeginFrame = {
      kind,
      epoch: readEpoch(reader),
      from: readPosition(reader),
      rolledBackTo: readPosition(reader),
    };
    reader.end();
    return begin;
  }
  const flags = reader.u8();
  if (flags > (LOST | DONE)) throw new MalformedFrame(`flags ${flags}`);
  const epoch = readEpoch(reader);
  if (kind === FrameKind.main || kind === FrameKind.backfill)
    return readCover(frame, reader, kind, flags, epoch, now, texts);
  if (kind !== FrameKind.express) throw new MalformedFrame(`a frame of kind ${kind}`);
  const number = reader.varint();
  const from = readPosition(reader);
  return { kind, epoch, number, messages: decodeMessages(frame, reader, from, now, texts) };
}

function readCover(
  frame: Uint8Array,
  reader: ByteReader,
  kind: CoverFrame['kind'],
  flags: number,
  epoch: Epoch,
  now: number,
  texts: TextCache,
): CoverFrame {
  const version = reader.varint();
  const from = readPosition(reader);
  const to = positionOf(from + reader.varint());
  let lostFrom = 0;
  let lostTo = 0;
  if ((flags & LOST) !== 0) {
    lostFrom = positionOf(from + ascending(reader));
    lostTo = positionOf(lostFrom + reader.varint());
  }
  if (lostTo > to) throw new MalformedFrame('more is lost than is covered');
  const messages = reader.done ? NO_MESSAGES : decodeMessages(frame, reader, from, now, texts);
  const last = messages.at(-1);
  if (last !== undefined && last.sequence > to) throw new MalformedFrame('a message beyond what is covered');
  return { kind, epoch, version, from, to, lostFrom, lostTo, done: (flags & DONE) !== 0, messages };
}

function ascending(reader: ByteReader): number {
  const step = reader.varint();
  if (step === 0) throw new MalformedFrame('positions that do not ascend');
  return step;
}

/** What a receiver has committed since its last one. */
export interface Ack {
  readonly covered: LogPosition;
  /** See ReceiverGreeting. */
  readonly floor: LogPosition;
  readonly creditBytes: number;
  /** Number of the last express batch. */
  readonly express: number;
}

export function encodeAck(writer: ByteWriter, { covered, floor, creditBytes, express }: Ack): Uint8Array {
  writer.u8(FrameKind.ack).varint(covered);
  return writer
    .varint(covered - floor)
    .varint(creditBytes)
    .varint(express)
    .finish();
}

/** @throws MalformedFrame */
export function decodeAck(frame: Uint8Array): Ack {
  const reader = new ByteReader(frame);
  if (reader.u8() !== FrameKind.ack) throw new MalformedFrame('no acknowledgement');
  const covered = readPosition(reader);
  const floor = covered - reader.varint();
  const ack: Ack = { covered, floor, creditBytes: reader.varint(), express: reader.varint() };
  reader.end();
  if (floor < 0) throw new MalformedFrame('less than nothing is needed');
  return ack;
}

/** Sends a frame, in pieces where it is too large for the link. @returns whether the link takes more */
export function sendFrame(frame: Uint8Array, send: (frame: Uint8Array) => boolean): boolean {
  if (frame.length <= PART_BYTES) return send(frame);
  let writable = true;
  for (let at = 0; at < frame.length; at += PART_BYTES) {
    const end = Math.min(at + PART_BYTES, frame.length);
    const part = new Uint8Array(1 + end - at);
    part[0] = end === frame.length ? FrameKind.lastPart : FrameKind.part;
    part.set(frame.subarray(at, end), 1);
    writable = send(part);
  }
  return writable;
}

/** Puts a frame together again. */
export class PartAssembly {
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(private readonly maxBytes: number) {}

  /** @returns the whole frame with its last part. @throws MalformedFrame */
  add(part: Uint8Array): Uint8Array | undefined {
    this.#bytes += part.length - 1;
    if (this.#bytes > this.maxBytes) throw new MalformedFrame(`a frame of more than ${this.maxBytes} bytes`);
    if (part.length === 1) throw new MalformedFrame('an empty part');
    this.#parts.push(part.slice(1));
    if (part[0] !== FrameKind.lastPart) return undefined;
    const whole = new Uint8Array(this.#bytes);
    let at = 0;
    for (const piece of this.#parts) {
      whole.set(piece, at);
      at += piece.length;
    }
    this.clear();
    return whole;
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0;
  }

  clear(): void {
    this.#parts = [];
    this.#bytes = 0;
  }
}
