/**
 * Whether another life of this gateway is to begin while it runs: where others, or its archive, know a life of it that it does not know
 * itself. Then its data folder was put back to an old image, and it goes on in a life that is later than all of them.
 */
import { type Epoch, EPOCH_COUNTER_MAX } from '../../lib/contracts/epoch.js';
import { LIVES_MAX_COUNT } from './limits.js';
import type { OwnLineage } from './own-lineage.js';

export class Rebirth {
  readonly #lineage: Pick<OwnLineage, 'present'>;
  readonly #bear: (beyond: number) => void;
  #bornBeyond = 0;
  #isUnderWay = false;

  /** @param bear a life is to begin with a counter beyond this one: `begun` follows */
  constructor(lineage: Pick<OwnLineage, 'present'>, bear: (beyond: number) => void) {
    this.#lineage = lineage;
    this.#bear = bear;
  }

  /** A later life is being written down: until it begins no other gateway is met, as what it would be sent is of no life yet. */
  get isUnderWay(): boolean {
    return this.#isUnderWay;
  }

  /** A life has begun. */
  begun(): void {
    this.#isUnderWay = false;
  }

  /** Others know of this life. @returns whether a later one is to begin because of it */
  heardOf(known: Epoch): boolean {
    const { present } = this.#lineage;
    if (known.counter < present.counter || this.#bornBeyond >= known.counter) return false;
    // Nobody has lived so often meanwhile: whoever says so would take the counters away that are left.
    if (known.counter - present.counter > LIVES_MAX_COUNT || known.counter >= EPOCH_COUNTER_MAX) return false;
    this.#bornBeyond = known.counter;
    this.#isUnderWay = true;
    this.#bear(known.counter);
    return true;
  }
}
