/**
 * What waits for the log. Positions only grow, so the queue is first in, first out; with a store that commits at once
 * nothing ever enters it.
 */
import type { LogPosition } from '../contracts/store.js';

export interface Waiter {
  /** The position that this waited for is durable. */
  committed(): void;
}

export class CommitQueue {
  readonly #store: { readonly committed: LogPosition };
  #positions: LogPosition[] = [];
  #waiters: Waiter[] = [];
  #head = 0;

  constructor(store: { readonly committed: LogPosition }) {
    this.#store = store;
  }

  get length(): number {
    return this.#waiters.length - this.#head;
  }

  /** Runs the waiter at once where its position is durable and nothing older waits, else when it is. */
  after(position: LogPosition, waiter: Waiter): void {
    if (position <= this.#store.committed && this.length === 0) {
      waiter.committed();
      return;
    }
    this.#positions.push(position);
    this.#waiters.push(waiter);
  }

  /** To be called after `committed` of the store rose. */
  drain(): void {
    const store = this.#store;
    // Looked at anew for each: a waiter may write what is durable at once.
    while (this.#head < this.#waiters.length && (this.#positions[this.#head] as number) <= store.committed) {
      const waiter = this.#waiters[this.#head] as Waiter;
      this.#head++;
      waiter.committed();
    }
    if (this.#head === this.#waiters.length) {
      this.#positions = [];
      this.#waiters = [];
      this.#head = 0;
    } else if (this.#head > 4096) {
      this.#positions = this.#positions.slice(this.#head);
      this.#waiters = this.#waiters.slice(this.#head);
      this.#head = 0;
    }
  }
}
