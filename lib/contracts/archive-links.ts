/** How the archives of two gateways of a mesh talk to each other: in frames on the link that is between them, behind everything that is live. */
import type { GatewayId } from './gateway-id.js';

/** A gateway to which there is a link. */
export interface LinkedGateway {
  readonly id: GatewayId;
  /** For people. */
  readonly site: string;
  /** A third one passes on what the two say. */
  readonly isRelayed: boolean;
}

export interface ArchiveLinks {
  /** What may be in a frame beside its head, bytes: whatever is live waits behind one that is on its way. */
  readonly frameMaxBytes: number;
  /** Set before there are links. */
  handlers: ArchiveLinkHandlers | undefined;
  /** Frames arrive whole and in order. The bytes are the link's from now on. @returns false: there is no link, or too much waits for it; it is not sent */
  send(to: GatewayId, frame: Uint8Array): boolean;
}

/** Called back one at a time. */
export interface ArchiveLinkHandlers {
  linked(gateway: LinkedGateway): void;
  unlinked(id: GatewayId): void;
  /** @param frame theirs only during the call @returns why the link has to be closed; undefined: all is well */
  onFrame(from: GatewayId, frame: Uint8Array): string | undefined;
}

const PEER_TARGET = /^mesh(?::(.+))?$/;

/**
 * What `archive.target` says where the archive is that of another gateway.
 * @returns its name or the beginning of its id; empty: any that offers one; undefined: the target is a place of its own
 */
export function peerOfTarget(target: string): string | undefined {
  const found = PEER_TARGET.exec(target);
  return found === null ? undefined : (found[1] ?? '');
}
