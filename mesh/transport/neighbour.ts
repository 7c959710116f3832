/**
 * Another gateway, as the transport sees it: where it may be, the connection that is the link, and the efforts to get one.
 * Exactly one effort is under way: none with a TCP link; to get TCP, rarely, with a UDX link; to get any otherwise.
 */
import { isIPv4 } from 'node:net';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Clock, Timers } from '../../lib/contracts/clock.js';
import type { LinkPath } from '../link/peer-link.js';
import { isPort, isSameAddress, type PeerAddress } from './address.js';
import type { AddressBook } from './address-book.js';
import type { Connection } from './connection.js';
import { ByeCode } from './control.js';
import {
  BOOK_ADDRESSES_MAX_COUNT,
  DHT_DIAL_DELAY_MS,
  DIAL_SECOND_DELAY_MS,
  DISCOVERED_ATTEMPTS_MAX_COUNT,
  LIVED_MS,
  REDIAL_CAP_MS,
  REDIAL_START_MS,
  TCP_DIAL_MAX_COUNT,
  UDX_DIAL_DELAY_MS,
  UDX_DIAL_MAX_COUNT,
  UPGRADE_CAP_MS,
  UPGRADE_START_MS,
} from './limits.js';
import { PeerSlot } from './peer-slot.js';
import { race, type Way } from './race.js';
import { Reason } from './reasons.js';
import { Redial } from './redial.js';

export interface PeerStatus {
  readonly id: GatewayId;
  /** `connecting`: it is tried again and again. `down`: nobody asked for it, or it is not allowed. */
  readonly state: 'connecting' | 'up' | 'down';
  readonly path: LinkPath | undefined;
  readonly address: string | undefined;
  readonly rttMs: number | undefined;
  /** Since a link last lasted. */
  readonly attempts: number;
  readonly lastFailure: string | undefined;
}

/** What a neighbour needs of the transport. */
export interface NeighbourPorts {
  readonly own: GatewayId;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: () => number;
  readonly book: AddressBook;
  readonly hasTable: boolean;
  isRefused(id: GatewayId): boolean;
  /** One attempt over one address, up to the proof. Never rejects. @param address undefined: by the DHT. @returns undefined: proven */
  reach(peer: GatewayId, address: PeerAddress | undefined, signal: AbortSignal): Promise<string | undefined>;
  onLink(connection: Connection): void;
  /** The link is gone and none took its place. */
  onLinkLost(peer: GatewayId): void;
}

export class Neighbour {
  readonly id: GatewayId;
  readonly #ports: NeighbourPorts;
  readonly #slot: PeerSlot<Connection>;
  readonly #redial: Redial;
  readonly #upgrade: Redial;
  /** What others say of where it is: not proven, newest first. */
  #hints: readonly PeerAddress[] = [];
  #lastFailure: string | undefined;
  #isStopped = false;
  isWanted = false;

  constructor(id: GatewayId, ports: NeighbourPorts) {
    this.id = id;
    this.#ports = ports;
    this.#slot = new PeerSlot<Connection>(id, ports.own, ports.timers, {
      onLink: (connection) => {
        ports.onLink(connection);
        this.update();
      },
    });
    const { timers, random } = ports;
    this.#redial = new Redial({
      startMs: REDIAL_START_MS,
      capMs: () => (this.isWanted ? REDIAL_CAP_MS : UPGRADE_CAP_MS),
      timers,
      random,
      attempt: (signal) => this.#dial(signal),
    });
    this.#upgrade = new Redial({
      startMs: UPGRADE_START_MS,
      capMs: () => UPGRADE_CAP_MS,
      timers,
      random,
      attempt: (signal) => race(this.#tcpWays(), timers, signal),
    });
  }

  get live(): Connection | undefined {
    return this.#slot.live;
  }

  /** Nobody wants it, it never was a member, and it does not answer. */
  get isForgettable(): boolean {
    const isTried = this.#redial.attempts >= DISCOVERED_ATTEMPTS_MAX_COUNT;
    return !this.isWanted && this.#slot.isEmpty && !this.#ports.book.has(this.id) && isTried;
  }

  status(): PeerStatus {
    const live = this.live;
    const isRefused = this.#ports.isRefused(this.id);
    return {
      id: this.id,
      state: live === undefined ? (this.#redial.state === 'idle' ? 'down' : 'connecting') : 'up',
      path: live?.path,
      address: live?.remoteAddress,
      rttMs: live?.rttMs,
      attempts: this.#redial.attempts,
      lastFailure: isRefused ? Reason.evicted : (this.#lastFailure ?? this.#redial.lastFailure),
    };
  }

  hint(addresses: readonly PeerAddress[]): void {
    const isNew = (address: PeerAddress): boolean =>
      isPort(address.port) &&
      !this.#hints.some((other) => other.kind === address.kind && isSameAddress(other, address));
    const fresh = addresses.filter(isNew);
    this.#hints = [...fresh, ...this.#hints].slice(0, BOOK_ADDRESSES_MAX_COUNT);
    if (this.live === undefined) this.#redial.hurry();
    this.update();
  }

  proven(connection: Connection): void {
    this.#slot.proven(connection);
    this.update();
  }

  use(connection: Connection): void {
    this.#slot.use(connection);
  }

  gone(connection: Connection, reason: string, code: ByeCode): void {
    const wasLive = connection.liveSinceMs !== undefined;
    const lived = this.#ports.clock.now() - (connection.liveSinceMs ?? this.#ports.clock.now());
    this.#slot.gone(connection);
    if (code !== ByeCode.duplicate && code !== ByeCode.replaced) this.#lastFailure = reason;
    const effort = connection.path === 'tcp' ? [this.#redial, this.#upgrade] : [this.#redial];
    if (lived > LIVED_MS) for (const redial of effort) redial.reset();
    if (wasLive && this.live === undefined) this.#ports.onLinkLost(this.id);
    this.update();
  }

  /** Starts and ends efforts after something changed. */
  update(): void {
    const live = this.live;
    const isAllowed = !this.#isStopped && !this.#ports.isRefused(this.id);
    if (live !== undefined && !isAllowed) return live.dismiss(Reason.evicted, ByeCode.evicted);
    if (!isAllowed || live !== undefined || this.isForgettable) this.#redial.stop();
    else if (this.#slot.isEmpty) this.#redial.start(this.#turn());
    if (!isAllowed || live?.path !== 'udx') this.#upgrade.stop();
    else if (!this.#slot.hasWaiting && this.#tcpWays().length > 0) this.#upgrade.start(this.#turn());
  }

  stop(): readonly Connection[] {
    this.#isStopped = true;
    this.#redial.stop();
    this.#upgrade.stop();
    return this.#slot.connections();
  }

  /** Of the two the one with the greater key dials first. */
  #turn(): number {
    return this.#ports.own > this.id ? 0 : DIAL_SECOND_DELAY_MS;
  }

  async #dial(signal: AbortSignal): Promise<string | undefined> {
    const ways = [...this.#tcpWays(), ...this.#udxWays()];
    const failure = ways.length === 0 ? Reason.noAddress : await race(ways, this.#ports.timers, signal);
    // Proven, but the other side has not said yet that it is the link; when it does not, `gone` comes.
    if (failure !== undefined && !signal.aborted) this.#lastFailure = failure;
    return failure;
  }

  #tcpWays(): Way[] {
    return this.#addresses('tcp', TCP_DIAL_MAX_COUNT).map((address) => this.#way(address, 0));
  }

  #udxWays(): Way[] {
    const direct = this.#addresses('udp', UDX_DIAL_MAX_COUNT).map((address) =>
      this.#way(address, UDX_DIAL_DELAY_MS),
    );
    return this.#ports.hasTable ? [...direct, this.#way(undefined, DHT_DIAL_DELAY_MS)] : direct;
  }

  #way(address: PeerAddress | undefined, delayMs: number): Way {
    return { delayMs, attempt: (signal) => this.#ports.reach(this.id, address, signal) };
  }

  #addresses(kind: PeerAddress['kind'], most: number): PeerAddress[] {
    const found: PeerAddress[] = [];
    for (const address of [...this.#ports.book.addressesOf(this.id), ...this.#hints]) {
      if (address.kind !== kind || found.length === most) continue;
      if (kind === 'udp' && !isIPv4(address.host)) continue;
      if (!found.some((other) => isSameAddress(other, address))) found.push(address);
    }
    return found;
  }
}
