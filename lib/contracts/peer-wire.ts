/** Frames of something else than the mesh that go over its links, from one gateway to another. */
import type { GatewayId } from './gateway-id.js';

/** Who they are for. What it hears of a gateway begins with `up` and ends with `down`, one link after the other. */
export interface PeerWire {
  up(gateway: GatewayId): void;
  down(gateway: GatewayId): void;
  /** @param frame the caller's @returns why the link has to be closed; undefined: all is well */
  frame(gateway: GatewayId, frame: Uint8Array): string | undefined;
  /** It is no member any more, by the word of the administrator. */
  evicted(gateway: GatewayId): void;
}
