import type { FaultEvent } from '../event.js';

export interface Fault {
  readonly what: string;
  readonly nodes: readonly string[];
  readonly atMs: number;
  /** Infinity while it is not. */
  healedAtMs: number;
  okOverlaps: number;
  longestGapMs: number;
  gapTopic: string | undefined;
}

/** What was done to the broker and its network, and when. */
export class FaultTimeline {
  readonly all: Fault[] = [];
  #active: Fault[] = [];
  /** In the order of their ends. */
  readonly #healed: Fault[] = [];

  begin({ what, nodes }: FaultEvent, atMs: number): Fault {
    const fault: Fault = {
      ...{ what, nodes, atMs, healedAtMs: Infinity },
      ...{ okOverlaps: 0, longestGapMs: 0, gapTopic: undefined },
    };
    this.all.push(fault);
    this.#active.push(fault);
    return fault;
  }

  /** Without nodes it ends all of its kind. */
  heal({ what, nodes }: FaultEvent, atMs: number): void {
    const names = nodes.join();
    const ends = (fault: Fault): boolean =>
      fault.what === what && (names === '' || fault.nodes.join() === names);
    for (const fault of this.#active.filter(ends)) {
      fault.healedAtMs = atMs;
      this.#healed.push(fault);
    }
    this.#active = this.#active.filter((fault) => !ends(fault));
  }

  /** The last moment until now at which a fault was active; -Infinity without one. */
  lastActiveMs(nowMs: number): number {
    return this.#active.length > 0 ? nowMs : (this.#healed.at(-1)?.healedAtMs ?? -Infinity);
  }

  /** Costs as much as there are faults that end after `fromMs`. */
  overlapping(fromMs: number, untilMs: number): readonly Fault[] {
    const found = this.#active.filter(({ atMs }) => atMs <= untilMs);
    for (let index = this.#healed.length - 1; index >= 0; index--) {
      const fault = this.#healed[index];
      if (fault === undefined || fault.healedAtMs < fromMs) break;
      if (fault.atMs <= untilMs) found.push(fault);
    }
    return found;
  }

  overlaps(fromMs: number, untilMs: number): boolean {
    return this.all.length > 0 && this.overlapping(fromMs, untilMs).length > 0;
  }

  /** For a text: ` during kill of n1`, or nothing. */
  describe(fromMs: number, untilMs: number): string {
    const names = this.overlapping(fromMs, untilMs).map(({ what, nodes }) =>
      nodes.length === 0 ? what : `${what} of ${nodes.join(', ')}`,
    );
    return names.length === 0 ? '' : ` during ${[...new Set(names)].join(' and ')}`;
  }
}
