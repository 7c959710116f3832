/**
 * Body of a message record, numbers least significant byte first:
 *
 *     u8   bits 0 and 1 QoS, 2 retain, 3 expires, 4 has properties, 5 has a packet id, 6 is the will of its publisher's session, 7 has mesh flags
 *     u8   only with bit 7: bit 0 comes from another gateway, 1 has the counter of a retained version, 2 a bridge brought it, 3 is ahead of its stream, 4 may have been removed
 *     u48  only from another gateway: position of the record that names it, then u48, its position in that gateway's log
 *     u32  only with a counter: it
 *     u48  milliseconds since 1970, as good as the machine knew
 *     u48  only where it expires: when, in milliseconds of the gateway's own clock
 *     u16  only with a packet id: with it the publisher's session knows a repeated QoS 2 message
 *     u16  length of the publisher's client id, then it in UTF-8; 0: the gateway itself
 *     u16  length of the topic (most significant byte first, as in PUBLISH), then it in UTF-8
 *     u32  only with properties: their length, then they as PUBLISH carries them
 *          the rest is the payload
 */
import type { LogPosition } from '../../lib/contracts/store.js';
import { Message, NEVER } from '../../lib/message/message.js';
import { TextMemo } from '../../lib/message/text-memo.js';
import type { QoS } from '../../lib/protocol/packet.js';
import { readU32, readU48, writeU32, writeU48 } from '../log/record.js';
import { NO_TEXTS, type TextCache } from './text-cache.js';

const QOS = 0x03;
const RETAIN = 0x04;
const EXPIRES = 0x08;
const PROPERTIES = 0x10;
const PACKET_ID = 0x20;
const WILL = 0x40;
const MESH = 0x80;
const FROM_ANOTHER = 0x01;
const COUNTER = 0x02;
const BRIDGE = 0x04;
const AHEAD = 0x08;
const REMOVED = 0x10;
const FIXED_BYTES = 7;
const NO_BYTES = new Uint8Array(0);

/** Message with what the log knows of it beside. */
export interface StoredMessage {
  readonly message: Message;
  readonly wallMs: number;
  /** 0: it came without one, or its publisher's session does not outlive the connection. */
  readonly packetId: number;
  /** It is the will of its publisher's session, which has none from here on. */
  readonly isWill: boolean;
  /** Position of the record that names the gateway which took it in; 0: this one. */
  readonly sourceNumber: LogPosition;
}

/** Client ids in UTF-8: few publishers write most messages. */
export class PublisherNames {
  readonly #bytes: TextMemo<Uint8Array>;

  constructor(maxCount: number) {
    this.#bytes = new TextMemo(maxCount, bytesOfText);
  }

  bytesOf(clientId: string): Uint8Array {
    return this.#bytes.of(clientId);
  }
}

/** In memory of its own: a slice of Node's pool would hold 8 KiB for as long as it is here. */
function bytesOfText(text: string): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text, 'utf8'));
  bytes.write(text, 'utf8');
  return bytes;
}

/** @param packetId 0: none is stored. */
export function messageRecordBytes(message: Message, publisher: Uint8Array, packetId: number): number {
  const properties = message.properties.length;
  return (
    FIXED_BYTES +
    (message.expiresAt === NEVER ? 0 : 6) +
    (packetId === 0 ? 0 : 2) +
    meshBytes(message) +
    2 +
    publisher.length +
    message.topicLength +
    (properties === 0 ? 0 : 4 + properties) +
    message.payloadLength
  );
}

function hasMeshFlags({ source, retainedCounter, fromBridge }: Message): boolean {
  return source !== undefined || retainedCounter !== 0 || fromBridge;
}

function meshBytes(message: Message): number {
  if (!hasMeshFlags(message)) return 0;
  const { source, retainedCounter } = message;
  return 1 + (source === undefined ? 0 : 12) + (retainedCounter === 0 ? 0 : 4);
}

/** Writes `messageRecordBytes` bytes at `at`. @param sourceNumber of a message that has a source */
export function writeMessageRecord(
  out: Uint8Array,
  at: number,
  message: Message,
  publisher: Uint8Array,
  packetId: number,
  wallMs: number,
  isWill = false,
  sourceNumber: LogPosition = 0,
): void {
  const { properties, topicBytes } = message;
  const expires = message.expiresAt !== NEVER;
  out[at] =
    message.qos |
    (message.retain ? RETAIN : 0) |
    (expires ? EXPIRES : 0) |
    (properties.length > 0 ? PROPERTIES : 0) |
    (packetId === 0 ? 0 : PACKET_ID) |
    (isWill ? WILL : 0);
  if (hasMeshFlags(message)) {
    out[at] = (out[at] as number) | MESH;
    at = writeMesh(out, at + 1, message, sourceNumber) - 1;
  }
  writeU48(out, at + 1, wallMs);
  at += FIXED_BYTES;
  if (expires) {
    writeU48(out, at, Math.max(0, Math.ceil(message.expiresAt)));
    at += 6;
  }
  if (packetId !== 0) {
    out[at++] = packetId & 0xff;
    out[at++] = packetId >> 8;
  }
  out[at++] = publisher.length & 0xff;
  out[at++] = publisher.length >> 8;
  out.set(publisher, at);
  at += publisher.length;
  out.set(topicBytes, at);
  at += topicBytes.length;
  if (properties.length > 0) {
    writeU32(out, at, properties.length);
    out.set(properties, at + 4);
    at += 4 + properties.length;
  }
  copyBytes(out, at, message.bytes, message.payloadStart, message.payloadEnd);
}

/**
 * What comes before the payload in the record of a message of QoS 0 without retain, expiry, properties and all that the mesh knows: it is the
 * same for all of one publisher and topic.
 */
export function plainRecordHead(topicBytes: Uint8Array, publisher: Uint8Array, wallMs: number): Uint8Array {
  const head = Buffer.allocUnsafe(FIXED_BYTES + 2 + publisher.length + topicBytes.length);
  head[0] = 0;
  writeU48(head, 1, wallMs);
  head[FIXED_BYTES] = publisher.length & 0xff;
  head[FIXED_BYTES + 1] = publisher.length >> 8;
  head.set(publisher, FIXED_BYTES + 2);
  head.set(topicBytes, FIXED_BYTES + 2 + publisher.length);
  return head;
}

/** Writes `head` and the payload `bytes[start, end)` at `at`. */
export function writePlainRecord(
  out: Uint8Array,
  at: number,
  head: Uint8Array,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  copyBytes(out, at, head, 0, head.length);
  copyBytes(out, at + head.length, bytes, start, end);
}

/** @returns where it goes on. */
function writeMesh(out: Uint8Array, at: number, message: Message, sourceNumber: LogPosition): number {
  const { source, sequence, retainedCounter } = message;
  out[at++] =
    (source === undefined ? 0 : FROM_ANOTHER) |
    (retainedCounter === 0 ? 0 : COUNTER) |
    (message.fromBridge ? BRIDGE : 0) |
    (message.aheadOfStream ? AHEAD : 0) |
    (message.mayBeRemoved ? REMOVED : 0);
  if (source !== undefined) {
    writeU48(out, at, sourceNumber);
    writeU48(out, at + 6, sequence);
    at += 12;
  }
  if (retainedCounter !== 0) {
    writeU32(out, at, retainedCounter);
    at += 4;
  }
  return at;
}

function copyBytes(out: Uint8Array, at: number, bytes: Uint8Array, start: number, end: number): void {
  const length = end - start;
  // The call costs more than the bytes of a small one; measured with the PUBLISH writer.
  if (length > 64) {
    out.set(bytes.subarray(start, end), at);
    return;
  }
  for (let i = 0; i < length; i++) out[at + i] = bytes[start + i] as number;
}

/**
 * Reads a record whose CRC was right. The message has its own copy of the bytes.
 * @param texts where topics and client ids that come again and again are kept
 */
export function readMessageRecord(
  bytes: Uint8Array,
  start: number,
  end: number,
  texts: TextCache = NO_TEXTS,
): StoredMessage {
  const stored = viewMessageRecord(bytes, start, end, texts);
  stored.message.copyBytes();
  return stored;
}

/** Whether another gateway took the message in. */
export function isOfAnother(bytes: Uint8Array, start: number): boolean {
  return ((bytes[start] as number) & MESH) !== 0 && ((bytes[start + 1] as number) & FROM_ANOTHER) !== 0;
}

/** The same for somebody who does not keep the message: its payload and properties are those of `bytes`. */
export function viewMessageRecord(
  bytes: Uint8Array,
  start: number,
  end: number,
  texts: TextCache,
): StoredMessage {
  const flags = bytes[start] as number;
  let sourceNumber = 0;
  let sequence = 0;
  let retainedCounter = 0;
  let fromBridge = false;
  let aheadOfStream = false;
  let mayBeRemoved = false;
  if ((flags & MESH) !== 0) {
    const mesh = bytes[++start] as number;
    fromBridge = (mesh & BRIDGE) !== 0;
    aheadOfStream = (mesh & AHEAD) !== 0;
    mayBeRemoved = (mesh & REMOVED) !== 0;
    if ((mesh & FROM_ANOTHER) !== 0) {
      sourceNumber = readU48(bytes, start + 1);
      sequence = readU48(bytes, start + 7);
      start += 12;
    }
    if ((mesh & COUNTER) !== 0) {
      retainedCounter = readU32(bytes, start + 1);
      start += 4;
    }
  }
  const wallMs = readU48(bytes, start + 1);
  let at = start + FIXED_BYTES;
  let expiresAt = NEVER;
  if ((flags & EXPIRES) !== 0) {
    expiresAt = readU48(bytes, at);
    at += 6;
  }
  let packetId = 0;
  if ((flags & PACKET_ID) !== 0) {
    packetId = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    at += 2;
  }
  const publisherEnd = at + 2 + ((bytes[at] as number) | ((bytes[at + 1] as number) << 8));
  const publisher = texts.get(bytes, at + 2, publisherEnd).text;
  at = publisherEnd;
  const topicEnd = at + 2 + (((bytes[at] as number) << 8) | (bytes[at + 1] as number));
  const topic = texts.get(bytes, at + 2, topicEnd);
  let payloadStart = topicEnd;
  let properties: Uint8Array = NO_BYTES;
  if ((flags & PROPERTIES) !== 0) {
    payloadStart = topicEnd + 4 + readU32(bytes, topicEnd);
    properties = bytes.subarray(topicEnd + 4, payloadStart);
  }
  const message = new Message(
    topic.text,
    topic.encoded,
    bytes,
    payloadStart,
    end,
    properties,
    (flags & QOS) as QoS,
    (flags & RETAIN) !== 0,
    expiresAt,
    publisher,
  );
  message.sequence = sequence;
  message.retainedCounter = retainedCounter;
  message.fromBridge = fromBridge;
  message.aheadOfStream = aheadOfStream;
  message.mayBeRemoved = mayBeRemoved;
  return { message, wallMs, packetId, isWill: (flags & WILL) !== 0, sourceNumber };
}
