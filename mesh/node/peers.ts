/** The other gateways, one Peer for each that was ever met, or of which there is a stream in the log. */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { Channel } from '../link/peer-link.js';
import { PEERS_MAX_COUNT } from './limits.js';
import { REBORN } from './link-end.js';
import type { NodeParts } from './node-parts.js';
import { Peer, type PeerEvents } from './peer.js';
import type { RetainedNode } from './retained-node.js';

export class Peers implements Iterable<Peer> {
  readonly #parts: NodeParts;
  readonly #events: PeerEvents;
  readonly #peers = new Map<GatewayId, Peer>();
  /** Of the present life of this gateway; undefined: none has begun. */
  #retained: RetainedNode | undefined;

  constructor(parts: NodeParts, events: PeerEvents) {
    this.#parts = parts;
    this.#events = events;
  }

  [Symbol.iterator](): Iterator<Peer> {
    return this.#peers.values();
  }

  gateways(): Iterable<GatewayId> {
    return this.#peers.keys();
  }

  get count(): number {
    return this.#peers.size;
  }

  /** No other one is met. */
  get isFull(): boolean {
    return this.#peers.size >= PEERS_MAX_COUNT;
  }

  get(id: GatewayId): Peer | undefined {
    return this.#peers.get(id);
  }

  /** Which has a link, past hello. */
  reachable(id: GatewayId): Peer | undefined {
    const peer = this.#peers.get(id);
    return peer?.isReachable === true ? peer : undefined;
  }

  /** There is one from now on. */
  of(id: GatewayId): Peer {
    let peer = this.#peers.get(id);
    if (peer === undefined) {
      peer = new Peer(id, this.#parts, this.#events);
      this.#peers.set(id, peer);
      if (this.#retained !== undefined) peer.begin(this.#retained);
    }
    return peer;
  }

  remove(id: GatewayId): void {
    this.#peers.delete(id);
  }

  clear(): void {
    this.#peers.clear();
  }

  /** A life of this gateway begins: those who were linked meet it anew. */
  begin(retained: RetainedNode): void {
    this.#retained = retained;
    for (const peer of this.#peers.values()) {
      peer.close(REBORN);
      peer.begin(retained);
      this.#parts.local.beginBeyond(peer.receiver.image?.backfill?.id ?? 0);
    }
  }

  close(reason: string): void {
    for (const peer of this.#peers.values()) peer.close(reason);
  }

  /** To all that have a link. @param from who has it already */
  tell(channel: Channel, frame: Uint8Array, from?: Peer): void {
    for (const peer of this.#peers.values())
      if (peer !== from && peer.isReachable) peer.link?.send(channel, frame);
  }
}
