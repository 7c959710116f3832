import { shortId, type GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Timers } from '../../lib/contracts/clock.js';
import { type HostPort, showAddress } from './address.js';
import { REDIAL_CAP_MS, REDIAL_START_MS } from './limits.js';
import { Reason } from './reasons.js';
import { Redial } from './redial.js';

/** How long the efforts for a gateway whose link is gone have the address for themselves: it is in the address book. */
const SECOND_CHANCE_MS = 2000;

export interface SeedStatus {
  readonly address: string;
  /** Who answered there. */
  readonly id: GatewayId | undefined;
  readonly lastFailure: string | undefined;
}

export interface SeedPorts {
  /** No member has answered there so far, and this is why; told again where it is something else. */
  failed(address: string, reason: string): void;
  readonly timers: Timers;
  readonly random: () => number;
  /** Never rejects. */
  reach(
    address: HostPort,
    signal: AbortSignal,
  ): Promise<{ readonly id: GatewayId } | { readonly failure: string }>;
}

/** `--peer HOST:PORT`: an address of some member, tried until one answers there, and again when the link to it is lost. */
export class Seed {
  readonly address: HostPort;
  readonly #ports: SeedPorts;
  readonly #redial: Redial;
  #id: GatewayId | undefined;
  #isSelf = false;
  #told: string | undefined;

  constructor(address: HostPort, ports: SeedPorts) {
    this.address = address;
    this.#ports = ports;
    this.#redial = new Redial({
      startMs: REDIAL_START_MS,
      capMs: () => REDIAL_CAP_MS,
      timers: ports.timers,
      random: ports.random,
      attempt: (signal) => this.#attempt(signal),
    });
  }

  start(): void {
    this.#redial.start(0);
  }

  stop(): void {
    this.#redial.stop();
  }

  linkLost(id: GatewayId): void {
    if (id !== this.#id || this.#isSelf) return;
    this.#redial.reset();
    this.#redial.start(SECOND_CHANCE_MS);
  }

  status(): SeedStatus {
    return {
      address: showAddress(this.address),
      id: this.#id,
      lastFailure: this.#isSelf ? Reason.self : this.#redial.lastFailure,
    };
  }

  /** For the log. */
  toString(): string {
    return this.#id === undefined
      ? showAddress(this.address)
      : `${showAddress(this.address)} (${shortId(this.#id)})`;
  }

  #tell(reason: string): void {
    if (this.#id !== undefined || reason === this.#told || reason === Reason.aborted) return;
    this.#told = reason;
    this.#ports.failed(showAddress(this.address), reason);
  }

  async #attempt(signal: AbortSignal): Promise<string | undefined> {
    const result = await this.#ports.reach(this.address, signal);
    if ('id' in result) {
      this.#id = result.id;
      return undefined;
    }
    if (result.failure !== Reason.self) {
      this.#tell(result.failure);
      return result.failure;
    }
    this.#isSelf = true;
    return undefined;
  }
}
