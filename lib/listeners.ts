/**
 * The sockets that clients connect to: TCP, TLS, WebSocket and WebSocket over TLS. All of them hand transports to the same
 * lanes.
 */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server as HttpServer,
  type ServerOptions,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions, Server as TlsServer } from 'node:tls';
import { WebSocketServer } from 'ws';
import { Arrivals } from './arrivals.js';
import type { Lanes } from './broker/lanes.js';
import { type Config, type ListenerName, type MqttListener, mqttListeners } from './config/index.js';
import type { Connection } from './connection/connection.js';
import { SocketTransport } from './connection/socket-transport.js';
import type { Transport, TransportHandler } from './connection/transport.js';
import { boundStranger, WebSocketTransport } from './connection/websocket-transport.js';
import { listenFailure } from './contracts/listen-failure.js';
import type { Logger } from './contracts/logger.js';
import { realClock } from './real-clock.js';
import { certificateEndMs, expiryOf, tlsOptionsOf } from './tls-files.js';

interface Listener extends MqttListener {
  readonly server: Server;
}

const FLAGS: Partial<Record<ListenerName, string>> = { mqtt: ' (--mqtt-port)', ws: ' (--ws-port)' };

/** How often unfinished requests are looked at: they end late by at most this. */
const HTTP_CHECK_INTERVAL_MS = 1000;

/**
 * What a message of WebSocket may hold beside the largest packet. It may have several packets [MQTT-6.0.0-2], and MQTT.js in a
 * browser makes one message of all that gathers while the line is slow. `ws` holds a message until it is whole, so there is an end.
 */
const BESIDE_PACKET_MAX_BYTES = 4 * 1024 * 1024;

type AttachableTransport = Transport & { attach(handler: TransportHandler): void };

export class Listeners {
  readonly #lanes: Lanes;
  readonly #config: Config['listeners'];
  readonly #packetMaxBytes: number;
  readonly #connectTimeoutMs: number;
  readonly #logger: Logger;
  readonly #arrivals: Arrivals;
  #open: Listener[] = [];

  constructor(lanes: Lanes, config: Config, logger: Logger) {
    this.#lanes = lanes;
    this.#config = config.listeners;
    this.#packetMaxBytes = config.mqtt.packetMaxBytes;
    this.#connectTimeoutMs = config.mqtt.connectTimeoutMs;
    this.#logger = logger;
    this.#arrivals = new Arrivals((remoteAddress) => lanes.reserve(remoteAddress));
  }

  get addresses(): Partial<Record<ListenerName, AddressInfo>> {
    const addresses: Partial<Record<ListenerName, AddressInfo>> = {};
    for (const { name, server } of this.#open) {
      const address = server.address();
      if (address !== null && typeof address === 'object') addresses[name] = address;
    }
    return addresses;
  }

  /** @throws SprawlError LISTEN_FAILED or TLS_FILE_INVALID; nothing is left open then. */
  async open(): Promise<void> {
    try {
      for (const listener of await this.#create()) {
        await listen(listener, this.#config.backlog);
        listener.server.on('error', (error) =>
          this.#logger.error('a listener failed', { listener: listener.name, reason: error.message }),
        );
        this.#open.push(listener);
      }
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /**
   * Reads the files of TLS again. Who is connected stays, also where the authority that it came with is gone.
   * @returns puts them in force for hand-shakes from then on
   * @throws SprawlError TLS_FILE_INVALID; the old ones stay in force then
   */
  async prepareCertificates(): Promise<() => void> {
    const { tls } = this.#config;
    if (tls === undefined) return () => undefined;
    const secure = await tlsOptionsOf(tls);
    await this.#warnOfExpiry(tls);
    return () => {
      for (const { server } of this.#open) if (server instanceof TlsServer) server.setSecureContext(secure);
    };
  }

  /**
   * Takes no more connections; those that the lanes have stay. Resolves when the ports are free, for WebSockets when they
   * have closed.
   */
  async close(): Promise<void> {
    const closing = this.#open;
    this.#open = [];
    const closed = Promise.all(
      closing.map(({ server }) => new Promise<void>((resolve) => server.close(() => resolve()))),
    );
    // Nobody else would end them: a server of Node that closes no longer looks at their deadlines.
    this.#arrivals.destroy();
    await closed;
  }

  async #create(): Promise<Listener[]> {
    const { tls } = this.#config;
    if (tls !== undefined) await this.#warnOfExpiry(tls);
    // Read before the first of them is created: with a certificate that is no good nothing is opened.
    const secure = {
      ...(tls === undefined ? {} : await tlsOptionsOf(tls)),
      handshakeTimeout: this.#connectTimeoutMs,
    };
    return mqttListeners(this.#config).map((listener) => ({
      ...listener,
      server: this.#server(listener.name, secure),
    }));
  }

  async #warnOfExpiry(tls: NonNullable<Config['listeners']['tls']>): Promise<void> {
    const reason = expiryOf(await certificateEndMs(tls), realClock.wall());
    if (reason !== undefined)
      this.#logger.warn('the certificate of the listeners is to be renewed', { file: tls.certFile, reason });
  }

  #server(name: ListenerName, secure: TlsOptions): Server {
    const onSocket = (socket: Socket): void => void this.#accept(new SocketTransport(socket));
    switch (name) {
      case 'mqtt':
        return createTcpServer({ noDelay: true }, onSocket);
      case 'ws':
        return this.#webSockets(createHttpServer(this.#httpOptions(), upgradeRequired));
      case 'tls': {
        const server = createTlsServer({ ...secure, noDelay: true }, (socket) => {
          if (this.#arrivals.leave(socket)) onSocket(socket);
          else socket.destroy();
        });
        this.#arrivals.watch(server);
        return this.#sayFailures(server);
      }
      case 'wss':
        return this.#sayFailures(
          this.#webSockets(createHttpsServer({ ...secure, ...this.#httpOptions() }, upgradeRequired)),
        );
    }
  }

  #sayFailures<S extends TlsServer>(server: S): S {
    server.on('tlsClientError', (error, socket) => {
      // Node hangs up on a certificate that it does not take, and the error says no more than that.
      const refused = socket.authorizationError as unknown;
      const reason =
        typeof refused === 'string' ? `the certificate of the client is refused: ${refused}` : error.message;
      this.#logger.debug('a TLS handshake failed', { reason: reason.trimEnd() });
      // One that took too long is not closed by Node.
      socket.destroy();
    });
    return server;
  }

  /** The hand-shake of a WebSocket has as much time as CONNECT after it. */
  #httpOptions(): ServerOptions {
    const timeoutMs = this.#connectTimeoutMs;
    return {
      headersTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      connectionsCheckingInterval: Math.min(timeoutMs, HTTP_CHECK_INTERVAL_MS),
    };
  }

  #webSockets<S extends HttpServer>(server: S): S {
    this.#arrivals.watch(server);
    // Not the 417 of Node, which leaves the connection open for the next request.
    server.on('checkExpectation', upgradeRequired);
    const sockets = new WebSocketServer({
      server,
      path: this.#config.wsPath,
      maxPayload: this.#packetMaxBytes + BESIDE_PACKET_MAX_BYTES,
      perMessageDeflate: false,
      clientTracking: false,
      // MQTT over WebSocket names its subprotocol [MQTT-6.0.0-3]; "mqttv3.1" is what 3.1 clients say.
      handleProtocols: (offered) =>
        offered.has('mqtt') ? 'mqtt' : offered.has('mqttv3.1') ? 'mqttv3.1' : false,
    });
    // It repeats the errors of its server, which `listen` and the log deal with.
    sockets.on('error', () => undefined);
    sockets.on('connection', (socket, request: IncomingMessage) => {
      const { socket: stream } = request;
      const { remoteAddress, remotePort } = stream;
      if (!this.#arrivals.leave(stream)) {
        socket.terminate();
        return;
      }
      const transport = new WebSocketTransport(socket, { remoteAddress, remotePort });
      const connection = this.#accept(transport, request);
      if (connection === undefined) return;
      boundStranger(socket, { stream, maxBytes: this.#packetMaxBytes, isIn: () => connection.isReady });
    });
    return server;
  }

  #accept(transport: AttachableTransport, request?: IncomingMessage): Connection | undefined {
    const connection = this.#lanes.accept(transport, request);
    if (connection === undefined) transport.destroy();
    else transport.attach(connection);
    return connection;
  }
}

/** What is no WebSocket gets an answer too. */
const upgradeRequired: RequestListener = (_request, response) => {
  response.writeHead(426, {
    Upgrade: 'websocket',
    Connection: 'Upgrade, close',
    'Content-Type': 'text/plain',
  });
  response.end('MQTT is spoken here, over WebSocket.\n');
};

function listen({ name, server, host, hostKey, port, portKey }: Listener, backlog: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void =>
      reject(
        listenFailure({ listener: name, host, port, hostKey, portKey: portKey + (FLAGS[name] ?? '') }, error),
      );
    server.once('error', fail);
    server.listen({ host, port, backlog }, () => {
      server.off('error', fail);
      resolve();
    });
  });
}
