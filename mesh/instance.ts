import type { Epoch } from '../lib/contracts/epoch.js';
import { INSTANCE_BYTES } from './transport/index.js';

const COUNTER_BYTES = 6;

/** A process by its epoch, as transports tell each other of it. */
export function instanceOf({ counter, nonce }: Epoch): Uint8Array {
  const bytes = Buffer.alloc(INSTANCE_BYTES);
  bytes.writeUIntBE(counter, 0, COUNTER_BYTES);
  bytes.write(nonce, COUNTER_BYTES, 'hex');
  return bytes;
}

/** @param instance hexadecimal digits @returns undefined: it is none */
export function epochOfInstance(instance: string): Epoch | undefined {
  const bytes = Buffer.from(instance, 'hex');
  if (bytes.length !== INSTANCE_BYTES) return undefined;
  const counter = bytes.readUIntBE(0, COUNTER_BYTES);
  return counter === 0 ? undefined : { counter, nonce: bytes.toString('hex', COUNTER_BYTES) };
}
