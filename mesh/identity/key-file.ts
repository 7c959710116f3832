/**
 * `identity.key`: who the gateway is. Text, so that a person sees what it is and a cut or changed file is found:
 *
 *     sprawl-edge identity 1
 *     64 hexadecimal digits of the seed
 *     16 of a checksum over both lines
 */
import { SEED_BYTES } from './ed25519.js';
import { GatewayKey } from './gateway-key.js';
import { checkOf } from './json-file.js';
import { damaged } from './mesh-error.js';
import type { MeshFiles } from './mesh-files.js';

const HEAD = 'sprawl-edge identity 1';
const SEED = /^[0-9a-f]{64}$/;

export interface OpenedKey {
  readonly key: GatewayKey;
  readonly isNew: boolean;
}

/**
 * Reads the key of a gateway; makes it where there is none, durably before it returns.
 * @throws SprawlError MESH_FILE_FAILED; MESH_FILE_DAMAGED: it is never made anew over one that was there
 */
export async function openKeyFile(
  files: MeshFiles,
  path: string,
  randomBytes: (size: number) => Uint8Array,
): Promise<OpenedKey> {
  const known = await readKeyFile(files, path);
  if (known !== undefined) return { key: known, isNew: false };
  const seed = Uint8Array.from(randomBytes(SEED_BYTES));
  await files.replace(path, renderKeyFile(seed));
  return { key: new GatewayKey(seed), isNew: true };
}

/** @returns undefined: it was never made. @throws SprawlError MESH_FILE_FAILED, MESH_FILE_DAMAGED */
export async function readKeyFile(files: MeshFiles, path: string): Promise<GatewayKey | undefined> {
  const bytes = await files.read(path);
  return bytes === undefined ? undefined : parseKeyFile(bytes, path);
}

function renderKeyFile(seed: Uint8Array): Uint8Array {
  const body = `${HEAD}\n${Buffer.from(seed).toString('hex')}\n`;
  return Buffer.from(`${body}${checkOf(body)}\n`, 'latin1');
}

function parseKeyFile(bytes: Uint8Array, path: string): GatewayKey {
  const [head, seed = '', check, rest, ...more] = Buffer.from(bytes).toString('latin1').split('\n');
  const isWhole =
    head === HEAD &&
    SEED.test(seed) &&
    check === checkOf(`${HEAD}\n${seed}\n`) &&
    rest === '' &&
    more.length === 0;
  if (isWhole) return new GatewayKey(Buffer.from(seed, 'hex'));
  throw damaged(
    path,
    'without it this gateway cannot show who it is; restore the file from a backup, or make this a new gateway with "sprawl-edge join --new-identity"',
  );
}
