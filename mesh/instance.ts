import { EPOCH_COUNTER_MAX } from '../lib/contracts/epoch.js';
import { SIGNATURE_BYTES } from './identity/ed25519.js';
import type { SignedLife } from './identity/signed-life.js';
import { INSTANCE_BYTES } from './transport/index.js';

const COUNTER_BYTES = 6;
const NONCE_END = INSTANCE_BYTES - SIGNATURE_BYTES;

/** A process by its life, as transports tell each other of it. */
export function instanceOf({ counter, nonce, signature }: SignedLife): Uint8Array {
  const bytes = Buffer.alloc(INSTANCE_BYTES);
  bytes.writeUIntBE(counter, 0, COUNTER_BYTES);
  bytes.write(nonce, COUNTER_BYTES, 'hex');
  bytes.set(signature, NONCE_END);
  return bytes;
}

/** @param instance hexadecimal digits @returns undefined: it is none. Whose it is, if anybody's, is not looked at */
export function lifeOfInstance(instance: string): SignedLife | undefined {
  const bytes = Buffer.from(instance, 'hex');
  if (bytes.length !== INSTANCE_BYTES) return undefined;
  const counter = bytes.readUIntBE(0, COUNTER_BYTES);
  if (counter === 0 || counter > EPOCH_COUNTER_MAX) return undefined;
  const nonce = bytes.toString('hex', COUNTER_BYTES, NONCE_END);
  return { counter, nonce, signature: Uint8Array.from(bytes.subarray(NONCE_END)) };
}
