/** Frames of something else than the mesh that go over its links, from one gateway to another. Each user has a channel of its own. */
import type { GatewayId } from './gateway-id.js';

/** A gateway to which there is a link. */
export interface LinkedGateway {
  readonly id: GatewayId;
  /** For people. */
  readonly site: string;
  /** A third one passes on what the two say. */
  readonly isRelayed: boolean;
}

export interface PeerChannel {
  /** What may be in a frame beside its head, bytes: whatever is live waits behind one that is on its way. */
  readonly frameMaxBytes: number;
  /** Set before there are links. */
  user: ChannelUser | undefined;
  /** Frames arrive whole and in order. The bytes are the link's from now on. @returns false: there is no link, or too much waits for it; it is not sent */
  send(to: GatewayId, frame: Uint8Array): boolean;
}

/** Called back one at a time. What it hears of a gateway begins with `linked` and ends with `unlinked`, one link after the other. */
export interface ChannelUser {
  linked(gateway: LinkedGateway): void;
  unlinked(id: GatewayId): void;
  /** @param frame theirs only during the call @returns why the link has to be closed; undefined: all is well */
  onFrame(from: GatewayId, frame: Uint8Array): string | undefined;
  /** It is no member any more, by the word of the administrator. */
  evicted?(id: GatewayId): void;
}
