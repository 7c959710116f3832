import type { LinkEnd } from '../membership/index.js';

/** Reasons with which a link is closed though nothing is wrong with the other side. */
export const REPLACED = 'there is a newer link';
export const STALLED = 'it takes messages and acknowledges none';
export const REBORN = 'the gateway begins a new life';
const AGREED: readonly string[] = [REPLACED, STALLED, REBORN];

/** What the end of a link says of the other side, by its reason: see mesh/transport/reasons.ts and relay.ts. */
export function linkEndOf(reason: string): LinkEnd {
  if (AGREED.includes(reason) || reason.startsWith('replaced') || reason.startsWith('relay:'))
    return 'agreed';
  return reason.startsWith('timeout') || reason.includes('silent') ? 'silent' : 'closed';
}
