/**
 * Of all proven connections between this gateway and one other, which is the link. The two must not decide apart: of a pair the
 * one with the greater key chooses, and says "use" on the chosen connection; the other follows. What has not been chosen waits.
 *
 * The chooser takes the first. A TCP connection takes the place of a UDX one. An equal one, or a lesser one, only does if the
 * link does not answer a ping at once: the other gateway may have been restarted, or may have lost the link without our knowing. The same
 * goes for any connection of another process than that of the link, whoever chooses: if both live, the gateway was copied.
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { TimerHandle, Timers } from '../../lib/contracts/clock.js';
import type { ConnectionPath, ConnectionState } from './connection.js';
import { ByeCode } from './control.js';
import { QUICK_PING_MS } from './limits.js';
import { Reason, silentAfterReplacement } from './reasons.js';

/** What is to be known of a connection here. */
export interface SlotConnection {
  readonly path: ConnectionPath;
  readonly state: ConnectionState;
  /** Of the process at the other side. */
  readonly instance: string;
  use(isChooser: boolean): void;
  dismiss(reason: string, code: ByeCode): void;
  ping(onPong: () => void): void;
}

export interface PeerSlotEvents<C> {
  /** After `onClose` of the link that it takes the place of, in the same turn. */
  onLink(connection: C): void;
  /** Two processes with one key: the link is alive, and the other one wanted to be it. That is dismissed next. */
  onTwin(live: C, other: C): void;
}

const RANK = { tcp: 1, udx: 0 } as const;

export class PeerSlot<C extends SlotConnection> {
  readonly peer: GatewayId;
  readonly #isChooser: boolean;
  readonly #timers: Timers;
  readonly #events: PeerSlotEvents<C>;
  #live: C | undefined;
  /** Proven and not the link, oldest first. */
  readonly #waiting = new Set<C>();
  /** Of those, the ones that the other side has chosen. */
  readonly #chosenThere = new Set<C>();
  #question: TimerHandle | undefined;

  constructor(peer: GatewayId, own: GatewayId, timers: Timers, events: PeerSlotEvents<C>) {
    this.peer = peer;
    this.#isChooser = own > peer;
    this.#timers = timers;
    this.#events = events;
  }

  get live(): C | undefined {
    return this.#live?.state === 'live' ? this.#live : undefined;
  }

  get isEmpty(): boolean {
    return this.#live === undefined && this.#waiting.size === 0;
  }

  get hasWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  connections(): readonly C[] {
    return this.#live === undefined ? [...this.#waiting] : [this.#live, ...this.#waiting];
  }

  proven(connection: C): void {
    this.#waiting.add(connection);
    if (!this.#isChooser) return;
    const live = this.live;
    if (live === undefined) this.#adopt(connection, Reason.replaced);
    else if (live.instance !== connection.instance) this.#ask(live);
    else if (RANK[connection.path] > RANK[live.path]) this.#adopt(connection, Reason.replaced);
    else this.#ask(live);
  }

  /** The other side chose it. */
  use(connection: C): void {
    if (this.#isChooser || !this.#waiting.has(connection)) return;
    const live = this.live;
    if (live === undefined || live.instance === connection.instance) this.#adopt(connection, Reason.replaced);
    else {
      this.#chosenThere.add(connection);
      this.#ask(live);
    }
  }

  gone(connection: C): void {
    this.#waiting.delete(connection);
    this.#chosenThere.delete(connection);
    if (this.#live !== connection) return;
    this.#live = undefined;
    this.#adoptBest(Reason.replaced);
  }

  #ask(live: C): void {
    if (this.#question !== undefined) return;
    this.#question = this.#timers.after(QUICK_PING_MS, () => {
      this.#question = undefined;
      this.#adoptBest(silentAfterReplacement());
    });
    live.ping(() => {
      if (this.live === live) this.#dismissWaiting();
    });
  }

  #adoptBest(reason: string): void {
    let best: C | undefined;
    for (const connection of this.#isChooser ? this.#waiting : this.#chosenThere) {
      if (best === undefined || RANK[connection.path] > RANK[best.path]) best = connection;
    }
    if (best !== undefined) this.#adopt(best, reason);
  }

  #adopt(connection: C, reason: string): void {
    const old = this.#live;
    // Who asks next asks the new link, and gives it its own time.
    this.#question?.cancel();
    this.#question = undefined;
    this.#live = connection;
    this.#waiting.delete(connection);
    this.#chosenThere.delete(connection);
    connection.use(this.#isChooser);
    old?.dismiss(reason, ByeCode.replaced);
    this.#events.onLink(connection);
    if (this.#isChooser) this.#dismissWaiting();
    else if (this.#chosenThere.size > 0) this.#ask(connection);
  }

  /** The link stays. */
  #dismissWaiting(): void {
    this.#question?.cancel();
    this.#question = undefined;
    const live = this.live;
    for (const connection of [...this.#waiting]) {
      if (live === undefined || connection.instance === live.instance)
        connection.dismiss(Reason.duplicate, ByeCode.duplicate);
      else {
        this.#events.onTwin(live, connection);
        connection.dismiss(live.instance, ByeCode.twin);
      }
    }
  }
}
