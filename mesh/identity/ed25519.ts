/** Ed25519 (RFC 8032) from seeds, with what Node.js has. */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { PUBLIC_KEY_BYTES } from '../../lib/contracts/gateway-id.js';

export const SEED_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/** What comes before a seed in DER (RFC 8410). */
const PRIVATE_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A key pair that is made once, since that takes ten times as long as to sign. It holds its secret where nothing prints it. */
export class SigningKey {
  /** Of PUBLIC_KEY_BYTES. */
  readonly publicKey: Uint8Array;
  readonly #privateKey: KeyObject;

  /** @param seed of SEED_BYTES */
  constructor(seed: Uint8Array) {
    const key = Buffer.concat([PRIVATE_PREFIX, seed]);
    this.#privateKey = createPrivateKey({ key, format: 'der', type: 'pkcs8' });
    const { x = '' } = createPublicKey(this.#privateKey).export({ format: 'jwk' });
    this.publicKey = Uint8Array.from(Buffer.from(x, 'base64url'));
  }

  /** @returns SIGNATURE_BYTES */
  sign(message: Uint8Array): Uint8Array {
    return Uint8Array.from(sign(null, message, this.#privateKey));
  }
}

/** False for bytes that are no key or no signature, too. */
export function isSignedBy(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
  try {
    // As a JWK (RFC 8037) its bytes are the key; DER goes through the decoders of OpenSSL, which take as long as the signature.
    const x = Buffer.from(publicKey).toString('base64url');
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    return verify(null, message, key, signature);
  } catch {
    return false;
  }
}
