/**
 * Archives that are to be finished, one at a time: each has a thread that makes files. One that does not get on, as its store is out of reach, stands
 * in nobody's way: the others have their turn.
 */
import { type GatewayId, shortId } from '../../../lib/contracts/gateway-id.js';
import type { MasterKey } from '../../../lib/contracts/master-key.js';
import { Finisher, type FinisherPorts, type FinisherSettings } from './finisher.js';
import type { Keeper } from './keeper.js';

const TURN_MS = 60_000;

export class Finishing {
  #settings: FinisherSettings;
  readonly #ports: FinisherPorts;
  /** Brought into each archive by those that were at work before. */
  readonly #rows = new Map<GatewayId, number>();
  /** Why this process cannot. */
  readonly #unable = new Map<GatewayId, string>();
  #finisher: Finisher | undefined;
  #since = 0;

  constructor(settings: FinisherSettings, ports: FinisherPorts) {
    this.#settings = settings;
    this.#ports = ports;
  }

  /** See Archive. */
  setKeys(keys: readonly MasterKey[]): void {
    if (keys.length === 0) return;
    this.#settings = { ...this.#settings, keys };
    this.#finisher?.setKeys(keys);
  }

  /** Every second or so. @returns whose archive is finished: nothing of it need be kept any more */
  tick(keepers: Iterable<Keeper>): Keeper | undefined {
    const waiting = [...keepers].filter((keeper) => this.#isWaiting(keeper));
    const finisher = this.#finisher;
    if (finisher === undefined) {
      this.#start(waiting[0]);
      return undefined;
    }
    finisher.tick();
    const at = waiting.findIndex(({ origin }) => origin === finisher.origin);
    const keeper = waiting[at];
    const next = waiting[(at + 1) % waiting.length];
    const isDone = finisher.isDone && keeper !== undefined;
    const isStuck = finisher.trouble !== undefined && this.#ports.clock.now() - this.#since >= TURN_MS;
    // Without a keeper it was given up: what it has not read is gone.
    if (!isDone && keeper !== undefined && (!isStuck || next === keeper)) return undefined;
    this.#end(finisher);
    if (isDone) return keeper;
    this.#start(next);
    return undefined;
  }

  #isWaiting({ origin, finish, state, isSettled }: Keeper): boolean {
    return finish !== undefined && state !== undefined && isSettled && !this.#unable.has(origin);
  }

  #start(keeper: Keeper | undefined): void {
    if (keeper?.state === undefined || keeper.finish === undefined) return;
    const { origin, name, state, finish } = keeper;
    const { logger } = this.#ports;
    const ports = { ...this.#ports, logger: logger.child({ finishing: shortId(origin) }) };
    this.#since = ports.clock.now();
    try {
      this.#finisher = new Finisher(this.#settings, { origin, name, state }, finish, ports);
      this.#finisher.start();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#unable.set(origin, reason);
      logger.error('the archive of another gateway cannot be finished here', { gateway: origin, reason });
    }
  }

  #end(finisher: Finisher): void {
    const { origin } = finisher;
    this.#finisher = undefined;
    this.#rows.set(origin, this.#rowsBefore(origin) + finisher.status.rows);
    void finisher.stop();
  }

  #rowsBefore(origin: GatewayId): number {
    return this.#rows.get(origin) ?? 0;
  }

  /** That were brought into its archive from here, since this process began. */
  rowsOf(origin: GatewayId): number {
    const now = this.#finisher?.origin === origin ? this.#finisher.status.rows : 0;
    return this.#rowsBefore(origin) + now;
  }

  /** Why it does not get on; undefined: it does. */
  reasonOf(origin: GatewayId): string | undefined {
    const unable = this.#unable.get(origin);
    if (unable !== undefined) return unable;
    return this.#finisher?.origin === origin ? this.#finisher.trouble : undefined;
  }

  /** Whether it is its turn. */
  isAtWork(origin: GatewayId): boolean {
    return this.#finisher?.origin === origin;
  }

  /** Resolves when nothing goes on any more. */
  async stop(): Promise<void> {
    await this.#finisher?.stop();
  }
}
