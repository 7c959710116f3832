/**
 * The swarm key: a secret of 32 bytes that makes gateways one mesh. As text it is bech32m (BIP 350), whose checksum finds every
 * mistake in up to four characters:
 *
 *     sprawl1 · 52 characters of the secret · 6 of the checksum       of qpzry9x8gf2tvdw0s3jn54khce6mua7l
 *
 * Whoever has it is a member. It never leaves a gateway: what others see is derived from it one way, for each purpose another.
 *
 *     secret ─┬─ HKDF "discovery" ─▶ topic, under which members find each other
 *             ├─ HKDF "proof" ─────▶ key of an HMAC over one handshake: shows that a peer has the secret, and only there
 *             └─ HKDF "transport …" ─▶ what the handshakes of one kind of connection begin with, so that strangers get no answer
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { inspect } from 'node:util';
import { SprawlError } from '../../lib/contracts/errors.js';
import { KeyTextFault, parseKeyText, renderKeyText } from './key-text.js';

const PREFIX = 'sprawl';
const SECRET_BYTES = 32;
const SALT = 'sprawl-edge mesh 1';
const DERIVED_BYTES = 32;

/** Which side of a connection proves something: a proof is no good for the other side. */
export type HandshakeSide = 'dialler' | 'listener';

/** One secret for each: none tells anything of another. */
export type SwarmKeyPurpose = 'transport udx' | 'transport tcp' | 'transport lan';

export class SwarmKey {
  /** Of DERIVED_BYTES: where members announce themselves and look for others. It tells nothing of the secret. */
  readonly topic: Uint8Array;
  readonly #secret: Uint8Array;
  readonly #proofKey: Uint8Array;

  private constructor(secret: Uint8Array) {
    this.#secret = secret;
    this.topic = derive(secret, 'discovery');
    this.#proofKey = derive(secret, 'proof');
  }

  /** A new mesh. @param randomBytes from a source that nobody can guess */
  static create(randomBytes: (size: number) => Uint8Array): SwarmKey {
    return new SwarmKey(Uint8Array.from(randomBytes(SECRET_BYTES)));
  }

  /**
   * The key of a mesh with an admin: who does not have the admin key cannot find another pair that gives the same key.
   * @param adminPublicKey of 32 bytes. @param salt of 32 bytes from a source that nobody can guess: with it, the key can be made again
   */
  static ofAdmin(adminPublicKey: Uint8Array, salt: Uint8Array): SwarmKey {
    if (adminPublicKey.length !== SECRET_BYTES || salt.length !== SECRET_BYTES)
      throw new RangeError(`a public key of ${adminPublicKey.length} bytes and a salt of ${salt.length}`);
    return new SwarmKey(new Uint8Array(createHmac('sha256', salt).update(adminPublicKey).digest()));
  }

  /** @param text as `reveal` gives it, with spaces or line ends around it. @throws SprawlError SWARM_KEY_INVALID, without the key in it */
  static parse(text: string): SwarmKey {
    try {
      return new SwarmKey(parseKeyText(text, { prefix: PREFIX, bytes: SECRET_BYTES, noun: 'swarm key' }));
    } catch (error) {
      throw error instanceof KeyTextFault ? invalid(error.message) : error;
    }
  }

  /** The secret as text, for the one who is to have it. */
  reveal(): string {
    return renderKeyText(PREFIX, this.#secret);
  }

  /**
   * That this side has the key, bound to one handshake and to the identity that it was made with.
   * @param handshakeHash of the Noise handshake: the same on both sides, and never again. @param publicKey of the side that proves
   */
  proof(side: HandshakeSide, handshakeHash: Uint8Array, publicKey: Uint8Array): Uint8Array {
    return createHmac('sha256', this.#proofKey)
      .update(`${side}\0`)
      .update(lengthOf(handshakeHash))
      .update(handshakeHash)
      .update(publicKey)
      .digest();
  }

  /** Whether `proof` is what `side` would have sent. Takes as long for a wrong one. */
  verify(proof: Uint8Array, side: HandshakeSide, handshakeHash: Uint8Array, publicKey: Uint8Array): boolean {
    const expected = this.proof(side, handshakeHash, publicKey);
    return proof.length === expected.length && timingSafeEqual(proof, expected);
  }

  /** Of DERIVED_BYTES, secret: the same for all members, for one purpose and no other. */
  derive(purpose: SwarmKeyPurpose): Uint8Array {
    return derive(this.#secret, purpose);
  }

  /** Whether the key was made for this admin. False for bytes that are no public key or no salt, too. */
  matchesAdmin(adminPublicKey: Uint8Array, salt: Uint8Array): boolean {
    if (adminPublicKey.length !== SECRET_BYTES || salt.length !== SECRET_BYTES) return false;
    return this.equals(SwarmKey.ofAdmin(adminPublicKey, salt));
  }

  equals(other: SwarmKey): boolean {
    return timingSafeEqual(this.#secret, other.#secret);
  }

  /** Where it would be printed by accident. */
  toString(): string {
    return '[swarm key]';
  }
  toJSON(): string {
    return this.toString();
  }
  [inspect.custom](): string {
    return this.toString();
  }
}

function derive(secret: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, SALT, purpose, DERIVED_BYTES));
}

function lengthOf(bytes: Uint8Array): Uint8Array {
  return Uint8Array.of(bytes.length >> 8, bytes.length & 0xff);
}

function invalid(why: string): SprawlError {
  return new SprawlError(
    'SWARM_KEY_INVALID',
    `this is no swarm key: ${why}; copy it again from where "sprawl-edge init" printed it`,
  );
}
