/** One end of a link, the other end of which is the test. */
import type { GatewayId } from '../../../../lib/contracts/gateway-id.js';
import { gatewayIdOf } from '../../../../lib/contracts/gateway-id.js';
import type { Channel, LinkHandlers, LinkPath, PeerLink } from '../../../../mesh/link/peer-link.js';

export class FakeLink implements PeerLink {
  handlers: LinkHandlers | undefined;
  readonly remoteAddress = '192.0.2.7:4430';
  queuedBytes = 0;
  isWritable = true;
  readonly sent: (readonly [channel: Channel, frame: Uint8Array])[] = [];
  readonly datagrams: Uint8Array[] = [];
  readonly closed: string[] = [];

  constructor(
    readonly peer: GatewayId,
    readonly path: LinkPath = 'tcp',
  ) {}

  send(channel: Channel, frame: Uint8Array): boolean {
    this.sent.push([channel, Uint8Array.from(frame)]);
    return this.isWritable;
  }

  sendDatagram(bytes: Uint8Array): void {
    this.datagrams.push(Uint8Array.from(bytes));
  }

  close(reason: string): void {
    this.closed.push(reason);
    this.handlers?.onClose(reason);
  }

  /** Frames of one channel, and forgets them. */
  take(channel: Channel): Uint8Array[] {
    return this.sent.splice(0).flatMap(([on, frame]) => (on === channel ? [frame] : []));
  }
}

/** Ids in the order of their numbers. */
export function idOf(number: number): GatewayId {
  return gatewayIdOf(new Uint8Array(32).fill(number));
}
