import {
  ADDRESS_MAX_BYTES,
  ADDRESSES_MAX_COUNT,
  HEALTH_MAX_COUNT,
  HEALTH_REASON_MAX_BYTES,
  SITE_MAX_BYTES,
  SOFTWARE_MAX_BYTES,
} from './limits.js';
import { type Metadata, roundedLoad } from './member.js';

/** The beginning of a text, in whole characters. */
export function cutText(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text, 'utf8') <= maxBytes) return text;
  let bytes = 0;
  let cut = '';
  for (const character of text) {
    bytes += Buffer.byteLength(character, 'utf8');
    if (bytes > maxBytes) break;
    cut += character;
  }
  return cut;
}

/** As others would take it: what is too long or too much is cut off, an address that is too long is left out. */
export function tellable(metadata: Metadata): Metadata {
  return {
    version: metadata.version,
    site: cutText(metadata.site, SITE_MAX_BYTES),
    addresses: metadata.addresses
      .filter((address) => Buffer.byteLength(address, 'utf8') <= ADDRESS_MAX_BYTES)
      .slice(0, ADDRESSES_MAX_COUNT),
    software: cutText(metadata.software, SOFTWARE_MAX_BYTES),
    load: roundedLoad(metadata.load),
    health: metadata.health
      .slice(0, HEALTH_MAX_COUNT)
      .map((reason) => cutText(reason, HEALTH_REASON_MAX_BYTES)),
  };
}

export function isSameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index]);
}
