import type { DeliveryQueue, LogPosition, RoutedMessage } from '../../lib/contracts/store.js';
import type { Message } from '../../lib/message/message.js';
import type { QoS } from '../../lib/protocol/packet.js';

const INITIAL_CAPACITY = 16;

/** A ring of messages in memory. It allocates only when it grows, and gives its memory back when it is empty again. */
export class MemoryDeliveryQueue implements DeliveryQueue {
  onReady: (() => void) | undefined;
  #messages: (Message | undefined)[] = [];
  #flags: number[] = [];
  #identifiers: (readonly number[] | undefined)[] = [];
  #head = 0;
  #count = 0;
  #bytes = 0;

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get heldBytes(): number {
    return this.#bytes;
  }

  get ready(): boolean {
    return this.#count > 0;
  }

  get headMessage(): Message {
    return this.#messages[this.#head] as Message;
  }

  get headFlags(): number {
    return this.#flags[this.#head] as number;
  }

  get headIdentifiers(): readonly number[] | undefined {
    return this.#identifiers[this.#head];
  }

  push(message: Message, flags: number, identifiers: readonly number[] | undefined): void {
    if (this.#count === this.#messages.length) this.#grow();
    const tail = (this.#head + this.#count) & (this.#messages.length - 1);
    this.#messages[tail] = message;
    this.#flags[tail] = flags;
    this.#identifiers[tail] = identifiers;
    this.#count++;
    this.#bytes += message.weight;
  }

  shift(): void {
    const message = this.#messages[this.#head];
    if (this.#count === 0 || message === undefined) return;
    this.#bytes -= message.weight;
    this.#messages[this.#head] = undefined;
    this.#identifiers[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#messages.length - 1);
    if (--this.#count === 0 && this.#messages.length > INITIAL_CAPACITY * 4) this.clear();
  }

  clear(): void {
    this.#messages = [];
    this.#flags = [];
    this.#identifiers = [];
    this.#head = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  /** Nothing here can be read back. */
  release(): void {}

  /** Nothing is replayed into memory. */
  replay(_message: RoutedMessage, _flags: number, _identifiers: readonly number[] | undefined): void {}

  replayAssigned(
    _message: RoutedMessage,
    _flags: number,
    _identifiers: readonly number[] | undefined,
  ): void {}

  remove(_from: LogPosition, _to: LogPosition, _qos?: QoS): void {}

  #grow(): void {
    const old = this.#messages.length;
    const capacity = Math.max(INITIAL_CAPACITY, old * 2);
    const messages: (Message | undefined)[] = new Array<Message | undefined>(capacity).fill(undefined);
    const flags: number[] = new Array<number>(capacity).fill(0);
    const identifiers: (readonly number[] | undefined)[] = new Array<undefined>(capacity).fill(undefined);
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#head + i) & (old - 1);
      messages[i] = this.#messages[from];
      flags[i] = this.#flags[from] ?? 0;
      identifiers[i] = this.#identifiers[from];
    }
    this.#messages = messages;
    this.#flags = flags;
    this.#identifiers = identifiers;
    this.#head = 0;
  }
}
