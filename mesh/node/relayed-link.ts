/** A link to a gateway that cannot be reached, through one that both can reach. */
import type { GatewayId } from '../../lib/contracts/gateway-id.js';
import { shortId } from '../../lib/contracts/gateway-id.js';
import type { Channel, LinkHandlers, LinkPath, PeerLink } from '../link/peer-link.js';

/** What a relayed link needs of the one that it goes through. */
export interface RelayPath {
  readonly relay: GatewayId;
  readonly queuedBytes: () => number;
  readonly data: (to: GatewayId, channel: Channel, frame: Uint8Array) => boolean;
  readonly datagram: (to: GatewayId, bytes: Uint8Array) => void;
  /** The link is given up by this side. */
  readonly closed: (link: RelayedLink, reason: string) => void;
}

export class RelayedLink implements PeerLink {
  handlers: LinkHandlers | undefined;
  readonly path: LinkPath = 'relayed';
  readonly peer: GatewayId;
  readonly #by: RelayPath;
  #isOver = false;

  constructor(peer: GatewayId, by: RelayPath) {
    this.peer = peer;
    this.#by = by;
  }

  get relay(): GatewayId {
    return this.#by.relay;
  }

  get remoteAddress(): string {
    return `gateway ${shortId(this.#by.relay)}`;
  }

  get queuedBytes(): number {
    return this.#by.queuedBytes();
  }

  send(channel: Channel, frame: Uint8Array): boolean {
    return this.#isOver || this.#by.data(this.peer, channel, frame);
  }

  sendDatagram(bytes: Uint8Array): void {
    if (!this.#isOver) this.#by.datagram(this.peer, bytes);
  }

  close(reason: string): void {
    if (this.#isOver) return;
    this.#by.closed(this, reason);
    this.ended(reason);
  }

  /** It is over, whoever wanted it so. */
  ended(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.handlers?.onClose(reason);
  }
}
