/**
 * Aedes at the door: it answers CONNECT, runs the hooks, keeps the registry of clients, emits its events, and is the API of
 * those who embed the gateway in a Node program. After CONNACK it sees nothing more of a connection; what its clients
 * and events show comes from the lanes.
 *
 *     Connection ──CONNECT──▶ Port ──▶ Aedes ── preConnect ─▶ Admission.negotiate
 *                                        │ ──── authenticate ▶ Admission.admit (credentials, client id, session)
 *                                        │ ──── CONNACK ─────▶ Admission.writeConnack
 *                                        └ ──── clientReady ─▶ Connection.ready
 *
 * Over 400 lines: what one class of Aedes shows, from `handle` to its events, stands together.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { Aedes, type AedesOptions } from 'aedes';
import mqttPacket from 'mqtt-packet';
import type { Connection } from '../connection/connection.js';
import type { Door, DoorSession, Refusal } from '../connection/environment.js';
import { SocketTransport } from '../connection/socket-transport.js';
import type { Logger } from '../contracts/logger.js';
import { encodePacket } from '../protocol/encode.js';
import type { ConnectPacket, ProtocolVersion } from '../protocol/packet.js';
import { ReasonCode } from '../protocol/reason-code.js';
import type { HookSubscription } from '../session/environment.js';
import { C } from '../telemetry/counters.js';
import type { AedesClient, AedesConnect, AedesHandle, AedesPacket, MqEmitter } from './aedes-internals.js';
import { type ClientConstructor, createClientClass } from './client-face.js';
import { closeAedes, DoorClient, doorOf } from './door-client.js';
import { InProcessEmitter, LateEmitter } from './in-process-emitter.js';
import { LaneHookFeed } from './lane-hook-feed.js';
import type { Lanes } from './lanes.js';
import { adoptConnect, describeConnect, type MappingContext } from './packet-mapping.js';
import { ParkedSessions } from './parked-sessions.js';
import { createInertPersistence } from './persistence.js';
import { Port } from './port.js';
import { authenticateRefusal, BROKEN_HOOK, preConnectRefusal } from './refusal.js';
import {
  type Answer,
  errorOf,
  HookFence,
  HOOK_NAMES,
  type HookName,
  userHooksOf,
  type UserHooks,
} from './user-hooks.js';

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
    maximumPacketSize: 0,
    sessionExpiryIntervalLimit: 0,
    pendingSessionsLimit: 0,
    heartbeatInterval: options.heartbeatInterval ?? 60000,
  };
}

// Aedes encodes one CONNACK per connection with it; the cache of all 65,536 numbers would cost 6 MB at the first.
mqttPacket.writeToStream.cacheNumbers = false;

/** Events whose error is Aedes's last word about a connection. */
const ERROR_EVENTS: ReadonlySet<string | symbol> = new Set(['clientError', 'connectionError']);

export class Broker extends Aedes implements Door {
  readonly lanes: Lanes;
  readonly #Client: ClientConstructor;
  readonly #user: UserHooks;
  readonly #fence: HookFence;
  readonly #context: MappingContext;
  readonly #laneHooks: LaneHookFeed;
  readonly #parked: ParkedSessions | undefined;
  /** Of MQTT 3.1; undefined: as in the other versions. */
  readonly #shortIdMaxLength: number | undefined;
  /** Clients whose CONNECT has not arrived. */
  readonly #waiting = new Map<Connection, DoorClient>();
  #counter = 0;

  constructor(lanes: Lanes, options: AedesOptions = {}) {
    const late = new LateEmitter();
    super(doorOptions(options, late));
    this.lanes = lanes;
    this.#context = {
      brokerId: this.id,
      nextCounter: () => ++this.#counter,
      now: () => lanes.env.clock.now(),
      topicBytes: (topic) => lanes.router.resolve(topic).bytes,
    };
    const { router, ingest } = lanes;
    const logger = (): Logger => lanes.env.logger;
    late.target = new InProcessEmitter({
      router,
      ingest,
      context: this.#context,
      logger,
      onClose: () => this.finish(),
    });
    this.#fence = new HookFence(logger);
    this.#user = userHooksOf(options);
    this.#Client = createClientClass(clientClassOf(this), {
      context: this.#context,
      counters: lanes.counters,
    });
    this.#shortIdMaxLength = options.maxClientsIdLength;
    const { pendingSessionsLimit = 0 } = options;
    this.#parked = pendingSessionsLimit > 0 ? new ParkedSessions(pendingSessionsLimit) : undefined;
    // Names like `constructor` are client ids too.
    Object.assign(this, { clients: Object.create(null) as object, brokers: Object.create(null) as object });
    this.#laneHooks = new LaneHookFeed({
      broker: this,
      hooks: lanes.hooks,
      user: this.#user,
      fence: this.#fence,
      context: this.#context,
      onSessionExpired: (clientId) => this.#parked?.leave(clientId),
    });
    this.#defineHooks();
    Object.defineProperty(this, 'handle', {
      value: (stream: Duplex, request?: IncomingMessage) => this.accept(stream, request),
    });
    for (const event of ['newListener', 'removeListener'])
      Reflect.apply(this.on, this, [event, () => queueMicrotask(() => this.#laneHooks.refresh())]);
    this.#laneHooks.refresh();
    lanes.useDoor(this, {
      keepAliveTimeout: (connection) => this.#onKeepAliveTimeout(connection),
      ping: (connection) => {
        if (this.listenerCount('ping') > 0) this.emit('ping', { cmd: 'pingreq' }, connection.handle);
      },
      error: (connection, error) => this.#onError(connection, error),
      closed: (connection) => {
        this.#waiting.get(connection)?.closed();
        doorOf(connection.handle)?.release();
        this.#waiting.delete(connection);
      },
    });
  }

  /** Takes a connection over, as Aedes's `handle` does. @returns its client, closed already where there is no room. */
  accept(stream: Duplex, request?: IncomingMessage): AedesClient {
    const transport = new SocketTransport(stream);
    // One that is destroyed has told it already, and would never end.
    const isOpen = !this.closed && !stream.destroyed;
    const connection = isOpen ? this.lanes.accept(transport, request) : undefined;
    if (connection === undefined) {
      // What fails on a stream that nobody wanted is nobody's error.
      stream.on('error', () => {});
      const refused = new this.#Client(this, new Port(() => {}), request);
      closeAedes(refused);
      refused.conn = stream as unknown as AedesClient['conn'];
      stream.destroy();
      return refused;
    }
    const door = this.#createClient(connection, stream);
    this.#waiting.set(connection, door);
    transport.attach(connection);
    return door.handle;
  }

  /**
   * Emits to the embedder's listeners. One that throws is logged and goes no further: the gateway's own work, and bytes
   * from outside, are behind most events.
   */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    const door = doorOf(args[0]) ?? doorOf(args[1]);
    if (event === 'connackSent' && door?.connack !== undefined) {
      args[0] = door.connack;
      door.connack = undefined;
    }
    const isReady = event === 'clientReady' && door !== undefined;
    if (isReady) admitted(door);
    door?.expose();
    try {
      return super.emit(event, ...args);
    } catch (error) {
      if (event === 'error') throw error;
      this.lanes.env.logger.error('a listener of the embedding program threw', {
        event: String(event),
        error: errorOf(error).stack ?? String(error),
      });
      return true;
    } finally {
      door?.conceal();
      if (ERROR_EVENTS.has(event)) door?.settle();
      if (isReady) door.connection?.resume();
    }
  }

  /** @internal The lanes have a CONNECT: Aedes gets a minimal one and begins. */
  open(connection: Connection, connect: ConnectPacket): DoorSession {
    const door = this.#waiting.get(connection) ?? this.#createClient(connection, connection.transport);
    this.#waiting.delete(connection);
    // The id is filled in by preConnect, once it is known; Aedes wants one that is not empty.
    door.push(minimalConnect(connect.version));
    return door;
  }

  /** @internal Sessions expire in the lanes; Aedes would keep a timer for each, and tell of it twice. */
  scheduleSessionExpiry(): void {}

  /** Called once by `close`, when the clients that Aedes knows have gone. */
  protected async finish(): Promise<void> {}

  /** Whether the embedder put a hook in place of the default. */
  protected hasHook(name: HookName): boolean {
    return this.#user[name] !== undefined;
  }

  #createClient(connection: Connection, shown: unknown): DoorClient {
    const port = new Port(() => {
      // Of a refusal the connection has sent its own CONNACK.
      if (connection.session === undefined) return;
      connection.admission.writeConnack();
      if (this.listenerCount('connackSent') > 0) door.keepConnack();
      connection.outbox.flush();
    });
    const client = new this.#Client(this, port, connection.request);
    const door = new DoorClient(client, connection, port, shown);
    door.onClosed = () => this.#onClosed(door);
    return door;
  }

  #defineHooks(): void {
    const user = this.#user;
    const inner: Record<HookName, unknown> = {
      preConnect: (client: AedesClient, packet: AedesConnect, done: Answer<boolean>) =>
        this.#preConnect(client, packet, done),
      authenticate: (client: AedesClient, _username: string, _password: Buffer, done: Answer<boolean>) =>
        this.#authenticate(client, done),
      authorizePublish: (client: AedesClient | null, packet: AedesPacket, done: Answer<never>) =>
        user.authorizePublish === undefined ? done(null) : user.authorizePublish(client, packet, done),
      authorizeSubscribe: (
        client: AedesClient,
        subscription: HookSubscription,
        done: Answer<HookSubscription>,
      ) =>
        user.authorizeSubscribe === undefined
          ? done(null, subscription)
          : user.authorizeSubscribe(client, subscription, done),
      authorizeForward: (client: AedesClient, packet: AedesPacket) =>
        user.authorizeForward === undefined ? packet : user.authorizeForward(client, packet),
      published: (packet: AedesPacket, client: AedesClient | null, done: Answer<never>) => {
        const hook = user.published;
        if (hook === undefined) {
          done(null);
          return;
        }
        const ended = (): void => done(null);
        this.#fence.ask<never>(
          'published',
          client?.id,
          (answer) => hook(packet, client, answer),
          ended,
          ended,
        );
      },
    };
    for (const name of HOOK_NAMES) {
      Object.defineProperty(this, name, {
        enumerable: true,
        get: () => inner[name],
        set: (hook: unknown) => {
          Object.assign(user, { [name]: typeof hook === 'function' ? hook : undefined });
          this.#laneHooks.refresh();
        },
      });
    }
  }

  // The handshake.

  #preConnect(client: AedesClient, packet: AedesConnect, done: Answer<boolean>): void {
    const door = doorOf(client);
    const connection = door?.connection;
    const connect = connection?.connect;
    if (door === undefined || connection === undefined || connect === undefined) return;
    const hook = this.#user.preConnect;
    if (hook === undefined) {
      this.#negotiate(connection, connect, packet, done);
      return;
    }
    const refuse = (error: Error | undefined, refusal: Refusal): void => {
      door.conceal();
      door.refusal = error;
      connection.admission.refuse(refusal);
    };
    describeConnect(packet, connect);
    door.expose();
    this.#fence.ask<boolean>(
      'preConnect',
      packet.clientId,
      (answer) => hook(client, packet, answer),
      (error, successful) => {
        const fault = error || successful !== true ? undefined : adopted(connect, packet);
        if (error || successful !== true) {
          refuse(error ?? undefined, preConnectRefusal(error, connect.version));
        } else if (fault !== undefined) {
          this.#fence.report({ hook: 'preConnect', client: connect.clientId, error: fault });
          refuse(fault, BROKEN_HOOK);
        } else {
          door.conceal();
          this.#negotiate(connection, connect, packet, done);
        }
      },
      (error) => refuse(error, { ...BROKEN_HOOK, silent: true }),
    );
  }

  #negotiate(
    connection: Connection,
    connect: ConnectPacket,
    packet: AedesConnect,
    done: Answer<boolean>,
  ): void {
    if (connect.version === 3 && connect.clientId.length > (this.#shortIdMaxLength ?? Infinity)) {
      connection.admission.refuse({
        reasonCode: ReasonCode.clientIdentifierNotValid,
        text: 'identifier rejected',
        counter: C.connectionRefusedProtocol,
      });
      return;
    }
    const terms = connection.admission.negotiate();
    if (terms === undefined) return;
    packet.clientId = terms.clientId;
    delete packet.will;
    delete packet.properties;
    packet.keepalive = 0;
    packet.clean = true;
    done(null, true);
  }

  #authenticate(client: AedesClient, done: Answer<boolean>): void {
    const door = doorOf(client);
    const connection = door?.connection;
    const connect = connection?.connect;
    if (door === undefined || connection === undefined || connect === undefined) return;
    this.#describe(client, connection, connect);
    connection.admission.admit(this.#askCredentials(door, connect), (refusal) =>
      this.#admitted(door, refusal, done),
    );
  }

  #admitted(door: DoorClient, refusal: Refusal | undefined, done: Answer<boolean>): void {
    const { handle: client, connection } = door;
    if (refusal !== undefined) {
      if (this.listenerCount('connackSent') > 0) door.keepConnack();
      done(door.refusal ?? new Error(refusal.text), false);
      return;
    }
    this.#parked?.leave(client.id);
    const { connect, terms } = connection ?? {};
    if (terms !== undefined && connect?.properties.requestResponseInformation === true)
      terms.responseInformation = this.#responseInformationFor(client);
    done(null, true);
  }

  /** What Aedes takes from CONNECT, of the CONNECT that it has not seen. */
  #describe(client: AedesClient, connection: Connection, connect: ConnectPacket): void {
    const expiryS = connection.terms?.expiryS ?? 0;
    client.clean = expiryS === 0;
    client.sessionExpiryInterval = expiryS;
    client.receiveMaximum = connect.properties.receiveMaximum ?? 65535;
    client.maximumPacketSize = connect.properties.maximumPacketSize;
  }

  #askCredentials(
    door: DoorClient,
    { username, password, version }: ConnectPacket,
  ): ((answer: (refusal: Refusal | undefined) => void) => void) | undefined {
    const hook = this.#user.authenticate;
    if (hook === undefined) return undefined;
    const client = door.handle;
    return (answer) => {
      door.expose();
      this.#fence.ask<boolean>(
        'authenticate',
        client.id,
        (done) => hook(client, username, password === undefined ? undefined : Buffer.from(password), done),
        (error, successful) => {
          door.conceal();
          door.refusal = error ?? undefined;
          answer(!error && successful ? undefined : authenticateRefusal(error, version));
        },
        (error) => {
          door.conceal();
          door.refusal = error;
          answer(BROKEN_HOOK);
        },
      );
    };
  }

  #responseInformationFor(client: AedesClient): string | undefined {
    const { responseInformation } = this as { responseInformation?: unknown };
    if (typeof responseInformation !== 'function') return textOf(responseInformation);
    try {
      return textOf(responseInformation(client));
    } catch (error) {
      this.emit('clientError', client, errorOf(error));
      return undefined;
    }
  }

  #onClosed(door: DoorClient): void {
    const client = door.handle;
    const session = client.id ? this.lanes.registry.get(client.id) : undefined;
    if (client.version === 5) client.sessionExpiryInterval = session?.expiryS ?? 0;
    const will = door.connection?.connect?.will;
    const delayS = will?.properties.willDelayInterval ?? 0;
    const shutsDown = client.disconnectReasonCode === ReasonCode.serverShuttingDown;
    if (shutsDown && session !== undefined && delayS > 0) this.emit('willDropped', client, will);
    if (this.#parked === undefined || session === undefined || session.ended || client.version !== 5) return;
    if (shutsDown || this.#parked.park(session)) return;
    session.end();
    const limit = this.#parked.maxCount;
    this.emit('sessionLimitReached', client, { reason: 'sessionExpiry', limit });
  }

  // Events of the lanes.

  #onKeepAliveTimeout(connection: Connection): void {
    const client = connection.handle as AedesClient | undefined;
    if (client === undefined) return;
    this.emit('keepaliveTimeout', client);
    this.emit('clientError', client, new Error('keep alive timeout'));
  }

  #onError(connection: Connection, error: Error): void {
    let door = doorOf(connection.handle) ?? this.#waiting.get(connection);
    if (door === undefined) {
      if (this.listenerCount('connectionError') === 0) return;
      door = this.#createClient(connection, connection.transport);
      this.#waiting.set(connection, door);
    }
    const { handle } = door;
    this.emit(handle.id ? 'clientError' : 'connectionError', handle, door.refusal ?? error);
  }
}

/** The session begins before the embedder hears of it, the client's packets come after. */
function admitted(door: DoorClient): void {
  const { connection } = door;
  connection?.suspend();
  connection?.ready();
  // Aedes has a few steps left in this turn.
  queueMicrotask(() => door.spend());
}

/** Aedes does not export the class of its clients; the first client has it. */
function clientClassOf(broker: Aedes): ClientConstructor {
  const handle = broker.handle as unknown as AedesHandle;
  const client = handle(new Port(() => {}));
  client.close();
  return client.constructor as ClientConstructor;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** @returns why what preConnect made of the packet is none. */
function adopted(connect: ConnectPacket, packet: AedesConnect): Error | undefined {
  try {
    adoptConnect(connect, packet);
    return undefined;
  } catch (error) {
    return errorOf(error);
  }
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
