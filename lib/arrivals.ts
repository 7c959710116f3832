/**
 * Sockets that are still to get through TLS or HTTP: no connection can be made of them yet, and nobody but the listeners
 * knows them. They have a place among the handshakes all the same.
 *
 *     accepted ──there is a place──▶ arriving ──TLS is agreed on, WebSocket begins──▶ of the lanes
 *        │                              │
 *        └── there is none ─────────────┴── fails, takes too long, is no WebSocket, the gateway stops ──▶ closed
 */
import type { Server, Socket } from 'node:net';

/** @returns what gives the place back, also where it has been; undefined where there is none */
type Reserve = (remoteAddress: string) => (() => void) | undefined;

interface Arrival {
  readonly socket: Socket;
  /** Its place is free, and it is forgotten. */
  readonly end: () => void;
}

export class Arrivals {
  readonly #reserve: Reserve;
  /** By the two ends of the socket: what TLS makes of it has the same, and does not know it otherwise. */
  readonly #arriving = new Map<string, Arrival>();

  constructor(reserve: Reserve) {
    this.#reserve = reserve;
  }

  /**
   * From now on sockets of this server come in here first: those that are refused cost no TLS and no HTTP. Call it when these
   * listen to `connection` of the server.
   */
  watch(server: Server): void {
    const listeners = server.listeners('connection');
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) => {
      if (!this.#enter(socket)) socket.destroy();
      else for (const listener of listeners) Reflect.apply(listener, server, [socket]);
    });
  }

  /** @returns false where there is no place, or no peer any more. */
  #enter(socket: Socket): boolean {
    const ends = endsOf(socket);
    if (ends === undefined) return false;
    const giveBack = this.#reserve(socket.remoteAddress ?? '');
    if (giveBack === undefined) return false;
    const arrival: Arrival = {
      socket,
      end: () => {
        giveBack();
        // The next socket may have the same ends before this one is told of its own.
        if (this.#arriving.get(ends) === arrival) this.#arriving.delete(ends);
      },
    };
    this.#arriving.set(ends, arrival);
    // Without TLS, or with an answer that is no upgrade, however it came to it.
    socket.once('close', arrival.end);
    return true;
  }

  /**
   * The socket, or the one that TLS made of it, gets through: whoever calls takes care of it from now on, and its place is
   * free for it. @returns false where the peer has gone meanwhile: there is nothing left to take.
   */
  leave(socket: Socket): boolean {
    const ends = endsOf(socket);
    const arrival = ends === undefined ? undefined : this.#arriving.get(ends);
    if (arrival === undefined) return false;
    arrival.socket.off('close', arrival.end);
    arrival.end();
    return true;
  }

  /** Closes all of them: they have not said anything that would be owed an answer. */
  destroy(): void {
    for (const { socket } of this.#arriving.values()) socket.destroy();
  }
}

/** undefined: it has no peer any more. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | undefined {
  if (remoteAddress === undefined || localAddress === undefined) return undefined;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
