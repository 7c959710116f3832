/**
 * A conformant MQTT client: it keeps its half of the session over connections, resends with DUP what was not acknowledged when the
 * session is resumed, respects the gateway's Receive Maximum, and acknowledges in the order of arrival. Both directions are in
 * this one file because they share the connection, the packet ids and the fate of the session.
 */
import {
  ReasonCode,
  type AckPacket,
  type ConnackPacket,
  type ConnectPacket,
  type Packet,
  type ProtocolVersion,
  type PublishPacket,
  type QoS,
  type SubscriptionRequest,
  type Will,
} from '../../lib/protocol/index.js';
import type { ClientConnection, ConnectionUser } from './client-connection.js';
import type { Publication, SessionHistory } from './history.js';
import { createPayload, messageIdOf } from './payload.js';
import type { Random } from './random.js';
import type { SimWorld } from './world.js';

export interface ClientProfile {
  readonly id: string;
  readonly version: ProtocolVersion;
  /** Session Expiry Interval that it asks for, seconds; before MQTT 5 only whether it is 0 matters. */
  readonly expiryS: number;
  readonly keepAliveS: number;
  /** Messages in flight that it takes; v5 only. */
  readonly receiveMaximum: number | undefined;
  /** Packet ids that it uses: few are used again soon. */
  readonly packetIds: number;
  readonly ackDelayMaxMs: number;
  /** Joins shared subscriptions and no others. */
  readonly shared: boolean;
  /** Refuses a message now and then. */
  readonly refuses: boolean;
}

export interface ConnectChoices {
  readonly cleanStart: boolean;
  readonly expiryS?: number;
  readonly will?: Will | undefined;
  readonly willMid?: string;
  readonly password?: string;
}

interface Outgoing {
  readonly packetId: number;
  readonly publication: Publication;
  readonly payload: Uint8Array;
  state: 'publish' | 'pubrel';
}

export interface PublishChoices {
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly expiryS?: number | undefined;
  readonly paddingBytes: number;
}

export class SimClient implements ConnectionUser {
  readonly #world: SimWorld;
  readonly #random: Random;
  connection: ClientConnection | undefined;
  /** Connections that it opened and forgot, still open. */
  readonly abandoned: ClientConnection[] = [];
  /** Filters it believes to have. */
  readonly filters = new Set<string>();
  readonly #outgoing = new Map<number, Outgoing>();
  /** Incoming QoS 2 between PUBLISH and PUBREL, and QoS 1 until PUBACK has left. */
  readonly incoming = new Map<number, string>();
  readonly #unacknowledged = new Map<number, string>();
  /** QoS 1 messages of this connection that were answered, by their newest packet id. */
  readonly #answered = new Map<number, string>();
  readonly #waiting: Outgoing['publication'][] = [];
  readonly #payloads = new Map<string, Uint8Array>();
  #nextPacketId = 1;
  #sequence = 0;
  #wills = 0;
  #serverWindow = 65535;
  #sessionKey = 0;
  /** It has thrown its state away, so only a clean start is right until one was accepted. */
  #mustStartClean = false;
  #acks: { connection: ClientConnection; send: () => void }[] = [];
  #acking = false;

  constructor(
    world: SimWorld,
    readonly profile: ClientProfile,
  ) {
    this.#world = world;
    this.#random = world.random(`client ${profile.id}`);
  }

  get connected(): boolean {
    return this.connection?.accepted === true;
  }

  get isDurable(): boolean {
    return this.profile.expiryS > 0;
  }

  /** Nothing of its own is on the way. */
  get idle(): boolean {
    return this.#outgoing.size === 0 && this.#waiting.length === 0 && this.#acks.length === 0;
  }

  // What an application does.

  connect(choices: ConnectChoices): void {
    if (this.connection !== undefined) this.#abandon();
    const { id, version, keepAliveS, receiveMaximum } = this.profile;
    const cleanStart = choices.cleanStart || this.#mustStartClean;
    const packet: ConnectPacket = {
      type: 'connect',
      version,
      bridge: false,
      cleanStart,
      keepAlive: keepAliveS,
      clientId: id,
      properties: {},
    };
    if (version === 5) {
      const expiryS = choices.expiryS ?? this.profile.expiryS;
      if (expiryS > 0) packet.properties.sessionExpiryInterval = expiryS;
      if (receiveMaximum !== undefined) packet.properties.receiveMaximum = receiveMaximum;
    }
    if (choices.will !== undefined) packet.will = choices.will;
    if (choices.password !== undefined) {
      packet.username = id;
      packet.password = Buffer.from(choices.password);
    }
    if (cleanStart) {
      this.#forgetSession();
      this.#mustStartClean = true;
    }
    this.connection = this.#world.dial(packet, choices.willMid ?? '', this);
    this.connection.send(packet);
  }

  /** A name for the next will. */
  nextWillMid(): string {
    return `will-${this.profile.id}:${this.#wills++}`;
  }

  publish(choices: PublishChoices): void {
    const connection = this.connection;
    if (connection === undefined || !connection.accepted) return;
    const mid = `${this.profile.id}:${this.#sequence}`;
    const publication: Publication = {
      mid,
      publisher: this.profile.id,
      sequence: this.#sequence++,
      topic: choices.topic,
      qos: choices.qos,
      retain: choices.retain,
      expires: choices.expiryS !== undefined && this.profile.version === 5,
      sentAt: Infinity,
      sends: 0,
      outcome: 'unknown',
      acknowledgedAt: Infinity,
      sessionKeys: new Set(),
    };
    this.#world.history.publications.set(mid, publication);
    const payload = createPayload(mid, choices.paddingBytes);
    if (choices.qos > 0) {
      this.#payloads.set(mid, payload);
      this.#waiting.push(publication);
      this.#pump();
      return;
    }
    publication.sentAt = this.#world.scheduler.now();
    const properties = publication.expires ? { messageExpiryInterval: choices.expiryS ?? 1 } : {};
    const { topic, retain } = choices;
    connection.send({ type: 'publish', topic, payload, qos: 0, retain, dup: false, properties });
  }

  subscribe(requests: SubscriptionRequest[]): void {
    const connection = this.connection;
    if (connection === undefined || !connection.accepted || !this.#hasFreeId(connection)) return;
    for (const { filter } of requests) this.#endSpans(filter);
    const packetId = this.#allocate(connection);
    const packet: Packet = { type: 'subscribe', packetId, subscriptions: requests, properties: {} };
    const logPosition = this.#world.store.log.length;
    connection.asked.set(packetId, { filters: requests.map(({ filter }) => filter), logPosition, packet });
    connection.send(packet);
  }

  unsubscribe(filters: string[]): void {
    const connection = this.connection;
    if (connection === undefined || !connection.accepted || !this.#hasFreeId(connection)) return;
    for (const filter of filters) {
      this.#endSpans(filter);
      this.filters.delete(filter);
    }
    const packetId = this.#allocate(connection);
    const logPosition = this.#world.store.log.length;
    connection.asked.set(packetId, { filters, logPosition, packet: undefined });
    connection.send({ type: 'unsubscribe', packetId, filters, properties: {} });
  }

  /** Sends QoS 2 messages again that were not answered yet, which only MQTT before 5 allows on a connection that stays. */
  repeat(): void {
    const connection = this.connection;
    if (connection === undefined || !connection.accepted || this.profile.version === 5) return;
    for (const outgoing of this.#outgoing.values()) {
      if (outgoing.publication.qos === 2 && outgoing.state === 'publish')
        this.#sendPublish(connection, outgoing, true);
    }
  }

  /** DISCONNECT, then FIN. */
  disconnect(code: number, expiryS?: number): void {
    const connection = this.connection;
    if (connection === undefined) return;
    const v5 = this.profile.version === 5;
    connection.disconnectSent = { code: v5 ? code : 0, expiryS: v5 ? expiryS : undefined };
    const properties = expiryS === undefined ? {} : { sessionExpiryInterval: expiryS };
    connection.send({ type: 'disconnect', reasonCode: code, properties });
    connection.close();
  }

  /** Turns to a new connection without closing the old one. */
  #abandon(): void {
    const { connection } = this;
    if (connection === undefined) return;
    connection.abandon();
    this.abandoned.push(connection);
    this.#lost();
  }

  // What the gateway answers.

  packet(connection: ClientConnection, packet: Packet): void {
    if (connection !== this.connection || connection.rude) return;
    switch (packet.type) {
      case 'connack':
        this.#onConnack(connection, packet);
        break;
      case 'publish':
        this.#onPublish(connection, packet);
        break;
      case 'puback':
      case 'pubrec':
      case 'pubrel':
      case 'pubcomp':
        this.#onAck(connection, packet);
        break;
      case 'suback':
        this.#onSuback(connection, packet.packetId, packet.reasonCodes);
        break;
      case 'unsuback':
        if (!connection.asked.delete(packet.packetId)) this.#fail('UNSUBACK answers an UNSUBSCRIBE', '');
        break;
      case 'disconnect':
        connection.close();
        break;
      default:
        break;
    }
  }

  gone(connection: ClientConnection): void {
    if (connection === this.connection) this.#lost();
  }

  #lost(): void {
    this.connection = undefined;
    this.#acks = [];
    this.#unacknowledged.clear();
    this.#answered.clear();
    this.#serverWindow = 65535;
  }

  #forgetSession(): void {
    this.#outgoing.clear();
    this.#waiting.length = 0;
    this.#payloads.clear();
    this.incoming.clear();
    this.filters.clear();
    this.#sessionKey = 0;
  }

  #onConnack(connection: ClientConnection, packet: ConnackPacket): void {
    const { served } = connection;
    if (packet.reasonCode !== 0 || served === undefined) {
      connection.close();
      return;
    }
    connection.accepted = true;
    if (connection.connect.cleanStart) this.#mustStartClean = false;
    // A CONNACK without Session Present may have been lost on an earlier connection: MQTT has no way to tell the client.
    // MQTT 3.1 has no Session Present at all.
    const absent = !packet.sessionPresent && this.profile.version > 3;
    if (absent || served.sessionKey !== this.#sessionKey) this.#forgetSession();
    this.#sessionKey = served.sessionKey;
    this.#serverWindow = packet.properties.receiveMaximum ?? 65535;
    for (const outgoing of this.#outgoing.values()) this.#sendAgain(connection, outgoing);
    this.#keepAlive(connection);
    this.#pump();
  }

  #sendAgain(connection: ClientConnection, outgoing: Outgoing): void {
    if (outgoing.state === 'pubrel') {
      connection.send({
        type: 'pubrel',
        packetId: outgoing.packetId,
        reasonCode: 0,
        properties: {},
      });
      return;
    }
    const { publication } = outgoing;
    this.#world.sometimes.saw(
      publication.qos === 1 ? 'QoS 1 in flight resent after resume' : 'QoS 2 in flight resent after resume',
    );
    this.#sendPublish(connection, outgoing, true);
  }

  #sendPublish(connection: ClientConnection, outgoing: Outgoing, dup: boolean): void {
    const { packetId, publication, payload } = outgoing;
    const { topic, qos, retain, mid } = publication;
    publication.sends++;
    publication.sessionKeys.add(this.#sessionKey);
    connection.sentMids.set(packetId, mid);
    const properties = publication.expires ? { messageExpiryInterval: 2 } : {};
    connection.send({ type: 'publish', topic, payload, qos, retain, dup, packetId, properties });
  }

  #keepAlive(connection: ClientConnection): void {
    const { keepAliveS } = this.profile;
    if (keepAliveS === 0) return;
    this.#world.scheduler.after(keepAliveS * 600, 'keep alive', () => {
      if (connection.closed || connection !== this.connection) return;
      connection.send({ type: 'pingreq' });
      this.#keepAlive(connection);
    });
  }

  #pump(): void {
    const connection = this.connection;
    if (connection === undefined || !connection.accepted) return;
    while (this.#waiting.length > 0 && this.#hasFreeId(connection)) {
      if (this.#outgoing.size >= Math.min(this.#serverWindow, 10)) return;
      const publication = this.#waiting.shift();
      const payload = publication === undefined ? undefined : this.#payloads.get(publication.mid);
      if (publication === undefined || payload === undefined) continue;
      const outgoing: Outgoing = {
        packetId: this.#allocate(connection),
        publication,
        payload,
        state: 'publish',
      };
      this.#outgoing.set(outgoing.packetId, outgoing);
      publication.sentAt = this.#world.scheduler.now();
      this.#sendPublish(connection, outgoing, false);
    }
  }

  #hasFreeId(connection: ClientConnection): boolean {
    return this.#outgoing.size + connection.asked.size < this.profile.packetIds;
  }

  #allocate(connection: ClientConnection): number {
    let id = this.#nextPacketId;
    while (this.#outgoing.has(id) || connection.asked.has(id)) id = (id % this.profile.packetIds) + 1;
    this.#nextPacketId = (id % this.profile.packetIds) + 1;
    return id;
  }

  #onSuback(connection: ClientConnection, packetId: number, codes: readonly number[]): void {
    const asked = connection.asked.get(packetId);
    connection.asked.delete(packetId);
    if (asked?.packet === undefined) {
      this.#fail('SUBACK answers a SUBSCRIBE', `packet id ${packetId}`);
      return;
    }
    const from = this.#world.scheduler.now();
    asked.packet.subscriptions.forEach(({ filter, qos, noLocal }, index) => {
      if ((codes[index] ?? 0x80) >= 0x80) return;
      this.filters.add(filter);
      // A later request for the same filter ends this one before it began.
      const superseded = [...connection.asked.values()].some((other) => other.filters.includes(filter));
      const until = superseded ? from : Infinity;
      if (!this.profile.shared) this.#session().spans.push({ filter, qos, noLocal, from, until });
    });
  }

  #endSpans(filter: string): void {
    for (const span of this.#session().spans) {
      if (span.filter === filter && span.until === Infinity) span.until = this.#world.scheduler.now();
    }
  }

  #session(): SessionHistory {
    return this.#world.history.session(this.#sessionKey, this.profile.id, this.profile.shared);
  }

  // Messages in.

  #onPublish(connection: ClientConnection, packet: PublishPacket): void {
    const mid = messageIdOf(packet.payload);
    const { packetId } = packet;
    if (packet.qos === 0 || packetId === undefined) {
      this.#receive(packet, mid);
      return;
    }
    const known = this.incoming.get(packetId) ?? this.#unacknowledged.get(packetId);
    if (known !== undefined && known !== mid) {
      this.#fail('a packet id stands for one message at a time', `${packetId} for ${known} and ${mid}`);
    }
    if (known === mid && !packet.dup)
      this.#fail('what is sent again has DUP set', `packet id ${packetId}, ${mid}`);
    if (packet.qos === 1) {
      this.#receive(packet, mid);
      // Sent again although the answer is on its way: that takes no place in the window.
      if (this.#answered.get(packetId) !== mid) this.#unacknowledged.set(packetId, mid);
      this.#acknowledge(connection, () => {
        this.#unacknowledged.delete(packetId);
        this.#answered.set(packetId, mid);
        this.#sendAck(connection, 'puback', packetId);
      });
    } else {
      if (known === undefined) this.#receive(packet, mid);
      this.incoming.set(packetId, mid);
      this.#acknowledge(connection, () => this.#sendAck(connection, 'pubrec', packetId));
    }
    this.#checkWindow();
  }

  #sendAck(connection: ClientConnection, type: 'puback' | 'pubrec', packetId: number): void {
    // A refused QoS 2 message whose answer is lost comes again, and nobody can tell: those are not refused here.
    const mayRefuse = this.profile.refuses && this.profile.version === 5 && type === 'puback';
    const refuse = mayRefuse && this.#random.chance(0.02);
    const reasonCode = refuse ? ReasonCode.implementationSpecificError : 0;
    connection.send({ type, packetId, reasonCode, properties: {} });
  }

  #checkWindow(): void {
    const limit = Math.min(this.profile.receiveMaximum ?? 65535, this.#world.plan.limits.windowMax);
    const used = this.incoming.size + this.#unacknowledged.size;
    // What the gateway gave up it does not count any more; the client cannot know.
    if (used > limit && this.#world.counter('droppedRetriesExhausted') === 0)
      this.#fail("the window stays within the client's Receive Maximum", `${used} of ${limit}`);
  }

  #receive(packet: PublishPacket, mid: string): void {
    this.#world.received({ client: this, sessionKey: this.#sessionKey, packet, mid });
  }

  #onAck(connection: ClientConnection, packet: AckPacket): void {
    const { packetId } = packet;
    const outgoing = this.#outgoing.get(packetId);
    switch (packet.type) {
      case 'puback':
        if (outgoing === undefined || outgoing.publication.qos !== 1)
          this.#fail('PUBACK answers a QoS 1 PUBLISH', `${this.profile.id} ${packetId}`);
        else this.#finish(outgoing, packet.reasonCode);
        break;
      case 'pubrec':
        if (outgoing === undefined || outgoing.publication.qos !== 2)
          this.#fail('PUBREC answers a QoS 2 PUBLISH', `${this.profile.id} ${packetId}`);
        else if (packet.reasonCode >= 0x80) this.#finish(outgoing, packet.reasonCode);
        else if (outgoing.state === 'publish') {
          this.#settle(outgoing, 0);
          outgoing.state = 'pubrel';
          connection.send({ type: 'pubrel', packetId, reasonCode: 0, properties: {} });
        }
        break;
      case 'pubcomp':
        if (outgoing?.state !== 'pubrel')
          this.#fail('PUBCOMP answers a PUBREL', `${this.profile.id} ${packetId}`);
        else this.#finish(outgoing, 0);
        break;
      case 'pubrel': {
        this.#acknowledge(connection, () => {
          this.incoming.delete(packetId);
          connection.send({ type: 'pubcomp', packetId, reasonCode: 0, properties: {} });
        });
        break;
      }
    }
  }

  #settle({ publication }: Outgoing, reasonCode: number): void {
    if (publication.outcome !== 'unknown') return;
    publication.outcome = reasonCode >= 0x80 ? 'refused' : 'acknowledged';
    publication.acknowledgedAt = this.#world.scheduler.now();
    this.#world.acknowledged(this, publication);
  }

  #finish(outgoing: Outgoing, reasonCode: number): void {
    this.#settle(outgoing, reasonCode);
    this.#outgoing.delete(outgoing.packetId);
    this.#payloads.delete(outgoing.publication.mid);
    this.#pump();
  }

  /** Answers leave one after the other, each after a delay [MQTT-4.6.0-2]. */
  #acknowledge(connection: ClientConnection, send: () => void): void {
    this.#acks.push({ connection, send });
    if (!this.#acking) this.#nextAck();
  }

  #nextAck(): void {
    this.#acking = true;
    const { ackDelayMaxMs } = this.profile;
    const delayMs = this.#world.healing ? 0 : this.#random.delay(ackDelayMaxMs);
    this.#world.scheduler.after(delayMs, 'client answers', () => {
      const ack = this.#acks.shift();
      if (ack !== undefined && ack.connection === this.connection) ack.send();
      this.#acking = false;
      if (this.#acks.length > 0) this.#nextAck();
    });
  }

  #fail(invariant: string, text: string): void {
    this.#world.fail(invariant, `${this.profile.id}: ${text}`);
  }
}
