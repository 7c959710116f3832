/**
 * From a message and its route to the sessions. Runs of small QoS 0 messages on one topic are handed on as the bytes that
 * came in: no message object, one copy per receiver and run instead of one per message.
 */
import type { Clock } from '../contracts/clock.js';
import type { Logger } from '../contracts/logger.js';
import { type Message, NEVER } from '../message/message.js';
import type { Route } from '../routing/router.js';
import type { RouteTarget } from '../routing/subscription.js';
import { count, C, type Counters } from '../telemetry/counters.js';
import type { Session } from '../session/session.js';
import { FrameCache } from './frame-cache.js';

const noop = (): void => {};

/** Consecutive QoS 0 PUBLISH frames of one topic as they came in, without properties and without retain. */
export interface Run {
  /** All frames, contiguous; nobody changes them. */
  readonly bytes: Uint8Array;
  readonly count: number;
  /** Bytes of the largest frame. */
  readonly frameMaxBytes: number;
  readonly v5: boolean;
  /** Makes the messages, for receivers that need them one by one. */
  messages(): readonly Message[];
}

export class FanOut {
  readonly frames = new FrameCache();
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #logger: Logger;

  constructor(options: { clock: Clock; counters: Counters; logger: Logger }) {
    this.#clock = options.clock;
    this.#counters = options.counters;
    this.#logger = options.logger;
  }

  /** @param route fresh. @param publisher for No Local; undefined: not a session. */
  route(message: Message, route: Route<Session, Message>, publisher: Session | undefined): void {
    if (route.empty) {
      // Nobody misses the gateway's own $ topics.
      if (!message.topic.startsWith('$')) count(this.#counters, C.droppedNoSubscriber);
      return;
    }
    const { targets } = route;
    const shares = targets.length > 1;
    if (shares) this.frames.begin(message, this.#expiryS(message));
    for (const target of targets) {
      const own = target.session === publisher ? target.own : target;
      if (own !== null)
        own.session.outbound.deliver(message, own.qos, own.retainAsPublished, own.identifiers);
    }
    if (shares) this.frames.end();
    if (route.groups.length > 0) this.#toGroups(message, route);
    if (route.listeners.length > 0) this.#toListeners(message, route);
  }

  routeRun(run: Run, route: Route<Session, Message>, publisher: Session | undefined): void {
    if (route.empty) {
      count(this.#counters, C.droppedNoSubscriber, run.count);
      return;
    }
    for (const target of route.targets) {
      const own = target.session === publisher ? target.own : target;
      if (own === null) continue;
      if (!own.session.outbound.deliverRun(run, own)) this.#oneByOne(run, own);
    }
    if (route.groups.length > 0 || route.listeners.length > 0) {
      for (const message of run.messages()) {
        if (route.groups.length > 0) this.#toGroups(message, route);
        if (route.listeners.length > 0) this.#toListeners(message, route);
      }
    }
  }

  #oneByOne(run: Run, target: RouteTarget<Session>): void {
    for (const message of run.messages()) {
      target.session.outbound.deliver(message, target.qos, target.retainAsPublished, target.identifiers);
    }
  }

  #toGroups(message: Message, route: Route<Session, Message>): void {
    for (const group of route.groups) {
      const member = group.choose(message.topic, message.qos > 0);
      if (member === undefined) {
        count(this.#counters, C.droppedNoSubscriber);
        continue;
      }
      const { qos, retainAsPublished, identifier } = member.options;
      const identifiers = identifier === 0 ? undefined : [identifier];
      member.subscriber.outbound.deliver(message, qos, retainAsPublished, identifiers);
    }
  }

  #toListeners(message: Message, route: Route<Session, Message>): void {
    // A listener is somebody else's code: it may not take the gateway down, nor keep the others from the message.
    for (const listener of route.listeners) {
      try {
        listener.deliver(message, noop);
      } catch (error) {
        this.#logger.error('an in-process subscriber threw', {
          filter: listener.filter,
          error: String(error),
        });
      }
    }
  }

  #expiryS(message: Message): number {
    if (message.expiresAt === NEVER) return 0;
    return Math.max(1, Math.ceil((message.expiresAt - this.#clock.now()) / 1000));
  }
}
