/** A row that was read, and which rows are wanted. */
import { topicMatchesFilter } from '../../../lib/protocol/topic.js';
import type { ArchiveRow } from '../row.js';
import type { Selection } from './object-place.js';

/** What rows that were written together have in common; one object for all of them. */
export interface RowFacts {
  readonly site: string;
  /** Id of the gateway that took it in. */
  readonly origin: string;
  readonly epoch: { readonly counter: number };
}

export interface StoredRow extends ArchiveRow {
  readonly facts: RowFacts;
  /** Whether the payload is JSON. */
  readonly isJson: boolean;
}

/** What is read at once. */
export type RowBatch = readonly StoredRow[];

export interface RowFilter {
  /** Milliseconds since 1970, included. */
  readonly fromMs: number;
  /** Not included. */
  readonly toMs: number;
  /** undefined: every topic. */
  readonly isWanted: ((topic: string) => boolean) | undefined;
}

export const EVERY_ROW: RowFilter = { fromMs: -Infinity, toMs: Infinity, isWanted: undefined };

/** Topics whose answer is remembered. */
const KNOWN_MAX_COUNT = 10_000;

export function rowFilterOf({ fromMs, toMs, filters }: Selection): RowFilter {
  if (filters.length === 0) return { fromMs, toMs, isWanted: undefined };
  const known = new Map<string, boolean>();
  const isWanted = (topic: string): boolean => {
    let answer = known.get(topic);
    if (answer === undefined) {
      answer = filters.some((filter) => topicMatchesFilter(topic, filter));
      if (known.size >= KNOWN_MAX_COUNT) known.clear();
      known.set(topic, answer);
    }
    return answer;
  };
  return { fromMs, toMs, isWanted };
}

/** Facts of one after the other row, as one object as long as they are the same. */
export class FactsOf {
  #facts: RowFacts = { site: '', origin: '', epoch: { counter: 0 } };

  get(site: string, origin: string, counter: number): RowFacts {
    const { site: lastSite, origin: lastOrigin, epoch } = this.#facts;
    if (site !== lastSite || origin !== lastOrigin || counter !== epoch.counter)
      this.#facts = { site, origin, epoch: { counter } };
    return this.#facts;
  }
}
