/**
 * Who may say who is no member any more. The admin key is made with the swarm key, and the swarm key is made from its public half
 * (SwarmKey.ofAdmin): a member cannot pass off a key of its own. No gateway keeps the secret; its owner has it on paper:
 *
 *     sprawladmin1 · 52 characters of the seed · 6 of the checksum
 */
import { inspect } from 'node:util';
import { SprawlError } from '../../lib/contracts/errors.js';
import { SEED_BYTES, SigningKey } from '../identity/ed25519.js';
import { KeyTextFault, parseKeyText, renderKeyText } from './key-text.js';
import { SwarmKey } from './swarm-key.js';

const PREFIX = 'sprawladmin';
export const SALT_BYTES = 32;

/**
 * What shows that an admin key is that of a mesh; members tell each other, and check it with SwarmKey.matchesAdmin. It is as secret as
 * the swarm key, which can be made from it: only who has proved to be a member gets it.
 */
export interface AdminBinding {
  /** Of 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Of SALT_BYTES. */
  readonly salt: Uint8Array;
}

export class AdminKey {
  /** Of 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly #seed: Uint8Array;
  readonly #signing: SigningKey;

  private constructor(seed: Uint8Array) {
    this.#seed = seed;
    this.#signing = new SigningKey(seed);
    this.publicKey = this.#signing.publicKey;
  }

  /** @param randomBytes from a source that nobody can guess */
  static create(randomBytes: (size: number) => Uint8Array): AdminKey {
    return new AdminKey(Uint8Array.from(randomBytes(SEED_BYTES)));
  }

  /** @param text as `reveal` gives it, with spaces or line ends around it. @throws SprawlError ADMIN_KEY_INVALID, without the key in it */
  static parse(text: string): AdminKey {
    try {
      return new AdminKey(parseKeyText(text, { prefix: PREFIX, bytes: SEED_BYTES, noun: 'admin key' }));
    } catch (error) {
      if (!(error instanceof KeyTextFault)) throw error;
      throw new SprawlError(
        'ADMIN_KEY_INVALID',
        `this is no admin key: ${error.message}; type it again as "sprawl-edge init" printed it`,
      );
    }
  }

  /** @throws SprawlError ADMIN_KEY_WRONG where it is that of another mesh */
  expectOf({ publicKey }: AdminBinding): void {
    if (Buffer.from(this.publicKey).equals(publicKey)) return;
    throw new SprawlError(
      'ADMIN_KEY_WRONG',
      'this admin key is that of another mesh; give the one that "sprawl-edge init" printed for this one',
    );
  }

  /** The secret as text, for the one who is to have it. */
  reveal(): string {
    return renderKeyText(PREFIX, this.#seed);
  }

  /** @returns 64 bytes */
  sign(message: Uint8Array): Uint8Array {
    return this.#signing.sign(message);
  }

  /** Where it would be printed by accident. */
  toString(): string {
    return '[admin key]';
  }
  toJSON(): string {
    return this.toString();
  }
  [inspect.custom](): string {
    return this.toString();
  }
}

/** A mesh from nothing. The admin key is its owner's; the other two stay on gateways. */
export interface NewMesh {
  readonly swarmKey: SwarmKey;
  readonly adminKey: AdminKey;
  readonly binding: AdminBinding;
}

/** @param randomBytes from a source that nobody can guess */
export function createMesh(randomBytes: (size: number) => Uint8Array): NewMesh {
  const adminKey = AdminKey.create(randomBytes);
  const binding = { publicKey: adminKey.publicKey, salt: Uint8Array.from(randomBytes(SALT_BYTES)) };
  return { swarmKey: SwarmKey.ofAdmin(binding.publicKey, binding.salt), adminKey, binding };
}
