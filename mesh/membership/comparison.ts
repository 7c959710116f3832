import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { compareClaims, type DigestEntry, digestOf, isPresent, type Member } from './member.js';
import type { MemberTable } from './member-table.js';
import type { MembershipOptions } from './options.js';
import type { Teller } from './teller.js';

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

/** After a change the others need a moment to see the same. */
const VIEW_SETTLES_MS = 300;

/** When two linked gateways compare what they know: when the link comes up, when a ping shows that they differ, and now and then. */
export class Comparisons {
  readonly #self: GatewayId;
  readonly #table: MemberTable;
  readonly #teller: Teller;
  readonly #options: MembershipOptions;
  readonly #random: () => number;
  #nextAt: number;
  #waitMs: number;
  #notBefore = 0;
  #changedAt = 0;
  /** Digests that were sent. */
  count = 0;

  constructor(
    self: GatewayId,
    table: MemberTable,
    teller: Teller,
    options: MembershipOptions,
    random: () => number,
    now: number,
  ) {
    this.#self = self;
    this.#table = table;
    this.#teller = teller;
    this.#options = options;
    this.#random = random;
    this.#waitMs = options.syncMinMs;
    this.#nextAt = now + options.syncPeriodMs * (0.5 + random());
  }

  get nextDeadlineMs(): number {
    return this.#nextAt;
  }

  /** One linked peer, by chance. */
  tick(now: number): void {
    if (now < this.#nextAt) return;
    this.#nextAt = now + this.#options.syncPeriodMs;
    const links = [...this.#teller.links];
    const peer = links[Math.floor(this.#random() * links.length)];
    if (peer !== undefined) this.with(peer);
  }

  /** Nothing was due in a time that did not pass here. */
  postpone(now: number): void {
    this.#nextAt = Math.max(this.#nextAt, now);
  }

  /** A small mesh is told whole; of a large one mostly nothing is news. */
  linkUp(peer: GatewayId, now: number): void {
    if (this.#table.size <= this.#options.fullStateMaxCount)
      this.#teller.records(peer, this.#table.members());
    else if (this.#self < peer) this.#teller.frame(peer, { kind: 'view', view: this.#table.view });
    this.#notBefore = Math.max(this.#notBefore, now + this.#options.syncMinMs);
  }

  /** @param isNews from another, so that comparing may bring more */
  changed(isNews: boolean, now: number): void {
    this.#changedAt = now;
    if (isNews) this.#waitMs = this.#options.syncMinMs;
  }

  with(peer: GatewayId): void {
    this.count++;
    this.#teller.frame(peer, { kind: 'digest', entries: [...this.#table.members()].map(digestOf) });
  }

  /** The peer sees other members. It may only be a moment behind; and comparing does not help where two claim one id. */
  ifOther(peer: GatewayId, view: number, now: number): void {
    if (view === this.#table.view || now < this.#notBefore || now - this.#changedAt < VIEW_SETTLES_MS) return;
    if (!this.#teller.links.has(peer)) return;
    this.#notBefore = now + this.#waitMs;
    this.#waitMs = Math.min(this.#options.syncPeriodMs, this.#waitMs * 2);
    this.with(peer);
  }

  /** The peer's digest came. */
  answer(peer: GatewayId, entries: readonly DigestEntry[]): void {
    const { tell, want } = compareViews(this.#table, entries);
    this.#teller.records(peer, tell);
    if (want.length > 0) this.#teller.frame(peer, { kind: 'want', ids: want });
  }
}
