export { decodeMessage, encodeMessage, encodeRecord, type Body, type MembershipMessage } from './codec.js';
export {
  compareClaims,
  isPresent,
  MEMBER_STATUSES,
  type DigestEntry,
  type Evidence,
  type Member,
  type MemberRecord,
  type MemberStatus,
  type Metadata,
} from './member.js';
export {
  Membership,
  type LinkEnd,
  type MembershipCounters,
  type MembershipPorts,
  type MembershipSelf,
} from './membership.js';
export { type MembershipOptions } from './options.js';
export type { TellerPorts } from './teller.js';
export {
  afterRoundTrip,
  confirmationsExpected,
  loadIntervalMs,
  probeTimeoutMs,
  retransmitLimit,
  scaledByHealth,
  suspicionTimeoutMs,
  type RoundTrip,
} from './timing.js';
