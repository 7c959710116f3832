/**
 * What goes out to one peer: frames that are made when they are due, in order, as long as the link has room and not too much is on
 * its way. The other side says how much has arrived.
 */
import { MalformedFrame } from '../wire/bytes.js';
import { WINDOW_BYTES } from './limits.js';

export class BulkSender {
  readonly #send: (frame: Uint8Array) => boolean;
  #queue: Iterator<Uint8Array>[] = [];
  #unacknowledgedBytes = 0;
  #isFull = false;
  #isPumping = false;

  constructor(send: (frame: Uint8Array) => boolean) {
    this.#send = send;
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  push(frames: Iterable<Uint8Array>): void {
    this.#queue.push(frames[Symbol.iterator]());
    this.#pump();
  }

  credit(bytes: number): void {
    if (bytes > this.#unacknowledgedBytes) throw new MalformedFrame('more has arrived than was sent');
    this.#unacknowledgedBytes -= bytes;
    this.#pump();
  }

  /** The link has room again. */
  drained(): void {
    this.#isFull = false;
    this.#pump();
  }

  reset(): void {
    this.#queue = [];
    this.#unacknowledgedBytes = 0;
    this.#isFull = false;
  }

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (!this.#isFull && this.#unacknowledgedBytes < WINDOW_BYTES) {
      const [first] = this.#queue;
      if (first === undefined) break;
      const { done, value } = first.next();
      if (done === true) {
        if (this.#queue[0] === first) this.#queue.shift();
        continue;
      }
      this.#unacknowledgedBytes += value.length;
      this.#isFull = !this.#send(value);
    }
    this.#isPumping = false;
  }
}
