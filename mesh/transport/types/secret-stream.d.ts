/** The little that is used of @hyperswarm/secret-stream 6.9.2, which brings no types. */
declare module '@hyperswarm/secret-stream' {
  import type { EventEmitter } from 'node:events';

  export interface NoiseKeys {
    readonly tx: Uint8Array;
    readonly rx: Uint8Array;
    readonly hash: Uint8Array;
    readonly publicKey: Uint8Array;
    readonly remotePublicKey: Uint8Array;
  }

  export interface StreamOptions {
    readonly handshake?: NoiseKeys;
    /** Bytes that were read beyond the handshake. */
    readonly data?: Uint8Array;
    readonly keyPair?: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
    readonly keepAlive?: number;
    readonly autoStart?: boolean;
    readonly publicKey?: Uint8Array;
    readonly remotePublicKey?: Uint8Array;
  }

  /** A TCP socket or a UDX stream, as far as it concerns us. */
  export interface RawStream extends EventEmitter {
    setContentSize?: (size: number) => void;
    /** UDX. */
    readonly bytesReceived?: number;
    readonly remoteHost?: string;
    /** TCP. */
    readonly bytesRead?: number;
    readonly remoteAddress?: string | undefined;
    readonly remotePort?: number | undefined;
    readonly writableLength?: number;
    readonly _writableState?: { readonly buffered?: number };
  }

  export default class NoiseSecretStream extends EventEmitter {
    constructor(isInitiator: boolean, rawStream: RawStream | null, options?: StreamOptions);
    readonly publicKey: Uint8Array | null;
    readonly remotePublicKey: Uint8Array | null;
    readonly handshakeHash: Uint8Array | null;
    readonly rawStream: RawStream | null;
    readonly isInitiator: boolean;
    readonly destroying: boolean;
    readonly destroyed: boolean;
    /** Bytes of whole messages. */
    readonly rawBytesRead: number;
    readonly rawBytesWritten: number;
    readonly _writableState: { readonly buffered: number };
    start(rawStream: RawStream | null, options?: StreamOptions): void;
    setKeepAlive(ms: number): void;
    /** A buffer that the next `write` encrypts where it is. */
    alloc(bytes: number): Buffer;
    write(message: Uint8Array): boolean;
    trySend(datagram: Uint8Array): void;
    /** No 'data' until `resume`, which brings none before it returns. */
    pause(): void;
    resume(): void;
    end(): void;
    destroy(error?: Error): void;
  }
}
