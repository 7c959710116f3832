/** Zstandard, which Node.js has from 22.15 and 23.8 on. */
import * as zlib from 'node:zlib';

interface WithZstd {
  zstdCompressSync?: (bytes: Uint8Array) => Uint8Array;
  zstdDecompressSync?: (bytes: Uint8Array) => Uint8Array;
}

const { zstdCompressSync: compress, zstdDecompressSync: decompress } = zlib as unknown as WithZstd;

export const HAS_ZSTD = compress !== undefined;

/** @throws Error where this Node.js has none: see HAS_ZSTD */
export function zstdCompressSync(bytes: Uint8Array): Uint8Array {
  if (compress === undefined) throw new Error('zstd needs Node.js 22.15 or newer');
  return compress(bytes);
}

/** @throws Error where this Node.js has none: see HAS_ZSTD */
export function zstdDecompressSync(bytes: Uint8Array): Uint8Array {
  if (decompress === undefined)
    throw new Error('it is compressed with zstd, and that needs Node.js 22.15 or newer');
  return decompress(bytes);
}
