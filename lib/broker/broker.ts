/**
 * Aedes at the door: it answers CONNECT, runs the hooks, keeps the registry of clients, emits its events, and is the API of
 * those who embed the gateway in a Node program. After CONNACK it sees nothing more of a connection; what its clients
 * and events show comes from the lanes.
 *
 *     Connection ──CONNECT──▶ Port ──▶ Aedes ── preConnect ─▶ Connection.negotiate
 *                                        │ ──── authenticate ▶ Connection.admit (credentials, client id, session)
 *                                        │ ──── CONNACK ─────▶ Connection.writeConnack
 *                                        └ ──── clientReady ─▶ Connection.ready
 */
import type { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { Aedes, type AedesOptions } from 'aedes';
import type { Connection, Door, DoorSession, Refusal } from '../connection/connection.js';
import { SocketTransport } from '../connection/socket-transport.js';
import type { Message } from '../message/message.js';
import { encodePacket } from '../protocol/encode.js';
import type { ConnectPacket, ProtocolVersion } from '../protocol/packet.js';
import { ReasonCode } from '../protocol/reason-code.js';
import { Listener } from '../routing/subscription.js';
import type { HookSubscription } from '../session/environment.js';
import type { Session } from '../session/session.js';
import { C } from '../telemetry/counters.js';
import type {
  AedesClient,
  AedesConnect,
  AedesHandle,
  AedesPacket,
  HookError,
  MqEmitter,
  MqListener,
} from './aedes-internals.js';
import { createClientFace, type ClientFace } from './client-face.js';
import type { Lanes } from './lanes.js';
import {
  adoptConnect,
  afterHook,
  describeConnect,
  fromAedesPacket,
  type MappingContext,
  toAedesPacket,
} from './packet-mapping.js';
import { createInertPersistence } from './persistence.js';
import { Port } from './port.js';

type Callback<T> = (error: HookError | null | undefined, value?: T | null) => void;

interface UserHooks {
  preConnect: ((client: AedesClient, packet: AedesConnect, done: Callback<boolean>) => void) | undefined;
  authenticate:
    | ((
        client: AedesClient,
        username: string | undefined,
        password: Buffer | undefined,
        done: Callback<boolean>,
      ) => void)
    | undefined;
  authorizePublish:
    ((client: AedesClient | null, packet: AedesPacket, done: Callback<never>) => void) | undefined;
  authorizeSubscribe:
    | ((client: AedesClient, subscription: HookSubscription, done: Callback<HookSubscription>) => void)
    | undefined;
  authorizeForward:
    ((client: AedesClient, packet: AedesPacket) => AedesPacket | null | undefined | void) | undefined;
  published: ((packet: AedesPacket, client: AedesClient | null, done: Callback<never>) => void) | undefined;
}

const HOOK_NAMES = [
  'preConnect',
  'authenticate',
  'authorizePublish',
  'authorizeSubscribe',
  'authorizeForward',
  'published',
] as const;
type HookName = (typeof HOOK_NAMES)[number];

/** Options of Aedes that the lanes take over. */
function doorOptions(options: AedesOptions, mq: MqEmitter): AedesOptions {
  return {
    ...options,
    mq,
    persistence: createInertPersistence(),
    // Ours to decide, before Aedes is asked.
    connectTimeout: 2 ** 31 - 1,
    drainTimeout: 0,
    maxClientsIdLength: 65535,
    keepaliveLimit: 0,
    maxTopicLevels: 100,
    sessionExpiryIntervalLimit: 0,
    pendingSessionsLimit: 0,
    heartbeatInterval: options.heartbeatInterval ?? 60000,
  };
}

export class Broker extends Aedes implements Door {
  readonly lanes: Lanes;
  readonly #handle: AedesHandle;
  readonly #user: UserHooks;
  readonly #face: ClientFace;
  readonly #context: MappingContext;
  readonly #connections = new WeakMap<object, Connection>();
  readonly #clients = new WeakMap<Connection, AedesClient>();
  #counter = 0;

  constructor(lanes: Lanes, options: AedesOptions = {}) {
    const mq: { current: MqEmitter | undefined } = { current: undefined };
    super(
      doorOptions(
        options,
        lateMq(() => mq.current),
      ),
    );
    this.lanes = lanes;
    this.#context = {
      brokerId: this.id,
      nextCounter: () => ++this.#counter,
      now: () => lanes.env.clock.now(),
      topicBytes: (topic) => lanes.router.resolve(topic).bytes,
    };
    mq.current = this.#createMq();
    this.#user = userHooksOf(options);
    this.#handle = takeHandle(this);
    this.#face = createClientFace({
      connectionOf: (client) => this.#connections.get(client),
      context: this.#context,
    });
    // Names like `constructor` are client ids too.
    Object.assign(this, { clients: Object.create(null) as object, brokers: Object.create(null) as object });
    this.#defineHooks();
    Object.defineProperty(this, 'handle', {
      value: (stream: Duplex, request?: IncomingMessage) => this.accept(stream, request),
    });
    this.on('clientReady', (client) => this.#connections.get(client)?.ready());
    const events: EventEmitter = this;
    events.on('newListener', () => queueMicrotask(() => this.#refreshHooks()));
    events.on('removeListener', () => queueMicrotask(() => this.#refreshHooks()));
    this.#refreshHooks();
    lanes.hooks.onSubscribe = (session, subscriptions) => this.#onSubscribe(session, subscriptions);
    lanes.hooks.onUnsubscribe = (session, filters) => this.#onUnsubscribe(session, filters);
    lanes.useDoor(this, {
      keepAliveTimeout: (connection) => this.#emitFor('keepaliveTimeout', connection),
      ping: (connection) => {
        const client = this.#clients.get(connection);
        if (client !== undefined && this.listenerCount('ping') > 0)
          this.emit('ping', { cmd: 'pingreq' }, client);
      },
      error: (connection, error) => this.#emitError(connection, error),
    });
  }

  /** Takes a connection over, as Aedes's `handle` does. @returns its client. */
  accept(stream: Duplex, request?: IncomingMessage): AedesClient | undefined {
    const transport = new SocketTransport(stream);
    const connection = this.lanes.accept(transport, request);
    if (connection === undefined) {
      transport.destroy();
      return undefined;
    }
    transport.attach(connection);
    return this.#clients.get(connection);
  }

  /** @internal The lanes have a CONNECT: Aedes gets a minimal one and begins. */
  open(connection: Connection, connect: ConnectPacket): DoorSession {
    let answered = false;
    const { remoteAddress, remotePort } = connection.transport;
    const port = new Port(
      remoteAddress,
      remotePort,
      () => {
        if (answered) return;
        answered = true;
        connection.writeConnack();
      },
      () => {},
    );
    const client = this.#handle(port, connection.request as IncomingMessage | undefined);
    client.subscriptions = Object.create(null) as Record<string, unknown>;
    client.duplicates = Object.create(null) as Record<string, unknown>;
    const closeAedes = client.close.bind(client);
    this.#face.put(client);
    this.#connections.set(client, connection);
    this.#clients.set(connection, client);
    // The id is filled in by preConnect, once it is known; Aedes wants one that is not empty.
    port.push(minimalConnect(connect.version));
    return {
      handle: client,
      closed: () => {
        const code = connection.closeReason?.code;
        if (client.version === 5 && code !== undefined) client.disconnectReasonCode = code;
        closeAedes();
      },
    };
  }

  #defineHooks(): void {
    const inner: Record<HookName, unknown> = {
      preConnect: (client: AedesClient, packet: AedesConnect, done: Callback<boolean>) =>
        this.#preConnect(client, packet, done),
      authenticate: (client: AedesClient, _username: string, _password: Buffer, done: Callback<boolean>) =>
        this.#authenticate(client, done),
      authorizePublish: (client: AedesClient | null, packet: AedesPacket, done: Callback<never>) =>
        this.#user.authorizePublish === undefined
          ? done(null)
          : this.#user.authorizePublish(client, packet, done),
      authorizeSubscribe: (
        _client: AedesClient,
        subscription: HookSubscription,
        done: Callback<HookSubscription>,
      ) => done(null, subscription),
      authorizeForward: (_client: AedesClient, packet: AedesPacket) => packet,
      published: (packet: AedesPacket, client: AedesClient | null, done: Callback<never>) =>
        this.#user.published === undefined ? done(null) : this.#user.published(packet, client, done),
    };
    for (const name of HOOK_NAMES) {
      Object.defineProperty(this, name, {
        enumerable: true,
        get: () => inner[name],
        set: (hook: unknown) => {
          Object.assign(this.#user, { [name]: typeof hook === 'function' ? hook : undefined });
          this.#refreshHooks();
        },
      });
    }
  }

  // The handshake.

  #preConnect(client: AedesClient, packet: AedesConnect, done: Callback<boolean>): void {
    const connection = this.#connections.get(client);
    const connect = connection?.connect;
    if (connection === undefined || connect === undefined) return;
    const go = (): void => {
      const terms = connection.negotiate();
      if (terms === undefined) return;
      packet.clientId = terms.clientId;
      delete packet.will;
      delete packet.properties;
      packet.keepalive = 0;
      packet.clean = true;
      done(null, true);
    };
    const hook = this.#user.preConnect;
    if (hook === undefined) {
      go();
      return;
    }
    describeConnect(packet, connect);
    hook(client, packet, (error, successful) => {
      if (!error && successful === true) {
        adoptConnect(connect, packet);
        go();
        return;
      }
      connection.refuse(preConnectRefusal(error, connect.version));
    });
  }

  #authenticate(client: AedesClient, done: Callback<boolean>): void {
    const connection = this.#connections.get(client);
    const connect = connection?.connect;
    if (connection === undefined || connect === undefined) return;
    const hook = this.#user.authenticate;
    const { username, password } = connect;
    const ask =
      hook === undefined
        ? undefined
        : (answer: (refusal: Refusal | undefined) => void): void =>
            hook(
              client,
              username,
              password === undefined ? undefined : Buffer.from(password),
              (error, successful) =>
                answer(
                  !error && successful === true ? undefined : authenticateRefusal(error, connect.version),
                ),
            );
    connection.admit(ask, (refusal) => {
      if (refusal !== undefined) {
        const error: HookError = new Error(refusal.text);
        done(error, false);
        return;
      }
      const { terms } = connection;
      if (terms !== undefined) {
        client.clean = terms.expiryS === 0;
        client.sessionExpiryInterval = connect.version === 5 ? terms.expiryS : 0;
        client.receiveMaximum = connect.properties.receiveMaximum ?? 65535;
        client.maximumPacketSize = connect.properties.maximumPacketSize;
      }
      done(null, true);
    });
  }

  // Hooks and events of the lanes.

  /** A hook that nobody set and an event that nobody listens to cost the lanes nothing. */
  #refreshHooks(): void {
    const { hooks } = this.lanes;
    const user = this.#user;
    hooks.authorizePublish =
      user.authorizePublish === undefined
        ? undefined
        : (session, message, done) => this.#authorizePublish(session, message, done);
    hooks.authorizeSubscribe =
      user.authorizeSubscribe === undefined
        ? undefined
        : (session, subscription, done) => this.#authorizeSubscribe(session, subscription, done);
    hooks.authorizeForward =
      user.authorizeForward === undefined
        ? undefined
        : (session, message) => this.#authorizeForward(session, message);
    const watched = user.published !== undefined || this.listenerCount('publish') > 0;
    hooks.published = watched
      ? (message, session, done) => this.#published(message, session, done)
      : undefined;
    hooks.onAck =
      this.listenerCount('ack') > 0
        ? (session, message, packetId, qos) => this.#onAck(session, message, packetId, qos)
        : undefined;
    hooks.onSessionExpired = (session) => {
      if (session.handle !== undefined) this.emit('sessionExpired', session.handle);
    };
  }

  #authorizePublish(
    session: Session,
    message: Message,
    done: (refused: Error | undefined, message: Message) => void,
  ): void {
    const hook = this.#user.authorizePublish;
    if (hook === undefined) {
      done(undefined, message);
      return;
    }
    const packet = toAedesPacket(message, this.#context);
    const before = { ...packet };
    hook(clientOf(session), packet, (error) => {
      if (error) {
        const client = clientOf(session);
        if (client !== null) this.emit('clientError', client, error);
        done(error, message);
      } else {
        done(undefined, afterHook(message, before, packet, this.#context));
      }
    });
  }

  #authorizeSubscribe(
    session: Session,
    subscription: HookSubscription,
    done: (error: Error | undefined, granted: HookSubscription | null) => void,
  ): void {
    const client = clientOf(session);
    const hook = this.#user.authorizeSubscribe;
    if (hook === undefined || client === null) {
      done(undefined, subscription);
      return;
    }
    hook(client, subscription, (error, granted) => {
      if (error) this.emit('clientError', client, error);
      done(error ?? undefined, granted ?? null);
    });
  }

  #authorizeForward(session: Session, message: Message): Message | null {
    const client = clientOf(session);
    const hook = this.#user.authorizeForward;
    if (hook === undefined || client === null) return message;
    const packet = toAedesPacket(message, this.#context);
    const before = { ...packet };
    const forwarded = hook(client, packet);
    return forwarded ? afterHook(message, before, forwarded, this.#context) : null;
  }

  #published(message: Message, session: Session | undefined, done: () => void): void {
    const client = session === undefined ? null : clientOf(session);
    const packet = toAedesPacket(message, this.#context);
    if (this.#user.published === undefined) done();
    else this.#user.published(packet, client, () => done());
    this.emit('publish', packet, client);
  }

  #onAck(session: Session, message: Message | undefined, packetId: number, qos: 0 | 1 | 2): void {
    const client = clientOf(session);
    if (client === null) return;
    const packet =
      message === undefined
        ? { cmd: 'pubrel', messageId: packetId }
        : { ...toAedesPacket(message, this.#context), messageId: packetId, qos };
    this.emit('ack', packet, client);
  }

  #onSubscribe(session: Session, subscriptions: readonly { topic: string; qos: number }[]): void {
    const client = clientOf(session);
    if (client === null) return;
    this.emit('subscribe', subscriptions, client);
    this.#publishSystem('new/subscribes', { clientId: session.clientId, subs: subscriptions });
  }

  #onUnsubscribe(session: Session, filters: readonly string[]): void {
    const client = clientOf(session);
    if (client === null) return;
    this.emit('unsubscribe', filters, client);
    this.#publishSystem('new/unsubscribes', { clientId: session.clientId, subs: filters });
  }

  #publishSystem(name: string, value: unknown): void {
    const payload = Buffer.from(JSON.stringify(value));
    this.publish(
      { cmd: 'publish', topic: `$SYS/${this.id}/${name}`, payload, qos: 0, retain: false, dup: false },
      () => {},
    );
  }

  #emitFor(event: 'keepaliveTimeout', connection: Connection): void {
    const client = this.#clients.get(connection);
    if (client !== undefined) this.emit(event, client);
  }

  #emitError(connection: Connection, error: Error): void {
    const client = this.#clients.get(connection);
    if (client === undefined) return;
    this.emit(client.id ? 'clientError' : 'connectionError', client, error);
  }

  #createMq(): MqEmitter {
    const { router, ingest } = this.lanes;
    const listeners = new Map<string, Map<MqListener, Listener<Message>>>();
    return {
      on: (topic, deliver, done) => {
        const byFunction = listeners.get(topic) ?? new Map<MqListener, Listener<Message>>();
        listeners.set(topic, byFunction);
        if (!byFunction.has(deliver)) {
          const listener = new Listener<Message>(topic, (message, next) =>
            deliver(toAedesPacket(message, this.#context), next),
          );
          byFunction.set(deliver, listener);
          router.addListener(listener);
        }
        if (done !== undefined) setImmediate(done);
      },
      removeListener: (topic, deliver, done) => {
        const listener = listeners.get(topic)?.get(deliver);
        if (listener !== undefined) {
          router.removeListener(listener);
          listeners.get(topic)?.delete(deliver);
          if (listeners.get(topic)?.size === 0) listeners.delete(topic);
        }
        if (done !== undefined) setImmediate(done);
      },
      emit: (packet, done) => {
        ingest.publishForDoor(fromAedesPacket(packet, this.#context), (error) => {
          if (done !== undefined) setImmediate(done, error);
        });
      },
      close: (done) => {
        for (const byFunction of listeners.values())
          for (const listener of byFunction.values()) router.removeListener(listener);
        listeners.clear();
        if (done !== undefined) setImmediate(done);
      },
    };
  }
}

/** Aedes's constructor wants its emitter before this class can make it. */
function lateMq(current: () => MqEmitter | undefined): MqEmitter {
  return {
    on: (topic, deliver, done) => current()?.on(topic, deliver, done),
    removeListener: (topic, deliver, done) => current()?.removeListener(topic, deliver, done),
    emit: (packet, done) => current()?.emit(packet, done),
    close: (done) => current()?.close(done),
  };
}

function userHooksOf(options: AedesOptions): UserHooks {
  const given = options as Partial<UserHooks>;
  return {
    preConnect: given.preConnect,
    authenticate: given.authenticate,
    authorizePublish: given.authorizePublish,
    authorizeSubscribe: given.authorizeSubscribe,
    authorizeForward: given.authorizeForward,
    published: given.published,
  };
}

function takeHandle(broker: Aedes): AedesHandle {
  return broker.handle as unknown as AedesHandle;
}

function clientOf(session: Session): AedesClient | null {
  return (session.handle as AedesClient | undefined) ?? null;
}

function minimalConnect(version: ProtocolVersion): Buffer {
  const connect: ConnectPacket = {
    type: 'connect',
    version,
    bridge: false,
    cleanStart: true,
    keepAlive: 0,
    clientId: 'door',
    properties: {},
  };
  return encodePacket(connect, version);
}

/** An error with a server reference redirects a v5 client; any other closes without CONNACK, as Aedes does. */
function preConnectRefusal(error: HookError | null | undefined, version: ProtocolVersion): Refusal {
  const text = error?.message ?? 'refused by preConnect';
  return (
    redirect(error, version) ?? {
      reasonCode: ReasonCode.notAuthorized,
      text,
      counter: C.connectionRefusedHook,
      silent: true,
    }
  );
}

function authenticateRefusal(error: HookError | null | undefined, version: ProtocolVersion): Refusal {
  const moved = redirect(error, version);
  if (moved !== undefined) return moved;
  const reasonCode =
    { 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87 }[error?.returnCode ?? 5] ?? ReasonCode.notAuthorized;
  return { reasonCode, text: error?.message ?? 'not authorized', counter: C.connectionRefusedHook };
}

function redirect(error: HookError | null | undefined, version: ProtocolVersion): Refusal | undefined {
  if (!error?.serverReference || version !== 5) return undefined;
  const moved = error.reasonCode === ReasonCode.serverMoved;
  return {
    reasonCode: moved ? ReasonCode.serverMoved : ReasonCode.useAnotherServer,
    text: error.message,
    counter: C.connectionRefusedHook,
    properties: { serverReference: error.serverReference },
  };
}
