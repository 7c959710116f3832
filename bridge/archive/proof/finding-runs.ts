/** Findings of positions that follow each other as one: of thousands of missing messages nobody reads a line each. */
import type { LogPosition } from '../../../lib/contracts/store.js';

/**
 * `missing`: a message of the log that belongs into the archive is in no row. `twice`: it is in more than one. `differs`: its row says something else.
 * `unknown`: a row at a position at which the log has no such message.
 */
export const PROOF_KINDS = ['missing', 'twice', 'differs', 'unknown'] as const;
export type ProofKind = (typeof PROOF_KINDS)[number];

export interface Run {
  readonly kind: ProofKind;
  readonly first: LogPosition;
  readonly last: LogPosition;
  /** Positions in it that are concerned. */
  readonly count: number;
  /** Some of them, in the order in which they came. */
  readonly topics: readonly string[];
  readonly hasMoreTopics: boolean;
  /** What is wrong, each once. */
  readonly what: readonly string[];
}

const TOPICS_MAX_COUNT = 3;

interface OpenRun {
  first: LogPosition;
  last: LogPosition;
  count: number;
  topics: Set<string>;
  hasMoreTopics: boolean;
  what: Set<string>;
}

/** Positions are told in order; a run ends at one that was looked at and is all right in this respect. */
export class FindingRuns {
  readonly #onRun: (run: Run) => void;
  readonly #open = new Map<ProofKind, OpenRun>();
  readonly #here = new Set<ProofKind>();
  #position: LogPosition = 0;

  constructor(onRun: (run: Run) => void) {
    this.#onRun = onRun;
  }

  /** A position was looked at. */
  look(position: LogPosition): void {
    if (position === this.#position) return;
    if (this.#open.size > 0) this.#flush();
    this.#here.clear();
    this.#position = position;
  }

  /** Of the position that is looked at. @param what is wrong with it; empty: what the kind says */
  tell(kind: ProofKind, topic: string, what = ''): void {
    this.#here.add(kind);
    let run = this.#open.get(kind);
    if (run === undefined) {
      const position = this.#position;
      run = {
        ...{ first: position, last: position - 1, count: 0 },
        ...{ topics: new Set(), hasMoreTopics: false, what: new Set() },
      };
      this.#open.set(kind, run);
    }
    if (run.last !== this.#position || run.count === 0) run.count++;
    run.last = this.#position;
    if (what !== '') run.what.add(what);
    if (run.topics.size < TOPICS_MAX_COUNT) run.topics.add(topic);
    else if (!run.topics.has(topic)) run.hasMoreTopics = true;
  }

  /** What comes is about something else. */
  end(): void {
    this.#here.clear();
    this.#flush();
    this.#position = 0;
  }

  #flush(): void {
    for (const [kind, { topics, what, ...run }] of this.#open) {
      if (this.#here.has(kind)) continue;
      this.#open.delete(kind);
      this.#onRun({ kind, ...run, topics: [...topics], what: [...what] });
    }
  }
}
