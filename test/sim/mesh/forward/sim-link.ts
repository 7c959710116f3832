/** A link of the simulation: whole and in order until it is lost, with everything that is on its way. */
import type { Random } from '../../random.js';
import type { Agenda } from './agenda.js';

export type Side = 'origin' | 'receiver';

export class SimLink {
  isOpen = true;
  /** Nobody has noticed, and nothing arrives any more. */
  isMute = false;
  readonly #lastAt = { origin: 0, receiver: 0 };

  constructor(
    private readonly agenda: Agenda,
    private readonly random: Random,
    private readonly delayMaxMs: number,
  ) {}

  send(to: Side, arrive: () => void): void {
    const at = Math.max(this.#lastAt[to], this.agenda.now + this.random.delay(this.delayMaxMs));
    this.#lastAt[to] = at;
    if (this.isMute) return;
    this.agenda.after(at - this.agenda.now, () => {
      if (this.isOpen && !this.isMute) arrive();
    });
  }
}
