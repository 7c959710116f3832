/**
 * The packets of a gateway's connections, both ways, and what those that leave promise: the table of docs/architecture.md. A promise
 * is asked of what a restart would find; it holds no longer once its client has asked for something else.
 *
 *     PUBACK, PUBREC         the message; with its packet id
 *     PUBCOMP                the packet id is free
 *     PUBLISH of QoS 2       the packet id stands for the message
 *     PUBREL                 PUBREC was received
 *     SUBACK, UNSUBACK       the subscriptions
 *     CONNACK                the session, or that there is none of before
 */
import {
  type ConnectPacket,
  decodePacket,
  type Packet,
  type ProtocolVersion,
  type PublishPacket,
  readVariableByteInteger,
} from '../../../lib/protocol/index.js';
import type { SessionImage } from '../../../lib/contracts/store.js';
import type { LoggedMessage, Restored } from '../restored.js';

export const PROMISES = [
  ...(['PUBACK', 'PUBREC', 'PUBCOMP', 'PUBLISH', 'PUBREL', 'SUBACK', 'UNSUBACK'] as const),
  ...(['CONNACK of a new session', 'CONNACK of a resumed session', 'CONNACK of a clean start'] as const),
] as const;
export type PromiseKind = (typeof PROMISES)[number];

export interface PacketPromise {
  readonly kind: PromiseKind;
  readonly clientId: string;
  /** @returns what is not as it was promised; undefined: nothing. */
  broken(restored: Restored): string | undefined;
  /** Its client has asked for something else since: what was written after that, and not synced, may be there instead. */
  isOver(): boolean;
}

/** What a client id has asked for, over all its connections. */
class ClientState {
  /** The last PUBLISH of each packet id. */
  readonly published = new Map<number, { readonly topic: string; readonly payload: string }>();
  readonly releaseAsked = new Set<number>();
  readonly completed = new Set<number>();
  /** By packet id of SUBSCRIBE and UNSUBSCRIBE. */
  readonly filters = new Map<number, readonly string[]>();
  readonly lastAsked = new Map<string, 'subscribe' | 'unsubscribe'>();
  /** How often it asked for each thing: packet ids `in` and `out`, filters, and anything at all. */
  readonly #asked = new Map<string, number>();
  #cleanStarts = 0;

  asks(...things: readonly string[]): void {
    for (const thing of ['anything', ...things]) this.#asked.set(thing, this.#count(thing) + 1);
  }

  startsClean(): void {
    this.lastAsked.clear();
    this.#cleanStarts++;
  }

  /** @returns whether one of the things was asked for from now on, or everything was thrown away. */
  watch(...things: readonly string[]): () => boolean {
    const cleanStarts = this.#cleanStarts;
    const counts = things.map((thing) => this.#count(thing));
    return () =>
      this.#cleanStarts !== cleanStarts || things.some((thing, i) => this.#count(thing) !== counts[i]);
  }

  #count(thing: string): number {
    return this.#asked.get(thing) ?? 0;
  }
}

const incoming = (packetId: number): string => `in ${packetId}`;
const outgoing = (packetId: number): string => `out ${packetId}`;
const subscription = (filter: string): string => `filter ${filter}`;
const never = (): boolean => false;

type MakePromise = (
  kind: PromiseKind,
  isOver: PacketPromise['isOver'],
  broken: PacketPromise['broken'],
) => PacketPromise;

interface WatchedConnection {
  version: ProtocolVersion;
  connect: ConnectPacket | undefined;
  incoming: Buffer;
}

const payloadOf = (packet: PublishPacket): string => Buffer.from(packet.payload).toString('latin1');

export class PacketWatch {
  /** Payloads that were acknowledged to their publishers, by topic. */
  readonly acknowledged = new Map<string, Set<string>>();
  readonly #clients = new Map<string, ClientState>();
  readonly #connections = new Map<number, WatchedConnection>();

  opened(descriptor: number): void {
    this.#connections.set(descriptor, { version: 4, connect: undefined, incoming: Buffer.alloc(0) });
  }

  has(descriptor: number): boolean {
    return this.#connections.has(descriptor);
  }

  closed(descriptor: number): void {
    this.#connections.delete(descriptor);
  }

  /** The gateway is gone, and all its connections. */
  allClosed(): void {
    this.#connections.clear();
  }

  received(descriptor: number, bytes: Buffer): void {
    const connection = this.#connections.get(descriptor);
    if (connection === undefined) return;
    connection.incoming = Buffer.concat([connection.incoming, bytes]);
    for (;;) {
      const frame = firstFrame(connection.incoming);
      if (frame === undefined) return;
      connection.incoming = connection.incoming.subarray(frame.length);
      this.#asked(connection, decodePacket(frame, connection.version, 'toServer'));
    }
  }

  /** A write holds whole packets. @returns what they promise. */
  leaving(descriptor: number, bytes: Buffer): PacketPromise[] {
    const connection = this.#connections.get(descriptor);
    if (connection?.connect === undefined) return [];
    const promises: PacketPromise[] = [];
    let rest = bytes;
    while (rest.length > 0) {
      const frame = firstFrame(rest);
      if (frame === undefined)
        throw new Error('a write ended in the middle of a packet: its promise cannot be told');
      rest = rest.subarray(frame.length);
      const promise = this.#promiseOf(
        connection.connect,
        decodePacket(frame, connection.version, 'toClient'),
      );
      if (promise !== undefined) promises.push(promise);
    }
    return promises;
  }

  #client(clientId: string): ClientState {
    let client = this.#clients.get(clientId);
    if (client === undefined) this.#clients.set(clientId, (client = new ClientState()));
    return client;
  }

  #asked(connection: WatchedConnection, packet: Packet): void {
    if (packet.type === 'connect') {
      connection.version = packet.version;
      connection.connect = packet;
      const client = this.#client(packet.clientId);
      client.asks();
      if (packet.cleanStart) client.startsClean();
      return;
    }
    if (connection.connect === undefined) return;
    const client = this.#client(connection.connect.clientId);
    switch (packet.type) {
      case 'publish':
        if (packet.packetId === undefined) return;
        client.asks(incoming(packet.packetId));
        client.published.set(packet.packetId, { topic: packet.topic, payload: payloadOf(packet) });
        client.releaseAsked.delete(packet.packetId);
        return;
      case 'pubrel':
        client.asks(incoming(packet.packetId));
        client.releaseAsked.add(packet.packetId);
        return;
      case 'pubcomp':
        client.asks(outgoing(packet.packetId));
        client.completed.add(packet.packetId);
        return;
      case 'subscribe':
      case 'unsubscribe': {
        const filters =
          packet.type === 'subscribe' ? packet.subscriptions.map(({ filter }) => filter) : packet.filters;
        client.asks(...filters.map(subscription));
        client.filters.set(packet.packetId, filters);
        for (const filter of filters) client.lastAsked.set(filter, packet.type);
        return;
      }
      default:
    }
  }

  #promiseOf(connect: ConnectPacket, packet: Packet): PacketPromise | undefined {
    const { clientId } = connect;
    const client = this.#client(clientId);
    const isDurable = outlivesConnection(connect);
    const promise: MakePromise = (kind, isOver, broken) => ({ kind, clientId, isOver, broken });
    if (packet.type === 'connack')
      return packet.reasonCode === 0
        ? connackPromise(connect, packet.sessionPresent, client.watch('anything'), promise)
        : undefined;
    if ('reasonCode' in packet && packet.reasonCode >= 0x80) return undefined;
    switch (packet.type) {
      case 'puback':
      case 'pubrec': {
        const { type, packetId } = packet;
        const { topic = '', payload = '' } = client.published.get(packetId) ?? {};
        const isOpen = type === 'pubrec' && isDurable && !client.releaseAsked.has(packetId);
        this.#note(topic, payload);
        const isOver = isOpen ? client.watch(incoming(packetId)) : never;
        return promise(type === 'puback' ? 'PUBACK' : 'PUBREC', isOver, (restored) => {
          const stored = storedMessage(restored, payload);
          if (isOpen && restored.session(clientId)?.inbound.includes(packetId) !== true)
            return `packet id ${packetId} is not known to be received`;
          // Received long ago, and sent again.
          if (stored === undefined && !isOpen) return `the message of packet id ${packetId} is gone`;
          if (isOpen && stored !== undefined && stored.packetId !== packetId)
            return `the message was stored with packet id ${stored.packetId}, not ${packetId}`;
          return undefined;
        });
      }
      case 'pubcomp': {
        const { packetId } = packet;
        if (!isDurable || !client.releaseAsked.has(packetId)) return undefined;
        return promise('PUBCOMP', client.watch(incoming(packetId)), (restored) =>
          restored.session(clientId)?.inbound.includes(packetId) === true
            ? `packet id ${packetId} is not free`
            : undefined,
        );
      }
      case 'publish': {
        const { qos, packetId = 0 } = packet;
        if (packetId > 0) client.completed.delete(packetId);
        if (qos !== 2 || !isDurable) return undefined;
        const payload = payloadOf(packet);
        return promise('PUBLISH', client.watch(outgoing(packetId)), (restored) =>
          inFlightFault(restored, clientId, packetId, payload),
        );
      }
      case 'pubrel': {
        const { packetId } = packet;
        if (!isDurable || client.completed.has(packetId)) return undefined;
        return promise('PUBREL', client.watch(outgoing(packetId)), (restored) => {
          const image = restored.session(clientId)?.inFlight.find((one) => one.packetId === packetId);
          return image?.released === true ? undefined : `the PUBREC of packet id ${packetId} is not known`;
        });
      }
      case 'suback':
      case 'unsuback': {
        if (!isDurable) return undefined;
        const isThere = packet.type === 'suback';
        const asked = isThere ? 'subscribe' : 'unsubscribe';
        const codes = packet.reasonCodes;
        const filters = (client.filters.get(packet.packetId) ?? []).filter(
          (filter, i) => (codes[i] ?? 0) < 0x80 && client.lastAsked.get(filter) === asked,
        );
        const isOver = client.watch(...filters.map(subscription));
        return promise(isThere ? 'SUBACK' : 'UNSUBACK', isOver, (restored) => {
          const there = new Set(restored.session(clientId)?.subscriptions.map(({ filter }) => filter));
          const wrong = filters.find((filter) => there.has(filter) !== isThere);
          return wrong === undefined ? undefined : `${wrong} is ${isThere ? 'not' : 'still'} subscribed`;
        });
      }
      default:
        return undefined;
    }
  }

  #note(topic: string, payload: string): void {
    let payloads = this.acknowledged.get(topic);
    if (payloads === undefined) this.acknowledged.set(topic, (payloads = new Set()));
    payloads.add(payload);
  }
}

function connackPromise(
  connect: ConnectPacket,
  present: boolean,
  isOver: PacketPromise['isOver'],
  promise: MakePromise,
): PacketPromise {
  const { clientId } = connect;
  const kind = connect.cleanStart
    ? 'CONNACK of a clean start'
    : `CONNACK of a ${present ? 'resumed' : 'new'} session`;
  return promise(kind as PromiseKind, isOver, (restored) => {
    const session = restored.session(clientId);
    const isDurable = outlivesConnection(connect);
    if (isDurable && session === undefined) return 'the session is not there';
    if (!isDurable && session !== undefined) return 'a session of before is there';
    if (present || session === undefined) return undefined;
    return oldThings(session) + restored.queuedCount(clientId) > 0
      ? 'something of an older session is there'
      : undefined;
  });
}

function oldThings({ subscriptions, inbound, inFlight }: SessionImage): number {
  return subscriptions.length + inbound.length + inFlight.length;
}

function inFlightFault(
  restored: Restored,
  clientId: string,
  packetId: number,
  payload: string,
): string | undefined {
  const image = restored.session(clientId)?.inFlight.find((one) => one.packetId === packetId);
  if (image === undefined) return `packet id ${packetId} stands for nothing`;
  // One that is retained may be older than what is left of the log.
  if (image.released || image.position < restored.first) return undefined;
  return restored.messages.get(image.position)?.payload === payload
    ? undefined
    : `packet id ${packetId} stands for another message`;
}

function storedMessage(restored: Restored, payload: string): LoggedMessage | undefined {
  // The newest: a QoS 1 message that was sent again is stored again.
  return [...restored.messages.values()].findLast((message) => message.payload === payload);
}

export function outlivesConnection({ version, cleanStart, properties }: ConnectPacket): boolean {
  return version === 5 ? (properties.sessionExpiryInterval ?? 0) > 0 : !cleanStart;
}

function firstFrame(bytes: Buffer): Buffer | undefined {
  const remaining = readVariableByteInteger(bytes, 1, bytes.length);
  if (remaining < 0) return undefined;
  let header = 2;
  while (((bytes[header - 1] ?? 0) & 0x80) !== 0) header++;
  return bytes.length < header + remaining ? undefined : bytes.subarray(0, header + remaining);
}
