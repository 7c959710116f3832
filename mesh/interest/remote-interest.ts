/**
 * What the other gateways want: the filters of all of them in one trie. A topic is walked once, however many gateways there are;
 * what they hold several filters for is visited once, with the highest QoS.
 *
 * Measured with 100 gateways and 100,000 filters (probe: interest): a look-up takes 2 µs, 5 at p99, also where all 100 want the topic.
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { QoS } from '../../lib/protocol/packet.js';
import { SubscriptionTrie } from '../../lib/routing/subscription-trie.js';

/** -1: it does not want the topic. */
export type WantedQoS = -1 | QoS;
export type PeerMatcher = (topic: string) => WantedQoS;

class Wish {
  slot = 0;
  constructor(
    readonly peer: Peer,
    public qos: QoS,
  ) {}
}

class Peer {
  readonly wishes = new Map<string, Wish>();
  bytes = 0;
  /** The look-up in which it was found last, and the highest QoS there. */
  mark = 0;
  best: QoS = 0;
  constructor(readonly id: GatewayId) {}
}

export class RemoteInterest {
  readonly #trie = new SubscriptionTrie<Wish>();
  readonly #peers = new Map<GatewayId, Peer>();
  readonly #onChange: ((filter: string) => void) | undefined;
  /** Peers of a look-up; those after `#foundCount` are left over. */
  readonly #found: Peer[] = [];
  #foundCount = 0;
  #mark = 0;

  /** @param onChange whatever was known of topics that the filter matches is not true any more */
  constructor(onChange?: (filter: string) => void) {
    this.#onChange = onChange;
  }

  get filterCount(): number {
    return this.#trie.size;
  }

  /** Filters of one peer. */
  countOf(peer: GatewayId): number {
    return this.#peers.get(peer)?.wishes.size ?? 0;
  }

  /** Of the filters of one peer, as UTF-8. */
  bytesOf(peer: GatewayId): number {
    return this.#peers.get(peer)?.bytes ?? 0;
  }

  qosOf(peer: GatewayId, filter: string): WantedQoS {
    return this.#peers.get(peer)?.wishes.get(filter)?.qos ?? -1;
  }

  filtersOf(peer: GatewayId): readonly string[] {
    return [...(this.#peers.get(peer)?.wishes.keys() ?? [])];
  }

  /** @param filter valid */
  set(id: GatewayId, filter: string, qos: QoS): void {
    let peer = this.#peers.get(id);
    if (peer === undefined) {
      peer = new Peer(id);
      this.#peers.set(id, peer);
    }
    const known = peer.wishes.get(filter);
    if (known?.qos === qos) return;
    if (known === undefined) {
      const wish = new Wish(peer, qos);
      peer.wishes.set(filter, wish);
      peer.bytes += Buffer.byteLength(filter);
      this.#trie.add(filter, wish);
    } else known.qos = qos;
    this.#onChange?.(filter);
  }

  remove(id: GatewayId, filter: string): void {
    const peer = this.#peers.get(id);
    const wish = peer?.wishes.get(filter);
    if (peer === undefined || wish === undefined) return;
    peer.wishes.delete(filter);
    peer.bytes -= Buffer.byteLength(filter);
    this.#trie.remove(filter, wish);
    this.#onChange?.(filter);
  }

  /** It is no member any more, or another life of it begins anew. */
  removePeer(id: GatewayId): void {
    for (const filter of this.filtersOf(id)) this.remove(id, filter);
    this.#peers.delete(id);
  }

  /** Calls `visit` once for each peer that wants the topic, in the order in which they were found. Not to be called from inside. */
  match(topic: string, visit: (peer: GatewayId, qos: QoS) => void): void {
    this.#mark++;
    this.#foundCount = 0;
    this.#trie.match(topic, this.#find);
    for (let i = 0; i < this.#foundCount; i++) {
      const peer = this.#found[i];
      if (peer !== undefined) visit(peer.id, peer.best);
    }
  }

  /** With which QoS one peer wants a topic, now and later. */
  matcherOf(id: GatewayId): PeerMatcher {
    let best: WantedQoS = -1;
    const visit = ({ peer, qos }: Wish): void => {
      if (peer.id === id && qos > best) best = qos;
    };
    return (topic) => {
      best = -1;
      if (this.countOf(id) > 0) this.#trie.match(topic, visit);
      return best;
    };
  }

  /** One function for all look-ups. */
  readonly #find = ({ peer, qos }: Wish): void => {
    if (peer.mark !== this.#mark) {
      peer.mark = this.#mark;
      peer.best = qos;
      this.#found[this.#foundCount++] = peer;
    } else if (qos > peer.best) peer.best = qos;
  };
}
