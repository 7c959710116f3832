import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { MembershipOptions } from './options.js';

/** A change that waits to be told on the links. */
export interface Change {
  readonly id: GatewayId;
  /** Only of one more suspicion: who has it. */
  readonly accuser: GatewayId | undefined;
  withMetadata: boolean;
  /** Who has it, because it came from there. */
  readonly heardFrom: Set<GatewayId>;
  readonly dueAt: number;
}

/**
 * Changes are pushed on every link, once, and not to where they came from. What comes from others waits a little longer where there are
 * many links: then most of the copies that it would make have come meanwhile, and it is left to them.
 */
export class PushQueue {
  readonly #options: MembershipOptions;
  readonly #random: () => number;
  readonly #waiting = new Map<string, Change>();
  #nextDueAt = Infinity;

  constructor(options: MembershipOptions, random: () => number) {
    this.#options = options;
    this.#random = random;
  }

  get nextDeadlineMs(): number {
    return this.#nextDueAt;
  }

  /** @param from where it came from; undefined: it arose here */
  add(
    change: Pick<Change, 'id' | 'accuser' | 'withMetadata'>,
    from: GatewayId | undefined,
    links: number,
    now: number,
  ): void {
    const key = keyOf(change.id, change.accuser);
    const before = this.#waiting.get(key);
    const { batchMs, spreadMs, floodLinksMax } = this.#options;
    const waitMs =
      from === undefined || links <= floodLinksMax ? batchMs : batchMs + this.#random() * spreadMs;
    const dueAt = Math.min(before?.dueAt ?? Infinity, now + waitMs);
    this.#waiting.set(key, {
      ...change,
      withMetadata: change.withMetadata || before?.withMetadata === true,
      heardFrom: new Set(from === undefined ? [] : [from]),
      dueAt,
    });
    this.#nextDueAt = Math.min(this.#nextDueAt, dueAt);
  }

  /** The same came from one more. */
  heard(id: GatewayId, accuser: GatewayId | undefined, from: GatewayId): void {
    this.#waiting.get(keyOf(id, accuser))?.heardFrom.add(from);
  }

  /** @param everything also what may still wait */
  takeDue(now: number, everything = false): Change[] {
    if (!everything && now < this.#nextDueAt) return [];
    const due: Change[] = [];
    this.#nextDueAt = Infinity;
    for (const [key, change] of this.#waiting) {
      if (everything || change.dueAt <= now) {
        due.push(change);
        this.#waiting.delete(key);
      } else this.#nextDueAt = Math.min(this.#nextDueAt, change.dueAt);
    }
    return due;
  }

  /** Enough others tell it. */
  isTold(change: Change, links: number): boolean {
    return links > this.#options.floodLinksMax && change.heardFrom.size >= this.#options.copiesEnough;
  }
}

function keyOf(id: GatewayId, accuser: GatewayId | undefined): string {
  return accuser === undefined ? id : `${id}/${accuser}`;
}
