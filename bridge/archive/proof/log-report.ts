/** What a log says of an archive, as findings. */
import type { Epoch } from '../../../lib/contracts/epoch.js';
import type { LogPosition } from '../../../lib/contracts/store.js';
import { entryKey } from '../manifest.js';
import type { ManifestEntry, PositionRange } from '../manifest-entry.js';
import type { Finding } from '../reading/archive-check.js';
import { entriesPrefix } from '../reading/catalog.js';
import type { ComparedCounts } from './comparison.js';
import type { ProofKind, Run } from './finding-runs.js';
import { lifeOf, type LogFacts } from './log-mark.js';

const IS_WRONG: Readonly<Record<ProofKind, string>> = {
  missing: 'the log has it, and no row does',
  twice: 'there is more than one row of it',
  differs: 'its row and the log differ',
  unknown: 'there is a row, and there should be none',
};

export class LogReport {
  faultCount = 0;
  readonly wrong = { missing: 0, twice: 0, differs: 0, unknown: 0 };
  readonly #log: LogFacts;
  readonly #onFinding: (finding: Finding) => void;
  /** What the log has lost, as far as it is not told yet. */
  #lost: PositionRange | undefined;

  constructor(log: LogFacts, onFinding: (finding: Finding) => void) {
    this.#log = log;
    this.#onFinding = onFinding;
  }

  /** @param number of the entry @param label the life that the entry is of */
  run({ kind, first, last, count, topics, hasMoreTopics, what }: Run, number: number, label: Epoch): void {
    const { origin, lineage } = this.#log;
    this.wrong[kind] += count;
    const epoch = kind === 'missing' ? (lifeOf(lineage, first)?.counter ?? label.counter) : label.counter;
    const where = first === last ? `position ${first}` : `positions ${first} to ${last}`;
    const names = topics.map((topic) => JSON.stringify(topic)).join(', ');
    const which = `${topics.length === 1 && !hasMoreTopics ? 'topic' : 'topics'} ${names}${hasMoreTopics ? ' and more' : ''}`;
    const many = first === last ? '' : `, ${count} messages`;
    const why = what.length === 0 ? '' : ` (${what.join('; ')})`;
    this.#fault({
      ...{ kind, key: entryKey(origin, number), positions: [first, last], proof: { count, epoch, topics } },
      text: `${where} of life ${epoch}${many}, ${which}: ${IS_WRONG[kind]}${why}`,
    });
  }

  fault(kind: 'manifest' | 'object', key: string, text: string): void {
    this.#fault({ kind, key, text });
  }

  /** @param begin where the first entry that speaks of this log begins; undefined: none does */
  bounds(begin: LogPosition | undefined): void {
    const { first, committed } = this.#log;
    this.#tellLost();
    if (begin === undefined) {
      const what = committed < first ? 'the log is empty' : `the log has positions ${first} to ${committed}`;
      this.#note(`no entry is of the lives of this log: ${what}`);
    } else if (first > begin + 1)
      this.#note(`the log begins at position ${first}: what is before it was judged by the manifest alone`, [
        begin + 1,
        first - 1,
      ]);
    else if (begin >= first)
      this.#note(
        `the archive begins behind position ${begin}: what the log has before it was not to be archived`,
        [first, begin],
      );
  }

  sums(counts: ComparedCounts, backlog: { readonly messages: number; readonly bytes: number }): void {
    const { notJudged, ofOtherLives, lostAndThere, unclear } = counts;
    if (ofOtherLives > 0)
      this.#note(
        `${many(ofOtherLives, 'row')} of lives that this log knows nothing of: the data folder was put back, or is a copy`,
      );
    if (notJudged > 0)
      this.#note(`${many(notJudged, 'row')} of positions that this log does not have, or cannot read`);
    if (lostAndThere > 0)
      this.#note(
        `${many(lostAndThere, 'message')} in the log still that entries tell as lost: given up, and in no row`,
      );
    if (unclear > 0)
      this.#note(
        `${many(unclear, 'message')} in the log and in no row, and whether it should be is not known: no configuration was kept`,
      );
    if (backlog.messages > 0)
      this.#note(`${many(backlog.messages, 'message')} waiting to be archived: ${backlog.bytes} bytes`);
  }

  /** Versions up to 0.1.0 kept none. */
  withoutConfig({ origin, number, config }: ManifestEntry): void {
    const text = `configuration ${config} was not kept: of entries that name it rows are compared with the log, and none can be missed`;
    this.#tell({ kind: 'log', isFault: false, key: entryKey(origin, number), origin, text });
  }

  /** Positions up to `last` were archived before. */
  again(first: LogPosition, last: LogPosition, { counter }: Epoch): void {
    this.#note(
      `positions ${first} to ${last} were archived a second time, as of life ${counter}: another copy of the data folder had archived meanwhile`,
      [first, last],
    );
  }

  /** In the order of the log. */
  lost([first, last]: PositionRange): void {
    const from = Math.max(first, this.#log.first);
    if (last < from) return;
    if (this.#lost !== undefined && from <= this.#lost[1] + 1) {
      this.#lost = [this.#lost[0], Math.max(this.#lost[1], last)];
      return;
    }
    this.#tellLost();
    this.#lost = [from, last];
  }

  #tellLost(): void {
    if (this.#lost === undefined) return;
    const [first, last] = this.#lost;
    this.#lost = undefined;
    this.#note(
      `the log cannot read all of positions ${first} to ${last}, or does not have them any more: what it does not have was not judged`,
      [first, last],
    );
  }

  #note(text: string, positions?: PositionRange): void {
    const { origin } = this.#log;
    const range = positions === undefined ? {} : { positions };
    this.#tell({ kind: 'log', isFault: false, key: entriesPrefix(origin), origin, text, ...range });
  }

  #fault(finding: Omit<Finding, 'isFault' | 'origin'>): void {
    this.faultCount++;
    this.#tell({ ...finding, isFault: true, origin: this.#log.origin });
  }

  #tell(finding: Finding): void {
    this.#onFinding(finding);
  }
}

const many = (count: number, what: string): string =>
  count === 1 ? `one ${what} is` : `${count} ${what}s are`;
