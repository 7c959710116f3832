/**
 * A swarm key with an end date, signed by the admin:
 *
 *     sprawlinvite1 · salt 32 bytes · public admin key 32 · end date 6 · signature 64 · checksum
 *
 * The end date keeps honest people honest and no more: the swarm key can be made from what is in the text, and nothing that was once
 * shown can be taken back by a date. Who must not be a member any more is evicted, or the others get a new key.
 */
import { inspect } from 'node:util';
import { SprawlError } from '../../lib/contracts/errors.js';
import { PUBLIC_KEY_BYTES } from '../../lib/contracts/gateway-id.js';
import { isSignedBy, SIGNATURE_BYTES } from '../identity/ed25519.js';
import { ByteReader, ByteWriter } from '../wire/bytes.js';
import { type AdminBinding, type AdminKey, SALT_BYTES } from './admin-key.js';
import { KeyTextFault, parseKeyText, renderKeyText } from './key-text.js';
import { SwarmKey } from './swarm-key.js';

const PREFIX = 'sprawlinvite';
const PURPOSE = 'sprawl-edge invitation 1\0';
const END_BYTES = 6;
const INVITATION_BYTES = SALT_BYTES + PUBLIC_KEY_BYTES + END_BYTES + SIGNATURE_BYTES;

/** Whether a text that was given in place of a swarm key says that it is an invitation. */
export function looksLikeInvitation(text: string): boolean {
  return text.trim().toLowerCase().startsWith(`${PREFIX}1`);
}

export class Invitation {
  readonly swarmKey: SwarmKey;
  readonly admin: AdminBinding;
  /** Milliseconds since 1970. */
  readonly endsAtMs: number;
  readonly #signature: Uint8Array;

  private constructor(admin: AdminBinding, endsAtMs: number, signature: Uint8Array) {
    this.swarmKey = SwarmKey.ofAdmin(admin.publicKey, admin.salt);
    this.admin = admin;
    this.endsAtMs = endsAtMs;
    this.#signature = signature;
  }

  /** @param salt of the mesh. @param endsAtMs milliseconds since 1970 */
  static create(key: AdminKey, salt: Uint8Array, endsAtMs: number): Invitation {
    const admin = { publicKey: key.publicKey, salt };
    return new Invitation(admin, endsAtMs, key.sign(signedBytes(admin, endsAtMs)));
  }

  /** Whether it has ended is another question. @throws SprawlError INVITATION_INVALID, without the text in it */
  static parse(text: string): Invitation {
    const bytes = bytesOf(text);
    const reader = new ByteReader(bytes);
    const salt = Uint8Array.from(reader.raw(SALT_BYTES));
    const admin = { publicKey: Uint8Array.from(reader.raw(PUBLIC_KEY_BYTES)), salt };
    const endsAtMs = reader.u48();
    const signature = Uint8Array.from(reader.raw(SIGNATURE_BYTES));
    if (!isSignedBy(admin.publicKey, signedBytes(admin, endsAtMs), signature))
      throw invalid('its signature is not that of the admin it names: it was changed');
    return new Invitation(admin, endsAtMs, signature);
  }

  /**
   * @param nowMs milliseconds since 1970: of the clock, or the latest time that this gateway has ever seen where that is later
   * @throws SprawlError INVITATION_ENDED
   */
  expectValid(nowMs: number): void {
    if (nowMs <= this.endsAtMs) return;
    const hours = Math.floor((nowMs - this.endsAtMs) / 3_600_000);
    const ago = hours === 0 ? 'less than an hour ago' : `${hours} h ago`;
    throw new SprawlError('INVITATION_ENDED', `this invitation ended ${ago}; ask for a new one`, {
      details: { endsAtMs: this.endsAtMs },
    });
  }

  /** The text, for the one who is invited. */
  reveal(): string {
    const writer = new ByteWriter(INVITATION_BYTES);
    writer.raw(this.admin.salt).raw(this.admin.publicKey).u48(this.endsAtMs).raw(this.#signature);
    return renderKeyText(PREFIX, writer.finish());
  }

  /** Where it would be printed by accident. */
  toString(): string {
    return '[invitation]';
  }
  toJSON(): string {
    return this.toString();
  }
  [inspect.custom](): string {
    return this.toString();
  }
}

function bytesOf(text: string): Uint8Array {
  try {
    return parseKeyText(text, { prefix: PREFIX, bytes: INVITATION_BYTES, noun: 'invitation' });
  } catch (error) {
    throw error instanceof KeyTextFault ? invalid(error.message) : error;
  }
}

function signedBytes({ publicKey, salt }: AdminBinding, endsAtMs: number): Uint8Array {
  const writer = new ByteWriter(INVITATION_BYTES);
  return writer.raw(Buffer.from(PURPOSE, 'latin1')).raw(publicKey).raw(salt).u48(endsAtMs).finish();
}

function invalid(why: string): SprawlError {
  return new SprawlError(
    'INVITATION_INVALID',
    `this is no invitation: ${why}; copy it again from where it was made`,
  );
}
