/** Certificates and keys that the configuration or a command line names, read as they are needed: of the listeners, of the store of an archive, of `pub` and `sub`. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type TlsOptions } from 'node:tls';
import type { Config } from './config/index.js';
import { SprawlError } from './contracts/errors.js';

/** Where it is read again later: it is looked at by itself, since OpenSSL passes over what is no certificate. @throws SprawlError TLS_FILE_INVALID */
export async function readAuthorities(key: string, path: string): Promise<Buffer> {
  const file = await readTlsFile(key, path);
  parseCertificate(file);
  return file.bytes;
}

/** @throws SprawlError TLS_FILE_INVALID */
export async function tlsOptionsOf(tls: NonNullable<Config['listeners']['tls']>): Promise<TlsOptions> {
  const certificate = await readTlsFile('listeners.tls.certFile', tls.certFile);
  const privateKey = await readTlsFile('listeners.tls.keyFile', tls.keyFile);
  const ca = tls.caFile === undefined ? undefined : await readTlsFile('listeners.tls.caFile', tls.caFile);
  return {
    ...checked({ certificate, privateKey, ca }, 'the files of listeners.tls'),
    minVersion: tls.minVersion,
    ...{ requestCert: ca !== undefined, rejectUnauthorized: tls.requireClientCertificate },
  };
}

/** A certificate is renewed before: those that are made anew every three months have a month left by then. */
const EXPIRES_SOON_MS = 14 * 86_400_000;

/** @returns milliseconds since 1970 when the certificate of the listeners ends @throws SprawlError TLS_FILE_INVALID */
export async function certificateEndMs(
  tls: Pick<NonNullable<Config['listeners']['tls']>, 'certFile'>,
): Promise<number> {
  const { validTo } = parseCertificate(await readTlsFile('listeners.tls.certFile', tls.certFile));
  // oxlint-disable-next-line eslint/no-restricted-globals -- it only reads what is written down
  return Date.parse(validTo);
}

/** What clients will say of a certificate, before they do; undefined: nothing, for more than two weeks. @param nowMs since 1970 */
export function expiryOf(endMs: number, nowMs: number): string | undefined {
  // oxlint-disable-next-line eslint/no-restricted-globals -- it only writes down what was read
  const day = new Date(endMs).toISOString();
  if (nowMs >= endMs) return `it has expired at ${day}: clients that check it do not connect`;
  if (endMs - nowMs < EXPIRES_SOON_MS)
    return `it expires at ${day}: clients that check it do not connect any more then`;
  return undefined;
}

/** What a client connects with. @param paths by options @throws SprawlError TLS_FILE_INVALID */
export function clientTlsOptionsOf(paths: {
  readonly cafile: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}): TlsBytes {
  const [ca, certificate, privateKey] = (['cafile', 'cert', 'key'] as const).map((option) => {
    const path = paths[option];
    return path === undefined ? undefined : readTlsFileNow(`--${option}`, path);
  });
  return checked({ certificate, privateKey, ca }, 'the files of --cert, --key and --cafile');
}

/** As node:tls takes them. */
interface TlsBytes {
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly ca?: Buffer;
}

interface TlsFile {
  /** Of the configuration, or an option. */
  readonly key: string;
  readonly path: string;
  readonly bytes: Buffer;
}

async function readTlsFile(key: string, path: string): Promise<TlsFile> {
  try {
    return { key, path, bytes: await readFile(path) };
  } catch (error) {
    throw unreadable(key, path, error);
  }
}

function readTlsFileNow(key: string, path: string): TlsFile {
  try {
    return { key, path, bytes: readFileSync(path) };
  } catch (error) {
    throw unreadable(key, path, error);
  }
}

function unreadable(key: string, path: string, error: unknown): SprawlError {
  return invalid(`cannot read ${path}, the value of ${key}: ${reasonOf(error)}`, error);
}

interface TlsFiles {
  readonly certificate: TlsFile | undefined;
  readonly privateKey: TlsFile | undefined;
  readonly ca: TlsFile | undefined;
}

/** Each file is looked at by itself, so that what is told is which of them is at fault. @param all what they are called together */
function checked({ certificate, privateKey, ca }: TlsFiles, all: string): TlsBytes {
  const first = certificate && parseCertificate(certificate);
  const secret = privateKey && parseKey(privateKey);
  if (first !== undefined && secret !== undefined && !first.checkPrivateKey(secret))
    throw invalid(
      `${privateKey?.path}, the value of ${privateKey?.key}, is not the key of ${certificate?.path}`,
    );
  if (ca !== undefined) parseCertificate(ca);
  const options: TlsBytes = {
    ...(certificate && { cert: certificate.bytes }),
    ...(privateKey && { key: privateKey.bytes }),
    ...(ca && { ca: ca.bytes }),
  };
  try {
    createSecureContext(options);
  } catch (error) {
    throw invalid(`cannot use ${all}: ${reasonOf(error)}`, error);
  }
  return options;
}

/** The first one of a file. */
function parseCertificate({ key, path, bytes }: TlsFile): X509Certificate {
  try {
    // X509Certificate takes DER as well, and TLS does not.
    if (!bytes.includes('-----BEGIN')) throw new Error('no line of it begins with -----BEGIN');
    return new X509Certificate(bytes);
  } catch (error) {
    throw invalid(
      `${path}, the value of ${key}, begins with no certificate in PEM: ${reasonOf(error)}`,
      error,
    );
  }
}

function parseKey({ key, path, bytes }: TlsFile): KeyObject {
  if (bytes.includes('ENCRYPTED'))
    throw invalid(
      `${path}, the value of ${key}, is encrypted, and nobody is there to type its passphrase: "openssl pkey -in ${path}" writes it without`,
    );
  try {
    return createPrivateKey(bytes);
  } catch (error) {
    throw invalid(`${path}, the value of ${key}, holds no private key in PEM: ${reasonOf(error)}`, error);
  }
}

function invalid(message: string, cause?: unknown): SprawlError {
  return new SprawlError('TLS_FILE_INVALID', message, { cause });
}

function reasonOf(error: unknown): string {
  // Texts of OpenSSL end with a line feed.
  return (error instanceof Error ? error.message : String(error)).trim().replaceAll(/\s+/g, ' ');
}
