/**
 * QoS 1 and 2 messages that wait for one session, first in, first out, up to its count and byte caps and the memory budget
 * of all clients. Beyond them what has expired goes first [MQTT-3.3.2-5], then the newest message is dropped for this session;
 * both are counted.
 */
import type { DeliveryQueue } from '../contracts/store.js';
import type { Message } from '../message/message.js';
import type { SessionEnvironment } from '../session/environment.js';
import { count, C } from '../telemetry/counters.js';

export class Backlog {
  /** To be read; `shift` and `clear` of the backlog keep the budget. */
  readonly queue: DeliveryQueue;
  readonly #clientId: string;
  readonly #env: SessionEnvironment;
  #wasFull = false;

  /** @param onReady called when a queue that had to be read back can be shifted. */
  constructor(clientId: string, env: SessionEnvironment, onReady: () => void) {
    this.#clientId = clientId;
    this.#env = env;
    this.queue = env.store.createQueue(clientId);
    this.queue.onReady = onReady;
  }

  push(message: Message, flags: number, identifiers: readonly number[] | undefined): void {
    const { queue } = this;
    const { counters, budget } = this.#env;
    if (budget.exhausted || this.#isFullFor(message)) this.#dropExpired();
    if (this.#isFullFor(message)) {
      count(counters, C.droppedQueueFull);
      this.#logFull();
      return;
    }
    if (budget.exhausted) {
      count(counters, C.droppedMemory);
      return;
    }
    message.detach();
    const before = queue.bytes;
    queue.push(message, flags, identifiers);
    budget.used += queue.bytes - before;
  }

  #isFullFor({ weight }: Message): boolean {
    const { clientQueueMaxCount, clientQueueMaxBytes } = this.#env.limits;
    return this.queue.count >= clientQueueMaxCount || this.queue.bytes + weight > clientQueueMaxBytes;
  }

  /** The oldest, as far as they have expired. */
  #dropExpired(): void {
    const { queue } = this;
    const now = this.#env.clock.now();
    while (queue.count > 0 && queue.ready && queue.headMessage.expiresAt <= now) {
      this.shift();
      count(this.#env.counters, C.droppedExpired);
    }
  }

  shift(): void {
    const { queue } = this;
    const before = queue.bytes;
    queue.shift();
    this.#env.budget.used -= before - queue.bytes;
    if (queue.count === 0) this.#wasFull = false;
  }

  /** Drops everything. */
  clear(): void {
    const { queue } = this;
    if (queue.count > 0) count(this.#env.counters, C.droppedSessionEnded, queue.count);
    this.#env.budget.used -= queue.bytes;
    queue.clear();
    this.#wasFull = false;
  }

  /** Once, until it was empty again. */
  #logFull(): void {
    if (this.#wasFull) return;
    this.#wasFull = true;
    this.#env.logger.warn('the queue of a client is full, newer messages for it are dropped', {
      client: this.#clientId,
      queued: this.queue.count,
      bytes: this.queue.bytes,
      raise: 'delivery.clientQueueMaxCount or delivery.clientQueueMaxBytes',
    });
  }
}
