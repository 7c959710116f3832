/**
 * QoS 1 and 2 messages that wait for one session, first in, first out, up to its count and byte caps. Beyond them what has
 * expired goes first [MQTT-3.3.2-5], then the newest message is dropped for this session; both are counted. Where the memory budget
 * of all clients is used up, the copies of what is in the log are given up; what is in no log is dropped.
 */
import type { DeliveryFlags, DeliveryQueue, LogPosition, RoutedMessage } from '../contracts/store.js';
import type { Message } from '../message/message.js';
import type { QoS } from '../protocol/packet.js';
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
  /** What was dropped since a message was taken the last time; 0: nothing that is in the log. */
  #droppedFrom: LogPosition = 0;
  #droppedTo: LogPosition = 0;
  /** Of the message that was taken last. */
  #takenAt: LogPosition = 0;
  /** Messages behind `after` stay until it is stored, at `until`, that those before them were dropped. */
  #barrier: { readonly after: LogPosition; readonly until: LogPosition } | undefined;
  readonly #onReady: () => void;

  /** @param onReady called when a queue that had to be read back can be shifted. */
  constructor(clientId: string, env: SessionEnvironment, onReady: () => void) {
    this.#clientId = clientId;
    this.#env = env;
    this.#onReady = onReady;
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
      this.#dropped(message);
      return;
    }
    this.#recordDrops();
    if (budget.exhausted) this.release();
    // What is in the log can be read back; what is not has to stay in memory.
    if (budget.exhausted && message.position === 0) {
      count(counters, C.droppedMemory);
      return;
    }
    message.detach();
    this.#takenAt = message.position;
    queue.push(message, flags, identifiers);
    if (budget.exhausted) queue.release();
    this.#account();
  }

  /**
   * A message may come twice, by itself and through a shared subscription: a record of many positions is for all that came from them, one of
   * a single position for one copy.
   */
  #dropped({ position }: Message): void {
    if (position === 0) return;
    const isOneCopy = this.#droppedFrom === this.#droppedTo;
    if (isOneCopy && (this.#droppedFrom === this.#takenAt || this.#droppedFrom === position))
      this.#recordDrops();
    if (this.#droppedFrom === 0) this.#droppedFrom = position;
    this.#droppedTo = position;
  }

  /** Whether a message may leave without waiting here, where nothing else waits. */
  get mayPass(): boolean {
    this.#recordDrops();
    return this.#barrier === undefined;
  }

  /** Whether the head has to stay for a while, although it is there. */
  get isHeld(): boolean {
    return this.#barrier !== undefined && this.queue.headMessage.position > this.#barrier.after;
  }

  /**
   * Before a message is taken: after a restart those that were dropped before it would come behind it. As long as none is taken,
   * they may come.
   */
  #recordDrops(): void {
    if (this.#droppedFrom === 0) return;
    const [from, to] = [this.#droppedFrom, this.#droppedTo];
    const { store, commits } = this.#env;
    this.#droppedFrom = 0;
    const until = store.record({ kind: 'dropped', clientId: this.#clientId, from, to });
    if (until <= store.committed) return;
    this.#barrier = { after: this.#barrier?.after ?? to, until };
    commits.after(until, {
      committed: () => {
        if (this.#barrier?.until !== until) return;
        this.#barrier = undefined;
        this.#onReady();
      },
    });
  }

  /** From the log after a restart: what was accepted then is not refused now. */
  restore(message: RoutedMessage, flags: DeliveryFlags, identifiers: readonly number[] | undefined): void {
    this.queue.replay(message, flags, identifiers);
  }

  /** The same, of a message that was not the session's when it came. */
  assign(message: RoutedMessage, flags: DeliveryFlags, identifiers: readonly number[] | undefined): void {
    this.queue.replayAssigned(message, flags, identifiers);
  }

  /** From the log after a restart: the messages from one position to another wait no more. @param qos as for `remove` of the queue */
  settle(from: LogPosition, to: LogPosition, qos?: QoS): void {
    this.queue.remove(from, to, qos);
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
    const { clock, store, counters } = this.#env;
    const now = clock.now();
    while (queue.count > 0 && queue.ready && queue.headMessage.expiresAt <= now) {
      const { position } = queue.headMessage;
      this.shift();
      count(counters, C.droppedExpired);
      // The log lets go of it, and after a restart nobody may ask for it.
      if (position > 0)
        store.record({
          kind: 'delivered',
          clientId: this.#clientId,
          packetId: 0,
          position,
          topic: undefined,
        });
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
