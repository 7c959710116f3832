import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Evidence, Member } from './member.js';
import type { MembershipOptions } from './options.js';
import { confirmationsExpected, suspicionTimeoutMs } from './timing.js';

interface Suspicion {
  readonly member: Member;
  /** Not more than count. */
  readonly accusers: Set<GatewayId>;
  readonly expected: number;
  evidence: Evidence;
  startedAt: number;
  /** When the link was known to be closed. */
  closedAt: number;
  /** Never earlier than when it was set: who is told late of a shorter time did not sleep through it. */
  dueAt: number;
}

/** Whom this gateway holds suspect, since when, and who else does. */
export class Suspicions {
  readonly #options: MembershipOptions;
  readonly #all = new Map<GatewayId, Suspicion>();

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  get nextDeadlineMs(): number {
    let next = Infinity;
    for (const suspicion of this.#all.values()) next = Math.min(next, suspicion.dueAt);
    return next;
  }

  /** @param member as it is held now, suspect */
  start(member: Member, accuser: GatewayId, evidence: Evidence, present: number, now: number): void {
    const suspicion: Suspicion = {
      member,
      accusers: new Set([accuser]),
      expected: confirmationsExpected(present, this.#options.confirmationsMax),
      evidence,
      startedAt: now,
      closedAt: evidence === 'closed' ? now : Infinity,
      dueAt: 0,
    };
    suspicion.dueAt = this.#deadline(suspicion);
    this.#all.set(member.id, suspicion);
  }

  /** Another one says the same. @returns whether that is news. */
  confirm(id: GatewayId, accuser: GatewayId, evidence: Evidence, now: number): boolean {
    const suspicion = this.#all.get(id);
    if (suspicion === undefined) return false;
    const isWorse = evidence === 'closed' && suspicion.evidence === 'silent';
    if (isWorse) {
      suspicion.evidence = 'closed';
      suspicion.closedAt = now;
    }
    const isNew = !suspicion.accusers.has(accuser) && suspicion.accusers.size <= suspicion.expected;
    if (isNew) suspicion.accusers.add(accuser);
    if (isNew || isWorse) suspicion.dueAt = Math.max(now, this.#deadline(suspicion));
    return isNew || isWorse;
  }

  end(id: GatewayId): void {
    this.#all.delete(id);
  }

  evidenceOf(id: GatewayId): Evidence {
    return this.#all.get(id)?.evidence ?? 'silent';
  }

  /** The first to suspect it, as far as is known here. */
  accuserOf(id: GatewayId): GatewayId | undefined {
    return this.#all.get(id)?.accusers.values().next().value;
  }

  /** Nobody could be heard for so long: nobody had that time to answer. */
  postpone(ms: number): void {
    for (const suspicion of this.#all.values()) {
      suspicion.startedAt += ms;
      suspicion.closedAt += ms;
      suspicion.dueAt += ms;
    }
  }

  /** Takes out those that had their time. */
  takeExpired(now: number): Member[] {
    const expired: Member[] = [];
    for (const suspicion of this.#all.values()) if (suspicion.dueAt <= now) expired.push(suspicion.member);
    for (const member of expired) this.#all.delete(member.id);
    return expired;
  }

  #deadline({ accusers, expected, startedAt, closedAt }: Suspicion): number {
    const options = this.#options;
    const confirmations = accusers.size - 1;
    const silent = suspicionTimeoutMs(
      options.silentSuspicionMinMs,
      options.silentSuspicionMaxMs,
      confirmations,
      expected,
    );
    if (closedAt === Infinity) return startedAt + silent;
    const closed = suspicionTimeoutMs(
      options.closedSuspicionMinMs,
      options.closedSuspicionMaxMs,
      confirmations,
      expected,
    );
    return Math.min(startedAt + silent, closedAt + closed);
  }
}
