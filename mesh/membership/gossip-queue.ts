import type { GatewayId } from '../../lib/contracts/gateway-id.js';

interface Rumour {
  readonly id: GatewayId;
  readonly withMetadata: boolean;
  /** Also for those that have a link: not all of them were told. */
  readonly forLinked: boolean;
  times: number;
}

/** News that rides on the datagrams of the probes, the least told first, each a limited number of times. One for each member. */
export class GossipQueue {
  readonly #rumours = new Map<GatewayId, Rumour>();

  get size(): number {
    return this.#rumours.size;
  }

  add(id: GatewayId, withMetadata: boolean, forLinked: boolean): void {
    const before = this.#rumours.get(id);
    this.#rumours.delete(id);
    this.#rumours.set(id, {
      id,
      withMetadata: withMetadata || before?.withMetadata === true,
      forLinked: forLinked || before?.forLinked === true,
      times: 0,
    });
  }

  remove(id: GatewayId): void {
    this.#rumours.delete(id);
  }

  /**
   * Counts those that fit as told.
   * @param encode undefined: there is nothing to say about it any more
   */
  take(
    maxBytes: number,
    toLinked: boolean,
    limit: number,
    encode: (id: GatewayId, withMetadata: boolean) => Uint8Array | undefined,
  ): Uint8Array[] {
    if (this.#rumours.size === 0) return [];
    const candidates = [...this.#rumours.values()].filter((rumour) => !toLinked || rumour.forLinked);
    candidates.sort((a, b) => a.times - b.times);
    const taken: Uint8Array[] = [];
    let left = maxBytes;
    for (const rumour of candidates) {
      // The smallest record does not fit any more.
      if (left < 48) break;
      const bytes = encode(rumour.id, rumour.withMetadata);
      if (bytes === undefined) this.#rumours.delete(rumour.id);
      if (bytes === undefined || bytes.length + 2 > left) continue;
      left -= bytes.length + 2;
      taken.push(bytes);
      rumour.times++;
      if (rumour.times >= limit) this.#rumours.delete(rumour.id);
    }
    return taken;
  }
}
