/** Reads the copies of another gateway's log out of the log here, as if it were that log. What nobody vouches for is never taken for empty. */
import type { KeptPart, KeptParts, LogPosition } from '../../../lib/contracts/store.js';
import type { Cut } from '../archiver.js';
import type { RowSource } from '../log-rows.js';
import type { PositionRange } from '../manifest-entry.js';
import { type LogRead, noRows, rowsBetween } from '../row-columns.js';
import { type CopyChunk, decodeChunk } from './copy-chunk.js';
import type { KeptState } from './kept-state.js';

export interface KeptRowsPorts {
  readonly log: KeptLog;
  /** Resolves when so many bytes may be read. */
  through(bytes: number): Promise<void>;
}

/** Part of Store. */
export interface KeptLog {
  readKept(from: LogPosition, maxBytes: number, done: (kept: KeptParts) => void): void;
}

/** Small: the thread that has the log serves clients between two reads. */
const READ_BYTES = 131_072;

export class KeptRows implements RowSource {
  readonly #ports: KeptRowsPorts;
  readonly #name: string;
  readonly #state: KeptState;
  /** What is beyond the copies, as far as it is known of, is told as lost. */
  readonly #tellsRest: boolean;
  /** The last chunk that was asked for. */
  #last: CopyChunk | undefined;
  /** What was read and not asked for yet, and where to go on behind it. */
  #parts: KeptPart[] = [];
  #next: LogPosition = 0;

  /** @param name of the copies */
  constructor(ports: KeptRowsPorts, name: string, state: KeptState, tellsRest: boolean) {
    this.#ports = ports;
    this.#name = name;
    this.#state = state;
    this.#tellsRest = tellsRest;
  }

  /** Up to where something can be said. */
  get end(): LogPosition {
    const { upTo, head } = this.#state;
    return this.#tellsRest ? head : upTo;
  }

  /** @throws Error where nobody vouches for what is behind `after` */
  async read({ upTo }: Pick<Cut, 'upTo' | 'atMs'>, after: LogPosition): Promise<LogRead> {
    const { after: done, upTo: keptUpTo } = this.#state;
    // The origin's own word: nothing there is to be archived.
    if (after < done) return { rows: noRows(), lost: [], next: Math.min(done, upTo) + 1 };
    if (after >= keptUpTo) return this.#rest(after, upTo);
    const { from, to, rows, lost } = await this.#chunkBehind(after);
    if (from > after) throw this.#unknown(after + 1, from);
    const last = Math.min(to, upTo);
    const within = lost
      .map(([first, end]): PositionRange => [Math.max(first, after + 1), Math.min(end, last)])
      .filter(([first, end]) => first <= end);
    return { rows: rowsBetween(rows, after, last), lost: within, next: last + 1 };
  }

  async hasRows(after: LogPosition, upTo: LogPosition): Promise<boolean> {
    for (let at = after; at < upTo;) {
      const { rows, lost, next } = await this.read({ upTo, atMs: 0 }, at);
      if (rows.count > 0 || lost.length > 0) return true;
      at = next - 1;
    }
    return false;
  }

  #rest(after: LogPosition, upTo: LogPosition): LogRead {
    const last = Math.min(upTo, this.end);
    if (last <= after) throw this.#unknown(after + 1, upTo);
    return { rows: noRows(), lost: [[after + 1, last]], next: last + 1 };
  }

  /** The first one that ends beyond a position. @throws Error where the log here has none */
  async #chunkBehind(after: LogPosition): Promise<CopyChunk> {
    const last = this.#last;
    if (last !== undefined && last.from <= after && last.to > after) return last;
    const mark = this.#state.marks.findLast(([from]) => from <= after)?.[1] ?? 0;
    // Nearly always it is the one behind the last.
    if (last === undefined || last.to > after || mark > this.#next) {
      this.#parts = [];
      this.#next = mark;
    }
    for (;;) {
      const [part] = this.#parts.splice(0, 1);
      if (part === undefined) {
        if (this.#next > this.#state.scanned) throw this.#unknown(after + 1, this.#state.upTo);
        const { parts, next } = await this.#read(this.#next);
        this.#parts = [...parts];
        this.#next = next;
        continue;
      }
      const chunk = part.name === this.#name ? decodeChunk(part.bytes) : undefined;
      if (chunk === undefined || chunk.to <= after) continue;
      this.#last = chunk;
      return chunk;
    }
  }

  async #read(from: LogPosition): Promise<KeptParts> {
    const { log, through } = this.#ports;
    await through(READ_BYTES);
    return new Promise((resolve) => log.readKept(from, READ_BYTES, resolve));
  }

  #unknown(from: LogPosition, to: LogPosition): Error {
    return new Error(`the copies of positions ${from} to ${to} are not in the log of this gateway any more`);
  }
}
