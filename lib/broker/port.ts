import { Duplex } from 'node:stream';

/**
 * The stream that Aedes believes to be its client's connection. It is fed one minimal CONNECT and answers with one
 * CONNACK; afterwards nothing passes. Its writable side never pushes back, or Aedes would wait for it up to a minute.
 */
export class Port extends Duplex {
  #onAnswer: (() => void) | undefined;

  /** @param onAnswer called once, when Aedes answers CONNECT; mqtt-packet writes one packet in several pieces. */
  constructor(onAnswer: () => void) {
    super({ allowHalfOpen: true, emitClose: true });
    this.#onAnswer = onAnswer;
  }

  override _read(): void {}

  override _write(_chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const onAnswer = this.#onAnswer;
    this.#onAnswer = undefined;
    onAnswer?.();
    done();
  }
}
