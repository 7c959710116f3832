/**
 * Slows down whoever guesses passwords. Failures are counted per user name and per address. Beyond a free number of them every
 * further one closes that name or address for a time that doubles; attempts in between are refused unseen and not counted, so that a
 * closed door always opens again.
 *
 * A closed user name still lets in the address from which it last logged in: a stranger's guesses do not lock a device out.
 */
import { isIPv4, isIPv6 } from 'node:net';
import type { Clock } from '../contracts/clock.js';
import { SECURITY_LIMITS } from './limits.js';
import { RecentMap } from './recent-map.js';

export const THROTTLE = {
  /** Failures of one user name before the first wait. */
  userFreeCount: 5,
  /** Failures from one address before the first wait: many devices may stand behind one. */
  addressFreeCount: 20,
  firstWaitMs: 1_000,
  longestWaitMs: 60_000,
  /** Failures are forgotten this long after the last one. */
  forgetAfterMs: 600_000,
} as const;

/** How long to refuse after the latest of `failureCount` failures: 0, then 1 s, 2 s, 4 s, up to a minute. */
export function waitAfterFailureMs(failureCount: number, freeCount: number): number {
  const beyond = failureCount - freeCount;
  return beyond < 0 ? 0 : Math.min(THROTTLE.firstWaitMs * 2 ** beyond, THROTTLE.longestWaitMs);
}

/** Who tries to log in. */
export interface LoginSource {
  readonly username: string;
  /** From `addressKey`. */
  readonly address: string | undefined;
}

interface Failures {
  count: number;
  lastAt: number;
  closedUntil: number;
}

export class LoginThrottle {
  readonly #clock: Clock;
  readonly #users = new RecentMap<string, Failures>(SECURITY_LIMITS.throttleKeysMaxCount);
  readonly #addresses = new RecentMap<string, Failures>(SECURITY_LIMITS.throttleKeysMaxCount);
  readonly #lastGoodAddress = new RecentMap<string, string>(SECURITY_LIMITS.acceptedMaxCount);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  isClosed(source: LoginSource): boolean {
    const { username, address } = source;
    const now = this.#clock.now();
    if (address !== undefined && isClosedAt(this.#addresses.get(address), now)) return true;
    const known = address !== undefined && this.#lastGoodAddress.get(username) === address;
    return !known && isClosedAt(this.#users.get(username), now);
  }

  /** @returns the wait that this failure began, the longer of both, 0: none. */
  failed(source: LoginSource): number {
    const user = this.#count(this.#users, source.username, THROTTLE.userFreeCount);
    if (source.address === undefined) return user;
    return Math.max(user, this.#count(this.#addresses, source.address, THROTTLE.addressFreeCount));
  }

  /** Forgets the user's failures; not the address's, where an account of one's own would otherwise buy endless guesses at others. */
  succeeded(source: LoginSource): void {
    this.#users.delete(source.username);
    if (source.address !== undefined) this.#lastGoodAddress.set(source.username, source.address);
  }

  #count(failures: RecentMap<string, Failures>, key: string, freeCount: number): number {
    const now = this.#clock.now();
    const known = failures.get(key);
    const count = known === undefined || now - known.lastAt >= THROTTLE.forgetAfterMs ? 1 : known.count + 1;
    const waitMs = waitAfterFailureMs(count, freeCount);
    failures.set(key, { count, lastAt: now, closedUntil: now + waitMs });
    return waitMs;
  }
}

function isClosedAt(failures: Failures | undefined, now: number): boolean {
  return failures !== undefined && now < failures.closedUntil;
}

/** What counts as one address: an IPv4 address, also one mapped into IPv6, or the first 64 bits of an IPv6 address, which one host has for itself. */
export function addressKey(remoteAddress: string | undefined): string | undefined {
  if (remoteAddress === undefined) return undefined;
  const text = remoteAddress.toLowerCase().split('%')[0] ?? '';
  if (!isIPv6(text)) return text;
  const mapped = /^::ffff:([0-9.]+)$/.exec(text)?.[1];
  if (mapped !== undefined && isIPv4(mapped)) return mapped;
  const [head = '', tail] = text.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? 0 : tail.split(':').length + (tail.includes('.') ? 1 : 0);
    while (groups.length < 8 - after) groups.push('0');
    groups.push(...tail.split(':'));
  }
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(':')}::/64`;
}
