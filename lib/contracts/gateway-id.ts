/** Who a gateway is to others: its Ed25519 public key, 64 small hexadecimal digits. Only `parseGatewayId` and `gatewayIdOf` make one. */
declare const brand: unique symbol;
export type GatewayId = string & { readonly [brand]: 'GatewayId' };

export const PUBLIC_KEY_BYTES = 32;
const TEXT = /^[0-9a-f]{64}$/;

/** @param publicKey of PUBLIC_KEY_BYTES */
export function gatewayIdOf(publicKey: Uint8Array): GatewayId {
  if (publicKey.length !== PUBLIC_KEY_BYTES)
    throw new RangeError(`a public key of ${publicKey.length} bytes`);
  return Buffer.from(publicKey).toString('hex') as GatewayId;
}

/** undefined: it is none. */
export function parseGatewayId(text: string): GatewayId | undefined {
  return TEXT.test(text) ? (text as GatewayId) : undefined;
}

export function publicKeyOf(id: GatewayId): Uint8Array {
  return new Uint8Array(Buffer.from(id, 'hex'));
}

/** How people see it where the whole would be too long. */
export function shortId(id: GatewayId): string {
  return id.slice(0, 8);
}
