/**
 * A well-behaved client that trusts nobody: it decodes everything it receives by the specification, keeps the books of
 * both directions, and calls everything a fault that a broker may not do, its own disconnection first.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import {
  decodePacket,
  encodePacket,
  type AckPacket,
  type Packet,
  type Properties,
  type PublishPacket,
  type ProtocolVersion,
  type QoS,
  type SubscriptionRequest,
} from '../../lib/protocol/index.js';
import { FrameSplitter } from './frame-splitter.js';

export interface StrictOptions {
  readonly port: number;
  readonly version: ProtocolVersion;
  readonly clientId: string;
  /** MQTT 5: what CONNECT says, and what is enforced. */
  readonly receiveMaximum?: number;
  readonly maximumPacketSize?: number;
  readonly topicAliasMaximum?: number;
  readonly onMessage: (message: PublishPacket) => void;
  readonly onFault: (fault: string) => void;
}

const NO_LIMIT = 268_435_460;

export class StrictClient {
  readonly name: string;
  /** Messages that were sent again with DUP, which 3.1.1 allows. */
  redelivered = 0;
  readonly #options: StrictOptions;
  readonly #socket: Socket;
  readonly #splitter = new FrameSplitter();
  readonly #aliases = new Map<number, string>();
  /** Deliveries that this side has not finished: QoS 2 ids between PUBLISH and PUBREL. */
  readonly #incoming = new Set<number>();
  /** By packet id: what is called at PUBACK or PUBCOMP. */
  readonly #outgoing = new Map<number, { qos: QoS; released: boolean; done: () => void }>();
  readonly #answers = new Map<string, (packet: Packet) => void>();
  #nextId = 1;
  #subscriptionIdentifier: number | undefined;
  #leaving = false;

  private constructor(socket: Socket, options: StrictOptions) {
    this.name = options.clientId;
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (bytes: Buffer) => this.#received(bytes));
    socket.on('error', (error) => this.#fault(`its socket failed: ${error.message}`));
    socket.on('close', () => {
      if (!this.#leaving) this.#fault('it was disconnected');
    });
  }

  static async connect(options: StrictOptions): Promise<StrictClient> {
    const socket = connect({ port: options.port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const client = new StrictClient(socket, options);
    const answer = client.#answer('connack');
    const properties: Properties = {};
    if (options.receiveMaximum !== undefined) properties.receiveMaximum = options.receiveMaximum;
    if (options.maximumPacketSize !== undefined) properties.maximumPacketSize = options.maximumPacketSize;
    if (options.topicAliasMaximum !== undefined) properties.topicAliasMaximum = options.topicAliasMaximum;
    const { version, clientId } = options;
    client.#send({
      type: 'connect',
      version,
      bridge: false,
      cleanStart: true,
      keepAlive: 0,
      clientId,
      properties,
    });
    const connack = await answer;
    if (connack.type !== 'connack' || connack.reasonCode !== 0) throw new Error(`${clientId} was refused`);
    return client;
  }

  get inFlight(): number {
    return this.#outgoing.size;
  }

  async subscribe(filter: string, qos: QoS, identifier?: number): Promise<void> {
    const packetId = this.#packetId();
    const subscription: SubscriptionRequest = {
      filter,
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    };
    const properties: Properties = identifier === undefined ? {} : { subscriptionIdentifiers: [identifier] };
    this.#subscriptionIdentifier = identifier;
    const answer = this.#answer(`suback ${packetId}`);
    this.#send({ type: 'subscribe', packetId, subscriptions: [subscription], properties });
    const suback = await answer;
    if (suback.type !== 'suback' || suback.reasonCodes[0] !== qos)
      throw new Error(`${this.name}: SUBACK is no grant`);
  }

  /** @param acknowledged called when the gateway has taken it over: at PUBACK or PUBCOMP. */
  publish(
    topic: string,
    payload: Buffer,
    qos: 1 | 2,
    properties: Properties,
    acknowledged: () => void,
  ): void {
    const packetId = this.#packetId();
    this.#outgoing.set(packetId, { qos, released: false, done: acknowledged });
    this.#send({ type: 'publish', topic, payload, qos, retain: false, dup: false, packetId, properties });
  }

  async ping(): Promise<void> {
    const answer = this.#answer('pingresp');
    this.#send({ type: 'pingreq' });
    await answer;
  }

  async leave(): Promise<void> {
    this.#leaving = true;
    if (this.#socket.closed) return;
    const closed = once(this.#socket, 'close');
    this.#send({ type: 'disconnect', reasonCode: 0, properties: {} });
    this.#socket.end();
    await closed;
  }

  #answer(key: string): Promise<Packet> {
    return new Promise((resolve) => this.#answers.set(key, resolve));
  }

  #settle(key: string, packet: Packet): void {
    const resolve = this.#answers.get(key);
    this.#answers.delete(key);
    if (resolve === undefined) this.#fault(`nobody asked for ${key}`);
    else resolve(packet);
  }

  #packetId(): number {
    do this.#nextId = (this.#nextId % 65535) + 1;
    while (this.#outgoing.has(this.#nextId));
    return this.#nextId;
  }

  #send(packet: Packet): void {
    this.#socket.write(encodePacket(packet, this.#options.version));
  }

  #fault(text: string): void {
    if (!this.#leaving) this.#options.onFault(`${this.name}: ${text}`);
  }

  #received(bytes: Buffer): void {
    // What was under way when it left cannot be answered any more.
    if (this.#leaving) return;
    for (const frame of this.#splitter.split(bytes)) {
      const maximum = this.#options.maximumPacketSize ?? NO_LIMIT;
      if (frame.length > maximum) this.#fault(`${frame.length} bytes are above its Maximum Packet Size`);
      try {
        this.#take(decodePacket(frame, this.#options.version, 'toClient'));
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        this.#fault(`it cannot decode ${frame.subarray(0, 200).toString('hex')}: ${text}`);
      }
    }
  }

  #take(packet: Packet): void {
    switch (packet.type) {
      case 'publish':
        this.#onPublish(packet);
        break;
      case 'puback':
      case 'pubrec':
      case 'pubcomp':
        this.#onAnswer(packet);
        break;
      case 'pubrel':
        if (!this.#incoming.delete(packet.packetId) && packet.reasonCode !== 0x92) this.redelivered++;
        this.#send({ type: 'pubcomp', packetId: packet.packetId, reasonCode: 0, properties: {} });
        break;
      case 'suback':
        this.#settle(`suback ${packet.packetId}`, packet);
        break;
      case 'connack':
      case 'pingresp':
        this.#settle(packet.type, packet);
        break;
      case 'disconnect':
        this.#fault(`DISCONNECT 0x${packet.reasonCode.toString(16)} ${packet.properties.reasonString ?? ''}`);
        break;
      default:
        this.#fault(`${packet.type} is not for it`);
    }
  }

  #onPublish(packet: PublishPacket): void {
    const topic = this.#topicOf(packet);
    this.#checkDelivery(packet);
    const { packetId = 0 } = packet;
    if (packet.qos === 1) this.#send({ type: 'puback', packetId, reasonCode: 0, properties: {} });
    if (packet.qos === 2) {
      const again = this.#incoming.has(packetId);
      this.#send({ type: 'pubrec', packetId, reasonCode: 0, properties: {} });
      if (again && !packet.dup) this.#fault(`packet id ${packetId} is in use`);
      if (again) {
        this.redelivered++;
        return;
      }
      this.#incoming.add(packetId);
      const maximum = this.#options.receiveMaximum ?? 65535;
      if (this.#incoming.size > maximum) this.#fault(`more than ${maximum} in flight, its Receive Maximum`);
    }
    this.#options.onMessage({ ...packet, topic });
  }

  #checkDelivery(packet: PublishPacket): void {
    if (packet.retain)
      this.#fault(`RETAIN is set on a message that was not retained for it: ${packet.topic}`);
    if (packet.dup && this.#options.version === 5) this.#fault('DUP on a connection that never broke');
    if (this.#options.version < 5) return;
    const identifiers = packet.properties.subscriptionIdentifiers?.join() ?? '';
    if (identifiers !== String(this.#subscriptionIdentifier ?? ''))
      this.#fault(`Subscription Identifier is ${identifiers}, not ${this.#subscriptionIdentifier}`);
  }

  #topicOf(packet: PublishPacket): string {
    const { topicAlias } = packet.properties;
    if (topicAlias === undefined) return packet.topic;
    if (topicAlias > (this.#options.topicAliasMaximum ?? 0))
      this.#fault(`Topic Alias ${topicAlias} is above its maximum`);
    if (packet.topic !== '') this.#aliases.set(topicAlias, packet.topic);
    const topic = this.#aliases.get(topicAlias);
    if (topic === undefined) this.#fault(`Topic Alias ${topicAlias} was not set`);
    return topic ?? '';
  }

  #onAnswer(packet: AckPacket): void {
    const { packetId, type, reasonCode } = packet;
    const waiting = this.#outgoing.get(packetId);
    const expected = waiting?.qos === 1 ? 'puback' : waiting?.released === true ? 'pubcomp' : 'pubrec';
    if (waiting === undefined || type !== expected) {
      this.#fault(`${type} ${packetId} in place of ${waiting === undefined ? 'nothing' : expected}`);
      return;
    }
    // 0x10: there was no subscriber, though there are several.
    if (reasonCode !== 0) this.#fault(`${type} with 0x${reasonCode.toString(16)}`);
    if (type === 'pubrec') {
      waiting.released = true;
      this.#send({ type: 'pubrel', packetId, reasonCode: 0, properties: {} });
      return;
    }
    this.#outgoing.delete(packetId);
    waiting.done();
  }
}
