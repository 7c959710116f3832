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
import { bech32m } from '@scure/base';
import { SprawlError } from '../../lib/contracts/errors.js';

const PREFIX = 'sprawl';
const SECRET_BYTES = 32;
/** After `sprawl1`. */
const TEXT_CHARACTERS = 58;
const CHARACTERS = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
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

  /** @param text as `reveal` gives it, with spaces or line ends around it. @throws SprawlError SWARM_KEY_INVALID, without the key in it */
  static parse(text: string): SwarmKey {
    const trimmed = text.trim();
    const lower = trimmed.toLowerCase();
    if (trimmed !== lower && trimmed !== trimmed.toUpperCase())
      throw invalid('it has capital and small letters; it is written in one of the two throughout');
    if (!lower.startsWith(`${PREFIX}1`)) throw invalid(`it does not begin with "${PREFIX}1"`);
    const rest = lower.slice(PREFIX.length + 1);
    const wrong = [...rest].findIndex((character) => !CHARACTERS.includes(character));
    if (wrong >= 0) {
      const which = JSON.stringify([...rest][wrong]);
      throw invalid(`its character ${PREFIX.length + 2 + wrong} is ${which}, which no swarm key has`);
    }
    if (rest.length !== TEXT_CHARACTERS) {
      const whole = PREFIX.length + 1 + TEXT_CHARACTERS;
      throw invalid(`it has ${lower.length} characters instead of ${whole}: it was not copied whole`);
    }
    const decoded = bech32m.decodeUnsafe(lower);
    if (decoded === undefined) throw invalid('its checksum is wrong: at least one character is mistyped');
    const secret = bech32m.fromWordsUnsafe(decoded.words);
    if (secret?.length !== SECRET_BYTES)
      throw invalid(
        'its checksum is right, but there is no key in it: it was not made by "sprawl-edge init"',
      );
    return new SwarmKey(secret);
  }

  /** The secret as text, for the one who is to have it. */
  reveal(): string {
    return bech32m.encode(PREFIX, bech32m.toWords(this.#secret));
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
