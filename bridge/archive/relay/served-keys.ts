/** What a gateway may have done in the archive of another one: its own objects, and no others. */
import type { GatewayId } from '../../../lib/contracts/gateway-id.js';
import { originStart, parseObjectKey } from '../object-key.js';
import { keyFault } from '../object-store.js';

const ENTRY = /^entries\/\d{12}\.json$/;
const PAGE = /^pages\/\d{12}\.jsonl$/;
const CONFIG = /^configs\/[0-9a-f]{16}\.json$/;

/** Whether an archiver of `origin` writes under this key. */
export function isOwnKey(origin: GatewayId, key: string): boolean {
  if (keyFault(key) !== undefined) return false;
  const manifest = `manifest/${origin}/`;
  if (key.startsWith(manifest)) {
    const rest = key.slice(manifest.length);
    return ENTRY.test(rest) || PAGE.test(rest) || CONFIG.test(rest);
  }
  const parsed = parseObjectKey(key);
  // Those who merge have the store itself.
  return parsed?.originStart === originStart(origin) && parsed.merge === undefined;
}
