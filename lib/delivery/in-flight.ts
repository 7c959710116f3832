/**
 * QoS 1 and 2 messages of one session that have left and are not acknowledged: each from its packet id to its last
 * acknowledgement, over as many connections as that takes.
 *
 *     send ─▶ PUBLISH ──PUBACK──▶ done                             QoS 1
 *             PUBLISH ──PUBREC──▶ PUBREL ──PUBCOMP──▶ done         QoS 2
 *
 * A step of QoS 2 leaves once it is stored. What a connection left behind is sent again on the next one, in its old order and
 * before anything new [MQTT-4.4.0-1]; to clients before MQTT 5 also on a connection that stays, later and later. After too
 * many tries a message is given up to the dead-letter topic.
 */
import { type DeliveryFlags, type InFlightImage, type LogPosition, OWED_FLAG } from '../contracts/store.js';
import type { Message } from '../message/message.js';
import { ReasonCode } from '../protocol/reason-code.js';
import type { SessionEnvironment } from '../session/environment.js';
import { OutboundWindow, SlotState } from '../session/outbound-window.js';
import type { Session } from '../session/session.js';
import { count, C } from '../telemetry/counters.js';
import { PUBREL, writeAck } from './ack-writer.js';
import { retryDelayMs } from './retry-policy.js';
import { DUP, PUBLISH, type Transmitter } from './transmitter.js';

/** How long a message may wait for its acknowledgement before it is copied out of the read buffer it came in. */
const DETACH_AFTER_MS = 1000;
const SCAN_INTERVAL_MS = 1000;

export class InFlight {
  readonly window = new OutboundWindow();
  readonly #session: Session;
  readonly #env: SessionEnvironment;
  readonly #pump: () => void;
  #transmitter: Transmitter | undefined;
  /** Ids of earlier connections that this one has not been sent again yet. */
  #resend: number[] = [];
  /** Ids whose last step waits for the log, with its position: nothing of them leaves before, on whatever connection. */
  #storing: Map<number, LogPosition> | undefined;
  /**
   * Of a session that ends with its connection: where it is written down that a message of a shared subscription went to it. Were one of
   * QoS 2 to leave before, another member could get it, too, after a crash [MQTT-4.8.2-5].
   */
  assignedAt: LogPosition = 0;
  /** Ids of QoS 1 of which the log knows that they left; made when the first is. */
  #told: Set<number> | undefined;
  #scanAt = 0;

  /** @param pump called when something that waited for the log is stored. */
  constructor(
    session: Session,
    env: SessionEnvironment,
    transmitter: Transmitter | undefined,
    pump: () => void,
  ) {
    this.#session = session;
    this.#env = env;
    this.#transmitter = transmitter;
    this.#pump = pump;
  }

  attach(transmitter: Transmitter): void {
    this.#transmitter = transmitter;
    const ids = this.window.idsInOrder();
    // All of them, before one is given up: its dead letter may be for this session, and comes behind the others.
    this.#resend = ids;
    for (const id of ids) if (this.#isExhausted(id)) this.#giveUp(id);
  }

  detach(): void {
    this.#transmitter = undefined;
    this.#resend = [];
    this.window.detachMessages();
  }

  /** The session is over. */
  end(): void {
    this.#storing = undefined;
    for (const id of this.window.idsInOrder()) {
      // Behind PUBREC it was delivered.
      if (this.window.stateOf(id) === SlotState.publish) count(this.#env.counters, C.droppedSessionEnded);
      this.window.free(id);
    }
  }

  /** Whether packets of an earlier connection come first. */
  get resends(): boolean {
    return this.#resend.length > 0;
  }

  /** Whether the window has room for a message. @param sendWindow the client's Receive Maximum. */
  hasRoom(sendWindow: number): boolean {
    return this.#resend.length === 0 && this.window.used < sendWindow;
  }

  /** Whether the next packet of an earlier connection may leave. */
  mayResend(sendWindow: number): boolean {
    const [id] = this.#resend;
    return (
      id !== undefined &&
      this.window.used - this.#resend.length < sendWindow &&
      this.#storing?.has(id) !== true
    );
  }

  resendNext(): void {
    const id = this.#resend.shift();
    if (id !== undefined && this.window.stateOf(id) !== SlotState.free)
      this.#sendAgain(id, this.#env.clock.now());
  }

  /** A new message, for which there is room. @returns false where it has expired. */
  send(message: Message, flags: DeliveryFlags, identifiers: readonly number[] | undefined): boolean {
    const now = this.#env.clock.now();
    if (message.expiresAt <= now) {
      count(this.#env.counters, C.droppedExpired);
      return false;
    }
    const id = this.window.allocate(message, flags, identifiers, now);
    const qos = flags & 3;
    if (qos === 2) {
      const position = this.#session.durable ? this.#recordSent(id, message) : this.assignedAt;
      if (position > this.#env.store.committed) {
        this.#whenStored(id, position, () => this.#sendStored(id));
        return true;
      }
    }
    this.#transmit(id, 0);
    return true;
  }

  #recordSent(id: number, { position, topic }: Message): LogPosition {
    const flags = this.window.flagsOf(id);
    return this.#env.store.record({
      kind: 'sent',
      clientId: this.#session.clientId,
      packetId: id,
      position,
      flags,
      identifiers: this.window.identifiersOf(id),
      topic: (flags & OWED_FLAG) === 0 ? undefined : topic,
    });
  }

  /**
   * A subscription is about to end: after a restart nothing is owed for it any more, but what has left for it is finished
   * [MQTT-3.10.4-3]. Of QoS 1 nobody knows otherwise that it did.
   */
  recordOwed(): void {
    for (const id of this.window.idsInOrder()) {
      const flags = this.window.flagsOf(id);
      const message = this.window.messageOf(id);
      const isOwedQoS1 = (flags & 3) === 1 && (flags & OWED_FLAG) !== 0;
      if (!isOwedQoS1 || message === undefined || this.#told?.has(id) === true) continue;
      (this.#told ??= new Set()).add(id);
      this.#recordSent(id, message);
    }
  }

  /** @returns whether there is room for another message. */
  puback(id: number, reasonCode: number): boolean {
    if (this.window.stateOf(id) !== SlotState.publish || (this.window.flagsOf(id) & 3) !== 1) return false;
    const message = this.window.messageOf(id);
    if (reasonCode >= 0x80 && message !== undefined) this.#refusedByClient(message, reasonCode);
    this.#acknowledged(id);
    if (this.#env.hooks.onAck !== undefined) this.#env.hooks.onAck(this.#session, message, id, 1);
    return true;
  }

  /** @returns whether there is room for another message. */
  pubrec(id: number, reasonCode: number): boolean {
    const state = this.window.stateOf(id);
    if (state === SlotState.free) {
      // Nothing is known of it, and the client may forget the id too [MQTT 5, 3.6.2.1]; after an error it has already.
      if (reasonCode < 0x80) this.#sendPubrel(id, ReasonCode.packetIdentifierNotFound);
      return false;
    }
    if (state === SlotState.pubrel) {
      if (this.#storing?.has(id) !== true) this.#sendPubrel(id, 0);
      return false;
    }
    if ((this.window.flagsOf(id) & 3) !== 2) return false;
    if (reasonCode >= 0x80) {
      const message = this.window.messageOf(id);
      if (message !== undefined) this.#refusedByClient(message, reasonCode);
      this.#acknowledged(id);
      return true;
    }
    if (this.#session.durable) {
      this.#whenStored(id, this.#release(id), () => this.#sendPubrel(id, 0));
    } else {
      this.window.toPubrel(id, this.#env.clock.now());
      this.#sendPubrel(id, 0);
    }
    return false;
  }

  /** Only the id is left of the message. @returns where that is stored. */
  #release(id: number): LogPosition {
    this.window.toPubrel(id, this.#env.clock.now());
    return this.#env.store.record({ kind: 'pubrec', clientId: this.#session.clientId, packetId: id });
  }

  /** @returns whether there is room for another message. */
  pubcomp(id: number): boolean {
    if (this.window.stateOf(id) !== SlotState.pubrel) {
      this.window.settle(id);
      return false;
    }
    this.#acknowledged(id);
    if (this.#env.hooks.onAck !== undefined) this.#env.hooks.onAck(this.#session, undefined, id, 2);
    return true;
  }

  /**
   * Called some times a second while the session is connected. @param behind the client has not taken what it was sent: a
   * copy of it would only wait behind it. @returns whether it was time to look.
   */
  tick(now: number, behind: boolean): boolean {
    if (this.window.used === 0 || now < this.#scanAt) return false;
    this.#scanAt = now + SCAN_INTERVAL_MS;
    const retries = !behind && this.#transmitter !== undefined && this.#transmitter.link.version < 5;
    for (const id of this.window.idsInOrder()) {
      const waited = now - this.window.sentAtOf(id);
      if (waited >= DETACH_AFTER_MS) this.window.messageOf(id)?.detach();
      if (!retries || this.#resend.includes(id) || this.#storing?.has(id) === true) continue;
      const attempts = this.window.attemptsOf(id);
      if (waited < retryDelayMs(attempts, this.#env.limits)) continue;
      if (this.#isExhausted(id)) this.#giveUp(id);
      else this.#sendAgain(id, now);
    }
    return true;
  }

  /** The id of a new message is stored. */
  #sendStored(id: number): void {
    const message = this.window.messageOf(id);
    if (message !== undefined && message.expiresAt <= this.#env.clock.now()) {
      count(this.#env.counters, C.droppedExpired);
      this.#acknowledged(id);
    } else {
      this.#transmit(id, 0);
    }
    // What did not leave makes room for what is behind it.
    this.#pump();
  }

  /** Lets a step of an id out once it is stored: on the connection that it belongs to, or with what a later one resends. */
  #whenStored(id: number, position: LogPosition, send: () => void): void {
    const transmitter = this.#transmitter;
    (this.#storing ??= new Map()).set(id, position);
    this.#env.commits.after(position, {
      committed: () => {
        if (this.#storing?.get(id) !== position) return;
        this.#storing.delete(id);
        if (this.#transmitter === transmitter) send();
        else this.#pump();
      },
    });
  }

  /** @param dup DUP, or 0 for the first time. */
  #transmit(id: number, dup: number): void {
    const message = this.window.messageOf(id);
    if (message === undefined || this.#transmitter === undefined) return;
    const flags = this.window.flagsOf(id);
    const header = PUBLISH | dup | ((flags & 3) << 1) | ((flags >> 2) & 1);
    const identifiers = this.window.identifiersOf(id);
    if (this.#transmitter.transmit(message, header, id, identifiers)) return;
    // Too large for this connection; where an earlier one took it, the client may hold the id.
    this.#acknowledged(id, dup !== 0 && (flags & 3) === 2);
  }

  #sendAgain(id: number, now: number): void {
    this.window.retried(id, now);
    count(this.#env.counters, C.messagesRedelivered);
    if (this.window.stateOf(id) === SlotState.pubrel) this.#sendPubrel(id, 0);
    else this.#transmit(id, DUP);
  }

  #sendPubrel(id: number, reasonCode: number): void {
    if (this.#transmitter === undefined) return;
    writeAck(this.#transmitter.link, PUBREL, id, reasonCode);
    count(this.#env.counters, C.sentPubrel);
  }

  /** The last acknowledgement of a packet: its id is free. */
  #acknowledged(id: number, burned = false): void {
    if (this.#resend.length > 0) this.#resend = this.#resend.filter((other) => other !== id);
    this.#storing?.delete(id);
    this.#told?.delete(id);
    const position = this.window.positionOf(id);
    const flags = this.window.flagsOf(id);
    const isQoS2 = (flags & 3) === 2;
    // Of QoS 2 it was said when it was sent.
    const topic = (flags & OWED_FLAG) === 0 || isQoS2 ? undefined : this.window.messageOf(id)?.topic;
    if (burned) this.window.burn(id);
    else this.window.free(id);
    // What is in no log does not come back, but a QoS 2 id may be in the client's memory.
    if (!this.#session.durable || (position === 0 && !isQoS2)) return;
    const kind = burned ? 'givenUp' : 'delivered';
    this.#env.store.record({ kind, clientId: this.#session.clientId, packetId: id, position, topic });
  }

  // What storage keeps of it, and gives back after a restart.

  get image(): InFlightImage[] {
    return this.window.idsInOrder().map((id) => {
      const flags = this.window.flagsOf(id);
      return {
        packetId: id,
        released: this.window.stateOf(id) === SlotState.pubrel,
        flags,
        identifiers: this.window.identifiersOf(id),
        position: this.window.positionOf(id),
        topic: (flags & OWED_FLAG) === 0 ? undefined : this.window.messageOf(id)?.topic,
      };
    });
  }

  restore(image: InFlightImage): void {
    const { packetId, released, flags, identifiers, position, topic } = image;
    const state = released ? SlotState.pubrel : SlotState.publish;
    this.window.restore(packetId, state, flags, identifiers, position);
    if ((flags & 3) === 1) (this.#told ??= new Set()).add(packetId);
    if (topic === undefined || released) return;
    const retained = this.#env.store.retained.get(topic);
    if (retained?.position === position) this.window.supply(packetId, retained);
  }

  /** From the log. @returns whether the message was in the window. */
  replayDelivered(id: number, position: LogPosition, burned: boolean): boolean {
    const isThere = this.window.stateOf(id) !== SlotState.free && this.window.positionOf(id) === position;
    if (isThere) {
      this.window.free(id);
      this.#told?.delete(id);
    }
    if (burned) this.window.restoreBurned(id);
    return isThere;
  }

  replayPubrec(id: number): void {
    if (this.window.stateOf(id) === SlotState.publish) this.window.toPubrel(id, 0);
  }

  /**
   * Reads the messages of packets that were restored. What cannot be had is counted by the store. Of QoS 2 its hand-shake is finished
   * with PUBREL all the same: the client may hold the message, and answers for an id that it does not know, too.
   */
  load(loaded: () => void): void {
    const lacking = this.window
      .idsInOrder()
      .filter(
        (id) => this.window.stateOf(id) === SlotState.publish && this.window.messageOf(id) === undefined,
      );
    if (lacking.length === 0) {
      loaded();
      return;
    }
    // A retained message that was owed and has been replaced since is not in the log any more, and not owed any more.
    const positions = lacking.map((id) =>
      (this.window.flagsOf(id) & OWED_FLAG) === 0 ? this.window.positionOf(id) : 0,
    );
    this.#env.store.read(positions, (messages) => {
      for (const [i, id] of lacking.entries()) {
        if (this.window.stateOf(id) !== SlotState.publish || this.window.messageOf(id) !== undefined)
          continue;
        const message = messages[i];
        if (message !== undefined) this.window.supply(id, message);
        else if ((this.window.flagsOf(id) & 3) === 2) this.#release(id);
        else this.#acknowledged(id);
      }
      loaded();
    });
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
