import type { Duplex } from 'node:stream';
import type { Transport, TransportHandler } from './transport.js';

interface Addressed {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** TCP and TLS sockets, and any Duplex that an embedder hands to `broker.handle`. */
export class SocketTransport implements Transport {
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly #socket: Duplex & Addressed;
  #error: Error | undefined;

  /** Starts reading at once: call `attach` in the same turn. */
  constructor(socket: Duplex & Addressed) {
    this.#socket = socket;
    // A closed socket does not know it any more.
    this.remoteAddress = socket.remoteAddress;
    this.remotePort = socket.remotePort;
  }

  attach(handler: TransportHandler): void {
    const socket = this.#socket;
    socket.on('data', (bytes: Uint8Array) => handler.data(bytes));
    socket.on('error', (error) => {
      this.#error = error;
    });
    // A Duplex that half closes: nothing more will come, and MQTT has no use for a one-way connection.
    socket.on('end', () => socket.end());
    socket.on('close', () => handler.closed(this.#error));
  }

  write(bytes: Uint8Array, taken: () => void): void {
    if (this.#socket.destroyed) return;
    this.#socket.write(bytes, taken);
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }
}
