/**
 * The MQTT 5 properties of a message as they are forwarded: encoded, in the publisher's order, without those that belong
 * to one hop (Topic Alias), to one receiver (Subscription Identifier) or change on the way (Message Expiry Interval).
 */
import type { Properties, UserProperty } from '../protocol/packet.js';

const encoder = new TextEncoder();

function pushString(out: number[], bytes: Uint8Array): void {
  out.push(bytes.length >> 8, bytes.length & 0xff);
  for (const byte of bytes) out.push(byte);
}

/** @param pairs names and values of at most 65535 bytes of UTF-8 each; longer ones are cut. */
export function encodeUserProperties(pairs: readonly UserProperty[]): Uint8Array {
  const out: number[] = [];
  for (const [name, value] of pairs) {
    out.push(0x26);
    pushString(out, encoder.encode(name).subarray(0, 65535));
    pushString(out, encoder.encode(value).subarray(0, 65535));
  }
  return Uint8Array.from(out);
}

/** For messages that did not come in as PUBLISH: wills and `broker.publish`. */
export function encodeForwardedProperties(properties: Properties): Uint8Array {
  const out: number[] = [];
  if (properties.payloadFormatIndicator !== undefined) out.push(0x01, properties.payloadFormatIndicator);
  if (properties.contentType !== undefined) {
    out.push(0x03);
    pushString(out, encoder.encode(properties.contentType));
  }
  if (properties.responseTopic !== undefined) {
    out.push(0x08);
    pushString(out, encoder.encode(properties.responseTopic));
  }
  if (properties.correlationData !== undefined) {
    out.push(0x09);
    pushString(out, properties.correlationData);
  }
  const own = Uint8Array.from(out);
  const user = encodeUserProperties(properties.userProperties ?? []);
  const all = new Uint8Array(own.length + user.length);
  all.set(own);
  all.set(user, own.length);
  return all;
}
