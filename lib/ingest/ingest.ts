/**
 * The message lane from an authorised PUBLISH to its fan-out: store, route, acknowledge, in this order. Subscribers come
 * before the acknowledgement because both leave at the end of the same turn, in the order in which they were written:
 * it takes one system call off the way to the subscriber.
 *
 *     QoS 0   route                 (of an archived topic: append, and nothing waits for it)
 *     QoS 1   append ─▶ committed: route, PUBACK
 *     QoS 2   append with packet id ─▶ committed: route, PUBREC      PUBREL ─▶ committed: PUBCOMP
 *
 * Message and de-duplication entry are one record, so a crash between the two cannot lose or double a message.
 */
import { PUBACK, PUBCOMP, PUBREC, writeAck } from '../delivery/ack-writer.js';
import type { LogPosition, MessageOrigin } from '../contracts/store.js';
import { nextRetainedCounter } from '../contracts/streams.js';
import { createMessage, type Message } from '../message/message.js';
import { ReasonCode } from '../protocol/reason-code.js';
import { type Route, RouteState } from '../routing/router.js';
import type { SessionEnvironment, SessionLink } from '../session/environment.js';
import type { Session } from '../session/session.js';
import { count, C } from '../telemetry/counters.js';
import { encodeForwardedProperties } from './forwarded-properties.js';
import type { Run } from '../delivery/fan-out.js';
import type { Waiter } from './commit-queue.js';
import { PassedLog } from './passed-log.js';
import { Shortage, type ShortOf } from './shortage.js';
import { compareNewness } from './retained-version.js';

/** How often a 3.1.1 publisher whose message cannot be stored is looked at again. */
const HOLD_RETRY_MS = 100;

type MessageRoute = Route<Session, Message>;

/** Why a message is not accepted: what its publisher is told, and how it is counted. */
interface Refusal {
  readonly reasonCode: number;
  readonly counter: number;
}

const NO_ROOM: Refusal = { reasonCode: ReasonCode.quotaExceeded, counter: C.refusedQuota };
const OVER_RETAINED_QUOTA: Refusal = {
  reasonCode: ReasonCode.quotaExceeded,
  counter: C.refusedRetainedQuota,
};
const OVER_RETAINED_LIMIT: Refusal = {
  reasonCode: ReasonCode.quotaExceeded,
  counter: C.refusedRetained,
};

export class Ingest {
  /** Set once: the environment holds the ingest and the ingest the environment. */
  #environment: SessionEnvironment | undefined;
  #passedLog: PassedLog | undefined;
  #shortage: Shortage | undefined;
  /** Topics whose retained message one of QoS 0 cleared, by where that is stored, for as long as something before it may wait. */
  readonly #clearedAt = new Map<string, LogPosition>();

  connect(env: SessionEnvironment): void {
    this.#environment = env;
    this.#passedLog = new PassedLog(env);
    this.#shortage = new Shortage(env);
  }

  get #env(): SessionEnvironment {
    return this.#environment as SessionEnvironment;
  }

  publishQoS0(session: Session | undefined, message: Message, route: MessageRoute): void {
    if (message.retain && !this.#retainQoS0(message)) return;
    if (route.isArchived) this.#archive(message);
    this.#env.fanOut.route(message, fresh(this.#env, route), session);
    this.#published(message, session);
  }

  publishRun(session: Session, run: Run, route: MessageRoute): void {
    // Before what others publish because they got it.
    if (route.isArchived) this.#passedLog?.appendRun(run, route.bytes);
    this.#env.fanOut.routeRun(run, fresh(this.#env, route), session);
    if (this.#env.hooks.published === undefined) return;
    for (const message of run.messages()) this.#published(message, session);
  }

  publishQoS1(
    session: Session,
    link: SessionLink,
    message: Message,
    packetId: number,
    route: MessageRoute,
  ): void {
    const refusal = this.#admit(message, link.version === 5);
    if (refusal !== undefined) {
      this.#refuse(session, link, message, packetId, PUBACK, refusal, () =>
        this.publishQoS1(session, link, message, packetId, route),
      );
      return;
    }
    const { store, commits } = this.#env;
    if (message.retain) this.#numberRetained(message);
    const position = store.append(message, { clientId: session.clientId, packetId, qos: 1 });
    if (position <= store.committed && commits.length === 0) {
      this.#acknowledge(link, PUBACK, packetId, this.#distribute(message, route, session));
      return;
    }
    session.inbound.pendingCount++;
    commits.after(position, new QoS1Waiter(this, session, link, message, packetId, route));
  }

  /** @returns once stored; a repeated packet id is answered and not published again [MQTT-4.3.3-10]. */
  publishQoS2(
    session: Session,
    link: SessionLink,
    message: Message,
    packetId: number,
    route: MessageRoute,
  ): void {
    const { inbound } = session;
    if (inbound.ids.has(packetId)) {
      this.#acknowledge(link, PUBREC, packetId, undefined);
      return;
    }
    const pending = inbound.storing?.get(packetId);
    if (pending !== undefined) {
      if (pending.link === link) {
        pending.repetitions++;
      } else {
        inbound.pendingCount++;
        pending.link = link;
        pending.repetitions = 0;
      }
      return;
    }
    const refusal = this.#admit(message, link.version === 5);
    if (refusal !== undefined) {
      this.#refuse(session, link, message, packetId, PUBREC, refusal, () =>
        this.publishQoS2(session, link, message, packetId, route),
      );
      return;
    }
    const { store, commits } = this.#env;
    if (message.retain) this.#numberRetained(message);
    const position = store.append(message, { clientId: session.clientId, packetId, qos: 2 });
    if (position <= store.committed && commits.length === 0) {
      inbound.ids.add(packetId);
      this.#acknowledge(link, PUBREC, packetId, this.#distribute(message, route, session));
      return;
    }
    inbound.pendingCount++;
    const waiter = new QoS2Waiter(this, session, link, message, packetId, route);
    (inbound.storing ??= new Map()).set(packetId, waiter);
    commits.after(position, waiter);
  }

  pubrel(session: Session, link: SessionLink, packetId: number): void {
    const { store, commits } = this.#env;
    const { inbound } = session;
    const storing = inbound.storing?.get(packetId);
    if (storing !== undefined) {
      // A client that does not wait for PUBREC: its answer comes after that, all the same.
      storing.releasedOn = link;
      return;
    }
    const known = inbound.ids.delete(packetId);
    let position = inbound.releasing?.get(packetId);
    if (known && session.durable) {
      position = store.record({ kind: 'released', clientId: session.clientId, packetId });
    } else if (position === undefined) {
      this.#pubcomp(link, packetId, known ? 0 : ReasonCode.packetIdentifierNotFound);
      return;
    }
    if (position <= store.committed && commits.length === 0) {
      this.#pubcomp(link, packetId, 0);
      return;
    }
    // A PUBREL that is repeated meanwhile, on another connection, is answered after the same record.
    const releasing = (inbound.releasing ??= new Map());
    releasing.set(packetId, position);
    commits.after(position, {
      committed: () => {
        if (releasing.get(packetId) === position) releasing.delete(packetId);
        if (session.link === link) this.#pubcomp(link, packetId, 0);
      },
    });
  }

  /** The gateway's own messages: wills, $SYS, dead letters. @returns whether it was taken */
  publishOwn(message: Message, publisher: Session | undefined, origin?: MessageOrigin): boolean {
    // $SYS says how things are, which some of it does once: it stays.
    if (publisher !== undefined) this.limitLife(message);
    const done = (): void => this.#published(message, publisher);
    // A will is what its client publishes, all else the gateway itself.
    return this.#publishOwn(message, publisher, origin, publisher !== undefined, done);
  }

  /** Messages that come through Aedes's `publish`, which runs the hooks itself. `done`: stored and routed, or refused. */
  publishForDoor(message: Message, done: (error?: Error) => void): void {
    this.limitLife(message);
    this.#publishOwn(message, undefined, undefined, true, done);
  }

  /** What is kept for whoever has not got it yet has an end (`delivery.messageExpiryMaxS`). PublishLane gives it to what comes as PUBLISH. */
  limitLife(message: Message): void {
    const { limits, clock } = this.#env;
    if (limits.messageExpiryMaxS > 0 && (message.qos > 0 || message.retain))
      message.expireBy(clock.now() + limits.messageExpiryMaxS * 1000);
  }

  #publishOwn(
    message: Message,
    publisher: Session | undefined,
    origin: MessageOrigin | undefined,
    isArchived: boolean,
    done: (error?: Error) => void,
  ): boolean {
    const route = this.#env.router.resolve(message.topic);
    if (message.qos === 0) {
      if (!message.retain || this.#retainQoS0(message)) {
        if (isArchived && route.isArchived) this.#archive(message);
        this.#env.fanOut.route(message, route, publisher);
      }
      done();
      return true;
    }
    const refusal = this.#admit(message, true);
    if (refusal !== undefined) {
      count(this.#env.counters, refusal === NO_ROOM ? C.refusedStorage : refusal.counter);
      done(new Error(`the message was refused with reason code 0x${refusal.reasonCode.toString(16)}`));
      return false;
    }
    if (message.retain) this.#numberRetained(message);
    const position = this.#env.store.append(message, origin);
    this.#env.commits.after(position, {
      committed: () => {
        if (message.retain) this.#retain(message);
        this.#env.fanOut.route(message, fresh(this.#env, route), publisher);
        done();
      },
    });
    return true;
  }

  /** A message of QoS 0; one that is retained is in the log already. */
  #archive(message: Message): void {
    if (message.position === 0) this.#passedLog?.append(message);
  }

  /** Whether messages of other gateways may be taken in. Where not those wait where they are, as publishers here do. */
  hasRoom(): boolean {
    const { budget, store } = this.#env;
    // What comes at once is bounded, and one that is larger than what may be pending comes, too.
    return !budget.isExhausted() && store.admit(0) === 0;
  }

  /**
   * A message of QoS 1 or 2, or one that is retained, that another gateway took in; its source and sequence are set, its bytes its own.
   * It is for the clients of this gateway, when it is committed. @returns where it is in the log; 0: in none
   */
  publishForwarded(message: Message): LogPosition {
    const { store, commits } = this.#env;
    const position = store.append(message, undefined);
    commits.after(position, new ForwardedWaiter(this, message));
    return position;
  }

  /** The same of one that is in no log. */
  publishPassing(message: Message): void {
    this.#env.fanOut.route(message, this.#env.router.resolve(message.topic), undefined);
    this.#published(message, undefined);
  }

  publishForwardedRun(run: Run, route: MessageRoute): void {
    this.#env.fanOut.routeForwardedRun(run, fresh(this.#env, route));
    if (this.#env.hooks.published !== undefined)
      for (const message of run.messages()) this.#published(message, undefined);
  }

  /** @internal its record is durable. */
  committedForwarded(message: Message): void {
    if (message.retain && !this.#retainForwarded(message)) {
      count(this.#env.counters, C.meshRetainedSuperseded);
      return;
    }
    this.publishPassing(message);
  }

  /** @returns whether subscribers get it: not where they have the newer one that is here */
  #retainForwarded(message: Message): boolean {
    const { mesh, retention } = this.#env;
    const newest = retention.newestOf(message.topic);
    const order = mesh === undefined || newest === undefined ? 1 : compareNewness(message, newest, mesh);
    if (order <= 0 && newest?.aheadOfStream !== true) return false;
    if (message.mayBeRemoved && newest === undefined) {
      retention.doubt(message);
      mesh?.doubted(message);
    } else if (order >= 0) this.#keep(message);
    return true;
  }

  /**
   * What cannot be delivered to a client goes to the dead-letter topic, with whom it was for and why. It lives as long as the
   * message would have.
   */
  deadLetter(message: Message, clientId: string, reason: string): void {
    const { deadLetterTopic } = this.#env.limits;
    if (deadLetterTopic === '' || message.topic === deadLetterTopic) return;
    count(this.#env.counters, C.deadLettered);
    const route = this.#env.router.resolve(deadLetterTopic);
    const properties = encodeForwardedProperties({
      userProperties: [
        ['topic', message.topic],
        ['client', clientId],
        ['reason', reason],
      ],
    });
    message.detach();
    const letter = createMessage({
      topic: deadLetterTopic,
      topicBytes: route.bytes,
      payload: message.payload,
      properties,
      qos: message.qos,
      retain: false,
      expiresAt: message.expiresAt,
    });
    this.limitLife(letter);
    this.publishOwn(letter, undefined);
  }

  /** @internal the record of a QoS 1 message is durable. */
  committedQoS1({ session, link, message, packetId, route }: QoS1Waiter): void {
    const taken = this.#distribute(message, route, session);
    // Only where it came: a client that has another connection by now sends it again.
    if (session.link !== link) return;
    session.inbound.pendingCount--;
    this.#acknowledge(link, PUBACK, packetId, taken);
  }

  /** @internal the record of a QoS 2 message is durable. */
  committedQoS2(waiter: QoS2Waiter): void {
    const { session, message, packetId } = waiter;
    const { inbound } = session;
    inbound.storing?.delete(packetId);
    inbound.ids.add(packetId);
    const taken = this.#distribute(message, waiter.route, session);
    if (session.link === waiter.link) {
      inbound.pendingCount--;
      // Each repetition has its answer [MQTT-4.3.3-10].
      for (let n = 0; n <= waiter.repetitions; n++) this.#acknowledge(waiter.link, PUBREC, packetId, taken);
    } else {
      // Open since an earlier connection, as far as this one's Receive Maximum goes.
      inbound.carriedCount++;
    }
    const { releasedOn } = waiter;
    if (releasedOn !== undefined && releasedOn === session.link) this.pubrel(session, releasedOn, packetId);
  }

  /** @returns the route that it took. */
  #distribute(message: Message, route: MessageRoute, session: Session): MessageRoute {
    if (message.retain) this.#retain(message);
    const taken = fresh(this.#env, route);
    this.#env.fanOut.route(message, taken, session);
    this.#published(message, session);
    return taken;
  }

  #published(message: Message, session: Session | undefined): void {
    const { published } = this.#env.hooks;
    if (published === undefined) return;
    const link = session?.link;
    link?.suspend();
    published(message, session, () => link?.resume());
  }

  #acknowledge(link: SessionLink, header: number, packetId: number, route: MessageRoute | undefined): void {
    const nobody = route !== undefined && route.empty && route.state === RouteState.fresh;
    writeAck(link, header, packetId, nobody ? ReasonCode.noMatchingSubscribers : 0);
    count(this.#env.counters, header === PUBACK ? C.sentPuback : C.sentPubrec);
  }

  #pubcomp(link: SessionLink, packetId: number, reasonCode: number): void {
    writeAck(link, PUBCOMP, packetId, reasonCode);
    count(this.#env.counters, C.sentPubcomp);
  }

  /**
   * Whether a QoS 1 or 2 message may be accepted; after this it never is refused. Where the retained messages, or those of
   * one client, are at their limit a publisher who can be told is refused; one who cannot is not made to wait for room that may never come:
   * its message is delivered and not kept.
   */
  #admit(message: Message, canBeTold: boolean): Refusal | undefined {
    if (this.#env.budget.isExhausted()) return this.#noRoom('memory');
    if (canBeTold && message.retain) {
      const refusal = this.#env.retention.refusalOf(message);
      if (refusal !== undefined) return refusal === 'quota' ? OVER_RETAINED_QUOTA : OVER_RETAINED_LIMIT;
    }
    const reasonCode = this.#env.store.admit(message.weight);
    if (reasonCode === 0) {
      if (this.#shortage?.isThere === true) this.#shortage.taken();
      return undefined;
    }
    return reasonCode === ReasonCode.quotaExceeded
      ? this.#noRoom('storage')
      : { reasonCode, counter: C.refusedStorage };
  }

  #noRoom(shortOf: ShortOf): Refusal {
    this.#shortage?.refused(shortOf);
    return NO_ROOM;
  }

  /** v5 publishers are told, 3.1.1 publishers wait without acknowledgement until there is room again. */
  #refuse(
    session: Session,
    link: SessionLink,
    message: Message,
    packetId: number,
    header: number,
    { reasonCode, counter }: Refusal,
    again: () => void,
  ): void {
    if (link.version === 5) {
      count(this.#env.counters, counter);
      writeAck(link, header, packetId, reasonCode);
      count(this.#env.counters, header === PUBACK ? C.sentPuback : C.sentPubrec);
      return;
    }
    count(this.#env.counters, C.refusedHeld);
    message.detach();
    link.suspend();
    this.#env.timers.at(this.#env.clock.now() + HOLD_RETRY_MS, () => {
      if (session.link === link) {
        again();
        link.resume();
      }
    });
  }

  /** See MeshHost. */
  mergeRetained(message: Message, isDelivered: boolean): void {
    const { store, commits } = this.#env;
    // Nor does a replay deliver it then.
    const isToDeliver = !isDelivered && !message.aheadOfStream;
    if (isDelivered) message.aheadOfStream = true;
    const position = store.append(message, undefined);
    if (isDelivered) message.aheadOfStream = false;
    this.#keepOrClear(message);
    if (isToDeliver) commits.after(position, { committed: () => this.publishPassing(message) });
  }

  /** One of another gateway that stands, whatever was doubted. */
  #keep(message: Message): void {
    message.mayBeRemoved = false;
    this.#keepOrClear(message);
  }

  /** See MeshHost. */
  deliverAhead(topic: string): void {
    const ahead = this.#env.retention.newestOf(topic);
    if (ahead?.aheadOfStream === true) this.mergeRetained(ahead.copy(), false);
  }

  /** The topic has nothing any more, and nothing is said of it. */
  discardRetained(topic: string): void {
    const { retention } = this.#env;
    retention.delete(topic);
    retention.forgetTombstone(topic);
  }

  /** Keeps or clears the retained message of the topic: one that is stored. */
  #retain(message: Message): void {
    if (!this.#isOvertaken(message)) this.#keepOrClear(message);
  }

  #keepOrClear(message: Message): void {
    const { retention, counters } = this.#env;
    if (message.payloadLength === 0) {
      retention.clear(message);
      return;
    }
    const refusal = retention.keep(message);
    if (refusal === undefined) return;
    count(counters, refusal === 'quota' ? C.refusedRetainedQuota : C.refusedRetained);
    this.#env.mesh?.notRetained(message);
  }

  /** The same of a message of QoS 0, for which nobody waits; it is stored, so that it is there after a restart. @returns false: it found no room */
  #retainQoS0(message: Message): boolean {
    const { retention, store, counters } = this.#env;
    this.#numberRetained(message);
    if (message.payloadLength > 0) {
      const refusal = retention.refusalOf(message);
      if (refusal !== undefined) {
        count(counters, refusal === 'quota' ? C.refusedRetainedQuota : C.refusedRetained);
        return false;
      }
      if (this.#isWorthStoring(message) && store.admit(message.weight) === 0)
        store.append(message, undefined);
      if (!this.#isOvertaken(message)) retention.keep(message);
    } else if (store.retained.get(message.topic) !== undefined) {
      if (this.#isWorthStoring(message)) store.append(message, undefined);
      if (!this.#isOvertaken(message)) {
        retention.clear(message);
        if (message.position > 0) this.#noteCleared(message);
      }
    }
    this.#forwardWhenCommitted(message);
    return true;
  }

  /** A retained message of QoS 0 is delivered here at once; others get it when it is in the log for good. */
  #forwardWhenCommitted(message: Message): void {
    const { mesh, commits, router } = this.#env;
    if (mesh === undefined || message.topic.startsWith('$')) return;
    // Also one that is in no log: it waits behind those that are not stored yet.
    message.detach();
    commits.after(message.position, {
      committed: () => mesh.forward(message, router.resolve(message.topic).remotes),
    });
  }

  /** In a mesh it is the newest of those that are known. */
  #numberRetained(message: Message): void {
    const { mesh, retention } = this.#env;
    if (mesh !== undefined && !message.topic.startsWith('$'))
      message.retainedCounter = nextRetainedCounter(retention.counterOf(message.topic), mesh.retainedFloor);
  }

  /**
   * A message of QoS 0 does not wait for the log: one that stands before it there is not the newest when its turn comes. Nor need the last one of a topic
   * be the newest that has come to the greatest counter: that may be another gateway's.
   */
  #isOvertaken(message: Message): boolean {
    const { topic, position } = message;
    const { mesh, retention } = this.#env;
    if (mesh !== undefined && message.retainedCounter > 0) {
      const newest = retention.newestOf(topic);
      return newest !== undefined && compareNewness(newest, message, mesh) > 0;
    }
    if (position === 0) return false;
    const newest = this.#env.store.retained.get(topic)?.position ?? 0;
    return Math.max(newest, this.#clearedAt.get(topic) ?? 0) > position;
  }

  #noteCleared({ topic, position }: Message): void {
    const { store, commits } = this.#env;
    if (position <= store.committed) return;
    this.#clearedAt.set(topic, position);
    commits.after(position, {
      committed: () => {
        if (this.#clearedAt.get(topic) === position) this.#clearedAt.delete(topic);
      },
    });
  }

  /** What the gateway says of itself is said anew after a restart. */
  #isWorthStoring({ qos, topic }: Message): boolean {
    return qos === 0 && !topic.startsWith('$SYS/');
  }
}

/** A route may have gone stale, or out of the cache, while its message waited for the log. */
function fresh(env: SessionEnvironment, route: MessageRoute): MessageRoute {
  if (route.state === RouteState.fresh) return route;
  if (route.state === RouteState.evicted) return env.router.resolve(route.topic);
  env.router.refresh(route);
  return route;
}

class ForwardedWaiter implements Waiter {
  constructor(
    readonly ingest: Ingest,
    readonly message: Message,
  ) {}

  committed(): void {
    this.ingest.committedForwarded(this.message);
  }
}

class QoS1Waiter implements Waiter {
  constructor(
    readonly ingest: Ingest,
    readonly session: Session,
    readonly link: SessionLink,
    readonly message: Message,
    readonly packetId: number,
    readonly route: MessageRoute,
  ) {}

  committed(): void {
    this.ingest.committedQoS1(this);
  }
}

export class QoS2Waiter implements Waiter {
  /** The connection on which PUBREL came already. */
  releasedOn: SessionLink | undefined;
  /** How often the packet came again on `link`. */
  repetitions = 0;

  constructor(
    readonly ingest: Ingest,
    readonly session: Session,
    /** The connection to answer: the newest on which the packet arrived. */
    public link: SessionLink,
    readonly message: Message,
    readonly packetId: number,
    readonly route: MessageRoute,
  ) {}

  committed(): void {
    this.ingest.committedQoS2(this);
  }
}
