/**
 * Rows of an entry or a merge, and the part of the log that they are of, side by side: both come in the order of their positions, and each position is
 * judged once. Pure, but for the two that it reads.
 */
import type { LogPosition } from '../../../lib/contracts/store.js';
import { TRUSTED_FROM_MS } from '../clock-steps.js';
import type { PositionRange } from '../manifest-entry.js';
import { SequenceSet } from '../reading/sequence-set.js';
import { FindingRuns, type Run } from './finding-runs.js';
import type { LogBlock, LogMark } from './log-mark.js';
import type { RowMark } from './unit-rows.js';

/** An entry, as far as the log may judge it. */
export interface Section {
  readonly number: number;
  readonly after: LogPosition;
  readonly upTo: LogPosition;
  /** Told by the entry as lost. */
  readonly lost: readonly PositionRange[];
  /** Whether a topic belongs into it; undefined: nobody knows. */
  readonly isArchived: ((topic: string) => boolean) | undefined;
}

export interface ComparedUnit {
  readonly origin: string;
  /** Counter of the life that rows have to be of. */
  readonly epoch: number;
  /** In order, each behind the one before, not empty. */
  readonly sections: readonly Section[];
  /** Behind it the archive and the log do not speak of the same messages: rows are not judged. */
  readonly sharedUpTo: LogPosition;
}

export interface ComparisonPorts {
  onRun(run: Run, section: Section): void;
  /** The log does not have these any more, or cannot read some of them. */
  onLost(positions: PositionRange): void;
  /** A part of the log was looked at. */
  onBlock(): void;
}

export class ComparedCounts {
  /** Messages of the log that are in the archive as they are in the log. */
  same = 0;
  /** Rows of positions that this log does not have, or cannot read. */
  notJudged = 0;
  /** Rows of lives of which this log has nothing. */
  ofOtherLives = 0;
  /** Messages that the log has, though an entry tells their positions as lost. */
  lostAndThere = 0;
  /** Messages that are in no row, and nobody knows whether they belong into one. */
  unclear = 0;
}

type Rows = AsyncIterable<readonly RowMark[]>;

/** @throws what `rows` and `log` do: what was found before was told */
export async function compare(
  unit: ComparedUnit,
  rows: Rows,
  log: AsyncIterable<LogBlock>,
  ports: ComparisonPorts,
  counts: ComparedCounts,
): Promise<void> {
  const comparison = new Comparison(unit, rows, ports, counts);
  try {
    for await (const block of log) await comparison.block(block);
    await comparison.rest();
  } finally {
    await comparison.end();
  }
}

class Comparison {
  readonly #unit: ComparedUnit;
  readonly #rows: AsyncIterator<readonly RowMark[]>;
  readonly #ports: ComparisonPorts;
  readonly #counts: ComparedCounts;
  readonly #runs: FindingRuns;
  readonly #seen = new SequenceSet();
  #batch: readonly RowMark[] = [];
  #at = 0;
  #section: Section;
  #sectionIndex = 0;
  /** Of positions up to here it is known what the log has. */
  #lookedUpTo: LogPosition = 0;

  constructor(unit: ComparedUnit, rows: Rows, ports: ComparisonPorts, counts: ComparedCounts) {
    this.#unit = unit;
    this.#rows = rows[Symbol.asyncIterator]();
    this.#ports = ports;
    this.#counts = counts;
    this.#section = unit.sections[0] as Section;
    this.#runs = new FindingRuns((run) => ports.onRun(run, this.#section));
  }

  async block({ marks, lost, next }: LogBlock): Promise<void> {
    if (lost !== undefined) this.#ports.onLost(lost);
    const isLost = (position: LogPosition): boolean =>
      lost !== undefined && position >= lost[0] && position <= lost[1];
    for (const mark of marks) {
      const { sequence } = mark;
      await this.#rowsBefore(sequence, isLost);
      this.#lookedUpTo = sequence;
      this.#enter(sequence);
      const row = await this.#peek();
      if (row?.sequence === sequence) {
        this.#at++;
        this.#seen.add(sequence);
        this.#runs.look(sequence);
        this.#compareWith(mark, row);
      } else this.#withoutRow(mark);
    }
    await this.#rowsBefore(next, isLost);
    this.#ports.onBlock();
  }

  /** The log has no more: what is left of the rows is of positions that it does not have. */
  async rest(): Promise<void> {
    await this.#rowsBefore(Infinity, () => true);
  }

  async end(): Promise<void> {
    this.#runs.end();
    await this.#rows.return?.();
  }

  /** Rows of positions at which the log has no message. */
  async #rowsBefore(position: LogPosition, isLost: (position: LogPosition) => boolean): Promise<void> {
    for (let row = await this.#peek(); row !== undefined; row = await this.#peek()) {
      const { sequence, topic } = row;
      const isAgain = this.#seen.has(sequence);
      if (!isAgain && sequence >= position) return;
      this.#at++;
      this.#enter(sequence);
      // Out of order: what is between it and the one before was looked at already.
      const isLate = sequence < this.#lookedUpTo;
      if (isLate) this.#runs.end();
      this.#runs.look(sequence);
      if (isAgain) this.#runs.tell('twice', topic);
      else if (isLate) this.#runs.tell('unknown', topic, 'it stands behind later ones');
      else this.#withoutMessage(row, isLost(sequence));
      if (isLate) this.#runs.end();
      this.#seen.add(sequence);
      this.#lookedUpTo = Math.max(this.#lookedUpTo, sequence);
    }
  }

  #withoutMessage({ sequence, topic }: RowMark, isLost: boolean): void {
    const { sections, sharedUpTo } = this.#unit;
    const begin = (sections[0] as Section).after;
    const end = (sections.at(-1) as Section).upTo;
    if (sequence <= begin || sequence > end)
      this.#runs.tell('unknown', topic, 'its entry does not speak of that position');
    else if (isLost || sequence > sharedUpTo) this.#counts.notJudged++;
    else this.#runs.tell('unknown', topic, 'the log has no message of a client there');
  }

  #withoutRow({ sequence, topic }: LogMark): void {
    const { isArchived, lost } = this.#section;
    if (isArchived?.(topic) === false) return;
    if (lost.some(([first, last]) => sequence >= first && sequence <= last)) this.#counts.lostAndThere++;
    else if (isArchived === undefined) this.#counts.unclear++;
    else {
      this.#runs.look(sequence);
      this.#runs.tell('missing', topic);
    }
  }

  #compareWith(mark: LogMark, row: RowMark): void {
    const { topic } = mark;
    if (this.#section.isArchived?.(topic) === false) {
      this.#runs.tell('unknown', topic, 'its topic was none of those that were archived then');
      return;
    }
    const wrong = differences(mark, row, this.#unit);
    if (wrong.length === 0) this.#counts.same++;
    else this.#runs.tell('differs', topic, wrong.join(', '));
  }

  /** Goes on to the section that has a position; never back. */
  #enter(position: LogPosition): void {
    const { sections } = this.#unit;
    while (position > this.#section.upTo && this.#sectionIndex + 1 < sections.length) {
      this.#runs.end();
      this.#section = sections[++this.#sectionIndex] as Section;
    }
  }

  async #peek(): Promise<RowMark | undefined> {
    while (this.#at >= this.#batch.length) {
      const { done, value } = await this.#rows.next();
      if (done === true) return undefined;
      this.#batch = value;
      this.#at = 0;
    }
    return this.#batch[this.#at];
  }
}

function differences(mark: LogMark, row: RowMark, { origin, epoch }: ComparedUnit): string[] {
  const wrong: string[] = [];
  if (row.origin !== origin) wrong.push('gateway');
  if (row.epoch !== epoch) wrong.push('life');
  // What was dated before the clock was set is moved in the archive, by what the gateway knew then.
  if (mark.timeMs >= TRUSTED_FROM_MS && row.timeMs !== mark.timeMs) wrong.push('time');
  if (row.topic !== mark.topic) wrong.push('topic');
  if (row.qos !== mark.qos) wrong.push('QoS');
  if (row.retain !== mark.retain) wrong.push('retain flag');
  const digest = row.isLine ? (mark.lineDigest ?? mark.digest) : mark.digest;
  if (row.digest !== digest) wrong.push('payload or properties');
  return wrong;
}
