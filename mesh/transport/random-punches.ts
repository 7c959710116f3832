/**
 * When a way is looked for through a router that takes another port for each destination. hyperdht opens 256 ports behind it and tries
 * ports at random from the other side, fifty a second, which only works where the other side's router does not do the same. A line
 * that is paid by the byte must not do so for ever: for each gateway it is tried ever more rarely. Of a pair the one with the greater
 * key does it: hyperdht has one such search at a time, and two that meet end each other.
 */
import type { Clock } from '../../lib/contracts/clock.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import {
  BOOK_PEERS_MAX_COUNT,
  RANDOM_PUNCH_CAP_MS,
  RANDOM_PUNCH_REST_MS,
  RANDOM_PUNCH_START_MS,
  RANDOM_PUNCH_TIMEOUT_MS,
} from './limits.js';
import { Reason } from './reasons.js';

interface Tries {
  readonly count: number;
  readonly nextMs: number;
}

export class RandomPunches {
  readonly #own: GatewayId;
  readonly #clock: Pick<Clock, 'now'>;
  /** That did not work; the oldest first, and the first to be forgotten. */
  readonly #tries = new Map<GatewayId, Tries>();
  #restsUntilMs = 0;

  constructor(own: GatewayId, clock: Pick<Clock, 'now'>) {
    this.#own = own;
    this.#clock = clock;
  }

  /** @returns why not now; undefined: it has begun, and takes RANDOM_PUNCH_TIMEOUT_MS at most */
  begin(peer: GatewayId): string | undefined {
    if (this.#own < peer) return Reason.randomThere;
    const now = this.#clock.now();
    const { count, nextMs } = this.#tries.get(peer) ?? { count: 0, nextMs: 0 };
    if (now < nextMs || now < this.#restsUntilMs) return Reason.randomLater;
    this.#tries.delete(peer);
    const pauseMs = Math.min(RANDOM_PUNCH_START_MS * 2 ** count, RANDOM_PUNCH_CAP_MS);
    this.#tries.set(peer, { count: count + 1, nextMs: now + pauseMs });
    for (const id of this.#tries.keys()) if (this.#tries.size > BOOK_PEERS_MAX_COUNT) this.#tries.delete(id);
    this.#restsUntilMs = now + RANDOM_PUNCH_TIMEOUT_MS + RANDOM_PUNCH_REST_MS;
    return undefined;
  }

  /** After `begin`. */
  ended(peer: GatewayId, hasWorked: boolean): void {
    this.#restsUntilMs = this.#clock.now() + RANDOM_PUNCH_REST_MS;
    if (hasWorked) this.#tries.delete(peer);
  }
}
