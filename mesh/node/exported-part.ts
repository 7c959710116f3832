import type { OwnMessages } from '../../lib/contracts/streams.js';
import type { LocalInterest } from '../interest/index.js';

/** What others may have of what was read of the log, which has all. */
export function exportedPart(own: OwnMessages, local: LocalInterest): OwnMessages {
  const { messages, wallMs } = own;
  const mayLeave = messages.map(({ topic }) => local.mayExport(topic));
  if (!mayLeave.includes(false)) return own;
  const isKept = (_: unknown, n: number): boolean => mayLeave[n] === true;
  return { ...own, messages: messages.filter(isKept), wallMs: wallMs.filter(isKept) };
}
