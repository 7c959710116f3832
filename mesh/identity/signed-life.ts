/** A life with the signature of its gateway: whoever has two that do not go together can show them to others. */
import type { Epoch } from '../../lib/contracts/epoch.js';
import { type GatewayId, publicKeyOf } from '../../lib/contracts/gateway-id.js';
import { ByteWriter } from '../wire/bytes.js';
import { isSignedBy } from './ed25519.js';
import type { GatewayKey } from './gateway-key.js';

export interface SignedLife extends Epoch {
  /** Of SIGNATURE_BYTES, by the key of the gateway. */
  readonly signature: Uint8Array;
}

/** What is signed begins with it, so that a signature is good for nothing else. */
const PURPOSE = 'sprawl-edge life 1\0';

function signedBytes({ counter, nonce }: Epoch): Uint8Array {
  const writer = new ByteWriter(64);
  return writer.raw(Buffer.from(PURPOSE, 'latin1')).varint(counter).raw(Buffer.from(nonce, 'hex')).finish();
}

export function signLife(key: GatewayKey, { counter, nonce }: Epoch): SignedLife {
  return { counter, nonce, signature: key.sign(signedBytes({ counter, nonce })) };
}

export function isLifeOf(id: GatewayId, life: SignedLife): boolean {
  return isSignedBy(publicKeyOf(id), signedBytes(life), life.signature);
}
