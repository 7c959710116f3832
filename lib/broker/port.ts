import { EventEmitter } from 'node:events';

/**
 * The stream that Aedes believes to be its client's connection: the part of one that Aedes and mqtt-packet use. It is fed
 * one minimal CONNECT and tells of the one CONNACK that answers it; afterwards nothing passes. It never pushes back, or
 * Aedes would wait for it up to a minute. Not a Duplex: with one, each connection left 2 KB more behind.
 */
export class Port extends EventEmitter {
  destroyed = false;
  #connect: Uint8Array | undefined;
  #onAnswer: (() => void) | undefined;

  /** @param onAnswer called once, when Aedes answers CONNECT; mqtt-packet writes one packet in several pieces. */
  constructor(onAnswer: () => void) {
    super();
    this.#onAnswer = onAnswer;
  }

  /** Aedes reads the packet later in this turn. */
  push(connect: Uint8Array): void {
    this.#connect = connect;
    process.nextTick(becomeReadable, this);
  }

  read(): Uint8Array | null {
    const connect = this.#connect ?? null;
    this.#connect = undefined;
    return connect;
  }

  write(_bytes: Uint8Array | string): boolean {
    const onAnswer = this.#onAnswer;
    this.#onAnswer = undefined;
    onAnswer?.();
    return true;
  }

  cork(): void {}

  uncork(): void {}

  destroy(): this {
    this.destroyed = true;
    this.#connect = undefined;
    return this;
  }
}

function becomeReadable(port: Port): void {
  if (!port.destroyed) port.emit('readable');
}
