/**
 * Frames that are not the mesh's own, on a channel of their own: whoever uses it hears of links and of what comes over them; what he sends
 * goes into the lane of its gateway, which knows when.
 */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import type { ChannelUser, PeerChannel } from '../../lib/contracts/peer-channel.js';
import { Channel } from '../link/peer-link.js';
import type { Peer } from './peer.js';

/** What goes to one gateway, over one link. */
export interface Lane {
  /** @returns false: too much waits; it is not sent */
  send(frame: Uint8Array): boolean;
  /** The link has room again, or may have. */
  pump(): void;
}

export class CarriedChannel implements PeerChannel {
  user: ChannelUser | undefined;
  readonly frameMaxBytes: number;
  readonly #createLane: (peer: Peer) => Lane;
  readonly #lanes = new Map<GatewayId, Lane>();

  constructor(frameMaxBytes: number, createLane: (peer: Peer) => Lane) {
    this.frameMaxBytes = frameMaxBytes;
    this.#createLane = createLane;
  }

  send(to: GatewayId, frame: Uint8Array): boolean {
    return this.#lanes.get(to)?.send(frame) === true;
  }

  /** Both have said who they are. */
  linked(peer: Peer): void {
    if (this.user === undefined) return;
    const { gateway: id, hello, link } = peer;
    this.#lanes.set(id, this.#createLane(peer));
    this.user.linked({ id, site: hello?.site ?? '', isRelayed: link?.path === 'relayed' });
  }

  unlinked(id: GatewayId): void {
    if (this.#lanes.delete(id)) this.user?.unlinked(id);
  }

  received(peer: Peer, frame: Uint8Array): void {
    const refusal = this.#lanes.has(peer.gateway) ? this.user?.onFrame(peer.gateway, frame) : undefined;
    if (refusal !== undefined) peer.close(refusal);
  }

  evicted(id: GatewayId): void {
    this.user?.evicted?.(id);
  }

  /** The link has room again. */
  drained(id: GatewayId): void {
    this.#lanes.get(id)?.pump();
  }

  /** Some times a second. */
  tick(): void {
    for (const lane of this.#lanes.values()) lane.pump();
  }
}

/** Everything goes at once. */
export function wireLane(peer: Peer): Lane {
  return {
    send: (frame) => {
      peer.link?.send(Channel.wire, frame);
      return true;
    },
    pump: () => undefined,
  };
}
