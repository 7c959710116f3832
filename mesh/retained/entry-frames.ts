/**
 * Frames of the channel `retained` that carry messages and removals:
 *
 *     entries  13, count of sources, (origin 32 bytes, epoch counter, nonce 8 bytes)…, then entries to the end
 *     large    14, the same with one entry, whose properties and payload are not there: properties length, payload length
 *     piece    15, bytes                     of the properties, then the payload, of the large one before
 *
 *     entry    flags u8: QoS in bits 0 and 1, tombstone 4, expires 8
 *              number of its source, counter, sequence, topic
 *              of a message: publisher, milliseconds that are left if it expires, properties, payload
 */
import { gatewayIdOf, PUBLIC_KEY_BYTES, publicKeyOf } from '../../lib/contracts/gateway-id.js';
import type { Epoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { RetainedVersion } from '../../lib/contracts/streams.js';
import { type Message, NEVER } from '../../lib/message/message.js';
import type { QoS } from '../../lib/protocol/packet.js';
import { isValidTopicName, STRING_MAX_BYTES } from '../../lib/protocol/topic.js';
import { type ByteReader, ByteWriter, MalformedFrame } from '../wire/bytes.js';
import { expiryMsOf, readExpiryMs } from '../wire/expiry.js';
import { readEpochCounter, readPosition } from '../wire/log-numbers.js';
import { FRAME_SOFT_MAX_BYTES, MESSAGE_MAX_BYTES, PIECE_BYTES } from './limits.js';
import { FrameKind, readCounter } from './retained-frames.js';

const NONCE_BYTES = 8;
const TOMBSTONE = 4;
const EXPIRES = 8;

/** A message as it comes; its bytes are views of the frame, or its own where it came in pieces. */
export interface ArrivedMessage {
  readonly qos: QoS;
  readonly publisher: string;
  /** undefined: it never expires. */
  readonly expiresInMs: number | undefined;
  readonly properties: Uint8Array;
  readonly payload: Uint8Array;
}

export interface ArrivedEntry {
  readonly topic: string;
  readonly version: RetainedVersion;
  /** undefined: a removal. */
  readonly message: ArrivedMessage | undefined;
}

/** What is to be sent: a removal where there is no message. */
export interface OutgoingEntry {
  readonly topic: string;
  readonly version: RetainedVersion;
  readonly message: Message | undefined;
}

interface Source {
  readonly origin: GatewayId;
  readonly epoch: Epoch;
}

/** Entries of one frame: the sources come first, and are known last. */
class EntryBatch {
  readonly #body = new ByteWriter(4096);
  readonly #sources: Source[] = [];
  readonly #numbers = new Map<string, number>();

  get length(): number {
    return this.#body.length + this.#sources.length * 50;
  }

  /** @param isLarge without properties and payload, but with their lengths */
  add({ topic, version, message }: OutgoingEntry, now: number, isLarge: boolean): void {
    const expires = message !== undefined && message.expiresAt !== NEVER;
    const flags = message === undefined ? TOMBSTONE : message.qos | (expires ? EXPIRES : 0);
    this.#body.u8(flags).varint(this.#numberOf(version)).varint(version.counter).varint(version.sequence);
    this.#body.text(topic);
    if (message === undefined) return;
    this.#body.text(message.publisher);
    if (expires) this.#body.varint(expiryMsOf(message.expiresAt, now));
    if (isLarge) this.#body.varint(message.properties.length).varint(message.payloadLength);
    else this.#body.bytes(message.properties).bytes(message.payload);
  }

  finish(kind: number): Uint8Array {
    const body = this.#body.finish();
    const writer = new ByteWriter(body.length + 16 + this.#sources.length * 50);
    writer.u8(kind).varint(this.#sources.length);
    for (const { origin, epoch } of this.#sources)
      writer.raw(publicKeyOf(origin)).varint(epoch.counter).raw(Buffer.from(epoch.nonce, 'hex'));
    this.#sources.length = 0;
    this.#numbers.clear();
    return writer.raw(body).finish();
  }

  #numberOf({ origin, epoch }: RetainedVersion): number {
    const key = `${origin} ${epoch.counter} ${epoch.nonce}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#sources.push({ origin, epoch }) - 1;
      this.#numbers.set(key, number);
    }
    return number;
  }
}

/** Made as they are sent. What has expired is left out. @param now asked for each message */
export function* encodeEntries(entries: Iterable<OutgoingEntry>, now: () => number): Generator<Uint8Array> {
  const batch = new EntryBatch();
  for (const entry of entries) {
    const { message } = entry;
    const at = now();
    if (message !== undefined && message.expiresAt <= at) continue;
    const weight = message?.weight ?? 0;
    if (batch.length > 0 && batch.length + weight + entry.topic.length * 3 > FRAME_SOFT_MAX_BYTES)
      yield batch.finish(FrameKind.entries);
    if (message === undefined || weight <= PIECE_BYTES) {
      batch.add(entry, at, false);
      continue;
    }
    batch.add(entry, at, true);
    yield batch.finish(FrameKind.large);
    yield* pieces(message);
  }
  if (batch.length > 0) yield batch.finish(FrameKind.entries);
}

function* pieces({ properties, payload }: Message): Generator<Uint8Array> {
  for (const part of [properties, payload])
    for (let at = 0; at < part.length; at += PIECE_BYTES)
      yield new ByteWriter(PIECE_BYTES + 1)
        .u8(FrameKind.piece)
        .raw(part.subarray(at, at + PIECE_BYTES))
        .finish();
}

/** A large message on its way. Memory is taken for what has arrived, not for what was said to come. */
interface Large {
  readonly topic: string;
  readonly version: RetainedVersion;
  readonly about: Pick<ArrivedMessage, 'qos' | 'publisher' | 'expiresInMs'>;
  readonly propertiesLength: number;
  readonly length: number;
  readonly pieces: Uint8Array[];
  left: number;
}

/** Reads entries as they come; a large one is given out when its last piece is there. */
export class EntryReader {
  #large: Large | undefined;

  /** @param kind the first byte of the frame, which `reader` stands behind. @throws MalformedFrame */
  read(kind: number, reader: ByteReader): readonly ArrivedEntry[] {
    if (kind === FrameKind.piece) return this.#piece(reader);
    if (this.#large !== undefined) throw new MalformedFrame('a large message is cut off');
    const sources = readSources(reader);
    const entries: ArrivedEntry[] = [];
    if (kind === FrameKind.large) {
      this.#begin(reader, sources);
      return entries;
    }
    while (!reader.done) entries.push(readEntry(reader, sources));
    return entries;
  }

  reset(): void {
    this.#large = undefined;
  }

  #begin(reader: ByteReader, sources: readonly Source[]): void {
    const { version, topic, flags } = readHead(reader, sources);
    if ((flags & TOMBSTONE) !== 0) throw new MalformedFrame('a large removal');
    const { publisher, expiresInMs } = readAbout(reader, flags);
    const propertiesLength = reader.varint();
    const length = propertiesLength + reader.varint();
    reader.end();
    if (length > MESSAGE_MAX_BYTES || length === propertiesLength)
      throw new MalformedFrame(`a large message of ${length} bytes`);
    const about = { qos: qosOf(flags), publisher, expiresInMs };
    this.#large = { topic, version, about, propertiesLength, length, pieces: [], left: length };
  }

  #piece(reader: ByteReader): readonly ArrivedEntry[] {
    const large = this.#large;
    const length = reader.remaining;
    if (large === undefined || length === 0 || length > large.left)
      throw new MalformedFrame('a piece of no large message');
    large.pieces.push(reader.raw(length).slice());
    large.left -= length;
    if (large.left > 0) return [];
    this.#large = undefined;
    const { topic, version, about, propertiesLength } = large;
    const bytes = Buffer.concat(large.pieces, large.length);
    const properties = bytes.subarray(0, propertiesLength);
    return [{ topic, version, message: { ...about, properties, payload: bytes.subarray(propertiesLength) } }];
  }
}

function readSources(reader: ByteReader): Source[] {
  const count = reader.varint();
  const sources: Source[] = [];
  for (let n = 0; n < count; n++) {
    const origin = gatewayIdOf(reader.raw(PUBLIC_KEY_BYTES));
    const counter = readEpochCounter(reader);
    const nonce = Buffer.from(reader.raw(NONCE_BYTES)).toString('hex');
    sources.push({ origin, epoch: { counter, nonce } });
  }
  return sources;
}

function readEntry(reader: ByteReader, sources: readonly Source[]): ArrivedEntry {
  const { topic, version, flags } = readHead(reader, sources);
  if ((flags & TOMBSTONE) !== 0) return { topic, version, message: undefined };
  const { publisher, expiresInMs } = readAbout(reader, flags);
  const properties = reader.bytes(MESSAGE_MAX_BYTES);
  const payload = reader.bytes(MESSAGE_MAX_BYTES);
  // An empty message removes: it comes as a tombstone.
  if (payload.length === 0) throw new MalformedFrame('an empty message is retained');
  return { topic, version, message: { qos: qosOf(flags), publisher, expiresInMs, properties, payload } };
}

function readHead(reader: ByteReader, sources: readonly Source[]) {
  const flags = reader.u8();
  if (flags > 15 || (flags & 3) === 3) throw new MalformedFrame(`an entry with flags ${flags}`);
  const source = sources[reader.varint()];
  if (source === undefined) throw new MalformedFrame('an entry of no source');
  const counter = readCounter(reader);
  const sequence = readPosition(reader);
  const topic = reader.text(STRING_MAX_BYTES);
  if (!isValidTopicName(topic) || topic.startsWith('$'))
    throw new MalformedFrame('a topic that is not retained');
  const version: RetainedVersion = { counter, origin: source.origin, epoch: source.epoch, sequence };
  return { flags, topic, version };
}

function readAbout(reader: ByteReader, flags: number) {
  const publisher = reader.text(STRING_MAX_BYTES);
  return { publisher, expiresInMs: (flags & EXPIRES) === 0 ? undefined : readExpiryMs(reader) };
}

function qosOf(flags: number): QoS {
  const bits = flags & 3;
  return bits === 2 ? 2 : bits === 1 ? 1 : 0;
}
