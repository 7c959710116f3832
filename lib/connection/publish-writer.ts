/**
 * Encodes outgoing PUBLISH packets straight into an outbox. Measured: a byte loop
 * copies 16 bytes in 16 ns and 100 in 80; TypedArray.set with its view takes 52 ns for both. They meet at some 60 bytes.
 */
import type { Message } from '../message/message.js';
import type { Outbox } from './outbox.js';
import { BUFFER_BYTES } from './outbox.js';

const LOOP_BELOW_BYTES = 64;
const PROPERTY_MESSAGE_EXPIRY = 0x02;
const PROPERTY_SUBSCRIPTION_IDENTIFIER = 0x0b;
const PROPERTY_TOPIC_ALIAS = 0x23;
const EMPTY_TOPIC = new Uint8Array(2);

function vbiLength(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : 4;
}

function writeVbi(out: Uint8Array, offset: number, value: number): number {
  while (value > 0x7f) {
    out[offset++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  out[offset++] = value;
  return offset;
}

function copyBytes(out: Uint8Array, offset: number, bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length < LOOP_BELOW_BYTES) {
    for (let i = start; i < end; i++) out[offset++] = bytes[i] as number;
    return offset;
  }
  out.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), offset);
  return offset + length;
}

/** What differs between the receivers of one message. */
export interface PublishVariant {
  /** First byte: type, dup, QoS, retain. */
  header: number;
  /** 0 for QoS 0. */
  packetId: number;
  /** Whether properties are written at all. */
  v5: boolean;
  /** Seconds left to live; 0: no Message Expiry Interval. */
  expiryS: number;
  identifiers: readonly number[] | undefined;
  /** Topic Alias; 0: none. */
  alias: number;
  /** Whether the topic is left out because the alias stands for it. */
  aliasKnown: boolean;
}

function propertiesLength(message: Message, variant: PublishVariant): number {
  let length = message.properties.length;
  if (variant.expiryS > 0) length += 5;
  if (variant.alias > 0) length += 3;
  if (variant.identifiers !== undefined) for (const id of variant.identifiers) length += 1 + vbiLength(id);
  return length;
}

/** Bytes of the whole packet, fixed header included. */
export function publishSize(message: Message, variant: PublishVariant): number {
  const remaining = remainingLength(message, variant);
  return 1 + vbiLength(remaining) + remaining;
}

function remainingLength(message: Message, variant: PublishVariant): number {
  let remaining = variant.aliasKnown ? 2 : message.topicLength;
  if (variant.packetId !== 0) remaining += 2;
  if (variant.v5) {
    const properties = propertiesLength(message, variant);
    remaining += vbiLength(properties) + properties;
  }
  return remaining + message.payloadEnd - message.payloadStart;
}

/** Appends the packet. The caller has checked the client's Maximum Packet Size. */
export function writePublish(outbox: Outbox, message: Message, variant: PublishVariant): void {
  const remaining = remainingLength(message, variant);
  const size = 1 + vbiLength(remaining) + remaining;
  if (size > BUFFER_BYTES) {
    const frame = Buffer.allocUnsafe(size);
    encodeInto(frame, 0, remaining, message, variant);
    outbox.append(frame, true);
    return;
  }
  const offset = outbox.reserve(size);
  encodeInto(outbox.buffer, offset, remaining, message, variant);
  outbox.commit(size);
}

/** A frame of its own, for those who send one message to many. */
export function encodePublish(message: Message, variant: PublishVariant): Uint8Array {
  const remaining = remainingLength(message, variant);
  const frame = Buffer.allocUnsafe(1 + vbiLength(remaining) + remaining);
  encodeInto(frame, 0, remaining, message, variant);
  return frame;
}

function encodeInto(
  out: Uint8Array,
  offset: number,
  remaining: number,
  message: Message,
  variant: PublishVariant,
): void {
  out[offset++] = variant.header;
  offset = writeVbi(out, offset, remaining);
  const topic = variant.aliasKnown ? EMPTY_TOPIC : message.topicBytes;
  offset = copyBytes(out, offset, topic, 0, topic.length);
  if (variant.packetId !== 0) {
    out[offset++] = variant.packetId >> 8;
    out[offset++] = variant.packetId & 0xff;
  }
  if (variant.v5) offset = writeProperties(out, offset, message, variant);
  copyBytes(out, offset, message.bytes, message.payloadStart, message.payloadEnd);
}

function writeProperties(out: Uint8Array, offset: number, message: Message, variant: PublishVariant): number {
  offset = writeVbi(out, offset, propertiesLength(message, variant));
  if (variant.expiryS > 0) {
    out[offset++] = PROPERTY_MESSAGE_EXPIRY;
    out[offset++] = variant.expiryS >>> 24;
    out[offset++] = (variant.expiryS >>> 16) & 0xff;
    out[offset++] = (variant.expiryS >>> 8) & 0xff;
    out[offset++] = variant.expiryS & 0xff;
  }
  offset = copyBytes(out, offset, message.properties, 0, message.properties.length);
  if (variant.identifiers !== undefined) {
    for (const identifier of variant.identifiers) {
      out[offset++] = PROPERTY_SUBSCRIPTION_IDENTIFIER;
      offset = writeVbi(out, offset, identifier);
    }
  }
  if (variant.alias > 0) {
    out[offset++] = PROPERTY_TOPIC_ALIAS;
    out[offset++] = variant.alias >> 8;
    out[offset++] = variant.alias & 0xff;
  }
  return offset;
}
