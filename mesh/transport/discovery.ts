/**
 * Finding members in the distributed hash table: each announces itself under the topic of the swarm key, and looks who else has.
 *
 * It is HyperDHT's announce and lookup, without Hyperswarm on top: that adds the handling of connections, which must not be used
 * here (a replayed first packet makes it close a live link), and a refresh every ten minutes, too seldom for two gateways that
 * start in the same moment: each looks before the other's announcement is there. Here a search follows each announcement, so of
 * two that start together at least the later one sees the other.
 */
import type { Clock, TimerHandle, Timers } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';
import { REFRESH_EARLY_MS, REFRESH_MISSING_MS, REFRESH_MS, REFRESH_SOONEST_MS } from './limits.js';
import type { FoundPeer } from './udx-node.js';

/** What UdxNode does. */
export interface TopicTable {
  announce(topic: Uint8Array, onPeer: (found: FoundPeer) => void): Promise<void>;
  lookup(topic: Uint8Array, onPeer: (found: FoundPeer) => void): Promise<void>;
}

export interface DiscoveryOptions {
  readonly table: TopicTable;
  readonly topic: Uint8Array;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: () => number;
  readonly logger: Logger;
  onPeer(found: FoundPeer): void;
  /** Whether a member that should have a link has none. */
  isMissing(): boolean;
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  #timer: TimerHandle | undefined;
  #round = 0;
  #isRunning = false;
  #isStopped = true;
  #lastMs = 0;
  /** When the timer fires. */
  #nextMs = 0;
  /** Of the last round; undefined: it worked. */
  lastFailure: string | undefined;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  start(): void {
    this.#isStopped = false;
    this.#schedule(0);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** A member has no link: look now, unless that has just been done. */
  missing(): void {
    if (this.#isStopped || this.#isRunning) return;
    const now = this.#options.clock.now();
    const at = Math.max(now, this.#lastMs + REFRESH_SOONEST_MS);
    if (at < this.#nextMs) this.#schedule(at - now);
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    this.#nextMs = this.#options.clock.now() + delayMs;
    this.#timer = this.#options.timers.after(delayMs, () => void this.#refresh());
  }

  async #refresh(): Promise<void> {
    const { table, topic, clock } = this.#options;
    this.#isRunning = true;
    try {
      await table.announce(topic, this.#found);
      await table.lookup(topic, this.#found);
      this.lastFailure = undefined;
    } catch (cause) {
      this.lastFailure = cause instanceof Error ? cause.message : String(cause);
      this.#options.logger.debug('the DHT does not answer', { why: this.lastFailure });
    }
    this.#isRunning = false;
    this.#lastMs = clock.now();
    if (!this.#isStopped) this.#schedule(this.#pause());
  }

  #pause(): number {
    const early = REFRESH_EARLY_MS[this.#round++];
    const regular = this.#options.isMissing() ? REFRESH_MISSING_MS : REFRESH_MS;
    // A quarter of jitter: those who started together do not ask together for ever.
    return Math.min(early ?? regular, regular) * (0.875 + this.#options.random() / 4);
  }

  readonly #found = (found: FoundPeer): void => {
    if (!this.#isStopped) this.#options.onPeer(found);
  };
}
