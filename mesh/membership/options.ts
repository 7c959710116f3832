import { FORGOTTEN_MAX_COUNT, MEMBERS_MAX_COUNT } from './limits.js';

export interface MembershipOptions {
  /** Each gateway probes one member in turn and its neighbour in the order of ids this often. Shorter: faster news, more datagrams. */
  readonly probePeriodMs: number;
  /** No answer is waited for shorter than this, however near the peer: what a busy event loop may take. */
  readonly probeTimeoutMinMs: number;
  readonly probeTimeoutMaxMs: number;
  /** Others that are asked to ping who did not answer. */
  readonly relayCount: number;
  /** How long one whose link broke has to answer, with and without the suspicion of others. */
  readonly closedSuspicionMinMs: number;
  readonly closedSuspicionMaxMs: number;
  /**
   * The same for one that is only silent. From the first unanswered ping on 3 x probeTimeoutMinMs pass until one is suspected, and then this: a gateway
   * without power is known within two and a half seconds. One that only stands still for longer than that is held dead, and comes back by itself. Longer:
   * longer pauses are survived, and a cut cable is known later.
   */
  readonly silentSuspicionMinMs: number;
  readonly silentSuspicionMaxMs: number;
  readonly confirmationsMax: number;
  /** A deadline that is met later than this means that this gateway stood still. */
  readonly stallMs: number;
  /**
   * How little this gateway may trust itself: a probe takes up to so many times longer, and one time more. 0 switches the scaling off. It is
   * lower than the 8 of memberlist: when many are without power at once, their silence must not slow down those who find out.
   */
  readonly healthScoreMax: number;
  /** Changes are collected this long before they are pushed. */
  readonly batchMs: number;
  /** With more links than this, what came from others is pushed on after a random time up to `spreadMs`, and not at all when enough copies came. */
  readonly floodLinksMax: number;
  readonly spreadMs: number;
  readonly copiesEnough: number;
  readonly gossipLambda: number;
  readonly syncPeriodMs: number;
  /** After a ping whose sender sees other members; doubled while that brings nothing. */
  readonly syncMinMs: number;
  /** More members than this are not sent whole when a link comes up, but compared by digest if the views differ. */
  readonly fullStateMaxCount: number;
  readonly loadIntervalMs: number;
  /** How long a dead or left member is remembered. */
  readonly deadKeptMs: number;
  readonly membersMaxCount: number;
  readonly forgottenMaxCount: number;
}

export const MEMBERSHIP_DEFAULTS: MembershipOptions = {
  probePeriodMs: 500,
  probeTimeoutMinMs: 150,
  probeTimeoutMaxMs: 1000,
  relayCount: 3,
  closedSuspicionMinMs: 600,
  closedSuspicionMaxMs: 1200,
  silentSuspicionMinMs: 700,
  silentSuspicionMaxMs: 1300,
  confirmationsMax: 3,
  stallMs: 200,
  healthScoreMax: 3,
  batchMs: 5,
  floodLinksMax: 16,
  spreadMs: 20,
  copiesEnough: 3,
  gossipLambda: 4,
  syncPeriodMs: 30_000,
  syncMinMs: 1000,
  fullStateMaxCount: 128,
  loadIntervalMs: 1000,
  deadKeptMs: 3_600_000,
  membersMaxCount: MEMBERS_MAX_COUNT,
  forgottenMaxCount: FORGOTTEN_MAX_COUNT,
};
