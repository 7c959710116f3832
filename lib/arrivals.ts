/**
 * Sockets that are still to get through TLS or HTTP: no connection can be made of them yet, and nobody but the listeners
 * knows them.
 *
 *     accepted ──▶ arriving ──TLS is agreed on, WebSocket begins──▶ of the lanes
 *                     │
 *                     └── fails, takes too long, is no WebSocket, the gateway stops ──▶ closed
 */
import type { Server, Socket } from 'node:net';

export class Arrivals {
  /** By the two ends of the socket: what TLS makes of it has the same, and does not know it otherwise. */
  readonly #arriving = new Map<string, Socket>();

  /** From now on sockets of this server come in here first. Call it when TLS or HTTP listens to `connection` of the server. */
  watch(server: Server): void {
    const listeners = server.listeners('connection');
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) => {
      if (!this.#enter(socket)) socket.destroy();
      else for (const listener of listeners) Reflect.apply(listener, server, [socket]);
    });
  }

  /** @returns false where the peer has gone meanwhile. */
  #enter(socket: Socket): boolean {
    const ends = endsOf(socket);
    if (ends === undefined) return false;
    this.#arriving.set(ends, socket);
    socket.once('close', () => {
      // The next socket may have the same ends before this one is told of its own.
      if (this.#arriving.get(ends) === socket) this.#arriving.delete(ends);
    });
    return true;
  }

  /**
   * The socket, or the one that TLS made of it, gets through: whoever calls takes care of it from now on.
   * @returns false where the peer has gone meanwhile: there is nothing left to take.
   */
  leave(socket: Socket): boolean {
    const ends = endsOf(socket);
    return ends !== undefined && this.#arriving.delete(ends);
  }

  /** Closes all of them: they have not said anything that would be owed an answer. */
  destroy(): void {
    for (const socket of this.#arriving.values()) socket.destroy();
  }
}

/** undefined: it has no peer any more. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | undefined {
  if (remoteAddress === undefined || localAddress === undefined) return undefined;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
