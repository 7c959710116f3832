/**
 * An MQTT client that does only what it is told: it sends any bytes, answers nothing by itself and hands over every
 * packet in the order of arrival. Every wait has a deadline; a failed one says what was received until then.
 */
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { target } from './target.js';
import * as wire from './wire.js';
import { decode, describe, type Received } from './wire-decode.js';
import type {
  Bytes,
  ConnectFields,
  Properties,
  PublishFields,
  SubscriptionFields,
  TypeName,
  Version,
} from './wire.js';

export type { Received } from './wire-decode.js';

const DEFAULT_TIMEOUT_MS = 2000;
/**
 * MQTT 5 only recommends to tell a client why its connection ends [section 4.13.1]. The gateway must; of mosquitto, which
 * often does not, only the end itself is asked.
 */
const MAY_CLOSE_SILENTLY = target === 'mosquitto';

/** What ends with the test: tap's `t`. */
export interface Owner {
  teardown(end: () => unknown): void;
}

/** A byte stream under the client: a TCP socket or a WebSocket. */
export interface Transport {
  write(bytes: Bytes): void;
  /** Closes the sending direction. */
  end(): void;
  /** Ends the connection at once, as a failing network would. */
  destroy(): void;
  /** Stops reading, and reads on. */
  pause?(): void;
  resume?(): void;
}

export interface OpenOptions {
  version?: Version;
  timeoutMs?: number;
  host?: string;
}
export type ConnectOptions = ConnectFields & OpenOptions;

let counter = 0;
/** A name that no other test of this process uses: for topics and client ids. */
export const unique = (stem: string): string =>
  `${stem}-${process.pid.toString(36)}-${(counter++).toString(36)}`;

/** Lets real time pass in the server: the end of an expiry, a delay or a keep alive shows in no packet. */
export const elapse = (durationMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, durationMs));

const hex = (code: number): string => `0x${code.toString(16).padStart(2, '0')}`;

export class RawClient {
  readonly version: Version;
  /** Everything that arrived, in order, also what `expect` has consumed. */
  readonly received: Received[] = [];
  /** performance.now() when the connection ended; undefined while it is open. */
  closedAtMs: number | undefined;
  #inbox: Received[] = [];
  #buffer: Buffer = Buffer.alloc(0);
  #transport: Transport;
  #wake: (() => void) | undefined;
  #timeoutMs: number;
  #nextPacketId = 1;
  #fault = '';

  constructor(transport: Transport, { version = 5, timeoutMs = DEFAULT_TIMEOUT_MS }: OpenOptions = {}) {
    this.#transport = transport;
    this.version = version;
    this.#timeoutMs = timeoutMs;
  }

  /** A TCP connection on which nothing was sent yet. */
  static async open(owner: Owner, port: number, options: OpenOptions = {}): Promise<RawClient> {
    const socket: Socket = connectSocket({ port, host: options.host ?? '127.0.0.1', noDelay: true });
    owner.teardown(() => socket.destroy());
    await once(socket, 'connect', { signal: AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS) });
    const client = new RawClient(
      {
        write: (bytes) => socket.write(bytes),
        end: () => socket.end(),
        destroy: () => socket.resetAndDestroy(),
        pause: () => socket.pause(),
        resume: () => socket.resume(),
      },
      options,
    );
    socket.on('data', (bytes) => client.feed(bytes));
    socket.on('error', (error) => client.fault(error.message));
    socket.on('close', () => client.closed());
    return client;
  }

  /** An accepted connection; fails when CONNACK says anything but success. */
  static async connect(owner: Owner, port: number, options: ConnectOptions = {}): Promise<RawClient> {
    const client = await RawClient.open(owner, port, options);
    const connack = await client.connect(options);
    if (connack.reasonCode !== 0) throw client.failure(`was refused with ${hex(connack.reasonCode)}`);
    return client;
  }

  /** Bytes from the transport. */
  feed(bytes: Bytes): void {
    this.#buffer = Buffer.concat([this.#buffer, bytes]);
    for (;;) {
      const packet = decode(this.#buffer, this.version);
      if (packet === undefined) break;
      this.#buffer = this.#buffer.subarray(packet.bytes.length);
      this.received.push(packet);
      this.#inbox.push(packet);
    }
    this.#wake?.();
  }
  fault(message: string): void {
    this.#fault = message;
  }
  closed(): void {
    this.closedAtMs ??= performance.now();
    this.#wake?.();
  }

  failure(what: string): Error {
    const seen = this.received.map(describe).join(', ') || 'nothing';
    const state = this.closedAtMs === undefined ? 'open' : `closed ${this.#fault}`.trim();
    return new Error(`the client ${what}; received so far: ${seen}; connection ${state}`);
  }

  send(...packets: Bytes[]): void {
    this.#transport.write(
      packets.length === 1 && packets[0] !== undefined ? packets[0] : Buffer.concat(packets),
    );
  }
  end(): void {
    this.#transport.end();
  }
  /** Reads nothing from the connection until `resume`, as a stopped client would. */
  pause(): void {
    this.#transport.pause?.();
  }
  resume(): void {
    this.#transport.resume?.();
  }
  /** Ends the connection without DISCONNECT, as a failing network would. */
  destroy(): void {
    this.#transport.destroy();
    this.closed();
  }

  async #event(timeoutMs: number, what: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const arrived = await new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), timeoutMs);
      this.#wake = () => resolve(true);
    });
    clearTimeout(timer);
    this.#wake = undefined;
    if (!arrived) throw this.failure(`waited ${Math.round(timeoutMs)} ms for ${what}`);
  }

  /** The first packet that `matches`, wherever it stands among what has arrived; the others stay. */
  async take(
    what: string,
    matches: (packet: Received) => boolean,
    timeoutMs: number = this.#timeoutMs,
  ): Promise<Received> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const index = this.#inbox.findIndex(matches);
      const [packet] = index < 0 ? [] : this.#inbox.splice(index, 1);
      if (packet !== undefined) return packet;
      if (this.closedAtMs !== undefined) throw this.failure(`expected ${what}, but the connection ended`);
      await this.#event(deadline - performance.now(), what);
    }
  }

  /** Everything that has arrived and was not read yet. */
  drain(): Received[] {
    return this.#inbox.splice(0);
  }

  /** The next packet of any kind, which must be of this type. */
  async expect(type: TypeName, timeoutMs: number = this.#timeoutMs): Promise<Received> {
    const packet = await this.take(type, () => true, timeoutMs);
    if (packet.type !== type) throw this.failure(`expected ${type}, got ${describe(packet)}`);
    return packet;
  }

  /** The next packet, which must be a PUBLISH to this topic (with this payload). */
  async expectPublish(
    topic: string,
    payload?: string,
    timeoutMs: number = this.#timeoutMs,
  ): Promise<Received> {
    const packet = await this.expect('publish', timeoutMs);
    if (packet.topic !== topic || (payload !== undefined && packet.payload !== payload)) {
      throw this.failure(`expected PUBLISH ${topic} ${payload ?? ''}, got ${describe(packet)}`);
    }
    return packet;
  }

  /** The connection ends, and nothing arrives before. */
  async expectClose(timeoutMs: number = this.#timeoutMs): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const [packet] = this.#inbox;
      if (packet !== undefined)
        throw this.failure(`expected the connection to close, got ${describe(packet)}`);
      if (this.closedAtMs !== undefined) return;
      await this.#event(deadline - performance.now(), 'the connection to close');
    }
  }

  /**
   * The server ends the connection because of an error of this client: in MQTT 5 with a DISCONNECT that has one of
   * the codes, before without a word [MQTT-4.13.1-1, and MQTT-4.8.0-1 of 3.1.1].
   */
  async expectDisconnect(
    reasonCodes: number | readonly number[],
    timeoutMs: number = this.#timeoutMs,
  ): Promise<void> {
    if (this.version === 5) await this.#expectCode('disconnect', reasonCodes, timeoutMs);
    await this.expectClose(timeoutMs);
  }

  /** A refused CONNECT: CONNACK with one of the codes and Session Present 0, then the end [MQTT-3.2.2-6, -7]. */
  async expectRefused(
    reasonCodes: number | readonly number[],
    timeoutMs: number = this.#timeoutMs,
  ): Promise<void> {
    const connack = await this.#expectCode('connack', reasonCodes, timeoutMs);
    if (connack !== undefined && connack.ackFlags !== 0) throw this.failure('expected no Session Present');
    await this.expectClose(timeoutMs);
  }

  async #expectCode(
    type: 'connack' | 'disconnect',
    reasonCodes: number | readonly number[],
    timeoutMs: number,
  ): Promise<Received | undefined> {
    const codes = typeof reasonCodes === 'number' ? [reasonCodes] : reasonCodes;
    if (MAY_CLOSE_SILENTLY && this.version === 5 && (await this.#endsFirst(timeoutMs))) return undefined;
    const packet = await this.expect(type, timeoutMs);
    if (codes.includes(packet.reasonCode)) return packet;
    throw this.failure(`expected ${type} ${codes.map(hex).join(' or ')}, got ${hex(packet.reasonCode)}`);
  }

  /** Whether the connection ends before another packet arrives. */
  async #endsFirst(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (this.#inbox.length === 0 && this.closedAtMs === undefined) {
      await this.#event(deadline - performance.now(), 'an answer or the end of the connection');
    }
    return this.#inbox.length === 0;
  }

  /**
   * Nothing but PINGRESP arrives until the server has answered a PINGREQ: of each client in `after` first (whoever
   * caused what must not arrive), then of this one.
   */
  async expectNothing(...after: RawClient[]): Promise<void> {
    for (const other of after) await other.ping();
    this.send(wire.PINGREQ);
    await this.expect('pingresp');
  }

  /** PINGREQ and its answer; other packets stay to be read. */
  async ping(): Promise<void> {
    this.send(wire.PINGREQ);
    await this.take('pingresp', (packet) => packet.type === 'pingresp');
  }

  /** Sends CONNECT and returns CONNACK, whatever it says. */
  async connect(fields: ConnectFields = {}): Promise<Received> {
    this.send(wire.connect({ clientId: unique('c'), ...fields, version: this.version }));
    return this.expect('connack');
  }

  packetId(): number {
    return this.#nextPacketId++;
  }

  /** SUBSCRIBE and its SUBACK. Fails where a filter was refused, unless `allowRefusal`. */
  async subscribe(
    subscriptions: string | SubscriptionFields | readonly (string | SubscriptionFields)[],
    { properties, allowRefusal = false, ...defaults }: SubscribeOptions = {},
  ): Promise<Received> {
    const list: readonly (string | SubscriptionFields)[] = Array.isArray(subscriptions)
      ? subscriptions
      : [subscriptions];
    const packetId = this.packetId();
    const entries = list.map((one) => ({
      ...defaults,
      ...(typeof one === 'string' ? { filter: one } : one),
    }));
    this.send(
      wire.subscribe(packetId, entries, { version: this.version, ...(properties && { properties }) }),
    );
    const suback = await this.take(
      'suback',
      ({ type, packetId: id }) => type === 'suback' && id === packetId,
    );
    if (!allowRefusal && suback.reasonCodes.some((code) => code >= 0x80))
      throw this.failure('expected to be granted');
    return suback;
  }

  async unsubscribe(...filters: string[]): Promise<Received> {
    const packetId = this.packetId();
    this.send(wire.unsubscribe(packetId, filters, { version: this.version }));
    return this.take('unsuback', ({ type, packetId: id }) => type === 'unsuback' && id === packetId);
  }

  sendPublish(topic: string, payload: string | Bytes = '', fields: PublishFields = {}): void {
    this.send(wire.publish({ topic, payload, ...fields, version: this.version }));
  }

  /** PUBLISH with its whole hand-shake; returns PUBACK, PUBCOMP or a refusing PUBREC (undefined at QoS 0). */
  async publish(
    topic: string,
    payload: string | Bytes = '',
    fields: PublishFields = {},
  ): Promise<Received | undefined> {
    const packetId = fields.packetId ?? this.packetId();
    this.sendPublish(topic, payload, { ...fields, packetId });
    if ((fields.qos ?? 0) === 0) return undefined;
    const answer = fields.qos === 1 ? 'puback' : 'pubrec';
    const first = await this.take(answer, ({ type, packetId: id }) => type === answer && id === packetId);
    if (fields.qos === 1 || first.reasonCode >= 0x80) return first;
    this.ack('pubrel', packetId);
    return this.take('pubcomp', ({ type, packetId: id }) => type === 'pubcomp' && id === packetId);
  }

  ack(
    type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp',
    packetId: number,
    reasonCode?: number,
    properties?: Properties,
  ): void {
    this.send(wire.ack(type, packetId, reasonCode, properties));
  }

  /** Acknowledges a delivery completely, by its QoS. */
  async complete(delivery: Received): Promise<void> {
    const { packetId } = delivery;
    if (delivery.qos === 1) this.ack('puback', packetId);
    if (delivery.qos !== 2) return;
    this.ack('pubrec', packetId);
    await this.take('pubrel', ({ type, packetId: id }) => type === 'pubrel' && id === packetId);
    this.ack('pubcomp', packetId);
  }

  /** DISCONNECT, and the server's end of the connection. */
  async disconnect(reasonCode?: number, properties?: Properties): Promise<void> {
    this.send(wire.disconnect(reasonCode, properties));
    await this.expectClose();
  }
}

export interface SubscribeOptions extends Omit<SubscriptionFields, 'filter'> {
  properties?: Properties;
  allowRefusal?: boolean;
}
