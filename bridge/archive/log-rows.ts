/** Reads what is to be archived out of the log. */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { OwnMessages, OwnReadOptions } from '../../lib/contracts/streams.js';
import { TextMemo } from '../../lib/message/text-memo.js';
import { topicMatchesFilter } from '../../lib/protocol/index.js';
import type { Cut } from './archiver.js';
import type { ClockSteps } from './clock-steps.js';
import type { PositionRange } from './manifest-entry.js';
import { type LogRead, packRows } from './row-columns.js';

/** Part of Store. */
export interface OwnLog {
  readOwn(
    from: LogPosition,
    maxBytes: number,
    done: (own: OwnMessages) => void,
    options?: OwnReadOptions,
  ): void;
}

/** Where the rows of an origin are read. */
export interface RowSource {
  /** Some of the rows of a cut, behind `after`. */
  read(cut: Pick<Cut, 'upTo' | 'atMs'>, after: LogPosition): Promise<LogRead>;
  /** Whether there is anything to be archived behind `after` and up to `upTo`. */
  hasRows(after: LogPosition, upTo: LogPosition): Promise<boolean>;
}

/** Small: the thread that has the log serves clients between two reads. */
const READ_BYTES = 131_072;
const TOPICS_REMEMBERED = 4096;

export class LogRows implements RowSource {
  readonly #log: OwnLog;
  readonly #steps: ClockSteps;
  readonly #through: (bytes: number) => Promise<void>;
  readonly #readBytes: number;
  readonly #isArchived: TextMemo<boolean>;

  /**
   * @param filters of the topics that are archived @param through resolves when so many bytes may be read
   * @param readBytes about how much is read at once
   */
  constructor(
    log: OwnLog,
    filters: readonly string[],
    steps: ClockSteps,
    through: (bytes: number) => Promise<void>,
    readBytes = READ_BYTES,
  ) {
    this.#log = log;
    this.#through = through;
    this.#isArchived = new TextMemo(TOPICS_REMEMBERED, (topic) =>
      filters.some((filter) => topicMatchesFilter(topic, filter)),
    );
    this.#steps = steps;
    this.#readBytes = readBytes;
  }

  async read({ upTo, atMs }: Pick<Cut, 'upTo' | 'atMs'>, after: LogPosition): Promise<LogRead> {
    return this.#take(await this.#read(after), upTo, atMs);
  }

  async hasRows(after: LogPosition, upTo: LogPosition): Promise<boolean> {
    for (let at = after; at < upTo;) {
      const { messages, next, lostFrom } = await this.#read(at);
      if (messages.some(({ position, topic }) => position <= upTo && this.#isArchived.of(topic))) return true;
      // What is lost may have been something.
      if (lostFrom > 0 && lostFrom <= upTo) return true;
      at = next - 1;
    }
    return false;
  }

  async #read(after: LogPosition): Promise<OwnMessages> {
    const bytes = this.#readBytes;
    await this.#through(bytes);
    return new Promise((resolve) => this.#log.readOwn(after + 1, bytes, resolve, { passed: true }));
  }

  #take({ messages, wallMs, next, lostFrom, lostTo }: OwnMessages, upTo: LogPosition, atMs: number): LogRead {
    const taken: number[] = [];
    for (const [i, { position, topic }] of messages.entries()) {
      if (position > upTo) break;
      if (this.#isArchived.of(topic)) taken.push(i);
    }
    const timeOf = (i: number): number =>
      this.#steps.timeOf(messages[i]?.position ?? 0, wallMs[i] ?? 0, atMs);
    const lost: PositionRange[] = [];
    if (lostFrom > 0 && lostFrom <= upTo) lost.push([lostFrom, Math.min(lostTo, upTo)]);
    return { rows: packRows(messages, taken, timeOf), lost, next: Math.min(next, upTo + 1) };
  }
}
