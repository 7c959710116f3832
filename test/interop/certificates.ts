/** Throw-away certificates, made by openssl. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** False, or why tests with certificates are left out. */
export const WITHOUT_OPENSSL: false | string =
  spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not installed';

export interface KeyPair {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Certificates {
  readonly caFile: string;
  /** For localhost, 127.0.0.1 and 127.0.0.2. */
  readonly server: KeyPair;
  readonly client: KeyPair;
  /** A client certificate of another authority. */
  readonly stranger: KeyPair;
}

function openssl(...args: string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function authority(dir: string, name: string): KeyPair {
  const pair = { certFile: join(dir, `${name}.crt`), keyFile: join(dir, `${name}.key`) };
  openssl(
    ...['req', '-x509', ...NEW_KEY, '-days', '2', '-subj', `/CN=${name}`],
    ...['-keyout', pair.keyFile, '-out', pair.certFile],
  );
  return pair;
}

function issued(dir: string, name: string, by: KeyPair): KeyPair {
  const pair = { certFile: join(dir, `${name}.crt`), keyFile: join(dir, `${name}.key`) };
  const request = join(dir, `${name}.csr`);
  const extensions = join(dir, `${name}.ext`);
  writeFileSync(extensions, 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:127.0.0.2\n');
  openssl('req', ...NEW_KEY, '-subj', `/CN=${name}`, '-keyout', pair.keyFile, '-out', request);
  openssl(
    ...['x509', '-req', '-in', request, '-days', '2', '-CA', by.certFile, '-CAkey', by.keyFile],
    ...['-CAcreateserial', '-extfile', extensions, '-out', pair.certFile],
  );
  return pair;
}

export function makeCertificates(dir: string): Certificates {
  const ca = authority(dir, 'ca');
  return {
    caFile: ca.certFile,
    server: issued(dir, 'localhost', ca),
    client: issued(dir, 'device', ca),
    stranger: issued(dir, 'stranger', authority(dir, 'other-ca')),
  };
}
