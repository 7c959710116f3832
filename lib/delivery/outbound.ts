/**
 * Everything that leaves for one session: QoS 0 at once or never, QoS 1 and 2 through the window, what does not fit waits
 * in the backlog, first in, first out.
 *
 *     deliver ─▶ backlog ─▶ in flight (packet ids) ─▶ outbox ─▶ client
 *                              ▲                                  │ PUBACK, PUBREC, PUBCOMP
 *                              └────────────── acknowledged ──────┘
 *
 * QoS 0 is dropped for a client that has `clientOutputMaxBytes` of output pending, or when the memory budget of all clients
 * is used up. Each drop is counted by reason.
 *
 * A gateway holds many sessions that say little: the parts are made for the first message that needs them.
 */
import type { Outbox } from '../connection/outbox.js';
import {
  type DeliveryFlags,
  type InFlightImage,
  type LogPosition,
  type OwedImage,
  type OwedTopic,
  OWED_FLAG,
  type RoutedMessage,
  type SessionRecord,
} from '../contracts/store.js';
import { type Message, NEVER } from '../message/message.js';
import type { QoS } from '../protocol/packet.js';
import type { RouteTarget } from '../routing/subscription.js';
import type { SessionEnvironment, SessionLink } from '../session/environment.js';
import type { OutboundWindow } from '../session/outbound-window.js';
import type { Session } from '../session/session.js';
import { count, C } from '../telemetry/counters.js';
import { Backlog } from './backlog.js';
import { RETAIN_FLAG, type Run } from './fan-out.js';
import { InFlight } from './in-flight.js';
import { OwedRetained } from './owed-retained.js';
import { PUBLISH, RETAIN, Transmitter } from './transmitter.js';

/** The backlog is not emptied into an outbox that has more than this pending: it stays where it is cheap. */
const PUMP_BELOW_BYTES = 262144;

export class Outbound {
  readonly #session: Session;
  readonly #env: SessionEnvironment;
  /** Set while the session has a connection. */
  #transmitter: Transmitter | undefined;
  #inFlight: InFlight | undefined;
  #backlog: Backlog | undefined;
  #owed: OwedRetained | undefined;
  /** Of owed messages that wait for the log. */
  #owedStoringBytes = 0;
  /** `pump`, for those who call back. */
  #pumpCallback: (() => void) | undefined;

  constructor(session: Session, env: SessionEnvironment) {
    this.#session = session;
    this.#env = env;
  }

  /** Messages of QoS 1 and 2 without their last acknowledgement. */
  get inFlightCount(): number {
    return this.#inFlight?.window.used ?? 0;
  }

  /** Undefined where nothing was ever in flight. */
  get window(): OutboundWindow | undefined {
    return this.#inFlight?.window;
  }

  get queuedCount(): number {
    return this.#backlog?.queue.count ?? 0;
  }

  get queuedBytes(): number {
    return this.#backlog?.queue.bytes ?? 0;
  }

  /** A message for this session. @param maxQoS what the subscription was granted. @param keepRetain Retain As Published. */
  deliver(
    message: Message,
    maxQoS: QoS,
    keepRetain: boolean,
    identifiers: readonly number[] | undefined,
  ): void {
    const qos = message.qos < maxQoS ? message.qos : maxQoS;
    const retain = message.retain && keepRetain;
    if (qos === 0) this.#deliverQoS0(message, retain, identifiers);
    else this.#deliverQueued(message, retain ? qos | RETAIN_FLAG : qos, identifiers);
  }

  /** @returns false where this receiver needs the messages one by one. */
  deliverRun(run: Run, target: RouteTarget<Session>): boolean {
    const transmitter = this.#transmitter;
    if (transmitter === undefined) {
      count(this.#env.counters, C.droppedOffline, run.count);
      return true;
    }
    if (
      target.identifiers !== undefined ||
      this.#env.hooks.authorizeForward !== undefined ||
      !transmitter.takesRun(run)
    ) {
      return false;
    }
    if (this.#mayTake(transmitter.link.outbox, run.count)) transmitter.transmitRun(run);
    return true;
  }

  /** The retained messages of a new subscription; they leave as the client takes them, the whole set. */
  oweRetained(
    topics: readonly string[],
    filter: string,
    qos: QoS,
    identifiers: readonly number[] | undefined,
  ): void {
    this.#owing().add(topics, filter, qos, identifiers);
    this.pump();
  }

  /** Before a message of a shared subscription is delivered: see `assignedAt` of InFlight. */
  awaitAssignment(position: LogPosition): void {
    this.#flight().assignedAt = position;
  }

  /** Before a subscription ends: see InFlight. */
  recordOwed(): void {
    this.#inFlight?.recordOwed();
  }

  /** A subscription is over: what is owed for it would be new messages [MQTT-3.10.4-2]. */
  dropOwed(filter: string): void {
    this.#owed?.drop(filter);
  }

  /** The session has a connection; `pump` begins with what was in flight. */
  attach(link: SessionLink): void {
    this.#transmitter = new Transmitter(link, this.#env);
    this.#inFlight?.attach(this.#transmitter);
  }

  detach(): void {
    this.#transmitter = undefined;
    // A session that stays is owed them still.
    if (!this.#session.durable) this.#owed = undefined;
    this.#inFlight?.detach();
  }

  /** Drops what waits; what is in flight stays. */
  clearQueue(): void {
    this.#owed = undefined;
    this.#backlog?.clear();
  }

  /** Memory is short: what can be read back is not held. */
  releaseMemory(): void {
    this.#backlog?.release();
  }

  /** The session is over: what waits will never be delivered. */
  end(): void {
    this.clearQueue();
    this.#inFlight?.end();
  }

  // What the client answers.

  puback(id: number, reasonCode: number): void {
    if (this.#inFlight?.puback(id, reasonCode) === true) this.pump();
  }

  pubrec(id: number, reasonCode: number): void {
    if (this.#flight().pubrec(id, reasonCode)) this.pump();
  }

  pubcomp(id: number): void {
    if (this.#inFlight?.pubcomp(id) === true) this.pump();
  }

  /** Called some times a second while the session is connected. */
  tick(now: number): void {
    if (this.#inFlight === undefined) return;
    const behind = (this.#transmitter?.link.outbox.pending ?? 0) >= PUMP_BELOW_BYTES;
    if (this.#inFlight.tick(now, behind)) this.pump();
  }

  // What leaves when there is room: packets of an earlier connection, the backlog, retained messages.

  pump(): void {
    const transmitter = this.#transmitter;
    if (transmitter === undefined) return;
    const { outbox, sendWindow } = transmitter.link;
    outbox.onTaken = undefined;
    const inFlight = this.#inFlight;
    while (inFlight !== undefined && inFlight.resends) {
      if (!inFlight.mayResend(sendWindow) || this.#isBehind(outbox)) return;
      inFlight.resendNext();
    }
    if (this.#backlog !== undefined && !this.#pumpBacklog(transmitter, this.#backlog)) return;
    if (this.#owed !== undefined) this.#pumpOwed(transmitter, this.#owed);
  }

  /** @returns whether nothing waits any more. */
  #pumpBacklog(transmitter: Transmitter, backlog: Backlog): boolean {
    const { queue } = backlog;
    while (queue.count > 0) {
      if (!queue.ready || backlog.isHeld || !this.#hasRoom(transmitter)) return false;
      const message = queue.headMessage;
      const flags = queue.headFlags;
      const identifiers = queue.headIdentifiers;
      backlog.shift();
      this.#send(message, flags, identifiers);
    }
    return true;
  }

  #pumpOwed(transmitter: Transmitter, owed: OwedRetained): void {
    while (this.#owedStoringBytes < PUMP_BELOW_BYTES && this.#hasRoom(transmitter)) {
      const message = owed.take(this.#env.clock.now());
      const { taken } = owed;
      if (message === undefined || taken === undefined) {
        this.#owed = undefined;
        return;
      }
      // Read access may have been taken away since it was asked for.
      if (!this.#session.canReceive(message.topic)) continue;
      const qos = lesser(message.qos, taken.qos);
      if (qos > 0) this.#send(message, qos | RETAIN_FLAG | OWED_FLAG, taken.identifiers);
      else this.#sendOwedQoS0(transmitter, message, taken);
    }
  }

  /** It leaves once it is stored that it did, or it would leave again after a restart. */
  #sendOwedQoS0(transmitter: Transmitter, message: Message, owed: OwedImage): void {
    const { weight, topic } = message;
    const position = this.#recordUnsent(message, topic);
    const send = (): void => {
      // The one that has replaced it meanwhile may have gone to the client already: an older one would come too late.
      const current = this.#env.store.retained.get(topic);
      if (this.#transmitter !== transmitter || current === undefined) return;
      // After UNSUBSCRIBE it would be a new message [MQTT-3.10.4-2].
      if (this.#session.subscriptions.get(owed.filter) === undefined) return;
      if (!this.#session.canReceive(topic)) return;
      if (lesser(current.qos, owed.qos) > 0) {
        // It waits for its turn; a crash may take that away, and leaves the copy for the subscription.
        this.#owing().addAgain(owed);
        this.pump();
        return;
      }
      const forwarded = this.#forwarded(current);
      if (forwarded !== undefined) transmitter.transmit(forwarded, PUBLISH | RETAIN, 0, owed.identifiers);
    };
    if (position === 0) {
      send();
      return;
    }
    this.#owedStoringBytes += weight;
    this.#env.commits.after(position, {
      committed: () => {
        const wasFull = this.#owedStoringBytes >= PUMP_BELOW_BYTES;
        this.#owedStoringBytes -= weight;
        send();
        if (wasFull) this.pump();
      },
    });
  }

  /** Whether a message that has waited for its turn may leave now. */
  #hasRoom({ link }: Transmitter): boolean {
    const inFlight = this.#inFlight;
    return (inFlight === undefined || inFlight.hasRoom(link.sendWindow)) && !this.#isBehind(link.outbox);
  }

  /** Whether to wait for the client to take its output; arranges to be called when it has. */
  #isBehind(outbox: Outbox): boolean {
    if (outbox.pending < PUMP_BELOW_BYTES) return false;
    outbox.onTaken = this.#pumpLater;
    return true;
  }

  // One message.

  #deliverQoS0(message: Message, retain: boolean, identifiers: readonly number[] | undefined): void {
    const transmitter = this.#transmitter;
    if (transmitter === undefined) {
      count(this.#env.counters, C.droppedOffline);
      return;
    }
    const forwarded = this.#forwarded(message);
    if (forwarded === undefined) return;
    if (message.expiresAt !== NEVER && message.expiresAt <= this.#env.clock.now())
      count(this.#env.counters, C.droppedExpired);
    else if (this.#mayTake(transmitter.link.outbox, 1))
      transmitter.transmit(forwarded, retain ? PUBLISH | RETAIN : PUBLISH, 0, identifiers);
  }

  #mayTake(outbox: Outbox, messages: number): boolean {
    // QoS 0 may not keep the output so full that what waits in the backlog never gets its turn.
    const { clientOutputMaxBytes } = this.#env.limits;
    const maxBytes =
      this.queuedCount > 0 ? Math.min(clientOutputMaxBytes, PUMP_BELOW_BYTES / 2) : clientOutputMaxBytes;
    if (outbox.pending > maxBytes) {
      count(this.#env.counters, C.droppedSlowConsumer, messages);
      return false;
    }
    if (this.#env.budget.exhausted) {
      count(this.#env.counters, C.droppedMemory, messages);
      return false;
    }
    return true;
  }

  #deliverQueued(message: Message, flags: number, identifiers: readonly number[] | undefined): void {
    const transmitter = this.#transmitter;
    const passes = this.queuedCount === 0 && this.#backlog?.mayPass !== false;
    if (transmitter !== undefined && passes && this.#hasRoom(transmitter)) {
      this.#send(message, flags, identifiers);
      return;
    }
    // It may have ended since its route was looked up: nobody would give the memory back.
    if (this.#session.ended) {
      count(this.#env.counters, C.droppedSessionEnded);
      return;
    }
    this.#waiting().push(message, flags, identifiers);
  }

  /** A QoS 1 or 2 message whose turn it is. */
  #send(message: Message, flags: DeliveryFlags, identifiers: readonly number[] | undefined): void {
    const topic = (flags & OWED_FLAG) === 0 ? undefined : message.topic;
    if (this.#env.hooks.authorizeForward === undefined) {
      if (!this.#flight().send(message, flags, identifiers)) this.#recordUnsent(message, topic);
      return;
    }
    const forwarded = this.#forwarded(message);
    if (forwarded === undefined) {
      this.#recordUnsent(message, topic);
      return;
    }
    // A copy that the hook changed stands for the same record of the log.
    forwarded.position = message.position;
    const qos = forwarded.qos < (flags & 3) ? forwarded.qos : flags & 3;
    if (qos > 0) {
      if (!this.#flight().send(forwarded, (flags & ~3) | qos, identifiers))
        this.#recordUnsent(message, topic);
    } else {
      this.#recordUnsent(message, topic);
      this.#deliverForwardedQoS0(forwarded, (flags & RETAIN_FLAG) !== 0, identifiers);
    }
  }

  #deliverForwardedQoS0(message: Message, retain: boolean, identifiers: readonly number[] | undefined): void {
    const transmitter = this.#transmitter;
    if (transmitter === undefined) count(this.#env.counters, C.droppedOffline);
    else if (this.#mayTake(transmitter.link.outbox, 1))
      transmitter.transmit(message, retain ? PUBLISH | RETAIN : PUBLISH, 0, identifiers);
  }

  /** After a restart it would wait again. @returns where that is stored; 0: it need not be. */
  #recordUnsent({ position }: Message, topic?: string): LogPosition {
    if (!this.#session.durable || (position === 0 && topic === undefined)) return 0;
    const { clientId } = this.#session;
    return this.#env.store.record({ kind: 'delivered', clientId, packetId: 0, position, topic });
  }

  /** What the embedder's hook makes of the message for this client; undefined: it does not get it. */
  #forwarded(message: Message): Message | undefined {
    const { authorizeForward } = this.#env.hooks;
    if (authorizeForward === undefined) return message;
    try {
      const forwarded = authorizeForward(this.#session, message);
      if (forwarded !== null) return forwarded;
      count(this.#env.counters, C.droppedNotForwarded);
    } catch (error) {
      // The hook made a packet of it that MQTT cannot carry.
      count(this.#env.counters, C.droppedEncodeFailure);
      this.#env.logger.warn('a message cannot be encoded for a client', {
        client: this.#session.clientId,
        topic: message.topic,
        reason: String(error),
      });
      this.#env.ingest.deadLetter(message, this.#session.clientId, 'encode_failure');
    }
    return undefined;
  }

  // What storage keeps of it, and gives back after a restart.

  get image(): { inFlight: InFlightImage[]; burned: number[]; owed: OwedImage[] } {
    return {
      inFlight: this.#inFlight?.image ?? [],
      burned: this.#inFlight?.window.burned() ?? [],
      owed: this.#owed?.rest ?? [],
    };
  }

  restore(image: {
    readonly inFlight: readonly InFlightImage[];
    readonly burned: readonly number[];
    readonly owed: readonly OwedImage[];
  }): void {
    for (const one of image.inFlight) this.#flight().restore(one);
    for (const id of image.burned) this.#flight().window.restoreBurned(id);
    for (const { topic, filter, qos, identifiers } of image.owed)
      this.#owing().add([topic], filter, qos, identifiers);
    // The queue comes back with what waits in it.
    this.#waiting();
  }

  /** A message from the log that the session is to get. */
  replayDelivery(
    message: RoutedMessage,
    flags: DeliveryFlags,
    identifiers: readonly number[] | undefined,
  ): void {
    this.#waiting().restore(message, flags, identifiers);
  }

  /** A message of a shared subscription for which the session was chosen. */
  replayAssigned(
    message: RoutedMessage,
    flags: DeliveryFlags,
    identifiers: readonly number[] | undefined,
  ): void {
    this.#waiting().assign(message, flags, identifiers);
  }

  replay(
    record: Extract<SessionRecord, { kind: 'sent' | 'pubrec' | 'delivered' | 'givenUp' | 'dropped' }>,
  ): void {
    if (record.kind === 'dropped') {
      this.#waiting().settle(record.from, record.to);
      return;
    }
    const { packetId } = record;
    if (record.kind === 'pubrec') {
      this.#flight().replayPubrec(packetId);
      return;
    }
    const { position, topic } = record;
    if (record.kind === 'sent') {
      const { flags, identifiers } = record;
      this.#unqueue(position, topic, (flags & 3) === 1 ? 1 : 2);
      this.#flight().restore({ packetId, released: false, flags, identifiers, position, topic });
    } else if (!this.#flight().replayDelivered(packetId, position, record.kind === 'givenUp')) {
      // Of QoS 2 it would be in the window.
      this.#unqueue(position, topic, packetId === 0 ? undefined : 1);
    }
  }

  /**
   * The message does not wait any more. @param topic undefined: it was not owed; the same message may be owed and wait, too.
   * @param qos with which it was sent: by itself and through a shared subscription it may wait with two, for two filters be owed with two
   */
  #unqueue(position: LogPosition, topic: OwedTopic, qos: QoS | undefined): void {
    if (topic !== undefined) this.#owed?.remove(topic, qos ?? 0);
    else if (position > 0) this.#waiting().settle(position, position, qos);
  }

  /** The session ended before the restart. */
  forget(): void {
    this.#backlog?.forget();
    this.#backlog = undefined;
    this.#inFlight = undefined;
    this.#owed = undefined;
  }

  /** Reads what `attach` and `pump` will need first. */
  load(loaded: () => void): void {
    if (this.#inFlight === undefined) loaded();
    else this.#inFlight.load(loaded);
  }

  #waiting(): Backlog {
    return (this.#backlog ??= new Backlog(this.#session.clientId, this.#env, this.#pumpLater));
  }

  #owing(): OwedRetained {
    return (this.#owed ??= new OwedRetained(this.#env.store.retained));
  }

  #flight(): InFlight {
    return (this.#inFlight ??= new InFlight(this.#session, this.#env, this.#transmitter, this.#pumpLater));
  }

  get #pumpLater(): () => void {
    return (this.#pumpCallback ??= () => this.pump());
  }
}

function lesser(one: QoS, other: QoS): QoS {
  return one < other ? one : other;
}
