/**
 * What is known of a gateway, and which of two pieces of news about it is the newer. The gateway itself is the only one that raises
 * its incarnation and the version of its metadata; the others only raise the status.
 *
 *                      refuted: higher incarnation
 *                 ┌───────────────────────────────────┐
 *                 ▼                                   │
 *     (unknown) alive ──no answer──▶ suspect ──time──▶ dead ──an hour──▶ (unknown)
 *                 │                     │               ▲
 *                 └──────leave()────────┴──▶ left ──────┼─an hour──▶ (unknown)
 *                                             a later epoch or incarnation: alive again
 */
import type { Epoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';

/** In the order of their rank: of two claims with one epoch and incarnation the later in this list holds. */
export const MEMBER_STATUSES = ['alive', 'suspect', 'dead', 'left'] as const;
export type MemberStatus = (typeof MEMBER_STATUSES)[number];

/** What a gateway says of itself. */
export interface Metadata {
  /** One more with each change, within one epoch. 0: nothing is known yet. */
  readonly version: number;
  readonly site: string;
  /** `host:port`, for TCP and UDX alike. */
  readonly addresses: readonly string[];
  /** The version of the program. */
  readonly software: string;
  /** 0 (idle) to 1, in steps of 1/255. */
  readonly load: number;
  /** Short reasons why it is not well; empty: it is. */
  readonly health: readonly string[];
}

export interface Member {
  readonly id: GatewayId;
  readonly epoch: Epoch;
  readonly incarnation: number;
  readonly status: MemberStatus;
  readonly metadata: Metadata;
}

/** Why one is suspected: `closed`, a link to it broke, as happens when a process ends; `silent`, it does not answer, as one that stands still. */
export type Evidence = 'silent' | 'closed';

/** One piece of news, as it travels. */
export interface MemberRecord {
  readonly id: GatewayId;
  readonly epoch: Epoch;
  readonly incarnation: number;
  readonly status: MemberStatus;
  /** Who suspects it; only of a suspect. */
  readonly accuser: GatewayId | undefined;
  readonly evidence: Evidence;
  /** undefined: only the status is told. */
  readonly metadata: Metadata | undefined;
}

/** One line of a digest. */
export interface DigestEntry {
  readonly id: GatewayId;
  readonly counter: number;
  readonly incarnation: number;
  readonly status: MemberStatus;
  readonly metadataVersion: number;
}

export const NOTHING_KNOWN: Metadata = {
  version: 0,
  site: '',
  addresses: [],
  software: '',
  load: 0,
  health: [],
};

export function statusRank(status: MemberStatus): number {
  return MEMBER_STATUSES.indexOf(status);
}

/** Still in the mesh as far as anybody knows. */
export function isPresent(status: MemberStatus): boolean {
  return status === 'alive' || status === 'suspect';
}

type Claim = Pick<Member, 'incarnation' | 'status'>;

/** Positive: `a` is the newer of two claims of one epoch. 0: they say the same. */
export function compareClaims(a: Claim, b: Claim): number {
  return a.incarnation - b.incarnation || statusRank(a.status) - statusRank(b.status);
}

export function digestOf(member: Member): DigestEntry {
  return {
    id: member.id,
    counter: member.epoch.counter,
    incarnation: member.incarnation,
    status: member.status,
    metadataVersion: member.metadata.version,
  };
}

/** As it is told to others: in steps that one byte can carry, so that all see the same. */
export function roundedLoad(load: number): number {
  return Math.round(Math.min(1, Math.max(0, load)) * 255) / 255;
}

/** 32 bits that differ for members that differ. Exclusive-or over all present members is the fingerprint of a view. */
export function fingerprint(member: Member): number {
  let hash = 0x811c9dc5;
  const mix = (value: number): void => {
    hash = Math.imul(hash ^ (value | 0), 0x01000193);
    hash ^= hash >>> 15;
  };
  for (let at = 0; at < 64; at += 8) mix(Number.parseInt(member.id.slice(at, at + 8), 16));
  for (const value of [member.epoch.counter, member.incarnation, member.metadata.version]) {
    mix(value);
    mix(value / 0x1_0000_0000);
  }
  mix(statusRank(member.status));
  return hash >>> 0;
}
