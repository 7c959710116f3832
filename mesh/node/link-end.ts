import type { LinkEnd } from '../membership/index.js';

/** Reasons with which a link is closed though nothing is wrong with the other side. */
export const REPLACED = 'there is a newer link';
export const REBORN = 'the gateway begins a new life';

/** What the end of a link says of the other side, by its reason: see mesh/transport/reasons.ts. */
export function linkEndOf(reason: string): LinkEnd {
  if (
    reason === REPLACED ||
    reason === REBORN ||
    reason.startsWith('replaced') ||
    reason.startsWith('relay:')
  )
    return 'agreed';
  return reason.startsWith('timeout') || reason.includes('silent') ? 'silent' : 'closed';
}
