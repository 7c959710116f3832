/** Keys that somebody keeps, and what is encrypted with them: a data folder, an archive. Both read them in the same way. */
import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type ErrorCode, SprawlError } from './errors.js';

export const KEY_BYTES = 32;
const HEX = /^[0-9a-fA-F]{64}$/;
const BASE64 = /^[A-Za-z0-9+/]{43}=$/;
const HOW_TO_MAKE = '"openssl rand -hex 32" makes one';

/** What is encrypted with it: the section of the configuration in which its keys are. */
export type KeyPurpose = 'storage' | 'archive';

/** All other keys are wrapped with it, or derived from it. It is never written anywhere; a thread may be given it. */
export interface MasterKey {
  /** Tells keys apart without telling the key. */
  readonly id: string;
  readonly key: KeyObject;
}

/** Where master keys come from: the first is the current one, the others open what was written before. */
export interface KeyProvider {
  /** Read again at each call. Empty: nothing is to be encrypted. @throws SprawlError STORAGE_KEY_INVALID, ARCHIVE_KEY_INVALID */
  masterKeys(): Promise<readonly MasterKey[]>;
}

export interface KeySources {
  /** A key, as text. */
  readonly key: string | undefined;
  /** A file with a key on each line; `#` begins a comment. */
  readonly keyFile: string | undefined;
}

const CODES = {
  storage: 'STORAGE_KEY_INVALID',
  archive: 'ARCHIVE_KEY_INVALID',
} as const satisfies Record<KeyPurpose, ErrorCode>;

export function keyProviderOf(purpose: KeyPurpose, { key, keyFile }: KeySources): KeyProvider {
  return {
    masterKeys: async () => {
      if (keyFile !== undefined) return parseKeyFile(await readText(purpose, keyFile), keyFile, purpose);
      return key === undefined ? [] : [parseMasterKey(key, `${purpose}.encryptionKey`, purpose)];
    },
  };
}

async function readText(purpose: KeyPurpose, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new SprawlError(
      CODES[purpose],
      `cannot read the key file ${path} (${purpose}.encryptionKeyFile): ${reason}`,
      {
        cause: error,
      },
    );
  }
}

/** @throws SprawlError STORAGE_KEY_INVALID, ARCHIVE_KEY_INVALID */
export function parseKeyFile(text: string, path: string, purpose: KeyPurpose): MasterKey[] {
  const keys: MasterKey[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const content = line.trim();
    if (content !== '' && !content.startsWith('#'))
      keys.push(parseMasterKey(content, `${path}:${index + 1}`, purpose));
  }
  if (keys.length === 0)
    throw new SprawlError(CODES[purpose], `the key file ${path} has no key; ${HOW_TO_MAKE}`);
  return keys;
}

/** @param source said in the error, which never shows the key */
function parseMasterKey(text: string, source: string, purpose: KeyPurpose): MasterKey {
  const bytes = HEX.test(text)
    ? Buffer.from(text, 'hex')
    : BASE64.test(text)
      ? Buffer.from(text, 'base64')
      : undefined;
  if (bytes?.length !== KEY_BYTES) {
    throw new SprawlError(
      CODES[purpose],
      `${source}: a key is ${KEY_BYTES} bytes, as 64 hexadecimal digits or in base64; this is ${text.length} characters of something else; ${HOW_TO_MAKE}`,
    );
  }
  const id = createHash('sha256').update('sprawl-edge master key').update(bytes).digest('hex').slice(0, 16);
  return { id, key: createSecretKey(bytes) };
}
