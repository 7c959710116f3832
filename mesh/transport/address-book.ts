import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { TimerHandle, Timers } from '../../lib/contracts/clock.js';
import type { Logger } from '../../lib/contracts/logger.js';
import { isPort, isSameAddress, type PeerAddress } from './address.js';
import { BOOK_ADDRESSES_MAX_COUNT, BOOK_PEERS_MAX_COUNT, BOOK_SAVE_MS, BOOK_SAVE_NEW_MS } from './limits.js';

/** Another gateway that showed that it is a member, and where it was reached; the last good address first. */
export interface KnownPeer {
  readonly id: GatewayId;
  readonly addresses: readonly PeerAddress[];
}

/** Where the book is kept. */
export interface AddressBookStore {
  load(): Promise<readonly KnownPeer[]>;
  save(peers: readonly KnownPeer[]): Promise<void>;
}

/**
 * Where members were reached: with it a whole mesh comes back after a power cut without the DHT. Only what a proven connection
 * showed or said is in it. When it is full the peer, or address, that was good longest ago goes.
 */
export class AddressBook {
  readonly #store: AddressBookStore;
  readonly #timers: Timers;
  readonly #logger: Logger;
  /** The last good one last. */
  readonly #peers = new Map<GatewayId, readonly PeerAddress[]>();
  #saving: TimerHandle | undefined;
  /** How long `saving` was to wait. */
  #savesInMs = 0;

  constructor(store: AddressBookStore, timers: Timers, logger: Logger) {
    this.#store = store;
    this.#timers = timers;
    this.#logger = logger;
  }

  /** A book that cannot be read is an empty one: others will find this gateway, or the DHT will. */
  async load(): Promise<void> {
    try {
      for (const { id, addresses } of await this.#store.load()) {
        const usable = addresses.filter(({ host, port }) => host !== '' && isPort(port));
        this.#peers.set(id, usable.slice(0, BOOK_ADDRESSES_MAX_COUNT));
      }
      this.#evict();
    } catch (cause) {
      this.#logger.warn('the address book cannot be read; members are looked for anew', {
        why: String(cause),
      });
    }
  }

  ids(): GatewayId[] {
    return [...this.#peers.keys()];
  }

  has(id: GatewayId): boolean {
    return this.#peers.has(id);
  }

  addressesOf(id: GatewayId): readonly PeerAddress[] {
    return this.#peers.get(id) ?? [];
  }

  /** These were good just now, the best first. */
  learn(id: GatewayId, addresses: readonly PeerAddress[]): void {
    const known = this.addressesOf(id);
    const merged: PeerAddress[] = [];
    for (const address of [...addresses, ...known]) {
      const isKnown = merged.some((other) => other.kind === address.kind && isSameAddress(other, address));
      if (!isKnown && address.host !== '' && isPort(address.port)) merged.push(address);
    }
    const isNew = !this.#peers.delete(id);
    this.#peers.set(id, merged.slice(0, BOOK_ADDRESSES_MAX_COUNT));
    this.#evict();
    this.#saveSoon(isNew ? BOOK_SAVE_NEW_MS : BOOK_SAVE_MS);
  }

  forget(id: GatewayId): void {
    if (this.#peers.delete(id)) this.#saveSoon(BOOK_SAVE_MS);
  }

  /** At once, if there is something new. */
  async flush(): Promise<void> {
    if (this.#saving === undefined) return;
    this.#saving.cancel();
    await this.#save();
  }

  #evict(): void {
    for (const id of this.#peers.keys()) {
      if (this.#peers.size <= BOOK_PEERS_MAX_COUNT) return;
      this.#peers.delete(id);
    }
  }

  #saveSoon(waitMs: number): void {
    if (this.#saving !== undefined && this.#savesInMs <= waitMs) return;
    this.#saving?.cancel();
    this.#savesInMs = waitMs;
    this.#saving = this.#timers.after(waitMs, () => void this.#save());
  }

  async #save(): Promise<void> {
    this.#saving = undefined;
    try {
      await this.#store.save([...this.#peers].map(([id, addresses]) => ({ id, addresses })));
    } catch (cause) {
      this.#logger.warn('the address book cannot be written; it is tried again with the next change', {
        why: String(cause),
      });
    }
  }
}
