/**
 * The properties of an incoming PUBLISH: validated by the table [MQTT 5, 3.3.2.3], and split into what this hop needs
 * and what is forwarded as it stands. Most publishers set none, and the lane does not come here for those.
 */
import { malformed, protocolError } from '../protocol/frame-reader.js';
import { PROPERTIES } from '../protocol/property.js';
import { hex, ProtocolError } from '../protocol/protocol-error.js';
import { ReasonCode } from '../protocol/reason-code.js';
import { isValidTopicName } from '../protocol/topic.js';
import { decodeUtf8, isValidUtf8String } from '../protocol/utf8.js';

const Id = {
  payloadFormat: 0x01,
  messageExpiry: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  topicAlias: 0x23,
  userProperty: 0x26,
} as const;

const SUBSCRIPTION_IDENTIFIER = 0x0b;
const KNOWN = new Set<number>(PROPERTIES.map((property) => property.id));

export interface PublishProperties {
  /** 0: none. */
  alias: number;
  /** Seconds; -1: none. */
  expiryS: number;
  /** Whether the payload is declared to be UTF-8. */
  utf8: boolean;
  /** What is forwarded: everything but alias and expiry, in the publisher's order. */
  forward: Uint8Array;
}

/** @param bytes the properties are `bytes[start, end)`, without their length. @throws ProtocolError */
export function parsePublishProperties(bytes: Uint8Array, start: number, end: number): PublishProperties {
  const found: PublishProperties = {
    alias: 0,
    expiryS: -1,
    utf8: false,
    forward: bytes.subarray(start, end),
  };
  let seen = 0;
  let kept: Uint8Array[] | undefined;
  let keptFrom = start;
  let at = start;
  while (at < end) {
    const id = bytes[at] as number;
    const bit = id === Id.topicAlias ? 1 : id <= Id.correlationData ? 1 << (id + 1) : 0;
    if ((seen & bit) !== 0) throw protocolError(`property ${hex(id)} stands twice in PUBLISH`);
    seen |= bit;
    const next = skipProperty(bytes, at, end);
    if (id === Id.topicAlias || id === Id.messageExpiry) {
      if (id === Id.topicAlias) found.alias = readAlias(bytes, at + 1);
      else found.expiryS = readU32(bytes, at + 1);
      (kept ??= []).push(bytes.subarray(keptFrom, at));
      keptFrom = next;
    } else if (id === Id.payloadFormat) {
      const value = bytes[at + 1] as number;
      if (value > 1) throw protocolError(`Payload Format Indicator ${value} is neither 0 nor 1`);
      found.utf8 = value === 1;
    } else if (id === Id.responseTopic) {
      checkResponseTopic(bytes, at + 3, next);
    }
    at = next;
  }
  if (kept !== undefined) found.forward = Buffer.concat([...kept, bytes.subarray(keptFrom, end)]);
  return found;
}

/** @returns the offset behind the property at `at`. */
function skipProperty(bytes: Uint8Array, at: number, end: number): number {
  const id = bytes[at] as number;
  switch (id) {
    case Id.payloadFormat:
      return within(at + 2, end);
    case Id.messageExpiry:
      return within(at + 5, end);
    case Id.topicAlias:
      return within(at + 3, end);
    case Id.contentType:
    case Id.responseTopic:
      return skipString(bytes, at + 1, end);
    case Id.correlationData:
      return skipBinary(bytes, at + 1, end);
    case Id.userProperty:
      return skipString(bytes, skipString(bytes, at + 1, end), end);
    default:
      // Right packet, wrong direction is a protocol error [MQTT-3.3.4-6]; the wrong packet is malformed [MQTT 5, 2.2.2.2].
      if (id === SUBSCRIPTION_IDENTIFIER)
        throw protocolError('PUBLISH from a client has a Subscription Identifier');
      if (KNOWN.has(id)) throw malformed(`property ${hex(id)} does not belong into PUBLISH`);
      throw malformed(`property identifier ${hex(id)} is not known`);
  }
}

function skipBinary(bytes: Uint8Array, at: number, end: number): number {
  within(at + 2, end);
  return within(at + 2 + (((bytes[at] as number) << 8) | (bytes[at + 1] as number)), end);
}

function skipString(bytes: Uint8Array, at: number, end: number): number {
  const next = skipBinary(bytes, at, end);
  if (!isValidUtf8String(bytes, at + 2, next))
    throw malformed('a string property of PUBLISH is not valid UTF-8');
  return next;
}

function within(at: number, end: number): number {
  if (at > end) throw malformed('a property of PUBLISH is cut short');
  return at;
}

function readAlias(bytes: Uint8Array, at: number): number {
  const alias = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  if (alias === 0) throw new ProtocolError(ReasonCode.topicAliasInvalid, 'Topic Alias is 0');
  return alias;
}

function readU32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) * 0x1000000 +
    (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
  );
}

function checkResponseTopic(bytes: Uint8Array, start: number, end: number): void {
  if (!isValidTopicName(decodeUtf8(bytes, start, end))) {
    throw protocolError('Response Topic is not a topic name without wildcards');
  }
}
