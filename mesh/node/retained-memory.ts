/** What the store keeps of what RetainedNode has to remember over a restart. */
import type { Store } from '../../lib/contracts/store.js';
import { RETAINED_COUNTER_MAX } from '../../lib/contracts/streams.js';
import type { Bookkeeping } from './bookkeeping.js';
import { NOTE_EVERY_MS } from './limits.js';
import type { RetainedImage } from './retained-node.js';

const NOTE = 'retained';
const NO_BYTES = new Uint8Array(0);

export class RetainedMemory {
  readonly #store: Store;
  readonly #bookkeeping: Bookkeeping;
  /** The note is not in the log as it is. */
  #isNew = false;
  #recordedAt = -Infinity;

  constructor(store: Store, bookkeeping: Bookkeeping) {
    this.#store = store;
    this.#bookkeeping = bookkeeping;
  }

  get image(): RetainedImage | undefined {
    const note = this.#store.note(NOTE);
    if (note === undefined) return undefined;
    const image = JSON.parse(Buffer.from(note).toString('utf8')) as RetainedImage;
    // Earlier versions took whatever a member said.
    return { ...image, floor: Math.min(image.floor, RETAINED_COUNTER_MAX) };
  }

  remember(image: RetainedImage): void {
    const bytes = Buffer.from(JSON.stringify(image), 'utf8');
    // An idle gateway compares once a minute, and writes nothing.
    if (bytes.equals(this.#store.note(NOTE) ?? NO_BYTES)) return;
    this.#store.setNote(NOTE, bytes);
    this.#isNew = true;
  }

  /** Now and then. Others rely on it: a gateway where nothing else is written makes no checkpoint for days. */
  record(now: number): void {
    if (!this.#isNew || now - this.#recordedAt < NOTE_EVERY_MS) return;
    this.#isNew = false;
    this.#recordedAt = now;
    this.#bookkeeping.recorded(this.#store.recordNote(NOTE));
  }
}
