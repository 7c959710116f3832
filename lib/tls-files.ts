/** Certificates and keys that the configuration names, read as they are needed: of the listeners, and of the store of an archive. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type TlsOptions } from 'node:tls';
import type { Config } from './config/index.js';
import { SprawlError } from './contracts/errors.js';

/** @param key of the configuration, with `path` as its value @throws SprawlError TLS_FILE_INVALID */
export async function readTlsFile(key: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw invalid(`cannot read ${path}, the value of ${key}: ${reasonOf(error)}`, error);
  }
}

/** Each file is looked at by itself, so that what is told is which of them is at fault. @throws SprawlError TLS_FILE_INVALID */
export async function tlsOptionsOf(tls: NonNullable<Config['listeners']['tls']>): Promise<TlsOptions> {
  const read = async (name: 'certFile' | 'keyFile' | 'caFile', path: string): Promise<TlsFile> => {
    const key = `listeners.tls.${name}`;
    return { key, path, bytes: await readTlsFile(key, path) };
  };
  const certificate = await read('certFile', tls.certFile);
  const privateKey = await read('keyFile', tls.keyFile);
  const ca = tls.caFile === undefined ? undefined : await read('caFile', tls.caFile);
  const first = parseCertificate(certificate);
  if (!first.checkPrivateKey(parseKey(privateKey)))
    throw invalid(
      `${privateKey.path}, the value of ${privateKey.key}, is not the key of ${certificate.path}`,
    );
  if (ca !== undefined) parseCertificate(ca);
  const options: TlsOptions = {
    ...{ cert: certificate.bytes, key: privateKey.bytes, minVersion: tls.minVersion },
    ...{ requestCert: ca !== undefined, rejectUnauthorized: tls.requireClientCertificate },
    ...(ca !== undefined && { ca: ca.bytes }),
  };
  try {
    createSecureContext(options);
  } catch (error) {
    throw invalid(`cannot use the files of listeners.tls: ${reasonOf(error)}`, error);
  }
  return options;
}

interface TlsFile {
  readonly key: string;
  readonly path: string;
  readonly bytes: Buffer;
}

/** The first one of a file. */
function parseCertificate({ key, path, bytes }: TlsFile): X509Certificate {
  try {
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
  return error instanceof Error ? error.message : String(error);
}
