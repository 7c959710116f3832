/**
 * The methods of an Aedes client as its embedder calls them, answered by the lanes. Events, `id`, `connected` and the rest
 * remain Aedes's own.
 */
import type { Connection } from '../connection/connection.js';
import type { Message } from '../message/message.js';
import { encodePacket } from '../protocol/encode.js';
import type { DisconnectPacket, SubscriptionRequest } from '../protocol/packet.js';
import { ReasonCode } from '../protocol/reason-code.js';
import { isValidSubscription } from '../protocol/topic.js';
import type { Session } from '../session/session.js';
import { C, count, type Counters } from '../telemetry/counters.js';
import type { AedesClient, AedesPacket, AedesProperties } from './aedes-internals.js';
import { type DoorClient, doorOf } from './door-client.js';
import { fromAedesPacket, listPairs, type MappingContext } from './packet-mapping.js';
import type { Port } from './port.js';
import { errorOf } from './user-hooks.js';

type Done = (error?: Error | null) => void;

interface SubscriptionLike {
  topic: string;
  qos?: 0 | 1 | 2;
  nl?: boolean;
  rap?: boolean;
  rh?: number;
}

interface DisconnectOptions {
  reasonCode?: number;
  properties?: AedesProperties;
}

export interface FaceParts {
  readonly context: MappingContext;
  readonly counters: Counters;
}

/** Makes a client of Aedes over a stream, as its documentation says: `new Client(aedes, stream, request)`. */
export type ClientConstructor = new (aedes: unknown, stream: Port, request: unknown) => AedesClient;

/**
 * A subclass of Aedes's clients with our methods. A class, because methods or a prototype given to each client alone cost
 * each its own hidden class: 9 KB of them in one handshake.
 * @param Client Aedes's own class.
 */
export function createClientClass(
  Client: ClientConstructor,
  { context, counters }: FaceParts,
): ClientConstructor {
  const methods = {
    publish(this: AedesClient, packet: AedesPacket, done: Done = nothing): void {
      const session = sessionOf(this, done);
      if (session === undefined) return;
      let message: Message;
      try {
        message = fromAedesPacket(packet, context);
      } catch (error) {
        setImmediate(done, errorOf(error));
        return;
      }
      session.outbound.deliver(message, 2, false, undefined);
      setImmediate(done, null);
    },
    subscribe(this: AedesClient, subscriptions: unknown, done: Done = nothing): void {
      const session = sessionOf(this, done);
      const connection = doorOf(this)?.connection;
      if (session === undefined || connection === undefined) return;
      const { list, messageId } = listOf<SubscriptionLike>(subscriptions, 'subscriptions');
      const wrong = list.find(({ topic }) => typeof topic !== 'string' || !isValidSubscription(topic));
      if (wrong !== undefined) {
        setImmediate(done, new TypeError(`not a valid topic filter: ${String(wrong.topic)}`));
        return;
      }
      session.subscriptions.subscribe(
        { type: 'subscribe', packetId: messageId ?? 0, subscriptions: list.map(toRequest), properties: {} },
        connection,
        (reasonCodes) => {
          if (messageId !== undefined) sendSuback(connection, messageId, reasonCodes);
          setImmediate(done, null);
        },
      );
    },
    unsubscribe(this: AedesClient, unsubscriptions: unknown, done: Done = nothing): void {
      const session = sessionOf(this, done);
      if (session === undefined) return;
      const { list } = listOf<string | { topic: string }>(unsubscriptions, 'unsubscriptions');
      const filters = list.map((one) => (typeof one === 'string' ? one : one.topic));
      session.subscriptions.unsubscribe({ type: 'unsubscribe', packetId: 0, filters, properties: {} }, () =>
        setImmediate(done, null),
      );
    },
    close(this: AedesClient, done?: () => void): void {
      const door = doorOf(this);
      if (door === undefined) wasNeverOpen(done);
      else end(door, undefined, 'closed by the embedding program', done);
    },
    disconnect(this: AedesClient, options?: DisconnectOptions | (() => void), done?: () => void): void {
      const door = doorOf(this);
      if (door === undefined) {
        wasNeverOpen(typeof options === 'function' ? options : done);
        return;
      }
      const { reasonCode = 0, properties = {} } = typeof options === 'function' ? {} : (options ?? {});
      if (this.version === 5 && !door.over) {
        this.disconnectReasonCode = reasonCode;
        if (door.connection?.isReady === true) sendDisconnect(door.connection, reasonCode, properties);
      }
      end(
        door,
        door.connection?.isReady === true ? undefined : reasonCode,
        'disconnected by the embedding program',
        typeof options === 'function' ? options : done,
      );
    },
    emptyOutgoingQueue(this: AedesClient, done: Done = nothing): void {
      doorOf(this)?.connection?.session?.outbound.clearQueue();
      setImmediate(done, null);
    },
  };

  function sendSuback(connection: Connection, packetId: number, codes: readonly number[]): void {
    const reasonCodes =
      connection.version === 5 ? [...codes] : codes.map((code) => (code >= 0x80 ? 0x80 : code));
    const packet = { type: 'suback', packetId, reasonCodes, properties: {} } as const;
    connection.outbox.append(encodePacket(packet, connection.version), true);
    count(counters, C.sentSuback);
  }

  /** What does not fit into the client's Maximum Packet Size goes without properties [MQTT-3.1.2-24]. */
  function sendDisconnect(connection: Connection, reasonCode: number, given: AedesProperties): void {
    const packet: DisconnectPacket = { type: 'disconnect', reasonCode, properties: {} };
    const { reasonString, serverReference, userProperties } = given;
    if (typeof reasonString === 'string') packet.properties.reasonString = reasonString;
    if (typeof serverReference === 'string') packet.properties.serverReference = serverReference;
    if (userProperties !== undefined) packet.properties.userProperties = listPairs(userProperties);
    let bytes = encodePacket(packet, 5);
    if (bytes.length > connection.maximumPacketSize)
      bytes = encodePacket({ type: 'disconnect', reasonCode, properties: {} }, 5);
    connection.outbox.append(bytes, true);
    count(counters, C.sentDisconnect);
  }

  class EdgeClient extends Client {}
  Object.assign(EdgeClient.prototype, methods);
  return EdgeClient;
}

const nothing = (): void => {};

function sessionOf(client: AedesClient, done: Done): Session | undefined {
  const session = doorOf(client)?.connection?.session;
  if (session === undefined) setImmediate(done, new Error('connection closed'));
  return session;
}

/** There was no room for it, or its stream had ended. */
function wasNeverOpen(done: (() => void) | undefined): void {
  if (typeof done === 'function') setImmediate(done);
}

function end(door: DoorClient, code: number | undefined, text: string, done: (() => void) | undefined): void {
  const counter =
    code === ReasonCode.serverShuttingDown ? C.disconnectedShutdown : C.disconnectedAdministrative;
  door.connection?.disconnect({ code, counter, text });
  if (typeof done === 'function') door.whenOver(done);
}

function listOf<T>(value: unknown, field: string): { list: T[]; messageId: number | undefined } {
  if (Array.isArray(value)) return { list: value as T[], messageId: undefined };
  if (typeof value === 'object' && value !== null && field in value) {
    const packet = value as Record<string, unknown> & { messageId?: number };
    return { list: packet[field] as T[], messageId: packet.messageId };
  }
  return { list: [value as T], messageId: undefined };
}

function toRequest(subscription: SubscriptionLike): SubscriptionRequest {
  const handling = subscription.rh ?? 0;
  return {
    filter: subscription.topic,
    qos: subscription.qos ?? 0,
    noLocal: subscription.nl ?? false,
    retainAsPublished: subscription.rap ?? false,
    retainHandling: handling === 1 || handling === 2 ? handling : 0,
  };
}
