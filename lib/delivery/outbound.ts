/**
 * Everything that leaves for one session: QoS 0 at once or never, QoS 1 and 2 through the window, what does not fit waits
 * in the queue, first in, first out.
 *
 *     deliver ─▶ queue ─▶ window (packet ids) ─▶ outbox ─▶ client
 *                            ▲                                │ PUBACK, PUBREC, PUBCOMP
 *                            └────────────── acknowledged ────┘
 *
 * Policies when something is full: QoS 0 is dropped for a client that has `clientOutputMaxBytes` of output pending, or when
 * the memory budget of all clients is used up. QoS 1 and 2 wait in the queue up to its count and byte caps; beyond
 * them the newest message is dropped for this session. Each drop is counted by reason.
 */
import { BUFFER_BYTES, type Outbox } from '../connection/outbox.js';
import { publishSize, type PublishVariant, writePublish } from '../connection/publish-writer.js';
import type { DeliveryQueue, LogPosition } from '../contracts/store.js';
import { type Message, NEVER } from '../message/message.js';
import type { QoS } from '../protocol/packet.js';
import { ReasonCode } from '../protocol/reason-code.js';
import type { RouteTarget } from '../routing/subscription.js';
import type { SessionEnvironment, SessionLink } from '../session/environment.js';
import { OutboundWindow, SlotState } from '../session/outbound-window.js';
import type { Session } from '../session/session.js';
import { count, C } from '../telemetry/counters.js';
import { PUBREL, writeAck } from './ack-writer.js';
import type { Run } from './fan-out.js';
import { retryDelayMs } from './retry-policy.js';

/** The queue is not emptied into an outbox that has more than this pending: a slow client's backlog stays where it is cheap. */
const PUMP_BELOW_BYTES = 262144;
const DUP = 0x08;
const RETAIN_FLAG = 4;
/** How long a message may wait for its acknowledgement before it is copied out of the read buffer it came in. */
const DETACH_AFTER_MS = 1000;
const SCAN_INTERVAL_MS = 1000;

const SENT_COUNTERS = [C.messagesSentQoS0, C.messagesSentQoS1, C.messagesSentQoS2] as const;

/** Scratch: the writer reads it before the next message is looked at. */
const variant: PublishVariant = {
  header: 0,
  packetId: 0,
  v5: false,
  expiryS: 0,
  identifiers: undefined,
  alias: 0,
  aliasKnown: false,
};

/** A retained message that a subscription is still owed. It is read when it is sent, so that nobody gets an older one after a newer. */
interface OwedRetained {
  readonly topic: string;
  readonly qos: QoS;
  readonly identifiers: readonly number[] | undefined;
}

export class Outbound {
  readonly window = new OutboundWindow();
  readonly #session: Session;
  readonly #env: SessionEnvironment;
  #queue: DeliveryQueue | undefined;
  #link: SessionLink | undefined;
  /** Packet ids of earlier connections that this one has not been sent again yet. */
  #resend: number[] = [];
  /** Ids whose last step waits for the log, with its position: nothing of them leaves before, on whatever connection. */
  #storing: Map<number, LogPosition> | undefined;
  #owed: OwedRetained[] = [];
  #owedNext = 0;
  #aliases: Map<string, number> | undefined;
  #scanAt = 0;
  #queueWasFull = false;
  readonly #pump = (): void => this.pump();

  constructor(session: Session, env: SessionEnvironment) {
    this.#session = session;
    this.#env = env;
  }

  get queuedCount(): number {
    return this.#queue?.count ?? 0;
  }

  get queuedBytes(): number {
    return this.#queue?.bytes ?? 0;
  }

  /**
   * A message for this session. @param maxQoS what the subscription was granted. @param keepRetain Retain As Published.
   */
  deliver(
    message: Message,
    maxQoS: QoS,
    keepRetain: boolean,
    identifiers: readonly number[] | undefined,
  ): void {
    if (this.#env.hooks.authorizeForward !== undefined) {
      const forwarded = this.#forwarded(message);
      if (forwarded === undefined) return;
      message = forwarded;
    }
    const qos = message.qos < maxQoS ? message.qos : maxQoS;
    const retain = message.retain && keepRetain;
    if (qos === 0) this.#deliverQoS0(message, retain, identifiers);
    else this.#deliverQueued(message, retain ? qos | RETAIN_FLAG : qos, identifiers);
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

  /** @returns false where this receiver needs the messages one by one. */
  deliverRun(run: Run, target: RouteTarget<Session>): boolean {
    const link = this.#link;
    if (link === undefined) {
      count(this.#env.counters, C.droppedOffline, run.count);
      return true;
    }
    if (
      (link.version === 5) !== run.v5 ||
      target.identifiers !== undefined ||
      link.topicAliasMaximum > 0 ||
      run.frameMaxBytes > link.maximumPacketSize ||
      this.#env.hooks.authorizeForward !== undefined
    ) {
      return false;
    }
    const { outbox } = link;
    if (!this.#mayTake(outbox, run.count)) return true;
    outbox.append(run.bytes, true);
    count(this.#env.counters, C.messagesSentQoS0, run.count);
    count(this.#env.counters, C.messageBytesSent, run.bytes.length);
    return true;
  }

  /** The retained messages of a new subscription; they leave as the client takes them, the whole set. */
  oweRetained(topics: readonly string[], qos: QoS, identifiers: readonly number[] | undefined): void {
    for (const topic of topics) this.#owed.push({ topic, qos, identifiers });
    this.pump();
  }

  /** The session has a connection: first what was in flight, in its old order [MQTT-4.4.0-1], then the queue. */
  attach(link: SessionLink): void {
    this.#link = link;
    this.#resend = [];
    for (const id of this.window.idsInOrder()) {
      if (this.#isExhausted(id)) this.#giveUp(id);
      else this.#resend.push(id);
    }
  }

  detach(): void {
    this.#link = undefined;
    this.#aliases = undefined;
    this.#resend = [];
    this.#queueOwed();
    this.window.detachMessages();
  }

  /** Drops what waits; what is in flight stays. */
  clearQueue(): void {
    if (this.#queue === undefined) return;
    if (this.#queue.count > 0) count(this.#env.counters, C.droppedSessionEnded, this.#queue.count);
    this.#env.budget.used -= this.#queue.bytes;
    this.#queue.clear();
  }

  /** The session is over: what waits will never be delivered. */
  end(): void {
    this.clearQueue();
    if (this.window.used > 0) count(this.#env.counters, C.droppedSessionEnded, this.window.used);
    this.#storing = undefined;
    for (const id of this.window.idsInOrder()) this.window.free(id);
  }

  puback(id: number, reasonCode: number): void {
    if (this.window.stateOf(id) !== SlotState.publish || (this.window.flagsOf(id) & 3) !== 1) return;
    const message = this.window.messageOf(id);
    if (reasonCode >= 0x80 && message !== undefined) this.#refusedByClient(message, reasonCode);
    this.#acknowledged(id);
    if (this.#env.hooks.onAck !== undefined) this.#env.hooks.onAck(this.#session, message, id, 1);
    this.pump();
  }

  pubrec(id: number, reasonCode: number): void {
    const state = this.window.stateOf(id);
    if (state === SlotState.free) {
      // Nothing is known of it, and the client may forget the id too [MQTT 5, 3.6.2.1]; after an error it has already.
      if (reasonCode < 0x80) this.#sendPubrel(id, ReasonCode.packetIdentifierNotFound);
      return;
    }
    if (state === SlotState.pubrel) {
      if (this.#storing?.has(id) !== true) this.#sendPubrel(id, 0);
      return;
    }
    if ((this.window.flagsOf(id) & 3) !== 2) return;
    if (reasonCode >= 0x80) {
      const message = this.window.messageOf(id);
      if (message !== undefined) this.#refusedByClient(message, reasonCode);
      this.#acknowledged(id);
      this.pump();
      return;
    }
    this.window.toPubrel(id, this.#env.clock.now());
    if (!this.#session.durable) {
      this.#sendPubrel(id, 0);
      return;
    }
    const { clientId } = this.#session;
    const position = this.#env.store.record({ kind: 'pubrec', clientId, packetId: id });
    this.#whenStored(id, position, () => this.#sendPubrel(id, 0));
  }

  pubcomp(id: number): void {
    if (this.window.stateOf(id) !== SlotState.pubrel) {
      this.window.settle(id);
      return;
    }
    this.#acknowledged(id);
    if (this.#env.hooks.onAck !== undefined) this.#env.hooks.onAck(this.#session, undefined, id, 2);
    this.pump();
  }

  /** Called some times a second while the session is connected. */
  tick(now: number): void {
    if (this.window.used === 0 || now < this.#scanAt) return;
    this.#scanAt = now + SCAN_INTERVAL_MS;
    const link = this.#link;
    for (const id of this.window.idsInOrder()) {
      const waited = now - this.window.sentAtOf(id);
      if (waited >= DETACH_AFTER_MS) this.window.messageOf(id)?.detach();
      if (link === undefined || link.version === 5 || this.#resend.includes(id)) continue;
      if (this.#storing?.has(id) === true) continue;
      const attempts = this.window.attemptsOf(id);
      if (waited < retryDelayMs(attempts, this.#env.limits)) continue;
      if (this.#isExhausted(id)) this.#giveUp(id);
      else this.#sendAgain(link, id, now);
    }
    this.pump();
  }

  /** Moves on what can move: packets of an earlier connection, the queue, retained messages. */
  pump(): void {
    const link = this.#link;
    if (link === undefined) return;
    const { outbox } = link;
    outbox.onTaken = undefined;
    while (this.#resend.length > 0) {
      if (this.window.used - this.#resend.length >= link.sendWindow) return;
      if (this.#isBehind(outbox)) return;
      const [id] = this.#resend;
      if (id !== undefined && this.#storing?.has(id) === true) return;
      this.#resend.shift();
      if (id !== undefined && this.window.stateOf(id) !== SlotState.free)
        this.#sendAgain(link, id, this.#env.clock.now());
    }
    const queue = this.#queue;
    while (queue !== undefined && queue.count > 0) {
      if (!queue.ready || this.window.used >= link.sendWindow || this.#isBehind(outbox)) return;
      const message = queue.headMessage;
      const flags = queue.headFlags;
      const identifiers = queue.headIdentifiers;
      const before = queue.bytes;
      queue.shift();
      this.#env.budget.used -= before - queue.bytes;
      this.#sendNew(link, message, flags, identifiers);
    }
    if (queue !== undefined) this.#queueWasFull = false;
    if (this.#owed.length > 0) this.#pumpRetained(link);
  }

  /** Retained messages that a session was still owed wait for its return like any other. */
  #queueOwed(): void {
    const owed = this.#owed.slice(this.#owedNext);
    this.#owed = [];
    this.#owedNext = 0;
    if (!this.#session.durable) return;
    for (const { topic, qos, identifiers } of owed) {
      const message = this.#env.store.retained.get(topic);
      const grantedQoS = message === undefined || message.qos < qos ? (message?.qos ?? 0) : qos;
      if (message !== undefined && grantedQoS > 0)
        this.#enqueue(message, grantedQoS | RETAIN_FLAG, identifiers);
    }
  }

  #pumpRetained(link: SessionLink): void {
    for (; this.#owedNext < this.#owed.length; this.#owedNext++) {
      if (this.window.used >= link.sendWindow || this.#isBehind(link.outbox)) return;
      const owed = this.#owed[this.#owedNext];
      const message = owed === undefined ? undefined : this.#env.store.retained.get(owed.topic);
      if (owed === undefined || message === undefined || message.expiresAt <= this.#env.clock.now()) continue;
      const sent = this.#forwarded(message);
      if (sent === undefined) continue;
      const qos = sent.qos < owed.qos ? sent.qos : owed.qos;
      if (qos === 0) this.#transmitQoS0(link, sent, true, owed.identifiers);
      else this.#sendNew(link, sent, qos | RETAIN_FLAG, owed.identifiers);
    }
    this.#owed = [];
    this.#owedNext = 0;
  }

  /** Whether to wait for the client to take its output; arranges to be called when it has. */
  #isBehind(outbox: Outbox): boolean {
    if (outbox.pending < PUMP_BELOW_BYTES) return false;
    outbox.onTaken = this.#pump;
    return true;
  }

  #mayTake(outbox: Outbox, messages: number): boolean {
    // QoS 0 may not keep the output so full that what waits in the queue never gets its turn.
    const queueWaits = this.#queue !== undefined && this.#queue.count > 0;
    const maxBytes = queueWaits ? PUMP_BELOW_BYTES / 2 : this.#env.limits.clientOutputMaxBytes;
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

  #deliverQoS0(message: Message, retain: boolean, identifiers: readonly number[] | undefined): void {
    const link = this.#link;
    if (link === undefined) {
      count(this.#env.counters, C.droppedOffline);
      return;
    }
    if (message.expiresAt !== NEVER && message.expiresAt <= this.#env.clock.now())
      count(this.#env.counters, C.droppedExpired);
    else if (this.#mayTake(link.outbox, 1)) this.#transmitQoS0(link, message, retain, identifiers);
  }

  #transmitQoS0(
    link: SessionLink,
    message: Message,
    retain: boolean,
    identifiers: readonly number[] | undefined,
  ): void {
    this.#transmit(link, message, retain ? 0x31 : 0x30, 0, identifiers);
  }

  #deliverQueued(message: Message, flags: number, identifiers: readonly number[] | undefined): void {
    const link = this.#link;
    if (
      link !== undefined &&
      this.#resend.length === 0 &&
      (this.#queue === undefined || this.#queue.count === 0) &&
      this.window.used < link.sendWindow &&
      !this.#isBehind(link.outbox)
    ) {
      this.#sendNew(link, message, flags, identifiers);
      return;
    }
    this.#enqueue(message, flags, identifiers);
  }

  #enqueue(message: Message, flags: number, identifiers: readonly number[] | undefined): void {
    const { limits, counters, budget } = this.#env;
    const queue = (this.#queue ??= this.#createQueue());
    if (
      queue.count >= limits.clientQueueMaxCount ||
      queue.bytes + message.weight > limits.clientQueueMaxBytes
    ) {
      count(counters, C.droppedQueueFull);
      this.#logFullQueue(queue);
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

  #createQueue(): DeliveryQueue {
    const queue = this.#env.store.createQueue(this.#session.clientId);
    queue.onReady = this.#pump;
    return queue;
  }

  #logFullQueue(queue: DeliveryQueue): void {
    if (this.#queueWasFull) return;
    this.#queueWasFull = true;
    this.#env.logger.warn('the queue of a client is full, newer messages for it are dropped', {
      client: this.#session.clientId,
      queued: queue.count,
      bytes: queue.bytes,
      raise: 'delivery.clientQueueMaxCount or delivery.clientQueueMaxBytes',
    });
  }

  #sendNew(
    link: SessionLink,
    message: Message,
    flags: number,
    identifiers: readonly number[] | undefined,
  ): void {
    const now = this.#env.clock.now();
    if (message.expiresAt <= now) {
      count(this.#env.counters, C.droppedExpired);
      return;
    }
    const id = this.window.allocate(message, flags, identifiers, now);
    const qos = flags & 3;
    if (qos === 2 && this.#session.durable) {
      const { clientId } = this.#session;
      const position = this.#env.store.record({ kind: 'sent', clientId, packetId: id, message });
      if (position > this.#env.store.committed) {
        this.#whenStored(id, position, () => {
          this.#transmitSlot(link, id);
          // It may have expired meanwhile, which leaves room for what is behind it.
          this.pump();
        });
        return;
      }
    }
    this.#transmitSlot(link, id);
  }

  /** Lets a step of an id out once it is stored: on the connection that it belongs to, or with what a later one resends. */
  #whenStored(id: number, position: LogPosition, send: () => void): void {
    const link = this.#link;
    (this.#storing ??= new Map()).set(id, position);
    this.#env.commits.after(position, {
      committed: () => {
        if (this.#storing?.get(id) !== position) return;
        this.#storing.delete(id);
        if (this.#link === link) send();
        else this.pump();
      },
    });
  }

  #transmitSlot(link: SessionLink, id: number): void {
    const message = this.window.messageOf(id);
    if (message === undefined || this.#link !== link) return;
    const flags = this.window.flagsOf(id);
    const header = 0x30 | ((flags & 3) << 1) | (flags >> 2);
    if (!this.#transmit(link, message, header, id, this.window.identifiersOf(id))) this.#acknowledged(id);
  }

  /** @returns false where the packet is larger than the client takes: it counts as delivered [MQTT-3.1.2-25]. */
  #transmit(
    link: SessionLink,
    message: Message,
    header: number,
    packetId: number,
    identifiers: readonly number[] | undefined,
  ): boolean {
    const { frames } = this.#env.fanOut;
    const v5 = link.version === 5;
    if (identifiers === undefined && link.topicAliasMaximum === 0 && frames.serves(message)) {
      const frame = frames.frame(message, v5, packetId !== 0);
      if (frame.length > link.maximumPacketSize) return this.#tooLarge();
      appendFrame(link.outbox, frame, header, packetId, message.topicBytes.length);
      this.#sent(header, frame.length);
      return true;
    }
    variant.header = header;
    variant.packetId = packetId;
    variant.v5 = v5;
    variant.identifiers = v5 ? identifiers : undefined;
    variant.expiryS = 0;
    variant.alias = 0;
    variant.aliasKnown = false;
    if (v5) {
      if (message.expiresAt !== NEVER) {
        const left = message.expiresAt - this.#env.clock.now();
        if (left <= 0 && (header & DUP) === 0) {
          count(this.#env.counters, C.droppedExpired);
          return false;
        }
        variant.expiryS = Math.max(1, Math.ceil(left / 1000));
      }
      if (link.topicAliasMaximum > 0) this.#chooseAlias(message.topic, link.topicAliasMaximum);
    }
    let size = publishSize(message, variant);
    if (size > link.maximumPacketSize) {
      if (variant.alias > 0 && !variant.aliasKnown) this.#aliases?.delete(message.topic);
      // The alias may be what is too much.
      variant.alias = 0;
      variant.aliasKnown = false;
      size = publishSize(message, variant);
      if (size > link.maximumPacketSize) return this.#tooLarge();
    }
    writePublish(link.outbox, message, variant);
    this.#sent(header, size);
    return true;
  }

  /** The first topics of a connection get its aliases: a device that listens to few topics gains, one that listens to many loses nothing. */
  #chooseAlias(topic: string, maximum: number): void {
    const aliases = (this.#aliases ??= new Map());
    const known = aliases.get(topic);
    if (known !== undefined) {
      variant.alias = known;
      variant.aliasKnown = true;
    } else if (aliases.size < maximum) {
      variant.alias = aliases.size + 1;
      aliases.set(topic, variant.alias);
    }
  }

  #sent(header: number, bytes: number): void {
    count(this.#env.counters, SENT_COUNTERS[(header >> 1) & 3] ?? C.messagesSentQoS0);
    count(this.#env.counters, C.messageBytesSent, bytes);
  }

  #tooLarge(): false {
    count(this.#env.counters, C.droppedTooLarge);
    return false;
  }

  #sendAgain(link: SessionLink, id: number, now: number): void {
    const message = this.window.messageOf(id);
    this.window.retried(id, now);
    count(this.#env.counters, C.messagesRedelivered);
    if (this.window.stateOf(id) === SlotState.pubrel) {
      this.#sendPubrel(id, 0);
      return;
    }
    if (message === undefined) return;
    const flags = this.window.flagsOf(id);
    const header = 0x30 | DUP | ((flags & 3) << 1) | (flags >> 2);
    if (!this.#transmit(link, message, header, id, this.window.identifiersOf(id))) this.#acknowledged(id);
  }

  #sendPubrel(id: number, reasonCode: number): void {
    if (this.#link === undefined) return;
    writeAck(this.#link, PUBREL, id, reasonCode);
    count(this.#env.counters, C.sentPubrel);
  }

  /** The last acknowledgement of a packet: its id is free. */
  #acknowledged(id: number, burned = false): void {
    if (this.#resend.length > 0) this.#resend = this.#resend.filter((other) => other !== id);
    this.#storing?.delete(id);
    if (burned) this.window.burn(id);
    else this.window.free(id);
    if (!this.#session.durable) return;
    this.#env.store.record({ kind: 'delivered', clientId: this.#session.clientId, packetId: id });
  }

  #refusedByClient(message: Message, reasonCode: number): void {
    count(this.#env.counters, C.droppedRefusedByClient);
    this.#env.ingest.deadLetter(
      message,
      this.#session.clientId,
      `refused_by_client_0x${reasonCode.toString(16)}`,
    );
  }

  /** PUBREL is never given up: its message was delivered, and the client keeps the id until it comes. */
  #isExhausted(id: number): boolean {
    return (
      this.window.stateOf(id) === SlotState.publish &&
      this.window.attemptsOf(id) > this.#env.limits.redeliveryMaxCount
    );
  }

  #giveUp(id: number): void {
    const message = this.window.messageOf(id);
    const isQoS2 = (this.window.flagsOf(id) & 3) === 2;
    count(this.#env.counters, C.droppedRetriesExhausted);
    this.#acknowledged(id, isQoS2);
    if (message !== undefined)
      this.#env.ingest.deadLetter(message, this.#session.clientId, 'retries_exhausted');
  }
}

/** Copies a frame that others get too, with its own first byte and packet id. */
function appendFrame(
  outbox: Outbox,
  frame: Uint8Array,
  header: number,
  packetId: number,
  topicBytes: number,
): void {
  const { length } = frame;
  // The length of the remaining length field follows from the size of the frame.
  const idOffset = topicBytes + (length <= 129 ? 2 : length <= 16386 ? 3 : length <= 2097155 ? 4 : 5);
  if (length > BUFFER_BYTES) {
    const copy = Uint8Array.prototype.slice.call(frame);
    patch(copy, 0, header, packetId, idOffset);
    outbox.append(copy, true);
    return;
  }
  const offset = outbox.reserve(length);
  outbox.buffer.set(frame, offset);
  patch(outbox.buffer, offset, header, packetId, idOffset);
  outbox.commit(length);
}

function patch(out: Uint8Array, offset: number, header: number, packetId: number, idOffset: number): void {
  out[offset] = header;
  if (packetId === 0) return;
  out[offset + idOffset] = packetId >> 8;
  out[offset + idOffset + 1] = packetId & 0xff;
}
