/**
 * From a message and its route to the sessions. Runs of small QoS 0 messages on one topic are handed on as the bytes that
 * came in: no message object, one copy per receiver and run instead of one per message.
 */
import type { Clock } from '../contracts/clock.js';
import type { Logger } from '../contracts/logger.js';
import type { MeshPort } from '../contracts/mesh-port.js';
import type { Message } from '../message/message.js';
import type { Route } from '../routing/router.js';
import type { DeliveryFlags, LogPosition, RoutedMessage } from '../contracts/store.js';
import type { QoS } from '../protocol/packet.js';
import type { RouteTarget, SharedGroup, Subscription } from '../routing/subscription.js';
import { count, C, type Counters } from '../telemetry/counters.js';
import type { Session } from '../session/session.js';
import { FrameCache } from './frame-cache.js';

/** In the flags of a message that waits or is in flight. */
export const RETAIN_FLAG = 4;

const noop = (): void => {};

/** Consecutive QoS 0 PUBLISH frames of one topic as they came in, without properties and without retain. */
export interface Run {
  /** All frames, contiguous; nobody changes them. */
  readonly bytes: Uint8Array;
  readonly count: number;
  /** Bytes of the largest frame. */
  readonly frameMaxBytes: number;
  readonly v5: boolean;
  /** Client id. */
  readonly publisher: string;
  /** Makes the messages, for receivers that need them one by one. */
  messages(): readonly Message[];
  /** Each is `bytes[start, end)`. */
  forEachPayload(visit: (start: number, end: number) => void): void;
}

export interface FanOutOptions {
  readonly clock: Clock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** Stores which member of a shared subscription a message went to; an empty client id: one that does not outlive its connection. */
  readonly assigned: (clientId: string, filter: string, position: LogPosition) => LogPosition;
}

export class FanOut {
  readonly frames = new FrameCache();
  /** Of a gateway in a mesh. */
  mesh: MeshPort | undefined;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #logger: Logger;
  readonly #assigned: FanOutOptions['assigned'];

  constructor(options: FanOutOptions) {
    this.#assigned = options.assigned;
    this.#clock = options.clock;
    this.#counters = options.counters;
    this.#logger = options.logger;
  }

  /** @param route fresh. @param publisher for No Local; undefined: not a session. */
  route(message: Message, route: Route<Session, Message>, publisher: Session | undefined): void {
    this.#toOthers(message, route);
    if (route.empty) {
      // Nobody misses the gateway's own $ topics.
      if (!message.topic.startsWith('$')) count(this.#counters, C.droppedNoSubscriber);
      return;
    }
    const { targets } = route;
    const shares = targets.length > 1;
    if (shares) this.frames.begin(message, message.expiryS(this.#clock));
    const skipsBridges = message.fromBridge && message.source !== undefined;
    for (const target of targets) {
      const own = target.session === publisher ? target.own : target;
      if (own !== null && !(skipsBridges && own.session.isBridge))
        own.session.outbound.deliver(message, own.qos, own.retainAsPublished, own.identifiers);
    }
    if (shares) this.frames.end();
    if (route.groups.length > 0) this.#toGroups(message, route);
    if (route.listeners.length > 0) this.#toListeners(message, route);
  }

  routeRun(run: Run, route: Route<Session, Message>, publisher: Session | undefined): void {
    if (route.remotes.length > 0) this.mesh?.forwardRun(run, route.bytes, route.remotes);
    this.routeForwardedRun(run, route, publisher);
  }

  /** The same of a run that another gateway took in: it goes to nobody but the clients of this one. */
  routeForwardedRun(run: Run, route: Route<Session, Message>, publisher?: Session): void {
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

  /**
   * A message from the log, for those whose sessions outlive a restart. Nothing is counted: it was when it came.
   * @param toGroup of a shared subscription it is not known yet who got it
   */
  replay(
    message: Message,
    route: Route<Session, Message>,
    publisher: Session | undefined,
    toGroup: (group: SharedGroup<Session>) => void,
  ): void {
    const skipsBridges = message.fromBridge && message.source !== undefined;
    for (const target of route.targets) {
      const own = target.session === publisher ? target.own : target;
      if (own === null || (skipsBridges && own.session.isBridge)) continue;
      const flags = replayFlags(message, own.qos, own.retainAsPublished);
      if (flags !== undefined) own.session.outbound.replayDelivery(message, flags, own.identifiers);
    }
    for (const group of route.groups) toGroup(group);
  }

  /** A message that went to this member of a shared subscription. */
  replayShared(message: RoutedMessage, { subscriber, options }: Subscription<Session>): void {
    const { qos, retainAsPublished, identifier } = options;
    const flags = replayFlags(message, qos, retainAsPublished);
    if (flags === undefined) return;
    subscriber.outbound.replayAssigned(message, flags, identifier === 0 ? undefined : [identifier]);
  }

  /**
   * A message that no member had been chosen for, as far as the log knows: the one that is now may have got it before.
   * @param asItWas the subscription of a member when the message came, so that it does not get at QoS 2 what it got at QoS 1
   */
  replayToGroup(
    message: RoutedMessage,
    group: SharedGroup<Session>,
    asItWas: (member: Subscription<Session>) => Subscription<Session> | undefined,
  ): void {
    const member = group.choose(message.topic, true);
    if (member === undefined) return;
    this.#noteAssignment(message, group, member.subscriber);
    this.replayShared(message, asItWas(member) ?? member);
  }

  /** What this gateway took in itself. A retained message of QoS 0 goes when it is in the log: see Ingest. */
  #toOthers(message: Message, { remotes }: Route<Session, Message>): void {
    if (this.mesh === undefined || message.source !== undefined) return;
    // One that nobody wants now may be wanted before others have come to it in the log.
    if (message.qos > 0 || (remotes.length > 0 && !message.retain)) this.mesh.forward(message, remotes);
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
      const notedAt = this.#noteAssignment(message, group, member.subscriber);
      const { outbound, durable } = member.subscriber;
      if (notedAt > 0 && !durable) outbound.awaitAssignment(notedAt);
      outbound.deliver(message, qos, retainAsPublished, identifiers);
    }
  }

  /**
   * After a restart the message is not given to another member. Where nobody of the group outlives a restart, nobody would be.
   * @returns where that is written down; 0: it is not
   */
  #noteAssignment(
    message: RoutedMessage,
    group: SharedGroup<Session>,
    { clientId, durable }: Session,
  ): LogPosition {
    if (message.position === 0 || !group.members.some(({ subscriber }) => subscriber.durable)) return 0;
    return this.#assigned(durable ? clientId : '', group.sharedFilter, message.position);
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
}

/** undefined: with QoS 0 it was delivered when it came, or not at all. */
function replayFlags(
  { qos, retain }: RoutedMessage,
  maxQoS: QoS,
  keepRetain: boolean,
): DeliveryFlags | undefined {
  const granted = qos < maxQoS ? qos : maxQoS;
  if (granted === 0) return undefined;
  return retain && keepRetain ? granted | RETAIN_FLAG : granted;
}
