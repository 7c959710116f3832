/**
 * Gateways that are members no more: those that left for good, as they say themselves, and those that the administrator evicted. Nothing
 * is kept for them.
 */
import type { Epoch } from '../../lib/contracts/epoch.js';
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { type Departure, encodeDepartures } from '../identity/departure.js';
import { Channel } from '../link/peer-link.js';
import type { Admission } from './admission.js';
import { Departures } from './departures.js';
import type { LivesOfOthers } from './lives-of-others.js';
import type { NodeParts } from './node-parts.js';
import type { Peer } from './peer.js';
import { floorName, gatewayOfFloor } from './peer-floors.js';
import type { Peers } from './peers.js';
import type { RetainedLives } from './retained-lives.js';

/** What the store keeps. */
const NOTE = 'departures';

export interface FormerMembersParts {
  readonly node: Pick<NodeParts, 'store' | 'logger' | 'lineage'>;
  readonly admission: Admission;
  readonly peers: Peers;
  readonly lives: LivesOfOthers;
  readonly retained: RetainedLives;
}

export class FormerMembers {
  readonly #parts: FormerMembersParts;
  /** From `begin` on. */
  #departures: Departures | undefined;

  constructor(parts: FormerMembersParts) {
    this.#parts = parts;
  }

  /** A life of this gateway begins: what was kept for those that were gone when the last process ended, perhaps before it had written that down, goes. */
  begin(): void {
    this.#departures = this.#createDepartures();
    const { peers, lives, admission, node } = this.#parts;
    const known = new Set([...peers.gateways(), ...lives.gateways()]);
    for (const name of node.store.floors.keys()) {
      const id = gatewayOfFloor(name);
      if (id !== undefined) known.add(id);
    }
    for (const id of known) if (admission.isEvicted(id) || this.hasLeft(id)) this.forget(id);
  }

  #createDepartures(): Departures {
    const { node, lives, peers } = this.#parts;
    const { store, lineage } = node;
    return new Departures(
      {
        present: (id) => {
          if (id === lineage.self) return { epoch: lineage.present, isLinked: true };
          const epoch = lives.lastOf(id);
          return epoch && { epoch, isLinked: peers.reachable(id) !== undefined };
        },
        save: (frame) => {
          store.setNote(NOTE, frame);
          store.recordNote(NOTE);
        },
      },
      store.note(NOTE),
    );
  }

  /** Whether it has left for good, as it says. */
  hasLeft(id: GatewayId): boolean {
    return this.#departures?.has(id) === true;
  }

  /** It is there, in this life. @returns false: that is the one in which it left */
  arrives(id: GatewayId, epoch: Epoch): boolean {
    return this.#departures?.arrives(id, epoch) !== false;
  }

  /** This gateway itself goes for good. */
  depart(departure: Departure): void {
    this.#parts.peers.tell(Channel.departures, encodeDepartures([departure]));
  }

  /** All departures that are known. */
  tell({ link }: Peer): void {
    const frame = this.#departures?.frame;
    if (frame !== undefined) link?.send(Channel.departures, frame);
  }

  /** What others tell of departures. @throws MalformedFrame @returns whether any was news */
  told(frame: Uint8Array, from: Peer): boolean {
    const { peers, node } = this.#parts;
    const departed = this.#departures?.merge(frame) ?? [];
    const news = departed.filter(({ gateway }) => gateway !== node.lineage.self);
    if (news.length === 0) return false;
    peers.tell(Channel.departures, encodeDepartures(news), from);
    for (const { gateway } of news) {
      node.logger.info('a gateway has left the mesh for good: nothing is kept for it any more', { gateway });
      this.forget(gateway);
    }
    return true;
  }

  /** It is no member any more: nothing is kept for it. */
  forget(id: GatewayId): void {
    const { peers, lives, retained, node } = this.#parts;
    peers.get(id)?.forget();
    peers.remove(id);
    node.store.setFloor(floorName(id), undefined);
    node.store.forgetStream(id);
    retained.memberLeft(id);
    lives.forget(id);
  }

  /** This gateway is none itself: nobody comes for what is kept here for others. */
  forgetAll(): void {
    const { peers, lives, node } = this.#parts;
    const { store } = node;
    for (const peer of peers) peer.forget();
    for (const id of [...peers.gateways(), ...lives.gateways()]) store.forgetStream(id);
    peers.clear();
    for (const name of [...store.floors.keys()])
      if (gatewayOfFloor(name) !== undefined) store.setFloor(name, undefined);
  }
}
