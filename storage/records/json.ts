/** JSON that carries bytes: `{ "base64": "..." }` stands for a Uint8Array. */

const BYTES_KEY = 'base64';

/** For JSON.stringify. */
export function toJson(_key: string, value: unknown): unknown {
  // Buffers become `{ type: 'Buffer', data }` before a replacer sees them.
  if (isBufferJson(value)) return { [BYTES_KEY]: Buffer.from(value.data).toString('base64') };
  return value instanceof Uint8Array ? { [BYTES_KEY]: Buffer.from(value).toString('base64') } : value;
}

/** For JSON.parse. */
export function fromJson(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { [BYTES_KEY]: text } = value as Record<string, unknown>;
  return typeof text === 'string' && Object.keys(value).length === 1
    ? Uint8Array.from(Buffer.from(text, 'base64'))
    : value;
}

function isBufferJson(value: unknown): value is { readonly data: readonly number[] } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    value.type === 'Buffer' &&
    'data' in value
  );
}
