import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Transport, TransportHandler } from './transport.js';

/** Close code for data that this endpoint does not take [RFC 6455, 7.4.1]. */
const UNSUPPORTED_DATA = 1003;

/** A socket hands on this much at a time: what belongs to the message before counts for the next one. */
const READ_MAX_BYTES = 65_536;

/**
 * `ws` hands messages on whole and holds their bytes until then. Of a client that is not in yet it holds no more than `maxBytes`,
 * and what is read at a time: beyond it the connection is cut. @param stream what the WebSocket is read from
 */
export function boundStranger(
  socket: WebSocket,
  { stream, maxBytes, isIn }: { stream: Duplex; maxBytes: number; isIn: () => boolean },
): void {
  let heldBytes = 0;
  const handedOn = (): void => {
    heldBytes = 0;
  };
  const received = (bytes: Uint8Array): void => {
    heldBytes += bytes.length;
    if (isIn()) {
      stream.off('data', received);
      socket.off('message', handedOn);
    } else if (heldBytes > maxBytes + READ_MAX_BYTES) socket.terminate();
  };
  socket.on('message', handedOn);
  stream.on('data', received);
}

/** MQTT over WebSocket: packets may be cut and merged over binary frames at will; a text frame closes [MQTT-6.0.0-1]. */
export class WebSocketTransport implements Transport {
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** undefined: it is closed. */
  #socket: WebSocket | undefined;
  #error: Error | undefined;

  constructor(
    socket: WebSocket,
    remote: { remoteAddress?: string | undefined; remotePort?: number | undefined },
  ) {
    this.#socket = socket;
    this.remoteAddress = remote.remoteAddress;
    this.remotePort = remote.remotePort;
  }

  attach(handler: TransportHandler): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    let listener: TransportHandler | undefined = handler;
    socket.binaryType = 'nodebuffer';
    socket.on('message', (data, isBinary) => {
      if (!isBinary) {
        this.#error = new Error('a WebSocket text frame; MQTT uses binary frames');
        socket.close(UNSUPPORTED_DATA, 'binary frames only');
      } else if (Buffer.isBuffer(data)) {
        listener?.data(data);
      }
    });
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => {
      const ended = listener;
      listener = undefined;
      this.#socket = undefined;
      ended?.closed(this.#error);
    });
  }

  write(bytes: Uint8Array, taken: () => void): void {
    const socket = this.#socket;
    if (socket === undefined || socket.readyState !== socket.OPEN) return;
    socket.send(bytes, { binary: true, compress: false }, (error) => {
      if (error === undefined || error === null) taken();
    });
  }

  end(): void {
    this.#socket?.close(1000);
  }

  destroy(): void {
    this.#socket?.terminate();
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }
}
