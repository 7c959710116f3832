/**
 * Messages as they lie in a batch, one after the other to its end:
 *
 *     varint  positions since the message before, or since the batch's `from`
 *     u8      bits 0 and 1 QoS, 2 retain, 3 expires, 4 has properties, 5 has the counter of a retained version, 6 came by a bridge
 *     varint  topic: 0 is a new one, then u16 (most significant byte first) and UTF-8; n is the n-th new one of the batch
 *     varint  client id of the publisher, likewise
 *     varint  only where it expires: milliseconds that are left of it
 *     u32     only with a counter: it
 *     varint  only with properties: their length, then they as PUBLISH carries them
 *     varint  length of the payload, then it
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import { Message, NEVER } from '../../lib/message/message.js';
import { decodeProperties, ProtocolError } from '../../lib/protocol/index.js';
import type { QoS } from '../../lib/protocol/index.js';
import { type ByteReader, type ByteWriter, MalformedFrame } from '../wire/bytes.js';
import { expiryMsOf, readExpiryMs } from '../wire/expiry.js';
import { positionOf } from '../wire/log-numbers.js';
import type { TextCache, WireText } from './text-cache.js';

const QOS = 0x03;
const RETAIN = 0x04;
const EXPIRES = 0x08;
const PROPERTIES = 0x10;
const COUNTER = 0x20;
const BRIDGED = 0x40;
const KNOWN = QOS | RETAIN | EXPIRES | PROPERTIES | COUNTER | BRIDGED;
/** What is not topic, publisher, properties or payload, at most. */
const FIXED_MAX_BYTES = 56;
const NO_BYTES = new Uint8Array(0);

/** At least as much as the message takes in any batch. */
export function encodedMaxBytes(message: Message): number {
  return (
    FIXED_MAX_BYTES +
    message.topicLength +
    3 * message.publisher.length +
    message.properties.length +
    (message.payloadEnd - message.payloadStart)
  );
}

/** Writes messages behind the header of a batch. */
export class MessageEncoder {
  readonly #writer: ByteWriter;
  readonly #topics = new Map<string, number>();
  readonly #publishers = new Map<string, number>();
  #topic: string | undefined;
  #topicIndex = 0;
  #publisher: string | undefined;
  #publisherIndex = 0;

  constructor(writer: ByteWriter) {
    this.#writer = writer;
  }

  /** A new batch. */
  begin(): void {
    if (this.#topics.size > 0) this.#topics.clear();
    if (this.#publishers.size > 0) this.#publishers.clear();
    this.#topic = undefined;
    this.#publisher = undefined;
  }

  /** @param step positions since the message before @param now on the clock of `expiresAt`; the message has not expired */
  write(message: Message, step: number, now: number, qos: QoS = message.qos): void {
    const writer = this.#writer;
    const { properties, retainedCounter, expiresAt, payloadStart, payloadEnd } = message;
    const expires = expiresAt !== NEVER;
    writer.varint(step);
    writer.u8(
      qos |
        (message.retain ? RETAIN : 0) |
        (expires ? EXPIRES : 0) |
        (properties.length > 0 ? PROPERTIES : 0) |
        (retainedCounter === 0 ? 0 : COUNTER) |
        (message.fromBridge ? BRIDGED : 0),
    );
    this.#writeTopic(message);
    this.#writePublisher(message.publisher);
    if (expires) writer.varint(expiryMsOf(expiresAt, now));
    if (retainedCounter !== 0) writer.u32(retainedCounter);
    if (properties.length > 0) writer.bytes(properties);
    writer.varint(payloadEnd - payloadStart);
    writer.raw(message.bytes, payloadStart, payloadEnd);
  }

  #writeTopic(message: Message): void {
    const { topic } = message;
    if (topic !== this.#topic) {
      this.#topic = topic;
      this.#topicIndex = this.#topics.get(topic) ?? 0;
    }
    this.#writer.varint(this.#topicIndex);
    if (this.#topicIndex !== 0) return;
    this.#topicIndex = this.#topics.size + 1;
    this.#topics.set(topic, this.#topicIndex);
    this.#writer.raw(message.topicBytes);
  }

  #writePublisher(publisher: string): void {
    if (publisher !== this.#publisher) {
      this.#publisher = publisher;
      this.#publisherIndex = this.#publishers.get(publisher) ?? 0;
    }
    this.#writer.varint(this.#publisherIndex);
    if (this.#publisherIndex !== 0) return;
    this.#publisherIndex = this.#publishers.size + 1;
    this.#publishers.set(publisher, this.#publisherIndex);
    const at = this.#writer.length;
    this.#writer.u16(0);
    this.#writer.utf8(publisher);
    this.#writer.patchU16(at, this.#writer.length - at - 2);
  }
}

/**
 * Reads all messages of a batch. They are views of `frame`, which must stay as it is. `sequence` is the position at the origin.
 * @param from after which the first message stands @param now what is left of an expiry counts from here
 * @param minStep 0: they have no positions
 * @throws MalformedFrame
 */
export function decodeMessages(
  frame: Uint8Array,
  reader: ByteReader,
  from: LogPosition,
  now: number,
  texts: TextCache,
  minStep = 1,
): Message[] {
  const messages: Message[] = [];
  const topics: WireText[] = [];
  const publishers: WireText[] = [];
  let position = from;
  while (!reader.done) {
    const step = reader.varint();
    if (step < minStep) throw new MalformedFrame('two messages of one position');
    position = positionOf(position + step);
    const flags = reader.u8();
    const qos = qosOf(flags);
    const topic = readText(frame, reader, topics, texts);
    if (!topic.isTopic) throw new MalformedFrame('a topic that nobody can publish to');
    const publisher = readText(frame, reader, publishers, texts);
    const expiresAt = (flags & EXPIRES) === 0 ? NEVER : now + readExpiryMs(reader);
    const retainedCounter = (flags & COUNTER) === 0 ? 0 : reader.u32();
    const properties = (flags & PROPERTIES) === 0 ? NO_BYTES : readProperties(reader);
    const length = reader.varint();
    const start = reader.skip(length);
    const message = new Message(
      topic.text,
      topic.encoded,
      frame,
      start,
      start + length,
      properties,
      qos,
      (flags & RETAIN) !== 0,
      expiresAt,
      publisher.text,
    );
    message.sequence = position;
    message.retainedCounter = retainedCounter;
    message.fromBridge = (flags & BRIDGED) !== 0;
    messages.push(message);
  }
  return messages;
}

function qosOf(flags: number): QoS {
  const qos = flags & QOS;
  if ((flags & ~KNOWN) !== 0) throw new MalformedFrame(`message flags ${flags}`);
  if (qos === 0 || qos === 1 || qos === 2) return qos;
  throw new MalformedFrame('a message of QoS 3');
}

function readText(frame: Uint8Array, reader: ByteReader, table: WireText[], texts: TextCache): WireText {
  const index = reader.varint();
  if (index === 0) {
    const high = reader.u8();
    const length = (high << 8) | reader.u8();
    const start = reader.skip(length);
    const text = texts.get(frame, start, start + length);
    table.push(text);
    return text;
  }
  const known = table[index - 1];
  if (known === undefined) throw new MalformedFrame(`text ${index} of ${table.length}`);
  return known;
}

/** Only what is passed on from gateway to gateway: nothing of one hop. */
function readProperties(reader: ByteReader): Uint8Array {
  const properties = reader.bytes(reader.remaining);
  try {
    const { topicAlias, subscriptionIdentifiers, messageExpiryInterval } = decodeProperties(
      properties,
      0,
      properties.length,
      'publish',
      'toClient',
    );
    if ((topicAlias ?? subscriptionIdentifiers ?? messageExpiryInterval) === undefined) return properties;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  throw new MalformedFrame('properties that no message is forwarded with');
}
