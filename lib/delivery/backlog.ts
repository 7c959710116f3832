/**
 * QoS 1 and 2 messages that wait for one session, first in, first out, up to its count and byte caps. Beyond them what has
 * expired goes first [MQTT-3.3.2-5], then the newest message is dropped for this session; both are counted. Where the memory budget
 * of all clients is used up, the copies of what is in the log are given up; what is in no log is dropped.
 */
import type { DeliveryFlags, DeliveryQueue, LogPosition } from '../contracts/store.js';
import type { Message } from '../message/message.js';
import type { SessionEnvironment } from '../session/environment.js';
import { count, C } from '../telemetry/counters.js';

export class Backlog {
  /** To be read; `shift` and `clear` of the backlog keep the budget. */
  readonly queue: DeliveryQueue;
  readonly #clientId: string;
  readonly #env: SessionEnvironment;
  #wasFull = false;
  /** Bytes of the budget that this has taken. */
  #accounted = 0;

  /** @param onReady called when a queue that had to be read back can be shifted. */
  constructor(clientId: string, env: SessionEnvironment, onReady: () => void) {
    this.#clientId = clientId;
    this.#env = env;
    this.queue = env.store.createQueue(clientId);
    this.queue.onReady = () => {
      this.#account();
      onReady();
    };
  }

  push(message: Message, flags: DeliveryFlags, identifiers: readonly number[] | undefined): void {
    const { queue } = this;
    const { counters, budget } = this.#env;
    if (budget.exhausted || this.#isFullFor(message)) this.#dropExpired();
    if (this.#isFullFor(message)) {
      count(counters, C.droppedQueueFull);
      this.#logFull();
      return;
    }
    if (budget.exhausted) this.release();
    // What is in the log can be read back; what is not has to stay in memory.
    if (budget.exhausted && message.position === 0) {
      count(counters, C.droppedMemory);
      return;
    }
    message.detach();
    queue.push(message, flags, identifiers);
    if (budget.exhausted) queue.release();
    this.#account();
  }

  /** From the log after a restart: what was accepted then is not refused now. */
  restore(message: Message, flags: DeliveryFlags, identifiers: readonly number[] | undefined): void {
    this.queue.push(message, flags, identifiers);
    if (this.#env.budget.exhausted) this.queue.release();
    this.#account();
  }

  /** From the log after a restart: the message waits no more. */
  settle(position: LogPosition): void {
    this.queue.remove(position);
    this.#account();
  }

  /** Memory is short, or the client is away: what can be read back need not be held. */
  release(): void {
    this.queue.release();
    this.#account();
  }

  /** The messages that were read back count, too. */
  #account(): void {
    const held = this.queue.heldBytes;
    this.#env.budget.used += held - this.#accounted;
    this.#accounted = held;
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
    queue.shift();
    this.#account();
    if (queue.count === 0) this.#wasFull = false;
  }

  /** Drops everything. */
  clear(): void {
    const { queue } = this;
    if (queue.count > 0) count(this.#env.counters, C.droppedSessionEnded, queue.count);
    this.forget();
  }

  /** As `clear`, where it was counted before. */
  forget(): void {
    this.queue.clear();
    this.#account();
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
