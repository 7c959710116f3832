/** What the log remembers for an archive. */
import type { ArchiveFloor, LogPosition, Store } from '../../lib/contracts/store.js';

/** The floor has the name of the archive itself. */
export type NoteKind = 'cut' | 'clock' | 'target' | 'given-up' | 'reached';

export type NoteStore = Pick<Store, 'note' | 'setNote' | 'recordNote'>;

export class ArchiveNotes {
  readonly #store: NoteStore;
  readonly #name: ArchiveFloor;

  constructor(store: NoteStore, name: ArchiveFloor) {
    this.#store = store;
    this.#name = name;
  }

  read<T>(kind: NoteKind): T | undefined {
    const bytes = this.#store.note(this.#nameOf(kind));
    return bytes === undefined ? undefined : (JSON.parse(Buffer.from(bytes).toString('utf8')) as T);
  }

  /** Durable with the next snapshot or floor, at the latest. */
  set(kind: NoteKind, value: unknown): void {
    this.#store.setNote(this.#nameOf(kind), Buffer.from(JSON.stringify(value), 'utf8'));
  }

  /** @returns the position with which it is durable */
  keep(kind: NoteKind, value: unknown): LogPosition {
    this.set(kind, value);
    return this.#store.recordNote(this.#nameOf(kind));
  }

  #nameOf(kind: NoteKind): string {
    return `${this.#name}-${kind}`;
  }
}
