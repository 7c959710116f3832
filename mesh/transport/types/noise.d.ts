/** The little that is used of noise-handshake 4.2.0 and noise-curve-ed 2.1.0, which bring no types. */
declare module 'noise-curve-ed' {
  const curve: { readonly name: string };
  export default curve;
}

declare module 'noise-handshake' {
  interface KeyPair {
    readonly publicKey: Uint8Array;
    readonly secretKey: Uint8Array;
  }
  export default class Noise {
    constructor(
      pattern: 'IK' | 'XXpsk0',
      initiator: boolean,
      keyPair: KeyPair,
      options: { readonly curve: unknown; readonly psk?: Uint8Array },
    );
    readonly complete: boolean;
    /** Set when complete; `rs` as soon as it is known. */
    readonly tx: Uint8Array;
    readonly rx: Uint8Array;
    readonly hash: Uint8Array;
    readonly rs: Uint8Array;
    initialise(prologue: Uint8Array, remotePublicKey?: Uint8Array | null): void;
    send(payload?: Uint8Array): Uint8Array;
    recv(message: Uint8Array): Uint8Array;
  }
}
