/**
 * Which messages of one origin are in the log here. Positions up to `covered` are done with; of those beyond it each that came ahead is
 * known. While a backfill goes on, each that came beyond its cursor is known too, since the two lanes meet there:
 *
 *     ─────────────┬───────────────────┬──────────────────▶ positions of the origin
 *        all here  cursor    `since`   covered   `ahead`
 */
import type { Epoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { LogPosition } from '../../lib/contracts/store.js';
import type {
  BackfillImage,
  BackfillRecord,
  StreamImage,
  StreamRecord,
} from '../../lib/contracts/streams.js';

export class StreamState {
  readonly origin: GatewayId;
  #epoch: Epoch | undefined;
  #covered: LogPosition = 0;
  readonly #ahead = new Set<LogPosition>();
  /** The same, in the order in which they came: nearly always ascending. */
  #aheadOrder: LogPosition[] = [];
  #isSorted = true;
  readonly #since = new Set<LogPosition>();
  #backfill: BackfillImage | undefined;

  constructor(origin: GatewayId) {
    this.origin = origin;
  }

  /** undefined: nothing is known of the origin. */
  get epoch(): Epoch | undefined {
    return this.#epoch;
  }

  get covered(): LogPosition {
    return this.#covered;
  }

  get backfill(): BackfillImage | undefined {
    return this.#backfill;
  }

  get aheadCount(): number {
    return this.#ahead.size;
  }

  get sinceCount(): number {
    return this.#since.size;
  }

  has(position: LogPosition): boolean {
    if (position > this.#covered) return this.#ahead.has(position);
    if (this.#backfill === undefined || position <= this.#backfill.cursor) return true;
    return this.#since.has(position);
  }

  /** Whether main brings something new with a message. */
  isNewInMain(position: LogPosition): boolean {
    return position > this.#covered && (this.#ahead.size === 0 || !this.#ahead.has(position));
  }

  /** A message of main came: its cover follows. */
  noteMain(position: LogPosition): void {
    if (this.#backfill !== undefined) this.#since.add(position);
  }

  /** A message came. */
  note(position: LogPosition): void {
    if (position <= this.#covered) {
      if (this.#backfill !== undefined && position > this.#backfill.cursor) this.#since.add(position);
      return;
    }
    if (this.#ahead.has(position)) return;
    this.#ahead.add(position);
    const last = this.#aheadOrder.at(-1);
    if (last !== undefined && last > position) this.#isSorted = false;
    this.#aheadOrder.push(position);
  }

  /** Everything up to here is done with. */
  cover(upTo: LogPosition, epoch: Epoch): void {
    this.#epoch = epoch;
    if (upTo <= this.#covered) return;
    this.#covered = upTo;
    this.#sort();
    let count = 0;
    for (let at = this.#aheadOrder[0]; at !== undefined && at <= upTo; at = this.#aheadOrder[++count]) {
      this.#ahead.delete(at);
      if (this.#backfill !== undefined) this.#since.add(at);
    }
    if (count > 0) this.#aheadOrder.splice(0, count);
  }

  setEpoch(epoch: Epoch): void {
    this.#epoch = epoch;
  }

  moveBackfill(id: number, cursor: LogPosition, done: boolean): void {
    this.#backfill = done ? undefined : { id, cursor };
    if (done) this.#since.clear();
  }

  /** Of what is beyond `upTo` nothing is here; a stream that is not known begins there. */
  reset(upTo: LogPosition, epoch: Epoch): void {
    this.#covered = this.#epoch === undefined ? upTo : Math.min(this.#covered, upTo);
    this.#epoch = epoch;
    for (const set of [this.#ahead, this.#since])
      for (const position of set) if (position > upTo) set.delete(position);
    this.#aheadOrder = this.#aheadOrder.filter((position) => position <= upTo);
    const { backfill } = this;
    if (backfill !== undefined && backfill.cursor > upTo) this.#backfill = { ...backfill, cursor: upTo };
  }

  /** Ascending; beyond `covered`, and what a backfill may bring again. */
  get have(): readonly LogPosition[] {
    this.#sort();
    const cursor = this.#backfill?.cursor ?? this.#covered;
    const since = [...this.#since].filter((position) => position > cursor).sort((a, b) => a - b);
    return since.concat(this.#aheadOrder);
  }

  /** undefined: there is nothing to remember. */
  get image(): StreamImage | undefined {
    if (this.#epoch === undefined) return undefined;
    const { origin, have } = this;
    return { origin, epoch: this.#epoch, covered: this.#covered, have, backfill: this.#backfill };
  }

  restore(image: StreamImage): void {
    this.#epoch = image.epoch;
    this.#covered = image.covered;
    this.#backfill = image.backfill;
    for (const position of image.have) this.note(position);
  }

  replay(record: StreamRecord | BackfillRecord): void {
    if (record.kind === 'covered') this.cover(record.upTo, record.epoch);
    else if (record.kind === 'reset') this.reset(record.upTo, record.epoch);
    else this.moveBackfill(record.id, record.upTo, record.done);
  }

  #sort(): void {
    if (this.#isSorted) return;
    this.#aheadOrder.sort((a, b) => a - b);
    this.#isSorted = true;
  }
}
