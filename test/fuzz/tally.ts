/** What has happened in a run: the counters that must not stay at 0, and the rest for the report. */
import type { Stage } from './attacker.js';
import { type Card, nameOf } from './deck.js';

function raise(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

export class Tally {
  connections = 0;
  packets = 0;
  storms = 0;
  readonly #cards = new Map<string, number>();
  readonly #stages = new Map<string, number>();
  readonly #reasons = new Map<string, number>();

  play(card: Card, stage: Stage): void {
    this.packets++;
    raise(this.#cards, nameOf(card));
    raise(this.#stages, stage);
  }

  reason(name: string): void {
    raise(this.#reasons, name);
  }

  /** What was never played, and stages that never came: of the whole deck, or of its packets and malformations one by one. */
  never(deck: readonly Card[], stages: readonly Stage[], whole: boolean): string[] {
    const names = whole ? nameOf : ({ type, malformation }: Card): string[] => [type, malformation];
    const played = new Set(deck.filter((card) => this.#cards.has(nameOf(card))).flatMap(names));
    return [
      ...new Set(deck.flatMap(names).filter((name) => !played.has(name))),
      ...stages.filter((stage) => !this.#stages.has(stage)),
      ...(this.storms === 0 ? ['twins'] : []),
    ];
  }

  get stages(): ReadonlyMap<string, number> {
    return this.#stages;
  }

  /** Reason codes that attackers were told, most frequent first. */
  get reasons(): readonly (readonly [string, number])[] {
    return [...this.#reasons].sort((a, b) => b[1] - a[1]);
  }
}
