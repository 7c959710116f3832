import { inspect } from 'node:util';
import { gatewayIdOf, type GatewayId } from '../../lib/contracts/gateway-id.js';
import { SEED_BYTES, SigningKey } from './ed25519.js';

/** What HyperDHT takes: the secret key is the seed and then the public key. */
export interface KeyPair {
  /** Of 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Of 64 bytes. */
  readonly secretKey: Uint8Array;
}

/** The Ed25519 key pair of a gateway. It shows its id wherever it would be printed, and never its secret. */
export class GatewayKey {
  readonly id: GatewayId;
  /** Of 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly #seed: Uint8Array;
  readonly #signing: SigningKey;

  /** @param seed of SEED_BYTES */
  constructor(seed: Uint8Array) {
    if (seed.length !== SEED_BYTES) throw new RangeError(`a seed of ${seed.length} bytes`);
    this.#seed = Uint8Array.from(seed);
    this.#signing = new SigningKey(this.#seed);
    this.publicKey = this.#signing.publicKey;
    this.id = gatewayIdOf(this.publicKey);
  }

  /** For the handshake, and nothing else. */
  reveal(): KeyPair {
    return {
      publicKey: Uint8Array.from(this.publicKey),
      secretKey: Uint8Array.from([...this.#seed, ...this.publicKey]),
    };
  }

  /** @returns 64 bytes */
  sign(message: Uint8Array): Uint8Array {
    return this.#signing.sign(message);
  }

  toString(): string {
    return `[gateway key ${this.id}]`;
  }
  toJSON(): string {
    return this.toString();
  }
  [inspect.custom](): string {
    return this.toString();
  }
}
