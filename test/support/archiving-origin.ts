/** A gateway that archives, as those see it that keep copies for it. */
import type { ArchiveConfig } from '../../bridge/archive/archive-config.js';
import type { PositionRange } from '../../bridge/archive/manifest-entry.js';
import { type LogRead, packRows } from '../../bridge/archive/row-columns.js';
import type { ArchiveOffer } from '../../bridge/archive/standby/offer.js';
import type { OfferedArchive } from '../../bridge/archive/standby/standby.js';
import type { EpochStart } from '../../lib/contracts/epoch.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import { createMessage } from '../../lib/message/message.js';

const CONFIG: ArchiveConfig = {
  ...{ topics: ['#'], format: 'ndjson', compression: 'none', partitions: { by: 'day', topicLevels: 0 } },
  ...{ columns: [], site: 'harbour' },
};
const READ_POSITIONS = 7;

/** What a gateway has at a position: the message, or undefined where nothing is to be archived. */
export type Truth = string | undefined;

/** Its log, and what it says of its archive. */
export class ArchivingOrigin implements OfferedArchive {
  lives: EpochStart[] = [{ counter: 1, nonce: nonceOf(1), after: 0 }];
  log: Truth[] = [];
  done = 0;
  /** Positions that are not there any more, both included. */
  lost: PositionRange | undefined;
  tip = { number: 0, hash: '' };
  config = CONFIG;
  #counter = 1;
  #messages = 0;
  /** Of every life that ever was, by its nonce and position. */
  readonly truth = new Map<string, Truth>();

  get committed(): LogPosition {
    return this.log.length;
  }

  append(isMessage: boolean): void {
    const one = isMessage ? `message ${++this.#messages}` : undefined;
    this.log.push(one);
    this.truth.set(`${this.lives.at(-1)?.nonce}:${this.log.length}`, one);
  }

  start(): void {
    const counter = ++this.#counter;
    this.lives.push({ counter, nonce: nonceOf(counter), after: this.committed });
  }

  putBack(to: LogPosition): void {
    this.log.length = to;
    const [oldest] = this.lives;
    this.lives = this.lives.filter(({ after }) => after < to);
    if (this.lives.length === 0 && oldest !== undefined) this.lives = [oldest];
    this.done = Math.min(this.done, to);
    this.start();
  }

  get offer(): ArchiveOffer {
    const { lives: lineage, done, tip, config } = this;
    return { lineage, begin: 1, done, tip, target: 'file:///a', config };
  }

  read(after: LogPosition): Promise<LogRead> {
    const upTo = Math.min(this.committed, after + READ_POSITIONS);
    const messages = this.log.slice(after, upTo).flatMap((text, i) => {
      const [first, last] = this.lost ?? [0, 0];
      if (text === undefined || (after + i + 1 >= first && after + i + 1 <= last)) return [];
      const message = createMessage({
        ...{
          topic: 'a',
          topicBytes: Buffer.from('\0\u0001a'),
          payload: Buffer.from(text),
          qos: 1,
          retain: false,
        },
      });
      message.position = after + i + 1;
      return [message];
    });
    const rows = packRows(
      messages,
      messages.map((_, i) => i),
      () => 0,
    );
    return Promise.resolve({ rows, lost: this.lost === undefined ? [] : [this.lost], next: upTo + 1 });
  }
}

const nonceOf = (counter: number): string => counter.toString(16).padStart(16, '0');
