/** Which of the rows of one origin are the newest ones that fit, where they come in the order in which they were taken in. */
import type { LogPosition } from '../../../lib/contracts/store.js';

export interface RowPlace {
  /** Counter of the life. */
  readonly epoch: number;
  readonly sequence: LogPosition;
}

/** Rows that are together kept or not: how exact the limit is. */
const CHUNK_BYTES = 65_536;

interface Chunk extends RowPlace {
  bytes: number;
}

/** Below 0: `a` came before `b`. */
export function comparePlaces(a: RowPlace, b: RowPlace): number {
  return a.epoch === b.epoch ? a.sequence - b.sequence : a.epoch - b.epoch;
}

export class RecentRows {
  readonly #maxBytes: number;
  readonly #chunkBytes: number;
  readonly #chunks: Chunk[] = [];
  #bytes = 0;

  constructor(maxBytes: number, chunkBytes = CHUNK_BYTES) {
    this.#maxBytes = maxBytes;
    this.#chunkBytes = chunkBytes;
  }

  /** @param bytes what it takes */
  add({ epoch, sequence }: RowPlace, bytes: number): void {
    const last = this.#chunks.at(-1);
    if (last === undefined || last.bytes >= this.#chunkBytes) this.#chunks.push({ epoch, sequence, bytes });
    else last.bytes += bytes;
    this.#bytes += bytes;
    while (this.#bytes > this.#maxBytes) this.#bytes -= this.#chunks.shift()?.bytes ?? this.#bytes;
  }

  /** The first of those that fit, with all behind it; undefined: none does. */
  get first(): RowPlace | undefined {
    return this.#chunks[0];
  }
}
