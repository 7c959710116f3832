/**
 * A TCP connection as far as MQTT can tell: bytes arrive late, cut and merged at will; a peer who does not read fills a buffer;
 * ends come as FIN or as a reset, or never, when the peer has vanished.
 */
import type { Transport, TransportHandler } from '../../lib/connection/transport.js';
import type { Random } from './random.js';
import type { Steps } from './scheduler.js';

export interface LinkObserver {
  /** Bytes leave the gateway. */
  wrote(bytes: Uint8Array): void;
  /** Bytes reach the gateway, before they are handed to it. */
  arrives(bytes: Uint8Array): void;
  /** The gateway is about to learn that the connection is gone. */
  closes(): void;
}

/** What the client at the other end is told. */
export interface LinkClient {
  data(bytes: Uint8Array): void;
  ended(): void;
}

export interface LinkOptions {
  readonly latencyMaxMs: number;
  /** Bytes that the gateway may write before the client has read any. */
  readonly bufferBytes: number;
}

interface Write {
  readonly bytes: Uint8Array;
  readonly taken: () => void;
}

export class Link implements Transport {
  readonly remoteAddress = '192.0.2.1';
  readonly remotePort = 40000;
  readonly #scheduler: Steps;
  readonly #random: Random;
  readonly #options: LinkOptions;
  readonly #observer: LinkObserver;
  readonly #client: LinkClient;
  #handler: TransportHandler | undefined;
  // Towards the gateway.
  #toServer: Uint8Array[] = [];
  #clientEnded = false;
  #serverPaused = false;
  #arrivalDue = false;
  // Towards the client.
  #writes: Write[] = [];
  #inKernel: Uint8Array[] = [];
  #kernelBytes = 0;
  #serverEnded = false;
  #clientReads = true;
  #readDue = false;
  #vanished = false;
  #serverClosed = false;
  #serverDestroyed = false;
  #clientClosed = false;

  constructor(
    scheduler: Steps,
    random: Random,
    options: LinkOptions,
    observer: LinkObserver,
    client: LinkClient,
  ) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#options = options;
    this.#observer = observer;
    this.#client = client;
  }

  attach(handler: TransportHandler): void {
    this.#handler = handler;
  }

  /** Whether the gateway was told that the connection is gone. */
  get serverClosed(): boolean {
    return this.#serverClosed;
  }

  // The gateway's side.

  write(bytes: Uint8Array, taken: () => void): void {
    this.#observer.wrote(bytes);
    if (this.#serverDestroyed || this.#serverClosed) return;
    this.#writes.push({ bytes: Uint8Array.prototype.slice.call(bytes), taken });
    this.#fillKernel();
  }

  end(): void {
    this.#serverEnded = true;
    this.#arrangeRead();
  }

  destroy(): void {
    if (this.#serverDestroyed) return;
    this.#serverDestroyed = true;
    this.#closeServer(undefined, 0);
    this.#closeClient();
  }

  pause(): void {
    this.#serverPaused = true;
  }

  resume(): void {
    this.#serverPaused = false;
    this.#arrangeArrival();
  }

  /**
   * The gateway's process is no more. @param power the machine neither: what is in its buffers never leaves, and the client learns of the
   * end when it asks the machine that came up instead.
   */
  die(power: boolean): void {
    if (this.#serverDestroyed && this.#serverClosed) return;
    this.#serverDestroyed = true;
    this.#serverClosed = true;
    this.#writes = [];
    this.#toServer = [];
    if (power) {
      this.#inKernel = [];
      this.#kernelBytes = 0;
      this.#closeClient();
    } else {
      this.#serverEnded = true;
      this.#arrangeRead();
    }
  }

  // The client's side.

  send(bytes: Uint8Array): void {
    if (this.#vanished || this.#clientEnded || this.#clientClosed) return;
    this.#toServer.push(bytes);
    this.#arrangeArrival();
  }

  /** FIN behind everything that was sent. */
  close(): void {
    if (this.#vanished || this.#clientEnded) return;
    this.#clientEnded = true;
    this.#clientReads = true;
    this.#arrangeArrival();
    this.#arrangeRead();
  }

  /** RST: what was sent and has not arrived is lost. */
  reset(): void {
    if (this.#vanished) return;
    this.#toServer = [];
    this.#clientClosed = true;
    this.#closeServer(new Error('read ECONNRESET'), this.#latency());
  }

  /** The client is gone without a word: the gateway learns nothing. */
  vanish(): void {
    this.#vanished = true;
    this.#clientReads = false;
    this.#toServer = [];
  }

  stopReading(): void {
    this.#clientReads = false;
  }

  startReading(): void {
    if (this.#vanished) return;
    this.#clientReads = true;
    this.#arrangeRead();
  }

  #latency(): number {
    return this.#random.delay(this.#options.latencyMaxMs);
  }

  #arrangeArrival(): void {
    if (this.#arrivalDue || this.#serverPaused || this.#serverClosed) return;
    if (this.#toServer.length === 0 && !this.#clientEnded) return;
    this.#arrivalDue = true;
    this.#scheduler.after(this.#latency(), 'arrive', () => this.#arrive());
  }

  #arrive(): void {
    this.#arrivalDue = false;
    if (this.#serverPaused || this.#serverClosed || this.#serverDestroyed) return;
    const bytes = Buffer.concat(this.#toServer);
    if (bytes.length === 0) {
      this.#toServer = [];
      // Ended by both sides, or by the client alone: nothing more will come, and the gateway has no use for half a connection.
      if (this.#clientEnded) this.#closeServer(undefined, this.#latency());
      return;
    }
    const size = cut(bytes.length, this.#random);
    this.#toServer = size < bytes.length ? [bytes.subarray(size)] : [];
    // The gateway owns what it is given.
    const chunk = Uint8Array.prototype.slice.call(bytes, 0, size);
    this.#observer.arrives(chunk);
    this.#handler?.data(chunk);
    this.#arrangeArrival();
  }

  #closeServer(error: Error | undefined, delayMs: number): void {
    this.#scheduler.after(delayMs, 'closed', () => {
      if (this.#serverClosed) return;
      this.#serverClosed = true;
      this.#writes = [];
      this.#observer.closes();
      this.#handler?.closed(error);
    });
  }

  #fillKernel(): void {
    while (this.#kernelBytes < this.#options.bufferBytes) {
      const write = this.#writes.shift();
      if (write === undefined) break;
      this.#kernelBytes += write.bytes.length;
      this.#inKernel.push(write.bytes);
      this.#scheduler.after(this.#random.float() * 0.05, 'taken', () => {
        if (!this.#serverDestroyed && !this.#serverClosed) write.taken();
      });
    }
    this.#arrangeRead();
  }

  #arrangeRead(): void {
    if (this.#readDue || !this.#clientReads || this.#clientClosed) return;
    if (this.#inKernel.length === 0 && !this.#serverEnded) return;
    this.#readDue = true;
    this.#scheduler.after(this.#latency(), 'read', () => this.#read());
  }

  #read(): void {
    this.#readDue = false;
    if (!this.#clientReads || this.#clientClosed || this.#vanished) return;
    const bytes = Buffer.concat(this.#inKernel);
    if (bytes.length === 0) {
      if (this.#serverEnded && this.#writes.length === 0) this.#closeClient();
      return;
    }
    const size = cut(bytes.length, this.#random);
    this.#inKernel = size < bytes.length ? [bytes.subarray(size)] : [];
    this.#kernelBytes -= size;
    this.#client.data(bytes.subarray(0, size));
    this.#fillKernel();
    this.#arrangeRead();
  }

  #closeClient(): void {
    if (this.#clientClosed || this.#vanished) return;
    this.#scheduler.after(this.#latency(), 'client closed', () => {
      if (this.#clientClosed || this.#vanished) return;
      this.#clientClosed = true;
      this.#client.ended();
      // The other half follows.
      this.#closeServer(undefined, this.#latency());
    });
  }
}

/** How many of the bytes arrive together. */
function cut(available: number, random: Random): number {
  if (random.chance(0.7)) return available;
  return Math.min(available, random.chance(0.5) ? random.integer(1, 4) : random.integer(1, available));
}
