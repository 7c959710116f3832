/** What is wrong with the rows of an entry, or of a merge. Across them no position comes twice: each has positions of its own. */
import type { ManifestEntry } from '../manifest-entry.js';
import type { RowPlaces } from './parquet-reader.js';
import { SequenceSet } from './sequence-set.js';

/** So many faults of the rows of one object are told; of more, that there are more. */
const ROW_FAULTS_MAX_COUNT = 10;

/** What is in some objects, as a manifest says. */
export interface Stretch extends Pick<ManifestEntry, 'origin' | 'epoch' | 'after' | 'upTo' | 'objects'> {
  /** What says so: `entry`, `merge`. */
  readonly what: string;
}

export class StretchRows {
  #faults: string[] = [];
  #moreCount = 0;
  readonly #stretch: Stretch;
  readonly #seen = new SequenceSet();

  constructor(stretch: Stretch) {
    this.#stretch = stretch;
  }

  add({ count, sequences, epochs, origin }: RowPlaces): void {
    for (let i = 0; i < count; i++) {
      const fault = this.#faultOf(sequences[i] ?? NaN, epochs[i] ?? NaN, origin(i));
      if (fault !== undefined) this.tell(fault);
    }
  }

  tell(fault: string): void {
    if (this.#faults.length < ROW_FAULTS_MAX_COUNT) this.#faults.push(fault);
    else this.#moreCount++;
  }

  /** What was found since the last time. */
  take(): readonly string[] {
    const told = this.#faults;
    if (this.#moreCount > 0) told.push(`and ${this.#moreCount} more such faults`);
    this.#faults = [];
    this.#moreCount = 0;
    return told;
  }

  #faultOf(sequence: number, epoch: number, rowOrigin: string): string | undefined {
    const { origin, epoch: life, after, upTo, what } = this.#stretch;
    if (rowOrigin !== origin) return `has a row of another gateway: ${rowOrigin}`;
    if (epoch !== life.counter)
      return `has a row of life ${epoch}, and its ${what} is of life ${life.counter}`;
    if (!(sequence > after && sequence <= upTo))
      return `has a row of position ${sequence}, and its ${what} is of (${after}, ${upTo}]`;
    if (!this.#seen.add(sequence)) return `has position ${sequence}, which comes twice in its ${what}`;
    return undefined;
  }
}
