import { randomBytes as systemRandomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../contracts/clock.js';
import type { Logger } from '../contracts/logger.js';
import type {
  AuthenticationResult,
  Authenticator,
  Credentials,
  EnhancedExchange,
} from '../contracts/security.js';
import { ReasonCode } from '../protocol/reason-code.js';
import { HashGate } from './hash-gate.js';
import { addressKey, LoginThrottle, type LoginSource } from './login-throttle.js';
import type { PasswordTable } from './password-file.js';
import { verifyPassword, type PasswordHash, type ScramHash } from './password-hash.js';
import { createScramExchange, SCRAM_SHA_256, type ScramUser } from './scram-exchange.js';
import { StandIns } from './stand-in.js';
import { VerdictCache, type Verdict } from './verdict-cache.js';

export interface AuthenticatorOptions {
  /** Whether clients without a user name may connect, and, where there is no password file, clients with any. */
  readonly allowAnonymous: boolean;
  /** Undefined: there is no password file. */
  readonly passwords: PasswordTable | undefined;
  readonly clock: Clock;
  readonly logger?: Logger | undefined;
  /** Default: the operating system's; made of it are nonces and secrets that live as long as the process. */
  readonly randomBytes?: ((size: number) => Uint8Array) | undefined;
  /** Default: one with the limits of this folder. */
  readonly gate?: HashGate | undefined;
}

export interface AddressedAuthenticator extends Authenticator {
  /** As in the contract; with the peer's address its failures count against that address, and a user's usual address is not locked out. */
  startExchange(method: string, clientId: string, remoteAddress?: string): EnhancedExchange | undefined;
}

/** Whether a user who got in with the passwords before is gone, or has another password. */
export type IsRevoked = (username: string) => boolean;

export interface ReplaceableAuthenticator extends AddressedAuthenticator {
  /** Puts `passwords` in force, also for checks that are under way, and forgets remembered outcomes. */
  replace(passwords: PasswordTable | undefined): IsRevoked;
}

export function createAuthenticator(options: AuthenticatorOptions): ReplaceableAuthenticator {
  return new PasswordAuthenticator(options);
}

/** A password file with everything whose life ends with it. */
interface PasswordState {
  readonly table: PasswordTable;
  readonly standIns: StandIns;
  readonly verdicts: VerdictCache;
}

const NONCE_BYTES = 18;
const SECRET_BYTES = 32;
const refuse = (reasonCode: ReasonCode): AuthenticationResult => ({ ok: false, reasonCode });

class PasswordAuthenticator implements ReplaceableAuthenticator {
  readonly #allowAnonymous: boolean;
  readonly #logger: Logger | undefined;
  readonly #randomBytes: (size: number) => Uint8Array;
  readonly #standInKey: Uint8Array;
  readonly #gate: HashGate;
  readonly #throttle: LoginThrottle;
  #state: PasswordState | undefined;

  constructor(options: AuthenticatorOptions) {
    this.#allowAnonymous = options.allowAnonymous;
    this.#logger = options.logger;
    this.#randomBytes = options.randomBytes ?? systemRandomBytes;
    this.#standInKey = this.#randomBytes(SECRET_BYTES);
    this.#gate = options.gate ?? new HashGate();
    this.#throttle = new LoginThrottle(options.clock);
    this.replace(options.passwords);
  }

  get methods(): readonly string[] {
    return this.#state?.standIns.offersScram === true ? [SCRAM_SHA_256] : [];
  }

  replace(passwords: PasswordTable | undefined): IsRevoked {
    const before = this.#state?.table;
    this.#state =
      passwords === undefined
        ? undefined
        : {
            table: passwords,
            standIns: new StandIns(this.#standInKey, passwords),
            verdicts: new VerdictCache(this.#randomBytes(SECRET_BYTES)),
          };
    // Whom the table before did not know somebody else has let in.
    return (username) => {
      const entry = before?.get(username);
      return entry !== undefined && !isDeepStrictEqual(entry, passwords?.get(username));
    };
  }

  async authenticate(credentials: Credentials): Promise<AuthenticationResult> {
    try {
      return await this.#authenticate(credentials);
    } catch (error) {
      this.#logger?.error('a login failed for a reason of the gateway', {
        error: error instanceof Error ? error.message : String(error),
      });
      return refuse(ReasonCode.serverUnavailable);
    }
  }

  startExchange(method: string, _clientId: string, remoteAddress?: string): EnhancedExchange | undefined {
    if (!this.methods.includes(method)) return undefined;
    const address = addressKey(remoteAddress);
    let asked: ScramUser | undefined;
    return createScramExchange({
      serverNonce: Buffer.from(this.#randomBytes(NONCE_BYTES)).toString('base64'),
      mayTry: (username) => !this.#throttle.isClosed({ username, address }),
      lookUp: (username) => (asked = this.#scramUser(username)),
      settle: (username, proven) => {
        // A reload during the exchange may have removed the user or changed the password.
        const valid =
          proven && asked !== undefined && isCurrent(this.#state?.table.get(username), asked.hash);
        this.#settle({ username, address }, valid);
        return valid;
      },
    });
  }

  async #authenticate(credentials: Credentials): Promise<AuthenticationResult> {
    const { username, password } = credentials;
    if (username === undefined) {
      return this.#allowAnonymous ? { ok: true, username } : refuse(ReasonCode.notAuthorized);
    }
    if (this.#state === undefined) {
      return this.#allowAnonymous ? { ok: true, username } : refuse(ReasonCode.badUserNameOrPassword);
    }
    if (password === undefined) return refuse(ReasonCode.badUserNameOrPassword);
    const source = { username, address: addressKey(credentials.remoteAddress) };
    // The caller's bytes may be reused while the check waits its turn.
    return this.#checkPassword(source, Buffer.from(password));
  }

  async #checkPassword(source: LoginSource, password: Uint8Array): Promise<AuthenticationResult> {
    const state = this.#state;
    if (state === undefined) return refuse(ReasonCode.badUserNameOrPassword);
    const { username } = source;
    const digest = state.verdicts.digest(username, password);
    // Asked again when its turn comes: the checks before it may have answered it, or closed the door.
    const early = () => (this.#throttle.isClosed(source) ? 'closed' : state.verdicts.get(username, digest));
    const outcome =
      early() ?? (await this.#gate.run(async () => early() ?? this.#verify(state, source, password, digest)));
    if (outcome === undefined) return refuse(ReasonCode.serverUnavailable);
    if (state !== this.#state) return this.#checkPassword(source, password);
    if (outcome === 'closed') return refuse(ReasonCode.notAuthorized);
    if (outcome === 'rejected') return refuse(ReasonCode.badUserNameOrPassword);
    this.#settle(source, true);
    return { ok: true, username };
  }

  /** Checks by the costly hash, and remembers and counts the outcome. */
  async #verify(
    state: PasswordState,
    source: LoginSource,
    password: Uint8Array,
    digest: Uint8Array,
  ): Promise<Verdict> {
    const entry = state.table.get(source.username);
    // Made for everybody, so that the time does not say who is known.
    const standIn = state.standIns.plain(source.username);
    const matches = await verifyPassword(entry ?? standIn, password);
    const verdict: Verdict = matches && entry !== undefined ? 'accepted' : 'rejected';
    // The same four checks may have run side by side for one device: it failed once.
    const counted = state.verdicts.get(source.username, digest) !== undefined;
    state.verdicts.set(source.username, digest, verdict);
    if (verdict === 'rejected' && !counted && state === this.#state) this.#settle(source, false);
    return verdict;
  }

  #scramUser(username: string): ScramUser {
    const hash = this.#state?.table.get(username);
    // Made for everybody, so that the time does not say who is known.
    const standIn = (this.#state?.standIns ?? new StandIns(this.#standInKey, new Map())).scram(username);
    return hash?.kind === 'scram-sha-256' ? { hash, known: true } : { hash: standIn, known: false };
  }

  #settle(source: LoginSource, ok: boolean): void {
    if (ok) {
      this.#throttle.succeeded(source);
      return;
    }
    const waitMs = this.#throttle.failed(source);
    if (waitMs === 0) return;
    this.#logger?.warn(
      'too many failed logins: further ones of this user or address are refused for a while',
      {
        username: source.username,
        address: source.address,
        waitMs,
      },
    );
  }
}

function isCurrent(entry: PasswordHash | undefined, used: ScramHash): boolean {
  return entry?.kind === 'scram-sha-256' && Buffer.from(entry.storedKey).equals(used.storedKey);
}
