import { createHmac, timingSafeEqual } from 'node:crypto';
import { SECURITY_LIMITS } from './limits.js';
import { RecentMap } from './recent-map.js';

export type Verdict = 'accepted' | 'rejected';

/**
 * Outcomes of password checks against one password file, so that a device that reconnects again and again, with the right password
 * or a wrong one, costs one costly hash. It keeps keyed digests (HMAC-SHA-256, the key made at start and never stored), no passwords.
 */
export class VerdictCache {
  readonly #key: Uint8Array;
  readonly #accepted = new RecentMap<string, Uint8Array>(SECURITY_LIMITS.acceptedMaxCount);
  readonly #rejected = new RecentMap<string, true>(SECURITY_LIMITS.rejectedMaxCount);

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** What stands for a user name and password here. */
  digest(username: string, password: Uint8Array): Uint8Array {
    const name = Buffer.from(username);
    return createHmac('sha256', this.#key).update(`${name.length}:`).update(name).update(password).digest();
  }

  get(username: string, digest: Uint8Array): Verdict | undefined {
    const accepted = this.#accepted.get(username);
    if (accepted !== undefined && timingSafeEqual(accepted, digest)) return 'accepted';
    return this.#rejected.get(Buffer.from(digest).toString('base64')) === undefined ? undefined : 'rejected';
  }

  set(username: string, digest: Uint8Array, verdict: Verdict): void {
    if (verdict === 'accepted') this.#accepted.set(username, digest);
    else this.#rejected.set(Buffer.from(digest).toString('base64'), true);
  }
}
