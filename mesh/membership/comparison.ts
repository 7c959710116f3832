import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { compareClaims, type DigestEntry, digestOf, isPresent, type Member } from './member.js';
import type { MemberTable } from './member-table.js';

export interface Difference {
  /** What the other does not know yet. */
  readonly tell: readonly Member[];
  /** Of whom the other knows more. */
  readonly want: readonly GatewayId[];
}

/** Positive: `a` has news for who has `b`. */
function newer(a: DigestEntry, b: DigestEntry): boolean {
  if (a.counter !== b.counter) return a.counter > b.counter;
  return compareClaims(a, b) > 0 || a.metadataVersion > b.metadataVersion;
}

/** @param entries all that the other knows */
export function compareViews(table: MemberTable, entries: readonly DigestEntry[]): Difference {
  const tell: Member[] = [];
  const want: GatewayId[] = [];
  const named = new Set<GatewayId>();
  for (const theirs of entries) {
    named.add(theirs.id);
    const member = table.get(theirs.id);
    if (member === undefined) {
      if (isPresent(theirs.status) && !table.isForgotten(theirs.id)) want.push(theirs.id);
      continue;
    }
    const ours = digestOf(member);
    if (newer(ours, theirs)) tell.push(member);
    if (newer(theirs, ours)) want.push(theirs.id);
  }
  for (const member of table.members())
    if (!named.has(member.id) && isPresent(member.status)) tell.push(member);
  return { tell, want };
}
