/**
 * The server's side of SCRAM-SHA-256 [RFC 5802, RFC 7677] without channel binding, as an enhanced authentication of MQTT 5:
 *
 *     CONNECT  client-first     n,,n=<user>,r=<client nonce>
 *     AUTH     server-first     r=<client nonce><server nonce>,s=<salt>,i=<iterations>
 *     AUTH     client-final     c=biws,r=<both nonces>,p=<proof>
 *     CONNACK  server-final     v=<server signature>
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { EnhancedExchange, EnhancedStep } from '../contracts/security.js';
import { ReasonCode } from '../protocol/reason-code.js';
import type { ScramHash } from './password-hash.js';
import { parseClientFinal, parseClientFirst, type ClientFirstMessage } from './scram-message.js';

export const SCRAM_SHA_256 = 'SCRAM-SHA-256';

export interface ScramUser {
  /** For an unknown user one that cannot be told from a real one. */
  readonly hash: ScramHash;
  readonly known: boolean;
}

export interface ScramExchangeOptions {
  /** Printable ASCII without commas. */
  readonly serverNonce: string;
  lookUp(username: string): ScramUser;
  /** Whether `username` may try at all just now. */
  mayTry(username: string): boolean;
  /** Told once for each exchange that came to a proof; whether it counts is the answer (a user may be gone by then). */
  settle(username: string, proven: boolean): boolean;
}

type State =
  | { readonly phase: 'first' }
  | {
      readonly phase: 'final';
      readonly first: ClientFirstMessage;
      readonly user: ScramUser;
      readonly serverFirst: string;
    }
  | { readonly phase: 'ended' };

/**
 * Refusals: 0x86 where a proof was wrong or the user is unknown (both look alike until then, and after), 0x87 where a message is not SCRAM, asks
 * for what is not offered, or the user has to wait, 0x82 for a step after the end.
 */
export function createScramExchange(options: ScramExchangeOptions): EnhancedExchange {
  let state: State = { phase: 'first' };
  const advance = (data: Uint8Array | undefined): EnhancedStep => {
    const current = state;
    state = { phase: 'ended' };
    switch (current.phase) {
      case 'first': {
        const begun = begin(options, data);
        if (begun === undefined) return { kind: 'refused', reasonCode: ReasonCode.notAuthorized };
        state = begun;
        return { kind: 'continue', data: Buffer.from(begun.serverFirst) };
      }
      case 'final':
        return finish(options, current, data);
      case 'ended':
        return { kind: 'refused', reasonCode: ReasonCode.protocolError };
    }
  };
  return { step: (data) => Promise.resolve(advance(data)) };
}

function begin(
  options: ScramExchangeOptions,
  data: Uint8Array | undefined,
): (State & { phase: 'final' }) | undefined {
  const first = data === undefined ? undefined : parseClientFirst(data);
  if (first === undefined) return undefined;
  // Acting for somebody else is not offered.
  if (first.authzid !== undefined && first.authzid !== first.username) return undefined;
  if (!options.mayTry(first.username)) return undefined;
  const user = options.lookUp(first.username);
  const salt = Buffer.from(user.hash.salt).toString('base64');
  const serverFirst = `r=${first.nonce}${options.serverNonce},s=${salt},i=${user.hash.iterations}`;
  return { phase: 'final', first, user, serverFirst };
}

function finish(
  options: ScramExchangeOptions,
  { first, user, serverFirst }: State & { phase: 'final' },
  data: Uint8Array | undefined,
): EnhancedStep {
  const final = data === undefined ? undefined : parseClientFinal(data);
  if (final === undefined || !Buffer.from(first.gs2Header).equals(final.channelBinding)) {
    return { kind: 'refused', reasonCode: ReasonCode.notAuthorized };
  }
  const signed = `${first.bare},${serverFirst},${final.withoutProof}`;
  // All of them are computed for everybody, so that the time says nothing about which failed.
  const sameNonce = equalBytes(Buffer.from(final.nonce), Buffer.from(`${first.nonce}${options.serverNonce}`));
  const sameProof = isProofOf(user.hash, signed, final.proof);
  const signature = createHmac('sha256', user.hash.serverKey).update(signed).digest('base64');
  if (!options.settle(first.username, sameNonce && sameProof && user.known)) {
    return { kind: 'refused', reasonCode: ReasonCode.badUserNameOrPassword };
  }
  return { kind: 'done', username: first.username, data: Buffer.from(`v=${signature}`) };
}

/** ClientProof = ClientKey XOR HMAC(StoredKey, AuthMessage), and H(ClientKey) = StoredKey [RFC 5802, section 3]. */
function isProofOf(hash: ScramHash, signed: string, proof: Uint8Array): boolean {
  const clientSignature = createHmac('sha256', hash.storedKey).update(signed).digest();
  if (proof.length !== clientSignature.length) return false;
  const clientKey = clientSignature.map((byte, index) => byte ^ (proof[index] ?? 0));
  return timingSafeEqual(createHash('sha256').update(clientKey).digest(), hash.storedKey);
}

function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}
