/** A signed statement that a gateway is no member any more, and its bytes. */
import {
  gatewayIdOf,
  type GatewayId,
  PUBLIC_KEY_BYTES,
  publicKeyOf,
} from '../../lib/contracts/gateway-id.js';
import { isSignedBy, SIGNATURE_BYTES } from '../identity/ed25519.js';
import { type ByteReader, ByteWriter, MalformedFrame } from '../wire/bytes.js';
import type { AdminKey } from './admin-key.js';

export const REASON_MAX_BYTES = 200;
/** What is signed begins with it, so that a signature is good for nothing else. */
const PURPOSE = 'sprawl-edge eviction 1\0';
const CONTROL = /[\p{Cc}\p{Cs}]/u;

export interface Eviction {
  readonly gateway: GatewayId;
  /** From 1. Of two statements about a gateway the higher one counts. */
  readonly sequence: number;
  /** For people: at most REASON_MAX_BYTES of UTF-8, without control characters. */
  readonly reason: string;
}

export interface SignedEviction extends Eviction {
  /** Of SIGNATURE_BYTES, by the admin key. */
  readonly signature: Uint8Array;
}

/** undefined: it may stand in an eviction. */
export function reasonFault(reason: string): string | undefined {
  const length = Buffer.byteLength(reason, 'utf8');
  if (length > REASON_MAX_BYTES) return `it has ${length} bytes, at most ${REASON_MAX_BYTES} are allowed`;
  return CONTROL.test(reason) ? 'it has control characters' : undefined;
}

function signedBytes({ gateway, sequence, reason }: Eviction): Uint8Array {
  const writer = new ByteWriter(320);
  writer.raw(Buffer.from(PURPOSE, 'latin1')).raw(publicKeyOf(gateway)).varint(sequence).text(reason);
  return writer.finish();
}

/** @param eviction whose reason has no fault */
export function signEviction(key: AdminKey, eviction: Eviction): SignedEviction {
  return { ...eviction, signature: key.sign(signedBytes(eviction)) };
}

export function isSignedEviction(adminPublicKey: Uint8Array, eviction: SignedEviction): boolean {
  return isSignedBy(adminPublicKey, signedBytes(eviction), eviction.signature);
}

export function writeEviction(writer: ByteWriter, eviction: SignedEviction): void {
  writer.raw(publicKeyOf(eviction.gateway)).varint(eviction.sequence).text(eviction.reason);
  writer.raw(eviction.signature);
}

/** @throws MalformedFrame. Whether it is signed is another question. */
export function readEviction(reader: ByteReader): SignedEviction {
  const gateway = gatewayIdOf(reader.raw(PUBLIC_KEY_BYTES));
  const sequence = reader.varint();
  const reason = reader.text(REASON_MAX_BYTES);
  if (sequence === 0) throw new MalformedFrame('an eviction with the number 0');
  if (reasonFault(reason) !== undefined) throw new MalformedFrame('the reason of an eviction has control characters');
  return { gateway, sequence, reason, signature: Uint8Array.from(reader.raw(SIGNATURE_BYTES)) };
}
