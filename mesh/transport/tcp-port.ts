import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Timers } from '../../lib/contracts/clock.js';
import { SprawlError } from '../../lib/contracts/errors.js';
import { type HostPort, plainHost, showAddress } from './address.js';
import { FrameStream } from './frame-stream.js';
import { KEEP_ALIVE_MS, TCP_DIAL_TIMEOUT_MS } from './limits.js';
import { Reason, reasonOf } from './reasons.js';
import { secureSocket, type TransportKeyPair } from './tcp-handshake.js';
import type { UnprovenGate } from './unproven-gate.js';

/** A stream after its handshake, or why there is none. */
export type DialResult = { readonly stream: FrameStream } | { readonly failure: string };

export interface IncomingStream {
  readonly stream: FrameStream;
  readonly address: HostPort;
  /** To call when the other side has shown that it is a member, or is gone. */
  readonly leaveGate: () => void;
}

export interface TcpPortOptions {
  readonly host: string;
  /** 0: any free one; undefined: no listener, only dialling. */
  readonly port: number | undefined;
  readonly keyPair: TransportKeyPair;
  readonly preSharedKey: Uint8Array;
  readonly timers: Timers;
  readonly gate: UnprovenGate;
  onStream(incoming: IncomingStream): void;
}

const nothing = (): void => {};

/** Listens for gateways on TCP, and dials them. */
export class TcpPort {
  readonly #options: TcpPortOptions;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  /** 0: it does not listen. */
  port = 0;

  constructor(options: TcpPortOptions) {
    this.#options = options;
  }

  /** @throws SprawlError LISTEN_FAILED */
  async start(): Promise<void> {
    const { host, port } = this.#options;
    if (port === undefined) return;
    const server = createServer({ noDelay: true }, (socket) => void this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => reject(listenFailed({ host, port }, 'TCP, mesh.tcpPort', cause)));
      server.listen({ host, port }, resolve);
    });
    server.on('error', nothing);
    this.#server = server;
    const address = server.address();
    this.port = typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Cuts what is left. */
  stop(): void {
    this.stopListening();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Connections that there are stay. */
  stopListening(): void {
    this.#server?.close();
    this.#server = undefined;
    this.port = 0;
  }

  /** Never rejects. */
  async dial(address: HostPort, signal: AbortSignal): Promise<DialResult> {
    if (signal.aborted) return { failure: Reason.aborted };
    const socket = connect({ host: address.host, port: address.port, noDelay: true });
    this.#keep(socket);
    const abort = (): void => void socket.destroy();
    signal.addEventListener('abort', abort);
    try {
      const failure = await connected(socket, address, this.#options.timers);
      if (failure !== undefined) return { failure: signal.aborted ? Reason.aborted : failure };
      return await this.#secure(socket, true);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async #accept(socket: Socket): Promise<void> {
    this.#keep(socket);
    const address = { host: plainHost(socket.remoteAddress), port: socket.remotePort ?? 0 };
    const leaveGate = this.#options.gate.enter(address.host);
    if (leaveGate === undefined) {
      socket.destroy();
      return;
    }
    const result = await this.#secure(socket, false);
    if ('failure' in result) leaveGate();
    else this.#options.onStream({ stream: result.stream, address, leaveGate });
  }

  async #secure(socket: Socket, initiator: boolean): Promise<DialResult> {
    const { keyPair, preSharedKey, timers } = this.#options;
    const result = await secureSocket(socket, { initiator, keyPair, preSharedKey, timers });
    if ('failure' in result) return result;
    if (socket.destroyed) return { failure: Reason.ended };
    const data = result.rest.length > 0 ? { data: result.rest } : {};
    const stream = new FrameStream(initiator, socket, {
      handshake: result.keys,
      keepAlive: KEEP_ALIVE_MS,
      ...data,
    });
    stream.on('error', nothing);
    return { stream };
  }

  #keep(socket: Socket): void {
    socket.on('error', nothing);
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

/** undefined: it is. Destroys the socket otherwise. */
function connected(socket: Socket, address: HostPort, timers: Timers): Promise<string | undefined> {
  return new Promise((resolve) => {
    let failure: string | undefined;
    const timer = timers.after(TCP_DIAL_TIMEOUT_MS, () => {
      failure = `timeout: nothing answers at ${showAddress(address)}`;
      socket.destroy();
    });
    const settle = (outcome: string | undefined): void => {
      timer.cancel();
      socket.off('close', onClose);
      resolve(outcome);
    };
    const onClose = (): void => settle(failure ?? Reason.ended);
    socket.once('error', (error) => (failure ??= reasonOf(error, address)));
    socket.once('close', onClose);
    socket.once('connect', () => settle(undefined));
  });
}

/** @param port which of them it is, and what sets it, for people */
export function listenFailed(address: HostPort, port: string, cause: unknown): SprawlError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
  const why: Record<string, string> = {
    EADDRINUSE: 'another program uses this port; stop it, or choose another port',
    EADDRNOTAVAIL: 'this machine does not have this address; give one that it has, or 0.0.0.0 for all',
    EACCES: 'this user may not open this port; choose one above 1023',
  };
  return new SprawlError(
    'LISTEN_FAILED',
    `cannot listen for gateways on ${showAddress(address)} (${port}): ${why[code] ?? code}`,
    { retryable: code === 'EADDRINUSE', details: { ...address }, cause },
  );
}
