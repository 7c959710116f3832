import { isSameEpoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import {
  compareClaims,
  fingerprint,
  isPresent,
  type Member,
  type MemberRecord,
  NOTHING_KNOWN,
} from './member.js';

export type Applied =
  /** It changed what is known. */
  | {
      readonly kind: 'news';
      readonly member: Member;
      readonly before: Member | undefined;
      readonly statusChanged: boolean;
      readonly metadataChanged: boolean;
    }
  /** Known just so: whoever says it needs not be told. */
  | { readonly kind: 'known' }
  /** Something newer is known. */
  | { readonly kind: 'old' }
  /** Two gateways have one id, or one was put back to what it was. */
  | { readonly kind: 'conflict'; readonly known: Member }
  /** There is no room, or it was forgotten for good. */
  | { readonly kind: 'refused' };

interface Slot {
  member: Member;
  fingerprint: number;
  /** When it got its status. */
  since: number;
}

/** What is known of all gateways, this one among them. Bounded; iterates in the order in which they became known. */
export class MemberTable {
  readonly #slots = new Map<GatewayId, Slot>();
  readonly #forgotten = new Set<GatewayId>();
  readonly #maxCount: number;
  readonly #forgottenMaxCount: number;
  #view = 0;
  /** Ids of those that are dead or gone. */
  readonly #absent = new Set<GatewayId>();
  /** Present ids, in their order. */
  readonly #ring: GatewayId[] = [];

  constructor(maxCount: number, forgottenMaxCount: number) {
    this.#maxCount = maxCount;
    this.#forgottenMaxCount = forgottenMaxCount;
  }

  get size(): number {
    return this.#slots.size;
  }

  /** Alive and suspect ones. */
  get presentCount(): number {
    return this.#ring.length;
  }

  /** The same at two gateways that see the same present members. */
  get view(): number {
    return this.#view >>> 0;
  }

  get(id: GatewayId): Member | undefined {
    return this.#slots.get(id)?.member;
  }

  *members(): IterableIterator<Member> {
    for (const { member } of this.#slots.values()) yield member;
  }

  /** Those that are dead or gone: in a mesh of thousands only a few. */
  *absent(): IterableIterator<Member> {
    for (const id of this.#absent) {
      const member = this.get(id);
      if (member !== undefined) yield member;
    }
  }

  /** Present ones in the order of their ids. */
  get ring(): readonly GatewayId[] {
    return this.#ring;
  }

  /** The news about another gateway. */
  apply(record: MemberRecord, now: number): Applied {
    const known = this.get(record.id);
    if (known === undefined) return this.#add(record, now);
    const later = record.epoch.counter - known.epoch.counter;
    if (later < 0) return { kind: 'old' };
    if (later === 0 && !isSameEpoch(record.epoch, known.epoch)) return { kind: 'conflict', known };
    const claim = later > 0 ? 1 : compareClaims(record, known);
    const told = record.metadata;
    const metadataChanged = told !== undefined && (later > 0 || told.version > known.metadata.version);
    if (claim > 0 || metadataChanged) {
      const { incarnation, status } = claim > 0 ? record : known;
      // Another life may have moved elsewhere: nothing of the earlier one holds.
      const metadata = metadataChanged ? told : later > 0 ? NOTHING_KNOWN : known.metadata;
      const member: Member = { id: record.id, epoch: record.epoch, incarnation, status, metadata };
      this.set(member, now);
      return { kind: 'news', member, before: known, statusChanged: claim > 0, metadataChanged };
    }
    const isOld = claim < 0 || (told !== undefined && told.version < known.metadata.version);
    return { kind: isOld ? 'old' : 'known' };
  }

  #add(record: MemberRecord, now: number): Applied {
    if (this.#forgotten.has(record.id)) return { kind: 'refused' };
    // Nobody needs to hear of the end of one that it never knew; and the hour after which it is forgotten would never end.
    if (!isPresent(record.status)) return { kind: 'known' };
    if (this.#slots.size >= this.#maxCount && !this.#dropOldestAbsent()) return { kind: 'refused' };
    const { id, epoch, incarnation, status } = record;
    const member: Member = { id, epoch, incarnation, status, metadata: record.metadata ?? NOTHING_KNOWN };
    this.set(member, now);
    return {
      kind: 'news',
      member,
      before: undefined,
      statusChanged: true,
      metadataChanged: record.metadata !== undefined,
    };
  }

  /** Whatever was known. */
  set(member: Member, now: number): void {
    const slot = this.#slots.get(member.id);
    const mark = isPresent(member.status) ? fingerprint(member) : 0;
    if (slot === undefined) {
      this.#slots.set(member.id, { member, fingerprint: mark, since: now });
      this.#count(member.id, undefined, member);
      this.#view ^= mark;
      return;
    }
    this.#count(member.id, slot.member, member);
    this.#view ^= slot.fingerprint ^ mark;
    if (slot.member.status !== member.status) slot.since = now;
    slot.member = member;
    slot.fingerprint = mark;
  }

  #count(id: GatewayId, before: Member | undefined, after: Member | undefined): void {
    const was = before !== undefined && isPresent(before.status);
    const is = after !== undefined && isPresent(after.status);
    if (after === undefined || is) this.#absent.delete(id);
    else this.#absent.add(id);
    if (was === is) return;
    const behind = firstAfter(this.#ring, id);
    if (is) this.#ring.splice(behind, 0, id);
    else this.#ring.splice(behind - 1, 1);
  }

  /** @returns what was known of it. It is not taken in again until `admit`. */
  forget(id: GatewayId): Member | undefined {
    this.#forgotten.delete(id);
    this.#forgotten.add(id);
    for (const oldest of this.#forgotten) {
      if (this.#forgotten.size <= this.#forgottenMaxCount) break;
      this.#forgotten.delete(oldest);
    }
    const member = this.get(id);
    this.#drop(id);
    return member;
  }

  isForgotten(id: GatewayId): boolean {
    return this.#forgotten.has(id);
  }

  admit(id: GatewayId): void {
    this.#forgotten.delete(id);
  }

  /** Those that are dead or gone for longer than `keptMs` are not known any more. */
  expire(now: number, keptMs: number): void {
    for (const id of this.#absent) if (now - this.#sinceOf(id) > keptMs) this.#drop(id);
  }

  #dropOldestAbsent(): boolean {
    let oldest: GatewayId | undefined;
    for (const id of this.#absent)
      if (oldest === undefined || this.#sinceOf(id) < this.#sinceOf(oldest)) oldest = id;
    if (oldest !== undefined) this.#drop(oldest);
    return oldest !== undefined;
  }

  #sinceOf(id: GatewayId): number {
    return this.#slots.get(id)?.since ?? 0;
  }

  #drop(id: GatewayId): void {
    const slot = this.#slots.get(id);
    if (slot === undefined) return;
    this.#slots.delete(id);
    this.#count(id, slot.member, undefined);
    this.#view ^= slot.fingerprint;
  }
}

/** Where the first id greater than `id` stands. */
export function firstAfter(ring: readonly GatewayId[], id: GatewayId): number {
  let low = 0;
  let high = ring.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ring[middle] ?? '') <= id) low = middle + 1;
    else high = middle;
  }
  return low;
}
