import { Duplex } from 'node:stream';

/**
 * The stream that Aedes believes to be its client's connection. It is fed one minimal CONNECT and answers with one
 * CONNACK; afterwards nothing passes. Its writable side never pushes back, or Aedes would wait for it up to a minute.
 */
export class Port extends Duplex {
  readonly #onWrite: (bytes: Uint8Array) => void;
  readonly #onDestroy: () => void;

  constructor(
    /** What embedders look at in `client.conn`. */
    readonly remoteAddress: string | undefined,
    readonly remotePort: number | undefined,
    onWrite: (bytes: Uint8Array) => void,
    onDestroy: () => void,
  ) {
    super({ allowHalfOpen: true, emitClose: true });
    this.#onWrite = onWrite;
    this.#onDestroy = onDestroy;
  }

  override _read(): void {}

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#onWrite(chunk);
    done();
  }

  override _destroy(_error: Error | null, done: (error: Error | null) => void): void {
    this.#onDestroy();
    done(null);
  }
}
