/**
 * The methods of an Aedes client as its embedder calls them, answered by the lanes. Events, `id`, `connected` and the rest
 * remain Aedes's own.
 */
import type { Connection } from '../connection/connection.js';
import { encodePacket } from '../protocol/encode.js';
import type { SubscriptionRequest } from '../protocol/packet.js';
import { ReasonCode } from '../protocol/reason-code.js';
import { C } from '../telemetry/counters.js';
import type { AedesClient, AedesPacket } from './aedes-internals.js';
import { fromAedesPacket, type MappingContext } from './packet-mapping.js';

type Done = (error?: Error | null) => void;

interface SubscriptionLike {
  topic: string;
  qos?: 0 | 1 | 2;
  nl?: boolean;
  rap?: boolean;
  rh?: number;
}

export interface ClientFace {
  /** Gives the client our methods. */
  put(client: AedesClient): void;
}

export function createClientFace(options: {
  connectionOf: (client: object) => Connection | undefined;
  context: MappingContext;
}): ClientFace {
  const { connectionOf, context } = options;
  const methods = {
    publish(this: AedesClient, packet: AedesPacket, done: Done = () => {}): void {
      const session = connectionOf(this)?.session;
      if (session === undefined) {
        setImmediate(done, new Error('connection closed'));
        return;
      }
      const message = fromAedesPacket(packet, context);
      session.outbound.deliver(message, 2, false, undefined);
      setImmediate(done, null);
    },
    subscribe(this: AedesClient, subscriptions: unknown, done: Done = () => {}): void {
      const connection = connectionOf(this);
      const session = connection?.session;
      if (connection === undefined || session === undefined) {
        setImmediate(done, new Error('connection closed'));
        return;
      }
      const { list, messageId } = listOf<SubscriptionLike>(subscriptions, 'subscriptions');
      session.subscriptions.subscribe(
        { type: 'subscribe', packetId: messageId ?? 0, subscriptions: list.map(toRequest), properties: {} },
        connection,
        (reasonCodes) => {
          if (messageId !== undefined) {
            connection.outbox.append(
              encodePacket(
                { type: 'suback', packetId: messageId, reasonCodes, properties: {} },
                connection.version,
              ),
              true,
            );
          }
          setImmediate(done, null);
        },
      );
    },
    unsubscribe(this: AedesClient, unsubscriptions: unknown, done: Done = () => {}): void {
      const session = connectionOf(this)?.session;
      if (session === undefined) {
        setImmediate(done, new Error('connection closed'));
        return;
      }
      const { list } = listOf<string | { topic: string }>(unsubscriptions, 'unsubscriptions');
      const filters = list.map((one) => (typeof one === 'string' ? one : one.topic));
      session.subscriptions.unsubscribe({ type: 'unsubscribe', packetId: 0, filters, properties: {} }, () =>
        setImmediate(done, null),
      );
    },
    close(this: AedesClient, done?: () => void): void {
      end(connectionOf(this), undefined, 'closed by the embedding program', done);
    },
    disconnect(this: AedesClient, options?: { reasonCode?: number } | (() => void), done?: () => void): void {
      const callback = typeof options === 'function' ? options : done;
      const code = typeof options === 'function' ? 0 : (options?.reasonCode ?? 0);
      end(connectionOf(this), code, 'disconnected by the embedding program', callback);
    },
    emptyOutgoingQueue(this: AedesClient, done: Done = () => {}): void {
      connectionOf(this)?.session?.outbound.clearQueue();
      setImmediate(done, null);
    },
  };
  return {
    put: (client) => {
      Object.assign(client, methods);
    },
  };
}

function end(
  connection: Connection | undefined,
  code: number | undefined,
  text: string,
  done: (() => void) | undefined,
): void {
  const counter =
    code === ReasonCode.serverShuttingDown ? C.disconnectedShutdown : C.disconnectedAdministrative;
  connection?.disconnect({ code, counter, text });
  if (done !== undefined) setImmediate(done);
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
