import type { Duplex } from 'node:stream';
import type { Transport, TransportHandler } from './transport.js';

interface Addressed {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** Writes under way: a Duplex in the process may answer from inside of one, which a socket never does. */
let writing = 0;
/** What arrived meanwhile, in its order. */
let heldBack: (() => void)[] = [];

function afterWrite(): void {
  if (--writing > 0 || heldBack.length === 0) return;
  const held = heldBack;
  heldBack = [];
  process.nextTick(() => {
    for (const deliver of held) deliver();
  });
}

/** TCP and TLS sockets, and any Duplex that an embedder hands to `broker.handle`. */
export class SocketTransport implements Transport {
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** undefined: it is closed. A session that stays has this for its address. */
  #socket: (Duplex & Addressed) | undefined;
  #error: Error | undefined;
  /** Reads of it that are held back. */
  #held = 0;

  /** Starts reading at once: call `attach` in the same turn. */
  constructor(socket: Duplex & Addressed) {
    this.#socket = socket;
    // A closed socket does not know it any more.
    this.remoteAddress = socket.remoteAddress;
    this.remotePort = socket.remotePort;
  }

  attach(handler: TransportHandler): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    let listener: TransportHandler | undefined = handler;
    socket.on('data', (bytes: Uint8Array) => {
      if (listener === undefined) return;
      if (writing === 0 && this.#held === 0) listener.data(bytes);
      else this.#holdBack(listener, bytes);
    });
    socket.on('error', (error) => {
      this.#error = error;
    });
    // A Duplex that half closes: nothing more will come, and MQTT has no use for a one-way connection.
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      // An embedder may keep the socket for long: not all that the connection was with it.
      const ended = listener;
      listener = undefined;
      this.#socket = undefined;
      ended?.closed(this.#error);
    });
  }

  write(bytes: Uint8Array, taken: () => void): void {
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed) return;
    writing++;
    try {
      socket.write(bytes, taken);
    } finally {
      afterWrite();
    }
  }

  #holdBack(handler: TransportHandler, bytes: Uint8Array): void {
    this.#held++;
    const deliver = (): void => {
      this.#held--;
      handler.data(bytes);
    };
    if (writing > 0) heldBack.push(deliver);
    else process.nextTick(deliver);
  }

  end(): void {
    this.#socket?.end();
  }

  destroy(): void {
    this.#socket?.destroy();
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }
}
