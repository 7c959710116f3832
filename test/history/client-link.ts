import { connect, type Socket } from 'node:net';
import { decode, type Received } from '../support/wire-decode.js';
import type { Bytes, Version } from '../support/wire.js';

export interface LinkTarget {
  readonly host: string;
  readonly port: number;
  readonly version: Version;
}

export interface LinkUser {
  /** The socket is connected: nothing was sent yet. */
  opened(link: ClientLink): void;
  packet(link: ClientLink, packet: Received): void;
  /** Once, and not after `close` or `cut`: `broker` closed it, or it broke. @param fault what it sent was no MQTT. */
  ended(link: ClientLink, by: 'broker' | 'net', fault?: string): void;
}

/** One TCP connection as packets. What breaks is told, never thrown. */
export class ClientLink {
  /** When bytes arrived last. */
  heardAtMs = performance.now();
  readonly #socket: Socket;
  readonly #version: Version;
  /** Undefined once it is over. */
  #user: LinkUser | undefined;
  #rest: Buffer = Buffer.alloc(0);

  constructor({ host, port, version }: LinkTarget, user: LinkUser) {
    this.#version = version;
    this.#user = user;
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on('connect', () => this.#user?.opened(this));
    this.#socket.on('data', (bytes: Buffer) => this.#received(bytes));
    this.#socket.on('end', () => this.#end('broker'));
    this.#socket.on('error', () => this.#end('net'));
    this.#socket.on('close', () => this.#end('net'));
  }

  send(bytes: Bytes): void {
    this.#socket.write(bytes);
  }

  /** Sends what is under way, then FIN. */
  close(): void {
    this.#user = undefined;
    this.#socket.end();
    // The broker's half: nobody reads it any more.
    this.#socket.resume();
  }

  /** RST, as far as the network lets it through. */
  cut(): void {
    this.#user = undefined;
    this.#socket.resetAndDestroy();
  }

  #end(by: 'broker' | 'net', fault?: string): void {
    const user = this.#user;
    this.#user = undefined;
    this.#socket.destroy();
    user?.ended(this, by, fault);
  }

  #received(bytes: Buffer): void {
    this.heardAtMs = performance.now();
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    try {
      for (;;) {
        if (this.#user === undefined) return;
        const packet = decode(rest, this.#version);
        if (packet === undefined) break;
        rest = rest.subarray(packet.bytes.length);
        this.#user.packet(this, packet);
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#end('net', error.message);
      return;
    }
    this.#rest = rest;
  }
}
