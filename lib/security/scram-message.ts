/** The two messages of a SCRAM client [RFC 5802, section 7], read strictly. */
import { SECURITY_LIMITS } from './limits.js';
import { decodeBase64 } from './password-hash.js';
import { decodeUtf8 } from './text-file.js';

export interface ClientFirstMessage {
  /** With both commas; repeated, in base64, in the client's final message. */
  readonly gs2Header: string;
  /** client-first-message-bare: what is signed. */
  readonly bare: string;
  readonly username: string;
  readonly authzid: string | undefined;
  readonly nonce: string;
}

export interface ClientFinalMessage {
  /** The decoded `c=`. */
  readonly channelBinding: Uint8Array;
  readonly nonce: string;
  readonly withoutProof: string;
  readonly proof: Uint8Array;
}

const CLIENT_FIRST =
  /^(?<gs2>[ny],(?:a=(?<authzid>[^,]+))?,)(?<bare>n=(?<name>[^,]+),r=(?<nonce>[\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,]+)*)$/u;
const CLIENT_FINAL =
  /^(?<signed>c=(?<binding>[A-Za-z0-9+/=]+),r=(?<nonce>[\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,]+)*),p=(?<proof>[A-Za-z0-9+/=]+)$/u;

/** Undefined for anything else, also for channel binding (`p=`) and mandatory extensions (`m=`), which are not offered. */
export function parseClientFirst(data: Uint8Array): ClientFirstMessage | undefined {
  const groups = match(CLIENT_FIRST, data);
  if (groups === undefined) return undefined;
  const { gs2 = '', bare = '', nonce = '' } = groups;
  const username = decodeName(groups['name'] ?? '');
  const authzid = groups['authzid'] === undefined ? undefined : decodeName(groups['authzid']);
  if (username === undefined || (authzid === undefined && groups['authzid'] !== undefined)) return undefined;
  return { gs2Header: gs2, bare, username, authzid, nonce };
}

export function parseClientFinal(data: Uint8Array): ClientFinalMessage | undefined {
  const groups = match(CLIENT_FINAL, data);
  if (groups === undefined) return undefined;
  const channelBinding = decodeBase64(groups['binding'] ?? '');
  const proof = decodeBase64(groups['proof'] ?? '');
  if (channelBinding === undefined || proof === undefined) return undefined;
  return { channelBinding, nonce: groups['nonce'] ?? '', withoutProof: groups['signed'] ?? '', proof };
}

function match(pattern: RegExp, data: Uint8Array): Partial<Record<string, string>> | undefined {
  if (data.length > SECURITY_LIMITS.scramMessageMaxBytes) return undefined;
  const text = decodeUtf8(data);
  if (text === undefined || text.includes('\0')) return undefined;
  return pattern.exec(text)?.groups;
}

/** A saslname: `=2C` is a comma, `=3D` an equals sign, no other `=` may occur. */
function decodeName(text: string): string | undefined {
  if (/=(?!2C|3D)/.test(text)) return undefined;
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=');
}
