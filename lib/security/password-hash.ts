import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { SprawlError } from '../contracts/errors.js';
import { SECURITY_LIMITS } from './limits.js';
import { saslPrep } from './saslprep.js';
import { decodeUtf8 } from './text-file.js';

const pbkdf2Async = promisify(pbkdf2);
const SHA512_BYTES = 64;
const SHA256_BYTES = 32;
/** mosquitto 2.0 refuses every other length. */
const MOSQUITTO_SALT_BYTES = 12;
const SCRAM_SALT_BYTES = 16;

/** The formats that `hashPassword` writes. */
export const PASSWORD_FORMATS = ['pbkdf2-sha512', 'scram-sha-256'] as const;
export type PasswordFormat = (typeof PASSWORD_FORMATS)[number];

/** About 10 ms of a PC's core, 40 ms of a Raspberry Pi's: a compromise between a stolen file and a site that reconnects at once. */
export const DEFAULT_ITERATIONS = {
  'pbkdf2-sha512': 20_000,
  'scram-sha-256': 15_000,
} as const satisfies Record<PasswordFormat, number>;

export interface ScramHash {
  readonly kind: 'scram-sha-256';
  readonly iterations: number;
  readonly salt: Uint8Array;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

/** What a password file knows about a user's password. */
export type PasswordHash =
  | { readonly kind: 'sha512'; readonly salt: Uint8Array; readonly hash: Uint8Array }
  | {
      readonly kind: 'pbkdf2-sha512';
      readonly iterations: number;
      readonly salt: Uint8Array;
      readonly hash: Uint8Array;
    }
  | ScramHash;

/** @throws Error saying what is wrong with the text, never repeating any of it. */
export function parsePasswordHash(text: string): PasswordHash {
  const fields = text.split('$');
  if (fields[0] !== '' || fields.length === 1) {
    throw new Error('the password is not hashed: set it with `sprawl-edge passwd`');
  }
  switch (fields[1]) {
    case '6':
      expectFields(fields, 4, '$6$<salt>$<hash>');
      return {
        kind: 'sha512',
        salt: parseSalt(fields[2]),
        hash: parseBytes(fields[3], SHA512_BYTES, 'hash'),
      };
    case '7':
      expectFields(fields, 5, '$7$<iterations>$<salt>$<hash>');
      return {
        kind: 'pbkdf2-sha512',
        iterations: parseIterations(fields[2]),
        salt: parseSalt(fields[3]),
        hash: parseBytes(fields[4], SHA512_BYTES, 'hash'),
      };
    case 'scram-sha-256':
      expectFields(fields, 6, '$scram-sha-256$<iterations>$<salt>$<StoredKey>$<ServerKey>');
      return {
        kind: 'scram-sha-256',
        iterations: parseIterations(fields[2]),
        salt: parseSalt(fields[3]),
        storedKey: parseBytes(fields[4], SHA256_BYTES, 'StoredKey'),
        serverKey: parseBytes(fields[5], SHA256_BYTES, 'ServerKey'),
      };
    default:
      throw new Error(
        'the kind of hash is unknown: $7$ (PBKDF2), $6$ (SHA-512) and $scram-sha-256$ are known',
      );
  }
}

function expectFields(fields: readonly string[], count: number, shape: string): void {
  if (fields.length !== count) throw new Error(`the hash does not have the form ${shape}`);
}

function parseIterations(text: string | undefined): number {
  const iterations = Number(text);
  const legal =
    /^[0-9]{1,8}$/.test(text ?? '') && iterations >= 1 && iterations <= SECURITY_LIMITS.iterationsMaxCount;
  if (!legal)
    throw new Error(`the iterations are not a number from 1 to ${SECURITY_LIMITS.iterationsMaxCount}`);
  return iterations;
}

function parseSalt(text: string | undefined): Uint8Array {
  const salt = decodeBase64(text ?? '');
  if (salt === undefined || salt.length === 0 || salt.length > SECURITY_LIMITS.saltMaxBytes) {
    throw new Error(`the salt is not the base64 of 1 to ${SECURITY_LIMITS.saltMaxBytes} bytes`);
  }
  return salt;
}

function parseBytes(text: string | undefined, length: number, name: string): Uint8Array {
  const bytes = decodeBase64(text ?? '');
  if (bytes === undefined || bytes.length !== length)
    throw new Error(`the ${name} is not the base64 of ${length} bytes`);
  return bytes;
}

/** Undefined for anything but the one canonical encoding of some bytes [RFC 4648, section 3.5]. */
export function decodeBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

export function formatPasswordHash(hash: PasswordHash): string {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  switch (hash.kind) {
    case 'sha512':
      return `$6$${base64(hash.salt)}$${base64(hash.hash)}`;
    case 'pbkdf2-sha512':
      return `$7$${hash.iterations}$${base64(hash.salt)}$${base64(hash.hash)}`;
    case 'scram-sha-256':
      return `$scram-sha-256$${hash.iterations}$${base64(hash.salt)}$${base64(hash.storedKey)}$${base64(hash.serverKey)}`;
  }
}

/** Whether `password` is the one that was hashed. The costly part runs in libuv's thread pool; the comparison takes constant time. */
export async function verifyPassword(hash: PasswordHash, password: Uint8Array): Promise<boolean> {
  switch (hash.kind) {
    case 'sha512':
      return timingSafeEqual(createHash('sha512').update(password).update(hash.salt).digest(), hash.hash);
    case 'pbkdf2-sha512':
      return timingSafeEqual(
        await pbkdf2Async(password, hash.salt, hash.iterations, SHA512_BYTES, 'sha512'),
        hash.hash,
      );
    case 'scram-sha-256':
      return timingSafeEqual(
        (await scramKeys(password, hash.salt, hash.iterations)).storedKey,
        hash.storedKey,
      );
  }
}

export interface HashPasswordOptions {
  readonly format: PasswordFormat;
  /** Default: DEFAULT_ITERATIONS. More cost a thief of the file, and every login, proportionally more. */
  readonly iterations?: number | undefined;
}

/**
 * What stands behind `user:` in a password file. mosquitto 2.0 reads `pbkdf2-sha512`; `scram-sha-256` serves plain logins and SCRAM.
 * @throws SprawlError USAGE for an empty or over-long password and for iterations out of range.
 */
export async function hashPassword(
  password: string | Uint8Array,
  options: HashPasswordOptions,
): Promise<string> {
  const bytes = Buffer.from(password);
  if (bytes.length === 0 || bytes.length > 65_535) {
    throw new SprawlError('USAGE', `the password has ${bytes.length} bytes: 1 to 65535 are possible`);
  }
  const iterations = options.iterations ?? DEFAULT_ITERATIONS[options.format];
  const min = options.format === 'scram-sha-256' ? SECURITY_LIMITS.scramIterationsMinCount : 1;
  const max = SECURITY_LIMITS.iterationsMaxCount;
  if (!Number.isInteger(iterations) || iterations < min || iterations > max) {
    throw new SprawlError(
      'USAGE',
      `iterations must be a whole number from ${min} to ${max}, not ${iterations}`,
      {
        details: { iterations, min, max },
      },
    );
  }
  if (options.format === 'scram-sha-256') {
    const salt = randomBytes(SCRAM_SALT_BYTES);
    const keys = await scramKeys(bytes, salt, iterations);
    return formatPasswordHash({ kind: 'scram-sha-256', iterations, salt, ...keys });
  }
  const salt = randomBytes(MOSQUITTO_SALT_BYTES);
  const hash = await pbkdf2Async(bytes, salt, iterations, SHA512_BYTES, 'sha512');
  return formatPasswordHash({ kind: 'pbkdf2-sha512', iterations, salt, hash });
}

/** StoredKey and ServerKey [RFC 5802, section 3]. */
async function scramKeys(
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
): Promise<{ storedKey: Uint8Array; serverKey: Uint8Array }> {
  const text = decodeUtf8(password);
  const prepared = text === undefined ? password : Buffer.from(saslPrep(text));
  const salted = await pbkdf2Async(prepared, salt, iterations, SHA256_BYTES, 'sha256');
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  return {
    storedKey: createHash('sha256').update(clientKey).digest(),
    serverKey: createHmac('sha256', salted).update('Server Key').digest(),
  };
}
