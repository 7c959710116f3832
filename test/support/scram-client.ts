/** The client's side of SCRAM-SHA-256 [RFC 5802, RFC 7677], written from the RFC alone so that it can judge the server's side. */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';

const hmac = (key: Uint8Array, text: string) => createHmac('sha256', key).update(text).digest();
const escapeName = (name: string) => name.replaceAll('=', '=3D').replaceAll(',', '=2C');

export class ScramClient {
  readonly #password: string;
  readonly #bare: string;
  readonly #gs2: string;
  #serverSignature: Buffer | undefined;

  constructor(username: string, password: string, nonce = 'fyko+d2lbbFgONRv9qkxdawL', gs2 = 'n,,') {
    this.#password = password;
    this.#gs2 = gs2;
    this.#bare = `n=${escapeName(username)},r=${nonce}`;
  }

  first(): Buffer {
    return Buffer.from(this.#gs2 + this.#bare);
  }

  /** @param nonce what to send, and sign, instead of the server's. */
  final(serverFirst: Uint8Array, nonce?: string): Buffer {
    const text = Buffer.from(serverFirst).toString();
    const fields = /^r=(?<nonce>[^,]+),s=(?<salt>[^,]+),i=(?<iterations>[0-9]+)$/.exec(text)?.groups;
    if (fields === undefined) throw new Error(`not a server-first message: ${text}`);
    const salt = Buffer.from(fields['salt'] ?? '', 'base64');
    const salted = pbkdf2Sync(this.#password, salt, Number(fields['iterations']), 32, 'sha256');
    const clientKey = hmac(salted, 'Client Key');
    const withoutProof = `c=${Buffer.from(this.#gs2).toString('base64')},r=${nonce ?? fields['nonce'] ?? ''}`;
    const signed = `${this.#bare},${text},${withoutProof}`;
    const signature = hmac(createHash('sha256').update(clientKey).digest(), signed);
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), signed);
    const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature.readUInt8(index)));
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`);
  }

  /** Whether the server has shown that it knows the user's ServerKey. */
  trusts(serverFinal: Uint8Array | undefined): boolean {
    if (serverFinal === undefined || this.#serverSignature === undefined) return false;
    return Buffer.from(serverFinal).toString() === `v=${this.#serverSignature.toString('base64')}`;
  }
}
