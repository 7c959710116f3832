/**
 * Aedes's `mq`: in-process subscribers and publishers of the embedder, over our router and ingest. A subscriber is told
 * of each message once and cannot hold up others: what it does with its callback is its own affair.
 */
import type { Logger } from '../contracts/logger.js';
import type { Ingest } from '../ingest/ingest.js';
import type { Message } from '../message/message.js';
import type { Router } from '../routing/router.js';
import { Listener } from '../routing/subscription.js';
import type { Session } from '../session/session.js';
import type { MqEmitter, MqListener } from './aedes-internals.js';
import { fromAedesPacket, type MappingContext, toAedesPacket } from './packet-mapping.js';
import { errorOf, guardPromise } from './user-hooks.js';

export interface EmitterParts {
  readonly router: Router<Session, Message>;
  readonly ingest: Ingest;
  readonly context: MappingContext;
  readonly logger: () => Logger;
  /** Called by `close`, after the listeners are gone; Aedes's `close` waits for it. */
  readonly onClose: () => Promise<void>;
}

export class InProcessEmitter implements MqEmitter {
  readonly #parts: EmitterParts;
  readonly #listeners = new Map<string, Map<MqListener, Listener<Message>>>();

  constructor(parts: EmitterParts) {
    this.#parts = parts;
  }

  on(topic: string, deliver: MqListener, done?: () => void): void {
    const byFunction = this.#listeners.get(topic) ?? new Map<MqListener, Listener<Message>>();
    this.#listeners.set(topic, byFunction);
    if (!byFunction.has(deliver)) {
      const listener = new Listener<Message>(topic, (message, next) =>
        guardPromise(deliver(toAedesPacket(message, this.#parts.context), next), (thrown) =>
          this.#parts.logger().error('an in-process subscriber rejected', {
            filter: topic,
            error: errorOf(thrown).message,
          }),
        ),
      );
      byFunction.set(deliver, listener);
      this.#parts.router.addListener(listener);
    }
    if (done !== undefined) setImmediate(done);
  }

  removeListener(topic: string, deliver: MqListener, done?: () => void): void {
    const byFunction = this.#listeners.get(topic);
    const listener = byFunction?.get(deliver);
    if (byFunction !== undefined && listener !== undefined) {
      this.#parts.router.removeListener(listener);
      byFunction.delete(deliver);
      if (byFunction.size === 0) this.#listeners.delete(topic);
    }
    if (done !== undefined) setImmediate(done);
  }

  /** A packet that cannot be published is an error of the callback, not an exception. */
  emit(packet: Parameters<MqEmitter['emit']>[0], done: (error?: Error) => void = () => {}): void {
    let message: Message;
    try {
      message = fromAedesPacket(packet, this.#parts.context);
    } catch (error) {
      setImmediate(done, errorOf(error));
      return;
    }
    this.#parts.ingest.publishForDoor(message, (error) => setImmediate(done, error));
  }

  close(done: () => void = () => {}): void {
    for (const byFunction of this.#listeners.values())
      for (const listener of byFunction.values()) this.#parts.router.removeListener(listener);
    this.#listeners.clear();
    void this.#close(done);
  }

  async #close(done: () => void): Promise<void> {
    await this.#parts.onClose();
    setImmediate(done);
  }
}

/** Aedes's constructor wants its emitter before the broker can make it. */
export class LateEmitter implements MqEmitter {
  target: MqEmitter | undefined;

  on(topic: string, deliver: MqListener, done?: () => void): void {
    this.target?.on(topic, deliver, done);
  }
  removeListener(topic: string, deliver: MqListener, done?: () => void): void {
    this.target?.removeListener(topic, deliver, done);
  }
  emit(packet: Parameters<MqEmitter['emit']>[0], done?: (error?: Error) => void): void {
    this.target?.emit(packet, done);
  }
  close(done?: () => void): void {
    this.target?.close(done);
  }
}
