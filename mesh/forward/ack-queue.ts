/** What a receiver owes to a sender: an acknowledgement of each frame, once all that it brought is committed. */
import type { LogPosition } from '../../lib/contracts/store.js';
import type { BackfillImage } from '../../lib/contracts/streams.js';

export interface OwedAck {
  /** In the log here: when it is committed, the acknowledgement may leave. */
  readonly position: LogPosition;
  /** The link that the frame came on: only there its bytes are given back. */
  readonly link: number;
  readonly bytes: number;
  readonly express: number;
  covered: LogPosition;
  readonly backfill: BackfillImage | undefined;
  readonly backfillDone: boolean;
}

export class AckQueue {
  #owed: OwedAck[] = [];
  #first = 0;

  push(owed: OwedAck): void {
    this.#owed.push(owed);
  }

  /** The oldest, where it is committed; it is taken out. */
  take(committed: LogPosition): OwedAck | undefined {
    const owed = this.#owed[this.#first];
    if (owed === undefined || owed.position > committed) return undefined;
    this.#first++;
    if (this.#first > 1024 && this.#first * 2 > this.#owed.length) {
      this.#owed.splice(0, this.#first);
      this.#first = 0;
    }
    return owed;
  }

  /** What was covered beyond `upTo` is not any more. */
  cap(upTo: LogPosition): void {
    for (let i = this.#first; i < this.#owed.length; i++) {
      const owed = this.#owed[i];
      if (owed !== undefined) owed.covered = Math.min(owed.covered, upTo);
    }
  }
}
