/**
 * The hooks that the lanes call, answered by the embedder's, and the events about messages and subscriptions. A hook that
 * nobody set and an event that nobody listens to cost the lanes nothing.
 */
import type { Aedes } from 'aedes';
import type { Message } from '../message/message.js';
import { isValidSubscription } from '../protocol/topic.js';
import type { HookSubscription, LaneHooks } from '../session/environment.js';
import type { Session } from '../session/session.js';
import type { AedesClient, AedesPacket } from './aedes-internals.js';
import { afterHook, type MappingContext, toAedesPacket } from './packet-mapping.js';
import { errorOf, type HookFence, type HookName, type UserHooks } from './user-hooks.js';

export interface LaneHookParts {
  readonly broker: Aedes;
  readonly hooks: LaneHooks;
  /** Read at each use: the embedder may set a hook at any time, and calls `refresh` through it. */
  readonly user: UserHooks;
  readonly fence: HookFence;
  readonly context: MappingContext;
  readonly onSessionExpired: (clientId: string) => void;
}

export class LaneHookFeed {
  readonly #parts: LaneHookParts;

  constructor(parts: LaneHookParts) {
    this.#parts = parts;
    parts.hooks.onSubscribe = (session, subscriptions) => this.#onSubscribe(session, subscriptions);
    parts.hooks.onUnsubscribe = (session, filters) => this.#onUnsubscribe(session, filters);
  }

  /** A hook that nobody set and an event that nobody listens to cost the lanes nothing. */
  refresh(): void {
    const { broker, hooks, user } = this.#parts;
    hooks.authorizePublish =
      user.authorizePublish !== undefined
        ? (session, message, done) => this.#authorizePublish(session, message, done)
        : user.published !== undefined
          ? passOneByOne
          : undefined;
    hooks.authorizeSubscribe =
      user.authorizeSubscribe === undefined
        ? undefined
        : (session, subscription, done) => this.#authorizeSubscribe(session, subscription, done);
    hooks.authorizeForward =
      user.authorizeForward === undefined
        ? undefined
        : (session, message) => this.#authorizeForward(session, message);
    const watched = user.published !== undefined || broker.listenerCount('publish') > 0;
    hooks.published = watched
      ? (message, session, done) => this.#published(message, session, done)
      : undefined;
    hooks.onAck =
      broker.listenerCount('ack') > 0
        ? (session, message, packetId, qos) => this.#onAck(session, message, packetId, qos)
        : undefined;
    hooks.onSessionExpired = (session) => {
      this.#parts.onSessionExpired(session.clientId);
      if (session.handle !== undefined) this.#parts.broker.emit('sessionExpired', session.handle);
    };
  }

  #authorizePublish(
    session: Session,
    message: Message,
    done: (refused: Error | undefined, message: Message) => void,
  ): void {
    const hook = this.#parts.user.authorizePublish;
    if (hook === undefined) {
      done(undefined, message);
      return;
    }
    const client = clientOf(session);
    const packet = toAedesPacket(message, this.#parts.context);
    const before = { ...packet };
    this.#parts.fence.ask<never>(
      'authorizePublish',
      session.clientId,
      (answer) => hook(client, packet, answer),
      (error) => {
        if (!error) {
          this.#adoptPacket('authorizePublish', session, { message, before, after: packet }, done);
          return;
        }
        // A will is refused in silence, as in Aedes.
        if (client !== null && session.online) this.#parts.broker.emit('clientError', client, error);
        done(errorOf(error), message);
      },
      (error) => {
        if (client !== null && session.online) this.#parts.broker.emit('clientError', client, error);
        done(new Error('the message cannot be authorized now'), message);
      },
    );
  }

  /** A hook may make a packet that is none. */
  #adoptPacket(
    hook: HookName,
    session: Session,
    { message, before, after }: { message: Message; before: AedesPacket; after: AedesPacket },
    done: (refused: Error | undefined, message: Message) => void,
  ): void {
    let allowed: Message;
    try {
      allowed = afterHook(message, before, after, this.#parts.context);
    } catch (error) {
      this.#parts.fence.report({ hook, client: session.clientId, error: errorOf(error) });
      done(new Error('the message cannot be authorized now'), message);
      return;
    }
    done(undefined, allowed);
  }

  #authorizeSubscribe(
    session: Session,
    subscription: HookSubscription,
    done: (error: Error | undefined, granted: HookSubscription | null) => void,
  ): void {
    const client = clientOf(session);
    const hook = this.#parts.user.authorizeSubscribe;
    if (hook === undefined || client === null) {
      done(undefined, subscription);
      return;
    }
    const failed = (error: Error): void => {
      this.#parts.broker.emit('clientError', client, error);
      done(error, null);
    };
    this.#parts.fence.ask<HookSubscription>(
      'authorizeSubscribe',
      session.clientId,
      (answer) => hook(client, subscription, answer),
      (error, granted) => {
        if (error) failed(errorOf(error));
        else if (granted && !isGrant(granted))
          failed(new TypeError('authorizeSubscribe made no valid subscription'));
        else done(undefined, granted ?? null);
      },
      failed,
    );
  }

  /** @throws where the hook made a packet that MQTT cannot carry: delivery knows what becomes of it. */
  #authorizeForward(session: Session, message: Message): Message | null {
    const client = clientOf(session);
    const hook = this.#parts.user.authorizeForward;
    if (hook === undefined || client === null) return message;
    const packet = toAedesPacket(message, this.#parts.context);
    const before = { ...packet };
    let forwarded: ReturnType<typeof hook>;
    try {
      forwarded = hook(client, packet);
    } catch (error) {
      this.#parts.fence.report({ hook: 'authorizeForward', client: session.clientId, error: errorOf(error) });
      return null;
    }
    return forwarded ? afterHook(message, before, forwarded, this.#parts.context) : null;
  }

  #published(message: Message, session: Session | undefined, done: () => void): void {
    const client = session === undefined ? null : clientOf(session);
    const packet = toAedesPacket(message, this.#parts.context);
    const hook = this.#parts.user.published;
    if (hook === undefined) done();
    else
      this.#parts.fence.ask<never>(
        'published',
        client?.id,
        (answer) => hook(packet, client, answer),
        done,
        done,
      );
    this.#parts.broker.emit('publish', packet, client);
  }

  #onAck(session: Session, message: Message | undefined, packetId: number, qos: 0 | 1 | 2): void {
    const client = clientOf(session);
    if (client === null) return;
    const packet =
      message === undefined
        ? { cmd: 'pubrel', messageId: packetId }
        : { ...toAedesPacket(message, this.#parts.context), messageId: packetId, qos };
    this.#parts.broker.emit('ack', packet, client);
  }

  /** One entry for each topic, the last; a refused one has QoS 128. */
  #onSubscribe(session: Session, subscriptions: readonly { topic: string; qos: number }[]): void {
    const client = clientOf(session);
    if (client === null) return;
    const byTopic = new Map(
      subscriptions.map(({ topic, qos }) => [topic, { topic, qos: qos < 0x80 ? qos : 0x80 }]),
    );
    const subs = [...byTopic.values()];
    this.#parts.broker.emit('subscribe', subs, client);
    this.#publishSystem('new/subscribes', { clientId: session.clientId, subs });
  }

  #onUnsubscribe(session: Session, filters: readonly string[]): void {
    const client = clientOf(session);
    if (client === null) return;
    this.#parts.broker.emit('unsubscribe', filters, client);
    this.#publishSystem('new/unsubscribes', { clientId: session.clientId, subs: filters });
  }

  #publishSystem(name: string, value: unknown): void {
    const payload = Buffer.from(JSON.stringify(value));
    const { broker } = this.#parts;
    broker.publish(
      { cmd: 'publish', topic: `$SYS/${broker.id}/${name}`, payload, qos: 0, retain: false, dup: false },
      () => {},
    );
  }
}

function clientOf(session: Session): AedesClient | null {
  return (session.handle as AedesClient | undefined) ?? null;
}

function isGrant({ topic, qos }: HookSubscription): boolean {
  return typeof topic === 'string' && isValidSubscription(topic) && (qos === 0 || qos === 1 || qos === 2);
}

/** Runs of messages would be past a `published` that holds back the next one. */
function passOneByOne(
  _session: Session,
  message: Message,
  done: (refused: Error | undefined, message: Message) => void,
): void {
  done(undefined, message);
}
