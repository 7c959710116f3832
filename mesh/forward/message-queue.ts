/** Messages that wait to be sent, oldest first. */
import type { Message } from '../../lib/message/message.js';

export class MessageQueue {
  #messages: Message[] = [];
  #first = 0;
  #bytes = 0;

  get count(): number {
    return this.#messages.length - this.#first;
  }

  /** By weight. */
  get bytes(): number {
    return this.#bytes;
  }

  push(message: Message): void {
    this.#messages.push(message);
    this.#bytes += message.weight;
  }

  at(index: number): Message | undefined {
    return this.#messages[this.#first + index];
  }

  /** Takes out the oldest `count`. */
  drop(count: number): void {
    if (count === this.count) {
      this.clear();
      return;
    }
    for (let i = 0; i < count; i++) this.#bytes -= this.#messages[this.#first + i]?.weight ?? 0;
    this.#first += count;
    if (this.#first > 1024 || this.#first * 2 > this.#messages.length) {
      this.#messages.splice(0, this.#first);
      this.#first = 0;
    }
  }

  /** Keeps only what `isWanted`. */
  keep(isWanted: (message: Message) => boolean): void {
    const kept = this.#messages.slice(this.#first).filter(isWanted);
    this.clear();
    for (const message of kept) this.push(message);
  }

  clear(): void {
    this.#messages = [];
    this.#first = 0;
    this.#bytes = 0;
  }
}
