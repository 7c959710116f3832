/**
 * The MQTT 5 properties of a message as they are forwarded: encoded, without those that belong to one hop (Topic Alias), to
 * one receiver (Subscription Identifier) or change on the way (Message Expiry Interval).
 */
import type { Properties } from '../protocol/packet.js';
import { encodeProperties } from '../protocol/property.js';

const FORWARDED = [
  'payloadFormatIndicator',
  'contentType',
  'responseTopic',
  'correlationData',
  'userProperties',
] as const satisfies readonly (keyof Properties)[];

/**
 * For messages that did not come in as PUBLISH: wills, dead letters, `broker.publish`.
 * @throws TypeError or RangeError for values that a packet cannot carry, such as a string of more than 65535 bytes.
 */
export function encodeForwardedProperties(properties: Properties): Uint8Array {
  const forwarded: Properties = {};
  for (const key of FORWARDED) {
    if (properties[key] !== undefined) Object.assign(forwarded, { [key]: properties[key] });
  }
  return encodeProperties(forwarded, 'publish');
}
